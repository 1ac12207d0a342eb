"""Cross-checks of the [[device]] tables."""

from collections.abc import Callable, Iterator

from cem.config.build import device_config
from cem.config.curve_file import load_curves
from cem.config.draft import Draft
from cem.config.words import did_you_mean, duplicates, fault, one_of, shown
from cem.model.envelope import SITE
from cem.model.errors import SiteFileError
from cem.model.resource import Control, Role

CONTROLS_OF: dict[Role, tuple[Control, ...]] = {
    Role.GRID: (),
    Role.PV: (Control.PV_LIMIT_W,),
    Role.BATTERY: (Control.BATTERY_SETPOINT_W, Control.BATTERY_RESERVE_PCT),
    Role.EV: (Control.EV_LIMIT_A, Control.EV_PHASES),
    Role.HEAT_PUMP: (Control.HEAT_PUMP_SG_READY, Control.LOAD_ON),
    Role.LOAD: (Control.LOAD_ON,),
    Role.CONTACTS: (),
}
"""What may be set on a resource of each role."""

RATINGS_OF: dict[Role, frozenset[str]] = {
    Role.GRID: frozenset(),
    Role.PV: frozenset({"max_generation_w"}),
    Role.BATTERY: frozenset({"max_charge_w", "max_discharge_w", "capacity_wh"}),
    Role.EV: frozenset({"max_current_a", "min_current_a", "capacity_wh"}),
    Role.HEAT_PUMP: frozenset({"max_current_a", "max_power_w"}),
    Role.LOAD: frozenset({"max_current_a", "max_power_w"}),
    Role.CONTACTS: frozenset({"max_generation_w"}),
}
"""Which ratings mean something on a resource of each role, beside phases, phase and nominal_voltage_v."""

_ALL_RATINGS = sorted(frozenset().union(*RATINGS_OF.values()))


def device_id_twice(draft: Draft) -> Iterator[str]:
    """Device ids are unique."""
    ids = ((f"device[{index}].id", device.id) for index, device in draft.devices.items())
    yield from duplicates(ids, "every device needs an id of its own")


def resource_id_twice(draft: Draft) -> Iterator[str]:
    """Resource ids are unique over all devices."""
    ids = ((f"{path}.id", resource.id) for path, _, resource in draft.resources())
    yield from duplicates(ids, "every resource of the site needs an id of its own")


def resource_id_reserved(draft: Draft) -> Iterator[str]:
    """The whole connection point has a name of its own."""
    for path, _, resource in draft.resources():
        if resource.id == SITE:
            yield fault(f"{path}.id", shown(resource.id), "this word means the whole connection point; choose another")


def unknown_driver(draft: Draft) -> Iterator[str]:
    """The driver must be installed."""
    for index, device in draft.devices.items():
        if device.driver not in draft.drivers:
            known = sorted(draft.drivers)
            yield fault(
                f"device[{index}].driver",
                f"no driver {device.driver!r} is installed",
                one_of(known),
                did_you_mean(device.driver, known),
            )


def driver_faults(draft: Draft) -> Iterator[str]:
    """What the device's own driver finds wrong, under the device's path."""
    phases = draft.connection.phases if draft.connection else 3
    for index, device in draft.devices.items():
        if (driver := draft.drivers.get(device.driver)) is not None:
            for line in driver.faults(device_config(device, draft.folder, phases)):
                yield f"device[{index}].{line.replace('resources[', 'resource[', 1)}"


def serial_twice(draft: Draft) -> Iterator[str]:
    """The serial number is the identity: the same one twice is one device entered twice."""
    serials = ((f"device[{i}].serial", d.serial) for i, d in draft.devices.items() if d.serial is not None)
    yield from duplicates(serials, "one device per serial number; put all its resources under one [[device]]")


def link_twice(draft: Draft) -> Iterator[str]:
    """Behind one address several devices are told apart by their serial numbers only."""
    first: dict[str, tuple[int, str | None]] = {}
    for index, device in draft.devices.items():
        link = ", ".join(f"{key} = {value}" for key, value in sorted(device.link.items()))
        before, serial = first.setdefault(link, (index, device.serial))
        sure = draft.sure(f"device[{index}].serial", f"device[{before}].serial")
        if sure and before != index and (serial is None or device.serial is None):
            yield fault(
                f"device[{index}].link", f"same as device[{before}].link", "give both a serial number or make them one"
            )


def control_without_serial(draft: Draft) -> Iterator[str]:
    """A device is never written before its serial number was compared."""
    for index, device in draft.devices.items():
        writes = not device.read_only and draft.sure(f"device[{index}].read_only")
        if device.serial is None and writes and any(item.controls for item in device.resource):
            yield fault(
                f"device[{index}].serial",
                "missing on a device with controls",
                "give the serial number (cem scan shows it), or set read_only = true",
            )


def control_not_of_role(draft: Draft) -> Iterator[str]:
    """A control fits the role of its resource."""
    for path, _, resource in draft.resources():
        known = CONTROLS_OF[resource.role]
        for position, control in enumerate(resource.controls):
            if control not in known:
                yield fault(f"{path}.controls[{position}]", shown(control), f"role {resource.role}: {one_of(known)}")


def rating_not_of_role(draft: Draft) -> Iterator[str]:
    """A rating fits the role of its resource."""
    for path, _, resource in draft.resources():
        known = RATINGS_OF[resource.role]
        for key in _ALL_RATINGS:
            if key in resource.model_fields_set and key not in known:
                words = one_of([*sorted(known), "phases", "phase", "nominal_voltage_v"])
                yield fault(f"{path}.{key}", f"not a rating of the role {resource.role}", words)


def charger_without_current(draft: Draft) -> Iterator[str]:
    """A steered charging point needs its largest current, which the cable and its breaker set."""
    for path, _, resource in draft.resources():
        if Control.EV_LIMIT_A in resource.controls and resource.max_current_a is None:
            yield fault(
                f"{path}.max_current_a", "missing on a charging point with ev.limit_a", "give the breaker's limit"
            )


def switched_without_power(draft: Draft) -> Iterator[str]:
    """What is switched needs to say what it draws: nothing else tells whether it fits."""
    for path, _, resource in draft.resources():
        switched = {Control.HEAT_PUMP_SG_READY, Control.LOAD_ON} & set(resource.controls)
        if switched and resource.max_power_w is None:
            yield fault(f"{path}.max_power_w", f"missing on a resource with {min(switched)}", "give what it draws")


def currents_reversed(draft: Draft) -> Iterator[str]:
    """The smallest current is not above the largest."""
    for path, _, resource in draft.resources():
        if resource.max_current_a is not None and resource.min_current_a > resource.max_current_a:
            yield fault(
                f"{path}.min_current_a",
                shown(resource.min_current_a),
                f"at most max_current_a ({resource.max_current_a:g})",
            )


def more_phases_than_connection(draft: Draft) -> Iterator[str]:
    """A device has no more phases than the house."""
    for path, _, resource in draft.resources():
        if draft.connection and resource.phases is not None and resource.phases > draft.connection.phases:
            yield fault(
                f"{path}.phases", shown(resource.phases), f"at most connection.phases ({draft.connection.phases})"
            )


def no_grid_meter(draft: Draft) -> Iterator[str]:
    """Without a meter at the connection point no limit can be kept."""
    if draft.devices and draft.devices_whole and not _meters(draft):
        yield fault("device", "no resource with role = 'grid'", "exactly one meter at the connection point is needed")


def second_grid_meter(draft: Draft) -> Iterator[str]:
    """Two meters at the connection point contradict each other."""
    meters = _meters(draft)
    for path in meters[1:]:
        yield fault(
            f"{path}.role", f"a second 'grid' beside {meters[0]}", "exactly one meter is at the connection point"
        )


def polled_too_seldom(draft: Draft) -> Iterator[str]:
    """A reading is renewed at least twice before it counts as stale."""
    if draft.connection is None:
        return
    for index, device in draft.devices.items():
        is_meter = any(resource.role is Role.GRID for resource in device.resource)
        key = "meter_stale_s" if is_meter else "device_stale_s"
        stale_s = getattr(draft.connection, key)
        if device.poll_s * 2 > stale_s and draft.sure(f"connection.{key}"):
            yield fault(
                f"device[{index}].poll_s", shown(device.poll_s), f"at most half of connection.{key} ({stale_s:g} s)"
            )


def _meters(draft: Draft) -> list[str]:
    return [path for path, _, resource in draft.resources() if resource.role is Role.GRID]


def grid_support_unusable(draft: Draft) -> Iterator[str]:
    """A file of curves is whole, and its device may be written."""
    for index, device in draft.devices.items():
        if device.grid_support is None:
            continue
        path = f"device[{index}].grid_support"
        try:
            load_curves(draft.folder / device.grid_support)
        except SiteFileError as error:
            yield from (f"{path}: {line}" for line in error.faults)
        if device.serial is None and draft.sure(f"device[{index}].serial"):
            yield fault(path, shown(device.grid_support), "needs the serial number of the device to insist on")


DEVICE_CHECKS: tuple[Callable[[Draft], Iterator[str]], ...] = (
    device_id_twice,
    resource_id_twice,
    resource_id_reserved,
    unknown_driver,
    driver_faults,
    serial_twice,
    link_twice,
    control_without_serial,
    control_not_of_role,
    rating_not_of_role,
    charger_without_current,
    switched_without_power,
    currents_reversed,
    more_phases_than_connection,
    no_grid_meter,
    second_grid_meter,
    polled_too_seldom,
    grid_support_unusable,
)
