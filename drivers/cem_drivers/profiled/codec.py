"""Registers to values and back. Pure."""

import math
import struct

from cem.driver import Value
from cem_drivers.profiled.schema import WordOrder, words_of

_FORMATS = {
    "uint16": ">H",
    "int16": ">h",
    "uint32": ">I",
    "int32": ">i",
    "uint64": ">Q",
    "int64": ">q",
    "float32": ">f",
    "float64": ">d",
    "bitfield16": ">H",
    "bitfield32": ">I",
}
SMALLEST = 1e-30
"""Of a float that is meant: 230.0 with its two words exchanged reads as 2e-41."""


def ordered(raw: bytes, order: WordOrder) -> bytes:
    """Most significant register first; its own inverse."""
    if order == "big" or len(raw) == 2:
        return raw
    return b"".join(raw[at : at + 2] for at in range(len(raw) - 2, -1, -2))


def decode(kind: str, raw: bytes, order: WordOrder = "big") -> Value:
    """The value that registers hold; None for a float that is no number, or smaller than anything that is measured
    (its words lie the wrong way round then), and for text that is empty or no text. Text may hold one character in each
    register, in its low byte."""
    if kind.startswith("string:"):
        letters = raw[1::2] if not any(raw[::2]) else raw
        text = letters.split(b"\0", 1)[0].decode("ascii", "replace").strip()
        return text if text and text.isprintable() and "\ufffd" not in text else None
    value: float = struct.unpack(_FORMATS[kind], ordered(raw, order))[0]
    absurd = kind.startswith("float") and 0.0 < abs(value) < SMALLEST
    return value if math.isfinite(value) and not absurd else None


def bits_of(raw: bytes, order: WordOrder = "big") -> int:
    """The registers as one unsigned number, as sentinels are written."""
    return int.from_bytes(ordered(raw, order), "big")


def encode(kind: str, value: float, order: WordOrder = "big") -> list[int]:
    """The registers for a raw value. ValueError when it does not fit the type or is no number."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number")
    number = value if kind.startswith("float") else int(value)
    try:
        raw = ordered(struct.pack(_FORMATS[kind], number), order)
    except (struct.error, OverflowError):
        raise ValueError(f"{value:g} does not fit into {kind}") from None
    return list(struct.unpack(f">{words_of(kind)}H", raw))


def whole(value: float) -> float:
    """Cut towards zero: what is written never asks for more than was allowed."""
    return float(math.trunc(value + math.copysign(1e-6, value)))
