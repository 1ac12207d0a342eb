"""The registers of one control model, read and written by point name."""

import logging
import struct
from collections.abc import Mapping

from cem.driver import Refused
from cem_drivers.modbus import MAX_READ, Bus, Span, split_span
from cem_drivers.sunspec.decode import MAX_SCALE, encode, sentinel
from cem_drivers.sunspec.definition import Definition, definition
from cem_drivers.sunspec.scan import Model

REVERT_S = 60
COUNTED_DOWN_S = 5  # some devices show what is left of a running timer

_LOG = logging.getLogger(__name__)


class Registers:
    """The fixed points of one control model."""

    def __init__(self, bus: Bus, model: Model, max_read: int = MAX_READ) -> None:
        known = definition(model.id)
        assert known is not None
        self.bus = bus
        self.model = model
        self._known: Definition = known
        self._places = {
            point.name: (2 * point.offset, 2 * (point.offset + point.size), point.packed.unpack_from, sentinel(point))
            for point in reversed(known.fixed)
        }  # where a point's bytes begin and end, what reads them, and what they hold where it is not implemented
        self._spans = split_span(Span(model.address, min(model.length + 2, known.fixed_size)), max_read)
        self._block = b""
        self._unkept: set[str] = set()  # the timers of which it was said that the device does not keep them

    async def read(self) -> None:
        """Reads the whole model."""
        self._block = b"".join([await self.bus.read(span.address, span.count) for span in self._spans])

    def given(self, name: str) -> bool:
        """Whether the device has the point and implements it."""
        begin, end, unpack, nothing = self._places[name]
        return end <= len(self._block) and bool(unpack(self._block, begin)[0] != nothing)

    def has(self, name: str) -> bool:
        """Whether the model knows the point at all."""
        return any(point.name == name for point in self._known.fixed)

    def raw(self, name: str) -> int:
        """The point's bits as a whole number, sign applied. Only for a point that is `given`."""
        begin, _, unpack, _ = self._places[name]
        raw = unpack(self._block, begin)[0]
        assert isinstance(raw, int)
        return raw

    def scale(self, name: str) -> int:
        """The scale factor of a point; raises Refused where the device gives none that can be used."""
        factor = self._known.point(name).sf
        if not isinstance(factor, str):
            return factor or 0
        scale = self.raw(factor) if self.given(factor) else None
        if scale is None or not -MAX_SCALE <= scale <= MAX_SCALE:
            seen = "not given" if scale is None else scale
            raise Refused(f"{self.bus.name}: {factor} of model {self.model.id} is {seen}, allowed are -10 to 10")
        return scale

    def scaled(self, name: str) -> float:
        """The value of a number."""
        raw, scale = self.raw(name), self.scale(name)
        return float(raw * 10**scale) if scale >= 0 else raw / 10**-scale

    def encoded(self, name: str, value: float) -> int:
        """The number to write for a value; raises Refused when it does not fit."""
        try:
            return encode(self._known.point(name), value, self.scale(name))
        except ValueError as error:
            raise Refused(f"{self.bus.name}: {error}") from error

    async def write(self, values: Mapping[str, int]) -> None:
        """Writes the points, neighbours in one request, in the order of their addresses."""
        words: dict[int, int] = {}
        for name, value in values.items():
            point = self._known.point(name)
            packed = point.packed.pack(value)
            words.update(enumerate(struct.unpack(f">{point.size}H", packed), point.offset))
        offsets = sorted(words)
        while offsets:
            first = offsets[0]
            run = [words[offset] for index, offset in enumerate(offsets) if offset == first + index]
            await self.bus.write(self.model.address + first, run)
            offsets = offsets[len(run) :]

    def next_count(self, name: str) -> int:
        """The number after the one that a counter of ours holds, remembered as written; it wraps before "not given"."""
        point = self._known.point(name)
        count = (self.raw(name) + 1) % ((1 << 16 * point.size) - 1)
        begin, packed = 2 * point.offset, point.packed.pack(count)
        self._block = self._block[:begin] + packed + self._block[begin + len(packed) :]
        return count

    def some(self, values: Mapping[str, int]) -> dict[str, int]:
        """Those of the points that the device implements."""
        return {name: value for name, value in values.items() if self.given(name)}

    async def arm(self, name: str) -> int:
        """Sets a revert timer and reads it back, before anything is enabled; the seconds that the device keeps.

        0: the device has no such timer, or does not keep what is written.
        """
        if not self.given(name):
            return 0
        await self.write({name: REVERT_S})
        await self.read()
        held = self.raw(name) if self.given(name) else 0
        if held == 0:
            if name not in self._unkept:
                self._unkept.add(name)
                _LOG.warning("%s: %s does not keep what is written; no timer of the device's own", self.bus.name, name)
            return 0
        if name in self._unkept:
            self._unkept.discard(name)
            _LOG.info("%s: %s keeps what is written now: the device's own timer runs again", self.bus.name, name)
        return REVERT_S if REVERT_S - COUNTED_DOWN_S <= held <= REVERT_S else held
