"""What a slot costs at the meter: held against every amount of sun that may be kept off, one by one."""

import json

import numpy as np
import pytest

from cem.planning.parts import Problem
from cem.planning.problem_file import read_problem
from cem.planning.programme import LIMIT_PRICE
from cem.planning.slot_cost import slot_cost
from support.plan_problems import KINDS, random_problem

SLOTS = 24
STEPS = 200  # into which the sun is cut


def tried_out(problem: Problem, at: int, taken_kw: float) -> float:
    """The least cost of all amounts kept off; never below the true one."""
    kept_off = problem.pv_kw[at] * np.linspace(0.0, float(problem.curtailable), STEPS + 1)
    grid = problem.load_kw[at] - problem.pv_kw[at] + kept_off + taken_kw
    money = grid * np.where(grid > 0.0, problem.import_price[at], problem.export_price[at])
    over = np.maximum(grid - problem.import_limit_kw[at], 0.0) + np.maximum(-grid - problem.export_limit_kw[at], 0.0)
    return float(((money + LIMIT_PRICE * problem.price_scale * over) * problem.hours[at]).min())


@pytest.mark.parametrize("kind", KINDS)
def test_a_slot_costs_what_the_best_amount_of_sun_kept_off_makes_of_it(kind: str) -> None:
    for seed in (1, 2):
        problem = read_problem(json.dumps(random_problem(seed, SLOTS, kind=kind)))[1]
        slots, taken = np.arange(SLOTS), np.linspace(-9.0, 14.0, 5 * SLOTS).reshape(SLOTS, 5)
        cost, grid = slot_cost(problem, slots, taken)
        for at in slots:
            for move in range(5):
                best = tried_out(problem, int(at), float(taken[at, move]))
                fineness = LIMIT_PRICE * problem.price_scale * problem.pv_kw[at] / STEPS * problem.hours[at]
                assert best - fineness - 1e-9 <= cost[at, move] <= best + 1e-9
                least = problem.load_kw[at] - problem.pv_kw[at] + taken[at, move]
                most = least + problem.pv_kw[at] * problem.curtailable
                assert least - 1e-9 <= grid[at, move] <= most + 1e-9
        alone, _ = slot_cost(problem, slots[::-1], taken[::-1, 3])
        assert alone == pytest.approx(cost[::-1, 3])
