"""The driver of Modbus devices with a profile: checks a device table, builds devices, looks what answers."""

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
    WrongDevice,
)
from cem_drivers.modbus import bus_faults, open_bus
from cem_drivers.profiled.catalogue import find_profile, profile_ids, shipped_profiles
from cem_drivers.profiled.device import ProfiledDevice
from cem_drivers.profiled.identity import identify
from cem_drivers.profiled.link import with_defaults
from cem_drivers.profiled.schema import Profile

SURE = 0.9
UNSURE = 0.5  # no serial number tells one such device from the next


class ProfiledDriver:
    """Satisfies cem.driver.Driver."""

    @property
    def name(self) -> str:
        """What the site file writes in `driver`."""
        return "modbus"

    def faults(self, config: DeviceConfig) -> list[str]:
        """Everything wrong with a device table, offline; each starts with its path."""
        if config.profile is None:
            known = ", ".join(sorted(profile_ids()))
            return [*bus_faults(config.link), f"profile: missing; known profiles: {known}"]
        profile, wrong = find_profile(config.profile)
        if profile is None:
            return [*bus_faults(config.link), *(f"profile: {fault}" for fault in wrong)]
        faults = bus_faults(config.link)
        kind = config.link.get("kind", "tcp")
        if kind not in profile.link.kinds and kind != "rtu-tcp":  # a converter speaks for any serial device
            faults.append(f"link.kind: {kind!r}, but {profile.id} is reached by {', '.join(profile.link.kinds)}")
        return faults + _resource_faults(config, profile)

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        """Builds the device; touches no wire. ValueError for a profile that `faults` finds fault with."""
        profile, faults = find_profile(config.profile or "")
        if profile is None:
            raise ValueError("; ".join(faults))
        return ProfiledDevice(config, profile, context)

    async def probe(
        self, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
    ) -> list[Found]:
        """Which profile's identity answers at an address; only profiles that can tell a stranger are tried."""
        found: list[Found] = []
        for profile in shipped_profiles().values():
            if not _tells_strangers(profile) or link.get("port", profile.link.port) != profile.link.port:
                continue
            try:
                one = await _probe(profile, link, context, timeout_s)
            except NoAnswer:
                return found  # nobody there: the others would wait as long
            if one is not None:
                found.append(one)
        return found


async def _probe(
    profile: Profile, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
) -> Found | None:
    full = with_defaults(link, profile)
    if profile.identify.unit is not None:
        full["unit"] = profile.identify.unit
    bus = open_bus(full, context)
    bus.timeout_s = min(bus.timeout_s, timeout_s)
    try:
        identity = await identify(bus, profile, profile.id)
    except (WrongDevice, BadAnswer, Refused):
        return None
    finally:
        bus.close()
    offered = _offered(profile)
    resources = tuple((Role(role), Ratings(), offered & _of_role(role)) for role in profile.roles)
    sure = SURE if identity.serial and profile.identify.weak is None else UNSURE
    return Found("modbus", profile.id, identity, dict(link), resources, sure)


def _tells_strangers(profile: Profile) -> bool:
    return any(row.regex is not None for row in profile.identify.points)


def _offered(profile: Profile) -> frozenset[Control]:
    if profile.status == "draft":
        return frozenset()
    return frozenset(Control(row.id) for row in profile.control)


def _of_role(role: str) -> frozenset[Control]:
    return frozenset(control for control in Control if control.value.split(".", 1)[0] == role)


def _resource_faults(config: DeviceConfig, profile: Profile) -> list[str]:
    faults: list[str] = []
    if not config.resources:
        faults.append("resources: none, so nothing would be read")
    roles = [resource.role for resource in config.resources]
    for index, resource in enumerate(config.resources):
        if resource.role not in profile.roles:
            faults.append(f"resources[{index}].role: {resource.role} is none of {', '.join(profile.roles)}")
        elif resource.role in roles[:index]:
            faults.append(f"resources[{index}].role: a second {resource.role} at one device; make it a device")
        why = "is a draft and never written" if profile.status == "draft" else "does not carry it"
        faults += [
            f"resources[{index}].controls: {control}: the profile {profile.id} {why}"
            for control in sorted(resource.controls)
            if control not in _offered(profile)
        ]
    return faults
