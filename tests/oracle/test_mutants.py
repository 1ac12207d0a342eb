"""Every invariant is broken by a seeded bug; one that none trips would be no test."""

from pathlib import Path

import pytest

from support.oracle_mutant import Mutant, copied, mutants, mutate, tripped

FAST = tuple(mutant for mutant in mutants() if not mutant.slow)
SLOW = tuple(mutant for mutant in mutants() if mutant.slow)


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(tmp_path_factory.mktemp("product"))


def _trips(product: Path, mutant: Mutant) -> None:
    former = mutate(product, mutant)
    try:
        said = tripped(product, [mutant.scenario])[mutant.scenario]
    finally:
        for path, text in former.items():
            path.write_text(text, encoding="utf-8")
    assert any(words.startswith(f"{mutant.trips} ") for words in said), said or "nothing was noticed"


def test_the_product_itself_breaks_nothing_in_the_mutants_scenarios(product: Path) -> None:
    scenarios = sorted({mutant.scenario for mutant in FAST})
    assert tripped(product, scenarios) == {scenario: [] for scenario in scenarios}


@pytest.mark.parametrize("mutant", FAST, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_trips_its_invariant(product: Path, mutant: Mutant) -> None:
    _trips(product, mutant)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", SLOW, ids=lambda mutant: mutant.name)
def test_a_seeded_bug_that_takes_longer_trips_its_invariant_too(product: Path, mutant: Mutant) -> None:
    _trips(product, mutant)


@pytest.mark.slow
def test_the_product_itself_breaks_nothing_in_the_longer_scenarios(product: Path) -> None:
    scenarios = sorted({mutant.scenario for mutant in SLOW})
    assert tripped(product, scenarios) == {scenario: [] for scenario in scenarios}
