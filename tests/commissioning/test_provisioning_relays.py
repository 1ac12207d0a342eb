"""Relays and a heat pump behind a real broker: found, and switched only where somebody says what they draw."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cem.cli.provision import provision
from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.model.resource import Control, Role

HOME = Path(__file__).parents[2] / "hw-sim" / "homes" / "heat-pump.toml"
ANSWERS = ("--phases", "3", "--fuse-a", "35", "--timezone", "Europe/Zurich", "--price", "0.3", "--socket", "cem.sock")
BOILER, PUMP = "shellyplus1pm-a8032ab636ec", "shellypro3em-34987a4512e0"


@pytest.fixture(scope="module")
def addresses() -> Iterator[list[str]]:
    """The addresses of the simulated home as options."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hw_sim.cli", "serve", str(HOME), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        entries: list[dict[str, Any]] = list(json.loads(process.stdout.readline())["devices"].values())
        brokers = {f"{entry['host']}:{entry['port']}" for entry in entries if "topic" in entry or "unit" not in entry}
        wired = {f"{entry['host']}:{entry['port']}" for entry in entries} - brokers
        options = [("--modbus", text) for text in sorted(wired)] + [("--mqtt", text) for text in sorted(brokers)]
        yield [word for option in options for word in option]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)


def test_what_somebody_gives_a_power_for_is_switched_and_the_rest_is_measured(
    addresses: list[str], tmp_path: Path
) -> None:
    out = tmp_path / "site.toml"
    words = ["--out", str(out), *addresses, *ANSWERS, "--max-power", f"{PUMP}=3200", "--no-sign-test"]
    answer = CliRunner().invoke(provision, words)
    assert answer.exit_code == 0, answer.output + answer.stderr
    assert f"--max-power {BOILER}=WATTS lets it be switched" in answer.output
    assert "a heat pump is not started or stopped for some seconds" in answer.output
    site = load_site(out, load_drivers()).site
    (pump,) = site.of(Role.HEAT_PUMP)
    (boiler,) = site.of(Role.LOAD)
    assert pump.ratings.max_power_w == 3200.0
    assert pump.controls == frozenset({Control.HEAT_PUMP_SG_READY})
    assert (boiler.ratings.max_power_w, boiler.ratings.phases) == (None, 1)
    assert boiler.controls == frozenset()


@pytest.mark.parametrize("text", ["2000", "x=", "x=many", "=5", "x=-1", "x=nan"])
def test_a_power_that_is_none_is_told(text: str, tmp_path: Path) -> None:
    words = ["--out", str(tmp_path / "s.toml"), "--mqtt", "127.0.0.1:9", *ANSWERS, "--max-power", text]
    answer = CliRunner().invoke(provision, words)
    assert answer.exit_code == 2
    assert "SERIAL=W is meant" in answer.stderr
