"""Known mistakes of makers in coding numbers, and what is made of them."""

from collections.abc import Iterable
from dataclasses import dataclass

from cem_drivers.serial.server_id import ServerId
from cem_drivers.serial.sml_values import Whole
from cem_drivers.serial.telegram import Code

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Miscoded:
    """Values that some meters of a maker code as signed although they fill all bits: 0x8B28 is 356.24 W, no -299.12 W.

    Affected are `codes` in at most `octets` octets of meters whose number lies in one of `wrong`; those in one of
    `right` are sound; of all others nobody knows.
    """

    letters: str
    codes: frozenset[Code]
    octets: int
    wrong: tuple[Span, ...]
    right: tuple[Span, ...]


def settled(miscoded: Iterable[Miscoded], who: ServerId, code: Code, value: Whole) -> tuple[int, int | None]:
    """The number that is meant; and where that is not sure, the other one that may be meant."""
    number = value.value
    if number >= 0 or not value.signed:
        return number, None
    for quirk in miscoded:
        if quirk.letters != who.letters or code not in quirk.codes or value.size > quirk.octets:
            continue
        positive = number + (1 << 8 * value.size)
        if _within(who.number, quirk.wrong):
            return positive, None
        return number, None if _within(who.number, quirk.right) else positive
    return number, None


def _within(number: int | None, spans: Iterable[Span]) -> bool:
    return number is not None and any(first <= number <= last for first, last in spans)
