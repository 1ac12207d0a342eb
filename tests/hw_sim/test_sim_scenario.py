"""Scenario files: a home with some keys changed and a time line over it."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hw_sim.cli import main
from hw_sim.home import HomeError, load_home
from hw_sim.scenario import changed, load_either, load_scenario
from hw_sim.simulation import SimulatedHome
from support.sim_worlds import HOMES, SCENARIOS

SCENARIO = 'scenario = 1\nhome = "demo.toml"\n'


def file(folder: Path, text: str) -> Path:
    path = folder / "one.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_each_ready_made_scenario_plays_to_its_end(path: Path) -> None:
    scenario = load_scenario(path)
    start = scenario.home.begins_at()
    assert start is not None
    assert scenario.for_s is not None
    assert scenario.home.event or scenario.home.fault
    sim = SimulatedHome(scenario.home, start)
    seen: set[str] = set()
    for _ in range(int(scenario.for_s / 2.0)):
        sim.step(2.0)
        seen |= {kind for device in sim.truth().devices.values() for kind in device.faults}
    assert seen >= {fault.kind for fault in scenario.home.fault} - {"broker_down"}


def test_what_is_not_ours_is_handed_through_untouched(tmp_path: Path) -> None:
    text = SCENARIO + 'claim = "x"\n[[expect]]\nsee = "power"\n[[grid]]\npoll_s = 3\n[site]\na = 1\n[[act]]\nat_s = 0\n'
    scenario = load_scenario(file(tmp_path, text))
    assert scenario.file["expect"] == [{"see": "power"}]
    assert scenario.file["grid"] == [{"poll_s": 3}]
    assert (scenario.file["site"], scenario.file["act"]) == ({"a": 1}, [{"at_s": 0}])
    assert scenario.home.grid.fuse_a == 35
    assert scenario.name == "one"


def test_a_scenario_is_told_from_a_home(tmp_path: Path) -> None:
    path = file(
        tmp_path, SCENARIO + 'seed = 99\nstart = 2026-01-01T00:00:00\n[[event]]\nkind = "grid_loss"\nat_s = 5\n'
    )
    home = load_either(path)
    assert (home.seed, len(home.event)) == (99, 1)
    assert home.quiet().event == ()
    assert load_either(HOMES / "demo.toml") == load_home(HOMES / "demo.toml")


def test_a_home_beside_the_scenario_comes_first(tmp_path: Path) -> None:
    (tmp_path / "demo.toml").write_text('home = 1\nname = "another"\n')
    assert load_scenario(file(tmp_path, SCENARIO)).home.name == "another"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("scenario = 2\nhome = 'demo.toml'", "scenario: "),
        ("scenario = 1", "home: "),
        (SCENARIO + "colour = 1", "colour: "),
        ("scenario = 1\nhome = 'nowhere.toml'", "home: no file 'nowhere.toml' in "),
        (SCENARIO + "for_s = 0", "for_s: "),
        (SCENARIO + "[change]\nbattery.soc_pct = 120", "battery.0.soc_pct: "),
        (SCENARIO + "[change]\ndevice.toaster.port = 1", "change.device.toaster: "),
        (SCENARIO + '[[event]]\nkind = "arrive"\nat_s = 1\ntarget = "x"', "event.0.target: "),
        (SCENARIO + '[[fault]]\nkind = "sign"\nat_s = 1\ntarget = "wallbox"', "fault.0.target: "),
    ],
)
def test_a_fault_of_a_scenario_is_named_with_its_path(tmp_path: Path, text: str, path: str) -> None:
    with pytest.raises(HomeError) as caught:
        load_scenario(file(tmp_path, text))
    assert any(fault.startswith(path) for fault in caught.value.faults), caught.value.faults
    result = CliRunner().invoke(main, ["check", str(tmp_path / "one.toml")])
    assert result.exit_code == 2
    assert path in result.stderr


def test_check_is_content_with_the_ready_made_scenarios() -> None:
    for path in sorted(SCENARIOS.glob("*.toml")):
        result = CliRunner().invoke(main, ["check", str(path), "--json"])
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["home"] == 1


def test_changes_go_level_by_level() -> None:
    base: dict[str, Any] = {
        "load": {"base_w": 1, "extra_w": 2},
        "battery": [{"id": "a", "soc_pct": 1}, {"id": "b", "soc_pct": 2}],
        "ev": [{"soc_pct": 3}],
    }
    after = changed(base, {"load": {"base_w": 9}, "battery": {"b": {"soc_pct": 8}}, "ev": {"soc_pct": 7}, "name": "n"})
    assert after == {
        "load": {"base_w": 9, "extra_w": 2},
        "battery": [{"id": "a", "soc_pct": 1}, {"id": "b", "soc_pct": 8}],
        "ev": [{"soc_pct": 7}],
        "name": "n",
    }
    assert base["battery"][1]["soc_pct"] == 2
    assert changed(base, {"ev": {"ev": {"soc_pct": 5}}})["ev"] == [{"soc_pct": 5}]
    with pytest.raises(KeyError, match=r"change\.battery\.c"):
        changed(base, {"battery": {"c": {"soc_pct": 1}}})
