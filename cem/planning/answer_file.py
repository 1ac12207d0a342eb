"""A solved planning problem as JSON: self-consistent to the last digit that is shown, shortfalls named.

Powers in W in the house's signs (into the terminal positive), energies in Wh at the end of each step.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cem.planning.optimiser import GAP, Solution
from cem.planning.parts import Array, CarPart, Problem, StorePart
from cem.planning.problem_file import LoadRow, ProblemFile

NOISE_KW: Final = 2e-4
LEAST_KWH: Final = 1e-3
LEAST_KW: Final = 1e-3

Shortfall = dict[str, Any]


def answer_of(
    file: ProblemFile, problem: Problem, solution: Solution, notes: list[str], build_s: float, solve_s: float
) -> dict[str, Any]:
    """The answer; `bound` is what no plan can undercut in `cost` at the same shortfalls.

    `cost` is the bill (import paid, export earned, the peak's price) and wear, less the value of what is left at the
    end; `gap` a share of the gross bill.
    """
    stores = zip(problem.stores, solution.stores, strict=True)
    powers = [_tidy(found.charge_kw - found.discharge_kw, part.min_charge_kw) for part, found in stores]
    cars = [_tidy(found.power_kw, part.min_kw) for part, found in zip(problem.cars, solution.cars, strict=True)]
    stored = [_stored(part, power, problem.hours) for part, power in zip(problem.stores, powers, strict=True)]
    filled = [
        part.soc_kwh + np.cumsum(power * problem.hours) * part.efficiency
        for part, power in zip(problem.cars, cars, strict=True)
    ]
    runs = [found.power_kw for found in solution.loads]
    curtailed = np.where(solution.curtailed_kw > NOISE_KW, solution.curtailed_kw, 0.0)
    grid = problem.load_kw - problem.pv_kw + curtailed + sum([*powers, *cars, *runs], np.zeros(problem.slots))
    bill, cost = _money(problem, grid, powers, stored, filled)
    shortfalls = [
        *_over_limits(problem, grid),
        *_goals_missed(problem, stored, filled),
        *_outside(problem, stored),
        *_loads_missed(file, problem, solution),
        *_services_missed(solution),
    ]
    shown = [_store(*one) for one in zip(powers, stored, strict=True)]
    batteries, rest = shown[: len(file.batteries)], shown[len(file.batteries) :]
    pumps = rest[len(rest) - len(file.heat_pumps) :]
    both_ways, one_way = iter(rest), iter([_store(*one) for one in zip(cars, filled, strict=True)])
    return {
        "status": "optimal" if solution.gap <= GAP else "feasible",
        "cost": round(cost, 6),
        "bound": round(cost - (solution.cost - solution.bound), 6),
        "gap": round(solution.gap, 8),
        "bill": round(bill, 6),
        "build_s": round(build_s, 6),
        "solve_s": round(solve_s, 6),
        "grid_w": _w(grid),
        "pv_curtailed_w": _w(curtailed),
        "batteries": {row.id: one for row, one in zip(file.batteries, batteries, strict=True)},
        "evs": {row.id: next(both_ways if row.max_discharge_w > 0.0 else one_way) for row in file.evs},
        "loads": {row.id: _load(row, problem, solution) for row in file.loads},
        "heat_pumps": {row.id: one for row, one in zip(file.heat_pumps, pumps, strict=True)},
        "shortfalls": shortfalls,
        "reasons": [*notes, *(str(one["cause"]) for one in shortfalls)],
    }


def _tidy(power_kw: Array, least_kw: float) -> Array:
    """Without the solver's noise: nothing is nothing, the least is the least."""
    tidy = np.where(np.abs(power_kw) > NOISE_KW, power_kw, 0.0)
    return np.where((tidy > 0.0) & (tidy < least_kw), least_kw, tidy)


def _stored(part: StorePart, power_kw: Array, hours: Array) -> Array:
    """What is stored at each step's end, from the power alone."""
    into, out = np.maximum(power_kw, 0.0), np.maximum(-power_kw, 0.0)
    drain = np.zeros(len(hours)) if part.drain_kw is None else part.drain_kw
    gain = (into * part.charge_efficiency - out / part.discharge_efficiency - drain) * hours
    if part.loss_per_h == 0.0:
        return part.soc_kwh + np.cumsum(gain)
    level, levels = part.soc_kwh, []
    for step_h, more in zip(hours, gain, strict=True):
        level = level * (1.0 - part.loss_per_h * float(step_h)) + float(more)
        levels.append(level)
    return np.array(levels)


def _money(
    problem: Problem, grid_kw: Array, powers: list[Array], stored: list[Array], filled: list[Array]
) -> tuple[float, float]:
    into, out = np.maximum(grid_kw, 0.0), np.maximum(-grid_kw, 0.0)
    bill = float((problem.hours * (into * problem.import_price - out * problem.export_price)).sum())
    bill += problem.peak_price * max(float(into.max()) - problem.peak_kw, 0.0)
    cost = bill
    for part, power, level in zip(problem.stores, powers, stored, strict=True):
        given_kwh = float((np.maximum(-power, 0.0) * problem.hours).sum())
        cost += part.wear * given_kwh - part.end_value * float(level[-1])
    for car, level in zip(problem.cars, filled, strict=True):
        cost -= car.end_value * float(level[-1])
    return bill, cost


def _over_limits(problem: Problem, grid_kw: Array) -> list[Shortfall]:
    found = []
    sides = (("import_limit", grid_kw, problem.import_limit_kw), ("export_limit", -grid_kw, problem.export_limit_kw))
    for what, flow, limit in sides:
        for step in np.flatnonzero(flow > limit + LEAST_KW):
            over_w = 1000.0 * float(flow[step] - limit[step])
            why = "base load and goals leave no way below" if grid_kw[step] > 0 else "the surplus has no other way"
            limit_w = 1000.0 * float(limit[step])
            cause = f"{what.replace('_', ' ')} of {limit_w:.0f} W at step {step}: {over_w:.0f} W beyond it, {why}"
            found.append(_shortfall(what, None, int(step), over_w, "W", cause))
    return found


def _goals_missed(problem: Problem, stored: list[Array], filled: list[Array]) -> list[Shortfall]:
    found = []
    parts: list[tuple[StorePart | CarPart, Array, Array]] = [
        (part, level, part.max_charge_kw * part.charge_efficiency)
        for part, level in zip(problem.stores, stored, strict=True)
    ]
    parts += [(part, level, part.max_kw * part.efficiency) for part, level in zip(problem.cars, filled, strict=True)]
    for part, level, gain_kw in parts:
        for goal in part.goals:
            step = goal.slots_before
            reached = float(level[step - 1]) if step else part.soc_kwh
            missing = goal.level_kwh - reached
            if missing <= LEAST_KWH:
                continue
            possible = part.soc_kwh + float((gain_kw * problem.hours * goal.by).sum())
            if goal.level_kwh > part.capacity_kwh + LEAST_KWH:
                why = "it is above what can be stored"
            elif possible < goal.level_kwh - LEAST_KWH:
                why = "the time until then is too short"
            else:
                why = "limits and other goals leave no more"
            cause = f"{part.id}: {1000.0 * missing:.0f} Wh are missing of the goal at step {step}, {why}"
            found.append(_shortfall("goal", part.id, step, 1000.0 * missing, "Wh", cause))
    return found


def _outside(problem: Problem, stored: list[Array]) -> list[Shortfall]:
    found = []
    for part, level in zip(problem.stores, stored, strict=True):
        for what, missing in (("min_soc", part.floor_kwh - level), ("max_soc", level - part.capacity_kwh)):
            steps = np.flatnonzero(missing > LEAST_KWH)
            if not steps.size:
                continue
            step = int(missing.argmax())
            most_wh = 1000.0 * float(missing[step])
            side = "below what it should hold" if what == "min_soc" else "above what it may hold"
            cause = f"{part.id}: up to {most_wh:.0f} Wh {side}, from step {int(steps[0])} to {int(steps[-1])}"
            found.append(_shortfall(what, part.id, step, most_wh, "Wh", cause))
    return found


def _loads_missed(file: ProblemFile, problem: Problem, solution: Solution) -> list[Shortfall]:
    """What does not run, and what runs later or earlier than it was asked to."""
    found = []
    runs = {part.id: one.slots for part, one in zip(problem.loads, solution.loads, strict=True)}
    lengths = {part.id: len(part.profile_kw) for part in problem.loads}
    for row in file.loads:
        slots = _run_slots(runs.get(row.id, ()), lengths.get(row.id, 0))
        profile = np.atleast_1d(np.array(row.power_w))
        if len(profile) and not slots:
            energy = float(profile.sum()) * float(problem.hours.mean())
            cause = f"{row.id}: does not run, there is no room for it"
            found.append(_shortfall("load", row.id, row.earliest_step, energy, "Wh", cause))
        elif slots and row.latest_end_step is not None and slots[-1] + 1 > row.latest_end_step:
            late = slots[-1] + 1 - row.latest_end_step
            cause = f"{row.id}: ends {late} steps late, its window is shorter than its run"
            found.append(_shortfall("load", row.id, row.latest_end_step, float(late), "steps", cause))
        elif slots and slots[0] < row.earliest_step:
            early = row.earliest_step - slots[0]
            cause = f"{row.id}: starts {early} steps early, the horizon ends too soon for its run"
            found.append(_shortfall("load", row.id, row.earliest_step, float(early), "steps", cause))
    return found


def _services_missed(solution: Solution) -> list[Shortfall]:
    words = {
        "least": "grid_min_w is not reached",
        "most": "grid_max_w is exceeded",
        "up": "reserve_up_w is not kept free",
        "down": "reserve_down_w is not kept free",
    }
    return [
        _shortfall(
            name,
            None,
            int(step),
            1000.0 * float(missed[step]),
            "W",
            f"step {step}: {words[name]}, {1000.0 * float(missed[step]):.0f} W short",
        )
        for name, missed in solution.services_missed.items()
        for step in np.flatnonzero(missed > LEAST_KW)
    ]


def _shortfall(what: str, part_id: str | None, step: int, amount: float, unit: str, cause: str) -> Shortfall:
    return {"what": what, "id": part_id, "step": step, "amount": round(amount, 3), "unit": unit, "cause": cause}


def _run_slots(slots: tuple[int, ...], pieces: int) -> tuple[int, ...]:
    return slots if len(slots) == pieces else ()


def _load(row: LoadRow, problem: Problem, solution: Solution) -> dict[str, Any]:
    for part, found in zip(problem.loads, solution.loads, strict=True):
        slots = _run_slots(found.slots, len(part.profile_kw))
        if part.id == row.id and slots:
            return {"start_step": slots[0], "steps": list(slots), "power_w": _w(found.power_kw)}
    return {"start_step": None, "steps": [], "power_w": [0.0] * problem.slots}


def _store(power_kw: Array, stored_kwh: Array) -> dict[str, Any]:
    return {"power_w": _w(power_kw), "soc_wh": _w(stored_kwh)}


def _w(values: NDArray[np.float64]) -> list[float]:
    return [round(1000.0 * value, 3) for value in values.tolist()]
