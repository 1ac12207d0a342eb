"""The textbook model of a planning problem: a binary for every exclusivity and minimum, HiGHS through scipy.

Nothing of the planner; the prices of what is missed are the documented ones, so that objectives can be compared.
"""

import time
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix

from support.plan_evaluator import each, plugged_in


class _Model:
    def __init__(self) -> None:
        self.low: list[float] = []
        self.high: list[float] = []
        self.cost: list[float] = []
        self.whole: list[int] = []
        self.rows: list[tuple[float, float]] = []
        self.entries: list[tuple[int, int, float]] = []
        self.constant = 0.0

    def columns(self, count: int, high: Any, cost: Any = 0.0, *, low: Any = 0.0, whole: bool = False) -> list[int]:
        first = len(self.low)
        self.low += each(low, count)
        self.high += each(high, count)
        self.cost += each(cost, count)
        self.whole += [int(whole)] * count
        return list(range(first, first + count))

    def row(self, low: float, high: float, *terms: tuple[int, float]) -> int:
        self.rows.append((low, high))
        self.entries += [(len(self.rows) - 1, column, value) for column, value in terms]
        return len(self.rows) - 1


def textbook(problem: dict[str, Any], limit_s: float = 60.0) -> tuple[float, float, float]:
    """Penalised objective, proven bound and seconds (building included) of the textbook's way."""
    started = time.perf_counter()
    m = _Model()
    n = len(problem["import_price_per_kwh"])
    hours = [s / 3600.0 for s in each(problem["step_s"], n)]
    buy, sell = problem["import_price_per_kwh"], each(problem["export_price_per_kwh"], n)
    load, sun = each(problem["base_load_w"], n), each(problem["pv_w"], n)
    scale = max(*map(abs, buy), *map(abs, sell), 0.01)
    big = 200.0
    most_in = [x / 1e3 if x is not None else None for x in each(problem.get("import_limit_w"), n)]
    most_out = [x / 1e3 if x is not None else None for x in each(problem.get("export_limit_w"), n)]
    into = m.columns(n, big, [p * h for p, h in zip(buy, hours, strict=True)])
    out = m.columns(n, big, [-p * h for p, h in zip(sell, hours, strict=True)])
    way = m.columns(n, 1.0, whole=True)
    off = m.columns(n, [s / 1e3 if problem.get("pv_curtailable", True) else 0.0 for s in sun])
    over = [
        m.columns(n, [0.0 if x is None else big for x in limits], [10000 * scale * h for h in hours])
        for limits in (most_in, most_out)
    ]
    balance = []
    for t in range(n):
        m.row(-np.inf, 0.0, (into[t], 1.0), (way[t], -big))
        m.row(-np.inf, big, (out[t], 1.0), (way[t], big))
        for flow, limits, beyond in ((into, most_in, over[0]), (out, most_out, over[1])):
            limit = limits[t]
            if limit is not None:
                m.row(-np.inf, limit, (flow[t], 1.0), (beyond[t], -1.0))
        net = (load[t] - sun[t]) / 1e3
        balance.append(m.row(net, net, (into[t], 1.0), (out[t], -1.0), (off[t], -1.0)))
    for row in problem.get("batteries", []):
        _store(m, row, hours, balance, scale, [1.0] * n, 0.0)
    for row in problem.get("evs", []):
        there = [float(any(a <= t < b for a, b in plugged_in(row, n))) for t in range(n)]
        car = row | {
            "max_charge_w": row["max_w"],
            "max_discharge_w": row.get("max_discharge_w", 0.0),
            "charge_efficiency": row["efficiency"],
            "discharge_efficiency": row["efficiency"],
        }
        _store(m, car, hours, balance, scale, there, row["min_w"] / 1e3)
    for row in problem.get("loads", []):
        _load(m, row, hours, balance, scale)
    for row in problem.get("heat_pumps", []):
        _heat_pump(m, row, hours, balance, scale)
    if problem.get("peak_price_per_kw", 0.0) > 0.0:
        (peak,) = m.columns(1, big, problem["peak_price_per_kw"], low=problem.get("peak_so_far_w", 0.0) / 1e3)
        m.constant -= problem["peak_price_per_kw"] * problem.get("peak_so_far_w", 0.0) / 1e3
        for t in range(n):
            m.row(0.0, np.inf, (peak, 1.0), (into[t], -1.0))
    rows, columns, values = zip(*m.entries, strict=True)
    matrix = coo_matrix((values, (rows, columns)), shape=(len(m.rows), len(m.low))).tocsr()
    lows, highs = zip(*m.rows, strict=True)
    answer = milp(
        np.array(m.cost),
        integrality=np.array(m.whole),
        bounds=Bounds(np.array(m.low), np.array(m.high)),
        constraints=LinearConstraint(matrix, np.array(lows), np.array(highs)),
        options={"time_limit": limit_s, "mip_rel_gap": 1e-4},
    )
    spent = time.perf_counter() - started
    objective = np.inf if answer.fun is None else float(answer.fun) + m.constant
    bound = -np.inf if answer.mip_dual_bound is None else float(answer.mip_dual_bound) + m.constant
    return objective, bound, spent


def _store(
    m: _Model,
    row: dict[str, Any],
    hours: list[float],
    balance: list[int],
    scale: float,
    there: list[float],
    least: float,
) -> None:
    n = len(hours)
    most_in = [x * y / 1e3 for x, y in zip(each(row["max_charge_w"], n), there, strict=True)]
    most_out = [x * y / 1e3 for x, y in zip(each(row["max_discharge_w"], n), there, strict=True)]
    into, out = m.columns(n, most_in), m.columns(n, most_out, [row.get("wear_per_kwh", 0.0) * h for h in hours])
    way = m.columns(n, 1.0, whole=True)
    high = min(row.get("max_soc_wh") or row["capacity_wh"], row["capacity_wh"]) / 1e3
    level = m.columns(
        n, high, [0.0] * (n - 1) + [-row.get("end_value_per_kwh", 0.0)], low=row.get("min_soc_wh", 0.0) / 1e3
    )
    for t in range(n):
        m.row(-np.inf, 0.0, (into[t], 1.0), (way[t], -most_in[t]))
        if least:
            m.row(0.0, np.inf, (into[t], 1.0), (way[t], -least * there[t]))
        m.row(-np.inf, most_out[t], (out[t], 1.0), (way[t], most_out[t]))
        m.entries += [(balance[t], into[t], -1.0), (balance[t], out[t], 1.0)]
        terms = [
            (level[t], 1.0),
            (into[t], -row["charge_efficiency"] * hours[t]),
            (out[t], hours[t] / row["discharge_efficiency"]),
        ]
        start = row["soc_wh"] / 1e3 if t == 0 else 0.0
        m.row(start, start, *terms, *([(level[t - 1], -1.0)] if t else []))
    for goal in row.get("goals", []):
        if goal["step"] == 0:
            m.constant += 100.0 * scale * max(goal["soc_wh"] - row["soc_wh"], 0.0) / 1e3
            continue
        (missed,) = m.columns(1, np.inf, 100.0 * scale)
        m.row(goal["soc_wh"] / 1e3, np.inf, (level[goal["step"] - 1], 1.0), (missed, 1.0))


def _load(m: _Model, row: dict[str, Any], hours: list[float], balance: list[int], scale: float) -> None:
    profile, first, end = row["power_w"], row["earliest_step"], row["latest_end_step"]
    energy = sum(profile) / 1e3 * sum(hours) / len(hours)
    (missed,) = m.columns(1, 1.0, 100.0 * scale * energy, whole=True)
    room = end - first - len(profile) + 1
    pieces = [m.columns(room, 1.0, whole=True) for _ in (profile if row.get("interruptible") else profile[:1])]
    for piece, power in enumerate(profile):
        for k, column in enumerate(pieces[piece if row.get("interruptible") else 0]):
            m.entries.append((balance[first + piece + k], column, -power / 1e3))
    for columns in pieces:
        m.row(1.0, 1.0, (missed, 1.0), *((column, 1.0) for column in columns))
    for before, after in pairwise(pieces):
        for k in range(room):
            m.row(0.0, np.inf, *((c, 1.0) for c in before[: k + 1]), *((c, -1.0) for c in after[: k + 1]))


def _heat_pump(m: _Model, row: dict[str, Any], hours: list[float], balance: list[int], scale: float) -> None:
    n = len(hours)
    into, on = m.columns(n, row["max_w"] / 1e3), m.columns(n, 1.0, whole=True)
    level = m.columns(n, np.inf, [0.0] * (n - 1) + [-row["end_value_per_kwh"]], low=-np.inf)
    outside = [m.columns(n, np.inf, [100.0 / 24.0 * scale * h for h in hours]) for _ in range(2)]
    cop, demand = each(row["cop"], n), each(row["demand_w"], n)
    for t in range(n):
        m.row(-np.inf, 0.0, (into[t], 1.0), (on[t], -row["max_w"] / 1e3))
        m.row(0.0, np.inf, (into[t], 1.0), (on[t], -row["min_w"] / 1e3))
        m.entries.append((balance[t], into[t], -1.0))
        kept = 1.0 - row["loss_per_h"] * hours[t]
        right = -demand[t] / 1e3 * hours[t] + (row["stored_wh"] / 1e3 * kept if t == 0 else 0.0)
        m.row(right, right, (level[t], 1.0), (into[t], -cop[t] * hours[t]), *([(level[t - 1], -kept)] if t else []))
        m.row(row["min_stored_wh"] / 1e3, np.inf, (level[t], 1.0), (outside[0][t], 1.0))
        m.row(-np.inf, row["capacity_wh"] / 1e3, (level[t], 1.0), (outside[1][t], -1.0))
