"""One Modbus device as its profile describes it: identifies, reads its groups, carries its controls."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from cem.driver import (
    Control,
    ControlSpec,
    DeviceConfig,
    DriverContext,
    Identity,
    LineCounts,
    NoAnswer,
    Reading,
    Refused,
    WrongDevice,
)
from cem_drivers.modbus import Bus, Link, open_bus
from cem_drivers.profiled.control import Surface
from cem_drivers.profiled.identity import identify
from cem_drivers.profiled.link import with_defaults
from cem_drivers.profiled.reader import Reader, points_of
from cem_drivers.profiled.schema import Profile

_LOG = logging.getLogger(__name__)


class ProfiledDevice:
    """A device of the site file behind one unit of one link."""

    def __init__(self, config: DeviceConfig, profile: Profile, context: DriverContext) -> None:
        self._config = replace(config, link=with_defaults(config.link, profile))
        self._profile = profile
        self._context = context
        self._bus: Bus | None = None
        self._link: Link | None = None  # kept while it is closed, for its counters
        self._naming: Bus | None = None  # the unit that tells who it is, where that is another one
        self._reader: Reader | None = None
        self._identity: Identity | None = None
        self._generation = 0
        self._surfaces: dict[tuple[str, Control], Surface] = {}

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self._config.id

    @property
    def line(self) -> LineCounts | None:
        """The counters of its link, which others may share; None before it was first opened."""
        return self._link.statistics if self._link is not None else None

    async def open(self) -> Identity:
        """Connects, identifies, reads everything once. Raises NoAnswer, BadAnswer, WrongDevice."""
        await self.close()
        bus = self._bus = open_bus(self._config.link, self._context)
        self._link = bus.link
        unit = self._profile.identify.unit
        self._naming = bus if unit is None else open_bus({**self._config.link, "unit": unit}, self._context)
        opened = False
        try:
            self._generation = bus.generation
            identity = await self._identify()
            reader = self._reader = Reader(self._profile, bus, self._context.monotonic, self.id)
            await reader.read_all()
            self._learn_controls(bus, reader)
            self._identity = identity
            opened = True
        finally:
            if not opened:  # a device with room for one client must not be kept busy
                await self.close()
        return identity

    def controls(self) -> Sequence[ControlSpec]:
        """What may be written; () for one that is read only, a draft, or without a serial number in the site file."""
        return [surface.spec() for surface in self._surfaces.values()]

    async def poll(self) -> Sequence[Reading]:
        """What is due is read; every point comes with its own time, unless it is too old. Keeps watchdogs quiet."""
        reader = self._opened()
        await reader.read_due()
        for surface in () if self._context.watch_only() else self._surfaces.values():
            if surface.beats:
                await self._certain()
                await surface.beat()
            await self._settle(surface)
        fresh = reader.fresh().items()
        return [
            Reading(resource.id, point, known.value, known.taken_at_s)
            for resource in self._config.resources
            for point, known in points_of(self._profile, fresh, resource.role)
        ]

    async def write(self, resource_id: str, control: Control, value: float) -> float:
        """Sets a value and gives what it set of it; raises Refused where this device is not to be written."""
        self._opened()
        surface = self._surface(resource_id, control)
        await self._certain()
        held = await surface.write(value)
        for (
            other
        ) in self._surfaces.values():  # not with the next poll: in between the limit would bind what it need not
            if other is not surface:
                await self._settle(other)
        return held

    async def _settle(self, surface: Surface) -> None:
        """Writes a limit anew that holds for something else besides, which was told otherwise."""
        if not surface.unsettled:
            return
        await self._certain()
        try:
            await surface.settle()
        except Refused as error:
            _LOG.info("%s", error)  # with the next poll again

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """The value as the device holds it; None when none of ours is in force."""
        self._opened()
        surface = self._surfaces.get((resource_id, control))
        return await surface.read_back() if surface is not None else None

    async def release(self, resource_id: str, control: Control) -> None:
        """Hands the control back; nothing to do for one that was never ours to write."""
        self._opened()
        surface = self._surfaces.get((resource_id, control))
        if surface is not None:
            await self._certain()
            await surface.release()

    async def close(self) -> None:
        """Lets go of the link."""
        buses = {id(bus): bus for bus in (self._bus, self._naming) if bus is not None}
        self._bus = self._naming = self._reader = self._identity = None
        self._surfaces = {}
        for bus in buses.values():
            bus.close()

    def _opened(self) -> Reader:
        if self._reader is None or self._identity is None:
            raise NoAnswer(f"{self.id}: not open")
        return self._reader

    async def _identify(self) -> Identity:
        assert self._naming is not None
        identity = await identify(self._naming, self._profile, self.id)
        wanted = self._config.serial
        if wanted is not None and (not identity.serial or identity.serial != wanted.strip()):
            raise WrongDevice(
                f"{self.id}: serial number {identity.serial!r} answers, the site file says {wanted!r}; nothing is "
                "written. Check the address, or put the new serial number into the site file"
            )
        return identity

    async def _certain(self) -> None:
        """The connection was lost since the last look: somebody else may answer at this address."""
        assert self._bus is not None
        generation = self._bus.generation
        if generation == self._generation:
            return
        identity = await self._identify()
        if identity != self._identity:
            raise WrongDevice(
                f"{self.id}: {identity} answers where {self._identity} did; nothing is written. "
                "Check what changed at this address"
            )
        self._generation = generation

    def _learn_controls(self, bus: Bus, reader: Reader) -> None:
        if self._why_not_written() is not None:
            return
        pairs = [(resource, row) for resource in self._config.resources for row in self._profile.control]
        for resource, row in sorted(pairs, key=lambda pair: bool(pair[1].includes)):  # whom it depends on comes first
            control = Control(row.id)
            if control in resource.controls:
                self._surfaces[resource.id, control] = Surface(
                    bus, row, self._profile.link, resource.id, resource.ratings.phases,
                    reader, self._context.monotonic, self._told, self._steered,
                )  # fmt: skip

    def _steered(self, name: str) -> bool:
        return any(one.steers(name) for one in self._surfaces.values())

    def _told(self, name: str) -> float | None:
        """What the device has been told of a point, where it does what it is told."""
        return next((told for one in self._surfaces.values() if (told := one.heeds(name)) is not None), None)

    def _why_not_written(self) -> str | None:
        if self._config.read_only:
            return "it is read only"
        if self._config.serial is None:
            return "the site file has no serial number to insist on"
        if self._profile.status == "draft":
            return f"the profile {self._profile.id} is a draft"
        return None

    def _surface(self, resource_id: str, control: Control) -> Surface:
        surface = self._surfaces.get((resource_id, control))
        if surface is None:
            why = self._why_not_written() or "it has no such control"
            raise Refused(f"{self.id}: {control} is not written: {why}")
        return surface
