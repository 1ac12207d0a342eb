"""The way to a Raspberry Pi's own pins: gpiozero's lgpio factory, with a stand-in for the C library below it."""

import asyncio
import importlib
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cem.driver import Control, Device, DriverContext, NoAnswer, Role
from cem_drivers.gpio import DRIVER, board
from support.pin_bench import BOX, METER, RELAY, SERIAL, SG_READY, Link, pins_config

STAND_IN = Path(__file__).parents[1] / "support" / "lgpio_stand_in.py"
READY, LOAD_ON = Control.HEAT_PUMP_SG_READY, Control.LOAD_ON


@pytest.fixture
def lgpio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The library, on a machine that says that it is a Pi 4."""
    shutil.copy(STAND_IN, tmp_path / "lgpio.py")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "serial-number").write_text(f"{SERIAL}\0")
    monkeypatch.setattr(board, "SERIAL_FILE", tmp_path / "serial-number")
    local = importlib.import_module("gpiozero.pins.local")
    monkeypatch.setattr(local.LocalPiFactory, "_get_revision", lambda self: 0xC03111)
    yield importlib.import_module("lgpio")
    for name in ("lgpio", "gpiozero.pins.lgpio"):
        sys.modules.pop(name, None)


def _device(link: Link, role: Role, control: Control | None = None) -> Device:
    return DRIVER.device(pins_config(link, role, control), DriverContext(time.monotonic))


def test_contacts_are_driven_and_given_back_as_inputs(lgpio: Any) -> None:
    async def main() -> None:
        lgpio.lines[17] = lgpio.lines[27] = "out"  # what a killed process left driven
        device = _device(SG_READY, Role.HEAT_PUMP, READY)
        assert (await device.open()).serial == f"{SERIAL}/17-27"
        assert {lgpio.lines[17], lgpio.lines[27]} == {"in"}
        await device.write("heat_pump", READY, 3)
        assert (lgpio.lines[17], lgpio.levels[17], lgpio.lines[27], lgpio.levels[27]) == ("out", 0, "out", 1)
        assert await device.read_back("heat_pump", READY) == 3
        await device.release("heat_pump", READY)
        assert {lgpio.lines[17], lgpio.lines[27]} == {"in"}
        await device.close()
        assert lgpio.lines == {}

    asyncio.run(main())


def test_a_board_that_pulls_in_on_low_is_left_high(lgpio: Any) -> None:
    async def main() -> None:
        device = _device({"relay": "4 active-low"}, Role.LOAD, LOAD_ON)
        await device.open()
        await device.write("load", LOAD_ON, 0)
        assert (lgpio.lines[4], lgpio.levels[4]) == ("out", 1)
        await device.write("load", LOAD_ON, 1)
        assert lgpio.levels[4] == 0
        await device.release("load", LOAD_ON)
        await device.close()

    asyncio.run(main())


def test_edges_come_from_another_thread(lgpio: Any) -> None:
    async def main() -> None:
        box, meter = _device(BOX, Role.CONTACTS), _device(METER, Role.PV)
        await box.open()
        await meter.open()
        assert {reading.value for reading in await box.poll()} == {0.0}

        def edges() -> None:
            lgpio.alerts[5].edge(0, 1)
            for pulse in range(3):
                lgpio.alerts[22].edge(0, pulse)
                time.sleep(0.02)
                lgpio.alerts[22].edge(1, pulse)
                time.sleep(0.02)

        thread = threading.Thread(target=edges)
        thread.start()
        thread.join()
        assert {r.point: r.value for r in await box.poll()} == {"w3": 1.0, "s1": 0.0, "s2": 0.0, "w4": 0.0}
        assert {r.point: r.value for r in await meter.poll()}["energy_wh"] == 3.0
        await meter.close()
        await box.close()

    asyncio.run(main())


def test_a_line_that_somebody_else_holds_is_told(lgpio: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(handle: int, pin: int, level: int = 0, flag: int = 0) -> None:
        raise lgpio.error("GPIO busy")

    async def main() -> None:
        device = _device(RELAY, Role.LOAD, LOAD_ON)
        await device.open()
        monkeypatch.setattr(lgpio, "gpio_claim_output", busy)
        with pytest.raises(NoAnswer, match=r"GPIO busy. Check that no other program holds it"):
            await device.write("load", LOAD_ON, 1)
        await device.close()

    asyncio.run(main())
