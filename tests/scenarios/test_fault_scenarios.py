"""The fault catalogue on the virtual clock: what must be seen by when, and no promise broken meanwhile."""

from pathlib import Path

import pytest

from support.oracle_scenario import FOLDER, load, run, toml

FILES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_fault_is_answered_as_the_catalogue_says(path: Path) -> None:
    violations, missed = run(load(path))
    assert [str(violation) for violation in violations] == []
    assert missed == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_written_anew_is_the_same_scenario(path: Path, tmp_path: Path) -> None:
    scenario = load(path)
    copy = tmp_path / path.name
    copy.write_text(toml(scenario), encoding="utf-8")
    assert load(copy) == scenario
