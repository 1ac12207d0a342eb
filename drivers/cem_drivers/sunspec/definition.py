"""The published model definitions, read from the pinned data and laid out for the length that a device announces."""

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.resources import files
from types import MappingProxyType
from typing import Any

_FORMATS = {
    "int16": "h", "uint16": "H", "acc16": "H", "enum16": "H", "bitfield16": "H", "raw16": "H", "pad": "H",
    "count": "H", "sunssf": "h", "int32": "i", "uint32": "I", "acc32": "I", "enum32": "I", "bitfield32": "I",
    "ipaddr": "I", "int64": "q", "uint64": "Q", "acc64": "Q", "bitfield64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip


@dataclass(frozen=True)
class Point:
    """One point of a model. Offsets and sizes are registers, counted from the model's identifier word."""

    name: str
    type: str
    offset: int
    size: int
    sf: str | int | None
    symbols: Mapping[int, str]

    @cached_property
    def format(self) -> str:
        """The struct format of the raw value."""
        return _FORMATS.get(self.type, f"{2 * self.size}s")

    @cached_property
    def packed(self) -> struct.Struct:
        """The raw value alone as bytes, and back."""
        return struct.Struct(">" + self.format)


@dataclass(frozen=True)
class PointList:
    """A list of points of a curve, as many as the model says for all: `head` goes before them, once."""

    name: str  # of the group that it is, "" where the curve has but one
    head: tuple[Point, ...]
    point: tuple[Point, ...]  # one of the list: its x and its y


@dataclass(frozen=True)
class Definition:
    """One model: its fixed points, and the points of its repeating group with offsets from the group's begin."""

    id: int
    name: str
    fixed: tuple[Point, ...]
    group: tuple[Point, ...]  # () where the model has none, or one of groups within groups
    count: str  # the point that tells how many groups there are; "" where none does
    curve: tuple[Point, ...] = ()  # of the group that has groups within: one curve without its points
    lists: tuple[PointList, ...] = ()  # of each curve, in the order of its registers

    @cached_property
    def fixed_size(self) -> int:
        """Registers of the fixed part, identifier and length words included."""
        return self.fixed[-1].offset + self.fixed[-1].size

    @property
    def group_size(self) -> int:
        """Registers of one group; 0 where there is none."""
        return self.group[-1].offset + self.group[-1].size if self.group else 0

    def point(self, name: str) -> Point:
        """A fixed point by name; KeyError if the model has none."""
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Point]:
        return {point.name: point for point in reversed(self.fixed)}


@cache
def definition(model: int) -> Definition | None:
    """The definition of a model, None for one that we don't carry."""
    file = files("cem_drivers.sunspec") / "models" / f"model_{model}.json"
    if not file.is_file():
        return None
    group = json.loads(file.read_text(encoding="utf-8"))["group"]
    inner = group.get("groups", [])
    fixed = _points(group["points"])
    if not inner:
        return Definition(model, group["name"], fixed, (), "")
    if all(part["type"] == "sync" for part in inner):  # each there once: a plain continuation
        return Definition(model, group["name"], _continued(fixed, inner), (), "")
    first = inner[0]
    count = first["count"] if isinstance(first.get("count"), str) else _COUNTS.get(model, "")
    deeper = first.get("groups", [])
    if not deeper:
        return Definition(model, group["name"], fixed, _points(first["points"]), count)
    lists = tuple(_list(part) for part in deeper)
    return Definition(model, group["name"], fixed, (), count, _points(first["points"]), lists)


_COUNTS = {160: "N"}  # named in the description only


def _list(part: dict[str, Any]) -> PointList:
    """The points of a curve, or a group of it that has points of its own (707 to 710)."""
    inner = part.get("groups", [])
    if not inner:
        return PointList("", (), _points(part["points"]))
    return PointList(part["name"], _points(part["points"]), _points(inner[0]["points"]))


def _continued(fixed: tuple[Point, ...], groups: list[dict[str, Any]]) -> tuple[Point, ...]:
    """The fixed points with those of the groups behind them, named "group.point"."""
    points = list(fixed)
    for group in groups:
        begin = points[-1].offset + points[-1].size
        points += [
            replace(point, name=f"{group['name']}.{point.name}", offset=begin + point.offset)
            for point in _points(group["points"])
        ]
    return tuple(points)


def _points(raw: list[dict[str, Any]]) -> tuple[Point, ...]:
    points: list[Point] = []
    offset = 0
    for entry in raw:
        size = entry["size"]
        symbols = {symbol["value"]: symbol["name"] for symbol in entry.get("symbols", [])}
        points.append(Point(entry["name"], entry["type"], offset, size, entry.get("sf"), MappingProxyType(symbols)))
        offset += size
    assert all(struct.calcsize(">" + point.format) == 2 * point.size for point in points)
    return tuple(points)
