"""Reading the record from another process, also while the gateway runs: energies, decisions and grid events."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cem.io.database import RecordError, open_for_reading
from cem.io.samples import COST, EXPORTED, GENERATED, IMPORTED
from cem.model.grid_log import GridEntry, entry_of
from cem.ports import Json

_ENERGIES = (IMPORTED, EXPORTED, GENERATED, COST)


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """Energies of [start, end) in local time, Wh as magnitudes; `minutes` of it were recorded, the rest is a gap."""

    start: datetime
    end: datetime
    import_wh: float
    export_wh: float
    pv_wh: float
    cost: float
    minutes: int


@dataclass(frozen=True, slots=True)
class Noted:
    """A row of state.db with its key."""

    key: str
    value: dict[str, Json]


class RecordReader:
    """Reads history.db and state.db in a folder; every method raises RecordError when a file can't be read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def settings(self) -> tuple[ZoneInfo, str]:
        """The time zone of the site and the currency of its tariff."""
        with self._open("history.db") as connection:
            found = dict(connection.execute("SELECT name, value FROM setting").fetchall())
        return ZoneInfo(found.get("zone", "UTC")), found.get("currency", "")

    def energy(self, since: datetime, until: datetime, zone: ZoneInfo, *, by_day: bool) -> list[EnergyRow]:
        """One row per local hour or day that begins in [since, until) and of which anything was recorded."""
        sums: dict[datetime, list[float]] = {}
        with self._open("history.db") as connection:
            for minute, count, values in self._stored(connection, since, until):
                start = _start_of(datetime.fromtimestamp(minute * 60, UTC).astimezone(zone), by_day)
                into = sums.setdefault(start.astimezone(UTC), [0.0] * (len(_ENERGIES) + 1))
                for index, value in enumerate((*values, count)):
                    into[index] += value
        rows = []
        for start_utc, (imported, exported, generated, cost, minutes) in sorted(sums.items()):
            start = start_utc.astimezone(zone)
            end = _next(start, zone) if by_day else (start_utc + timedelta(hours=1)).astimezone(zone)
            rows.append(EnergyRow(start, end, imported, exported, generated, cost, int(minutes)))
        return rows

    def decisions(self, since: datetime, until: datetime) -> list[Noted]:
        """The decisions noted in [since, until), oldest first."""
        with self._open("state.db") as connection:
            rows = connection.execute(
                "SELECT key, value FROM decision WHERE key >= ? AND key < ? ORDER BY id", [_key(since), _key(until)]
            ).fetchall()
        return [Noted(key, value) for key, text in rows if isinstance(value := json.loads(text), dict)]

    def events(self, since: datetime, until: datetime) -> list[Noted]:
        """The accepted grid events with an interval in [since, until) that are still kept."""
        with self._open("state.db") as connection:
            rows = connection.execute("SELECT key, value FROM event ORDER BY id").fetchall()
        found = [Noted(key, value) for key, text in rows if isinstance(value := json.loads(text), dict)]
        return [event for event in found if _overlaps(event.value, since, until)]

    def settlements(self, since: datetime, until: datetime) -> list[Noted]:
        """The settled events of which a part lies in [since, until), oldest first."""
        with self._open("state.db") as connection:
            tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'settlement'").fetchall()
            if not tables:
                return []  # a record of a former version
            rows = connection.execute("SELECT key, value FROM settlement ORDER BY id").fetchall()
        found = [Noted(key, value) for key, text in rows if isinstance(value := json.loads(text), dict)]
        return [noted for noted in found if _overlaps({"intervals": _spans(noted.value)}, since, until)]

    def plan_days(self, since: datetime, until: datetime, zone: ZoneInfo) -> list[Noted]:
        """The settled plans of the local days that begin in [since, until), oldest first."""
        return self._days("plan_day", "SELECT key, value FROM plan_day ORDER BY key", since, until, zone)

    def forecast_days(self, since: datetime, until: datetime, zone: ZoneInfo) -> list[Noted]:
        """How good the forecasts of the local days were that begin in [since, until), oldest first."""
        return self._days("forecast_day", "SELECT key, value FROM forecast_day ORDER BY key", since, until, zone)

    def _days(self, table: str, query: str, since: datetime, until: datetime, zone: ZoneInfo) -> list[Noted]:
        """Rows whose key is a local day."""
        with self._open("state.db") as connection:
            if not connection.execute("SELECT name FROM sqlite_master WHERE name = ?", [table]).fetchall():
                return []  # a record of a former version
            rows = connection.execute(query).fetchall()
        found = [Noted(key, value) for key, text in rows if isinstance(value := json.loads(text), dict)]
        return [n for n in found if since <= datetime.fromisoformat(n.key).replace(tzinfo=zone) < until]

    def grid_log(self, since: datetime, until: datetime) -> list[GridEntry]:
        """What happened between grid and house in [since, until), oldest first."""
        with self._open("state.db") as connection:
            if not connection.execute("SELECT name FROM sqlite_master WHERE name = 'grid_log'").fetchall():
                return []  # a record of a former version
            rows = connection.execute(
                "SELECT value FROM grid_log WHERE key >= ? AND key < ? ORDER BY id", [_key(since), _key(until)]
            ).fetchall()
        return [entry_of(json.loads(text)) for (text,) in rows]

    @contextmanager
    def _open(self, name: str) -> Iterator[sqlite3.Connection]:
        path = self._folder / name
        if not path.exists():
            raise RecordError(f"no record in {self._folder}: {name} is not there; was the gateway ever started?")
        try:
            with open_for_reading(path) as connection:
                yield connection
        except sqlite3.Error as error:
            raise RecordError(f"{path} can't be read: {error}; see what the gateway says with cem status") from error

    def _stored(
        self, connection: sqlite3.Connection, since: datetime, until: datetime
    ) -> Iterator[tuple[int, int, Sequence[float]]]:
        """(first minute, minutes recorded, energies): quarters as far as they are rolled up, then minutes."""
        rows = connection.execute('SELECT name, "column", scale FROM signal')
        signals = {name: (column, scale) for name, column, scale in rows}
        sums = [
            f'coalesce("{signals[name][0]}", 0) / {signals[name][1]}' if name in signals else "0" for name in _ENERGIES
        ]
        columns = ", ".join(sums)
        begin, end = int(since.timestamp() // 60), int(-(-until.timestamp() // 60))
        to_quarter = min(end, -(-begin // 15) * 15)
        parts = (("m1", "1", 1, to_quarter), ("m15", "n", 15, end), ("m1", "1", 1, end))
        for table, count, length, until_minute in parts:
            last = until_minute - length
            query = f"SELECT minute, {count}, {columns} FROM {table} WHERE minute >= ? AND minute <= ? ORDER BY minute"  # noqa: S608
            for minute, minutes, *values in connection.execute(query, [begin, last]):
                yield minute, minutes, values
                begin = minute + length


def _start_of(local: datetime, by_day: bool) -> datetime:
    start = local.replace(minute=0, second=0, microsecond=0)
    return start.replace(hour=0, fold=0) if by_day else start


def _next(midnight: datetime, zone: ZoneInfo) -> datetime:
    return (midnight.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=zone)


def _key(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _spans(settlement: dict[str, Json]) -> list[Json]:
    parts = settlement.get("parts")
    kept = parts if isinstance(parts, list) else []
    return [[part.get("start"), part.get("end")] for part in kept if isinstance(part, dict)]


def _overlaps(event: dict[str, Json], since: datetime, until: datetime) -> bool:
    intervals = event.get("intervals")
    for interval in intervals if isinstance(intervals, list) else []:
        if not isinstance(interval, list) or len(interval) < 2 or not isinstance(interval[0], str):
            continue
        end = datetime.fromisoformat(interval[1]) if isinstance(interval[1], str) else None
        if datetime.fromisoformat(interval[0]) < until and (end is None or end > since):
            return True
    return False
