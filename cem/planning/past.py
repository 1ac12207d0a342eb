"""What the house took and made so far, kept from plan to plan: only what is new is asked for and averaged.

A month of minutes of every meter would else be read, added up and averaged anew for each plan.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from cem.model.resource import Resource, Role
from cem.model.site import LoadPolicy, LoadRun, Site

QUARTER_S: Final = 900
DAY_S: Final = 86400
LOOK_BACK_DAYS: Final = 28
"""Weekends are learnt apart from working days."""
KEPT_DAYS: Final = 31
"""A whole month, for its highest import."""
LOAD_SIGNAL: Final = "site.load_w"
"""Key of the history of what is not controllable; where it is missing, the meter less the known devices stands in."""

T = TypeVar("T")
Minutes = Sequence[tuple[int, float]]
"""(start of the minute in Unix seconds, W), oldest first, gaps left out."""


class Course:
    """The minute means of one power, and their means by quarter hour (number since 1970)."""

    def __init__(self, minutes: Minutes = ()) -> None:
        self._starts = array("q")
        self._values = array("d")
        self._means: dict[int, float] = {}  # in order of time; without a quarter that has no value that is a number
        self._learnt: dict[tuple[str, int], Any] = {}
        self.extend(minutes)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def extend(self, minutes: Minutes) -> None:
        """Adds minutes; whatever was known from the first of them on is replaced."""
        if not minutes:
            return
        starts = self._starts
        first = bisect_left(starts, minutes[0][0])
        del starts[first:], self._values[first:]
        starts.extend([start for start, _ in minutes])
        self._values.extend([value for _, value in minutes])
        quarter = minutes[0][0] // QUARTER_S
        while self._means and next(reversed(self._means)) >= quarter:
            self._means.popitem()
        begin = bisect_left(starts, quarter * QUARTER_S)
        while begin < len(starts):
            quarter = starts[begin] // QUARTER_S
            end = bisect_left(starts, (quarter + 1) * QUARTER_S, begin)
            mean = self._mean(begin, end)
            if mean is not None:
                self._means[quarter] = mean
            begin = end

    def forget(self, before_s: int) -> None:
        """Drops the quarters that end by then."""
        quarter = before_s // QUARTER_S
        first = bisect_left(self._starts, quarter * QUARTER_S)
        del self._starts[:first], self._values[:first]
        while self._means and (oldest := next(iter(self._means))) < quarter:
            del self._means[oldest]

    def learnt(self, kind: str, day: int, learn: Callable[[], T]) -> T:
        """What was learnt of the time before a day (number since 1970); worked out once for the last day asked for."""
        if (kind, day) not in self._learnt:
            self._learnt = {(kind, day): learn()}
        found: T = self._learnt[kind, day]
        return found

    def minutes(self, since_s: float = -math.inf, until_s: float = math.inf) -> list[tuple[int, float]]:
        """(start in Unix seconds, mean) of those that begin in [since_s, until_s), oldest first."""
        first, end = bisect_left(self._starts, since_s), bisect_left(self._starts, until_s)
        return list(zip(self._starts[first:end], self._values[first:end], strict=True))

    def quarters(self, since_s: float, until_s: float) -> dict[int, float]:
        """Means by quarter of the minutes that begin in [since_s, until_s), full and begun ones, oldest first."""
        starts = self._starts
        first, end = bisect_left(starts, since_s), bisect_left(starts, until_s)
        if first >= end:
            return {}
        oldest, newest = starts[first] // QUARTER_S, starts[end - 1] // QUARTER_S
        found = {quarter: mean for quarter, mean in self._means.items() if oldest <= quarter <= newest}
        for quarter in {oldest, newest}:  # the only ones of which minutes may lie outside
            begin = bisect_left(starts, quarter * QUARTER_S, first, end)
            mean = self._mean(begin, bisect_left(starts, (quarter + 1) * QUARTER_S, begin, end))
            if mean is not None:
                found[quarter] = mean
            else:
                found.pop(quarter, None)
        return found

    def _mean(self, begin: int, end: int) -> float | None:
        good: Sequence[float] = self._values[begin:end]
        if not math.isfinite(sum(good)):
            good = [value for value in good if math.isfinite(value)]
        return sum(good) / len(good) if good else None


@dataclass(frozen=True, slots=True)
class CarPast:
    """A charging point: 1 while a car was plugged in, else 0, known where its habits are learnt; its power."""

    plugged: Course
    power: Course


class Past:
    """What the forecasts of one site look at: `load`, `generation` as a magnitude, and the `grid`, import positive.

    `apart` are the loads and heat pumps that are planned for themselves, and so are no part of `load`; `cars` what each
    charging point gave, and whether a car was there where its habits are learnt.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        roles = (Role.GRID, Role.PV, Role.BATTERY, Role.EV)
        known = [resource.id for role in roles for resource in site.of(role)]
        self._apart = sorted(planned_apart(site))
        self._forget()
        self._asked = tuple(f"{resource_id}.power_w" for resource_id in known)
        others = (f"{resource_id}.power_w" for resource_id in self._apart)
        self.signals = (*self._asked, *others, *(f"{resource_id}.plugged" for resource_id in site.learnt_cars))
        """What is to be asked of the record."""
        self._until_s = 0

    def _forget(self) -> None:
        self.load, self.generation, self.grid = Course(), Course(), Course()
        self.apart = {resource_id: Course() for resource_id in self._apart}
        self.cars = {car.id: CarPast(Course(), Course()) for car in self._site.of(Role.EV)}
        self._told_s: dict[str, int] = {}  # by signal the last minute that it had

    def since_s(self, until_s: int) -> int:
        """From when on minutes are wanted of all signals, when what began before `until_s` is asked for.

        What one of them has not told yet may still come. A clock that went back makes everything new.
        """
        oldest_s = until_s - KEPT_DAYS * DAY_S
        if until_s < self._until_s:
            self._forget()
        self._until_s = until_s
        # what is planned apart may tell no power at all, and an older record not what is plugged in
        return max(oldest_s, min((self._told_s.get(signal, oldest_s) for signal in self._asked), default=oldest_s))

    def take(self, history: Mapping[str, Minutes]) -> None:
        """Takes in the minutes from `since_s` on, by signal 'resource.point' in the house's signs."""
        self.load.extend(_load(self._site, history, self._apart))
        self.generation.extend(_generation(self._site, history))
        for meter in self._site.of(Role.GRID)[:1]:
            self.grid.extend(history.get(f"{meter.id}.power_w", ()))
        for resource_id, course in self.apart.items():
            course.extend(history.get(f"{resource_id}.power_w", ()))
        for resource_id, car in self.cars.items():
            car.plugged.extend(history.get(f"{resource_id}.plugged", ()))
            car.power.extend(history.get(f"{resource_id}.power_w", ()))
        for signal, minutes in history.items():
            if minutes:
                self._told_s[signal] = minutes[-1][0]
        cars = (course for car in self.cars.values() for course in (car.plugged, car.power))
        for course in (self.load, self.generation, self.grid, *self.apart.values(), *cars):
            course.forget(self._until_s - KEPT_DAYS * DAY_S)


def past_of(site: Site, history: Mapping[str, Minutes]) -> Past:
    """A past that is known from one history."""
    past = Past(site)
    past.take(history)
    return past


def planned_apart(site: Site) -> frozenset[str]:
    """Loads that have to run every day, and heat pumps of whose store everything but the temperature is known."""
    loads = {load.id for load in site.of(Role.LOAD) if runs_daily(site.load_policy(load.id), load)}
    return frozenset(
        loads | {pump.id for pump in site.of(Role.HEAT_PUMP) if fills_store(site.load_policy(pump.id), pump)}
    )


def runs_daily(policy: LoadPolicy, load: Resource) -> bool:
    """Whether the plan has to see to it that a load gets what it needs every day."""
    sized = policy.daily_wh is not None and bool(load.ratings.max_power_w)
    return policy.runs is LoadRun.ON_SURPLUS and (sized or bool(policy.profile_w))


def fills_store(policy: LoadPolicy, pump: Resource) -> bool:
    """Whether the plan may fill a heat pump's store."""
    known = (policy.comfort_min_c, policy.comfort_max_c, policy.store_litres, pump.ratings.max_power_w)
    return all(one is not None for one in known)


def _load(site: Site, history: Mapping[str, Minutes], apart: Sequence[str]) -> Minutes:
    """What is not planned: recorded as such, or the meter less every known device in the minutes that have all.

    Of what is planned apart a minute that is missing counts as nothing.
    """
    recorded = history.get(LOAD_SIGNAL)
    if recorded:
        return recorded
    meter = next(iter(site.of(Role.GRID)), None)
    if meter is None or not history.get(f"{meter.id}.power_w"):
        return []
    known = [r for r in site.resources if r.role in {Role.PV, Role.BATTERY, Role.EV}]
    devices = [dict(history.get(f"{resource.id}.power_w", ())) for resource in known]
    others = [dict(history.get(f"{resource_id}.power_w", ())) for resource_id in apart]
    return [
        (minute, grid_w - sum(device[minute] for device in devices) - sum(one.get(minute, 0.0) for one in others))
        for minute, grid_w in history[f"{meter.id}.power_w"]
        if all(minute in device for device in devices)
    ]


def _generation(site: Site, history: Mapping[str, Minutes]) -> Minutes:
    """Generation of all PV together as magnitudes, in the minutes that all of them know."""
    signals = [history.get(f"{resource.id}.power_w", ()) for resource in site.of(Role.PV)]
    if not signals:
        return []
    first, *others = signals
    if not others:
        return [(minute, -value) for minute, value in first]
    by_minute = [dict(signal) for signal in others]
    return [
        (minute, -value - sum(signal[minute] for signal in by_minute))
        for minute, value in first
        if all(minute in signal for signal in by_minute)
    ]
