"""Device tables of the site file for driver tests."""

from collections.abc import Mapping

from cem.driver import Control, DeviceConfig, Resource, Role

Link = Mapping[str, str | int | float | bool]

CONTROL_OF: dict[Role, frozenset[Control]] = {
    Role.PV: frozenset({Control.PV_LIMIT_W}),
    Role.BATTERY: frozenset({Control.BATTERY_SETPOINT_W}),
    Role.EV: frozenset({Control.EV_LIMIT_A}),
    Role.GRID: frozenset(),
    Role.LOAD: frozenset({Control.LOAD_ON}),
    Role.HEAT_PUMP: frozenset({Control.HEAT_PUMP_SG_READY}),
}


def resource(role: Role, device_id: str = "dev") -> Resource:
    """A resource named like its role, with every control of the role."""
    return Resource(role.value, role, device_id, role.value, controls=CONTROL_OF[role])


def sunspec_config(link: Link, *roles: Role, serial: str | None = "SN-1", read_only: bool = False) -> DeviceConfig:
    """A SunSpec device."""
    resources = tuple(resource(role) for role in roles)
    return DeviceConfig("dev", "Device", "sunspec", link, resources, serial=serial, read_only=read_only)


def charger_config(link: Link, serial: str | None = "012345", read_only: bool = False) -> DeviceConfig:
    """A go-e charger."""
    return mqtt_config(link, Role.EV, "go-e.v2", serial, read_only)


def serial_config(link: Link, role: Role, profile: str, serial: str | None = None) -> DeviceConfig:
    """A meter that speaks by itself."""
    measured = Resource(role.value, role, "dev", role.value)
    return DeviceConfig("dev", "Device", "serial", link, (measured,), profile=profile, serial=serial)


def mqtt_config(link: Link, role: Role, profile: str, serial: str | None, read_only: bool = False) -> DeviceConfig:
    """A device behind a broker, by its profile."""
    resources = (resource(role),)
    return DeviceConfig("dev", "Device", "mqtt", link, resources, profile=profile, serial=serial, read_only=read_only)
