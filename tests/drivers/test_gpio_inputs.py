"""Contacts that bounce and pulse meters: what edges and polled levels make of them."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.driver import Device, NoAnswer, Reading, Role
from cem_drivers.gpio import DRIVER
from cem_drivers.gpio.debounce import Change, Debouncer
from cem_drivers.gpio.pulses import PulseContact, PulseMeter
from support.pin_bench import BOX, METER, Link, Pins, pins_config

SETTLE_S = 0.05
BOUNCES = st.lists(st.floats(1e-5, 0.001), max_size=3)
GAPS = st.lists(st.floats(1e-6, SETTLE_S * 0.98), max_size=30)


@given(GAPS, st.booleans())
def test_a_bounce_train_of_any_length_is_one_change_or_none(gaps: list[float], was_closed: bool) -> None:
    contact, now_s, level = Debouncer(SETTLE_S, was_closed, 0.0), 10.0, was_closed
    changes: list[Change] = []
    for gap in gaps:
        level = not level
        changes += contact.edge(now_s, level)
        last_s, now_s = now_s, now_s + gap
    changes += contact.level(now_s + SETTLE_S, level)
    assert contact.closed is level
    assert [change.closed for change in changes] == ([level] if level is not was_closed else [])
    assert all(change.at_s == last_s for change in changes)


@given(st.lists(st.tuples(st.floats(0.001, 5.0), st.booleans()), max_size=40))
def test_with_edges_lost_the_polled_level_still_wins(trains: list[tuple[float, bool]]) -> None:
    contact, now_s = Debouncer(SETTLE_S, False, 0.0), 0.0
    level = False
    for gap, told in trains:
        now_s += gap
        level = not level
        if told:
            contact.edge(now_s, level)
    contact.level(now_s + 1.0, level)
    contact.level(now_s + 1.1, level)
    assert contact.closed is level


@given(st.lists(st.floats(0.0601, 500.0), min_size=1, max_size=8), st.data())
def test_every_pulse_counts_once_however_it_bounces(gaps: list[float], data: st.DataObject) -> None:
    meter, now_s = PulseMeter(1000.0, 0.0), 1.0
    contact = PulseContact(meter, Debouncer(0.01, False, 0.0), 0.0)
    for gap in gaps:
        for closed, lasts_s in ((True, 0.03), (False, gap - 0.03)):
            at_s = now_s
            for bounce in data.draw(BOUNCES):
                contact.edge(at_s, closed)
                contact.edge(at_s + bounce / 2, not closed)
                at_s += bounce
            contact.edge(at_s, closed)
            now_s += lasts_s
    contact.level(now_s + 1.0, False)
    assert meter.pulses == len(gaps)
    assert meter.energy_wh == pytest.approx(len(gaps))


@pytest.mark.parametrize(
    ("pulses_s", "now_s", "power_w"),
    [
        ([], 1.0, None),  # nothing is known yet
        ([], 40.0, 90.0),  # a pulse would have come by now if more flowed
        ([5.0], 6.0, None),
        ([5.0, 6.0], 6.5, 3600.0),
        ([5.0, 6.0], 8.0, 1800.0),  # the next one is late: no more than this flows
        ([5.0, 6.0], 66.0, 60.0),
        ([5.0, 6.0], 3000.0, 0.0),
        ([5.0, 5.5, 6.0, 6.5, 7.0], 7.1, 7200.0),
        ([5.0, 65.0, 66.0], 66.1, 3600.0),  # a step up shows with its first interval
    ],
)
def test_power_comes_from_the_time_between_pulses_and_decays(
    pulses_s: list[float], now_s: float, power_w: float | None
) -> None:
    meter = PulseMeter(1000.0, 0.0)
    for at_s in pulses_s:
        meter.pulse(at_s)
    assert meter.power_w(now_s) == (None if power_w is None else pytest.approx(power_w))


def test_disturbances_that_no_load_could_make_are_no_pulses() -> None:
    meter = PulseMeter(1000.0, 0.0, most_w=3000.0)
    for at_s in (1.0, 2.2, 2.25, 2.3, 3.4):
        meter.pulse(at_s)
    assert (meter.pulses, meter.disturbed) == (3, 2)


def _device(pins: Pins, link: Link, role: Role) -> Device:
    return DRIVER.device(pins_config(link, role), pins.context())


def _values(readings: Sequence[Reading]) -> dict[str, object]:
    return {reading.point: reading.value for reading in readings}


def test_signals_are_read_at_once_and_with_every_poll() -> None:
    async def main() -> None:
        pins = Pins()
        pins.board.levels[6] = False  # S1 is closed before we come
        device = _device(pins, BOX, Role.CONTACTS)
        await device.open()
        assert _values(await device.poll()) == {"w3": 0.0, "s1": 1.0, "s2": 0.0, "w4": 0.0}
        pins.edge(19, False, 101.0)
        pins.now_s = 101.2
        assert _values(await device.poll())["w4"] == 1.0
        pins.edge(19, True, 102.0)
        pins.now_s = 102.2
        assert _values(await device.poll())["w4"] == 0.0
        await device.close()

    asyncio.run(main())


def test_the_transfer_switch_is_read_like_any_contact() -> None:
    async def main() -> None:
        pins = Pins()
        device = _device(pins, {"island": 23}, Role.CONTACTS)
        await device.open()
        assert _values(await device.poll()) == {"island": 0.0}
        pins.edge(23, False, 101.0)
        pins.now_s = 101.2
        assert _values(await device.poll()) == {"island": 1.0}
        await device.close()

    asyncio.run(main())


def test_a_signal_between_two_polls_is_not_missed() -> None:
    async def main() -> None:
        pins = Pins()
        device = _device(pins, BOX, Role.CONTACTS)
        await device.open()
        pins.edge(5, False, 101.2)
        pins.edge(5, True, 101.6)
        pins.now_s = 102.0
        assert _values(await device.poll())["w3"] == 1.0
        pins.now_s = 103.0
        assert _values(await device.poll())["w3"] == 0.0
        await device.close()

    asyncio.run(main())


def test_a_broken_wire_of_a_normally_closed_contact_signals() -> None:
    async def main() -> None:
        pins = Pins()
        pins.board.levels[5] = False  # closed: no signal
        device = _device(pins, {"w3": "5 nc"}, Role.CONTACTS)
        await device.open()
        assert _values(await device.poll()) == {"w3": 0.0}
        pins.edge(5, True, 101.0)
        pins.now_s = 102.0
        assert _values(await device.poll()) == {"w3": 1.0}
        await device.close()

    asyncio.run(main())


def test_a_contact_that_finds_no_rest_is_not_known() -> None:
    async def main() -> None:
        pins = Pins()
        device = _device(pins, BOX, Role.CONTACTS)
        await device.open()
        for number in range(200):
            pins.edge(5, number % 2 == 1, 101.0 + number * 0.02)
        readings = _values(await device.poll())
        assert readings["w3"] is None
        assert readings["w4"] == 0.0
        await device.close()

    asyncio.run(main())


def _pulse(pins: Pins, at_s: float) -> None:
    pins.edge(22, False, at_s)
    pins.edge(22, True, at_s + 0.03)


@pytest.mark.parametrize(
    ("role", "sign", "register"),
    [
        (Role.PV, -1, "energy_wh"),
        (Role.GRID, 1, "import_wh"),
        (Role.LOAD, 1, "energy_wh"),
        (Role.HEAT_PUMP, 1, "energy_wh"),
    ],
)
def test_a_pulse_meter_has_the_signs_of_the_house(role: Role, sign: int, register: str) -> None:
    async def main() -> None:
        pins = Pins()
        device = _device(pins, METER | {"counter_wh": 5000.0}, role)
        await device.open()
        for number in range(5):
            _pulse(pins, 101.0 + 2 * number)
        pins.now_s = 109.5
        told = _values(await device.poll())
        assert told["power_w"] == pytest.approx(sign * 1800.0)
        assert told[register] == 5005.0
        await device.close()

    asyncio.run(main())


def test_the_counter_goes_on_after_a_restart_unless_the_meter_is_another() -> None:
    async def main() -> None:
        pins = Pins()
        for link, register in ((METER, 3.0), (METER, 6.0), (METER | {"counter_wh": 90.0}, 93.0)):
            device = _device(pins, link, Role.PV)
            await device.open()
            for _ in range(3):
                _pulse(pins, pins.now_s + 2.0)
            pins.now_s += 1.0
            assert _values(await device.poll())["energy_wh"] == register
            await device.close()

    asyncio.run(main())


@pytest.mark.parametrize("lost", [1, 3, 5])
def test_an_edge_that_is_lost_loses_no_pulse(lost: int) -> None:
    meter = PulseMeter(1000.0, 0.0)
    contact = PulseContact(meter, Debouncer(0.01, False, 0.0), 0.0)
    edges = [(1.0 + 0.5 * number, number % 2 == 0) for number in range(8)]
    for number, (at_s, closed) in enumerate(edges):
        if number != lost:  # of one pulse the end is lost
            contact.edge(at_s, closed)
    contact.level(6.0, False)
    assert meter.pulses == 4


def test_a_shorted_pulse_wire_is_told() -> None:
    async def main() -> None:
        pins = Pins()
        device = _device(pins, METER, Role.PV)
        await device.open()
        pins.edge(22, False, 101.0)
        pins.now_s = 160.0
        await device.poll()
        pins.now_s = 162.0
        with pytest.raises(NoAnswer, match="never opens"):
            await device.poll()
        await device.close()

    asyncio.run(main())
