"""Better answers: single decisions turned over, and whole stores and cars gone over again."""

from dataclasses import replace
from itertools import count, product

import numpy as np

from cem.model.values import value
from cem.planning.decisions import TINY, Decided, Decisions
from cem.planning.lp import Array
from cem.planning.parts import CarPart, Problem, StorePart
from cem.planning.programme import NOISE_KW
from cem.planning.sweep import Beside, fits, swept

SHIFT = 0.01  # of the largest price, by which a kWh in a car is tried to be worth less or more
AT_ONCE = 4  # decisions of the first slot, at most, that are turned over for good
WORTH_IT = 50.0  # what helps less than this share of what is enough is no help


@value(frozen=True, slots=True, eq=False)
class _Turn:
    """A decision turned over: what the duals promise of it, and the new bounds of its columns."""

    gain: float
    key: tuple[int, bool]
    bounds: tuple[tuple[int, float, float], ...]

    def within(self, best: Decided) -> tuple[Array, Array]:
        """The bounds of an answer with this decision turned over."""
        lower, upper = best.lower.copy(), best.upper.copy()
        for column, low, high in self.bounds:
            lower[column], upper[column] = low, high
        return lower, upper


def exchange(decisions: Decisions, best: Decided, tries: int, enough: float) -> Decided:
    """Turns single decisions over where the duals promise most; keeps what is cheaper."""
    tried: set[tuple[int, bool]] = set()
    while tries > 0 and best.excess > enough:
        answer = decisions.settled(best)
        reduced = decisions.reduced_costs(settled=True)
        better = None
        for turn in _turns(decisions, answer.values, reduced, best)[: 4 * tries]:
            if turn.key in tried:
                continue
            tried.add(turn.key)
            tries -= 1
            better = decisions.settled_below(*turn.within(best), best.answer.objective - enough / WORTH_IT)
            if better is not None or tries <= 0:
                break
        if better is None:
            break
        best = replace(better, bound=best.bound)
    return best


def now(decisions: Decisions, best: Decided) -> Decided:
    """Turns over the decisions of a first slot that is partly gone, as long as that helps at all.

    They are what is done next, but where the slot is nearly over they weigh too little in the bill to be looked at.
    """
    hours = decisions.problem.hours
    gone = hours.size > 1 and hours[0] < hours[1]
    for _ in range(AT_ONCE if gone else 0):
        answer = decisions.settled(best)
        turns = _turns(decisions, answer.values, decisions.reduced_costs(settled=True), best, slots=1)
        for turn in turns:
            better = decisions.settled_below(*turn.within(best), answer.objective - TINY)
            if better is not None:
                best = replace(better, bound=best.bound)
                break
        else:
            break
    return best


def _turns(decisions: Decisions, values: Array, reduced: Array, best: Decided, slots: int | None = None) -> list[_Turn]:
    """Single decisions to turn over, the most promising first; of the first `slots` alone."""
    slots = decisions.problem.slots if slots is None else slots
    found = []
    for steady in decisions.layout.steady:
        now, low, high = values[steady.columns], best.lower[steady.columns], best.upper[steady.columns]
        most = decisions.upper[steady.columns]
        off = (now <= NOISE_KW) & (high == 0.0) & (most > 0.0)
        weakest = (low > 0.0) & (now <= low + NOISE_KW)
        gain = np.where(off, -reduced[steady.columns], np.where(weakest, reduced[steady.columns], 0.0)) * steady.least
        for at in np.flatnonzero((gain > 0.0) & (steady.slots < slots)):
            column, on = int(steady.columns[at]), bool(off[at])
            turned = (column, steady.least, float(most[at])) if on else (column, 0.0, 0.0)
            found.append(_Turn(float(gain[at]), (column, on), (turned,)))
    for ways in decisions.layout.ways:
        for shut, open_, most_shut in ((ways.into, ways.out, ways.most_in), (ways.out, ways.into, ways.most_out)):
            gain = np.where(best.upper[shut] == 0.0, -reduced[shut] * most_shut, 0.0)
            for at in np.flatnonzero((gain > TINY) & (ways.slots < slots)):
                opened, closed = int(shut[at]), int(open_[at])
                bounds = ((opened, 0.0, float(decisions.upper[opened])), (closed, 0.0, 0.0))
                found.append(_Turn(float(gain[at]), (opened, True), bounds))
    found.sort(key=lambda turn: (-turn.gain, turn.key))
    return found


# --- whole stores and cars ---------------------------------------------------------------------------------


def polish(decisions: Decisions, best: Decided, worth: list[Array], sweeps: int, enough: float) -> Decided:
    """Goes over single stores and cars, and a store with a car beside it, as long as that helps.

    `worth` is what a kW of each car is worth in each slot. It is known of mixtures of ways alone: with whole ways a car
    takes more or less at it than it needs, and so it is tried a little lower or higher too.
    """
    problem = decisions.problem
    parts = [at for at, part in enumerate(_movable(problem)) if fits(part)]
    best, sweeps = _alternate(decisions, best, parts, sweeps, enough)
    for at, car in product([at for at in parts if at < len(problem.stores)], range(len(problem.cars))):
        needs_kwh = float(
            (decisions.layout.cars[car].power.over(best.answer.values, problem.slots) * problem.hours).sum()
        )
        tried = worth[car]
        for _ in range(2):
            if sweeps <= 0 or best.excess <= enough:
                return best
            found, kw = _sweep(decisions, best, at, np.inf, Beside(problem.cars[car], tried))
            sweeps -= 1
            if found is not None:
                found, sweeps = _alternate(decisions, found, [*(p for p in parts if p != at), at], sweeps, enough)
                if found.answer.objective < best.answer.objective:
                    best = found
            way = -1.0 if float((kw * problem.hours).sum()) > needs_kwh else 1.0
            tried = worth[car] + way * SHIFT * problem.price_scale * problem.hours
    return best


def _alternate(
    decisions: Decisions, best: Decided, parts: list[int], sweeps: int, enough: float
) -> tuple[Decided, int]:
    still = 0  # parts one after the other that did not get better
    for turn in count():
        if sweeps <= 0 or still >= len(parts) or best.excess <= enough:
            break
        found, _ = _sweep(decisions, best, parts[turn % len(parts)], best.answer.objective - enough / WORTH_IT)
        best, still, sweeps = (best, still + 1, sweeps - 1) if found is None else (found, 1, sweeps - 1)
    return best, sweeps


def car_worth(decisions: Decisions) -> list[Array]:
    """What a kW of each car is worth in each slot at the last optimum of the relaxed programme."""
    problem, duals = decisions.problem, decisions.row_duals()
    found = []
    for car, columns in zip(problem.cars, decisions.layout.cars, strict=True):
        per_kwh = np.full(problem.slots, duals[columns.rows[0]])
        for goal, row in zip(car.goals, columns.rows[1:], strict=True):
            per_kwh = per_kwh + duals[row] * goal.by
        worth = per_kwh * car.efficiency * problem.hours
        worth[columns.power.slots] -= decisions.costs[columns.power.columns]
        found.append(worth)
    return found


def _sweep(
    decisions: Decisions, best: Decided, at: int, most: float, beside: Beside | None = None
) -> tuple[Decided | None, Array]:
    """Goes over one store or car again, all else as it is, and solves with the directions that come of it.

    With the kW per slot that the car beside would take.
    """
    problem, layout, values = decisions.problem, decisions.layout, best.answer.values
    part = _movable(problem)[at]
    flows = [*((c.charge, c.discharge) for c in layout.stores), *((c.power, None) for c in layout.cars)]
    into, out = flows[at]
    own = into.over(values, problem.slots) - (0.0 if out is None else out.over(values, problem.slots))
    others = _taken(decisions, values) - own
    lower, upper = decisions.settled_bounds(best)
    if beside is None:
        power, also = swept(problem, part, others)
    else:
        aside = layout.cars[problem.cars.index(beside.car)].power
        others = others - aside.over(values, problem.slots)
        power, also = swept(problem, part, others, beside)
        decisions.settle(lower, upper, aside, also > 0.0, beside.car.min_kw)
    least = part.min_kw if isinstance(part, CarPart) else part.min_charge_kw
    taking = (power > 0.0) | ((power == 0.0) & (own >= 0.0) & (least <= NOISE_KW))
    decisions.settle(lower, upper, into, taking, least)
    if out is not None:
        decisions.settle(lower, upper, out, ~taking)
    decisions.settle_meter(upper, others + power + also)
    found = decisions.settled_below(lower, upper, most)
    return None if found is None else replace(found, bound=best.bound), also


def _movable(problem: Problem) -> tuple[StorePart | CarPart, ...]:
    return (*problem.stores, *problem.cars)


def _taken(decisions: Decisions, values: Array) -> Array:
    """What everything that can be moved takes together."""
    layout, problem = decisions.layout, decisions.problem
    grid = [
        sign * group.over(values, problem.slots)
        for group, sign in (
            (layout.imported, 1.0),
            (layout.import_over, 1.0),
            (layout.exported, -1.0),
            (layout.export_over, -1.0),
            (layout.curtailed, -1.0),
        )
    ]
    return sum(grid, problem.pv_kw - problem.load_kw)
