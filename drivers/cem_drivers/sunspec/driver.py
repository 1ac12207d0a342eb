"""The SunSpec driver: checks a device table, builds devices, looks what answers at an address."""

import asyncio
from collections.abc import Mapping

from cem.driver import (
    BadAnswer,
    Device,
    DeviceConfig,
    DriverContext,
    Found,
    NoAnswer,
    Refused,
)
from cem_drivers.modbus import MAX_READ, bus_faults, open_bus
from cem_drivers.sunspec.device import SunSpecDevice
from cem_drivers.sunspec.patient import PatientReader
from cem_drivers.sunspec.scan import scan_with
from cem_drivers.sunspec.sight import ROLES, sighted
from cem_drivers.table import Key, number

KEYS = (
    Key("base", int, low=0, high=65533),
    Key("meter_sign", int, low=-1, high=1),
    Key("zero_limit_proven", bool),
    Key("grid_charge", bool),
    Key("max_read", int, low=2, high=MAX_READ),
)
LONGEST_S = 25.0
"""Patience for one address, whatever a device keeps silent about."""


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
        """What answers at an address: one entry per common model, whatever models follow it; [] for silence or no
        SunSpec map. Told with all that could be read."""
        bus = open_bus(link, context)
        bus.timeout_s = min(bus.timeout_s, timeout_s)
        reader = PatientReader(bus)
        found: list[Found] = []
        try:
            async with asyncio.timeout(LONGEST_S):
                base = link.get("base")
                maps = await scan_with(reader, int(number(link, "base", 0)) if base is not None else None)
                for device in maps:
                    found.append(await sighted(reader, device, {"unit": 1, **link}))  # noqa: PERF401 - kept when time runs out
        except (NoAnswer, BadAnswer, Refused, TimeoutError):
            return found  # nothing of this family, or no more of it, as far as can be seen
        finally:
            bus.close()
        return found
