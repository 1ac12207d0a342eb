"""The fault catalogue on the virtual clock: what must be seen by when, and no promise broken meanwhile."""

from dataclasses import replace
from pathlib import Path

import pytest

from cem.simulation.play import play
from cem.simulation.scenario import open_scenario, text_of

FOLDER = Path(__file__).parent / "faults"
FILES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_fault_is_answered_as_the_catalogue_says(path: Path) -> None:
    played = play(open_scenario(path))
    assert [str(violation) for violation in played.violations] == []
    assert played.missed == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_written_anew_is_the_same_scenario(path: Path, tmp_path: Path) -> None:
    scenario = open_scenario(path)
    copy = tmp_path / path.name
    copy.write_text(text_of(scenario), encoding="utf-8")
    assert open_scenario(copy) == replace(scenario, path=copy)
