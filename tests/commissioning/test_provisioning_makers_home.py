"""`cem provision` and `cem run` in the house of makers' devices, over real sockets, as a person types them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

MAKERS = Path(__file__).parents[2] / "hw-sim" / "homes" / "makers.toml"
CEM = str(Path(sys.executable).with_name("cem"))
HOME = ("--phases", "3", "--fuse-a", "35", "--timezone", "Europe/Berlin", "--price", "0.3", "--socket", "cem.sock")


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """The ports of the served home, by device."""
    command = [sys.executable, "-m", "hw_sim.cli", "serve", str(MAKERS), "--json", "--start", "2026-06-15T12:00"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        devices: dict[str, dict[str, Any]] = json.loads(process.stdout.readline())["devices"]
        yield {name: int(entry["port"]) for name, entry in devices.items()}
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=15)


def cem(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [CEM, *words],
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_makers_devices_are_taken_into_service_and_steered(ports: dict[str, int], tmp_path: Path) -> None:
    addresses = (
        f"127.0.0.1:{ports['plenticore']}/71",
        f"rtu-tcp://127.0.0.1:{ports['meter']}/1=eastron.sdm630",
        f"127.0.0.1:{ports['wallbox']}",
    )
    modbus = [word for address in addresses for word in ("--modbus", address)]
    provisioned = cem("provision", "--out", "site.toml", *modbus, *HOME, "--yes", folder=tmp_path)
    assert provisioned.returncode == 0, provisioned.stdout + provisioned.stderr
    assert "3 devices: 15 passed, 0 failed, 0 skipped" in provisioned.stdout
    running = subprocess.Popen([CEM, "run", "--config", "site.toml"], cwd=tmp_path)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = cem("status", "--config", "site.toml", "--json", folder=tmp_path)
            if status.returncode == 0 and all(
                one["health"] == "online" for one in json.loads(status.stdout)["devices"]
            ):
                break
            time.sleep(1)
        assert status.returncode == 0, status.stdout + status.stderr
        assert {one["health"] for one in json.loads(status.stdout)["devices"]} == {"online"}
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
