"""Solves a planning problem: a linear programme first, then only the on/off decisions that its solution breaks."""

from dataclasses import dataclass, replace

import numpy as np

from cem.planning.lp import Answer, Array, Blocks, Solver
from cem.planning.problem import Problem
from cem.planning.programme import Layout, build
from cem.planning.switching import charge_properly, one_way


@dataclass(frozen=True, slots=True)
class BatterySolution:
    """One value per slot: kW into (charge) and out of (discharge) the battery, kWh at the slot's end."""

    charge_kw: Array
    discharge_kw: Array
    soc_kwh: Array
    value_per_kwh: Array  # marginal value of a stored kWh


@dataclass(frozen=True, slots=True)
class CarSolution:
    """kW per slot, and the kWh that do not come in time or at all within the horizon."""

    power_kw: Array
    missed_kwh: float
    unfinished_kwh: float
    value_per_kwh: float


@dataclass(frozen=True, slots=True)
class Solution:
    """The optimum. `over` are kW beyond a limit, part of imported and exported. `bill` is money at the meter."""

    imported_kw: Array
    exported_kw: Array
    import_over_kw: Array
    export_over_kw: Array
    curtailed_kw: Array
    batteries: tuple[BatterySolution, ...]
    cars: tuple[CarSolution, ...]
    bill: float
    objective: float
    bound: float
    gap: float  # (objective - bound) as a share of the gross bill


def optimise(problem: Problem) -> Solution:
    """The cheapest way through the horizon; raises SolverFailedError when the solver gives nothing."""
    blocks = Blocks()
    layout = build(problem, blocks)
    solver = Solver(blocks, problem.price_scale)
    answer = one_way(problem, layout, solver, solver.run())
    answer = charge_properly(problem, layout, solver, answer)
    switched_again = one_way(problem, layout, solver, answer)  # other hours for a car may have freed another step
    answer = replace(switched_again, bound=min(answer.bound, switched_again.objective))
    return _solution(problem, layout, answer)


def _solution(problem: Problem, layout: Layout, answer: Answer) -> Solution:
    v = answer.values
    import_over, export_over = v[layout.import_over], v[layout.export_over]
    imported, exported = v[layout.imported] + import_over, v[layout.exported] + export_over
    both = np.minimum(imported, exported)  # only where both ways cost nothing
    imported, exported = imported - both, exported - both
    import_over, export_over = np.minimum(import_over, imported), np.minimum(export_over, exported)
    bill = float((problem.hours * (problem.import_price * imported - problem.export_price * exported)).sum())
    batteries = tuple(
        BatterySolution(v[c.charge], v[c.discharge], v[c.soc], -answer.duals[c.soc_rows]) for c in layout.batteries
    )
    cars = tuple(
        CarSolution(
            v[c.power],
            float(v[c.missed][0]),
            float(v[c.unfinished][0]),
            float(answer.duals[c.total_row][0] + answer.duals[c.due_row][0]),
        )
        for c in layout.cars
    )
    return Solution(
        imported,
        exported,
        import_over,
        export_over,
        v[layout.curtailed],
        batteries,
        cars,
        bill=bill,
        objective=answer.objective,
        bound=answer.bound,
        gap=max(answer.objective - answer.bound, 0.0) / max(problem.gross_bill, 1e-6),
    )
