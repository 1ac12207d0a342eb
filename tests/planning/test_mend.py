"""Stretches of the horizon branched in, all else as it is: never dearer, nothing between, and much cheaper where prices
are negative."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cem.planning.branch import mend
from cem.planning.decisions import Decided, Decisions
from cem.planning.dive import stand_still
from cem.planning.lp import Answer
from cem.planning.optimiser import GAP, prepare
from cem.planning.parts import Problem
from cem.planning.problem_file import read_problem
from support.plan_problems import random_problem


def _still(seed: int, kind: str) -> tuple[Problem, Decisions, Answer, Decided]:
    """A house, what a linear programme knows of it, and the answer in which nothing moves."""
    problem = read_problem(json.dumps(random_problem(seed, 96, kind=kind)))[1]
    prepared = prepare(problem)
    relaxed = prepared.decisions.cut(prepared.solver.run())
    found = stand_still(prepared.decisions)
    assert found is not None
    return problem, prepared.decisions, relaxed, replace(found, bound=relaxed.objective)


@pytest.mark.parametrize("kind", ["negative", "tight"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_answer_with_stretches_branched_in_is_whole_and_cheaper(kind: str, seed: int) -> None:
    problem, decisions, relaxed, still = _still(seed, kind)
    better = mend(decisions, relaxed, still, 40, GAP / 2.0 * problem.gross_bill)
    assert not decisions.broken(better.answer.values)
    assert better.bound == still.bound <= better.answer.objective + 1e-9
    assert better.answer.objective < still.answer.objective - 0.01 * problem.gross_bill
    values = better.answer.values
    count = len(better.lower)
    assert np.all((values[:count] >= better.lower - 1e-6) & (values[:count] <= better.upper + 1e-6))


def test_without_any_programme_to_spend_the_answer_stays() -> None:
    problem, decisions, relaxed, still = _still(1, "negative")
    assert mend(decisions, relaxed, still, 0, GAP * problem.gross_bill) is still
