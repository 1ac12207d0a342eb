"""An answer of a planning problem to begin a search with."""

import json
from dataclasses import replace

from cem.planning.decisions import Decided, Decisions
from cem.planning.dive import stand_still
from cem.planning.lp import Answer
from cem.planning.optimiser import prepare
from cem.planning.parts import Problem
from cem.planning.problem_file import read_problem
from support.plan_problems import random_problem


def still(seed: int, kind: str, **parts: int) -> tuple[Problem, Decisions, Answer, Decided]:
    """A house, what a linear programme knows of it, and the answer in which nothing moves."""
    problem = read_problem(json.dumps(random_problem(seed, 96, kind=kind, **parts)))[1]
    prepared = prepare(problem)
    relaxed = prepared.decisions.cut(prepared.solver.run())
    found = stand_still(prepared.decisions)
    assert found is not None
    return problem, prepared.decisions, relaxed, replace(found, bound=relaxed.objective)
