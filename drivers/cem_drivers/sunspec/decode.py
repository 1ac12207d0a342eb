"""Register bytes of one model to values: scaled, with every sentinel as None, never NaN. Pure.

Source: SunSpec Device Information Model Specification V1.1, clauses on point types and unimplemented values.
"""

import math
import struct
from collections.abc import Iterable
from typing import Any

from cem.driver import Value
from cem_drivers.sunspec.definition import Definition, Point

MAX_SCALE = 10  # sunssf is -10 to 10
_NO_SCALES: dict[str | int | None, int] = {}

Raw = tuple[Any, ...]
"""Numbers and bytes as they stand in registers."""

_SENTINELS: dict[str, int] = {
    "int16": -0x8000, "uint16": 0xFFFF, "acc16": 0, "enum16": 0xFFFF, "bitfield16": 0xFFFF, "raw16": 0xFFFF,
    "count": 0xFFFF, "sunssf": -0x8000, "int32": -0x8000_0000, "uint32": 0xFFFF_FFFF, "acc32": 0,
    "enum32": 0xFFFF_FFFF, "bitfield32": 0xFFFF_FFFF, "int64": -(2**63), "uint64": 2**64 - 1, "acc64": 0,
    "bitfield64": 2**64 - 1,
}  # fmt: skip


class Reader:
    """Decodes some points of a model whose content has `length` registers, whatever the definition says.

    Points beyond the device's length are left out, and those that touch a `missing` offset; `names` None takes all.
    """

    def __init__(
        self,
        definition: Definition,
        length: int,
        names: Iterable[str] | None = None,
        missing: frozenset[int] = frozenset(),
    ) -> None:
        inside = [
            point
            for point in definition.fixed[2:]
            if point.offset + point.size <= length + 2
            and missing.isdisjoint(range(point.offset, point.offset + point.size))
        ]
        wanted = {point.name for point in inside} if names is None else set(names)
        scales = {point.sf for point in inside if point.name in wanted and isinstance(point.sf, str)}
        chosen = [point for point in inside if point.name in wanted or point.name in scales]
        self.names = tuple(point.name for point in chosen if point.name in wanted)
        self._points = tuple(point for point in chosen if point.type != "sunssf" or point.name in wanted)
        place: dict[str | int | None, int] = {
            point.name: index for index, point in enumerate(chosen) if point.type == "sunssf"
        }
        self._scales = tuple(place.values())
        told = [(index, point) for index, point in enumerate(chosen) if point in self._points]
        self._order = tuple(point.name for _, point in told)
        self._numbers = tuple(
            (point, index, _SENTINELS[point.type], place.get(point.sf)) for index, point in told if _is_whole(point)
        )
        self._others = tuple((point, index) for index, point in told if not _is_whole(point))
        self._factors: Raw = ()  # as they stood last
        self._scaled: tuple[tuple[str, int, int, int, int], ...] = ()  # what follows from them, see `_under`
        self._unknown: tuple[str, ...] = ()
        self._struct = _packed(chosen)

    def raw(self, block: bytes) -> Raw:
        """What all the points hold, not yet scaled. `block` begins with the model's identifier word."""
        return self._struct.unpack_from(block)

    def values(self, block: bytes) -> dict[str, Value]:
        """The values by point name."""
        return self.scaled(self.raw(block))

    def scaled(self, raw: Raw) -> dict[str, Value]:
        """The values by point name, of what `raw` gave."""
        factors = tuple([raw[index] for index in self._scales])
        if factors != self._factors or not self._scaled:
            self._factors = factors
            self._under(raw)
        values: dict[str, Value] = {
            name: None if (held := raw[index]) == sentinel else held * times / over
            for name, index, sentinel, times, over in self._scaled
        }
        if not self._unknown and not self._others:
            return values
        values.update(dict.fromkeys(self._unknown))
        for point, index in self._others:
            values[point.name] = _value(point, raw[index], _NO_SCALES)  # text needs none, and no more does a float
        return {name: values[name] for name in self._order}

    def _under(self, raw: Raw) -> None:
        """Works out by what each number is multiplied and divided under the scale factors as they stand."""
        scaled: list[tuple[str, int, int, int, int]] = []
        unknown: list[str] = []
        for point, index, sentinel, scaled_by in self._numbers:
            scale = point.sf if isinstance(point.sf, int) else 0 if point.sf is None else None
            if scaled_by is not None and -MAX_SCALE <= raw[scaled_by] <= MAX_SCALE:
                scale = raw[scaled_by]
            if scale is None:
                unknown.append(point.name)  # without its scale factor a number means nothing
            else:
                scaled.append((point.name, index, sentinel, 10 ** max(scale, 0), 10 ** max(-scale, 0)))
        self._scaled, self._unknown = tuple(scaled), tuple(unknown)


def _is_whole(point: Point) -> bool:
    """Whether a point's registers are a whole number, and not text or a float."""
    return point.type in _SENTINELS


def group_values(definition: Definition, length: int, block: bytes) -> list[dict[str, Value]]:
    """The values of each repetition of the model's group, as many as the device's length holds."""
    size, begin = definition.group_size, definition.fixed_size
    if size == 0 or length + 2 < begin:
        return []
    fixed = definition.fixed
    scale_points = [point for point in fixed if point.type == "sunssf"]
    raw_scales = _packed(scale_points).unpack_from(block)
    scales: dict[str | int | None, int] = {
        point.name: scale
        for point, scale in zip(scale_points, raw_scales, strict=True)
        if -MAX_SCALE <= scale <= MAX_SCALE
    }
    group = _packed(list(definition.group))
    told = _told(definition, block)
    starts = range(begin, length + 3 - size, size)
    return [
        {
            point.name: _value(point, raw, scales)
            for point, raw in zip(definition.group, group.unpack_from(block, 2 * offset), strict=True)
        }
        for offset in (starts if told is None else starts[:told])
    ]


def _told(definition: Definition, block: bytes) -> int | None:
    """How many repetitions the device says that it has, where its model has a point for it and it says any."""
    for point in definition.fixed:
        if point.name == definition.count:
            (raw,) = struct.unpack_from(">H", block, 2 * point.offset)
            return raw if 0 < raw < 0xFFFF else None
    return None


def encode(point: Point, value: float, scale: int) -> int:
    """The number to write for a value; ValueError when it does not fit, or would read as not implemented."""
    raw = round(value * 10.0**-scale)
    try:
        point.packed.pack(raw)
    except struct.error as error:
        raise ValueError(f"{value:g} does not fit into {point.name} with scale factor {scale}") from error
    if raw == _SENTINELS.get(point.type) and not point.type.startswith("acc"):
        raise ValueError(f"{value:g} with scale factor {scale} means 'not implemented' in {point.name}")
    return raw


def sentinel(point: Point) -> int | None:
    """What a point holds that is not implemented; None where nothing says so."""
    return _SENTINELS.get(point.type)


def is_given(point: Point, block: bytes) -> bool:
    """Whether a point of a model's block is implemented."""
    raw = point.packed.unpack_from(block, 2 * point.offset)[0]
    return bool(raw != _SENTINELS.get(point.type))


def _packed(points: list[Point]) -> struct.Struct:
    """One unpacking for all the points; what lies between is skipped."""
    parts, at = [">"], 0
    for point in points:
        if point.offset > at:
            parts.append(f"{2 * (point.offset - at)}x")
        parts.append(point.format)
        at = point.offset + point.size
    return struct.Struct("".join(parts))


def _text(raw: bytes) -> str:
    """A string point: up to the first NUL, in whatever encoding the maker chose, without what can't be printed."""
    raw = raw.split(b"\0", 1)[0].rstrip(b"\xff")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return "".join(letter for letter in text if letter.isprintable()).strip()


def _value(point: Point, raw: int | float | bytes, scales: dict[str | int | None, int]) -> Value:
    if isinstance(raw, bytes):
        return _text(raw) or None
    if isinstance(raw, float):
        return raw if math.isfinite(raw) else None
    if raw == _SENTINELS.get(point.type):
        return None
    return _scaled(point, raw, scales)


def _scaled(point: Point, raw: int, scales: dict[str | int | None, int]) -> float | None:
    if point.sf is None:
        return float(raw)
    scale = point.sf if isinstance(point.sf, int) else scales.get(point.sf)
    if scale is None:
        return None  # without its scale factor a number means nothing
    return float(raw * 10**scale) if scale >= 0 else raw / 10**-scale
