"""Whether readings can be true. A wrong word order, scale or register shows here before anything is written."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cem.model.reading import Value
from cem.model.resource import POINTS, Control, Resource, Role

LOWEST_V, HIGHEST_V = 180.0, 260.0  # around a nominal 230 V
NOMINAL_V = 230.0
BEYOND_RATING = 1.2
"""A device may exceed its rating for a moment; more is a wrong scale."""
BEYOND_FUSE = 1.45
"""A fuse carries this for an hour (IEC 60898-1: 1.45 times the rated current trips it)."""
SMALLEST_RATING_W = 500.0

REQUIRED: dict[Role, tuple[str, ...]] = {
    Role.GRID: ("power_w",),
    Role.PV: ("power_w",),
    Role.BATTERY: ("power_w", "soc_pct"),
    Role.EV: ("state",),
    Role.HEAT_PUMP: (),
    Role.LOAD: ("power_w",),
    Role.CONTACTS: (),
}
"""What a resource of each role must tell to be of use; contacts tell of each that is wired."""

WANTED: dict[Role, tuple[str, ...]] = {Role.EV: ("current_a",)}
"""What is waited for beyond that, because a check is better with it."""

_EV_STATES = tuple("ABCDEF")  # IEC 61851-1, annex A


@dataclass(frozen=True, slots=True)
class Range:
    """What a point may be, in its unit."""

    low: float
    high: float


def awaited(resource: Resource, values: Mapping[str, Value]) -> bool:
    """Whether something may still arrive from a device that pushes."""
    wanted = WANTED.get(resource.role, ())
    return bool(missing(resource, values)) or any(point not in values for point in wanted)


def missing(resource: Resource, values: Mapping[str, Value]) -> list[str]:
    """The required points that did not come. A PV inverter asleep tells no power: that is no fault.

    A load that is switched by us needs no meter: what it draws is in its ratings.
    """
    required = (*REQUIRED[resource.role], *sorted(contact.value for contact in resource.contacts))
    if Control.LOAD_ON in resource.controls and resource.ratings.max_power_w is not None:
        required = ()
    return [point for point in required if point not in values or _unknown(resource, point, values)]


def _unknown(resource: Resource, point: str, values: Mapping[str, Value]) -> bool:
    return values[point] is None and resource.role is not Role.PV


def faults(resource: Resource, values: Mapping[str, Value], fuse_w: float) -> list[str]:
    """Every implausible value as 'point = value unit seen, low to high allowed'."""
    return [*_range_faults(resource, values, fuse_w), *_state_faults(resource, values), *_sum_faults(resource, values)]


def counters_back(resource: Resource, before: Mapping[str, Value], after: Mapping[str, Value]) -> list[str]:
    """Registers that only ever grow and did not."""
    lines = []
    for point in ("import_wh", "export_wh", "energy_wh", "charged_wh", "discharged_wh"):
        old, new = before.get(point), after.get(point)
        if isinstance(old, int | float) and isinstance(new, int | float) and new < old:
            lines.append(f"{resource.id}.{point} ran back from {old:g} to {new:g} Wh, it may only grow")
    return lines


def _range_faults(resource: Resource, values: Mapping[str, Value], fuse_w: float) -> Iterator[str]:
    ranges = _ranges(resource, fuse_w)
    for point, value in values.items():
        if not isinstance(value, int | float) or isinstance(value, bool):
            continue
        unit = POINTS[resource.role].get(point, "")
        allowed = ranges.get(point)
        if not math.isfinite(value):
            yield f"{point} = {value} seen, a number is needed"
        elif allowed is not None and not allowed.low <= value <= allowed.high:
            yield f"{point} = {value:g} {unit} seen, {allowed.low:g} to {allowed.high:g} {unit} allowed"


def _ranges(resource: Resource, fuse_w: float) -> dict[str, Range]:
    ratings, role = resource.ratings, resource.role
    scale = ratings.nominal_voltage_v / NOMINAL_V
    voltage = Range(LOWEST_V * scale, HIGHEST_V * scale)
    counter = Range(0.0, math.inf)
    ranges = {
        "voltage_v": voltage,
        "voltage_l1_v": voltage,
        "voltage_l2_v": voltage,
        "voltage_l3_v": voltage,
        "frequency_hz": Range(45.0, 65.0),
        "soc_pct": Range(0.0, 100.0),
        "temperature_c": Range(-40.0, 100.0),
        "limit_a": Range(0.0, 1000.0),
        **dict.fromkeys(("import_wh", "export_wh", "energy_wh", "charged_wh", "discharged_wh", "session_wh"), counter),
    }
    if role is Role.GRID:
        ranges["power_w"] = Range(-BEYOND_FUSE * fuse_w, BEYOND_FUSE * fuse_w)
    elif role is Role.PV:
        most_w = _beyond(ratings.max_generation_w)
        ranges["power_w"] = Range(-most_w, max(100.0, 0.02 * most_w if math.isfinite(most_w) else 100.0))
    elif role is Role.BATTERY:
        ranges["power_w"] = Range(-_beyond(ratings.max_discharge_w), _beyond(ratings.max_charge_w))
    elif role is Role.EV and ratings.max_current_a is not None:
        most_w = _beyond(ratings.max_current_a * ratings.nominal_voltage_v * ratings.phases)
        ranges["power_w"] = Range(-most_w, most_w)
    return ranges


def _beyond(rating_w: float | None) -> float:
    return math.inf if rating_w is None else BEYOND_RATING * max(rating_w, SMALLEST_RATING_W)


def _state_faults(resource: Resource, values: Mapping[str, Value]) -> Iterator[str]:
    state = values.get("state")
    if resource.role is Role.EV and state is not None and state not in _EV_STATES:
        yield f"state = {state!r} seen, {_EV_STATES[0]} to {_EV_STATES[-1]} allowed (IEC 61851-1)"


def _sum_faults(resource: Resource, values: Mapping[str, Value]) -> Iterator[str]:
    """The phases make the whole, and no phase has more active than apparent power."""
    if resource.role is not Role.GRID:
        return
    total_w = number(values, "power_w")
    phases_w = [number(values, f"power_l{phase}_w") for phase in (1, 2, 3)]
    told_w = [power_w for power_w in phases_w if power_w is not None]
    if total_w is not None and len(told_w) == 3 and abs(sum(told_w) - total_w) > max(100, 0.1 * abs(total_w)):
        yield f"power_w = {total_w:g} W seen, but the phases make {sum(told_w):g} W"
    for phase, power_w in zip((1, 2, 3), phases_w, strict=True):
        volt, ampere = number(values, f"voltage_l{phase}_v"), number(values, f"current_l{phase}_a")
        if power_w is None or volt is None or ampere is None:
            continue
        apparent_va = abs(volt * ampere)
        if abs(power_w) > 1.1 * apparent_va + 50:
            yield f"power_l{phase}_w = {power_w:g} W seen, but {volt:g} V and {ampere:g} A make {apparent_va:g} VA"


def number(values: Mapping[str, Value], point: str) -> float | None:
    """A point's value if it is a number."""
    value = values.get(point)
    return float(value) if isinstance(value, int | float) else None
