"""Finds devices: every driver looks at every address."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from cem.commissioning.knock import knock
from cem.commissioning.targets import MODBUS_KINDS, Link, LinkKind, address
from cem.model.errors import DeviceError
from cem.ports import DeviceConfig, Driver, DriverContext, Found, KnowsOfStrangers

PROBE_TIMEOUT_S = 2.0
"""Patience for one answer while probing."""
LONGEST_PROBE_S = 30.0
"""Patience for one driver at one address."""
NOBODY_CALLS = (
    "no charger called in. In the charger, set this machine's address as the OCPP central system (ws://HOST:PORT/), "
    "and a name for it; it tries again within a minute or after a restart"
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen at one address: devices, or what came instead. `instead` says in words what is there if none."""

    link: Link
    found: tuple[Found, ...]
    trouble: tuple[str, ...] = ()
    instead: str = ""
    reached: bool = True

    @property
    def address(self) -> str:
        """The address in words."""
        return address(self.link)


async def discover(
    links: Iterable[Link],
    drivers: Mapping[str, Driver],
    context: DriverContext,
    on_sighting: Callable[[Sighting], None] = lambda _sighting: None,
    timeout_s: float = PROBE_TIMEOUT_S,
) -> list[Sighting]:
    """One sighting per link, in the links' order; links of another kind are left out where something was found already.

    Different hosts and ports are looked at at the same time, links behind the same one after the other: many devices
    take a single client. Where nobody takes a connection, the other links there are not tried: they are told the same.
    """
    ordered = list(links)
    groups: dict[tuple[object, ...], list[int]] = {}
    for index, link in enumerate(ordered):
        place = link.get("host", link.get("listen"))
        groups.setdefault((place, link.get("port"), link.get("device")), []).append(index)
    sightings: dict[int, Sighting] = {}

    async def look(indices: list[int]) -> None:
        """One address after another of the same host and port; those after an unreached one are not tried again."""
        kind_found: object = None
        unreached: Sighting | None = None
        for index in indices:
            if kind_found not in {None, ordered[index].get("kind")}:
                continue
            if unreached is None:
                sightings[index] = await _look_at(ordered[index], drivers, context, timeout_s)
            else:
                sightings[index] = replace(unreached, link=ordered[index])
            if not sightings[index].reached:
                unreached = sightings[index]
            on_sighting(sightings[index])
            if sightings[index].found:
                kind_found = ordered[index].get("kind")

    async with asyncio.TaskGroup() as group:
        for indices in groups.values():
            group.create_task(look(indices))
    return [sightings[index] for index in sorted(sightings)]


async def _look_at(link: Link, drivers: Mapping[str, Driver], context: DriverContext, timeout_s: float) -> Sighting:
    best: dict[str, Found] = {}
    every: list[tuple[str, Found]] = []
    trouble = _unknown_profile(drivers, link)
    for name, driver in drivers.items():
        if not _speaks(driver, link):
            continue
        try:
            async with asyncio.timeout(LONGEST_PROBE_S):
                candidates = await driver.probe(link, context, timeout_s)
        except TimeoutError:
            trouble.append(f"{name}: gave up after {LONGEST_PROBE_S:g} s")
        except (DeviceError, OSError) as error:
            trouble.append(f"{name}: {error}")
        else:
            for index, found in enumerate(candidates):
                serial = found.identity.serial or f"{name} {index}"  # devices without a number are not all the same
                every.append((serial, found))
                if serial not in best or found.confidence > best[serial].confidence:
                    best[serial] = found
    trouble += [line for serial, found in every for line in _besides(best[serial], found)]
    if link.get("kind") == LinkKind.GPIO:  # nothing stands behind a pin that could be knocked at
        return Sighting(link, tuple(best.values()), tuple(trouble))
    if trouble and not best and link.get("kind") in {LinkKind.SERIAL, LinkKind.SERIAL_TCP}:
        return Sighting(link, (), (), trouble[0].partition(": ")[2])  # who listened knows better than who knocks
    if best or not _real(link, context):
        return Sighting(link, tuple(best.values()), tuple(trouble))
    if link.get("kind") == LinkKind.OCPP:
        return Sighting(link, (), tuple(trouble), "" if trouble else NOBODY_CALLS)
    seen = await knock(link, timeout_s)
    silent = sorted(_silent(drivers.values(), link))
    hint = f"; name with =PROFILE behind the address what there is no way to recognise: {', '.join(silent)}"
    words = f"{seen.words}{hint}" if seen.reached and silent else seen.words
    return Sighting(link, (), tuple(trouble), words, seen.reached)


def _besides(taken: Found, found: Found) -> list[str]:
    """What is said of a second way to reach a device that tells more than the one that was taken."""
    more = [role.value for role, _, _ in found.resources if role not in {role for role, _, _ in taken.resources}]
    if not more or found.profile is None:
        return []
    told = f"{found.identity.serial} tells more as {found.profile} ({', '.join(more)})"
    return [f"{told}: say so with ={found.profile} behind the address"]


def _silent(drivers: Iterable[Driver], link: Link) -> set[str]:
    """The profiles that a scan of this link can't have found; none where a person named one."""
    if link.get("kind") not in MODBUS_KINDS or "profile" in link:
        return set()
    return {name for one in drivers if isinstance(one, KnowsOfStrangers) for name in one.unrecognised(link)}


def _real(link: Link, context: DriverContext) -> bool:
    """Whether it is a link of the world, and not one in memory."""
    if link.get("kind") == LinkKind.OCPP:
        return context.calls is None
    if link.get("kind") in {LinkKind.SERIAL, LinkKind.SERIAL_TCP}:
        return context.streams is None
    return (context.topics if link.get("kind") == LinkKind.MQTT else context.pdu) is None


def _faults(driver: Driver, link: Link) -> list[str]:
    """What a driver finds wrong with a link, and with the profile that a person named."""
    named = link.get("profile")
    bare = {key: value for key, value in link.items() if key != "profile"}
    profile = str(named) if named is not None else None
    config = DeviceConfig(id="probe", name="probe", driver=driver.name, link=bare, resources=(), profile=profile)
    return driver.faults(config)


def _speaks(driver: Driver, link: Link) -> bool:
    """Whether a link of this kind is any of the driver's business: it finds no fault with the table."""
    wrong = ("link.", "profile:") if "profile" in link else ("link.",)
    return not any(line.startswith(wrong) for line in _faults(driver, link))


def _unknown_profile(drivers: Mapping[str, Driver], link: Link) -> list[str]:
    """What is wrong with a profile that a person named and no driver takes, as the nearest of them says it."""
    if "profile" not in link or any(_speaks(driver, link) for driver in drivers.values()):
        return []
    said = [line for driver in drivers.values() for line in _faults(driver, link) if line.startswith("profile:")]
    return sorted(set(said), key=lambda line: ("did you mean" not in line, len(line)))[:1]
