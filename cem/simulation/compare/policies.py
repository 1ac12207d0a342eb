"""Who plans: nobody, a rule, the gateway's own planner, and the same one told what will come."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np

from cem.model.plan import Plan, PlanRequest
from cem.planning.rules import rules_plan
from cem.planning.solve import Replanner
from cem.simulation.compare.course import Array, Course

EXACT = timedelta(minutes=30)
"""Length of the means that a planner with exact forecasts is told."""


class Policy(StrEnum):
    """Whose plan the gateway follows; all of them keep limits, goals and wear alike."""

    SELF_CONSUMPTION = "self-consumption"
    CHEAPEST_HOURS = "cheapest-hours"
    OURS = "ours"
    EXACT = "exact-forecasts"


WORDS = {
    Policy.SELF_CONSUMPTION: "the battery follows the meter, the car charges as it comes",
    Policy.CHEAPEST_HOURS: "the battery follows the meter, the car charges in the cheapest hours before it is due",
    Policy.OURS: "the gateway's own plan",
    Policy.EXACT: "the gateway's own plan, told the half hours' true load and sun",
}


def planner_of(policy: Policy, course: Course) -> Callable[[PlanRequest], Plan] | None:
    """What makes a policy's plans; None: nobody does."""
    match policy:
        case Policy.SELF_CONSUMPTION:
            return None
        case Policy.CHEAPEST_HOURS:
            return rules_plan
        case Policy.OURS:
            return Replanner().solve
        case Policy.EXACT:
            return _Seer(course).solve


class _Seer:
    """The planner with exact means of half hours in place of its forecasts; beyond the course's end its own hold."""

    def __init__(self, course: Course) -> None:
        self._course = course
        self._planner = Replanner()

    def solve(self, request: PlanRequest) -> Plan:
        """As `Replanner.solve`."""
        return self._planner.solve(
            replace(
                request,
                load_w=self._means(request, self._course.load_w, request.load_w),
                pv_w=self._means(request, self._course.sun_w, request.pv_w),
                courses=(),
            )
        )

    def _means(self, request: PlanRequest, values: Array, forecast: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(
            own if (known := self._mean(start, values)) is None else known
            for start, own in zip(request.edges[:-1], forecast, strict=True)
        )

    def _mean(self, at: datetime, values: Array) -> float | None:
        """Of the half hour around a slot's begin."""
        length_s = EXACT.total_seconds()
        since = at.timestamp() // length_s * length_s - self._course.start.timestamp()
        first, last = (round((since + s) / 60.0) for s in (0.0, length_s))
        within = values[max(first, 0) : last]
        return float(np.mean(within)) if last <= len(values) and within.size else None
