"""What the gpio driver switches, in which order, and what is left when a process ends."""

import asyncio
import importlib.util
import itertools
import sys
import time
from pathlib import Path

import pytest

from cem.driver import (
    SG_READY as POSITIONS,
)
from cem.driver import (
    Control,
    Device,
    DriverContext,
    NoAnswer,
    Refused,
    Role,
    moving_order,
)
from cem_drivers.gpio import DRIVER
from cem_drivers.gpio import device as gpio_device
from cem_drivers.gpio.wiring import link_faults
from hw_sim.pins import PinBoard
from support.pin_bench import BOX, METER, RELAY, SERIAL, SG_READY, Link, Pins, pins_config

READY, LOAD_ON = Control.HEAT_PUMP_SG_READY, Control.LOAD_ON


@pytest.fixture(autouse=True)
def _no_stagger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpio_device, "STAGGER_S", 0.0)


def _heat_pump(pins: Pins, context: DriverContext | None = None) -> Device:
    return DRIVER.device(pins_config(SG_READY, Role.HEAT_PUMP, READY), context or pins.context())


@pytest.mark.parametrize(("old", "new"), list(itertools.permutations(POSITIONS, 2)))
def test_no_state_on_the_way_is_the_lock(old: int, new: int) -> None:
    async def main() -> None:
        pins = Pins()
        device = _heat_pump(pins)
        await device.open()
        await device.write("heat_pump", READY, old)
        seen = []
        pins.board.on_drive.append(lambda pin, high: seen.append(_state(pins.board)))
        await device.write("heat_pump", READY, new)
        assert seen[-1] == new
        assert 1 not in seen[:-1]
        await device.release("heat_pump", READY)
        assert 1 not in seen[seen.index(new) + 1 :]
        await device.close()

    asyncio.run(main())


def _state(board: PinBoard) -> int:
    closed = tuple(board.driven.get(pin) is True for pin in (17, 27))
    return next(state for state, positions in POSITIONS.items() if positions == closed)


def test_contacts_move_a_moment_apart() -> None:
    order = moving_order((False, False), (True, True))
    assert order == (1, 0)
    assert moving_order((True, True), (False, False)) == (0, 1)
    assert moving_order((False, True), (True, False)) == (1, 0)


@pytest.mark.parametrize(
    ("relay", "value", "high"),
    [
        ("17", 1, True),
        ("17", 0, False),
        ("17 active-low", 1, False),
        ("17 nc", 1, False),
        ("17 nc active-low", 0, False),
    ],
)
def test_the_words_of_a_pin_say_which_level_switches(relay: str, value: float, high: bool) -> None:
    async def main() -> None:
        pins = Pins()
        device = DRIVER.device(pins_config({"relay": relay}, Role.LOAD, LOAD_ON), pins.context())
        await device.open()
        await device.write("load", LOAD_ON, value)
        assert pins.board.driven == {17: high}
        assert await device.read_back("load", LOAD_ON) == value
        (state,) = await device.poll()
        assert state.value == ("on" if value else "off")
        await device.release("load", LOAD_ON)
        assert pins.board.driven == {}
        (state,) = await device.poll()
        assert state.value == ("on" if "nc" in relay else "off")
        await device.close()

    asyncio.run(main())


@pytest.mark.parametrize("keeps", [True, False])
def test_what_a_killed_process_left_driven_ends_with_the_next_start(keeps: bool) -> None:
    async def main() -> None:
        pins = Pins(PinBoard(SERIAL, keeps_outputs=keeps))
        killed = _heat_pump(pins)
        await killed.open()
        await killed.write("heat_pump", READY, 4)
        context = pins.context()
        again = _heat_pump(pins, context)
        await again.open()
        assert pins.board.driven == {}
        assert await again.read_back("heat_pump", READY) is None
        await again.close()

    asyncio.run(main())


def test_releasing_alone_frees_what_a_killed_process_left() -> None:
    async def main() -> None:
        pins = Pins()
        killed = _heat_pump(pins)
        await killed.open()
        await killed.write("heat_pump", READY, 1)
        assert pins.board.driven == {17: True, 27: False}
        device = _heat_pump(pins)
        await device.open()
        await device.release("heat_pump", READY)
        assert pins.board.driven == {}
        await device.close()

    asyncio.run(main())


def test_a_device_that_is_only_read_frees_nothing() -> None:
    async def main() -> None:
        pins = Pins()
        other = _heat_pump(pins)
        await other.open()
        await other.write("heat_pump", READY, 4)
        device = DRIVER.device(pins_config(SG_READY, Role.HEAT_PUMP, serial=None), pins.context())
        await device.open()
        assert pins.board.driven == {17: True, 27: True}
        await device.close()

    asyncio.run(main())


def test_two_devices_at_one_pin_are_told() -> None:
    async def main() -> None:
        pins = Pins()
        context = pins.context()
        shared = DriverContext(context.monotonic, pins=context.pins)
        first = DRIVER.device(pins_config(METER, Role.PV), shared)
        second = DRIVER.device(pins_config({"w3": 22}, Role.CONTACTS), shared)
        await first.open()
        with pytest.raises(Refused, match=r"pin 22 .* has another use"):
            await second.open()
        await first.close()
        await second.open()
        await second.close()

    asyncio.run(main())


@pytest.mark.skipif(importlib.util.find_spec("lgpio") is not None, reason="this machine has lgpio")
def test_without_lgpio_nothing_stands_in_for_it() -> None:
    async def main() -> None:
        device = DRIVER.device(pins_config(RELAY, Role.LOAD, LOAD_ON), DriverContext(time.monotonic))
        with pytest.raises(NoAnswer, match=r"lgpio is missing\. Install"):
            await device.open()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("raise FileNotFoundError(2, 'No such file or directory', '.lgd-nfy0')", "working directory is writable"),
        ("class error(Exception): ...", "Check that this machine is a Raspberry Pi|group gpio"),
    ],
)
def test_what_is_wrong_with_lgpio_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, words: str
) -> None:
    constants = "BOTH_EDGES RISING_EDGE FALLING_EDGE SET_PULL_NONE SET_BIAS_DISABLE SET_BIAS_PULL_UP SET_BIAS_PULL_DOWN"
    (tmp_path / "lgpio.py").write_text("\n".join([module, *(f"{name} = 0" for name in constants.split())]))
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("lgpio", "gpiozero.pins.lgpio"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    async def main() -> None:
        device = DRIVER.device(pins_config(RELAY, Role.LOAD, LOAD_ON), DriverContext(time.monotonic))
        with pytest.raises(NoAnswer, match=words):
            await device.open()

    asyncio.run(main())
    for name in ("lgpio", "gpiozero.pins.lgpio"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ({}, "link: no pin; give at least one of relay, contact_1"),
        ({"relay": 28}, "link.relay: there is no pin 28; 0 to 27"),
        ({"relay": "seventeen"}, "link.relay: 'seventeen' is not a pin; write its BCM number"),
        ({"relay": True}, "link.relay: True is not a pin"),
        (
            {"relay": "17 pull-up"},
            "link.relay: 'pull-up' says nothing of a pin; known: active-low, active-high, nc, no",
        ),
        ({"w3": "5 nc no"}, "link.w3: only one of nc, no"),
        ({"contact_1": 17}, "link.contact_2: missing; SG Ready has two contacts"),
        ({"contact_1": 17, "contact_2": 17}, "link.contact_2: pin 17 is contact_1 already"),
        ({"relay": 17, "w3": 5}, "link.w3: what is signalled by contacts is a device of its own"),
        ({"s0": 22}, "link.pulses_per_kwh: missing; it is printed on the meter"),
        ({"w3": 5, "pulses_per_kwh": 1000}, "link.s0: missing"),
        ({"relay": 17, "board": "simulated"}, "link.simulated_file: goes with board"),
        ({"relay": 17, "simulated_file": "pins.sock"}, "link.simulated_file: goes with board"),
        ({"rely": 17, "w3": 5}, "link.rely: unknown key"),
    ],
)
def test_faults_of_a_wiring_are_told_offline(link: Link, fault: str) -> None:
    assert any(told.startswith(fault) for told in link_faults(link)), link_faults(link)


def test_a_whole_wiring_has_no_fault() -> None:
    for link in (
        RELAY,
        SG_READY,
        BOX,
        METER,
        SG_READY | METER,
        {"w3": "5 nc pull-down", "w4": "19 floating active-low"},
    ):
        assert link_faults(link) == []
