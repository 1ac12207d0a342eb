"""The same file and seed twice: the same journal, bit for bit, whatever else the machine does and however it hashes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cem.simulation.play import Setting, play
from cem.simulation.scenario import open_scenario

ROOT = Path(__file__).resolve().parents[2]
FAULTS = ROOT / "tests" / "scenarios" / "faults"
SCENARIOS = ROOT / "hw-sim" / "scenarios"


def played_elsewhere(scenario: Path, journal: Path) -> bytes:
    """The journal of a run in another process, whose strings hash otherwise."""
    hashes = "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"
    code = "from cem.cli.main import main; main()"
    command = [sys.executable, "-c", code, "simulate", str(scenario), "--journal", str(journal), "--json"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": hashes})
    return journal.read_bytes()


def same(scenario: Path, folder: Path) -> bool:
    mine = folder / "mine.cemj"
    assert play(open_scenario(scenario), Setting(record=mine)).violations == ()
    return mine.read_bytes() == played_elsewhere(scenario, folder / "other.cemj")


def test_a_scenario_with_plans_and_two_masters_is_the_same_twice(tmp_path: Path) -> None:
    assert same(FAULTS / "f24-somebody-else-writes.toml", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        FAULTS / "f22-island.toml",
        FAULTS / "f24-somebody-else-switches.toml",
        FAULTS / "f51-contacts-over-a-restart.toml",
        FAULTS / "i02-battery-does-not-follow.toml",
        SCENARIOS / "cold-battery.toml",
    ],
    ids=lambda path: path.stem,
)
def test_longer_scenarios_are_the_same_twice_too(path: Path, tmp_path: Path) -> None:
    assert same(path, tmp_path)
