"""How long what was unusual in the last hour stays so: learnt of each power, since houses and skies differ.

Where a kettle makes the last hour's surprise, the next hour knows nothing of it; where a room is cooled, or clouds
stand, half a day does. What is learnt is how the deviation from other days went on, of everything that was recorded.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

LAST: Final = 4
"""Quarter hours that are looked back at."""
AHEAD: Final = (0, 4, 8, 16, 32)
"""Quarter hours to come in whose means the deviation is looked for."""
USUAL_DAYS: Final = 3.0
"""What is usual weighs like so many days of the house's own."""
FADES_H: Final = (0.5, 8.0)
LEAST_OFF: Final = 10.0
"""W; deviations of this size are as good as none, and leave what is usual."""
LEAST_SHARE: Final = 0.02
"""The same where deviations are shares of what is usual."""
FAINT: Final = 0.15
"""Of a day's highest: so much is added to what a quarter hour usually makes, or a dawn would say too much of a day."""


@dataclass(frozen=True, slots=True)
class Carry:
    """The share of the last hour's deviation that is expected in `hours` from now."""

    share: float
    fades_h: float

    def at(self, hours: float) -> float:
        """Between 0 and 1, falling."""
        return self.share * math.exp(-hours / self.fades_h)


class OtherDays:
    """Deviations of quarter hours from the mean of the same ones of other days.

    `values` by number of the quarter hour in the time that the day's pattern follows. `weekends`: they are days of a
    kind of their own. `relative`: deviations are shares of what is usual, as those of the sun are.
    """

    def __init__(self, values: Mapping[int, float], *, weekends: bool, relative: bool) -> None:
        sums: dict[tuple[int, bool], tuple[float, int]] = {}
        for number, value in values.items():
            key = number % 96, weekends and is_weekend(number // 96)
            total, count = sums.get(key, (0.0, 0))
            sums[key] = total + value, count + 1
        first, last = min(values, default=0), max(values, default=-1)
        self.days = (last + 1 - first) / 96.0
        usual, off = [], []
        for number in range(first, last + 1):
            total, count = sums.get((number % 96, weekends and is_weekend(number // 96)), (0.0, 0))
            known = values.get(number)
            mean = 0.0 if known is None or count < 2 else (total - known) / (count - 1)
            usual.append(mean)
            off.append(0.0 if known is None or count < 2 else known - mean)
        self._relative = relative
        self._faint = FAINT * max((total / count for total, count in sums.values()), default=0.0)
        self._usual = [0.0, *accumulate(usual)]
        self._off = [0.0, *accumulate(off)]

    def carry(self, usually: Carry) -> Carry:
        """What the house's days tell, beside what is usual."""
        known = self.days / (self.days + USUAL_DAYS)
        hours = [(end - begin) / 4.0 for begin, end in pairwise(AHEAD)]
        kept = []
        for begin, end in pairwise(AHEAD):
            expected = _mean(usually, begin / 4.0, end / 4.0)
            kept.append(max(known * self._share(begin, end, expected) + (1.0 - known) * expected, 0.0))
        if kept[0] <= 0.0:
            return Carry(0.0, FADES_H[0])
        whole = sum(share * length for share, length in zip(kept, hours, strict=True)) / sum(hours)
        fades_h = _fading(whole / kept[0], hours[0], sum(hours))
        return Carry(min(kept[0] / _mean(Carry(1.0, fades_h), 0.0, hours[0]), 1.0), fades_h)

    def _share(self, begin: int, end: int, expected: float) -> float:
        """By least squares the part of a deviation that is still there in the quarter hours from `begin` to `end`."""
        off, usual, least = self._off, self._usual, LEAST_SHARE if self._relative else LEAST_OFF
        both = square = 0.0
        for at in range(LAST, len(off) - end):
            seen = off[at] - off[at - LAST]
            seen = share_of(seen, usual[at] - usual[at - LAST], self._faint) if self._relative else seen / LAST
            weight = usual[at + end] - usual[at + begin] if self._relative else float(end - begin)
            faint = (least * weight) ** 2
            both += seen * weight * (off[at + end] - off[at + begin]) + faint * expected
            square += (seen * weight) ** 2 + faint
        return both / square if square > 0.0 else expected


def share_of(off: float, usual: float, faint: float, count: int = LAST) -> float:
    """The deviation of `count` quarter hours as a share of what is usual, from the sums of both."""
    return off / (usual + count * faint) if usual + faint > 0.0 else 0.0


def is_weekend(day: int) -> bool:
    """Of the days since 1970."""
    return (day + 3) % 7 >= 5  # day 0 was a Thursday


def _mean(carry: Carry, begin_h: float, end_h: float) -> float:
    """Over a time to come."""
    fades = carry.fades_h
    return carry.share * fades * (math.exp(-begin_h / fades) - math.exp(-end_h / fades)) / (end_h - begin_h)


def _fading(ratio: float, first_h: float, all_h: float) -> float:
    """The time of fading with which the mean over all hours is so much of that over the first ones."""
    low, high = FADES_H
    for _ in range(20):
        middle = (low + high) / 2.0
        one = Carry(1.0, middle)
        if _mean(one, 0.0, all_h) < ratio * _mean(one, 0.0, first_h):
            low = middle
        else:
            high = middle
    return (low + high) / 2.0
