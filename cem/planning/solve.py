"""One planning problem in, one plan out, whatever happens."""

import time
from datetime import datetime, timedelta

from cem.model.plan import Intent, Plan, PlanRequest, Slot
from cem.planning.hedge import outlook
from cem.planning.intents import battery_intents, car_intents, heat_intents, load_intents
from cem.planning.lp import SolverFailedError
from cem.planning.optimiser import GAP, Solution, Warm, optimise
from cem.planning.parts import Problem
from cem.planning.problem import problem_of
from cem.planning.reasons import reasons_of
from cem.planning.rules import rules_plan

VALID_FOR = timedelta(hours=1)


class Replanner:
    """Solves one request after the other, each from where the last one stood while the slots are the same."""

    def __init__(self) -> None:
        self._edges: tuple[datetime, ...] = ()
        self._warm = Warm()

    def solve(self, request: PlanRequest) -> Plan:
        """As `solve`; the first, partly gone slot may be shorter than it was."""
        if request.edges[1:] != self._edges:
            self._edges, self._warm = request.edges[1:], Warm()
        return solve(request, warm=self._warm)


def solve(request: PlanRequest, valid_for: timedelta = VALID_FOR, warm: Warm | None = None) -> Plan:
    """The cheapest plan found, "optimal" within 0.1 % of the gross bill, else "feasible"; by rules if the solver fails.

    A goal or limit that cannot be kept is missed by as little as possible and named in the reasons. Raises ValueError
    for a request whose tuples do not fit its edges.
    """
    started_s = time.perf_counter()
    problem, notes = problem_of(request)
    try:
        ahead = outlook(request, problem)
        solution = optimise(problem, warm, None if ahead is None else ahead.level)
    except SolverFailedError as fault:
        return rules_plan(request, valid_for, reasons=(*notes, f"planning: {fault}"))
    intents: dict[str, list[Intent]] = {}
    heat = {need.store.resource_id for need in request.extras.heat}
    for at, store in enumerate(problem.stores):
        if store.id in heat:
            intents[store.id] = heat_intents(problem, solution, at)
        else:
            intents[store.id] = battery_intents(problem, solution, at, None if ahead is None else ahead.values[at])
    for load, run in zip(problem.loads, solution.loads, strict=True):
        intents[load.id] = load_intents(run)
    for at, car in enumerate(problem.cars):
        intents[car.id] = car_intents(problem, solution, at)
    return Plan(
        made_at=request.edges[0],
        expires_at=request.edges[0] + valid_for,
        slots=_slots(request, problem, solution, intents),
        status="optimal" if solution.gap <= GAP else "feasible",
        cost=round(solution.bill, 6),
        gap=solution.gap,
        solve_s=time.perf_counter() - started_s,
        reasons=(*notes, *reasons_of(request, problem, solution, intents)),
    )


def _slots(
    request: PlanRequest, problem: Problem, solution: Solution, intents: dict[str, list[Intent]]
) -> tuple[Slot, ...]:
    power_kw = {
        part.id: found.charge_kw - found.discharge_kw
        for part, found in zip(problem.stores, solution.stores, strict=True)
    }
    power_kw |= {part.id: found.power_kw for part, found in zip(problem.cars, solution.cars, strict=True)}
    power_kw |= {part.id: run.power_kw for part, run in zip(problem.loads, solution.loads, strict=True)}
    soc_pct = {
        part.id: 100.0 * found.soc_kwh / part.capacity_kwh
        for part, found in zip(problem.stores, solution.stores, strict=True)
    }
    grid_kw = solution.imported_kw - solution.exported_kw
    pv_kw = problem.pv_kw - solution.curtailed_kw
    return tuple(
        Slot(
            start=request.edges[t],
            end=request.edges[t + 1],
            intents={resource_id: made[t] for resource_id, made in intents.items()},
            import_price_per_kwh=float(problem.import_price[t]),
            grid_w=round(1000.0 * float(grid_kw[t]), 2),
            pv_w=-round(1000.0 * float(pv_kw[t]), 2),
            load_w=round(1000.0 * float(problem.load_kw[t]), 2),
            power_w={resource_id: round(1000.0 * float(kw[t]), 2) for resource_id, kw in power_kw.items()},
            soc_pct={resource_id: round(float(pct[t]), 3) for resource_id, pct in soc_pct.items()},
        )
        for t in range(problem.slots)
    )
