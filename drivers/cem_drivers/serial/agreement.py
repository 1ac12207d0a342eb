"""Telegrams without a check sum: one is believed if it goes on from the one before, or if the next one bears it out."""

from collections.abc import Mapping
from typing import NamedTuple

from cem_drivers.serial.telegram import Code

LONGEST_STEP_WH = 50_000.0
"""No house counts more between two telegrams of its meter, not even over some hours of silence."""
ODD_IN_A_ROW = 4
"""After so many a meter is known to write its numbers with as many digits as they need: then only counters are held
against each other."""

Shape = tuple[tuple[bytes, int], ...]
"""What stands before each value, and how many characters the value has without its sign."""


class Sample(NamedTuple):
    """What is held against the next telegram."""

    shape: Shape
    counters: Mapping[Code, float]


class Agreement:
    """Remembers the last telegram that was believed, and the last one that did not agree with it."""

    def __init__(self) -> None:
        self._believed: Sample | None = None
        self._odd: Sample | None = None
        self._odd_in_a_row = 0
        self._shapeless = False

    def bears_out(self, shape: Shape, values: Mapping[Code, float]) -> bool:
        """Whether the newest telegram is to be believed. The first one is: there is nothing against it."""
        sample = Sample(shape, {code: value for code, value in values.items() if code[1] == 8})
        known = self._believed
        if (
            known is None
            or self._goes_on(known, sample)
            or (self._odd is not None and self._goes_on(self._odd, sample))
        ):
            self._believed, self._odd, self._odd_in_a_row = sample, None, 0
            return True
        if known.shape != shape and _grows(known.counters, sample.counters):
            self._odd_in_a_row += 1
            self._shapeless |= self._odd_in_a_row >= ODD_IN_A_ROW
        self._odd = sample
        return False

    def _goes_on(self, before: Sample, after: Sample) -> bool:
        return (self._shapeless or before.shape == after.shape) and _grows(before.counters, after.counters)


def _grows(before: Mapping[Code, float], after: Mapping[Code, float]) -> bool:
    """Whether every counter of both has grown, and by no more than a house can use."""
    return all(0 <= value - before[code] <= LONGEST_STEP_WH for code, value in after.items() if code in before)
