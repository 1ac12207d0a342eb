"""The registers of a map's models, read in as few requests as the device allows."""

from collections.abc import Iterable

from cem.driver import Refused, Value
from cem_drivers.modbus import MAX_READ, Bus, Read, Span, plan_reads, split_span
from cem_drivers.sunspec.decode import Reader, group_values
from cem_drivers.sunspec.definition import definition
from cem_drivers.sunspec.roles import NEEDED
from cem_drivers.sunspec.scan import Model

MAX_GAP = 32  # a whole nameplate between two models: neighbours in a map are all there to be read
BUSY = (5, 6)  # exceptions that pass by themselves
LONGEST_MODEL = 500  # registers of a model with repeating groups, whatever a device announces

_Plan = tuple[list[Read], dict[Model, list[Span]]]  # what to ask for, and which spans make up each model


class Image:
    """The last read values of each model. A model whose registers are refused is left out, never fatal."""

    def __init__(self, bus: Bus, max_read: int = MAX_READ) -> None:
        self.values: dict[int, dict[str, Value]] = {}
        self.modules: dict[int, list[dict[str, Value]]] = {}
        self.refused: dict[Model, str] = {}  # and why
        self._bus = bus
        self._max_read = max_read
        self._max_gap = MAX_GAP
        self._readers: dict[Model, Reader] = {}
        self._plans: dict[tuple[Model, ...], _Plan] = {}

    async def read(self, models: Iterable[Model]) -> None:
        """Reads the models anew. Raises NoAnswer, BadAnswer; Refused when not one of them could be read."""
        wanted = tuple(model for model in dict.fromkeys(models) if model not in self.refused)
        reads, spans = self._plans.get(wanted) or self._plan(wanted)
        pieces: dict[Span, bytes] = {}
        for read in reads:
            try:
                block = await self._bus.read(read.span.address, read.span.count)
            except Refused as error:
                if error.code in BUSY:
                    raise
                if len(read.covers) == 1:
                    continue
                await self._one_by_one(read.covers, pieces)
                continue
            for span in read.covers:
                begin = 2 * (span.address - read.span.address)
                pieces[span] = block[begin : begin + 2 * span.count]
        for model, cut in spans.items():
            if all(span in pieces for span in cut):
                self._decode(model, b"".join(pieces[span] for span in cut))
            else:
                self.refused[model] = f"model {model.id} at {model.address} is announced and refused"
        if wanted and all(model in self.refused for model in wanted):
            why = "; ".join(self.refused.pop(model) for model in wanted)
            raise Refused(f"{self._bus.name}: {why}")

    def _plan(self, wanted: tuple[Model, ...]) -> _Plan:
        spans = {model: split_span(Span(model.address, _size(model)), self._max_read) for model in wanted}
        reads = plan_reads((span for cut in spans.values() for span in cut), self._max_read, self._max_gap)
        plan = self._plans[wanted] = (reads, spans)
        return plan

    async def _one_by_one(self, covers: tuple[Span, ...], pieces: dict[Span, bytes]) -> None:
        """Some devices refuse a read across two models."""
        self._max_gap = -1
        self._plans.clear()
        for span in covers:
            try:
                pieces[span] = await self._bus.read(span.address, span.count)
            except Refused as error:
                if error.code in BUSY:
                    raise
                continue  # named in `refused` by the caller

    def _decode(self, model: Model, block: bytes) -> None:
        known = definition(model.id)
        assert known is not None
        if known.group:
            self.modules[model.id] = group_values(known, _size(model) - 2, block)
        reader = self._readers.get(model)
        if reader is None:
            reader = self._readers[model] = Reader(known, _size(model) - 2, NEEDED[model.id])
        self.values[model.id] = reader.values(block)


def _size(model: Model) -> int:
    """Registers worth reading, header included: the device's length, but not beyond what a definition can name."""
    known = definition(model.id)
    assert known is not None
    return min(model.length + 2, LONGEST_MODEL if known.group else known.fixed_size)
