"""What becomes of contacts on simulated pins when the gateway's process stops, is killed, or comes back."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cem.io.local_client import GatewayUnreachable, LocalClient
from cem.model.setpoint import Mode
from cem.model.status import Status
from support.stand import BIN, Process
from support.waiting import until_blocking

pytestmark = pytest.mark.slow

HOME = """
home = 1
name = "Contacts"
[load]
base_w = 300
profile_w = 0
[[pv]]
peak_w = 9000
cloudiness = 0
[[relay_load]]
id = "boiler"
power_w = 2000
phase = 2
[gpio]
keeps_outputs = {keeps}
socket = "{folder}/pins.sock"
[[device]]
id = "meter"
kind = "sunspec.meter"
[[device]]
id = "boiler-relay"
kind = "gpio.relay"
pins = {{ relay = 23 }}
[[device]]
id = "control-box"
kind = "gpio.contacts"
pins = {{ w3 = 5 }}
nc = true
[[event]]
kind = "contact"
target = "control-box"
contact = "w3"
at_s = {signal_s}
"""
SITE = """
site = 1
name = "Contacts"
timezone = "Europe/Berlin"
connection = {{ phases = 3, fuse_a = 35 }}
store = {{ folder = "state" }}
api = {{ socket = "cem.sock" }}
plan = {{ enabled = false }}
tariff = {{ base_price_per_kwh = 0.34 }}

[[device]]
id = "meter"
driver = "sunspec"
link = {{ host = "127.0.0.1", port = {port} }}
resource = [{{ id = "grid", role = "grid" }}]

[[device]]
id = "relay"
driver = "gpio"
serial = "SIM-PI/23"
link = {{ board = "simulated", simulated_file = "pins.sock", relay = 23 }}
resource = [{{ id = "boiler", role = "load", phases = 1, phase = 2, max_power_w = 2000, controls = ["load.on"] }}]

[[device]]
id = "box"
driver = "gpio"
link = {{ board = "simulated", simulated_file = "pins.sock", w3 = "5 nc" }}
resource = [{{ id = "box", role = "contacts", contacts = ["w3"], max_generation_w = 9000 }}]

[[load]]
resource = "boiler"
runs = "on_surplus"
"""


class Pins:
    """A simulated board and a gateway on it, each a process."""

    def __init__(self, folder: Path, keeps: bool, signal_s: float) -> None:
        self.folder = folder
        home = folder / "home.toml"
        home.write_text(HOME.format(keeps=str(keeps).lower(), folder=folder, signal_s=signal_s))
        self.sim = Process("sim", folder, "hw-sim", "serve", str(home), "--json", "--start", "2026-06-15T12:00")
        port = self.sim.start()["devices"]["meter"]["port"]
        (folder / "site.toml").write_text(SITE.format(port=port))
        self.gateway = Process("cem", folder, "cem", "run", "--config", str(folder / "site.toml"), speaks=False)

    def status(self) -> Status | None:
        """The gateway's, None while there is none."""
        try:
            return LocalClient(self.folder / "cem.sock").status()
        except GatewayUnreachable:
            return None

    def driven(self) -> list[int] | None:
        """The pins that stay driven now that no process has them; None while one has."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(5)
            line.connect(str(self.folder / "pins.sock"))
            said = line.makefile().readline()
        hello: dict[str, Any] = json.loads(said) if said else {}
        return hello.get("left")

    def on(self) -> bool:
        """Whether the boiler draws."""
        status = self.status()
        return status is not None and any(r.setpoint == "on" for d in status.devices for r in d.resources)


@pytest.fixture
def pins(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pins]:
    keeps, signal_s = getattr(request, "param", (True, 100_000.0))
    house = Pins(tmp_path, keeps, signal_s)
    house.gateway.start()
    yield house
    house.gateway.kill()
    house.sim.kill()


def test_sigterm_opens_the_contact(pins: Pins) -> None:
    until_blocking(pins.on, within_s=90)
    assert pins.driven() is None
    assert pins.gateway.terminate() == 0
    assert pins.driven() == []


@pytest.mark.parametrize("pins", [(True, 100_000.0)], indirect=True)
def test_after_a_kill_the_contact_stays_closed_until_the_stop_command(pins: Pins) -> None:
    until_blocking(pins.on, within_s=90)
    pins.gateway.kill()
    until_blocking(lambda: pins.driven() == [23])
    words = [str(BIN / "cem"), "release", "--config", str(pins.folder / "site.toml")]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert pins.driven() == []


@pytest.mark.parametrize("pins", [(False, 100_000.0)], indirect=True)
def test_where_the_kernel_frees_lines_a_kill_opens_the_contact(pins: Pins) -> None:
    until_blocking(pins.on, within_s=90)
    pins.gateway.kill()
    until_blocking(lambda: pins.driven() == [])


@pytest.mark.parametrize("pins", [(True, 5.0)], indirect=True)
def test_a_signal_limits_at_once_and_over_a_restart(pins: Pins) -> None:
    def limited() -> bool:
        status = pins.status()
        return status is not None and status.mode is Mode.LIMITED and [e.name for e in status.events] == ["contact W3"]

    until_blocking(limited, within_s=30)
    pins.gateway.kill()
    pins.gateway.start()
    until_blocking(lambda: pins.status() is not None, within_s=30)
    status = pins.status()
    assert status is not None  # of one of its first ticks, before the meter was read
    assert [(limit.side, limit.limit_w) for limit in status.limits] == [("export", 0.0)]
    until_blocking(limited, within_s=30)
