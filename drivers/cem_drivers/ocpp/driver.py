"""The OCPP driver: checks a device table, builds devices from profiles, waits for who calls in."""

from collections.abc import Mapping

from cem.driver import Control, Device, DeviceConfig, DriverContext, Found, Role
from cem_drivers.ocpp.link import KEYS, link_faults
from cem_drivers.ocpp.profile import GENERIC, Profile, find_profile
from cem_drivers.table import table_faults, text


class OcppDriver:
    """Satisfies cem.driver.Driver."""

    @property
    def name(self) -> str:
        """What the site file writes in `driver`."""
        return "ocpp"

    def faults(self, config: DeviceConfig) -> list[str]:
        """Everything wrong with a device table, offline; each starts with its path."""
        faults = table_faults(config.link, KEYS)
        if config.link.get("kind", "ocpp") == "ocpp":
            faults += link_faults(config.link)
        if config.resources and not text(config.link, "identity", config.serial or ""):
            faults.append("link.identity: missing; the name under which the charger calls, the end of its address")
        profile, wrong = find_profile(config.profile or GENERIC)
        faults += [f"profile: {fault}" for fault in wrong]
        if not config.resources:
            return [*faults, "resources: none, so nothing would be read"]
        if profile is not None:
            faults += _resource_faults(config, profile)
        return faults

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        """Builds the device; touches no wire. ValueError for a profile that `faults` finds fault with.

        Only here the ocpp package is imported: it takes a third of a second, which most commands need not wait.
        """
        from cem_drivers.ocpp.device import OcppDevice

        profile, faults = find_profile(config.profile or GENERIC)
        if profile is None:
            raise ValueError("; ".join(faults))
        return OcppDevice(config, profile, context)

    async def probe(
        self, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
    ) -> list[Found]:
        """Everybody who calls in at this place, asked who it is and what it can; nobody is written.

        Raises NoAnswer where it is not possible to listen there.
        """
        from cem_drivers.ocpp.probe import who_calls

        return await who_calls(link, context, timeout_s)


def _resource_faults(config: DeviceConfig, profile: Profile) -> list[str]:
    faults: list[str] = []
    for index, resource in enumerate(config.resources):
        if resource.role is not Role.EV:
            faults.append(f"resources[{index}].role: {resource.role} is none of {', '.join(profile.roles)}")
        for control in sorted(resource.controls):
            if control not in {Control.EV_LIMIT_A, Control.EV_PHASES}:
                faults.append(f"resources[{index}].controls: {profile.id} has no {control}")
            elif profile.status == "draft":
                faults.append(f"resources[{index}].controls: {control}: the profile {profile.id} is a draft: only read")
    return faults
