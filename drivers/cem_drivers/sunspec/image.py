"""The registers of a map's models, read in as few requests as the device allows."""

from dataclasses import dataclass, field

from cem.driver import BadAnswer, NoAnswer, Refused, Value
from cem_drivers.modbus import BUSY, MAX_READ, Bus, Read, Span, plan_reads, split_span
from cem_drivers.sunspec.decode import Raw, Reader, group_values
from cem_drivers.sunspec.definition import Definition, definition
from cem_drivers.sunspec.patient import PatientReader
from cem_drivers.sunspec.roles import NEEDED
from cem_drivers.sunspec.scan import Model

MAX_GAP = 32  # a whole nameplate between two models: neighbours in a map are all there to be read
LONGEST_MODEL = 500  # registers of a model with repeating groups, whatever a device announces


@dataclass(slots=True)
class _Layout:
    """What can be read of one model: found out once. `block` is what was read last, and `raw` its decoded points."""

    spans: list[Span]
    holes: list[Span] = field(default_factory=list)
    reader: Reader | None = None
    block: bytes = b""
    raw: Raw = ()
    grouped: bool = False  # the model has repeating groups


@dataclass(frozen=True, slots=True)
class _Round:
    """A round of reading whose models are all known and lie whole in one read each: what nearly every poll is."""

    models: tuple[Model, ...]
    reads: tuple[tuple[int, int, tuple[tuple[Model, _Layout, int, int], ...]], ...]
    """(address, count, what lies in it: (model, its layout, begin, end))."""


class Image:
    """The last read values of each model. A model whose registers can't be read is left out, never fatal.

    The first reading of a model finds out what the device allows: shorter reads, none across two models, registers
    that it refuses or is silent about. `everything`: all points instead of what the roles need.
    """

    def __init__(
        self,
        bus: Bus,
        max_read: int = MAX_READ,
        everything: bool = False,
        patience: PatientReader | None = None,
    ) -> None:
        self.values: dict[int, dict[str, Value]] = {}
        self.modules: dict[int, list[dict[str, Value]]] = {}
        self.refused: dict[Model, str] = {}  # and why
        self.changes = 0  # of `values` and `modules`, counted
        self.max_read = max_read
        self._bus = bus
        self._everything = everything
        self._max_gap = MAX_GAP
        self._layouts: dict[Model, _Layout] = {}
        self._plans: dict[tuple[Model, ...], list[Read]] = {}
        self._rounds: list[_Round] = []
        self._shown: dict[int, _Layout] = {}  # whose values they are, where a map has several models of a kind
        self._patience = patience or PatientReader(bus)

    async def read(self, models: tuple[Model, ...]) -> None:
        """Reads the models anew. Raises NoAnswer, BadAnswer; Refused when not one of them could be read."""
        known = self._round(models)
        if known is None:
            await self._carefully(models)
            return
        for address, count, parts in known.reads:
            try:
                block = await self._bus.read(address, count)
            except Refused as error:
                if error.code in BUSY:
                    raise
                self._rounds.clear()  # what worked before does not now
                await self._carefully(models)
                return
            for model, layout, begin, end in parts:
                self._take(model, layout, block[begin:end])

    def _round(self, models: tuple[Model, ...]) -> _Round | None:
        """The round of these models; nearly always who asks has the same tuple."""
        for one in self._rounds:
            if one.models is models:
                return one
        return next((one for one in self._rounds if one.models == models), None)

    async def _carefully(self, models: tuple[Model, ...]) -> None:
        wanted = tuple(model for model in dict.fromkeys(models) if model not in self.refused)
        pieces: dict[Span, bytes] = {}
        for read in self._plans.get(wanted) or self._plan(wanted):
            await self._read_one(read, wanted, pieces)
        for model in wanted:
            layout = self._layouts.get(model)
            if layout is not None and layout.spans and all(span in pieces for span in layout.spans):
                self._decode(model, layout, pieces)
            else:
                self.refused[model] = f"model {model.id} at {model.address} is announced and can't be read"
                self._forget_plans()
        if wanted and all(model in self.refused for model in wanted):
            why = "; ".join(self.refused.pop(model) for model in wanted)
            raise Refused(f"{self._bus.name}: {why}")
        self._remember(models)

    def _remember(self, models: tuple[Model, ...]) -> None:
        """Keeps the round where it is a plain one."""
        layouts = [self._layouts[model] for model in models if model not in self.refused]
        if len(layouts) < len(models) or any(layout.holes or len(layout.spans) != 1 for layout in layouts):
            return
        owner = {layout.spans[0]: (model, layout) for layout, model in zip(layouts, models, strict=True)}
        reads = tuple(
            (
                read.span.address,
                read.span.count,
                tuple(
                    (*owner[span], 2 * (span.address - read.span.address), 2 * (span.end - read.span.address))
                    for span in read.covers
                ),
            )
            for read in self._plan(models)
        )
        self._rounds.append(_Round(models, reads))

    def _forget_plans(self) -> None:
        self._plans.clear()
        self._rounds.clear()

    def holes(self, model: Model) -> list[Span]:
        """Registers of a model that can't be read."""
        layout = self._layouts.get(model)
        return [] if layout is None else layout.holes

    def _plan(self, wanted: tuple[Model, ...]) -> list[Read]:
        spans: list[Span] = []
        for model in wanted:
            known = self._layouts.get(model)
            spans += split_span(Span(model.address, _size(model)), self.max_read) if known is None else known.spans
        return plan_reads(spans, self.max_read, self._max_gap)

    async def _read_one(self, read: Read, wanted: tuple[Model, ...], pieces: dict[Span, bytes]) -> None:
        """One planned read; where it fails, the models that it touches are looked at one by one."""
        touched = [model for model in wanted if any(_within(span, model) for span in read.covers)]
        new = [model for model in touched if model not in self._layouts]
        try:
            block = await self._bus.read(read.span.address, read.span.count)
        except Refused as error:
            if error.code in BUSY:
                raise
        except (NoAnswer, BadAnswer):
            if not new:
                raise  # it could be read before: the device is gone
        else:
            for span in read.covers:
                begin = 2 * (span.address - read.span.address)
                pieces[span] = block[begin : begin + 2 * span.count]
            for model in new:
                whole = split_span(Span(model.address, _size(model)), self.max_read)
                if all(span in pieces for span in whole):
                    self._layouts[model] = _Layout(whole)
            if new:
                self._plans[wanted] = self._plan(wanted)
            return
        self._forget_plans()
        if len(touched) > 1:
            self._max_gap = -1  # some devices refuse a read across two models
        for model in touched:
            await self._explore(model, pieces)

    async def _explore(self, model: Model, pieces: dict[Span, bytes]) -> None:
        """Reads a model piece by piece, halving between points what can't be read, and keeps what worked."""
        layout = _Layout([])
        todo = split_span(Span(model.address, _size(model)), self.max_read)
        while todo:
            span = todo.pop(0)
            block = await self._try(span, model)
            if block is not None:
                layout.spans.append(span)
                pieces[span] = block
            elif (halves := _halved(span, model)) and not self._patience.exhausted:
                todo[:0] = halves
            else:
                layout.holes.append(span)
        if not layout.holes and len(layout.spans) > 1:
            self.max_read = min(self.max_read, max(span.count for span in layout.spans))
        if all(span.end <= model.address + 2 for span in layout.spans):
            layout.spans.clear()  # a header and nothing behind it
        self._layouts[model] = layout

    async def _try(self, span: Span, model: Model) -> bytes | None:
        """The registers; None where the device refuses them or is silent about them. Raises when it is gone."""
        try:
            return await self._patience.read(span.address, span.count)
        except Refused as error:
            if error.code in BUSY:
                raise
        except (NoAnswer, BadAnswer):
            await self._bus.read(model.address, 2)  # the header could be read: does it answer at all?
        return None

    def _decode(self, model: Model, layout: _Layout, pieces: dict[Span, bytes]) -> None:
        if not layout.holes:
            block = b"".join(pieces[span] for span in layout.spans)
        else:
            held = bytearray(2 * _size(model))
            for span in layout.spans:
                at = 2 * (span.address - model.address)
                held[at : at + 2 * span.count] = pieces[span]
            block = bytes(held)
        self._take(model, layout, block)

    def _take(self, model: Model, layout: _Layout, block: bytes) -> None:
        """Decodes a model's registers, unless they are the same as before."""
        if block == layout.block and self._shown.get(model.id) is layout:
            return
        reader = layout.reader
        if reader is not None and not layout.grouped and self._shown.get(model.id) is layout:
            raw = reader.raw(block)
            layout.block = block
            if raw != layout.raw:  # else other registers than those that anybody looks at
                layout.raw = raw
                self.changes += 1
                self.values[model.id] = reader.scaled(raw)
            return
        known = definition(model.id)
        assert known is not None
        layout.block, layout.grouped = block, bool(known.group)
        self.changes += 1
        self._shown[model.id] = layout
        if known.group:
            self.modules[model.id] = self._groups(model, known, layout, block)
        if reader is None:
            names = None if self._everything else NEEDED.get(model.id)
            reader = layout.reader = Reader(known, _size(model) - 2, names, _missing(model, layout))
        layout.raw = reader.raw(block)
        self.values[model.id] = reader.scaled(layout.raw)

    def _groups(self, model: Model, known: Definition, layout: _Layout, block: bytes) -> list[dict[str, Value]]:
        """The repeating part, as far as no hole spoils it."""
        missing = _missing(model, layout)
        if any(offset < known.fixed_size for offset in missing):
            return []  # a scale factor or the count may be missing
        groups = group_values(known, _size(model) - 2, block)
        whole = range(known.fixed_size, known.fixed_size + known.group_size * len(groups))
        return groups if not missing.intersection(whole) else []


def _missing(model: Model, layout: _Layout) -> frozenset[int]:
    """The offsets of a model that can't be read."""
    return frozenset(at - model.address for hole in layout.holes for at in range(hole.address, hole.end))


def _within(span: Span, model: Model) -> bool:
    return model.address <= span.address < model.address + _size(model)


def _halved(span: Span, model: Model) -> list[Span]:
    """The span in two, cut between two points; [] where it is one point."""
    known = definition(model.id)
    assert known is not None
    offsets = [point.offset for point in known.fixed]
    for begin in range(known.fixed_size, _size(model), known.group_size or _size(model)):
        offsets += [begin + point.offset for point in known.group]
    inside = [model.address + at for at in offsets if span.address < model.address + at < span.end]
    if not inside:
        return []
    cut = min(inside, key=lambda at: abs(at - (span.address + span.end) / 2))
    return [Span(span.address, cut - span.address), Span(cut, span.end - cut)]


def _size(model: Model) -> int:
    """Registers worth reading, header included: the device's length, but not beyond what a definition can name."""
    known = definition(model.id)
    assert known is not None
    return min(model.length + 2, LONGEST_MODEL if known.group else known.fixed_size)
