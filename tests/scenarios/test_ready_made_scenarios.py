"""The ready-made scenarios as `cem simulate` plays them: no promise broken, everything seen that must be."""

from pathlib import Path

import pytest

from cem.simulation.play import play
from cem.simulation.scenario import open_scenario
from support.sim_worlds import SCENARIOS

LONG = {"bad-devices", "bad-evening", "cold-battery", "difficult-cars", "grid-loss", "late-meter"}
FILES = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path.stem in LONG else [])
    for path in sorted(SCENARIOS.glob("*.toml"))
]


@pytest.mark.parametrize("path", FILES)
def test_a_ready_made_scenario_is_played_without_a_broken_promise(path: Path) -> None:
    played = play(open_scenario(path))
    assert [str(violation) for violation in played.violations] == []
    assert played.missed == []
    assert len(played.expectations) >= 6
    assert played.judged_steps == round(played.scenario.for_s / played.scenario.step_s)
