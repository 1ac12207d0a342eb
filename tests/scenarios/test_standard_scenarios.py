"""The scenarios of the standard: the whole gateway and its real VEN against our VTN, on the virtual clock."""

from dataclasses import replace
from pathlib import Path

import pytest

from cem.simulation.play import play
from cem.simulation.scenario import open_scenario, text_of

FOLDER = Path(__file__).parent / "standard"
FILES = sorted(FOLDER.glob("*.toml"))
IN_ANY_RUN = ("link-lost-during", "reboot-in-hold", "cancel-during-ramp")
"""A second of computing each; the others are as long, or take minutes, and are played with `--slow`."""
README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize(
    "path",
    [pytest.param(one, id=one.stem, marks=() if one.stem in IN_ANY_RUN else pytest.mark.slow) for one in FILES],
)
def test_the_house_does_what_the_standard_says(path: Path) -> None:
    played = play(open_scenario(path))
    assert [str(violation) for violation in played.violations] == []
    assert played.missed == []
    assert all(result["met"] for result in played.expectations)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_written_anew_is_the_same_scenario(path: Path, tmp_path: Path) -> None:
    scenario = open_scenario(path)
    copy = tmp_path / path.name
    copy.write_text(text_of(scenario), encoding="utf-8")
    assert open_scenario(copy) == replace(scenario, path=copy)


def test_each_scenario_is_in_the_table_of_the_readme_and_none_is_missing() -> None:
    rows = [
        line.split("|")[1].strip()
        for line in README.read_text(encoding="utf-8").splitlines()
        if line.startswith("| `standard/")
    ]
    assert sorted(rows) == [f"`standard/{path.name}`" for path in FILES]
