"""From an optimum to a regime: what each resource should do with a surplus and a deficit, never a power to chase."""

import numpy as np

from cem.model.plan import Intent, IntentKind
from cem.planning.lp import Array
from cem.planning.optimiser import LoadSolution, Solution, StoreSolution
from cem.planning.parts import Problem, StorePart

NOISE_KW = 0.05  # a flow below this is no reason for a regime
COVERED = 0.5  # a deficit covered by less than this share counts as not covered
LIFTS = 0.05  # of its capacity, in an hour: a store that rises by less is not filled for later
SUN_SHARE = 0.25  # of a car's power: from here on it charges with the sun, not beside it
BOUND_KW = 0.05  # this close to a limit the plan's own power is the most that may be used


def battery_intents(problem: Problem, solution: Solution, at: int, worth: Array | None = None) -> list[Intent]:
    """One intent per slot for the battery at position `at`.

    `worth` is what a stored kWh is worth over all courses in which the day may come: by it the battery covers the house
    or holds back. Without it by the solution, which knows only one.

    CHARGE_TO and DISCHARGE_TO carry the state of charge at the slot's end; `max_w` is the battery's own unless a limit
    of the connection point is used up in the slot.
    """
    part, found = problem.stores[at], solution.stores[at]
    net = problem.load_kw - problem.pv_kw + solution.curtailed_kw + _heat(problem, solution)
    net = net + _total([run.power_kw for run in solution.loads], problem)
    charge = _total([b.charge_kw for b, _ in _batteries(problem, solution)], problem)
    discharge = _total([b.discharge_kw for b in solution.stores], problem)
    from_grid = charge > np.maximum(-net, 0.0) + NOISE_KW
    feeding = discharge > np.maximum(net, 0.0) + NOISE_KW
    kept = found.soc_kwh > part.floor_kwh + part.capacity_kwh / 100.0
    able = np.minimum(np.maximum(net, 0.0), part.max_discharge_kw)
    values = found.value_per_kwh if worth is None else worth
    dearer_later = values > (
        (problem.import_price - part.wear) * part.discharge_efficiency + 1e-3 * problem.price_scale
    )
    if worth is None:
        uncovered = np.where(
            able > NOISE_KW, discharge < COVERED * able, dearer_later & (found.discharge_kw < NOISE_KW)
        )
    else:
        uncovered = dearer_later
    tight_in = solution.imported_kw > _import_limit_kw(problem, solution) - BOUND_KW
    tight_out = solution.exported_kw > problem.export_limit_kw - BOUND_KW
    intents = []
    for t in range(problem.slots):
        value = round(float(values[t]), 5)
        target = round(100.0 * float(found.soc_kwh[t]) / part.capacity_kwh, 1)
        if from_grid[t] and found.charge_kw[t] > NOISE_KW:
            most = found.charge_kw[t] if tight_in[t] else part.max_charge_kw[t]
            intents.append(Intent(IntentKind.CHARGE_TO, target, round(1000.0 * float(most), 0), value))
        elif feeding[t] and found.discharge_kw[t] > NOISE_KW:
            most = found.discharge_kw[t] if tight_out[t] else part.max_discharge_kw[t]
            intents.append(Intent(IntentKind.DISCHARGE_TO, target, round(1000.0 * float(most), 0), value))
        else:
            kind = IntentKind.HOLD if uncovered[t] and kept[t] else IntentKind.SELF_CONSUME
            intents.append(Intent(kind, value_per_kwh=value))
    return intents


def car_intents(problem: Problem, solution: Solution, at: int) -> list[Intent]:
    """One intent per slot for the car at position `at`; batteries are reckoned to take a surplus before cars do.

    `max_w` is what the charging point gives unless a limit of the connection point is used up in the slot, a good part
    of it comes from the sun, or a kWh costs more than it is worth in the car: more than planned would not pay. Where it
    does, and only the sun makes up for it, the car follows the sun that comes, not the one that was expected.
    """
    part, found = problem.cars[at], solution.cars[at]
    charge = _total([b.charge_kw for b in solution.stores], problem)
    others = _total([c.power_kw for c in solution.cars[:at]], problem)
    others = others + _total([run.power_kw for run in solution.loads], problem)
    sun = np.maximum(problem.pv_kw - solution.curtailed_kw - problem.load_kw - charge - others, 0.0)
    value = round(found.value_per_kwh, 5)
    tight = solution.imported_kw > _import_limit_kw(problem, solution) - BOUND_KW
    dear = problem.import_price > found.value_per_kwh + 1e-3 * problem.price_scale
    by_sun = dear & (sun > NOISE_KW) & (problem.peak_price <= 0.0)  # a peak that has its price is none of the sun's
    intents = []
    for t in range(problem.slots):
        power = float(found.power_kw[t])
        if power <= NOISE_KW:
            intents.append(Intent(IntentKind.HOLD, value_per_kwh=value))
        elif power > sun[t] + NOISE_KW and not by_sun[t]:
            most_kw = max(float(part.max_kw[t]), part.full_kw)
            # at full power the sun of later would be left over
            bounded = tight[t] or dear[t] or sun[t] >= SUN_SHARE * power
            most = min(max(power, part.min_kw), most_kw) if bounded else most_kw
            intents.append(Intent(IntentKind.CHARGE_TO, None, round(1000.0 * most, 0), value))
        else:
            intents.append(Intent(IntentKind.SURPLUS_ONLY, value_per_kwh=value))
    return intents


def heat_intents(problem: Problem, solution: Solution, at: int) -> list[Intent]:
    """One intent per slot for the heat pump whose store is at position `at`.

    CHARGE_TO where more heat is made than the house draws: it is stored for later. Else the machine does as it needs; a
    surplus of the sun is stored where feeding it in would bring less than the heat is worth.
    """
    part, found = problem.stores[at], solution.stores[at]
    drawn = np.zeros(problem.slots) if part.drain_kw is None else part.drain_kw
    rises = found.charge_kw * part.charge_efficiency > drawn + NOISE_KW + LIFTS * part.capacity_kwh
    worth = found.value_per_kwh * part.charge_efficiency
    intents = []
    for t in range(problem.slots):
        value = round(float(worth[t]), 5)
        target = round(100.0 * float(found.soc_kwh[t]) / part.capacity_kwh, 1)
        if rises[t]:
            intents.append(Intent(IntentKind.CHARGE_TO, target, value_per_kwh=value))
        else:
            stores = problem.export_price[t] < value
            intents.append(Intent(IntentKind.SURPLUS_ONLY if stores else IntentKind.HOLD, value_per_kwh=value))
    return intents


def load_intents(run: LoadSolution) -> list[Intent]:
    """CHARGE_TO in the slots of the run; in all others a load with pauses takes the surplus that nobody planned."""
    return [
        Intent(IntentKind.CHARGE_TO if power > NOISE_KW else IntentKind.SURPLUS_ONLY) for power in run.power_kw.tolist()
    ]


def _import_limit_kw(problem: Problem, solution: Solution) -> Array:
    """The limit; where a peak has its price, not above the highest that is planned or has been."""
    if problem.peak_price <= 0.0:
        return problem.import_limit_kw
    return np.minimum(problem.import_limit_kw, max(float(solution.imported_kw.max()), problem.peak_kw))


def _batteries(problem: Problem, solution: Solution) -> list[tuple[StoreSolution, StorePart]]:
    """The stores that give power back."""
    return [(s, part) for s, part in zip(solution.stores, problem.stores, strict=True) if part.max_discharge_kw.any()]


def _heat(problem: Problem, solution: Solution) -> Array:
    """What heat pumps draw."""
    pumps = zip(solution.stores, problem.stores, strict=True)
    return _total([s.charge_kw for s, part in pumps if not part.max_discharge_kw.any()], problem)


def _total(parts: list[Array], problem: Problem) -> Array:
    return np.sum(parts, axis=0) if parts else np.zeros(problem.slots)
