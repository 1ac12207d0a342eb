"""Solves a planning problem: a linear programme first, then only the on/off decisions that its solution breaks."""

from dataclasses import dataclass, replace

import numpy as np

from cem.model.values import value
from cem.planning.branch import mend, prove
from cem.planning.decisions import Decided, Decisions
from cem.planning.dive import TACTICS, dive, stand_still
from cem.planning.exchange import car_worth, exchange, now, polish
from cem.planning.lp import Answer, Array, Basis, Blocks, Solver, SolverFailedError
from cem.planning.parts import Problem
from cem.planning.pattern import Pattern
from cem.planning.programme import Layout, build, first_basis
from cem.planning.stretch import go_over

GAP = 1e-3  # share of the gross bill within which an answer counts as optimal
SAME = 1.2  # times the excess of the last search at which its decisions are as good as another search
SHORT = 12  # linear programmes of a first attempt to prove, where little is broken
NEAR = 1.8  # times what is enough: still within the gap, and good enough after the quick part of the search
FAR = 8.0  # times what is enough, from which on a dive of small steps is worth its time
MORE = 2  # times as many exchanges then
ANEW = ("few", "round", "drop", "spread", "energy")  # from the relaxed optimum again, by these in turn
NEARLY = 7  # columns that stand between, at most, where settling them may be all that lacks
FEW = 4  # exchanges that are tried before another search
BEFORE_STRETCHES = 4  # times that one store and its cars are gone over as a whole, at most, where stretches follow


@value(frozen=True, slots=True, eq=False)
class StoreSolution:
    """One value per slot: kW into (charge) and out of (discharge) the store, kWh at the slot's end."""

    charge_kw: Array
    discharge_kw: Array
    soc_kwh: Array
    value_per_kwh: Array  # marginal value of a stored kWh
    missed_kwh: tuple[float, ...]  # at each goal


@value(frozen=True, slots=True, eq=False)
class CarSolution:
    """kW per slot, what is stored at each slot's end, and the stored kWh that miss each goal."""

    power_kw: Array
    soc_kwh: Array
    missed_kwh: tuple[float, ...]
    value_per_kwh: float


@value(frozen=True, slots=True, eq=False)
class LoadSolution:
    """kW per slot; the slots in which its pieces run, empty where it does not run at all."""

    power_kw: Array
    slots: tuple[int, ...]


@value(frozen=True, slots=True, eq=False)
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


@dataclass(slots=True)
class Warm:
    """What one optimum leaves for the next: where it stood, and what was on or off. A new one starts cold.

    `excess` is by how much of the gross bill the search could not close the gap: as much is accepted again unsearched.
    """

    shape: tuple[int, int] = (0, 0)  # of the programme whose basis it is
    basis: Basis | None = None
    pattern: Pattern | None = None
    excess: float = 0.0


@value(frozen=True, slots=True, eq=False)
class Prepared:
    """A problem inside the solver, ready to be solved once."""

    problem: Problem
    layout: Layout
    solver: Solver
    decisions: Decisions
    warm: Warm

    def solve(self) -> Solution:
        """The cheapest way through the horizon; raises SolverFailedError when the solver gives nothing."""
        return _solution(self.problem, self.layout, *_decide(self))


def prepare(problem: Problem, warm: Warm | None = None, level: tuple[int, int, float] | None = None) -> Prepared:
    """Builds the programme and hands it to the solver; raises SolverFailedError when that refuses it.

    `warm` is taken up where the problem has the same slots, and follows it. `level`: the store at that position holds
    so much, in kWh, at the end of that slot, whatever else would be cheaper.
    """
    warm = Warm() if warm is None else warm
    blocks = Blocks()
    layout = build(problem, blocks)
    if level is not None:
        at, slot, kwh = level
        blocks.fix(layout.stores[at].soc[slot], kwh)
    shape = (blocks.columns, blocks.rows)
    if warm.shape != shape:
        warm.shape, warm.basis = shape, None
    if warm.pattern is not None and warm.pattern.slots != problem.slots:
        warm.pattern = None
    basis = first_basis(problem, blocks, layout) if warm.basis is None else warm.basis
    solver = Solver(blocks, problem.price_scale, basis)
    return Prepared(problem, layout, solver, Decisions(problem, layout, solver, blocks), warm)


def optimise(problem: Problem, warm: Warm | None = None, level: tuple[int, int, float] | None = None) -> Solution:
    """The cheapest way through the horizon; raises SolverFailedError when the solver gives nothing."""
    return prepare(problem, warm, level).solve()


def _decide(prepared: Prepared) -> tuple[Decided, Array]:
    """The answer, and the duals of all rows."""
    solver, decisions, warm = prepared.solver, prepared.decisions, prepared.warm
    relaxed = solver.run()
    warm.basis = solver.basis()
    if not decisions.broken(relaxed.values):
        warm.pattern = decisions.pattern(relaxed)
        return Decided(relaxed, decisions.lower, decisions.upper, relaxed.objective), solver.row_duals()
    best = now(decisions, _search(prepared, relaxed))
    warm.pattern = decisions.pattern(best.answer)
    answer, duals = decisions.seal(best)
    return replace(best, answer=answer), duals


def _search(prepared: Prepared, relaxed: Answer) -> Decided:
    """Follows the last decisions, dives, exchanges and branches until the answer is good enough or the effort spent."""
    decisions, warm = prepared.decisions, prepared.warm
    gross = max(prepared.problem.gross_bill, 1e-6)
    enough = GAP / 2.0 * gross
    best = None
    if warm.pattern is not None:
        best = _better(None, decisions.follow(warm.pattern, relaxed), relaxed)
        good = enough + SAME * warm.excess * gross
        if best is not None:
            best = exchange(decisions, best, FEW, good)
            if best.excess <= 2.0 * good:
                return best
    near = not prepared.layout.crossed.into.size and decisions.broken_count(relaxed.values) <= NEARLY
    if near:  # else the relaxed optimum is too far from anything that can be
        best = _better(best, dive(decisions, relaxed, decisions.lower, decisions.upper, TACTICS[0]), relaxed)
    if best is None or best.excess > enough:
        best = _improved(prepared, decisions.cut(relaxed), best, enough)
    warm.excess = (best.answer.objective - relaxed.objective) / gross
    return best


def _improved(prepared: Prepared, relaxed: Answer, best: Decided | None, enough: float) -> Decided:
    """From the relaxed optimum that knows of its broken slots: quickly as good as it gets, then with more effort."""
    decisions, effort = prepared.decisions, effort_for(prepared.problem)
    circling = prepared.layout.crossed.into.size > effort.nodes  # more to branch on than there is to spend
    lone = circling and len(prepared.problem.stores) < 2  # single decisions turned over gain nothing then
    if not decisions.broken(relaxed.values):
        return Decided(relaxed, decisions.lower, decisions.upper, relaxed.objective)
    best = _better(best, None, relaxed)
    if best is not None and best.excess <= enough:
        return best
    worth = car_worth(decisions)
    best = _better(best, _first(decisions, relaxed), relaxed)
    if best is not None:
        if not lone:
            best = exchange(decisions, best, FEW, enough)
            if best.excess > NEAR * enough and decisions.broken_count(relaxed.values) <= FEW:
                best = prove(decisions, relaxed, best, SHORT, enough) or best
        if best.excess <= NEAR * enough:
            return best
        sweeps = min(effort.sweeps, BEFORE_STRETCHES) if lone else effort.sweeps
        best = polish(decisions, best, worth, sweeps, enough)
        if circling:
            best = mend(decisions, relaxed, best, effort.mends, enough)
            return go_over(decisions, best, effort.alone, enough)
        best = exchange(decisions, best, effort.exchanges, enough)
        if len(prepared.problem.cars) > 1:  # they contend for what a limit leaves: another begin may end far better
            best = _begun_anew(decisions, best, worth, effort, enough)
    if best is None or best.excess > NEAR * enough:
        far = len(prepared.problem.cars) > 1 and best is not None and best.excess > FAR * enough
        best = prove(decisions, relaxed, best, effort.nodes * effort.anew if far else effort.nodes, enough)
    if best is None:
        raise SolverFailedError("no way was found that keeps what is on or off; no plan from it, rules instead")
    return best


def _begun_anew(decisions: Decisions, best: Decided, worth: list[Array], effort: "Effort", enough: float) -> Decided:
    """Dives from the relaxed optimum again, each time by another tactic, as long as the best is far from the bound."""
    for tactic in ANEW[: effort.anew]:
        if best.excess <= FAR * enough:
            break
        start = decisions.relaxed(decisions.lower, decisions.upper)
        found = dive(decisions, start, decisions.lower, decisions.upper, tactic, best.answer.objective)
        if found is not None:
            best = exchange(decisions, replace(found, bound=best.bound), MORE * effort.exchanges, enough)
            if effort.anew > 1:  # else there is no time for it
                best = polish(decisions, best, worth, effort.sweeps, enough)
    return best


def _first(decisions: Decisions, relaxed: Answer) -> Decided | None:
    """The first answer that any tactic finds; where none does, everything stands still."""
    start = relaxed
    for tactic in TACTICS:
        found = dive(decisions, start, decisions.lower, decisions.upper, tactic)
        if found is not None:
            return found
        start = decisions.relaxed(decisions.lower, decisions.upper)
    return stand_still(decisions)


def _better(best: Decided | None, found: Decided | None, relaxed: Answer) -> Decided | None:
    """The cheaper of two, above the relaxed optimum."""
    if found is not None and (best is None or found.answer.objective < best.answer.objective):
        best = found
    return None if best is None else replace(best, bound=max(best.bound, relaxed.objective))


@value(frozen=True, slots=True, eq=False)
class Effort:
    """How many times stores are gone over and linear programmes solved, to improve and to prove.

    `alone`: small ones, of a stretch by itself; `anew`: tactics that are begun with after the first.
    """

    sweeps: int
    mends: int
    alone: int
    exchanges: int
    nodes: int
    anew: int


def effort_for(problem: Problem) -> Effort:
    """Less where a linear programme takes longer: its time grows with slots and parts. Stores side by side hang on each
    other in a stretch."""
    stores = len(problem.stores)
    size = problem.slots * (2 + stores + len(problem.cars) + len(problem.loads)) / 768.0
    return Effort(
        sweeps=round(min(4.0 / size, 10)) + 2,
        mends=round(min(9.0 / size, 60)) + 3,
        alone=round(min((100.0 * stores if stores > 1 else 30.0) / size, 200)),
        exchanges=round(min(3.0 / size, 30)) + 2,
        nodes=round(min(12.0 / size, 200)) + 6,
        anew=max(round(3.0 / size), 1),
    )


def _solution(problem: Problem, layout: Layout, decided: Decided, row_duals: Array) -> Solution:
    v, n, hours = decided.answer.values, problem.slots, problem.hours
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
