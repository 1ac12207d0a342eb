"""What the plan does about not knowing how the day will come: it weighs all courses in which it may (`courses.py`).

A kWh too many in the battery in the morning pushes sun into the grid at the price of feeding in, one too few is bought
when it is dear; which is worse depends on the prices, and how likely each is, on the house and the season. So the level
at the end of the cheap hours that buys it is the one that costs the least over all courses, and what a stored kWh is
worth, by which it is held back or given, is the mean of what it is worth in each. All else follows what is expected.
"""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from cem.model.plan import PlanRequest
from cem.planning.lp import Array, Index
from cem.planning.optimiser import Prepared, Warm, prepare
from cem.planning.parts import Problem

DEARER: Final = 1.15
"""Times the price at which it is bought: the cheap hours are over."""
APART: Final = 0.02
"""Of its capacity; levels that differ by less are the same."""
NOISE_KW: Final = 0.05


@dataclass(frozen=True, slots=True)
class Outlook:
    """Over all courses.

    `level`: what to buy up to as (position of the store, slot at whose end it holds it, kWh), None where nothing is
    bought for later, or all courses want the same. `values`: what a kWh in each store is worth per slot.
    """

    level: tuple[int, int, float] | None
    values: tuple[Array, ...]


def outlook(request: PlanRequest, problem: Problem) -> Outlook | None:
    """None where what is expected is taken as sure, or nothing can be stored.

    Raises SolverFailedError when the solver gives nothing.
    """
    courses = [one for one in request.courses if np.isfinite([*one.load_w, *one.pv_w]).all()]
    if not courses or not any(part.max_discharge_kw.any() for part in problem.stores):
        return None
    made, found, worth = [], [], []
    start = Warm()  # each course begins where the one before it ended
    for course in courses:
        load_kw, pv_kw = np.array(course.load_w) / 1000.0, np.array(course.pv_w) / 1000.0
        one = prepare(replace(problem, load_kw=load_kw, pv_kw=pv_kw), start)
        made.append(one)
        found.append(one.solver.run().values)
        start.basis = one.solver.basis()
        duals = one.solver.row_duals()
        worth.append([-duals[store.soc_rows] for store in one.layout.stores])
    weights = np.array([one.weight for one in courses])
    shares = weights / weights.sum()
    values = tuple(np.tensordot(shares, [one[at] for one in worth], 1) for at in range(len(problem.stores)))
    return Outlook(_level(problem, made, found, shares.tolist()), values)


def _level(
    problem: Problem, made: list[Prepared], found: list[Array], shares: list[float]
) -> tuple[int, int, float] | None:
    place = _bought(problem, made, found)
    if place is None:
        return None
    at, slot = place
    columns = [one.layout.stores[at].soc[slot : slot + 1] for one in made]  # each course has columns of its own
    wanted = sorted(float(values[column][0]) for values, column in zip(found, columns, strict=True))
    levels = _apart(wanted, APART * problem.stores[at].capacity_kwh)
    if len(levels) == 1:
        return None
    level = _Search(made, shares, columns).least(levels)
    return None if level is None else (at, slot, level)


def _apart(levels: list[float], apart: float) -> list[float]:
    """Those that differ, the lowest and the highest among them."""
    kept = levels[:1]
    for level in levels[1:]:
        if level - kept[-1] >= apart:
            kept.append(level)
    return kept


@dataclass(slots=True)
class _Search:
    """What a level costs over all courses; convex in the level, since each course is a linear programme."""

    made: list[Prepared]
    shares: list[float]
    columns: list[Index]
    known: dict[float, float] = field(default_factory=dict)

    def least(self, levels: list[float]) -> float | None:
        """The cheapest of the levels, in rising order; None where none can be had in every course."""
        low, high = 0, len(levels) - 1
        while high - low > 1:
            middle = (low + high) // 2
            if self._cost(levels[middle]) <= self._cost(levels[middle + 1]):
                high = middle
            else:
                low = middle + 1
        best = min(levels[low : high + 1], key=self._cost)
        return best if np.isfinite(self._cost(best)) else None

    def _cost(self, level: float) -> float:
        if level not in self.known:
            each = zip(self.shares, self.made, self.columns, strict=True)
            self.known[level] = sum(share * _cost(one, column, level) for share, one, column in each)
        return self.known[level]


def _bought(problem: Problem, made: list[Prepared], values: list[Array]) -> tuple[int, int] | None:
    """The first store that takes from the grid in any course, and the last slot of the cheap hours in which it does."""
    for at, part in enumerate(problem.stores):
        if not part.grid_charge or not part.max_discharge_kw.any():
            continue
        buys = np.zeros(problem.slots, bool)
        for one, found in zip(made, values, strict=True):
            charge = one.layout.stores[at].charge.over(found, problem.slots)
            buys |= charge > one.problem.surplus_kw + NOISE_KW
        if not buys.any():
            continue
        first = int(buys.argmax())
        over = (problem.import_price > DEARER * problem.import_price[first]) | (problem.surplus_kw > NOISE_KW)
        later = np.flatnonzero(over[first + 1 :] & ~buys[first + 1 :])
        return at, first + int(later[0]) if later.size else problem.slots - 1
    return None


def _cost(one: Prepared, column: Index, level: float) -> float:
    """Of a course in which the store has to hold that level; inf where it can't."""
    lower, upper = one.decisions.lower.copy(), one.decisions.upper.copy()
    here = np.zeros(len(lower), bool)
    here[column] = True
    lower[column] = upper[column] = level
    one.solver.bound(lower, upper, here)
    answer = one.solver.run_below(np.inf)
    one.solver.bound(one.decisions.lower, one.decisions.upper, here)
    return np.inf if answer is None else answer.objective
