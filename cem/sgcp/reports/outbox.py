"""Report intervals that the provider has not yet acknowledged, and the rows that keep them over a restart.

Interpretation: an interval that is delivered at the first try never touches the disk (flash wears); anything else is
on disk before the second try. The key provider/usage/resource/interval makes a resend harmless.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cem.sgcp.durable import OUTBOX, Json, Row, row_key
from cem.sgcp.reports.usage import KEEP, Usage

WINDOW_INTERVALS = 60
"""Intervals in one report object; it is written again with each interval that is added."""


class Outbox:
    """One provider's intervals awaiting delivery, at most as far back as KEEP."""

    def __init__(self, provider_id: str, interval_s: float) -> None:
        self._provider_id = provider_id
        self._window = timedelta(seconds=interval_s * WINDOW_INTERVALS)
        self._waiting: dict[tuple[str, datetime], Usage] = {}
        self._stored: set[tuple[str, datetime]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, usages: Iterable[Usage]) -> None:
        """Takes intervals in; a measured one replaces a gap of the same key, never the other way round."""
        for usage in usages:
            key = (usage.resource, usage.start)
            held = self._waiting.get(key)
            if held is None or held.missing:
                self._waiting[key] = usage

    def all(self) -> list[Usage]:
        """All that waits."""
        return list(self._waiting.values())

    def window_of(self, at: datetime) -> datetime:
        """The start of the report window that an instant lies in."""
        epoch = datetime.fromtimestamp(0, UTC)
        return epoch + (at - epoch) // self._window * self._window

    def windows(self) -> list[datetime]:
        """The windows with something to deliver: the newest first (it is live), then from the oldest on."""
        found = sorted({self.window_of(start) for _, start in self._waiting})
        return [*found[-1:], *found[:-1]]

    def of(self, window: datetime) -> list[Usage]:
        """What waits in a window, in order of time and resource."""
        found = [usage for usage in self._waiting.values() if self.window_of(usage.start) == window]
        return sorted(found, key=lambda usage: (usage.start, usage.resource))

    def acknowledged(self, usages: Iterable[Usage]) -> list[Row]:
        """Forgets what was delivered; the rows to remove."""
        rows = []
        for usage in usages:
            key = (usage.resource, usage.start)
            if self._waiting.get(key) == usage:
                del self._waiting[key]
                if key in self._stored:
                    self._stored.discard(key)
                    rows.append(Row(OUTBOX, self._row_key(key), None))
        return rows

    def expired(self, now: datetime) -> list[Row]:
        """Forgets what is older than KEEP; the rows to remove."""
        return self.acknowledged([usage for usage in self._waiting.values() if usage.start < now - KEEP])

    def unstored(self) -> list[Row]:
        """The rows that are not on disk yet; they count as written from now on, see `unwritten`."""
        rows = []
        for key, usage in self._waiting.items():
            if key not in self._stored:
                self._stored.add(key)
                value: Json = [usage.length_s, usage.import_wh, usage.export_wh]
                rows.append(Row(OUTBOX, self._row_key(key), value))
        return rows

    def unwritten(self, rows: Iterable[Row]) -> None:
        """Takes rows back that could not be written after all."""
        failed = {row.key for row in rows}
        self._stored = {key for key in self._stored if self._row_key(key) not in failed}

    def restore(self, rows: dict[str, Json]) -> None:
        """Takes in the stored rows of this provider; what cannot be read is left out."""
        for row, value in rows.items():
            parts = [part.replace("%2F", "/").replace("%25", "%") for part in row.split("/")]
            usage = _usage(parts, value)
            if usage is not None and parts[0] == self._provider_id:
                self._waiting[usage.resource, usage.start] = usage
                self._stored.add((usage.resource, usage.start))

    def _row_key(self, key: tuple[str, datetime]) -> str:
        return row_key(self._provider_id, "usage", key[0], key[1].isoformat())


def _usage(parts: list[str], value: Json) -> Usage | None:
    if len(parts) != 4 or parts[1] != "usage" or not isinstance(value, list) or len(value) != 3:
        return None
    numbers = [float(one) if isinstance(one, int | float) else None for one in value]
    length_s, import_wh, export_wh = numbers
    try:
        start = datetime.fromisoformat(parts[3])
    except ValueError:
        return None
    return None if length_s is None else Usage(parts[2], start, length_s, import_wh, export_wh)
