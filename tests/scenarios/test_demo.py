"""The demo as people start it: the acts hold, and nothing is left behind, however it ends."""

import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from hw_sim.home import load_home
from hw_sim.physics.calendar import Calendar
from hw_sim.physics.household import Household
from support.stand import ROOT
from support.waiting import until_blocking

ACTS = ["normal", "price", "limit", "lost", "healed"]
SET_UP_S = 90.0  # the home, the VTN, provisioning, the gateway
ACTS_S = 80


@contextmanager
def _demo(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo in a group of its own: whatever a failing test leaves is ended by that group's id."""
    command = [sys.executable, str(ROOT / "deploy" / "demo.py"), "--headless", "--for", str(ACTS_S)]
    with subprocess.Popen(
        [*command, "--folder", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if _group(process.pid):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.first
def test_every_act_holds_and_all_processes_are_gone_afterwards(tmp_path: Path) -> None:
    with _demo(tmp_path / "demo") as process:
        said, _ = process.communicate(timeout=SET_UP_S + ACTS_S + 30)
        result = json.loads(said.splitlines()[-1])
        assert [act["act"] for act in result["acts"]] == ACTS
        failed = [act for act in result["acts"] if not act["ok"]]
        assert result["ok"], failed
        assert process.returncode == 0
        assert _group(process.pid) == []


def test_an_early_end_leaves_no_process_behind(tmp_path: Path) -> None:
    with _demo(tmp_path / "demo") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ACT 1"):
                break
        assert len(_group(process.pid)) >= 5
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        assert process.returncode == 1
        until_blocking(lambda: _group(process.pid) == [], within_s=5)


@pytest.mark.slow
def test_an_end_during_the_setting_up_leaves_no_process_behind(tmp_path: Path) -> None:
    with _demo(tmp_path / "demo") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("provisioning"):
                break
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SET_UP_S)
        assert process.returncode == 1
        until_blocking(lambda: _group(process.pid) == [], within_s=5)


def test_nothing_is_switched_on_in_the_demos_house_while_the_acts_are_judged() -> None:
    home = load_home(ROOT / "hw-sim" / "homes" / "demo.toml")
    begins = home.begins_at(runpy.run_path(str(ROOT / "deploy" / "demo_stand.py"))["HOUSE_STARTS"])
    assert begins is not None
    house = Household(home.load, Calendar(home.zone), home.seed)
    loads = []
    for second in range(int(SET_UP_S) + ACTS_S + 60):
        house.step(begins.timestamp() + second)
        loads.append(house.wanted_w)
    assert max(abs(b - a) for a, b in pairwise(loads)) < 200


def _group(group: int) -> list[int]:
    """The living processes of a process group."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found
