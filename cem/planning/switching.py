"""On/off decisions that the relaxed solution breaks: one direction at a time, and no charging below a car's minimum."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.planning.lp import Answer, Array, Index, Solver, SolverFailedError
from cem.planning.problem import CarPart, Problem
from cem.planning.programme import NOISE_KW, Layout

DIVES: Final = 6  # rounds of fixing directions before branching
GAP: Final = 1e-3  # share of the gross bill at which choosing directions may stop
PROVE_ABOVE: Final = 2e-2  # share of the gross bill above which rounding the cars is not trusted without branching


def one_way(problem: Problem, layout: Layout, solver: Solver, relaxed: Answer) -> Answer:
    """Gives each step one direction: the stronger one first, and branching only where that is not good enough."""
    if not any(ways.both(relaxed.values).any() for ways in layout.ways):
        return relaxed
    columns = np.concatenate([ways.way for ways in layout.ways])
    lower, upper = np.zeros(columns.max() + 1), np.ones(columns.max() + 1)
    answer, enough = relaxed, GAP * problem.gross_bill
    for _ in range(DIVES):
        for ways in layout.ways:
            both = ways.both(answer.values)
            fixed = (answer.values[ways.into] >= answer.values[ways.out])[both].astype(np.float64)
            lower[ways.way[both]] = upper[ways.way[both]] = fixed
        solver.bound_columns(columns, lower[columns], upper[columns])
        try:
            answer = solver.run()
        except SolverFailedError:  # a direction that can't be; branching finds a better one
            break
        if answer.objective > relaxed.bound + enough:
            break
        if not any(ways.both(answer.values).any() for ways in layout.ways):
            return replace(answer, bound=relaxed.bound)
    solver.bound_columns(columns, np.zeros(len(columns)), np.ones(len(columns)))
    return solver.run_binary(columns, enough)


def charge_properly(problem: Problem, layout: Layout, solver: Solver, answer: Answer) -> Answer:
    """No car below its minimum: by rounding, and by branching where rounding may cost too much.

    The bound of a branched answer is that of plans in which every slot of charging is at the minimum or above.
    """
    rounded = _at_least_minimum(problem, layout, solver, answer)
    excess = rounded.objective - answer.objective
    switched = any(ways.both(answer.values).any() for ways in layout.ways)
    if excess <= PROVE_ABOVE * problem.gross_bill or answer.bound < answer.objective or switched:
        return replace(rounded, bound=answer.bound)
    cars = [car.power for car in layout.cars]
    least = np.repeat([part.min_kw for part in problem.cars], problem.slots)
    most = np.repeat([part.max_kw for part in problem.cars], problem.slots)
    try:
        branched = solver.run_semicontinuous(np.concatenate(cars), least, most, GAP * problem.gross_bill)
    except SolverFailedError:  # not in time: what rounding found stands, with the weaker bound
        return replace(rounded, bound=answer.bound)
    best = min(rounded, branched, key=lambda found: found.objective)
    return replace(best, bound=min(branched.bound, best.objective))


def _at_least_minimum(problem: Problem, layout: Layout, solver: Solver, answer: Answer) -> Answer:
    """Moves each car's power out of the gap between nothing and its minimum; the better of two ways of rounding."""
    for part, columns in zip(problem.cars, layout.cars, strict=True):
        if not _weak(part, answer.values[columns.power]).any() or part.energy_kwh < part.min_kw * problem.hours.max():
            continue
        free = np.zeros(problem.slots), np.full(problem.slots, part.max_kw)
        best: tuple[Answer, tuple[Array, Array]] | None = None
        for tactics in (("drop", "drop", "round", "last"), ("round", "round", "last")):
            found = _round_off(problem, part, columns.power, solver, answer, tactics)
            if found is not None and (best is None or found[0].objective < best[0].objective):
                best = found
            solver.bound_columns(columns.power, *free)
        if best is not None:  # else the plain optimum stands, and the charging point makes of it what it can
            answer = best[0]
            solver.bound_columns(columns.power, *best[1])
    return answer


def _weak(part: CarPart, power: Array) -> NDArray[np.bool_]:
    """Where the car would charge below its minimum; beside a slot of charging it may begin later or end earlier."""
    strong = power >= part.min_kw - NOISE_KW
    beside = np.zeros_like(strong)
    beside[1:] |= strong[:-1]
    beside[:-1] |= strong[1:]
    return (power > NOISE_KW) & ~strong & ~beside


def _round_off(
    problem: Problem, part: CarPart, power_columns: Index, solver: Solver, answer: Answer, tactics: tuple[str, ...]
) -> tuple[Answer, tuple[Array, Array]] | None:
    """The first answer in which the car never charges below its minimum, with the bounds that made it so."""
    lower, upper = np.zeros(problem.slots), np.full(problem.slots, part.max_kw)
    for tactic in tactics:
        power = answer.values[power_columns]
        weak = _weak(part, power)
        if not weak.any():
            break
        if tactic == "drop":
            upper = np.where(weak, 0.0, upper)
        else:
            lower, upper = _rounded(part, power, problem.hours, upper, tactic == "last")
        solver.bound_columns(power_columns, lower, upper)
        try:
            answer = solver.run()
        except SolverFailedError:  # it asked more than there is: the other tactic or the plain optimum stands
            return None
    return None if _weak(part, answer.values[power_columns]).any() else (answer, (lower, upper))


def _rounded(part: CarPart, power: Array, hours: Array, allowed: Array, last: bool) -> tuple[Array, Array]:
    """Bounds that turn the strongest of the weak slots on, as many as their energy makes, and the others off."""
    weak = _weak(part, power)
    lower, upper = np.zeros_like(power), allowed.copy()
    least = part.min_kw * hours
    strong = power >= part.min_kw - NOISE_KW
    lower[strong] = part.min_kw
    room = part.energy_kwh - least[strong].sum()
    left = float((power * hours)[weak].sum())
    for slot in np.flatnonzero(weak)[np.argsort(-power[weak], kind="stable")]:
        if left >= least[slot] / 2 and room >= least[slot]:
            lower[slot] = part.min_kw
            room -= least[slot]
        else:
            upper[slot] = 0.0
        left -= least[slot]
    if last:
        upper[lower == 0.0] = 0.0
    return lower, upper
