"""From what was found to the [[device]] tables of a site file: ids, names, ratings, one grid meter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cem.commissioning.targets import address
from cem.config.device_checks import RATINGS_OF
from cem.config.schema import DeviceTable, ResourceTable
from cem.model.resource import Contact, Control, Ratings, Role
from cem.ports import Found

RESOURCE_IDS = {
    Role.GRID: "grid",
    Role.PV: "pv",
    Role.BATTERY: "battery",
    Role.EV: "car",
    Role.HEAT_PUMP: "heat_pump",
    Role.LOAD: "load",
    Role.CONTACTS: "contacts",
}
DEVICE_IDS = {
    Role.GRID: "meter",
    Role.PV: "inverter",
    Role.BATTERY: "storage",
    Role.EV: "charger",
    Role.HEAT_PUMP: "heat_pump",
    Role.LOAD: "appliance",
    Role.CONTACTS: "control_box",
}
SWITCHED = frozenset({Control.LOAD_ON, Control.HEAT_PUMP_SG_READY})
CAUTIOUS_CURRENT_A = 16.0
"""For a charging point that does not tell its own: what nearly every wallbox circuit carries."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Device tables, and what a person should know about how they came about."""

    devices: tuple[DeviceTable, ...]
    notes: tuple[str, ...]
    meter_every_s: float | None = None  # how often the meter at the connection point tells new values, where seldom


def propose(
    found: Iterable[Found],
    *,
    phases: int,
    fuse_a: float,
    grid_serial: str | None = None,
    read_only: Sequence[str] = (),
    max_power_w: Mapping[str, float] = MappingProxyType({}),
) -> Proposal:
    """Tables for what was found. `grid_serial` settles which meter is at the connection point; `read_only` are serial
    numbers or proposed device ids that must never be written; `max_power_w` tells by the same what a switched load or
    a heat pump draws: without it, it is measured and not steered."""
    notes: list[str] = []
    devices: list[DeviceTable] = []
    device_ids: set[str] = set()
    resource_ids: set[str] = set()
    once = _once(found, notes)
    meter = _grid_meter(once, grid_serial, notes)
    for item in once:
        resources = [part for part in item.resources if part[0] is not Role.GRID or item is meter]
        if not resources:
            continue
        device_id = _free(_device_id([role for role, _, _ in resources]), device_ids)
        device_ids.add(device_id)
        serial = item.identity.serial or None
        advice = item.details.get("advice")
        notes += (
            [f"{device_id}: {line}" for line in advice if isinstance(line, str)] if isinstance(advice, list) else []
        )
        locked = serial is None or serial in read_only or device_id in read_only
        if serial is None:
            notes.append(f"{device_id} at {address(item.link)} tells no serial number: it is only read, never written")
        devices.append(
            DeviceTable(
                id=device_id,
                name=_name(item),
                driver=item.driver,
                profile=item.profile,
                serial=serial,
                read_only=locked,
                link=dict(item.link),
                resource=tuple(
                    _with_power(
                        _resource(part, resource_ids, phases, fuse_a, notes, item.contacts),
                        max_power_w.get(serial or "", max_power_w.get(device_id)),
                        serial or device_id,
                        notes,
                    )
                    for part in resources
                ),
            )
        )
    return Proposal(tuple(devices), tuple(notes), None if meter is None else meter.every_s)


def _once(found: Iterable[Found], notes: list[str]) -> list[Found]:
    """Every serial number once: the same device may be seen through two addresses."""
    kept: dict[str, Found] = {}
    for index, item in enumerate(found):
        key = item.identity.serial or f"#{index}"
        if key in kept:
            notes.append(
                f"{key} answers at {address(kept[key].link)} and at {address(item.link)}: one device, the first is used"
            )
        else:
            kept[key] = item
    return list(kept.values())


def _grid_meter(found: Sequence[Found], serial: str | None, notes: list[str]) -> Found | None:
    """The device that measures the connection point: the one named, else a meter of its own, else the first."""
    meters = [item for item in found if any(role is Role.GRID for role, _, _ in item.resources)]
    meters.sort(key=lambda item: (item.identity.serial != serial, len(item.resources)))
    notes += [
        f"{_named(other)} measures too; {_named(meters[0])} is taken as the meter at the connection point, "
        "--grid SERIAL chooses another"
        for other in meters[1:]
    ]
    return meters[0] if meters else None


def _device_id(roles: Sequence[Role]) -> str:
    if Role.PV in roles and Role.BATTERY in roles:
        return "hybrid"
    return DEVICE_IDS[next((role for role in roles if role is not Role.GRID), Role.GRID)]


def _free(wanted: str, taken: set[str]) -> str:
    if wanted not in taken:
        return wanted
    return next(name for number in range(2, len(taken) + 3) if (name := f"{wanted}{number}") not in taken)


def _name(found: Found) -> str:
    words = f"{found.identity.maker} {found.identity.model}".split()
    return "".join(char for char in " ".join(words) if char.isprintable())[:200] or found.driver


def _named(found: Found) -> str:
    return f"{_name(found)} ({found.identity.serial})"


def _with_power(resource: ResourceTable, given_w: float | None, name: str, notes: list[str]) -> ResourceTable:
    """What is switched with what it draws; nothing tells whether it fits where nobody says: then it is not switched."""
    if not SWITCHED.intersection(resource.controls):
        return resource
    power_w = given_w if given_w is not None else resource.max_power_w
    if power_w is not None:
        return resource.model_copy(update={"max_power_w": power_w})
    notes.append(
        f"{resource.id}: nobody tells what it draws, so it is measured and not switched; "
        f"--max-power {name}=WATTS lets it be switched"
    )
    return resource.model_copy(update={"controls": ()})


def _resource(
    part: tuple[Role, Ratings, frozenset[Control]],
    taken: set[str],
    phases: int,
    fuse_a: float,
    notes: list[str],
    contacts: frozenset[Contact] = frozenset(),
) -> ResourceTable:
    role, ratings, controls = part
    resource_id = _free(RESOURCE_IDS[role], taken)
    taken.add(resource_id)
    values = {key: value for key in sorted(RATINGS_OF[role]) if (value := getattr(ratings, key)) is not None}
    if Control.EV_LIMIT_A in controls and "max_current_a" not in values:
        values["max_current_a"] = min(CAUTIOUS_CURRENT_A, fuse_a)
        notes.append(
            f"{resource_id} does not tell its largest current: {values['max_current_a']:g} A is taken; "
            "correct max_current_a when its breaker carries another"
        )
    if values.get("min_current_a") == Ratings().min_current_a:
        del values["min_current_a"]
    return ResourceTable(
        id=resource_id,
        role=role,
        phases=ratings.phases if ratings.phases < phases else None,
        controls=tuple(sorted(controls)),
        contacts=tuple(sorted(contacts)) if role is Role.CONTACTS else (),
        **values,
    )
