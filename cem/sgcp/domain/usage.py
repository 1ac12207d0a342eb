"""What the members of a domain reported that they used, and the sum of it: measured or missing, never guessed.

An interval's sum is known once everybody who belonged to the domain by then has reported all of it. Interpretation:
after WAIT_S it is told as missing, and corrected when the rest comes in within a day. A member that reports less often
than the sum is wanted leaves it missing; one that reports more often is added up.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from cem.sgcp.reports.usage import Usage
from cem.wire.openadr3 import (
    AGGREGATED_REPORT,
    DataQuality,
    Interval,
    Report,
    ReportPayload,
    ReportResource,
)

BELOW = "domain-below"
"""The name of the whole domain as one resource, in reports to the providers above."""
WAIT_S = 180.0
"""After the end of an interval: reports come with the next poll of the sub-VEN."""
KEEP = timedelta(days=1)
_EXPORT_USAGE = "EXPORT_USAGE"  # a private type of ours; usage alone is net


@dataclass(frozen=True, slots=True)
class Used:
    """The energy of one member over [start, end), Wh."""

    start: datetime
    end: datetime
    import_wh: float
    export_wh: float

    @property
    def mean_w(self) -> float:
        """The mean power, import positive."""
        return (self.import_wh - self.export_wh) / ((self.end - self.start) / timedelta(hours=1))


def used(report: Report) -> list[Used]:
    """What a report says that a member used: its aggregate, else the sum of its resources where all are known."""
    whole = [one for one in report.resources if one.resource_name == AGGREGATED_REPORT]
    parts = [_of_resource(one) for one in whole or report.resources]
    found = []
    for (start, end), same in groupby(
        sorted((one for part in parts for one in part), key=lambda one: (one.start, one.end)),
        key=lambda one: (one.start, one.end),
    ):
        all_of_it = list(same)
        if len(all_of_it) == len(parts):
            found.append(
                Used(start, end, sum(one.import_wh for one in all_of_it), sum(one.export_wh for one in all_of_it))
            )
    return found


def _of_resource(resource: ReportResource) -> list[Used]:
    found = (_of_interval(interval, resource) for interval in resource.intervals)
    return [one for one in found if one is not None]


def _of_interval(interval: Interval, resource: ReportResource) -> Used | None:
    period = interval.interval_period or resource.interval_period
    values = {payload.type: payload.numbers() for payload in interval.payloads}
    quality = [value for p in interval.payloads if p.type == ReportPayload.DATA_QUALITY for value in p.values]
    start = period.start.instant if period is not None and period.start is not None else None
    length = period.duration.length() if period is not None and period.duration is not None else None
    taken = values.get(ReportPayload.USAGE, ())
    if not taken or start is None or not length or any(value != DataQuality.OK for value in quality):
        return None
    given = values.get(_EXPORT_USAGE, ())
    net_wh = taken[0] * 1000
    export_wh = given[0] * 1000 if given else max(-net_wh, 0.0)
    return Used(start, start + length, max(net_wh, 0.0), export_wh)


class Ledger:
    """What each member used lately, and which sums were told."""

    def __init__(self) -> None:
        self._used: dict[str, dict[datetime, Used]] = {}
        self._joined: dict[str, datetime] = {}
        self._left: dict[str, datetime] = {}
        self._told: dict[float, dict[datetime, bool]] = {}  # by length and start: whether it was told as missing

    def members(self, names: Iterable[str], now: datetime) -> None:
        """Who belongs to the domain from now on."""
        present = set(names)
        for name in present - set(self._joined):
            self._joined[name] = now
        for name in set(self._joined) - present:
            self._left.setdefault(name, now)
        for name in present:
            self._left.pop(name, None)
        for name in [name for name, at in self._left.items() if at < now - KEEP]:
            del self._joined[name], self._left[name]

    def take(self, name: str, found: Iterable[Used], now: datetime) -> None:
        """Takes in what a member reported; what is older than a day is let go."""
        held = self._used.setdefault(name, {})
        held.update({one.start: one for one in found})
        for start in [start for start in held if start < now - KEEP]:
            del held[start]
        if held:  # what it reports of before we met it counts for then
            self._joined[name] = min(self._joined.get(name, now), *held)

    def lately(self, name: str, since: datetime) -> dict[datetime, Used]:
        """What a member reported of intervals that began since, by their start."""
        return {start: one for start, one in self._used.get(name, {}).items() if start >= since}

    def latest(self, name: str) -> Used | None:
        """What a member reported last."""
        held = self._used.get(name)
        return None if not held else held[max(held)]

    def sums(self, interval_s: float, now: datetime) -> list[Usage]:
        """The sums of whole intervals of the last day that became known, or were waited for in vain, since it was asked
        for this length last.
        """
        length = timedelta(seconds=interval_s)
        epoch = datetime.fromtimestamp(0, UTC)
        told = self._told.setdefault(interval_s, {})
        start = max(min(self._joined.values(), default=now), now - KEEP)
        start = epoch + (start - epoch) // length * length
        for old in [old for old in told if old < start]:
            del told[old]
        found = []
        while start + length <= now:
            usage = self._sum(start, length) if told.get(start, True) else None
            waited = now - (start + length) >= timedelta(seconds=WAIT_S)
            if usage is not None and (not usage.missing or (waited and start not in told)):
                told[start] = usage.missing
                found.append(usage)
            start += length
        return found

    def _sum(self, start: datetime, length: timedelta) -> Usage | None:
        """None where nobody belonged to the domain then."""
        end = start + length
        names = [
            name
            for name, joined in self._joined.items()
            if joined < end and (name not in self._left or self._left[name] > start)
        ]
        if not names:
            return None
        each = [_whole(self._used.get(name, {}), start, end) for name in sorted(names)]
        known = [one for one in each if one is not None]
        if len(known) < len(each):
            return Usage(BELOW, start, length.total_seconds(), None, None)
        imported, exported = sum(one.import_wh for one in known), sum(one.export_wh for one in known)
        return Usage(BELOW, start, length.total_seconds(), imported, exported)


def _whole(held: Mapping[datetime, Used], start: datetime, end: datetime) -> Used | None:
    """What was used during [start, end), where intervals cover exactly that."""
    pieces: list[Used] = []
    at = start
    while at < end:
        piece = held.get(at)
        if piece is None or piece.end > end:
            return None
        pieces.append(piece)
        at = piece.end
    return Used(start, end, sum(p.import_wh for p in pieces), sum(p.export_wh for p in pieces))
