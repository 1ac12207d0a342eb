"""What every driver of switches knows: the positions of SG Ready, and in which order several switches move."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

SG_READY: Mapping[int, tuple[bool, bool]] = MappingProxyType(
    {1: (True, False), 2: (False, False), 3: (False, True), 4: (True, True)}
)
"""Closed contacts (first, second) of each operating state: 1 locked, 2 normal, 3 recommended, 4 forced
(label of the Bundesverband Waermepumpe; SMA, EDMM-20, Configuration of SG Ready interface)."""


def moving_order(closed: Sequence[bool], wanted: Sequence[bool]) -> tuple[int, ...]:
    """The contacts in the order in which they are set: those that open first, the first of them before the second,
    then all others in the reverse.

    With the contacts of SG Ready no state on the way is then the lock, unless it is where we go or come from.
    """
    opening = [index for index, want in enumerate(wanted) if closed[index] and not want]
    return (*opening, *(index for index in reversed(range(len(wanted))) if index not in opening))
