"""Thousands of random scenario-hours over all homes: by seed, in parallel, with a summary."""

import os

import pytest

from cem.simulation.play import play
from support.oracle_random import every_home, homes, scenario
from support.oracle_search import Tally, search

HOURS = float(os.environ.get("CEM_RANDOM_HOURS", "10000"))
"""How many hours the slow run plays; the first seed is CEM_RANDOM_SEED."""
SEED = int(os.environ.get("CEM_RANDOM_SEED", "1000"))


@pytest.mark.parametrize("seed", [21, pytest.param(23, marks=pytest.mark.slow)])
def test_a_few_random_hours_break_no_promise(seed: int) -> None:
    one = scenario(seed, home=homes()[seed % len(homes())])
    assert [str(violation) for violation in play(one).violations] == []


def test_a_random_scenario_is_the_same_for_the_same_seed() -> None:
    assert scenario(7) == scenario(7)
    assert scenario(7) != scenario(8)


@pytest.mark.parametrize("home", every_home())
def test_every_home_has_random_scenarios_that_can_be_played(home: str) -> None:
    for seed in range(20):
        assert scenario(seed, home=home, hours=4.0).acts


@pytest.mark.slow
def test_thousands_of_random_hours_break_no_promise() -> None:
    tally, broken = Tally(), []
    for hour in search(HOURS, SEED, os.cpu_count() or 1):
        tally.add(hour)
        if hour.broken:
            broken.append((hour.seed, hour.home, hour.said[0]))
    assert broken == [], f"{tally}; `tests/oracle/random_hours.py --shrink SEED` makes a scenario file of one"
