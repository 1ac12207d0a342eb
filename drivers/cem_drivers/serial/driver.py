"""The driver of meters that speak by themselves: checks a device table, builds devices, listens what is there."""

from collections.abc import Mapping

from cem.driver import Device, DeviceConfig, DriverContext, Found
from cem_drivers.serial.device import SerialMeter
from cem_drivers.serial.lines import SERIAL, SERIAL_TCP, kind_of
from cem_drivers.serial.probe import probe_line
from cem_drivers.serial.profile import KINDS, Profile, find_profile, shipped_profiles
from cem_drivers.table import Key, LinkTable, table_faults

KEYS: Mapping[str, tuple[Key, ...]] = {
    SERIAL: (
        Key("kind", str, choices=KINDS),
        Key("device", str, required=True),
        Key("baud", int, low=300, high=921_600),
        Key("meter_sign", int, low=-1, high=1),
    ),
    SERIAL_TCP: (
        Key("kind", str, choices=KINDS),
        Key("host", str, required=True),
        Key("port", int, required=True, low=1, high=65535),
        Key("meter_sign", int, low=-1, high=1),
    ),
}


class SerialDriver:
    """Satisfies cem.driver.Driver."""

    @property
    def name(self) -> str:
        """What the site file writes in `driver`."""
        return "serial"

    def faults(self, config: DeviceConfig) -> list[str]:
        """Everything wrong with a device table, offline; each starts with its path."""
        faults = _link_faults(config.link)
        if config.profile is None:
            return [*faults, f"profile: missing; known profiles: {', '.join(sorted(shipped_profiles()))}"]
        profile, wrong = find_profile(config.profile)
        faults += [f"profile: {fault}" for fault in wrong]
        return faults if profile is None else faults + _resource_faults(config, profile)

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        """Builds the device; touches no wire. ValueError for a profile that `faults` finds fault with."""
        profile, faults = find_profile(config.profile or "")
        if profile is None:
            raise ValueError("; ".join(faults))
        return SerialMeter(config, profile, context)

    async def probe(
        self, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
    ) -> list[Found]:
        """The meter that speaks on a line; 12 s a baud rate, as such a meter answers nobody. [] for silence."""
        return await probe_line(link, context)


def _link_faults(link: LinkTable) -> list[str]:
    kind = kind_of(link)
    faults = table_faults(link, KEYS.get(kind, KEYS[SERIAL]))
    if link.get("meter_sign", 1) == 0:
        faults.append("link.meter_sign: 0; 1, or -1 for a meter that counts the other way round")
    return faults


def _resource_faults(config: DeviceConfig, profile: Profile) -> list[str]:
    faults = [] if config.resources else ["resources: none, so nothing would be read"]
    for index, resource in enumerate(config.resources):
        if resource.role not in profile.roles:
            faults.append(f"resources[{index}].role: {resource.role} is none of {', '.join(profile.roles)}")
        elif index:
            faults.append(f"resources[{index}].role: a second resource at one meter; it measures one place")
        faults += [
            f"resources[{index}].controls: {profile.id} has no {control}" for control in sorted(resource.controls)
        ]
    return faults
