"""`hw-sim serve` as people run it: a process with addresses, state, and an end."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hw_sim.cli import main
from support.mqtt_client import MqttEar
from support.waiting import until_blocking

HOMES = Path(__file__).parents[2] / "hw-sim" / "homes"
DEMO = HOMES / "demo.toml"
WALLBOX = "go-eCharger/012345"


class Served:
    """A running `hw-sim serve --json` and what it said first."""

    def __init__(self, *arguments: str, file: Path = DEMO) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "hw_sim.cli", "serve", str(file), "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        self.addresses: dict[str, Any] = json.loads(line)

    def words(self, device: str, address: int, count: int) -> list[int]:
        entry = self.addresses["devices"][device]
        with socket.create_connection((entry["host"], entry["port"]), timeout=5) as line:
            line.sendall(struct.pack(">HHHBBHH", 1, 0, 6, entry["unit"], 3, address, count))
            raw = b""
            while len(raw) < 9 + 2 * count:
                got = line.recv(1000)
                assert got, "connection closed"
                raw += got
        return list(struct.unpack(f">{count}H", raw[9:]))

    def import_wh(self) -> int:
        high, low = self.words("meter", 40116, 2)
        return high << 16 | low

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out, err


@contextmanager
def served(*arguments: str, file: Path = DEMO) -> Iterator[Served]:
    one = Served(*arguments, file=file)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate(timeout=15)


def test_the_first_line_tells_all_addresses_and_the_end_is_clean(tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    with served("--port-file", str(port_file), "--start", "2026-06-15T12:00") as one:
        assert json.loads(port_file.read_text()) == one.addresses
        devices = one.addresses["devices"]
        assert {name: entry["kind"] for name, entry in devices.items()} == {
            "meter": "sunspec.meter",
            "inverter": "sunspec.inverter",
            "battery": "sunspec.battery",
            "wallbox": "goe.charger",
        }
        assert one.addresses["start"] == "2026-06-15T10:00:00+00:00"
        assert devices["battery"]["serial"] == "DEMO-BAT-1"
        assert devices["wallbox"]["port"] == one.addresses["mqtt"]["port"]
        for name in ("meter", "inverter", "battery"):
            assert one.words(name, 40000, 2) == [0x5375, 0x6E53]
        ear = MqttEar(one.addresses["mqtt"]["port"])
        until_blocking(lambda: ear.value(f"{WALLBOX}/mcc") is True)
        ear.close()
        assert one.end() == (0, "", "")


def test_a_kill_and_a_restart_keep_ports_and_counters(tmp_path: Path) -> None:
    state, port_file = tmp_path / "state.json", tmp_path / "ports.json"
    truth = tmp_path / "truth.json"
    arguments = ("--state", str(state), "--port-file", str(port_file), "--reuse-ports", "--start", "2026-01-15T18:00")
    with served(*arguments, "--truth", str(truth)) as one:
        assert json.loads(truth.read_text())["supply"] == "grid"
        ear = MqttEar(one.addresses["mqtt"]["port"])
        until_blocking(lambda: ear.value(f"{WALLBOX}/car") == 2)
        ear.say(f"{WALLBOX}/amp/set", "11")
        until_blocking(lambda: ear.value(f"{WALLBOX}/amp") == 11)
        first = one.import_wh()
        until_blocking(lambda: one.import_wh() > first + 3)
        seen = one.import_wh()
        ear.close()
        assert one.end(signal.SIGKILL)[0] == -signal.SIGKILL
    saved = json.loads(state.read_text())["house"]
    real = json.loads(truth.read_text())
    assert int(real["import_wh"]) >= seen
    assert real["ev"]["ev"]["power_w"] > 6000
    assert real["devices"]["wallbox"]["writes"] == {"amp": 1}
    with served(*arguments) as again:
        assert again.addresses["devices"] == one.addresses["devices"]
        assert again.addresses["start"] > one.addresses["start"]
        assert again.import_wh() >= seen
        ear = MqttEar(again.addresses["mqtt"]["port"])
        until_blocking(lambda: ear.value(f"{WALLBOX}/rbc") == 2)
        until_blocking(lambda: ear.value(f"{WALLBOX}/amp") == 11)
        ear.close()
        assert again.end(signal.SIGINT)[0] == 0
    after = json.loads(state.read_text())["house"]
    assert after["import_wh"] >= saved["import_wh"] > 0
    for plant, name in (("ev", "energy_wh"), ("ev", "soc_wh"), ("battery", "discharged_wh")):
        assert after["plants"][plant][name] >= saved["plants"][plant][name] > 0


def test_a_scenario_is_served_with_its_time_line_and_relays_answer(tmp_path: Path) -> None:
    scenario = tmp_path / "storm.toml"
    scenario.write_text(
        'scenario = 1\nhome = "farm.toml"\nstart = 2026-06-15T12:00:00\n'
        '[[event]]\nkind = "frequency"\nat_s = 0\nhz = 49.5\n'
        '[[fault]]\nkind = "stranger"\ntarget = "battery-old"\nat_s = 0\n'
    )
    with served(file=scenario) as one:
        devices = one.addresses["devices"]
        assert len(devices) == 7
        until_blocking(lambda: one.words("meter", 40086, 1) == [4950])
        serials = {name: one.words(name, 40052, 16) for name in ("battery-old", "battery-new")}
        text = {name: b"".join(w.to_bytes(2, "big") for w in words).rstrip(b"\0") for name, words in serials.items()}
        assert text == {"battery-old": b"SIM-BAT-battery-old-X", "battery-new": b"SIM-BAT-battery-new"}
        relay = devices["pump-relay"]["topic"]
        ear = MqttEar(one.addresses["mqtt"]["port"], "#")
        until_blocking(lambda: ear.value(f"{relay}/online") is True)
        request = {"id": 1, "src": "tester", "method": "Switch.Set", "params": {"id": 0, "on": True}}
        ear.say(f"{relay}/rpc", json.dumps(request))
        until_blocking(lambda: (ear.value(f"{relay}/status/switch:0") or {}).get("apower") == 4000.0)
        assert ear.value("tester/rpc") == {"id": 1, "src": relay, "dst": "tester", "result": {"was_on": False}}
        ear.close()
        assert one.end() == (0, "", "")


def test_a_port_that_is_taken_is_a_problem_with_an_advice(tmp_path: Path) -> None:
    home = tmp_path / "home.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        home.write_text(f'home = 1\n[[device]]\nid = "meter"\nkind = "sunspec.meter"\nport = {port}\n')
        done = subprocess.run(
            [sys.executable, "-m", "hw_sim.cli", "serve", str(home)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "free the port" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["serve", "nowhere.toml"], "can't be read"),
        (["check", "nowhere.toml"], "can't be read"),
        (["serve", str(DEMO), "--start", "tomorrow"], "ISO 8601"),
        (["serve", str(DEMO), "--reuse-ports"], "--port-file"),
        (["serve", str(DEMO), "--state", __file__], "not a state file"),
        (["serve", str(DEMO), "--reuse-ports", "--port-file", __file__], "not a port file"),
        (["proxy", "--listen", "0", "--target", "nowhere"], "HOST:PORT"),
        (["dance"], "No such command"),
    ],
)
def test_wrong_use_ends_with_two_and_says_why(arguments: list[str], wanted: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert wanted in result.stderr
    assert result.stdout == ""


def test_all_faults_of_a_home_are_told_at_once(tmp_path: Path) -> None:
    home = tmp_path / "bad.toml"
    home.write_text('home = 1\nzone = "Nowhere"\nlatitude = 99\n[[device]]\nid = "x"\nkind = "y"\n')
    result = CliRunner().invoke(main, ["check", str(home)])
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["zone", "latitude", "device.0.kind"]


@pytest.mark.parametrize("home", sorted(HOMES.glob("*.toml")), ids=lambda path: path.stem)
def test_check_is_content_with_the_ready_made_homes(home: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(home), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["home"] == 1


@pytest.mark.parametrize("command", sorted(main.commands))
def test_each_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(main, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: hw-sim {command}" in result.stdout


def test_the_broker_command_serves_alone() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hw_sim.cli", "broker", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["mqtt"]["port"]
        ear = MqttEar(port, "x/#")
        until_blocking(lambda: ear.subscribed)
        ear.say("x/y", "1")
        until_blocking(lambda: ear.heard.get("x/y") == b"1")
        ear.close()
        process.terminate()
        assert process.wait(10) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
