"""Finds the models of a device by walking its map header by header, forgiving everything that can be forgiven.

Source: SunSpec Device Information Model Specification V1.1, clause on the information model map. The device's
length word wins over the definition; an unknown model is passed over; a missing end marker is normal.
"""

import struct
from dataclasses import dataclass

from cem.driver import BadAnswer, Identity, NoAnswer, Refused
from cem_drivers.modbus import Bus
from cem_drivers.sunspec.decode import Reader
from cem_drivers.sunspec.definition import definition

BASES = (40000, 0, 50000, 40001, 1000, 4096)
MARKER = b"SunS"
COMMON = 1
END = 0xFFFF
MAX_MODELS = 200


@dataclass(frozen=True, slots=True)
class Model:
    """One model instance: where its identifier word lies and how many registers follow the length word."""

    id: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Map:
    """One device of the map: its common model and what follows it up to the next common model."""

    identity: Identity
    models: tuple[Model, ...]

    def first(self, *ids: int) -> Model | None:
        """The first instance of any of the models, in the map's order."""
        return next((model for model in self.models if model.id in ids), None)


async def find_base(bus: Bus, configured: int | None = None) -> int | None:
    """The address of the marker; None if the unit answers and there is no SunSpec map. Raises NoAnswer."""
    silent = 0
    for base in (configured,) if configured is not None else BASES:
        try:
            if await bus.read(base, 2) == MARKER:
                return base
            silent = 0
        except Refused:
            silent = 0
        except (NoAnswer, BadAnswer):
            silent += 1  # some devices keep silent about addresses that they don't have
            if configured is not None or silent == 2:
                raise
    return None


async def walk(bus: Bus, base: int) -> list[Model]:
    """All models of the map in order, the common ones included. Raises NoAnswer when nothing could be read."""
    models: list[Model] = []
    address = base + 2
    while len(models) < MAX_MODELS and address <= 0xFFFE:
        header = await _header(bus, address, bool(models))
        if header is None:
            break
        model, length = header
        if model in (0, END) or address + 2 + length > 0x10000:
            break
        models.append(Model(model, address, length))
        address += 2 + length
    return models


async def _header(bus: Bus, address: int, may_end: bool) -> tuple[int, int] | None:
    """Identifier and length; None where the map ends without an end marker."""
    for last in (False, True):
        try:
            model, length = struct.unpack(">HH", await bus.read(address, 2))
        except Refused:
            if may_end:
                return None
            raise
        except (NoAnswer, BadAnswer):
            if last and may_end:
                return None
            if last:
                raise
        else:
            return model, length
    return None


async def scan(bus: Bus, configured: int | None = None) -> list[Map]:
    """The devices of a unit; [] if it has no SunSpec map. Raises NoAnswer, BadAnswer."""
    base = await find_base(bus, configured)
    if base is None:
        return []
    models = await walk(bus, base)
    starts = [index for index, model in enumerate(models) if model.id == COMMON]
    ends = [*starts, len(models)][1:]
    return [
        Map(await read_identity(bus, models[start]), tuple(models[start:end]))
        for start, end in zip(starts, ends, strict=True)
    ]


async def read_identity(bus: Bus, common: Model) -> Identity:
    """Maker, model, serial number and version from a common model; "" where the device says nothing."""
    known = definition(COMMON)
    assert known is not None
    length = min(common.length, known.fixed_size - 2)
    reader = Reader(known, length, ("Mn", "Md", "SN", "Vr"))
    values = reader.values(await bus.read(common.address, length + 2))
    maker, model, serial, version = (str(values.get(name) or "") for name in ("Mn", "Md", "SN", "Vr"))
    return Identity(maker, model, serial, version)
