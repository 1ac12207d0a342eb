"""Register types of a profile: raw values to words and back, and what a type can hold."""

import math
import struct
from collections.abc import Sequence

_CODES = {
    "uint16": "H",
    "int16": "h",
    "bitfield16": "H",
    "uint32": "I",
    "int32": "i",
    "bitfield32": "I",
    "float32": "f",
    "uint64": "Q",
    "int64": "q",
    "float64": "d",
}
TYPES = (*_CODES, "string:N")


def known_type(kind: str) -> bool:
    """Whether it is one of the format's types."""
    return kind in _CODES or (kind.startswith("string:") and kind[7:].isdigit() and int(kind[7:]) > 0)


def is_text(kind: str) -> bool:
    """Whether it holds text."""
    return kind.startswith("string:")


def is_float(kind: str) -> bool:
    """Whether it holds IEEE 754 numbers."""
    return kind.startswith("float")


def size_of(kind: str) -> int:
    """Registers taken."""
    return int(kind[7:]) if is_text(kind) else int(kind[-2:]) // 16


def bounds_of(kind: str) -> tuple[float, float]:
    """The smallest and the largest raw number."""
    if is_float(kind):
        return (-1e30, 1e30)
    bits = int(kind[-2:])
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if kind.startswith("int") else (0.0, 2.0**bits - 1)


def to_words(kind: str, raw: float | str, order: str) -> tuple[int, ...]:
    """A raw value as it lies in the registers; a number beyond the type is cut to what it can hold."""
    count = size_of(kind)
    if is_text(kind):
        text = str(raw).encode("ascii", "replace")[: 2 * count].ljust(2 * count, b"\0")
        return struct.unpack(f">{count}H", text)
    number = float(raw)
    if is_float(kind):
        packed = struct.pack(f">{_CODES[kind]}", number)
    else:
        low, high = bounds_of(kind)
        whole = (
            0 if math.isnan(number) else int(low) if number <= low else int(high) if number >= high else round(number)
        )
        packed = struct.pack(f">{_CODES[kind]}", whole)
    words = struct.unpack(f">{count}H", packed)
    return words[::-1] if order == "little" else words


def sentinel_words(kind: str, bits: int, order: str) -> tuple[int, ...]:
    """A bit pattern as it lies in the registers."""
    count = size_of(kind)
    words = tuple(bits >> 16 * at & 0xFFFF for at in range(count - 1, -1, -1))
    return words[::-1] if order == "little" else words


def from_words(kind: str, words: Sequence[int], order: str) -> float:
    """The raw number in the registers."""
    given = words[::-1] if order == "little" else words
    (number,) = struct.unpack(f">{_CODES[kind]}", struct.pack(f">{len(given)}H", *given))
    return float(number)
