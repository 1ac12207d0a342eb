"""How much to buy for later when nobody knows how much sun will come: one level for three courses of load and sun.

A kWh too many in the battery in the morning pushes sun into the grid at the price of feeding in, one too few is bought
when it is dear; which is worse depends on the prices. So the level at the end of the cheap hours that buys it is the
one of three that costs the least over three courses: what is expected, and a good and a bad day. All else follows
what is expected: it can still be changed when the day shows itself.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from cem.model.plan import PlanRequest
from cem.planning.lp import Array, Index
from cem.planning.optimiser import Prepared, prepare
from cem.planning.parts import Problem

SHARE: Final = 0.6
"""Of the band of single quarter hours, that of hours together: their errors have only partly the same sign."""
WEIGHTS: Final = (0.3, 0.4, 0.3)
"""Of the two ends of a band of four in five and its middle, for a mean over everything (Keefer and Bodily, 1983)."""
DEARER: Final = 1.15
"""Times the price at which it is bought: the cheap hours are over."""
APART: Final = 0.02
"""Of its capacity; levels that differ by less are the same."""
NOISE_KW: Final = 0.05


def hedged(request: PlanRequest, problem: Problem) -> tuple[int, int, float] | None:
    """The level to buy up to as (position of the store, slot at whose end it holds it, kWh).

    None where nothing is bought for later, or what is expected is best.

    Raises SolverFailedError when the solver gives nothing.
    """
    spread = request.spread
    if spread is None or not any(part.grid_charge and part.max_discharge_kw.any() for part in problem.stores):
        return None
    courses = [
        _course(problem, spread.load_low_w, spread.pv_high_w),
        problem,
        _course(problem, spread.load_high_w, spread.pv_low_w),
    ]
    made = [prepare(course) for course in courses]
    found = [one.solver.run() for one in made]
    place = _bought(problem, made, [answer.values for answer in found])
    if place is None:
        return None
    at, slot = place
    column = made[1].layout.stores[at].soc[slot : slot + 1]
    levels = [float(answer.values[column][0]) for answer in found]
    if max(levels) - min(levels) < APART * problem.stores[at].capacity_kwh:
        return None
    costs = [0.0, 0.0, 0.0]
    for own, (weight, one) in enumerate(zip(WEIGHTS, made, strict=True)):
        for k, level in enumerate(levels):
            costs[k] += weight * (found[own].objective if k == own else _cost(one, column, level))
    best = int(np.argmin(costs))
    return None if costs[best] >= costs[1] or not np.isfinite(costs[best]) else (at, slot, levels[best])


def _course(problem: Problem, load_w: tuple[float, ...], pv_w: tuple[float, ...]) -> Problem:
    """Part of the way from what is expected to an end of its band."""
    return replace(problem, load_kw=_towards(problem.load_kw, load_w), pv_kw=_towards(problem.pv_kw, pv_w))


def _towards(expected_kw: Array, end_w: tuple[float, ...]) -> Array:
    end_kw = np.array(end_w, np.float64) / 1000.0
    moved = expected_kw + SHARE * (end_kw - expected_kw)
    return np.where(np.isfinite(moved), np.maximum(moved, 0.0), expected_kw)


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
    lower, upper = one.decisions.lower[column], one.decisions.upper[column]
    fixed = np.array([level])
    one.solver.bound_columns(column, fixed, fixed)
    answer = one.solver.run_below(np.inf)
    one.solver.bound_columns(column, lower, upper)
    return np.inf if answer is None else answer.objective
