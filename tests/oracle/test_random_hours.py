"""Thousands of random scenario-hours over all homes: by seed, in parallel, with a summary."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from cem.simulation.play import play
from cem.simulation.scenario import open_scenario
from support.oracle_random import counted, homes, saved, scenario, shrunk

HOURS = int(os.environ.get("CEM_RANDOM_HOURS", "10000"))
"""How many hours the slow run plays; the first seed is CEM_RANDOM_SEED."""
SEED = int(os.environ.get("CEM_RANDOM_SEED", "1000"))


def _hour(seed: int) -> tuple[int, str, list[str]]:
    home = homes()[seed % len(homes())]
    violations = play(scenario(seed, home=home)).violations
    return seed, home, [str(violation) for violation in violations]


def _hours(count: int, first: int) -> Iterator[tuple[int, str, list[str]]]:
    with ProcessPoolExecutor(initializer=logging.disable, initargs=(logging.CRITICAL,)) as pool:
        yield from pool.map(_hour, range(first, first + count), chunksize=4)


def test_a_few_random_hours_break_no_promise() -> None:
    broken = [(seed, home, said) for seed, home, said in map(_hour, (21, 23)) if said]
    assert broken == []


def test_a_random_scenario_is_the_same_for_the_same_seed() -> None:
    assert scenario(7) == scenario(7)
    assert scenario(7) != scenario(8)


@pytest.mark.slow
def test_thousands_of_random_hours_break_no_promise(tmp_path_factory: pytest.TempPathFactory) -> None:
    broken = [(seed, home, said) for seed, home, said in _hours(HOURS, SEED) if said]
    folder = tmp_path_factory.mktemp("found")
    files = []
    for seed, home, _ in broken[:3]:  # shrinking takes minutes each
        whole = scenario(seed, home=home)
        violation = play(whole).violations[0]
        files.append(saved(shrunk(whole, violation.invariant), violation, folder))
    assert all(open_scenario(path).acts for path in files)
    counts = counted(play(scenario(seed, home=home)).violations[0] for seed, home, _ in broken[:20])
    assert broken == [], f"{len(broken)} of {HOURS} hours; first ones by invariant {counts}; see {folder}"
