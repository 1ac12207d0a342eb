"""Ticks as the replay journal keeps them: a checkpoint of all inputs and the memory, then only what changed.

Pure. A chunk is one JSON object: "memory" before its first tick, and "ticks". A tick has "at" (microseconds since 1970,
monotonic seconds, whether the wall clock was trusted), "snapshot" (new readings by resource), the other inputs that
changed, and "decided". The first tick of a chunk has everything.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any, get_type_hints

from cem.io.frozen_json import decode, encode
from cem.model.reading import Reading, Snapshot
from cem.model.setpoint import Decision
from cem.model.tick import Inputs
from cem.model.time import Instant

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_OWN = ("now", "snapshot")
Essence = dict[str, Any]
"""What of a decision is kept and compared; JSON types."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded tick. `memory` (JSON types) is what stood before it, where the chunk begins with it; else None."""

    inputs: Inputs
    decided: Essence
    memory: Any | None = None


def essence(decision: Decision) -> Essence:
    """Everything of a decision that reaches a device or a person."""
    band = decision.band
    return {
        "mode": decision.mode.value,
        "headline": decision.headline,
        "load_w": decision.load_w,
        "band": [
            band.min_w,
            band.max_w,
            band.min_by.source if band.min_by is not None else None,
            band.max_by.source if band.max_by is not None else None,
        ],
        "notes": dict(decision.notes),
        **({"meter_late_s": decision.meter_late_s} if decision.meter_late_s else {}),
        "setpoints": {
            f"{s.resource_id}/{s.control.value}": [
                s.value,
                s.lease_s,
                s.rank.value,
                s.source,
                s.reason,
                s.demanded,
            ]
            for s in decision.setpoints
        },
    }


class TickEncoder:
    """Encodes the ticks of one chunk after the other."""

    def __init__(self) -> None:
        self._inputs: Inputs | None = None
        self._decided: Essence = {}

    def chunk(self, ticks: list[tuple[Inputs, Any, Decision]]) -> dict[str, Any]:
        """A chunk of (inputs, memory before, decision); every chunk can be read alone."""
        self._inputs, self._decided = None, {}
        return {"memory": encode(ticks[0][1]), "ticks": [self._tick(inputs, decision) for inputs, _, decision in ticks]}

    def _tick(self, inputs: Inputs, decision: Decision) -> dict[str, Any]:
        before = self._inputs
        now = inputs.now
        row: dict[str, Any] = {"at": [(now.wall - _EPOCH) // _MICROSECOND, now.mono_s, now.trusted]}
        row["snapshot"] = _readings(inputs.snapshot, before.snapshot if before is not None else None)
        for name in _others():
            held = getattr(inputs, name)
            if before is None or (held is not (old := getattr(before, name)) and held != old):
                row[name] = encode(held)
        decided = essence(decision)
        row["decided"] = _changes(decided, self._decided)
        self._inputs, self._decided = inputs, decided
        return row


class TickDecoder:
    """Rebuilds the ticks of a chunk."""

    def ticks(self, chunk: Mapping[str, Any]) -> Iterator[Recorded]:
        """The ticks, oldest first; ValueError, KeyError or TypeError for what is no chunk."""
        readings: dict[str, Mapping[str, Reading]] = {}
        others: dict[str, Any] = {}
        decided: Essence = {}
        memory: Any | None = chunk["memory"]
        hints = get_type_hints(Inputs)
        for row in chunk["ticks"]:
            microseconds, mono_s, trusted = row["at"]
            _take(readings, row["snapshot"])
            others.update({name: decode(hints[name], row[name]) for name in _others() if name in row})
            decided = _changed(decided, row["decided"])
            inputs = Inputs(
                Instant(_EPOCH + microseconds * _MICROSECOND, mono_s, trusted),
                Snapshot(mono_s, MappingProxyType(dict(readings))),
                **others,
            )
            yield Recorded(inputs, decided, memory)
            memory = None


@cache
def _others() -> tuple[str, ...]:
    """The inputs that seldom change."""
    return tuple(field.name for field in fields(Inputs) if field.name not in _OWN)


def _readings(snapshot: Snapshot, before: Snapshot | None) -> dict[str, Any]:
    """Per resource [when, {point: value}, {point: [value, when]}, points without news].

    Most points of a device are read `when`; of those only the values that changed are named.
    """
    found: dict[str, Any] = {}
    for resource_id, points in snapshot.readings.items():
        old = before.readings.get(resource_id) if before is not None else None
        if points is old:
            continue
        when = max(reading.taken_at_s for reading in points.values())
        same: dict[str, Any] = {}
        apart: dict[str, Any] = {}
        untouched: list[str] = []
        for point, reading in points.items():
            known = old.get(point) if old is not None else None
            if known is reading:
                untouched.append(point)
            elif reading.taken_at_s != when:
                apart[point] = [reading.value, reading.taken_at_s]
            elif known is None or known.value != reading.value or type(known.value) is not type(reading.value):
                same[point] = reading.value
        found[resource_id] = [when, same, apart, untouched]
    return found


def _take(readings: dict[str, Mapping[str, Reading]], news: Mapping[str, Any]) -> None:
    for resource_id, (when, same, apart, untouched) in news.items():
        held = readings.get(resource_id, {})
        points: dict[str, Reading] = {}
        still = frozenset(untouched)
        for point, reading in held.items():
            if point in still:
                points[point] = reading
            elif point in apart:
                points[point] = Reading(resource_id, point, *apart[point])
            else:
                points[point] = Reading(resource_id, point, same.get(point, reading.value), when)
        points.update({p: Reading(resource_id, p, value, when) for p, value in same.items() if p not in held})
        points.update({p: Reading(resource_id, p, *pair) for p, pair in apart.items() if p not in held})
        readings[resource_id] = MappingProxyType(points)


def _changes(new: Essence, old: Essence) -> Essence:
    """What differs; set points one by one, None for one that is gone."""
    found = {key: value for key, value in new.items() if key != "setpoints" and old.get(key, ...) != value}
    points, former = new["setpoints"], old.get("setpoints", {})
    moved = {key: value for key, value in points.items() if former.get(key) != value}
    moved |= dict.fromkeys(former.keys() - points.keys())
    if moved or not old:
        found["setpoints"] = moved
    return found


def _changed(old: Essence, news: Essence) -> Essence:
    points = {**old.get("setpoints", {}), **news.get("setpoints", {})}
    return {**old, **news, "setpoints": {key: value for key, value in points.items() if value is not None}}
