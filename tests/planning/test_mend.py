"""Stretches of the horizon branched in, all else as it is: never dearer, nothing between, and much cheaper where prices
are negative."""

import numpy as np
import pytest

from cem.planning.branch import mend
from cem.planning.optimiser import GAP
from support.plan_start import still


@pytest.mark.parametrize("kind", ["negative", "tight"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_answer_with_stretches_branched_in_is_whole_and_cheaper(kind: str, seed: int) -> None:
    problem, decisions, relaxed, found = still(seed, kind)
    better = mend(decisions, relaxed, found, 40, GAP / 2.0 * problem.gross_bill)
    assert not decisions.broken(better.answer.values)
    assert better.bound == found.bound <= better.answer.objective + 1e-9
    assert better.answer.objective < found.answer.objective - 0.01 * problem.gross_bill
    values = better.answer.values
    count = len(better.lower)
    assert np.all((values[:count] >= better.lower - 1e-6) & (values[:count] <= better.upper + 1e-6))


def test_without_any_programme_to_spend_the_answer_stays() -> None:
    problem, decisions, relaxed, found = still(1, "negative")
    assert mend(decisions, relaxed, found, 0, GAP * problem.gross_bill) is found
