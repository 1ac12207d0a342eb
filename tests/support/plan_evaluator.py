"""An answer to a planning problem judged from the numbers alone, with nothing of the planner.

Written from the description of the file format; plain floats and loops on purpose.
"""

from dataclasses import dataclass, field
from typing import Any

POWER_W = 0.5  # tolerances: of a power, of an energy
ENERGY_WH = 2.0


@dataclass
class Verdict:
    """What can't be, what it costs, and what is missed: kWh beyond limits, kWh of goals, kWh x h outside a band."""

    faults: list[str] = field(default_factory=list)
    cost: float = 0.0
    over_kwh: float = 0.0
    missed_kwh: float = 0.0
    outside_kwh_h: float = 0.0
    loads_missed_kwh: float = 0.0

    def penalised(self, scale: float) -> float:
        """Money and what is missed at the planner's documented prices: comparable between any two answers."""
        return self.cost + scale * (
            10000.0 * self.over_kwh
            + 100.0 * (self.missed_kwh + self.loads_missed_kwh)
            + 100.0 / 24.0 * self.outside_kwh_h
        )


def each(value: Any, count: int) -> list[Any]:
    """One value for every step."""
    return list(value) if isinstance(value, list) else [value] * count


def plugged_in(row: dict[str, Any], count: int) -> list[list[int]]:
    """When a car is there: always where nothing is said, never where nothing is listed."""
    spans: list[list[int]] | None = row.get("plugged")
    return [[0, count]] if spans is None else spans


def evaluate(problem: dict[str, Any], answer: dict[str, Any]) -> Verdict:
    """Everything that the file format promises, checked."""
    found = Verdict()
    n = len(problem["import_price_per_kwh"])
    hours = [s / 3600.0 for s in each(problem["step_s"], n)]
    total = [0.0] * n
    for row in problem.get("batteries", []):
        _battery(row, answer["batteries"][row["id"]], hours, total, found)
    for row in problem.get("evs", []):
        _ev(row, answer["evs"][row["id"]], hours, total, found)
    for row in problem.get("loads", []):
        _load(row, answer["loads"][row["id"]], hours, total, found)
    for row in problem.get("heat_pumps", []):
        _heat_pump(row, answer["heat_pumps"][row["id"]], hours, total, found)
    _grid(problem, answer, hours, total, found)
    return found


def _grid(
    problem: dict[str, Any], answer: dict[str, Any], hours: list[float], total: list[float], found: Verdict
) -> None:
    n = len(hours)
    load, sun = each(problem["base_load_w"], n), each(problem["pv_w"], n)
    buy, sell = problem["import_price_per_kwh"], each(problem["export_price_per_kwh"], n)
    most_in, most_out = each(problem.get("import_limit_w"), n), each(problem.get("export_limit_w"), n)
    for t in range(n):
        off, grid = answer["pv_curtailed_w"][t], answer["grid_w"][t]
        if not -POWER_W <= off <= sun[t] + POWER_W or (off > POWER_W and not problem.get("pv_curtailable", True)):
            found.faults.append(f"step {t}: {off} W kept off of {sun[t]} W")
        if abs(grid - (load[t] - sun[t] + off + total[t])) > POWER_W:
            found.faults.append(f"step {t}: energy from nowhere")
        found.cost += hours[t] * (max(grid, 0.0) * buy[t] - max(-grid, 0.0) * sell[t]) / 1000.0
        for flow, limit in ((grid, most_in[t]), (-grid, most_out[t])):
            if limit is not None and flow > limit + POWER_W:
                found.over_kwh += (flow - limit) * hours[t] / 1000.0
    peak = max(0.0, *answer["grid_w"])
    found.cost += problem.get("peak_price_per_kw", 0.0) * max(peak - problem.get("peak_so_far_w", 0.0), 0.0) / 1000.0


def _levels(
    row: dict[str, Any], shown: dict[str, Any], hours: list[float], gains: tuple[list[float], float], found: Verdict
) -> list[float]:
    """Energy at the end of each step from the powers; what the answer says must be the same."""
    level, levels = row["soc_wh"], []
    for t, power in enumerate(shown["power_w"]):
        level += (power * gains[0][t] if power > 0 else power / gains[1]) * hours[t]
        if abs(level - shown["soc_wh"][t]) > ENERGY_WH:
            found.faults.append(f"{row['id']} step {t}: says {shown['soc_wh'][t]} Wh, holds {level} Wh")
        levels.append(level)
    return levels


def _goals(row: dict[str, Any], levels: list[float], found: Verdict) -> None:
    for goal in row.get("goals", []):
        reached = levels[goal["step"] - 1] if goal["step"] else row["soc_wh"]
        found.missed_kwh += max(goal["soc_wh"] - reached - 0.5, 0.0) / 1000.0


def _band(
    who: str, levels: list[float], low: float, high: float, start: float, hours: list[float], found: Verdict
) -> None:
    for t, level in enumerate(levels):
        beyond = max(low - level, level - high, 0.0)
        if beyond > ENERGY_WH and low <= start <= high:
            found.faults.append(f"{who} step {t}: {level} Wh outside {low} to {high}")
        found.outside_kwh_h += beyond / 1000.0 * hours[t]


def _battery(
    row: dict[str, Any], shown: dict[str, Any], hours: list[float], total: list[float], found: Verdict
) -> None:
    n = len(hours)
    into, out = each(row["max_charge_w"], n), each(row["max_discharge_w"], n)
    gains = ([row.get("charge_efficiency", 0.95)] * n, row.get("discharge_efficiency", 0.95))
    for t, power in enumerate(shown["power_w"]):
        if not -out[t] - POWER_W <= power <= into[t] + POWER_W:
            found.faults.append(f"{row['id']} step {t}: {power} W beyond its rating")
        total[t] += power
        found.cost += row.get("wear_per_kwh", 0.0) * max(-power, 0.0) * hours[t] / 1000.0
    levels = _levels(row, shown, hours, gains, found)
    high = min(row.get("max_soc_wh") or row["capacity_wh"], row["capacity_wh"])
    _band(row["id"], levels, row.get("min_soc_wh", 0.0), high, row["soc_wh"], hours, found)
    _goals(row, levels, found)
    found.cost -= row.get("end_value_per_kwh", 0.0) * levels[-1] / 1000.0


def _ev(row: dict[str, Any], shown: dict[str, Any], hours: list[float], total: list[float], found: Verdict) -> None:
    n = len(hours)
    there = [any(a <= t < b for a, b in plugged_in(row, n)) for t in range(n)]
    for t, power in enumerate(shown["power_w"]):
        if abs(power) > POWER_W and not there[t]:
            found.faults.append(f"{row['id']} step {t}: {power} W and not plugged")
        if power > POWER_W and not row["min_w"] - POWER_W <= power <= row["max_w"] + POWER_W:
            found.faults.append(f"{row['id']} step {t}: {power} W is neither nothing nor in its band")
        if power < -row.get("max_discharge_w", 0.0) - POWER_W:
            found.faults.append(f"{row['id']} step {t}: gives {power} W")
        total[t] += power
        found.cost += row.get("wear_per_kwh", 0.0) * max(-power, 0.0) * hours[t] / 1000.0
    levels = _levels(row, shown, hours, ([row["efficiency"]] * n, row["efficiency"]), found)
    _band(row["id"], levels, 0.0, row["capacity_wh"], row["soc_wh"], hours, found)
    _goals(row, levels, found)
    found.cost -= row.get("end_value_per_kwh", 0.0) * levels[-1] / 1000.0


def _load(row: dict[str, Any], shown: dict[str, Any], hours: list[float], total: list[float], found: Verdict) -> None:
    profile, steps = each(row["power_w"], 1), shown["steps"]
    if not steps:
        found.loads_missed_kwh += sum(profile) * sum(hours) / len(hours) / 1000.0
        return
    if len(steps) != len(profile) or sorted(set(steps)) != steps or steps[0] != shown["start_step"]:
        found.faults.append(f"{row['id']}: runs in {steps}")
        return
    if steps[0] < row["earliest_step"] or steps[-1] + 1 > row["latest_end_step"]:
        found.faults.append(f"{row['id']}: outside its window")
    if not row.get("interruptible") and steps[-1] - steps[0] + 1 != len(steps):
        found.faults.append(f"{row['id']}: interrupted")
    for power, t in zip(profile, steps, strict=True):
        total[t] += power


def _heat_pump(
    row: dict[str, Any], shown: dict[str, Any], hours: list[float], total: list[float], found: Verdict
) -> None:
    n = len(hours)
    cop, demand, level, levels = each(row["cop"], n), each(row["demand_w"], n), row["stored_wh"], []
    for t, power in enumerate(shown["power_w"]):
        if power > POWER_W and not row["min_w"] - POWER_W <= power <= row["max_w"] + POWER_W:
            found.faults.append(f"{row['id']} step {t}: {power} W is neither nothing nor in its band")
        level = level * (1.0 - row["loss_per_h"] * hours[t]) + (power * cop[t] - demand[t]) * hours[t]
        if abs(level - shown["soc_wh"][t]) > ENERGY_WH:
            found.faults.append(f"{row['id']} step {t}: says {shown['soc_wh'][t]} Wh, holds {level} Wh")
        levels.append(level)
        total[t] += power
    for t, level_wh in enumerate(levels):
        beyond = max(row["min_stored_wh"] - level_wh, level_wh - row["capacity_wh"], 0.0)
        found.outside_kwh_h += beyond / 1000.0 * hours[t]
    found.cost -= row["end_value_per_kwh"] * levels[-1] / 1000.0
