"""The SunSpec driver: checks a device table, builds devices, looks what answers at an address."""

from collections.abc import Mapping

from cem.driver import (
    BadAnswer,
    Control,
    Device,
    DeviceConfig,
    DriverContext,
    Found,
    NoAnswer,
    Ratings,
    Refused,
    Role,
)
from cem_drivers.modbus import Bus, bus_faults, open_bus
from cem_drivers.sunspec.device import SunSpecDevice
from cem_drivers.sunspec.image import Image
from cem_drivers.sunspec.roles import (
    INVERTER,
    LIMIT_CONTROL,
    METER,
    MPPT,
    STORAGE,
    STORAGE_CONTROL,
    find_source,
    ratings,
)
from cem_drivers.sunspec.scan import Map, scan
from cem_drivers.table import Key, number

KEYS = (
    Key("base", int, low=0, high=65533),
    Key("meter_sign", int, low=-1, high=1),
    Key("zero_limit_proven", bool),
)
ROLES: dict[Role, frozenset[Control]] = {
    Role.GRID: frozenset(),
    Role.PV: frozenset({Control.PV_LIMIT_W}),
    Role.BATTERY: frozenset({Control.BATTERY_SETPOINT_W}),
}
"""The roles that SunSpec models can play, with the controls that they may carry."""


class SunSpecDriver:
    """Satisfies cem.driver.Driver."""

    @property
    def name(self) -> str:
        """What the site file writes in `driver`."""
        return "sunspec"

    def faults(self, config: DeviceConfig) -> list[str]:
        """Everything wrong with a device table, offline; each starts with its path."""
        faults = bus_faults(config.link, KEYS)
        if config.link.get("meter_sign") == 0:
            faults.append("link.meter_sign: 0 is not one of 1, -1")
        if config.profile is not None:
            faults.append(f"profile: {config.profile!r}, but a SunSpec device describes itself; leave it out")
        if not config.resources:
            faults.append("resources: none, so nothing would be read")
        roles = [resource.role for resource in config.resources]
        for index, resource in enumerate(config.resources):
            if resource.role not in ROLES:
                faults.append(f"resources[{index}].role: {resource.role} is none of {', '.join(ROLES)}")
                continue
            if resource.role in roles[:index]:
                faults.append(f"resources[{index}].role: a second {resource.role} at one device; make it a device")
            faults += [
                f"resources[{index}].controls: {control} is no control of a SunSpec {resource.role}"
                for control in sorted(resource.controls - ROLES[resource.role])
            ]
        return faults

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        """Builds the device; touches no wire."""
        return SunSpecDevice(config, context)

    async def probe(
        self, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
    ) -> list[Found]:
        """What answers at an address: one entry per common model with a role; [] for silence or no SunSpec map."""
        bus = open_bus(link, context)
        bus.timeout_s = min(bus.timeout_s, timeout_s)
        try:
            base = link.get("base")
            maps = await scan(bus, int(number(link, "base", 0)) if base is not None else None)
            return [found for device in maps if (found := await _found(bus, device, link)) is not None]
        except (NoAnswer, BadAnswer, Refused):
            return []  # nothing of this family, as far as can be seen
        finally:
            bus.close()


async def _found(bus: Bus, device: Map, link: Mapping[str, str | int | float | bool]) -> Found | None:
    """One device of a map, None where no model plays a role."""
    roles: list[Role] = []
    if device.first(*METER) is not None:
        roles.append(Role.GRID)
    if device.first(*INVERTER) is not None:
        storage = device.first(*STORAGE) is not None
        if storage:
            roles.append(Role.BATTERY)
        if not storage or device.first(MPPT) is not None:
            roles.append(Role.PV)
    if not roles:
        return None
    hybrid = Role.PV in roles and Role.BATTERY in roles
    resources: list[tuple[Role, Ratings, frozenset[Control]]] = []
    image = Image(bus)
    for role in roles:
        source = find_source([device], role, hybrid)
        assert source is not None
        await image.read(source.models)
        carried = {Role.PV: LIMIT_CONTROL, Role.BATTERY: STORAGE_CONTROL}.get(role, 0)
        controls = ROLES[role] if device.first(carried) is not None else frozenset()
        resources.append((role, ratings(source, image.values), controls))
    return Found("sunspec", None, device.identity, dict(link), tuple(resources), 1.0 if device.identity.serial else 0.7)
