"""One SunSpec device: identifies, reads its roles, carries its controls."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

from cem.driver import (
    Control,
    ControlSpec,
    Curve,
    CurveSet,
    DeviceConfig,
    DriverContext,
    GridFunction,
    Identity,
    LineCounts,
    NoAnswer,
    Reading,
    Refused,
    Role,
    Value,
    WrongDevice,
)
from cem_drivers.modbus import MAX_READ, Bus, Link, open_bus
from cem_drivers.sunspec.candidates import candidates
from cem_drivers.sunspec.controls import ControlSurface
from cem_drivers.sunspec.curves import FUNCTIONS, CurveModel
from cem_drivers.sunspec.der_controls import HEARTBEATS, Heartbeat
from cem_drivers.sunspec.image import Image
from cem_drivers.sunspec.in_force import image_generation_w, limit_points, setpoint_points
from cem_drivers.sunspec.roles import (
    HEARTBEAT,
    SLOW,
    Source,
    battery_points,
    find_source,
    grid_points,
    pv_points,
)
from cem_drivers.sunspec.scan import Map, Model, read_identity, scan
from cem_drivers.table import number

SLOW_PERIOD_S = 30.0

_LOG = logging.getLogger(__name__)


class SunSpecDevice:
    """A device of the site file behind one unit of one link."""

    def __init__(self, config: DeviceConfig, context: DriverContext) -> None:
        self._config = config
        self._context = context
        self._bus: Bus | None = None
        self._link: Link | None = None  # kept while it is closed, for its counters
        self._device: Map | None = None
        self._generation = 0
        self._images: dict[Map, Image] = {}
        self._sources: dict[str, Source] = {}  # resource id -> where its readings come from
        self._image_of: dict[str, Image] = {}  # by resource id, as a map's hash is that of all that is in it
        self._known: dict[str, tuple[int, dict[str, Value]]] = {}  # by resource id: its points after so many changes
        self._wanted: dict[bool, tuple[tuple[Image, tuple[Model, ...]], ...]] = {}  # by whether the slow ones are due
        self._surfaces: dict[tuple[str, Control], ControlSurface] = {}
        self._heartbeats: dict[
            str, tuple[Heartbeat, ...]
        ] = {}  # resource id -> of the device that carries its controls
        self._held: set[tuple[str, Control]] = set()
        self._slow_at_s = 0.0

    @property
    def id(self) -> str:
        """The device's id in the site file."""
        return self._config.id

    @property
    def line(self) -> LineCounts | None:
        """The counters of its link, which others may share; None before it was first opened."""
        return self._link.statistics if self._link is not None else None

    async def open(self) -> Identity:
        """Connects, walks the map, identifies, learns the controls. Raises NoAnswer, BadAnswer, WrongDevice."""
        await self.close()
        bus = self._bus = open_bus(self._config.link, self._context)
        self._link = bus.link
        opened = False
        try:
            identity = await self._open(bus)
            opened = True
        finally:
            if not opened:  # a device with room for one client must not be kept busy
                await self.close()
        return identity

    def controls(self) -> Sequence[ControlSpec]:
        """What may be written; () for a device that is read only or has no serial number in the site file."""
        return [surface.spec() for surface in self._surfaces.values()]

    async def poll(self) -> Sequence[Reading]:
        """All readings of the device's resources, taken now."""
        now_s = self._context.monotonic()
        slow = now_s - self._slow_at_s >= SLOW_PERIOD_S
        await self._read_all(slow)
        taken_at_s = self._context.monotonic()
        if self._heartbeats:
            for resource_id in {resource_id for resource_id, _ in self._held}:
                for heartbeat in self._heartbeats.get(resource_id, ()):
                    await heartbeat.beat()
        return [
            Reading(resource_id, point, value, taken_at_s)
            for resource_id in self._sources
            for point, value in self._points_of(resource_id).items()
        ]

    async def write(self, resource_id: str, control: Control, value: float) -> float:
        """Sets a value and gives what it set of it; raises Refused where this device is not to be written."""
        if not math.isfinite(value):
            raise Refused(f"{self.id}: {value} is no value for {control}")
        surface = await self._surface(resource_id, control)
        for heartbeat in self._heartbeats.get(resource_id, ()):
            await heartbeat.check()
        if control is Control.BATTERY_RESERVE_PCT:  # stays without us: nothing that a heartbeat would keep up
            return await surface.write(value)
        for heartbeat in self._heartbeats.get(resource_id, ()):
            await heartbeat.beat()
        took = await surface.write(value)
        self._held.add((resource_id, control))
        return took

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """The value as the device holds it; None when none of ours is in force."""
        self._opened()
        surface = self._surfaces.get((resource_id, control))
        return await surface.read_back() if surface is not None else None

    async def release(self, resource_id: str, control: Control) -> None:
        """Hands the control back; nothing to do for one that was never ours to write."""
        self._opened()
        if (resource_id, control) in self._surfaces:
            surface = await self._surface(resource_id, control)
            await surface.release()
            self._held.discard((resource_id, control))

    async def curves(self) -> Sequence[CurveSet]:
        """The curves of every function that the identified device has, as it holds them now."""
        bus, device = self._opened(), self._device
        assert device is not None
        models = [model for model in device.models if model.id in FUNCTIONS]
        return [await CurveModel(bus, model, self._max_read).read() for model in models]

    async def adopt_curve(self, function: GridFunction, curve: Curve, *, place: int = 2, revert_s: int = 0) -> CurveSet:
        """Puts a curve in force; see cem.driver.HoldsCurves."""
        return await (await self._curve_model(function)).adopt(curve, place=place, revert_s=revert_s)

    async def switch_off_curve(self, function: GridFunction) -> CurveSet:
        """Switches a function off; see cem.driver.HoldsCurves."""
        return await (await self._curve_model(function)).disable()

    async def close(self) -> None:
        """Lets go of the link."""
        bus, self._bus = self._bus, None
        self._device = None
        self._images, self._sources, self._surfaces, self._wanted, self._known = {}, {}, {}, {}, {}
        self._image_of = {}
        if bus is not None:
            bus.close()

    async def _open(self, bus: Bus) -> Identity:
        self._generation = bus.generation  # before the first look: a connection lost during it makes us look again
        base = self._config.link.get("base")
        maps = await scan(bus, int(base) if base is not None else None)
        if not maps:
            raise WrongDevice(
                f"{self.id}: {bus.name} answers, but has no SunSpec map at any known address; nothing is written. "
                "Check the unit and whether SunSpec Modbus is switched on"
            )
        maps = await self._named(bus, maps)
        device = self._identified(maps)
        self._device = device
        ordered = [device, *(other for other in maps if other is not device)]
        roles = [resource.role for resource in self._config.resources]
        hybrid = Role.PV in roles and Role.BATTERY in roles
        for resource in self._config.resources:
            source = find_source(ordered, resource.role, hybrid)
            if source is None:
                models = ", ".join(str(model.id) for model in device.models)
                raise WrongDevice(
                    f"{self.id}: {bus.name} has no model for {resource.id} ({resource.role}), only models {models}; "
                    "check the resources of this device in the site file"
                )
            self._sources[resource.id] = source
            self._image_of[resource.id] = self._images.setdefault(source.map, Image(bus, self._max_read))
        await self._read_all(slow=True)
        await self._learn_controls(bus)
        return device.identity

    @property
    def _max_read(self) -> int:
        return int(number(self._config.link, "max_read", MAX_READ))

    def _opened(self) -> Bus:
        if self._bus is None or self._device is None:
            raise NoAnswer(f"{self.id}: not open")
        return self._bus

    async def _named(self, bus: Bus, maps: list[Map]) -> list[Map]:
        """Asks again who they are where one that said nothing may be ours; raises NoAnswer where that stays so."""
        wanted = self._config.serial
        if wanted is None or any(device.identity.serial == wanted.strip() for device in maps):
            return maps
        return [
            device
            if device.identity.serial
            else replace(device, identity=await read_identity(bus, device.models[0], self._max_read))
            for device in maps
        ]

    def _identified(self, maps: list[Map]) -> Map:
        wanted = self._config.serial
        if wanted is None:
            return maps[0]
        for device in maps:
            if device.identity.serial == wanted.strip():
                return device
        seen = ", ".join(f"{device.identity.serial!r} ({device.identity.model})" for device in maps)
        raise WrongDevice(
            f"{self.id}: serial number {seen} answers, the site file says {wanted!r}; nothing is written. "
            "Check the address, or put the new serial number into the site file"
        )

    async def _learn_controls(self, bus: Bus) -> None:
        if self._config.read_only or self._config.serial is None:
            return
        for resource in self._config.resources:
            for control in sorted(resource.controls):
                surface = await self._learnt(bus, resource.id, control)
                if surface is None:
                    _LOG.warning("%s: no model carries %s; it stays as the device likes", self.id, control)
                    continue
                self._surfaces[resource.id, control] = surface
                # the bank of 802 is the battery's; what limits the sun does not feed it
                wanted = [model for model in HEARTBEATS if model == HEARTBEAT or resource.role is Role.BATTERY]
                models = [self._sources[resource.id].map.first(model) for model in wanted]
                beats = tuple(Heartbeat(bus, model, self._context.monotonic) for model in models if model is not None)
                if beats:
                    self._heartbeats[resource.id] = beats
                else:
                    self._heartbeats.pop(resource.id, None)

    async def _learnt(self, bus: Bus, resource_id: str, control: Control) -> ControlSurface | None:
        """The first of the models for a control that can be used; None where none can, and the log says why."""
        refusals: list[Refused] = []
        source, image = self._sources[resource_id], self._image_of[resource_id]
        for surface in candidates(self._config, self._context, bus, source, image, resource_id, control):
            try:
                await surface.learn()
            except Refused as error:
                refusals.append(error)
            else:
                return surface
        for refusal in refusals:
            _LOG.warning("%s: %s can't be used: %s", self.id, control, refusal)
        return None

    async def _surface(self, resource_id: str, control: Control) -> ControlSurface:
        """The control, once it is certain that the identified device still answers."""
        self._opened()
        surface = self._surfaces.get((resource_id, control))
        if surface is None:
            raise Refused(f"{self.id}: {control} is not written: {self._locked or 'it has no such control'}")
        await self._certain()
        return surface

    async def _curve_model(self, function: GridFunction) -> CurveModel:
        """The model of a function, to be written; raises Refused where it is not to be."""
        bus, device = self._opened(), self._device
        assert device is not None
        number = next(number for number, known in FUNCTIONS.items() if known is function)
        model = device.first(number)
        why = self._locked or (f"it has no model {number}" if model is None else "")
        if why or model is None:
            raise Refused(f"{self.id}: {function} is not written: {why}")
        await self._certain()
        return CurveModel(bus, model, self._max_read)

    @property
    def _locked(self) -> str:
        """Why nothing of this device is ever written; '' where it may be."""
        if self._config.read_only:
            return "it is read only"
        return "the site file has no serial number to insist on" if self._config.serial is None else ""

    async def _certain(self) -> None:
        """Makes sure that the identified device still answers, where the connection was lost since the last look."""
        bus = self._opened()
        if bus.generation != self._generation:
            await self._identify_again(bus)

    async def _identify_again(self, bus: Bus) -> None:
        """The connection was lost since the last look: somebody else may answer at this address."""
        assert self._device is not None
        generation = bus.generation
        identity = await read_identity(bus, self._device.models[0], self._max_read)
        if identity.serial != self._device.identity.serial:
            raise WrongDevice(
                f"{self.id}: serial number {identity.serial!r} answers where {self._device.identity.serial!r} did; "
                "nothing is written. Check what changed at this address"
            )
        self._generation = generation

    async def _read_all(self, slow: bool) -> None:
        self._opened()
        wanted = self._wanted.get(slow)
        if wanted is None:
            wanted = self._wanted[slow] = self._models(slow)
        for image, models in wanted:
            known = len(image.refused)
            before = () if known == 0 else tuple(image.refused)
            await image.read(models)
            if len(image.refused) > known:
                for model in set(image.refused).difference(before):
                    _LOG.warning("%s: %s; its points stay unknown", self.id, image.refused[model])
        if slow:
            self._slow_at_s = self._context.monotonic()

    def _models(self, slow: bool) -> tuple[tuple[Image, tuple[Model, ...]], ...]:
        """What a round of reading asks of each device of the map."""
        wanted: dict[Map, dict[Model, None]] = {device: {} for device in self._images}
        for source in self._sources.values():
            wanted[source.map].update((model, None) for model in source.models if slow or model.id not in SLOW)
        return tuple((self._images[device], tuple(models)) for device, models in wanted.items())

    def _points_of(self, resource_id: str) -> dict[str, Value]:
        """The points of a resource, worked out anew only when a register has changed."""
        known, image = self._known.get(resource_id), self._image_of[resource_id]
        if known is None or image.changes != known[0]:
            points = self._points(self._sources[resource_id], image)
            known = self._known[resource_id] = (image.changes, points)
        return known[1]

    def _points(self, source: Source, image: Image) -> dict[str, Value]:
        if source.role is Role.GRID:
            return grid_points(source, image.values, int(number(self._config.link, "meter_sign", 1)))
        generation = image_generation_w(image) if source.hybrid else None
        if source.role is Role.PV:
            points = pv_points(source, image.values, generation)
            return points | limit_points(image)
        return battery_points(source, image.values, generation) | setpoint_points(image)
