"""Readings that cannot be true: dropped before anything is decided on them (a stuck value, a spike, not a number)."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from cem.control.consistent import contradiction
from cem.control.memory import Dropped, Seen
from cem.control.tuning import (
    FROZEN_AFTER_S,
    FROZEN_SEEN_S,
    FROZEN_SHARE,
    FROZEN_WH,
    FUSE_CARRIES,
    IMPLAUSIBLE_FUSES,
    IMPLAUSIBLE_RATINGS,
)
from cem.model.reading import NUMBERS, Reading, Snapshot
from cem.model.resource import Resource, Role
from cem.model.site import Site
from cem.model.values import replace, value

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


@value(frozen=True, slots=True)
class Screened:
    """The snapshot without what cannot be true; `notes` says per resource what is not believed now."""

    snapshot: Snapshot
    seen: Mapping[str, Seen]
    notes: Mapping[str, str]
    dropped: Mapping[str, Dropped]  # that are new in this snapshot


METER_POINTS = frozenset(
    f"{quantity}_l{phase}_{unit}" for quantity, unit in (("power", "w"), ("current", "a"), ("voltage", "v"))
    for phase in (1, 2, 3)
) | {"power_w", "frequency_hz"}  # fmt: skip
"""What of the meter stands or falls together, being read together."""


_NO_POINTS: Mapping[str, Reading] = MappingProxyType({})


def screen(site: Site, snapshot: Snapshot, before: Mapping[str, Seen]) -> Screened:
    """Drops what is no finite number, above 1.5 x the rating or 3 x the fuse, contradicts itself, or is stuck.

    In place of a dropped power the last believable one stands, with its own age, so that one bad sample changes nothing
    and a lasting one ends as stale; of the meter, its whole last sample stands. More than a fuse carries for long is
    believed when it comes twice. A stuck power is taken as unknown at once.
    """
    seen: dict[str, Seen] = {}
    changed: dict[str, Mapping[str, Reading]] = {}
    notes: dict[str, str] = {}
    dropped: dict[str, Dropped] = {}
    most_w = site.once(most_believed)
    for resource in site.resources:
        key = resource.id
        points, last = snapshot.readings.get(key), before.get(key)
        if not points:
            if last is not None:
                seen[key] = last
            continue
        bad = _not_finite(points)
        replaced = {p: Reading(key, p, None, points[p].taken_at_s) for p in bad} if bad else {}
        power = None if "power_w" in replaced else _number(points.get("power_w"))
        why = ""
        if power is not None and (resource.role is Role.GRID or abs(power) > most_w[key]):
            why = _unbelievable(site, resource, points, power, last, most_w[key])
        if bad or why:
            dropped |= _dropped(resource, points, last, bad, why, snapshot.mono_s)
        now = last
        if power is not None and why:
            notes[key] = why
            replaced |= _before(resource, points, last)
            now = None if last is None else replace(last, doubted_at_s=points["power_w"].taken_at_s, doubted_w=power)
        elif power is not None:
            now = _follow(resource, points, power, last)
            if _stuck(resource, points, now):
                notes[key] = f"stuck at {power:.0f} W while its energy register moves: taken as silent"
                replaced["power_w"] = Reading(key, "power_w", None, now.taken_at_s)
        if now is not None:
            seen[key] = now
        if replaced:
            changed[key] = {**points, **replaced}
    if changed:
        snapshot = Snapshot(snapshot.mono_s, MappingProxyType({**snapshot.readings, **changed}))
    return Screened(snapshot, MappingProxyType(seen), notes, dropped)


def _not_finite(points: Mapping[str, Reading]) -> list[str]:
    """The points whose value is no finite number: of such a one the difference to itself is none."""
    found = []
    for reading in points.values():
        held = reading.value
        if isinstance(held, float) and held - held != 0.0:
            found.append(reading.point)
    return found


def _dropped(
    resource: Resource, points: Mapping[str, Reading], last: Seen | None, bad: Sequence[str], why: str, now_s: float
) -> dict[str, Dropped]:
    """What is dropped of a resource in this snapshot: numbers that are none, and a sample that was not doubted yet."""
    doubted = why and (last is None or last.doubted_at_s != points["power_w"].taken_at_s)
    count = len(bad) + bool(doubted)
    return {resource.id: Dropped(count, now_s, why or f"{bad[-1]} is no number")} if count else {}


def counted(before: Mapping[str, Dropped], new: Mapping[str, Dropped]) -> Mapping[str, Dropped]:
    """What was dropped in all, with what is new."""
    if not new:
        return before
    more = {key: replace(d, count=d.count + (before[key].count if key in before else 0)) for key, d in new.items()}
    return MappingProxyType({**before, **more})


def _unbelievable(
    site: Site, resource: Resource, points: Mapping[str, Reading], power_w: float, last: Seen | None, most: float
) -> str:
    """Why a power is not believed, in words; '' when it is."""
    if abs(power_w) > most:
        return f"{power_w:.0f} W is dropped: more than {most:.0f} W cannot be"
    if resource.role is not Role.GRID:
        return ""
    against = contradiction(points, site.connection.nominal_voltage_v)
    if against:
        return f"a sample is dropped that contradicts itself: {against}"
    if last is None or abs(power_w) <= FUSE_CARRIES * site.connection.fuse_w:
        return ""
    again = last.doubted_at_s < points["power_w"].taken_at_s and abs(last.doubted_w - power_w) <= 0.2 * abs(power_w)
    believed = again or abs(last.value) > FUSE_CARRIES * site.connection.fuse_w
    return "" if believed else f"{power_w:.0f} W is more than the fuse carries for long: believed when it comes twice"


def most_believed(site: Site) -> Mapping[str, float]:
    """`most_believed_w` of every resource by its id."""
    return {resource.id: most_believed_w(site, resource) for resource in site.resources}


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
    return float(reading.value) if reading is not None and isinstance(reading.value, NUMBERS) else None


def _before(resource: Resource, points: Mapping[str, Reading], last: Seen | None) -> dict[str, Reading]:
    """What stands in place of a sample that is not believed."""
    at_s = points["power_w"].taken_at_s
    if resource.role is not Role.GRID:
        kept = Reading(resource.id, "power_w", *((None, at_s) if last is None else (last.value, last.taken_at_s)))
        return {"power_w": kept}
    stands = {} if last is None else last.points
    together = [point for point in points if point in METER_POINTS]
    return {point: stands.get(point) or Reading(resource.id, point, None, at_s) for point in together}


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
    kept = points if resource.role is Role.GRID else _NO_POINTS
    if last is not None and power == last.value and taken_at_s - last.taken_at_s <= FROZEN_SEEN_S:
        return Seen(power, taken_at_s, last.same_since_s, last.counter_wh, kept)
    return Seen(power, taken_at_s, taken_at_s, _counter(resource, points), kept)


def _stuck(resource: Resource, points: Mapping[str, Reading], seen: Seen) -> bool:
    """Whether the energy register tells of another power than the one that has been the same for long."""
    same_s = seen.taken_at_s - seen.same_since_s
    if same_s < FROZEN_AFTER_S or seen.counter_wh is None:
        return False
    counter = _counter(resource, points)
    if counter is None:
        return False
    told_wh = seen.value * same_s / 3600.0
    return abs(counter - seen.counter_wh - told_wh) > max(FROZEN_WH, FROZEN_SHARE * abs(told_wh))
