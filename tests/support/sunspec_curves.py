"""A SunSpec device with curves for grid support, which adopts what it is asked to."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cem_drivers.sunspec.definition import definition
from support.modbus_wire import Registers


def named(model: int, values: Mapping[str, int], groups: int = 0) -> list[int]:
    """A model by point names, everything else zero; `groups` repetitions of zeros behind it."""
    known = definition(model)
    assert known is not None
    words = [0] * (known.fixed_size + groups)
    words[0:2] = [model, len(words) - 2]
    for name, value in values.items():
        point = known.point(name)
        packed = struct.unpack(f">{point.size}H", struct.pack(">" + point.format, value))
        words[point.offset : point.offset + point.size] = packed
    return words


@dataclass
class Adopting:
    """A device that copies the requested curve to the first place and says so."""

    registers: Registers
    model: int
    address: int
    verdict: int = 1  # COMPLETED

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        answer = self.respond(unit, pdu)
        assert answer is not None
        return answer

    def respond(self, unit: int, pdu: bytes) -> bytes | None:
        """The same for a server on real bytes."""
        answer = self.registers.respond(unit, pdu)
        known = definition(self.model)
        assert known is not None
        verb = "Ctl" if self.model == 711 else "Crv"
        request, result = (self.address + known.point(f"Adpt{verb}{end}").offset for end in ("Req", "Rslt"))
        place = self.registers.words[request]
        if pdu[0] == 16 and struct.unpack_from(">H", pdu, 1)[0] == request and place:
            self.registers.words[result] = self.verdict
            if self.verdict == 1:
                self._copy(place)
        return answer

    def _copy(self, place: int) -> None:
        known = definition(self.model)
        assert known is not None
        size = curve_size(self.model)
        first = self.address + known.fixed_size
        read_only = next(point.offset for point in known.curve or known.group if point.name == "ReadOnly")
        for at in range(size):
            if at == read_only:
                continue
            source = first + (place - 1) * size + at
            self.registers.words[first + at] = self.registers.words[source]


POINTS, CURVES = 4, 3


def curve_size(model: int) -> int:
    known = definition(model)
    assert known is not None
    lists = [part for one in known.lists for part in (one.head, *[one.point] * POINTS)]
    return sum(point.size for part in (known.curve or known.group, *lists) for point in part)


def curve_words(model: int) -> list[int]:
    """An empty curve model: three curves of up to four points, scale factors -1 and -2."""
    known = definition(model)
    assert known is not None
    counts = {known.count: CURVES} if model == 711 else {"NPt": POINTS, known.count: CURVES}
    factors = {point.name: -2 if point.name == "DeptRef_SF" else -1 for point in known.fixed if point.type == "sunssf"}
    words = named(model, counts | factors, CURVES * curve_size(model))
    own = known.curve or known.group
    read_only = next(point.offset for point in own if point.name == "ReadOnly")
    words[known.fixed_size + read_only] = 1
    return words
