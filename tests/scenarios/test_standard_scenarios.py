"""The scenarios of the standard: what happens to a house between the grid and itself, and what must be seen."""

from pathlib import Path

import pytest

from cem.simulation.play import play
from cem.simulation.scenario import open_scenario

FOLDER = Path(__file__).parent / "standard"
LONG = {"black-start-after-collapse", "island-at-night-down-to-reserve", "flapping-grid", "return-with-many-loads"}
FILES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in LONG else [])
    for path in sorted(FOLDER.glob("*.toml"))
]


@pytest.mark.parametrize("path", FILES)
def test_a_scenario_of_the_standard_is_played_without_a_broken_promise(path: Path) -> None:
    played = play(open_scenario(path))
    assert [str(violation) for violation in played.violations] == []
    assert played.missed == []
    assert len(played.expectations) >= 4
