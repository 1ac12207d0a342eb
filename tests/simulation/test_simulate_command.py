"""`cem simulate`: the account of a simulated time, measured at the plant."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cem.cli.main import main

HOME = Path(__file__).resolve().parents[2] / "hw-sim" / "homes" / "demo.toml"
MORNING = ["--start", "2026-06-15T06:00"]


def _simulate(*options: str) -> Result:
    return CliRunner().invoke(main, ["simulate", str(HOME), *options])


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Seventy minutes with a mandatory limit in them, drawn as well."""
    folder = tmp_path_factory.mktemp("simulated")
    grid = folder / "grid.toml"
    grid.write_text(
        '[[order]]\nsignal = "import_limit_w"\nvalues = [4200, 6000]\nstart_s = 1200\nfor_s = 2400\nname = "peak"\n'
    )
    picture = folder / "p.svg"
    options = ["--days", "0.05", *MORNING, "--seed", "4", "--grid", str(grid), "--plot", str(picture), "--json"]
    result = _simulate(*options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_energies_balance_at_the_connection_point(summary: dict[str, Any]) -> None:
    energy = summary["energy_kwh"]
    into = energy["import"] + energy["pv"] + energy["discharged"]
    out = energy["export"] + energy["load"] + energy["ev"] + energy["charged"]
    assert into == pytest.approx(out, rel=0.001)


def test_limits_are_held_against_the_plants_minutes(summary: dict[str, Any]) -> None:
    limits = {entry["limit_w"]: entry for entry in summary["limits"]}
    assert summary["limits_broken"] == 0
    assert sum(entry["minutes"] for entry in summary["limits"]) == 38  # two of 20 minutes, less the grace of each
    assert set(limits) == {4200.0, 6000.0}


def test_the_account_names_writes_ranks_and_cost(summary: dict[str, Any]) -> None:
    assert summary["writes"]["battery"] > 0
    assert summary["writes"]["meter"] == 0
    assert summary["decisions_by_rank"]["plan"] > 0
    assert summary["currency"] == "EUR"
    assert 0.0 <= summary["self_consumption"] <= 1.0
    assert summary["ticks"] > 4300


def test_the_picture_is_svg_with_its_lines(summary: dict[str, Any]) -> None:
    root = ET.parse(summary["plot"]).getroot()
    lines = root.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) >= 7


@pytest.mark.parametrize(
    "options",
    [
        ("--plot", "picture.png"),
        ("--start", "noon"),
        ("--days", "0"),
        ("--grid", "/nonexistent/grid.toml"),
        ("--site", "/nonexistent/site.toml"),
    ],
)
def test_wrong_use_is_told_apart_from_a_broken_limit(options: tuple[str, ...]) -> None:
    assert _simulate(*options).exit_code == 2


def test_a_home_that_is_none_is_named_with_its_faults(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text('home = 1\n[[pv]]\npeak_w = -5\n[[battery]]\ncapacity_wh = "big"\n')
    result = CliRunner().invoke(main, ["simulate", str(broken)])
    assert result.exit_code == 2
    assert "pv.0.peak_w" in result.stderr
    assert "battery.0.capacity_wh" in result.stderr


@pytest.mark.slow
def test_coarse_ticks_run_the_same_gateway(tmp_path: Path) -> None:
    result = _simulate("--days", "0.25", "--tick", "30", *MORNING, "--json", "--journal", str(tmp_path / "j.cemj"))
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["ticks"] >= 719
    replayed = CliRunner().invoke(main, ["replay", str(tmp_path / "j.cemj")])
    assert replayed.exit_code == 0, replayed.output
