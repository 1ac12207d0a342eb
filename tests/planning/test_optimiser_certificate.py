"""The optimum against an independent dynamic programme over a fine grid of states of charge, one battery."""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cem.model.resource import Ratings
from cem.planning.optimiser import GAP, optimise
from cem.planning.parts import Problem
from cem.planning.problem import problem_of
from cem.planning.programme import PREFERENCE
from support.planning import BATTERY, PV, problem

STEPS = 360  # of 25 Wh: both ratings move whole steps in a slot
EXACT = replace(BATTERY, ratings=Ratings(max_charge_w=4000.0, max_discharge_w=4940.0, capacity_wh=10000.0))


def _slot_cost(problem: Problem, at: int, battery_kw: float) -> float:
    """Money in one slot at a battery power, generation curtailed where that pays."""
    hours, buy, sell = problem.hours[at], problem.import_price[at], problem.export_price[at]
    net = problem.load_kw[at] - problem.pv_kw[at] + battery_kw
    choices = [net]
    if problem.curtailable:
        most = net + problem.pv_kw[at]
        choices += [most, min(max(0.0, net), most)]
    return float(min(hours * (buy * g if g > 0 else sell * g) for g in choices))


def _dynamic_programme(problem: Problem) -> float:
    """The least cost, the value of what is left at the end taken off, over a grid of states of charge."""
    part = problem.stores[0]
    levels = np.linspace(part.floor_kwh, part.capacity_kwh, STEPS + 1)
    step = levels[1] - levels[0]
    start = round((part.soc_kwh - part.floor_kwh) / step)
    assert abs(levels[start] - part.soc_kwh) < 1e-9
    best = [-part.end_value * float(level) for level in levels]
    for at in reversed(range(problem.slots)):
        hours = float(problem.hours[at])
        up = round(float(part.max_charge_kw[at] * part.charge_efficiency[at]) * hours / step)
        down = round(float(part.max_discharge_kw[at]) * hours / part.discharge_efficiency / step)
        cost = {}
        for move in range(-down, up + 1):
            gain = move * float(step)
            power = (
                gain / float(part.charge_efficiency[at]) / hours
                if gain > 0
                else gain * part.discharge_efficiency / hours
            )
            cost[move] = _slot_cost(problem, at, power) + part.wear * max(-power, 0.0) * hours
        if problem.import_price[at] < 0 and problem.export_price[at] <= 0:  # nothing is thrown away for money
            deficit = max(float(problem.load_kw[at] - problem.pv_kw[at]), 0.0)
            down = min(down, int(deficit * hours / part.discharge_efficiency / step))
        best = [
            min(cost[move] + best[level + move] for move in range(max(-down, -level), min(up, STEPS - level) + 1))
            for level in range(STEPS + 1)
        ]
    return float(best[start])


def _ordinary(rng: random.Random) -> tuple[float, float]:
    return rng.uniform(0.1, 0.5), 0.08


def _negative(rng: random.Random) -> tuple[float, float]:
    return rng.uniform(-0.2, 0.4), rng.choice([0.0, -0.05, 0.1])


def _crossed(rng: random.Random) -> tuple[float, float]:
    return rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.4)


@pytest.mark.parametrize("prices", [_ordinary, _negative, _crossed])
@pytest.mark.parametrize("seed", range(6))
def test_the_optimum_is_that_of_a_dynamic_programme(
    prices: Callable[[random.Random], tuple[float, float]], seed: int
) -> None:
    rng = random.Random(seed)
    slots = 8
    pairs = [prices(rng) for _ in range(slots)]
    request = problem(
        slots,
        price=[buy for buy, _ in pairs],
        export_price=[sell for _, sell in pairs],
        load_w=[rng.uniform(0, 3000) for _ in range(slots)],
        pv_w=[rng.choice([0.0, rng.uniform(0, 6000)]) for _ in range(slots)],
        resources=(EXACT, PV),
        soc_pct=rng.choice([10.0, 32.5, 55.0, 100.0]),
    )
    arrays, _ = problem_of(request)
    solution = optimise(arrays)
    exact = _dynamic_programme(arrays)
    throughput = 2 * slots * 0.25 * 5.0
    slack = PREFERENCE * arrays.price_scale * throughput + GAP * arrays.gross_bill
    grid = float(arrays.price_scale) * 9.0 / STEPS  # one step of the grid, once
    assert solution.bound <= exact + slack
    assert solution.objective <= exact + slack
    assert solution.objective >= exact - slack - grid


def test_the_value_is_what_one_more_stored_kwh_saves() -> None:
    request = problem(8, price=[0.2, 0.2, 0.3, 0.3, 0.4, 0.4, 0.25, 0.25], load_w=2000.0, soc_pct=30.0)
    arrays, _ = problem_of(request)
    part = arrays.stores[0]
    delta = 0.01
    more = replace(arrays, stores=(replace(part, soc_kwh=part.soc_kwh + delta),))
    base = optimise(arrays)
    saved = (base.objective - optimise(more).objective) / delta
    assert abs(saved - float(base.stores[0].value_per_kwh[0])) < 1e-3
