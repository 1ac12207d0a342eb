"""How much longer a car takes towards its end than at its full power: learnt of the charges that were recorded.

A battery that is nearly full takes less and less. Who does not know it plans a charge into the cheap hour of which the
last part comes after it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final

from cem.planning.past import DAY_S, Course

DRAWS_W: Final = 100.0
FULL: Final = 0.93
"""Of the highest power of a charge: from there on it is full power."""
AT_FULL: Final = 0.8
"""Of what its charging point gives: a charge that never came so far was bounded, and tells nothing."""
WAVERS: Final = 1.03
"""A minute's mean may be so much higher than the one before in a power that falls."""
LONGEST_MIN: Final = 120
LAST: Final = 8
"""Charges that are looked at."""
ENOUGH: Final = 2
LOOK_BACK_DAYS: Final = 28


@dataclass(frozen=True, slots=True)
class Tail:
    """The last `energy_wh` of a charge, measured at the charging point, take `longer_h` longer than at full power."""

    energy_wh: float = 0.0
    longer_h: float = 0.0

    def slower_h(self, energy_wh: float) -> float:
        """How much longer so much takes, the end included."""
        if energy_wh >= self.energy_wh or self.energy_wh <= 0.0:
            return self.longer_h
        return self.longer_h * energy_wh / self.energy_wh


NO_TAIL: Final = Tail()


def tail_of(course: Course, now_s: float, most_w: float) -> Tail:
    """The median of the last charges that ran at full power before they ended; no tail where fewer than two are known.

    `course`: the car's power. `most_w`: what its charging point gives.
    """
    minutes = course.minutes(now_s - LOOK_BACK_DAYS * DAY_S, now_s)
    found = [tail for charge in _charges(minutes) if (tail := _tail(charge, most_w)) is not None][-LAST:]
    if len(found) < ENOUGH:
        return NO_TAIL
    return Tail(median(tail.energy_wh for tail in found), median(tail.longer_h for tail in found))


def _charges(minutes: Sequence[tuple[int, float]]) -> Iterator[list[float]]:
    """The powers of each charge that is over, minute by minute."""
    charge: list[float] = []
    for _, power_w in minutes:
        if power_w > DRAWS_W:
            charge.append(power_w)
        elif charge:
            yield charge
            charge = []


def _tail(charge: list[float], most_w: float) -> Tail | None:
    """Of one charge; None where its power did not fall by itself from full power on."""
    full_w = median(sorted(charge)[-5:])
    if full_w < AT_FULL * most_w:
        return None
    last = max(at for at, power_w in enumerate(charge) if power_w >= FULL * full_w)
    end = charge[last + 1 : -1]  # the last minute was not whole
    if len(end) > LONGEST_MIN or any(b > WAVERS * a for a, b in pairwise(end)):
        return None
    return Tail(sum(end) / 60.0, sum(1.0 - power_w / full_w for power_w in end) / 60.0)
