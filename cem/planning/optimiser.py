"""Solves a planning problem: a linear programme first, then only the on/off decisions that its solution breaks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cem.planning.decisions import Decided, Decisions, Effort
from cem.planning.lp import Array, Blocks, Solver, SolverFailedError
from cem.planning.parts import Problem
from cem.planning.programme import Layout, build

GAP = 1e-3  # share of the gross bill within which an answer counts as optimal
TACTICS = ("energy", "spread", "round", "drop")


@dataclass(frozen=True, slots=True)
class StoreSolution:
    """One value per slot: kW into (charge) and out of (discharge) the store, kWh at the slot's end."""

    charge_kw: Array
    discharge_kw: Array
    soc_kwh: Array
    value_per_kwh: Array  # marginal value of a stored kWh
    missed_kwh: tuple[float, ...]  # at each goal


@dataclass(frozen=True, slots=True)
class CarSolution:
    """kW per slot, what is stored at each slot's end, and the stored kWh that miss each goal."""

    power_kw: Array
    soc_kwh: Array
    missed_kwh: tuple[float, ...]
    value_per_kwh: float


@dataclass(frozen=True, slots=True)
class LoadSolution:
    """kW per slot; the slots in which its pieces run, empty where it does not run at all."""

    power_kw: Array
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Solution:
    """The cheapest found. `over` are kW beyond a limit, part of imported and exported.

    `bill` is money at the meter, with the peak's price; `cost` that and wear, less the value of what is left at the
    end. `bound` is what no plan can undercut in `cost`, at the same shortfalls.
    """

    imported_kw: Array
    exported_kw: Array
    import_over_kw: Array
    export_over_kw: Array
    curtailed_kw: Array
    stores: tuple[StoreSolution, ...]
    cars: tuple[CarSolution, ...]
    loads: tuple[LoadSolution, ...]
    services_missed: dict[str, Array]
    bill: float
    cost: float
    objective: float
    bound: float
    gap: float  # (objective - bound) as a share of the gross bill


@dataclass(frozen=True, slots=True)
class Prepared:
    """A problem inside the solver, ready to be solved once."""

    problem: Problem
    blocks: Blocks
    layout: Layout
    solver: Solver

    def solve(self) -> Solution:
        """The cheapest way through the horizon; raises SolverFailedError when the solver gives nothing."""
        decided = _decide(self.problem, self.layout, self.solver, self.blocks)
        return _solution(self.problem, self.layout, self.solver, decided)


def prepare(problem: Problem) -> Prepared:
    """Builds the programme and hands it to the solver; raises SolverFailedError when that refuses it."""
    blocks = Blocks()
    layout = build(problem, blocks)
    return Prepared(problem, blocks, layout, Solver(blocks, problem.price_scale))


def optimise(problem: Problem) -> Solution:
    """The cheapest way through the horizon; raises SolverFailedError when the solver gives nothing."""
    return prepare(problem).solve()


def _decide(problem: Problem, layout: Layout, solver: Solver, blocks: Blocks) -> Decided:
    decisions = Decisions(layout, solver, blocks)
    relaxed = decisions.cut(solver.run())
    lower, upper = decisions.lower, decisions.upper
    if not decisions.broken(relaxed.values):
        return Decided(relaxed, lower, upper, relaxed.objective)
    enough, effort = GAP / 2.0 * problem.gross_bill, effort_for(problem)
    best: Decided | None = None
    for tactic, (low, high) in _starts(decisions, layout):
        decisions.apply(low, high)
        most = np.inf if best is None else best.answer.objective
        found = decisions.dive(solver.run(), low, high, tactic, most)
        if found is not None:
            best = Decided(found.answer, found.lower, found.upper, relaxed.objective)
        if best is not None and best.answer.objective - relaxed.objective <= enough:
            break
    if best is not None:
        best = decisions.improve(best, effort.exchanges, enough)
    if best is None or best.answer.objective - best.bound > enough:
        best = decisions.prove(relaxed, best, effort.nodes, enough)
    if best is None:
        raise SolverFailedError("no way was found that keeps what is on or off; no plan from it, rules instead")
    decisions.seal(best)
    return Decided(solver.run(), best.lower, best.upper, best.bound)


def _starts(decisions: Decisions, layout: Layout) -> Iterator[tuple[str, tuple[Array, Array]]]:
    """What to dive by, and from which bounds."""
    if layout.crossed.into.size:
        for dearest in (False, True):
            bounds = decisions.uncross(dearest)
            yield from ((tactic, bounds) for tactic in TACTICS[:2])
        return
    yield from ((tactic, (decisions.lower, decisions.upper)) for tactic in TACTICS)


def effort_for(problem: Problem) -> Effort:
    """Less where a linear programme takes longer: its time grows with slots and parts."""
    size = problem.slots * (2 + len(problem.stores) + len(problem.cars) + len(problem.loads)) / 768.0
    return Effort(exchanges=round(min(24.0 / size, 60)) + 4, nodes=round(min(60.0 / size, 200)) + 10)


def _solution(problem: Problem, layout: Layout, solver: Solver, decided: Decided) -> Solution:
    v, n, hours = decided.answer.values, problem.slots, problem.hours
    row_duals, _ = solver.duals()
    import_over, export_over = layout.import_over.over(v, n), layout.export_over.over(v, n)
    imported, exported = layout.imported.over(v, n) + import_over, layout.exported.over(v, n) + export_over
    both = np.minimum(imported, exported)  # only where both ways cost nothing
    imported, exported = imported - both, exported - both
    import_over, export_over = np.minimum(import_over, imported), np.minimum(export_over, exported)
    stores = tuple(
        StoreSolution(
            c.charge.over(v, n),
            c.discharge.over(v, n),
            v[c.soc],
            -row_duals[c.soc_rows],
            tuple(float(v[goal.columns][0]) for goal in c.goals),
        )
        for c in layout.stores
    )
    cars = tuple(_car(problem, layout, at, v, row_duals) for at in range(len(problem.cars)))
    loads = tuple(_load(problem, layout, at, v) for at in range(len(problem.loads)))
    bill = float((hours * (problem.import_price * imported - problem.export_price * exported)).sum())
    bill += problem.peak_price * max(float(imported.max()) - problem.peak_kw, 0.0)
    cost = bill
    for part, found in zip(problem.stores, stores, strict=True):
        cost += part.wear * float((found.discharge_kw * hours).sum()) - part.end_value * float(found.soc_kwh[-1])
    for car, charged in zip(problem.cars, cars, strict=True):
        cost -= car.end_value * float(charged.soc_kwh[-1] - car.soc_kwh)
    excess = max(decided.answer.objective - decided.bound, 0.0)
    return Solution(
        imported,
        exported,
        import_over,
        export_over,
        layout.curtailed.over(v, n),
        stores,
        cars,
        loads,
        {name: v[soft.columns] for name, soft in layout.services},
        bill=bill,
        cost=cost,
        objective=decided.answer.objective,
        bound=cost - excess,
        gap=excess / max(problem.gross_bill, 1e-6),
    )


def _car(problem: Problem, layout: Layout, at: int, v: Array, row_duals: Array) -> CarSolution:
    part, columns = problem.cars[at], layout.cars[at]
    power = columns.power.over(v, problem.slots)
    return CarSolution(
        power,
        part.soc_kwh + np.cumsum(power * problem.hours) * part.efficiency,
        tuple(float(v[goal.columns][0]) for goal in columns.goals),
        part.end_value + float(row_duals[columns.rows].sum()),
    )


def _load(problem: Problem, layout: Layout, at: int, v: Array) -> LoadSolution:
    columns = layout.loads[at]
    slots = [
        int(slot)
        for choice in columns.choices
        for piece in range(len(choice.power_kw))
        for slot in choice.slots(piece)[v[choice.columns] > 0.5]
    ]
    return LoadSolution(columns.power_kw(v, problem.slots), tuple(sorted(slots)))
