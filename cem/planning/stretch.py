"""A stretch of the horizon as a problem of its own, so small that many branches are followed in the time of a few.

Where buying is paid, or feeding in pays more than buying costs, what a battery and a car do in one slot hangs on all
the others of that stretch, and one decision turned over, or one part gone over, finds nothing better. The stretch
begins with what is stored then, and leaves at least as much as it does now; more is worth what it is worth to the
rest. What is found there is told to the whole programme, which has the last word: an answer is taken only where it is
cheaper.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.model.values import value
from cem.planning.branch import prove
from cem.planning.decisions import TINY, Decided, Decisions
from cem.planning.exchange import car_worth, polish
from cem.planning.lp import Array, Blocks, Solver, SolverFailedError
from cem.planning.parts import CarPart, Goal, Problem, Services, StorePart
from cem.planning.programme import NOISE_KW, CarColumns, Group, Layout, StoreColumns, build, first_basis

APART: Final = 6  # crossed slots with more than so many others between them are two stretches
PAD: Final = 2  # slots before and after that belong to a stretch
LEAST: Final = 3  # crossed slots that are worth it
SWEEPS: Final = 2  # times that parts are gone over before its branches, and after
FINER: Final = 0.2  # of what is enough: as near to its bound a stretch is followed


@value(frozen=True, slots=True, eq=False)
class _Moving:
    """A store or a car: the columns of what it takes and gives, and below which it takes nothing."""

    into: Group
    out: Group | None
    least_kw: float

    def flow(self, values: Array, slots: int) -> Array:
        """kW per slot, into it positive."""
        given = np.zeros(slots) if self.out is None else self.out.over(values, slots)
        return self.into.over(values, slots) - given


def go_over(decisions: Decisions, best: Decided, nodes: int, enough: float) -> Decided:
    """Branches in each stretch by itself, `nodes` linear programmes each; the same or a cheaper answer."""
    for begin, end in _stretches(decisions):
        best = _over(decisions, best, slice(begin, end), nodes, enough)
    return best


def _stretches(decisions: Decisions) -> Iterator[tuple[int, int]]:
    crossed = np.unique(decisions.layout.crossed.slots)
    for part in np.split(crossed, np.flatnonzero(np.diff(crossed) > APART) + 1):
        if len(part) >= LEAST:
            yield max(int(part[0]) - PAD, 0), min(int(part[-1]) + 1 + PAD, decisions.problem.slots)


def _over(decisions: Decisions, best: Decided, here: slice, nodes: int, enough: float) -> Decided:
    answer, duals = decisions.seal(best)
    problem, values = decisions.problem, answer.values
    alone = _alone(problem, decisions.layout, values, duals, here)
    try:
        flows = _best_flows(alone, _flows(problem, decisions.layout, values, here), nodes, FINER * enough)
    except SolverFailedError:
        return best  # a stretch that can't be solved alone stays as it is
    lower, upper = decisions.settled_bounds(best)
    whole = []
    for moving, flow in zip(_moving(problem, decisions.layout), flows, strict=True):
        was = moving.flow(values, problem.slots)
        now = was.copy()
        now[here] = flow
        whole.append(now)
        _settle(decisions, lower, upper, moving, now, was >= 0.0)
    decisions.settle_meter(upper, _metered(problem, decisions.layout, values) + np.sum(whole, axis=0))
    found = decisions.settled_below(lower, upper, best.answer.objective - TINY)
    return best if found is None else replace(found, bound=best.bound)


def _best_flows(problem: Problem, flows: list[Array], nodes: int, enough: float) -> list[Array]:
    """What everything takes in the best answer that is found, from one with these flows on."""
    blocks = Blocks()
    layout = build(problem, blocks)
    solver = Solver(blocks, problem.price_scale, first_basis(problem, blocks, layout), perturbed=False)
    decisions = Decisions(problem, layout, solver, blocks)
    answer = solver.run()
    if decisions.broken(answer.values):
        answer = decisions.cut(answer)
    if decisions.broken(answer.values):
        worth = car_worth(decisions)  # at this optimum, before the solver goes on
        lower, upper = decisions.lower.copy(), decisions.upper.copy()
        for moving, flow in zip(_moving(problem, layout), flows, strict=True):
            _settle(decisions, lower, upper, moving, flow, np.ones(problem.slots, bool))
        decisions.settle_meter(upper, np.sum(flows, axis=0))
        start = decisions.settled_below(lower, upper, np.inf)
        better = start
        if start is not None:
            better = polish(decisions, replace(start, bound=answer.objective), worth, SWEEPS, enough)
        found = prove(decisions, answer, better, nodes, enough)
        if found is None:
            return flows
        if start is None or found.answer is not start.answer:  # else it would be gone over as before
            found = polish(decisions, found, worth, SWEEPS, enough)
        answer = found.answer
    return [moving.flow(answer.values, problem.slots) for moving in _moving(problem, layout)]


def _settle(
    decisions: Decisions,
    lower: Array,
    upper: Array,
    moving: _Moving,
    flow: Array,
    may_take: NDArray[np.bool_],
) -> None:
    """Which way a flow goes in each slot; one that stands still may take, where it may at all, if no least hinders."""
    still = (np.abs(flow) <= NOISE_KW) & may_take & (moving.least_kw <= NOISE_KW)
    taking = (flow > NOISE_KW) | still
    decisions.settle(lower, upper, moving.into, taking, moving.least_kw)
    if moving.out is not None:
        decisions.settle(lower, upper, moving.out, ~taking)


def _moving(problem: Problem, layout: Layout) -> list[_Moving]:
    stores = [
        _Moving(columns.charge, columns.discharge, part.min_charge_kw)
        for part, columns in zip(problem.stores, layout.stores, strict=True)
    ]
    return stores + [
        _Moving(columns.power, None, part.min_kw) for part, columns in zip(problem.cars, layout.cars, strict=True)
    ]


def _flows(problem: Problem, layout: Layout, values: Array, here: slice) -> list[Array]:
    return [moving.flow(values, problem.slots)[here] for moving in _moving(problem, layout)]


def _metered(problem: Problem, layout: Layout, values: Array) -> Array:
    """What the loads that are run take, kW; beside what is known of the house."""
    return sum((load.power_kw(values, problem.slots) for load in layout.loads), np.zeros(problem.slots))


# --- the stretch alone ---------------------------------------------------------------------------------------


def _alone(problem: Problem, layout: Layout, values: Array, duals: Array, here: slice) -> Problem:
    """The slots of a stretch, with what runs besides as a part of the load."""
    slots = problem.slots
    outside = np.ones(slots, bool)
    outside[here] = False
    bought = layout.imported.over(values, slots) + layout.import_over.over(values, slots)
    served = problem.services
    return replace(
        problem,
        hours=problem.hours[here],
        import_price=problem.import_price[here],
        export_price=problem.export_price[here],
        import_limit_kw=problem.import_limit_kw[here],
        export_limit_kw=problem.export_limit_kw[here],
        load_kw=(problem.load_kw + _metered(problem, layout, values))[here],
        pv_kw=problem.pv_kw[here],
        stores=tuple(
            _store(part, columns, values, duals, here, slots)
            for part, columns in zip(problem.stores, layout.stores, strict=True)
        ),
        cars=tuple(
            _car(part, columns, values, duals, here, problem.hours)
            for part, columns in zip(problem.cars, layout.cars, strict=True)
        ),
        loads=(),
        services=Services(
            *(None if one is None else one[here] for one in (served.least_kw, served.most_kw)),
            *(None if one is None else one[here] for one in (served.up_kw, served.down_kw)),
        ),
        peak_kw=max(problem.peak_kw, float(bought[outside].max(initial=0.0))),
    )


def _store(part: StorePart, columns: StoreColumns, values: Array, duals: Array, here: slice, slots: int) -> StorePart:
    stored_kwh = values[columns.soc]
    last = here.stop == slots
    return replace(
        part,
        soc_kwh=float(stored_kwh[here.start - 1]) if here.start else part.soc_kwh,
        max_charge_kw=part.max_charge_kw[here],
        max_discharge_kw=part.max_discharge_kw[here],
        charge_efficiency=part.charge_efficiency[here],
        end_value=part.end_value if last else -float(duals[columns.soc_rows][here.stop - 1]),
        goals=_goals(part.goals, here, None if last else float(stored_kwh[here.stop - 1])),
        drain_kw=None if part.drain_kw is None else part.drain_kw[here],
    )


def _car(part: CarPart, columns: CarColumns, values: Array, duals: Array, here: slice, hours: Array) -> CarPart:
    charged_kwh = columns.power.over(values, len(hours)) * hours * part.efficiency
    stored_kwh = part.soc_kwh + np.cumsum(charged_kwh)
    last = here.stop == len(hours)
    return replace(
        part,
        soc_kwh=float(stored_kwh[here.start - 1]) if here.start else part.soc_kwh,
        capacity_kwh=part.capacity_kwh - float(charged_kwh[here.stop :].sum()),
        max_kw=part.max_kw[here],
        goals=_goals(part.goals, here, None if last else float(stored_kwh[here.stop - 1])),
        end_value=part.end_value if last else part.end_value + float(duals[columns.rows].sum()),
        hours_late=None if part.hours_late is None else part.hours_late[here],
    )


def _goals(goals: tuple[Goal, ...], here: slice, left_kwh: float | None) -> tuple[Goal, ...]:
    """Those that are due in the stretch, and what it must leave."""
    due = [replace(goal, by=goal.by[here]) for goal in goals if here.start < goal.slots_before <= here.stop]
    left = [] if left_kwh is None else [Goal(left_kwh - TINY, np.ones(here.stop - here.start))]
    return (*due, *left)
