"""Stretches in which buying is paid, gone over by themselves: never dearer, nothing between, as cheap as a search."""

import json

import numpy as np
import pytest

from cem.planning.answer_file import answer_of
from cem.planning.branch import mend
from cem.planning.decisions import Decided, Decisions
from cem.planning.optimiser import GAP, prepare
from cem.planning.parts import Problem
from cem.planning.problem_file import read_problem
from cem.planning.stretch import go_over
from support.plan_evaluator import evaluate
from support.plan_problems import random_problem
from support.plan_start import still

TEXTBOOK = {1: -7.4989, 101: 2.5598, 117: -5.6750, 154: -11.8008, 1012: -3.8108, 1014: -2.9476, 1056: -7.5088}
"""What the textbook model cost in HiGHS, solved for 25 s or to 0.01 % of its bound (penalised objectives)."""


def _house(seed: int, **parts: int) -> tuple[Problem, Decisions, Decided]:
    problem, decisions, relaxed, found = still(seed, "negative", **parts)
    return problem, decisions, mend(decisions, relaxed, found, 40, GAP / 2.0 * problem.gross_bill)


@pytest.mark.parametrize("parts", [{}, {"batteries": 2, "evs": 2, "loads": 2, "heat_pumps": 1}])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_stretch_gone_over_leaves_a_whole_answer_that_is_no_dearer(seed: int, parts: dict[str, int]) -> None:
    problem, decisions, before = _house(seed, **parts)
    after = go_over(decisions, before, 60, GAP / 2.0 * problem.gross_bill)
    assert after.answer.objective <= before.answer.objective + 1e-9
    assert not decisions.broken(after.answer.values)
    assert after.bound == before.bound
    values, count = after.answer.values, len(after.lower)
    assert np.all((values[:count] >= after.lower - 1e-6) & (values[:count] <= after.upper + 1e-6))


def test_where_buying_is_never_paid_nothing_is_gone_over() -> None:
    _, decisions, relaxed, found = still(1, "ordinary")
    assert go_over(decisions, found, 60, 1e-6) is found
    assert relaxed.objective <= found.answer.objective


@pytest.mark.parametrize("seed", TEXTBOOK)
def test_under_negative_prices_a_battery_and_a_car_cost_what_the_textbook_model_finds_in_half_a_minute(
    seed: int,
) -> None:
    raw = random_problem(seed, 192, kind="negative")
    file, problem, notes = read_problem(json.dumps(raw))
    answer = answer_of(file, problem, prepare(problem).solve(), notes, 0, 0)
    assert evaluate(raw, answer).penalised(problem.price_scale) <= TEXTBOOK[seed] + 1e-3 * problem.gross_bill


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_small_programme_gone_on_with_from_a_former_place_has_the_optimum_of_one_begun_anew(seed: int) -> None:
    raw = random_problem(seed, 24, kind="negative")
    prepared = prepare(read_problem(json.dumps(raw))[1])
    relaxed, decisions = prepared.solver.run(), prepared.decisions
    place = decisions.standing()
    assert place is not None
    narrower = decisions.upper.copy()
    for ways in decisions.layout.ways:
        narrower[ways.into[::2]] = 0.0
    elsewhere = decisions.relaxed(decisions.lower, narrower)
    assert elsewhere.objective > relaxed.objective
    decisions.go_on_from(place)
    again = decisions.relaxed(decisions.lower, decisions.upper)
    assert again.objective == pytest.approx(relaxed.objective, abs=1e-9)
    assert prepared.solver.iterations == 0, "it stood at the optimum already"
