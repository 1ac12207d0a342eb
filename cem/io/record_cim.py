"""The record of a time in the words of IEC 61968-9: which signal is which reading type, which happening which code."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from cem.io.database import RecordError, open_for_reading
from cem.io.record_reader import RecordReader
from cem.io.samples import EXPORTED, IMPORTED
from cem.model.event import SignalKind
from cem.model.grid_log import GridEntry, Happening
from cem.model.resource import Role
from cem.ports import Json
from cem.wire import cim
from cem.wire.cim import Channel, CimWriter, Device, DeviceControl, DeviceEvent, Interval

CONNECTION_POINT = "connection-point"
"""The usage point of the meter at the grid; every other device has one of its own."""

IMPORT_15 = cim.reading_type(
    cim.ENERGY, cim.WH, accumulation=cim.DELTA, direction=cim.FORWARD, period=cim.FIFTEEN_MINUTES
)
EXPORT_15 = cim.reading_type(
    cim.ENERGY, cim.WH, accumulation=cim.DELTA, direction=cim.REVERSE, period=cim.FIFTEEN_MINUTES
)
_IN = cim.reading_type(cim.ENERGY, cim.WH, accumulation=cim.BULK, direction=cim.FORWARD)
_OUT = cim.reading_type(cim.ENERGY, cim.WH, accumulation=cim.BULK, direction=cim.REVERSE)
_REGISTERS = {
    (Role.GRID, "import_wh"): _IN,
    (Role.GRID, "export_wh"): _OUT,
    (Role.PV, "energy_wh"): _OUT,
    (Role.BATTERY, "charged_wh"): _IN,
    (Role.BATTERY, "discharged_wh"): _OUT,
    (Role.HEAT_PUMP, "energy_wh"): _IN,
    (Role.LOAD, "energy_wh"): _IN,
}
_MEANS = {
    "power": (cim.POWER, cim.WATT, cim.NET),
    "current": (cim.CURRENT, cim.AMPERE, 0),
    "voltage": (cim.VOLTAGE, cim.VOLT, 0),
    "frequency": (cim.FREQUENCY, cim.HERTZ, 0),
}

# type.domain.subdomain.action; what has no code is left to `cem history --show grid`
_EVENT_TYPES = {
    Happening.LIMIT_SET: "16.15.139.13",
    Happening.LIMIT_CHANGED: "16.15.139.24",
    Happening.EVENT_STARTED: "16.15.43.287",
    Happening.EVENT_STOPPED: "16.15.43.288",
    Happening.EVENT_CANCELLED: "16.15.43.10",
    Happening.OPTED_IN: "16.15.43.80",
    Happening.OPTED_OUT: "16.15.43.81",
    Happening.LINK_LOST: "5.1.0.47",
    Happening.LINK_BACK: "5.1.0.49",
    Happening.ISLANDED: "5.26.0.47",
    Happening.RESTORED: "5.26.0.49",
}
_LIMITS = {SignalKind.IMPORT_LIMIT_W, SignalKind.EXPORT_LIMIT_W}
_SET_LIMIT, _START_EVENT = _EVENT_TYPES[Happening.LIMIT_SET], _EVENT_TYPES[Happening.EVENT_STARTED]


def reading_type_of(role: Role, point: str) -> tuple[str, bool]:
    """The reading type of a device's point, and whether it is a register; what has none keeps its own name."""
    if (role, point) in _REGISTERS:
        return _REGISTERS[role, point], True
    quantity, _, rest = point.partition("_")
    phase = rest.partition("_")[0] if rest.startswith(("l1_", "l2_", "l3_")) else ""
    plain = rest.rpartition("_")[2] in {"w", "a", "v", "hz"} and rest.count("_") == (1 if phase else 0)
    if quantity in _MEANS and plain:
        kind, unit, direction = _MEANS[quantity]
        code = cim.reading_type(
            kind,
            unit,
            accumulation=cim.INDICATING,
            direction=direction,
            aggregate=cim.AVERAGE,
            period=cim.ONE_MINUTE,
            phase=phase,
        )
        return code, False
    return cim.UNMAPPED + point, False


def write_cim(folder: Path, stream: IO[bytes], since: datetime, until: datetime, now: datetime) -> int:
    """Writes what is recorded of [since, until); gives the number of quarters left out because minutes are missing.

    Raises RecordError when there is no record or it can't be read, OSError when the stream can't be written.
    """
    reader = RecordReader(folder)
    path = folder / "history.db"
    if not path.exists():
        raise RecordError(f"no record in {folder}: history.db is not there; was the gateway ever started?")
    controls = [control for noted in reader.events(since, until) for control in _controls(noted.value)]
    events = [event for entry in reader.grid_log(since, until) if (event := _event(entry)) is not None]
    try:
        with open_for_reading(path) as connection:
            record = _Channels(connection, since, until)
            CimWriter(stream, record.site, now).write(record.devices(), controls, events)
            return record.left_out
    except sqlite3.Error as error:
        raise RecordError(f"{path} can't be read: {error}; see what the gateway says with cem status") from error


class _Channels:
    """Reads history.db signal by signal."""

    def __init__(self, connection: sqlite3.Connection, since: datetime, until: datetime) -> None:
        self._connection = connection
        self._first, self._end = -(-int(since.timestamp()) // 60), int(until.timestamp() // 60)
        self._signals = {
            name: (column, scale)
            for name, column, scale in connection.execute('SELECT name, "column", scale FROM signal ORDER BY name')
        }
        settings = dict(connection.execute("SELECT name, value FROM setting").fetchall())
        self.site = settings.get("site", "")
        roles = json.loads(settings.get("roles", "{}"))
        self._roles = {resource: Role(role) for resource, role in roles.items()}
        self._gaps: set[int] = set()

    @property
    def left_out(self) -> int:
        """The number of quarters with a gap that were met so far."""
        return len(self._gaps)

    def devices(self) -> Iterator[Device]:
        """Every device with its channels; the meter at the grid has the energies of the connection point too."""
        for resource, role in self._roles.items():
            points = [name.partition(".")[2] for name in self._signals if name.startswith(resource + ".")]
            channels = [self._channel(resource, role, point) for point in points if not point.startswith("decided_")]
            if role is Role.GRID:
                energies = ((IMPORT_15, IMPORTED), (EXPORT_15, EXPORTED))
                channels = [*(Channel(t, self._quarters(s)) for t, s in energies if s in self._signals), *channels]
            usage_point = CONNECTION_POINT if role is Role.GRID else resource
            yield Device(resource, usage_point, tuple(channels))

    def _channel(self, resource: str, role: Role, point: str) -> Channel:
        type_, is_register = reading_type_of(role, point)
        every = 15 if is_register else 1
        return Channel(type_, self._minutes(f"{resource}.{point}", every), is_register)

    def _minutes(self, name: str, every: int) -> Iterator[Interval]:
        """The value of each minute at its end; with `every` 15 that of the last minute of each quarter."""
        column, scale = self._signals[name]
        query = (
            f'SELECT minute, "{column}" FROM m1 WHERE minute >= ? AND minute < ? AND "{column}" IS NOT NULL '  # noqa: S608
            "AND (minute + 1) % ? = 0 ORDER BY minute"
        )
        for minute, value in self._connection.execute(query, [self._first, self._end, every]):
            yield Interval(_end_of(minute + 1), value / scale)

    def _quarters(self, name: str) -> Iterator[Interval]:
        """The energy of each whole quarter of an hour; one with a gap is left out and counted, never filled."""
        column, scale = self._signals[name]
        query = (
            f'SELECT minute / 15 AS quarter, count("{column}"), sum("{column}") FROM m1 '  # noqa: S608
            "WHERE minute >= ? AND minute < ? GROUP BY quarter ORDER BY quarter"
        )
        first, end = -(-self._first // 15) * 15, self._end // 15 * 15
        for quarter, count, total in self._connection.execute(query, [first, end]):
            if count == 15:
                yield Interval(_end_of((quarter + 1) * 15), total / scale)
            else:
                self._gaps.add(quarter)


def _end_of(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * 60, UTC)


def _controls(event: dict[str, Json]) -> Iterator[DeviceControl]:
    """One control for each interval of an accepted event."""
    intervals = event.get("intervals")
    for number, interval in enumerate(intervals if isinstance(intervals, list) else []):
        if not isinstance(interval, list) or len(interval) != 3:
            continue
        start, end, signals = interval
        if not isinstance(start, str):
            continue
        asked = signals if isinstance(signals, dict) else {}
        yield DeviceControl(
            f"{event.get('provider')}/{event.get('id')}/{number}",
            _SET_LIMIT if any(kind in _LIMITS for kind in asked) else _START_EVENT,
            str(event.get("provider")),
            str(event.get("id")),
            ", ".join(f"{kind} {amount}" for kind, amount in asked.items()),
            datetime.fromisoformat(start),
            datetime.fromisoformat(end) if isinstance(end, str) else None,
            mandatory=event.get("mandatory") is True,
        )


def _event(entry: GridEntry) -> DeviceEvent | None:
    code = _EVENT_TYPES.get(entry.kind)
    if code is None:
        return None
    limit = "" if entry.value_w is None else f"{entry.subject} at most {entry.value_w:.0f} W"
    reason = ": ".join(part for part in (limit, entry.words) if part) or entry.kind.value
    at = entry.at.astimezone(UTC)
    return DeviceEvent(
        f"{at.isoformat()}/{entry.kind}/{entry.source}/{entry.subject}", at, code, entry.source, entry.subject, reason
    )
