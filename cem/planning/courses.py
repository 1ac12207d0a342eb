"""Ways in which the next day may come: what is expected, with the deviations of days that were.

A band per slot does not tell whether a dull hour is followed by another one, nor whether much load comes with little
sun. Days that were recorded do: each gives one course, whose deviation from the mean of all of them is added to what is
expected, less of it in the next hours, of which the last hour tells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import exp
from typing import Final
from zoneinfo import ZoneInfo

from cem.model.plan import Course
from cem.model.site import Place
from cem.planning.carry import is_weekend
from cem.planning.forecast import LEAST_DAYS, RECENT_DAYS, SAME_WEEKDAY, STEP_S, Forecast, grown
from cem.planning.past import DAY_S, Past
from cem.planning.sky import as_on

MOST: Final = 10
"""Courses: each is a programme to solve with every plan."""
DAYS: Final = 14
"""From so many they are chosen."""


def courses_of(
    past: Past, edges: Sequence[datetime], zone: str, load: Forecast, sun: Forecast, place: Place | None = None
) -> tuple[Course, ...]:
    """Of the last days, recent ones and those of the same kind first; none where too few are known.

    Where the place is known, suns are those that the days would have had in the season of now.

    A quarter hour that is missing counts as no deviation. Days are those of 24 hours: for two weeks after a change of
    the clocks, those before it are an hour off.
    """
    begin_s = edges[0].timestamp()
    slots = _Slots(
        tuple(int((a + (b - a) / 2).timestamp() // STEP_S) for a, b in pairwise(edges)), int(begin_s // STEP_S)
    )
    loads, suns = (one.quarters(begin_s - (DAYS + 2) * DAY_S, begin_s) for one in (past.load, past.generation))
    suns = as_on(slots.now, suns, place)
    middle = edges[0] + (edges[-1] - edges[0]) / 2
    weights = {back: _weight(middle, back, zone) for back in range(1, DAYS + 1) if slots.known(loads, back)}
    chosen = dict(sorted(weights.items(), key=lambda day: -day[1])[:MOST])
    if len(chosen) < LEAST_DAYS:
        return ()
    load_w, pv_w = slots.ways(loads, chosen, load), slots.ways(suns, chosen, sun)
    return tuple(Course(weight, load_w[back], pv_w[back]) for back, weight in chosen.items())


def _weight(middle: datetime, back: int, zone: str) -> float:
    """Of the day so many days ago: how near it is, and whether it is a working day or weekend as this one is."""
    local = middle.astimezone(ZoneInfo(zone))
    day, then = local.date().toordinal(), (local - timedelta(days=back)).date().toordinal()
    same = is_weekend(day - _FIRST) == is_weekend(then - _FIRST)
    return exp(-back / RECENT_DAYS) * (SAME_WEEKDAY if same else 1.0)


_FIRST: Final = datetime(1970, 1, 1).toordinal()  # noqa: DTZ001 - a calendar's day


@dataclass(frozen=True, slots=True)
class _Slots:
    """The quarter hours of the slots, and the one that has begun: numbers since 1970."""

    numbers: tuple[int, ...]
    now: int

    def known(self, values: Mapping[int, float], back: int) -> bool:
        """Whether most of a day was recorded."""
        return sum([then in values for then in self._thens(back)]) > 0.9 * len(self.numbers)

    def _thens(self, back: int) -> list[int]:
        """The same quarter hours so many days ago; of a day that is not over yet, those of the day before."""
        away, now = 96 * back, self.now
        return [number - away if number - away < now else number - away - 96 for number in self.numbers]

    def ways(
        self, values: Mapping[int, float], days: Mapping[int, float], forecast: Forecast
    ) -> dict[int, tuple[float, ...]]:
        """By day the course that it gives, in W."""
        rows = [[values.get(then) for then in self._thens(back)] for back in days]
        weights, made = tuple(days.values()), []
        for number, expected, were in zip(self.numbers, forecast.expected_w, zip(*rows, strict=True), strict=True):
            known = [(weight, value) for weight, value in zip(weights, were, strict=True) if value is not None]
            total = sum([weight for weight, _ in known])
            mean = sum([weight * value for weight, value in known]) / total if known else 0.0
            share = grown(forecast.carry.at(max(number - self.now, 0) / 4.0))
            made.append([max(expected + share * ((mean if was is None else was) - mean), 0.0) for was in were])
        return dict(zip(days, zip(*made, strict=True), strict=True))
