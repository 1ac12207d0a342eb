"""The driver of Modbus devices with a profile: checks a device table, builds devices, looks what answers."""

from collections.abc import Mapping
from dataclasses import replace

from cem.driver import (
    BadAnswer,
    Control,
    Device,
    DeviceConfig,
    DriverContext,
    Found,
    Json,
    NoAnswer,
    Ratings,
    Refused,
    Role,
    WrongDevice,
)
from cem_drivers.modbus import Bus, bus_faults, open_bus
from cem_drivers.profiled.catalogue import find_profile, profile_ids, shipped_profiles
from cem_drivers.profiled.device import ProfiledDevice
from cem_drivers.profiled.identity import identify, recognise
from cem_drivers.profiled.link import kinds_of, with_defaults
from cem_drivers.profiled.reader import Reader
from cem_drivers.profiled.schema import Profile
from cem_drivers.profiled.values import Known
from cem_drivers.table import LinkTable

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
        if kind not in kinds_of(profile) and kind != "rtu-tcp":  # a converter speaks for any serial device
            faults.append(f"link.kind: {kind!r}, but {profile.id} is reached by {', '.join(kinds_of(profile))}")
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
        """Which profile's identity answers at an address; only profiles that can tell a stranger are tried, or the one
        that a person has named in `profile`. Raises NoAnswer, WrongDevice, BadAnswer, Refused for that one."""
        named = link.get("profile")
        if named is not None:
            return [await self._named(str(named), link, context, timeout_s)]
        found: list[Found] = []
        silent: set[object] = set()  # units at which nobody answers: the others there would wait as long
        for profile in shipped_profiles().values():
            if not profile.identify.tells_strangers or not _may_be_at(profile, link):
                continue
            unit = profile.identify.unit or link.get("unit", profile.link.unit)
            if unit in silent:
                continue
            try:
                one = await _probe(profile, link, context, timeout_s, named=False)
            except NoAnswer:
                silent.add(unit)
                if unit == link.get("unit"):
                    return found  # nobody there
                continue
            except (WrongDevice, BadAnswer, Refused):
                continue
            found.append(one)
        return found

    def unrecognised(self, link: LinkTable) -> list[str]:
        """The profiles of devices that may answer at such a link, and that nothing tells from others."""
        kind, unit = link.get("kind", "tcp"), link.get("unit")
        return [
            profile.id
            for profile in shipped_profiles().values()
            if not profile.identify.tells_strangers
            and kind in kinds_of(profile)
            and _may_be_at(profile, link)
            and unit in {None, profile.link.unit}
        ]

    @staticmethod
    async def _named(name: str, link: LinkTable, context: DriverContext, timeout_s: float) -> Found:
        profile, faults = find_profile(name)
        if profile is None:
            raise WrongDevice("; ".join(faults))
        bare = {key: value for key, value in link.items() if key != "profile"}
        return replace(await _probe(profile, bare, context, timeout_s), profile=name, confidence=SURE)


def _may_be_at(profile: Profile, link: LinkTable) -> bool:
    """Whether a profile's device may be at this port: its own, or one that is no maker's, as behind a converter."""
    port = link.get("port", profile.link.port)
    return port == profile.link.port or all(port != other.link.port for other in shipped_profiles().values())


async def _probe(
    profile: Profile, link: LinkTable, context: DriverContext, timeout_s: float, *, named: bool = True
) -> Found:
    full = with_defaults(link, profile)
    if profile.identify.unit is not None:
        full["unit"] = profile.identify.unit
    bus = open_bus(full, context)
    bus.timeout_s = min(bus.timeout_s, timeout_s)
    try:
        if not named:
            await recognise(bus, profile)
        identity = await identify(bus, profile, profile.id)
        known = {} if profile.identify.unit is not None else await _told(profile, bus, context)
    finally:
        bus.close()
    if profile.identify.unit is not None:
        known = await _told_at(profile, link, context, timeout_s)
    offered = _offered(profile)
    resources = tuple((Role(role), _ratings(profile, role, known), offered & _of_role(role)) for role in profile.roles)
    sure = SURE if identity.serial and profile.identify.weak is None else UNSURE
    names = [*(row.id for row in profile.point), *(row.id for row in profile.derive)]
    values: dict[str, Json] = {name: known[name].value for name in names if name in known}
    at = {"unit": profile.link.unit, **link}
    return Found("modbus", profile.id, identity, at, resources, sure, {"values": values})


async def _told_at(profile: Profile, link: LinkTable, context: DriverContext, timeout_s: float) -> Mapping[str, Known]:
    """What is told at the unit of the link, where another one tells who it is."""
    bus = open_bus(with_defaults(link, profile), context)
    bus.timeout_s = min(bus.timeout_s, timeout_s)
    try:
        return await _told(profile, bus, context)
    finally:
        bus.close()


async def _told(profile: Profile, bus: Bus, context: DriverContext) -> Mapping[str, Known]:
    """All values once; none where the device gives none, for whoever it is has been told already."""
    reader = Reader(profile, bus, context.monotonic, profile.id)
    try:
        await reader.read_all()
    except (NoAnswer, BadAnswer, Refused):
        return {}
    return reader.known


def _ratings(profile: Profile, role: str, known: Mapping[str, Known]) -> Ratings:
    """What a device tells of its own size, for good: what it can take at the moment is none of it."""

    def told(name: object) -> float | None:
        value = known[name].value if isinstance(name, str) and name in known else name
        return float(value) if isinstance(value, float | int) and value > 0 else None

    if role == "pv":
        return Ratings(max_generation_w=told("pv.rating_w"))
    if role == "battery":
        return Ratings(capacity_wh=told("battery.capacity_wh"))
    limit = next((row.limits.max for row in profile.control if row.id == "ev.limit_a"), None)
    largest = limit[1:] if isinstance(limit, str) else None  # a plain number is the format's, not this charger's
    return Ratings(max_current_a=told(largest)) if role == "ev" else Ratings()


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
