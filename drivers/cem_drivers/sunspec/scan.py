"""Finds the models of a device by walking its map header by header, forgiving everything that can be forgiven.

Source: SunSpec Device Information Model Specification V1.1, clause on the information model map. The device's
length word wins over the definition; an unknown model is passed over; a missing end marker is normal.
"""

import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from cem.driver import BadAnswer, Identity, NoAnswer, Refused
from cem_drivers.modbus import BUSY, MAX_READ, Bus, Span, split_span
from cem_drivers.sunspec.decode import Reader
from cem_drivers.sunspec.definition import definition
from cem_drivers.sunspec.patient import PatientReader

BASES = (40000, 0, 50000, 40001, 1000, 4096)
MARKER = b"SunS"
COMMON = 1
END = 0xFFFF
VENDOR = range(64000, 65000)  # model ids that makers define
MAX_MODELS = 200
NOBODY = Identity("", "", "")
TEXTS = ("Mn", "Md", "SN", "Vr")
SMALLEST = 2  # registers; what can't be read so can't be read at all


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


async def find_base(reader: PatientReader, configured: int | None = None) -> int | None:
    """The address of the marker; None if the unit answers and there is no SunSpec map. Raises NoAnswer, BadAnswer,
    Refused.

    An address that stays silent is asked again once another one has answered: some devices keep silent about
    addresses that they don't have, and an answer may get lost. An address that gives damaged answers twice, or is busy
    twice, may well be the right one: that is no device without a map.
    """
    waiting = [configured] if configured is not None else list(BASES)
    error: NoAnswer | BadAnswer | None = None
    unclear: BadAnswer | Refused | None = None
    for _ in range(2):
        silent: list[int] = []
        unclear = None
        for base in waiting:
            try:
                if await reader.read(base, 2, tries=1) == MARKER:
                    return base
            except Refused as caught:
                if caught.code in BUSY:
                    unclear = caught
                    silent.append(base)
            except (NoAnswer, BadAnswer) as caught:
                error = caught
                unclear = caught if isinstance(caught, BadAnswer) else unclear
                silent.append(base)
        if not silent or (not reader.answered and configured is None):
            break
        waiting = silent
    if unclear is not None:
        raise unclear
    if error is not None and not reader.answered:
        raise error
    return None


async def walk(reader: PatientReader, base: int) -> list[Model]:
    """All models of the map in order, the common ones included. Raises NoAnswer when nothing could be read."""
    models: list[Model] = []
    address = base + 2
    while len(models) < MAX_MODELS and address <= 0xFFFE:
        header = await _header(reader, address, bool(models))
        if models and not _plausible(header, address):
            mended = await _mended(reader, models, address)
            if mended is not None:
                address, header = mended
        if header is None:
            break
        model, length = header
        if model in (0, END) or address + 2 + length > 0x10000:
            break
        models.append(Model(model, address, length))
        address += 2 + length
    return models


async def _header(reader: PatientReader, address: int, may_end: bool) -> tuple[int, int] | None:
    """Identifier and length; None where the map ends without an end marker."""
    try:
        model, length = struct.unpack(">HH", await reader.read(address, 2))
    except (Refused, NoAnswer, BadAnswer) as error:
        if not may_end:
            raise
        ends = isinstance(error, Refused) and error.code not in BUSY
        reader.cut_at = None if ends else address
        return None
    return model, length


def _plausible(header: tuple[int, int] | None, address: int) -> bool:
    """Whether it is an end marker, a maker's model, or one that we know with a length that fits."""
    if header is None:
        return False
    model, length = header
    if model == END:
        return length == 0
    known = definition(model)
    if known is None:
        return model in VENDOR or (0 < model < 1000 and address + length < 0x10000)
    return length + 2 >= min(known.fixed_size, 4)


async def _mended(reader: PatientReader, models: list[Model], address: int) -> tuple[int, tuple[int, int]] | None:
    """The next header where the last model's length word was wrong; None unless a known model of exactly the
    published length stands where the definition, or a common model one register longer or shorter, would end."""
    for candidate in _ends(models[-1]):
        if candidate == address or candidate > 0xFFFE:
            continue
        block = await reader.read_or_none(candidate, 2, tries=1)
        if block is None:
            continue
        model, length = struct.unpack(">HH", block)
        known = definition(model)
        if known is not None and not known.group and length == known.fixed_size - 2:
            return candidate, (model, length)
    return None


def _ends(last: Model) -> Iterator[int]:
    known = definition(last.id)
    if known is None:
        return
    if last.id == COMMON:
        yield from (last.address + 2 + length for length in (66, 65))
    elif not known.group:
        yield last.address + known.fixed_size


async def scan(bus: Bus, configured: int | None = None) -> list[Map]:
    """The devices of a unit that is to be used; [] if it has no SunSpec map. Raises NoAnswer, BadAnswer, Refused.

    Silence is how some devices end their map, and an answer that got lost looks the same: what a map that is cut off
    so lacks would be missing for as long as the device is open. So it is walked again; the end is believed where the
    device answers from the begin of its map up to the same address once more.
    """
    reader = PatientReader(bus)
    maps = await scan_with(reader, configured)
    if reader.cut_at is None:
        return maps
    again = PatientReader(bus, tries=1)  # where it ends in silence each try costs a time-out, and opening has an end
    maps = await scan_with(again, maps[0].models[0].address - 2)
    if again.cut_at not in (None, reader.cut_at):
        raise NoAnswer(
            f"{bus.name}: its map could not be read: no answer at {reader.cut_at}, then none at {again.cut_at}; "
            "answers get lost. Check the cable and who else uses the link"
        )
    return maps


async def scan_with(reader: PatientReader, configured: int | None = None) -> list[Map]:
    """The devices as far as the map can be read, with a reader whose count of silence goes on."""
    insisted, reader.bus.insist = reader.bus.insist, True
    try:
        base = await find_base(reader, configured)
        if base is None:
            return []
        models = await walk(reader, base)
        return [Map(await _identity(reader, part), tuple(part)) for part in _devices(models)]
    finally:
        reader.bus.insist = insisted


def _devices(models: list[Model]) -> Iterator[list[Model]]:
    """The map cut at each common model; what stands before the first one is a device without a name."""
    part: list[Model] = []
    for model in models:
        if model.id == COMMON and part:
            yield part
            part = []
        part.append(model)
    if part:
        yield part


async def _identity(reader: PatientReader, part: list[Model]) -> Identity:
    """Who it is; nobody where the common model is missing or can't be read."""
    if part[0].id != COMMON:
        return NOBODY

    async def read(address: int, count: int) -> bytes | None:
        block = await reader.read_or_none(address, count)
        if block is not None or count <= SMALLEST or reader.exhausted:
            return block
        first, second = await read(address, count // 2), await read(address + count // 2, count - count // 2)
        return None if first is None or second is None else first + second

    return await _named(part[0], read)


async def read_identity(bus: Bus, common: Model, max_read: int = MAX_READ) -> Identity:
    """Maker, model, serial number and version from a common model; "" where the device says nothing.

    Raises NoAnswer, BadAnswer.
    """
    if common.id != COMMON:
        return NOBODY

    async def read(address: int, count: int) -> bytes | None:
        spans = split_span(Span(address, count), max_read)
        try:
            return b"".join([await bus.read(span.address, span.count) for span in spans])
        except Refused:
            return None

    return await _named(common, read)


def _common_size(common: Model) -> int:
    known = definition(COMMON)
    assert known is not None
    return min(common.length + 2, known.fixed_size)


async def _named(common: Model, read: Callable[[int, int], Awaitable[bytes | None]]) -> Identity:
    """Reads the common model whole, or where that fails each of its four texts."""
    known = definition(COMMON)
    assert known is not None
    size = _common_size(common)
    block = await read(common.address, size)
    if block is None:
        pieces = bytearray(2 * size)
        for name in TEXTS:
            point = known.point(name)
            if point.offset + point.size <= size:
                text = await read(common.address + point.offset, point.size)
                pieces[2 * point.offset : 2 * (point.offset + point.size)] = text or bytes(2 * point.size)
        block = bytes(pieces)
    values = Reader(known, size - 2, TEXTS).values(block)
    maker, model, serial, version = (str(values.get(name) or "") for name in TEXTS)
    return Identity(maker, model, serial, version)
