"""Both drivers against the simulated house as a process: sockets, a broker, a kill in the middle."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cem.driver import Control, Device, DriverContext, NoAnswer, Role, Value
from cem_drivers.mqtt import DRIVER as MQTT
from cem_drivers.sunspec import DRIVER as SUNSPEC
from support.driver_devices import charger_config, sunspec_config

HOME = Path(__file__).parents[2] / "hw-sim" / "homes" / "demo.toml"
CONTEXT = DriverContext(time.monotonic)


@contextmanager
def _house(ports: Path, *more: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "hw_sim.cli", "serve", str(HOME), "--json", "--start", "2026-06-15T12:00"]
    process = subprocess.Popen([*command, "--port-file", str(ports), *more], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["devices"], process
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _link(entry: dict[str, Any], **more: float) -> dict[str, str | int | float | bool]:
    return {"host": entry["host"], "port": entry["port"], **more}


def _devices(entries: dict[str, Any]) -> dict[str, Device]:
    roles = {"meter": Role.GRID, "inverter": Role.PV, "battery": Role.BATTERY}
    devices = {
        name: SUNSPEC.device(sunspec_config(_link(entries[name]), role, serial=entries[name]["serial"]), CONTEXT)
        for name, role in roles.items()
    }
    wallbox = entries["wallbox"]
    devices["wallbox"] = MQTT.device(charger_config(_link(wallbox, timeout_s=10), wallbox["serial"]), CONTEXT)
    return devices


async def _power(device: Device, timeout_s: float = 10.0) -> Value:
    """The power, once there is one."""
    async with asyncio.timeout(timeout_s):
        while True:
            for reading in await device.poll():
                if reading.point == "power_w":
                    return reading.value
            await asyncio.sleep(0.05)


@pytest.fixture
def ports(tmp_path: Path) -> Path:
    return tmp_path / "ports.json"


def test_every_device_is_read_written_and_released(ports: Path) -> None:
    async def main(entries: dict[str, Any]) -> None:
        devices = _devices(entries)
        for name, device in devices.items():
            assert (await device.open()).serial == entries[name]["serial"]
            assert isinstance(await _power(device), float)
        writes = {
            "inverter": ("pv", Control.PV_LIMIT_W, (2000.0, 8000.0)),
            "battery": ("battery", Control.BATTERY_SETPOINT_W, (1500.0, -2500.0)),
            "wallbox": ("ev", Control.EV_LIMIT_A, (0.0, 8.0)),
        }
        for name, (resource_id, control, values) in writes.items():
            for value in values:
                await devices[name].write(resource_id, control, value)
                assert await devices[name].read_back(resource_id, control) == pytest.approx(value, abs=1)
            await devices[name].release(resource_id, control)
            assert await devices[name].read_back(resource_id, control) is None
        found = await MQTT.probe(_link(entries["wallbox"]), CONTEXT, 1.0)
        assert [one.identity.serial for one in found] == [entries["wallbox"]["serial"]]
        for device in devices.values():
            await device.close()

    with _house(ports) as (entries, _):
        asyncio.run(main(entries))


def test_a_house_that_dies_and_returns_is_lost_and_found(ports: Path) -> None:
    async def lost(device: Device) -> None:
        async with asyncio.timeout(10):
            while True:
                try:
                    await device.poll()
                except NoAnswer:
                    return
                await asyncio.sleep(0.05)

    async def main() -> None:
        with _house(ports) as (entries, process):
            devices = _devices(entries)
            for device in devices.values():
                await device.open()
            process.kill()
            for device in devices.values():
                await lost(device)
                await device.close()
        with _house(ports, "--reuse-ports") as (again, _):
            assert again == entries
            for device in devices.values():
                await device.open()
                assert isinstance(await _power(device), float)
                await device.close()

    asyncio.run(main())
