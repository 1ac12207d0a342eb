"""What the registers read so far mean: points, values and what is derived from them. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cem.driver import Value
from cem_drivers.profiled.codec import bits_of, decode
from cem_drivers.profiled.schema import DeriveRow, Profile, ValueRow

MAX_EXPONENT = 10


@dataclass(frozen=True, slots=True)
class Known:
    """A value and when it was read; None where the device says that it does not know, or says what can't be."""

    value: Value
    taken_at_s: float


def read_row(profile: Profile, row: ValueRow, raw: bytes, exponent: Value = 0) -> Value:
    """One value from its own registers."""
    order = row.word_order or profile.link.word_order
    if row.nan and bits_of(raw, order) in row.nan:
        return None
    value = decode(row.type, raw, order)
    if row.map is not None:
        return None if value is None else row.map.get(_code(value))
    if not isinstance(value, float | int):
        return value
    if not isinstance(exponent, float | int) or not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        return None
    scaled = value * 10.0 ** int(exponent) if exponent else float(value)
    return in_range(scaled * row.scale + row.offset, row.range)


def in_range(value: float, limits: Sequence[float] | None) -> float | None:
    """The value if it can be, rounded to what a float holds; None beyond the limits."""
    if limits is not None and not limits[0] <= value <= limits[1]:
        return None
    return round(value, 9)


def derived(rows: Iterable[DeriveRow], known: Mapping[str, Known]) -> dict[str, Known]:
    """`known` and what follows from it; as old as the oldest source."""
    found = dict(known)
    for row in rows:
        sources = [found[name] for name in row.sources if name in found]
        if len(sources) == len(row.sources):
            value = _rule(row, [source.value for source in sources])
            found[row.id] = Known(value, min(source.taken_at_s for source in sources))
    return found


def _rule(row: DeriveRow, values: list[Value]) -> Value:
    if any(value is None for value in values):
        return None
    if row.map is not None:
        return _ranged(row, row.map.codes.get(_code(values[0]), row.map.other))
    numbers = [float(value) for value in values if isinstance(value, float | int)]
    if len(numbers) < len(values):
        return None
    if row.bit is not None:
        return _ranged(row, row.bit.set if int(numbers[0]) >> row.bit.bit & 1 else row.bit.clear)
    if row.ratio is not None:
        return _ranged(row, numbers[0] / numbers[1] if numbers[1] else None)
    if row.diff is not None:
        return _ranged(row, numbers[0] - numbers[1])
    if row.sum is not None:
        return _ranged(row, sum(numbers))
    if row.product is not None:
        return _ranged(row, math.prod(numbers))
    return _ranged(row, min(numbers) if row.min is not None else max(numbers))


def _ranged(row: DeriveRow, value: Value) -> Value:
    return in_range(value * row.scale, row.range) if isinstance(value, float | int) else value


def _code(value: Value) -> str:
    """A code as the keys of a map are written."""
    return str(int(value)) if isinstance(value, float | int) and value == int(value) else str(value)


def read_image(profile: Profile, image: Mapping[tuple[int, int], int], taken_at_s: float = 0.0) -> dict[str, Known]:
    """All that can be told from single registers, (function, address) to value: for golden cases."""
    raws = {
        row.id: b"".join(image[row.fc, at].to_bytes(2, "big") for at in range(row.at, row.at + row.words))
        for row in profile.rows
        if all((row.fc, at) in image for at in range(row.at, row.at + row.words))
    }
    return from_raws(profile, {name: (raw, taken_at_s) for name, raw in raws.items()})


def from_raws(profile: Profile, raws: Mapping[str, tuple[bytes, float]]) -> dict[str, Known]:
    """Every value of a profile from the registers of its rows and when they were read."""
    known: dict[str, Known] = {}
    ordered = sorted(profile.rows, key=lambda row: row.exponent is not None)
    for row in ordered:
        if row.id not in raws or (row.exponent is not None and row.exponent not in known):
            continue
        raw, taken_at_s = raws[row.id]
        exponent = known[row.exponent].value if row.exponent is not None else 0
        known[row.id] = Known(read_row(profile, row, raw, exponent), taken_at_s)
    return derived(profile.derive, known)
