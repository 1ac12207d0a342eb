"""Values of the Smart Message Language as they lie on the line (SML 1.04, BSI TR-03109-1 annex IV, clause 6)."""

from typing import NamedTuple, TypeAlias

DEEPEST = 8
"""Lists within lists; a message of a meter needs five."""
END_OF_MESSAGE = 0x00
ABSENT = 0x01


class Whole(NamedTuple):
    """A whole number, with how it was coded: that is what shows the known mistakes of some meters."""

    value: int
    signed: bool
    size: int


Value: TypeAlias = "bytes | bool | Whole | list[Value] | None"


class BrokenValue(ValueError):  # noqa: N818 - what was found, not what happened
    """Bytes that are no SML value."""


def value_at(data: bytes, at: int, depth: int = 0) -> tuple[Value, int]:
    """The value that begins at a place, and where the next one begins. Raises BrokenValue, IndexError."""
    first = data[at]
    at += 1
    if first in (ABSENT, END_OF_MESSAGE):
        return None, at
    kind, length, octets = first >> 4 & 7, first & 0x0F, 1
    more = first
    while more & 0x80:
        more = data[at]
        if more & 0x70 or octets == 4:
            raise BrokenValue(f"length field 0x{first:02x} 0x{more:02x}")
        length = length << 4 | more & 0x0F
        at += 1
        octets += 1
    if kind == 7:
        if depth == DEEPEST or length > len(data) - at:
            raise BrokenValue(f"list of {length} at depth {depth}")
        items: list[Value] = []
        for _ in range(length):
            item, at = value_at(data, at, depth + 1)
            items.append(item)
        return items, at
    end = at + length - octets
    if end < at or end > len(data):
        raise BrokenValue(f"{length} octets at {at} of {len(data)}")
    content = data[at:end]
    if kind == 0:
        return content, end
    if not content:
        raise BrokenValue("a number without octets")
    if kind in (5, 6):
        return Whole(int.from_bytes(content, "big", signed=kind == 5), kind == 5, len(content)), end
    if kind == 4:
        return any(content), end
    raise BrokenValue(f"type 0x{first:02x}")
