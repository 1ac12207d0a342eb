"""What a scan tells about one device of a map: its roles, ratings and controls, and every model with its values."""

from collections.abc import Mapping

from cem.driver import BadAnswer, Control, Found, NoAnswer, Ratings, Refused, Role, Value
from cem_drivers.modbus import MAX_READ
from cem_drivers.sunspec.definition import definition
from cem_drivers.sunspec.image import Image
from cem_drivers.sunspec.patient import PatientReader
from cem_drivers.sunspec.roles import (
    DC_PORTS,
    INVERTER,
    LIMIT_CONTROLS,
    METER,
    MPPT,
    STORAGE,
    STORAGE_CONTROLS,
    find_source,
    ratings,
    stores,
)
from cem_drivers.sunspec.scan import Map, Model

ROLES: dict[Role, frozenset[Control]] = {
    Role.GRID: frozenset(),
    Role.PV: frozenset({Control.PV_LIMIT_W}),
    Role.BATTERY: frozenset({Control.BATTERY_SETPOINT_W, Control.BATTERY_RESERVE_PCT}),
}
"""The roles that SunSpec models can play, with the controls that they may carry."""
OPTIONAL = frozenset({Control.BATTERY_RESERVE_PCT})
"""What a scan does not suggest: whoever wants it writes it into the site file."""
CARRIERS = {Role.PV: LIMIT_CONTROLS, Role.BATTERY: STORAGE_CONTROLS, Role.GRID: ()}

Detail = dict[str, "Detail"] | list["Detail"] | str | int | float | bool | None


async def sighted(reader: PatientReader, device: Map, link: Mapping[str, str | int | float | bool]) -> Found:
    """One device of a map. A model that can't be read is told as such, never fatal."""
    image = Image(reader.bus, everything=True, patience=reader)
    models: list[Detail] = []
    values: dict[int, dict[str, Value]] = {}
    for model in device.models:
        entry: dict[str, Detail] = {"id": model.id, "address": model.address, "length": model.length}
        models.append(entry)
        known = definition(model.id)
        if known is None:
            entry["unknown"] = True
            continue
        entry["name"] = known.name
        try:
            await image.read((model,))
        except (Refused, NoAnswer, BadAnswer) as error:
            entry["unreadable"] = str(error)
            continue
        read = image.values[model.id]
        values.setdefault(model.id, dict(read))
        entry["points"] = {name: value for name, value in read.items() if value is not None}
        if known.group:
            entry["groups"] = [
                {name: value for name, value in group.items() if value is not None}
                for group in image.modules.get(model.id, [])
            ]
        holes = image.holes(model)
        if holes:
            entry["holes"] = [[hole.address, hole.count] for hole in holes]
    resources = _resources(device, values)
    details: dict[str, Detail] = {"models": models}
    if reader.cut_at is not None:
        details["advice"] = [f"no answer at {reader.cut_at}: if its map goes on there, scan again; nothing was misread"]
    if image.max_read < MAX_READ:
        details["max_read"] = image.max_read
        link = {**link, "max_read": image.max_read}
    confidence = 1.0 if device.identity.serial else 0.7
    return Found("sunspec", None, device.identity, dict(link), resources, confidence, details)


def _resources(
    device: Map, values: Mapping[int, Mapping[str, Value]]
) -> tuple[tuple[Role, Ratings, frozenset[Control]], ...]:
    """The roles that the device plays, () where no model plays one."""
    roles: list[Role] = []
    if device.first(*METER) is not None:
        roles.append(Role.GRID)
    if device.first(*INVERTER) is not None:
        storage = device.first(*STORAGE) is not None and stores(values)
        if storage:
            roles.append(Role.BATTERY)
        if not storage or device.first(MPPT, DC_PORTS) is not None:
            roles.append(Role.PV)
    hybrid = Role.PV in roles and Role.BATTERY in roles
    resources: list[tuple[Role, Ratings, frozenset[Control]]] = []
    for role in roles:
        source = find_source([device], role, hybrid)
        assert source is not None
        carried: Model | None = device.first(*CARRIERS[role])
        resources.append(
            (role, ratings(source, values), ROLES[role] - OPTIONAL if carried is not None else frozenset())
        )
    return tuple(resources)
