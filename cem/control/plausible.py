"""Readings that cannot be true: dropped before anything is decided on them (a stuck value, a spike, not a number)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cem.control.memory import Seen
from cem.control.tuning import FROZEN_AFTER_S, FROZEN_SHARE, FROZEN_WH, IMPLAUSIBLE_FUSES, IMPLAUSIBLE_RATINGS
from cem.model.reading import Reading, Snapshot
from cem.model.resource import Resource, Role
from cem.model.site import Site

COUNTERS: Mapping[Role, tuple[str | None, str | None]] = MappingProxyType(
    {
        Role.GRID: ("import_wh", "export_wh"),
        Role.PV: (None, "energy_wh"),
        Role.BATTERY: ("charged_wh", "discharged_wh"),
        Role.EV: (None, None),  # a session's energy starts anew with each car
        Role.HEAT_PUMP: ("energy_wh", None),
        Role.LOAD: ("energy_wh", None),
    }
)
"""Which registers count the energy (into, out of) a terminal."""


@dataclass(frozen=True, slots=True)
class Screened:
    """The snapshot without what cannot be true; `notes` says per resource what was dropped."""

    snapshot: Snapshot
    seen: Mapping[str, Seen]
    notes: Mapping[str, str]
    dropped: int


def screen(site: Site, snapshot: Snapshot, before: Mapping[str, Seen]) -> Screened:
    """Drops what is no finite number, above 1.5 x the rating or 3 x the fuse, and powers that are stuck.

    In place of a dropped power the last believable one stands, with its own age, so that one bad sample changes nothing
    and a lasting one ends as stale. A stuck power is taken as unknown at once.
    """
    seen: dict[str, Seen] = {}
    changed: dict[str, dict[str, Reading]] = {}
    notes: dict[str, str] = {}
    dropped = 0
    for resource in site.resources:
        points = snapshot.readings.get(resource.id)
        if not points:
            if resource.id in before:
                seen[resource.id] = before[resource.id]
            continue
        bad = [p for p, r in points.items() if isinstance(r.value, float) and not math.isfinite(r.value)]
        replaced = {p: Reading(resource.id, p, None, points[p].taken_at_s) for p in bad}
        power = None if "power_w" in replaced else _number(points.get("power_w"))
        last = before.get(resource.id)
        if power is not None and abs(power) > (most := most_believed_w(site, resource)):
            notes[resource.id] = f"{power:.0f} W is dropped: more than {most:.0f} W cannot be"
            replaced["power_w"] = _last(resource, points["power_w"], last)
            power = None
            dropped += 1
        dropped += len(bad)
        if power is None:
            if last is not None:
                seen[resource.id] = last
        else:
            now = _follow(resource, points, power, last)
            seen[resource.id] = now
            if _stuck(resource, points, now):
                notes[resource.id] = f"stuck at {power:.0f} W while its energy register moves: taken as silent"
                replaced["power_w"] = Reading(resource.id, "power_w", None, points["power_w"].taken_at_s)
        if replaced:
            changed[resource.id] = {**points, **replaced}
    if changed:
        snapshot = Snapshot(snapshot.mono_s, MappingProxyType({**snapshot.readings, **changed}))
    return Screened(snapshot, MappingProxyType(seen), notes, dropped)


def most_believed_w(site: Site, resource: Resource) -> float:
    """The magnitude of power above which a reading of the resource is an error, not a fact."""
    ratings, fuses_w = resource.ratings, IMPLAUSIBLE_FUSES * site.connection.fuse_w
    rated: float | None = None
    if resource.role is Role.PV:
        rated = ratings.max_generation_w
    elif resource.role is Role.BATTERY:
        rated = max(ratings.max_charge_w or 0.0, ratings.max_discharge_w or 0.0) or None
    elif resource.role is Role.EV and ratings.max_current_a is not None:
        rated = ratings.max_current_a * ratings.phases * ratings.nominal_voltage_v
    elif resource.role in {Role.HEAT_PUMP, Role.LOAD}:
        rated = ratings.max_power_w
    return fuses_w if rated is None else min(fuses_w, IMPLAUSIBLE_RATINGS * rated)


def _number(reading: Reading | None) -> float | None:
    return float(reading.value) if reading is not None and isinstance(reading.value, int | float) else None


def _last(resource: Resource, reading: Reading, last: Seen | None) -> Reading:
    if last is None:
        return Reading(resource.id, "power_w", None, reading.taken_at_s)
    return Reading(resource.id, "power_w", last.value, last.taken_at_s)


def _counter(resource: Resource, points: Mapping[str, Reading]) -> float | None:
    """Energy into the terminal, Wh; None where the device does not count it."""
    into, out = COUNTERS[resource.role]
    if into is None and out is None:
        return None
    into_wh = _number(points.get(into)) if into is not None else 0.0
    out_wh = _number(points.get(out)) if out is not None else 0.0
    return None if into_wh is None or out_wh is None else into_wh - out_wh


def _follow(resource: Resource, points: Mapping[str, Reading], power: float, last: Seen | None) -> Seen:
    taken_at_s = points["power_w"].taken_at_s
    if last is not None and power == last.value:
        return Seen(power, taken_at_s, last.same_since_s, last.counter_wh)
    return Seen(power, taken_at_s, taken_at_s, _counter(resource, points))


def _stuck(resource: Resource, points: Mapping[str, Reading], seen: Seen) -> bool:
    same_s = seen.taken_at_s - seen.same_since_s
    if same_s < FROZEN_AFTER_S or seen.counter_wh is None:
        return False
    counter = _counter(resource, points)
    if counter is None:
        return False
    told_wh = seen.value * same_s / 3600.0
    return abs(counter - seen.counter_wh - told_wh) > max(FROZEN_WH, FROZEN_SHARE * abs(told_wh))
