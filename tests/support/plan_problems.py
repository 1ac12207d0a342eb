"""Random planning problems in the file format, the same ones for the same seed."""

import math
import random
from typing import Any

KINDS = ("ordinary", "negative", "net metering", "tight", "winter")


def random_problem(
    seed: int,
    slots: int,
    *,
    batteries: int = 1,
    evs: int = 1,
    loads: int = 0,
    heat_pumps: int = 0,
    kind: str | None = None,
) -> dict[str, Any]:
    """A house in a day's sun and a market's prices; `kind` says what is odd about it."""
    rng = random.Random(seed)
    kind = kind or KINDS[seed % len(KINDS)]
    step_h = 48.0 / slots if slots > 96 else 24.0 / slots
    hours = [16.0 + k * step_h for k in range(slots)]
    mean, clouds = rng.uniform(0.18, 0.36), 0.15 if kind == "winter" else rng.uniform(0.3, 1.0)
    price = [mean + 0.08 * math.sin((h - 13) / 24 * 4 * math.pi) + rng.gauss(0, 0.015) for h in hours]
    if kind == "negative":
        price = [p - 0.35 if 10 <= h % 24 < 15 else p for p, h in zip(price, hours, strict=True)]
    export: Any = {"net metering": price, "negative": [0.05 if p > 0 else -0.03 for p in price]}.get(kind, 0.08)
    sun = [max(math.sin((h % 24 - 5) / 14 * math.pi), 0.0) * 7000 * clouds * rng.uniform(0.5, 1.0) for h in hours]
    load = [rng.uniform(200, 700) + (1500 if 17 <= h % 24 < 21 else 0) for h in hours]
    found: dict[str, Any] = {
        "start": "2026-04-15T16:00:00Z",
        "step_s": step_h * 3600.0,
        "import_price_per_kwh": price,
        "export_price_per_kwh": export,
        "base_load_w": load,
        "pv_w": sun,
        "pv_curtailable": kind != "tight" or seed % 2 == 0,
        "import_limit_w": 4200.0 if kind == "tight" else 11000.0,
        "export_limit_w": 3000.0 if kind == "tight" else None,
        "batteries": [_battery(rng, f"b{k}") for k in range(batteries)],
        "evs": [_ev(rng, f"ev{k}", slots, step_h) for k in range(evs)],
        "loads": [_load(rng, f"load{k}", slots, step_h) for k in range(loads)],
    }
    if heat_pumps:
        found["heat_pumps"] = [_heat_pump(rng, f"hp{k}", slots) for k in range(heat_pumps)]
    return found


def _battery(rng: random.Random, name: str) -> dict[str, Any]:
    capacity = rng.choice([5000.0, 10000.0, 15000.0])
    return {
        "id": name,
        "capacity_wh": capacity,
        "soc_wh": capacity * rng.uniform(0.1, 0.9),
        "min_soc_wh": capacity * 0.05,
        "max_charge_w": capacity / 2,
        "max_discharge_w": capacity / 2,
        "charge_efficiency": 0.95,
        "discharge_efficiency": 0.95,
        "end_value_per_kwh": rng.choice([0.0, 0.15, 0.2]),
        "wear_per_kwh": rng.choice([0.0, 0.01]),
    }


def _ev(rng: random.Random, name: str, slots: int, step_h: float) -> dict[str, Any]:
    soc, due = rng.uniform(5e3, 30e3), int(15.0 / step_h)
    phases = rng.choice([1, 3, 3])
    return {
        "id": name,
        "soc_wh": soc,
        "capacity_wh": 60e3,
        "efficiency": 0.92,
        "min_w": 1380.0 * phases,
        "max_w": 3680.0 * phases,
        "plugged": [[0, due], [min(due + int(10 / step_h), slots), slots]],
        "goals": [{"step": due, "soc_wh": min(soc + rng.uniform(5e3, 30e3), 60e3)}],
    }


def _load(rng: random.Random, name: str, slots: int, step_h: float) -> dict[str, Any]:
    pieces = max(int(rng.uniform(0.5, 3.0) / step_h), 1)
    first = rng.randrange(slots // 2)
    return {
        "id": name,
        "power_w": [rng.choice([200.0, 500.0, 2000.0]) for _ in range(pieces)],
        "earliest_step": first,
        "latest_end_step": min(first + pieces + rng.randrange(slots // 4, slots // 2), slots),
        "interruptible": rng.random() < 0.3,
    }


def _heat_pump(rng: random.Random, name: str, slots: int) -> dict[str, Any]:
    return {
        "id": name,
        "max_w": 3000.0,
        "min_w": 800.0,
        "cop": [rng.uniform(2.5, 4.5) for _ in range(slots)],
        "capacity_wh": 20000.0,
        "stored_wh": 12000.0,
        "min_stored_wh": 4000.0,
        "demand_w": [rng.uniform(500.0, 5000.0) for _ in range(slots)],
        "loss_per_h": 0.01,
        "end_value_per_kwh": 0.05,
    }
