"""Planning problems as nobody would write them on purpose: contradictory, lopsided, out of bounds; seeded."""

import random
from typing import Any

Row = dict[str, Any]


def hostile_problem(seed: int, steps: int) -> Row:
    """One of every sort of trouble, mixed by the seed; everything in it is in the file format."""
    rng = random.Random(seed)
    odd = rng.random() < 0.5
    problem: Row = {
        "step_s": [rng.choice([60.0, 300.0, 900.0, 3600.0, 5400.0]) for _ in range(steps)] if odd else 1800.0,
        "import_price_per_kwh": _prices(rng, steps),
        "export_price_per_kwh": rng.choice([0.0, 0.08, _prices(rng, steps)]),
        "base_load_w": [rng.choice([0.0, 300.0, 2500.0, 9000.0]) * rng.random() for _ in range(steps)],
        "pv_w": [rng.choice([0.0, 0.0, 4000.0, 12000.0]) * rng.random() for _ in range(steps)],
        "pv_curtailable": rng.random() < 0.7,
        "import_limit_w": rng.choice([None, 0.0, 1500.0, 5000.0, _limits(rng, steps)]),
        "export_limit_w": rng.choice([None, None, 0.0, 2000.0, _limits(rng, steps)]),
        "batteries": [_battery(rng, f"b{k}", steps) for k in range(rng.randint(0, 3))],
        "evs": [_ev(rng, f"e{k}", steps) for k in range(rng.randint(0, 2))],
    }
    if rng.random() < 0.3:
        problem["peak_price_per_kw"] = rng.choice([0.01, 1.0, 100.0])
        problem["peak_so_far_w"] = rng.choice([0.0, 3000.0])
    return problem


def _prices(rng: random.Random, steps: int) -> list[float]:
    kind = rng.choice(["flat", "wild", "below zero", "around zero", "huge"])
    if kind == "flat":
        return [rng.choice([0.0, 0.25])] * steps
    low, high = {"wild": (-0.5, 1.0), "below zero": (-0.4, -0.01), "around zero": (-0.02, 0.02), "huge": (0.0, 50.0)}[
        kind
    ]
    return [round(rng.uniform(low, high), 3) for _ in range(steps)]


def _limits(rng: random.Random, steps: int) -> list[float | None]:
    return [rng.choice([None, 0.0, 800.0, 3000.0, 20000.0]) for _ in range(steps)]


def _goals(rng: random.Random, steps: int, capacity: float) -> list[Row]:
    """Some at the beginning and the end, some above what can be stored, some against each other."""
    count = rng.choice([0, 1, 1, 2, 4])
    return [
        {
            "step": rng.choice([0, 1, steps // 2, steps, rng.randint(0, steps)]),
            "soc_wh": capacity * rng.uniform(0.0, 1.3),
        }
        for _ in range(count)
    ]


def _battery(rng: random.Random, name: str, steps: int) -> Row:
    capacity = rng.choice([1.0, 2000.0, 10000.0, 100000.0])
    low = capacity * rng.choice([0.0, 0.1, 0.5])
    return {
        "id": name,
        "capacity_wh": capacity,
        "soc_wh": rng.choice([low, capacity, rng.uniform(low, capacity)]),
        "min_soc_wh": low,
        "max_charge_w": rng.choice([0.0, 500.0, 5000.0, 20000.0]),
        "max_discharge_w": rng.choice([0.0, 500.0, 5000.0, 20000.0]),
        "charge_efficiency": rng.choice([0.5, 0.95, 1.0]),
        "discharge_efficiency": rng.choice([0.5, 0.95, 1.0]),
        "end_value_per_kwh": rng.choice([0.0, 0.2, -0.1, 5.0]),
        "wear_per_kwh": rng.choice([0.0, 0.0, 0.05]),
        "goals": _goals(rng, steps, capacity),
    }


def _ev(rng: random.Random, name: str, steps: int) -> Row:
    capacity, most = 60000.0, rng.choice([1380.0, 3680.0, 11000.0])
    first = rng.randrange(steps)
    return {
        "id": name,
        "soc_wh": rng.choice([0.0, capacity, rng.uniform(0.0, capacity)]),
        "capacity_wh": capacity,
        "efficiency": rng.choice([0.8, 0.92]),
        "min_w": rng.choice([0.0, 1380.0, most]),
        "max_w": most,
        "plugged": rng.choice([[[0, steps]], [[first, steps]], [[0, first]], []]),
        "max_discharge_w": rng.choice([0.0, 0.0, 5000.0]),
        "goals": _goals(rng, steps, capacity),
    }
