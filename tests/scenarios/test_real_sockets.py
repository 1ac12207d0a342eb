"""The scenarios of the standard once more: the same files and expectations, with real processes in real time."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from cem.simulation.expectations import in_words
from cem.simulation.scenario import open_scenario
from support.real_play import APART, RealPlay, needs_a_namespace

FOLDER = Path(__file__).parent / "standard"
TOO_LONG = {"incentive-based": 700_200.0, "seven-days": 609_600.0}
"""Days, which nobody shortens without telling something else: seconds. They are played on the virtual clock alone."""
FILES = [path for path in sorted(FOLDER.glob("*.toml")) if path.stem not in TOO_LONG]
LONGEST_S = float(os.environ.get("CEM_REAL_TIME_S", "900"))
"""What is longer is left out, for it takes that long; the longest is 4800."""


def test_only_what_takes_days_is_never_played_in_real_time() -> None:
    lengths = {path.stem: open_scenario(path).for_s for path in sorted(FOLDER.glob("*.toml"))}
    assert {name: for_s for name, for_s in lengths.items() if for_s > 86_400 / 2} == TOO_LONG


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_house_of_processes_does_what_the_standard_says(path: Path, tmp_path: Path) -> None:
    scenario = open_scenario(path)
    if scenario.for_s > LONGEST_S:
        pytest.skip(f"it takes {scenario.for_s:g} s; CEM_REAL_TIME_S allows {LONGEST_S:g}")
    if needs_a_namespace(scenario) and not _mounts():
        pytest.skip("this machine gives no mount namespace, in which a boot and a clock can be played")
    results = asyncio.run(RealPlay(scenario, tmp_path).play())
    assert [in_words(result) for result in results if not result["met"]] == []


def _mounts() -> bool:
    try:
        return subprocess.run([*APART, "true"], capture_output=True, check=False, timeout=10).returncode == 0
    except FileNotFoundError:
        return False
