"""One minute of samples: taken up tick by tick in the event loop, scaled and packed in the writer's thread."""

import math
import struct
import sys
import zlib
from array import array
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cem.model.reading import Snapshot
from cem.model.setpoint import Decision

CHUNK_FORMAT = 1
"""zlib over: count of series; per series id and length; all time steps (ms); all value steps. Little-endian.

Value steps are zigzag coded (0, -1, 1, -2 as 0, 1, 2, 3) and stored byte plane by byte plane, the lowest first: noise
stays in one plane and the others compress to nothing, which halves the chunk.
"""
OLDEST_S = 60.0
"""An older reading is not taken up: it belongs to a minute that is already written."""
_LARGEST = 2**53

Series = tuple[list[int], list[float]]
"""Milliseconds within the minute, values."""
ScaledSeries = tuple[list[int], list[int]]


class Fold(StrEnum):
    """How a signal's values of a longer time become one."""

    MEAN = "mean"
    LAST = "last"  # counters
    SUM = "sum"  # energies and money per minute


@dataclass(frozen=True, slots=True)
class Scale:
    """How a signal is kept: as round(value * per_unit)."""

    unit: str
    per_unit: float
    fold: Fold = Fold.MEAN


_SCALES = {
    "_per_kwh": Scale("/kWh", 1e6),
    "_wh": Scale("Wh", 10, Fold.LAST),
    "_w": Scale("W", 10),
    "_a": Scale("A", 1000),
    "_v": Scale("V", 100),
    "_hz": Scale("Hz", 1000),
    "_pct": Scale("%", 100),
    "_c": Scale("°C", 100),
}

IMPORTED, EXPORTED, GENERATED, COST = "site.imported_wh", "site.exported_wh", "site.generated_wh", "site.cost"
IMPORT_PRICE, EXPORT_PRICE = "site.import_price_per_kwh", "site.export_price_per_kwh"
CHARGER_STATE, PLUGGED = "state", "plugged"
_IEC61851 = {"A": 0.0, "B": 1.0, "C": 1.0, "D": 1.0}
"""States of a charging point (IEC 61851-1, table A.1) in which no car is there, or one is."""
_DERIVED = {
    IMPORTED: Scale("Wh", 1000, Fold.SUM),
    EXPORTED: Scale("Wh", 1000, Fold.SUM),
    GENERATED: Scale("Wh", 1000, Fold.SUM),
    COST: Scale("money", 1e6, Fold.SUM),
}


def scale_of(name: str) -> Scale:
    """The scale of a signal 'resource.point', by the unit at the end of its name."""
    if name in _DERIVED:
        return _DERIVED[name]
    return next((scale for end, scale in _SCALES.items() if name.endswith(end)), Scale("", 1000))


@dataclass(slots=True)
class MinuteSamples:
    """What was taken up of one minute; the keys are (resource, point)."""

    minute: int  # minutes since 1970-01-01T00:00Z
    series: dict[tuple[str, str], Series] = field(default_factory=dict)

    def named(self, only: Collection[str] | None = None) -> dict[str, ScaledSeries]:
        """The series by signal name, in order of time, scaled to integers; what does not fit is left out."""
        named: dict[str, ScaledSeries] = {}
        for (resource_id, point), (times, values) in self.series.items():
            name = f"{resource_id}.{point}"
            if only is not None and name not in only:
                continue
            per_unit = scale_of(name).per_unit
            pairs = sorted((at, round(v * per_unit)) for at, v in zip(times, values, strict=True) if math.isfinite(v))
            pairs = [pair for pair in pairs if abs(pair[1]) < _LARGEST]
            if pairs:
                named[name] = ([at for at, _ in pairs], [value for _, value in pairs])
        return named


class SampleIntake:
    """Takes up a tick's numbers, each reading once; cheap, because it runs in the control's tick."""

    def __init__(self) -> None:
        self._taken: dict[tuple[str, str], float] = {}

    def take(self, into: MinuteSamples, at_ms: int, snapshot: Snapshot, decision: Decision) -> None:
        """Adds what is new at `at_ms` of the minute. A reading that was there before is not repeated."""
        series = into.series
        taken = self._taken
        mono_s = snapshot.mono_s
        for resource_id, points in snapshot.readings.items():
            for point, reading in points.items():
                key = (resource_id, point)
                if taken.get(key) == reading.taken_at_s:
                    continue
                taken[key] = reading.taken_at_s
                value = reading.value
                age_s = mono_s - reading.taken_at_s
                if isinstance(value, str):
                    if point != CHARGER_STATE:
                        continue
                    key, value = (resource_id, PLUGGED), plugged(value)
                if value is None or age_s > OLDEST_S:
                    continue
                if (found := series.get(key)) is None:
                    found = series[key] = ([], [])
                found[0].append(max(0, at_ms - int(age_s * 1000)))
                found[1].append(value)
        for setpoint in decision.setpoints:
            if setpoint.value is not None:
                point = "decided_" + setpoint.control.partition(".")[2]
                self.add(into, at_ms, setpoint.resource_id, point, setpoint.value)
        self.add(into, at_ms, "site", "band_min_w", decision.band.min_w)
        self.add(into, at_ms, "site", "band_max_w", decision.band.max_w)
        if decision.load_w is not None:
            self.add(into, at_ms, "site", "load_w", decision.load_w)

    def add(self, into: MinuteSamples, at_ms: int, resource_id: str, point: str, value: float) -> None:
        """Adds one value that is no reading."""
        times, values = into.series.setdefault((resource_id, point), ([], []))
        times.append(at_ms)
        values.append(value)


def plugged(state: object) -> float | None:
    """1 where a charging point's state says that a car is there, 0 where it says that none is, else None."""
    return _IEC61851.get(state) if isinstance(state, str) else None


def pack(series: Mapping[int, ScaledSeries]) -> bytes:
    """The bytes of a chunk from series by signal id; times ascend."""
    header = [struct.pack("<H", len(series))]
    steps_ms = array("H")
    steps = array("Q")
    for signal_id, (times, values) in sorted(series.items()):
        header.append(struct.pack("<HH", signal_id, len(times)))
        steps_ms.extend(now - before for before, now in zip([0, *times], times, strict=False))
        steps.extend(_zigzag(now - before) for before, now in zip([0, *values], values, strict=False))
    if sys.byteorder == "big":
        steps_ms.byteswap()
        steps.byteswap()
    words = steps.tobytes()
    planes = b"".join(words[plane::8] for plane in range(8))
    return zlib.compress(b"".join(header) + steps_ms.tobytes() + planes, 6)


def _zigzag(step: int) -> int:
    return step << 1 if step >= 0 else (-step << 1) - 1


def unpack(data: bytes) -> dict[int, ScaledSeries]:
    """The series by signal id; raises ValueError when the bytes are not a chunk."""
    try:
        return _unpack(zlib.decompress(data))
    except (zlib.error, struct.error) as error:
        raise ValueError(f"not a chunk: {error}") from error


def _unpack(plain: bytes) -> dict[int, ScaledSeries]:
    (count,) = struct.unpack_from("<H", plain, 0)
    heads = [struct.unpack_from("<HH", plain, 2 + 4 * index) for index in range(count)]
    total = sum(length for _, length in heads)
    begin = 2 + 4 * count
    if len(plain) != begin + total * 10:
        raise ValueError(f"not a chunk: {len(plain)} bytes for {total} samples")
    planes = plain[begin + 2 * total :]
    words = bytearray(8 * total)
    for plane in range(8):
        words[plane::8] = planes[plane * total : (plane + 1) * total]
    steps_ms, steps = array("H", plain[begin : begin + 2 * total]), array("Q", bytes(words))
    if sys.byteorder == "big":
        steps_ms.byteswap()
        steps.byteswap()
    series: dict[int, ScaledSeries] = {}
    position = 0
    for signal_id, length in heads:
        times, values = [], []
        at = value = 0
        for index in range(position, position + length):
            at += steps_ms[index]
            value += (steps[index] >> 1) ^ -(steps[index] & 1)
            times.append(at)
            values.append(value)
        series[signal_id] = (times, values)
        position += length
    return series
