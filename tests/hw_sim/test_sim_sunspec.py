"""The SunSpec devices through the in-memory transport: what is read is the truth, what is written moves the physics."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import sunspec2

from hw_sim.devices.sunspec import BASE, Model, Point, factor_for
from hw_sim.modbus import ModbusUnit
from hw_sim.registers import RegisterBank
from hw_sim.simulation import SimulatedHome
from support.sim_homes import BATTERY, EV, METER, NIGHT, NOON, PV, home, read, whole_home, write

DEFINITIONS = Path(sunspec2.__file__).parent / "models" / "json"
# address of each point by device, from the models' lengths: 2 ("SunS") + 68 (common) + 52 (103) + 28 (120)
STORAGE_124 = BASE + 2 + 68 + 52 + 28
CONTROLS_123 = BASE + 2 + 68 + 52 + 28
CHA_MAX, MODE, RESERVE, OUT, IN, REVERT, GRID_SET = (STORAGE_124 + at for at in (2, 5, 7, 12, 13, 15, 17))
CONN_REVERT, CONN, LIMIT, LIMIT_REVERT, LIMIT_ON = (CONTROLS_123 + at for at in (3, 4, 5, 7, 9))


def _word(value: int) -> int:
    return value & 0xFFFF


def sim(*parts: str, at: Any = NIGHT) -> SimulatedHome:
    return SimulatedHome(home(*parts), at)


def run(simulation: SimulatedHome, seconds: float, dt_s: float = 1.0) -> None:
    for _ in range(round(seconds / dt_s)):
        simulation.step(dt_s)


@pytest.mark.parametrize("number", [1, 101, 103, 120, 123, 124, 203, 802])
def test_every_point_lies_where_the_published_model_puts_it(number: int) -> None:
    kinds = {"u16": "uint16", "i16": "int16", "sf": "sunssf", "bits16": "bitfield16", "bits32": "bitfield32"}
    kinds |= {"u32": "uint32", "str8": "string", "str16": "string"}
    published = json.loads((DEFINITIONS / f"model_{number}.json").read_text())["group"]["points"]
    offset, wanted = 0, []
    for entry in published:
        scale = entry.get("sf")
        scale = scale.strip() if isinstance(scale, str) else None
        wanted.append((entry["name"], entry["type"], offset, entry["size"], scale, entry.get("access") == "RW"))
        offset += entry["size"]
    ours = [
        (point.name, kinds.get(point.kind, point.kind), point.offset, point.size, point.scale, point.writable)
        for point in Model(number).points.values()
    ]
    assert ours == wanted[2:]


@pytest.mark.parametrize(
    ("kind", "scale", "value", "factor", "words"),
    [
        ("i16", "W_SF", -1234.0, 0, (0xFB2E,)),
        ("i16", "W_SF", -1234.0, 1, (0xFF85,)),
        ("i16", "W_SF", 99999.0, 0, (0x7FFF,)),
        ("i16", "W_SF", -99999.0, 0, (0x8001,)),  # never the sentinel
        ("i16", "W_SF", None, 0, (0x8000,)),
        ("i16", "W_SF", 5.0, None, (0x8000,)),  # no scale factor, no value
        ("u16", "V_SF", 230.06, -1, (2301,)),
        ("u16", None, None, None, (0xFFFF,)),
        ("u16", None, 70000, None, (0xFFFE,)),
        ("enum16", None, None, None, (0xFFFF,)),
        ("sf", None, None, None, (0x8000,)),
        ("sf", None, -2, None, (0xFFFE,)),
        ("bits32", None, None, None, (0xFFFF, 0xFFFF)),
        ("acc32", "WH_SF", 65537.9, 0, (1, 1)),
        ("acc32", "WH_SF", 2.0**32 + 5, 0, (0, 5)),
        ("acc32", "WH_SF", None, 0, (0, 0)),
        ("str2", None, "abc", None, (0x6162, 0x6300)),
    ],
)
def test_values_become_registers(
    kind: str, scale: str | None, value: float | str | None, factor: int | None, words: tuple[int, ...]
) -> None:
    size = 2 if kind in {"acc32", "bits32", "str2"} else 1
    assert Point("X", kind, 2, size, scale, False).words(value, factor) == words


def test_scale_factors_grow_with_the_plant() -> None:
    assert [factor_for(x) for x in (5000.0, 32000.0, 33000.0, 1e6, 1e7)] == [0, 0, 1, 2, 3]
    assert factor_for(10.0, finest=-2) == -2
    assert factor_for(400.0, finest=-2) == -1


def test_signs_are_those_of_the_standard() -> None:
    async def main() -> None:
        simulation = SimulatedHome(whole_home(), NOON)
        run(simulation, 3)
        truth = simulation.truth()
        meter, inverter, battery = (simulation.modbus(name) for name in ("meter", "inverter", "battery"))
        (grid_w,) = await read(meter, BASE + 2 + 68 + 18, 1)
        (pv_w,) = await read(inverter, BASE + 2 + 68 + 14, 1)
        (battery_w,) = await read(battery, BASE + 2 + 68 + 14, 1)
        assert truth.pv_w < -5000.0
        assert truth.battery_w > 3000.0
        assert pv_w == round(-truth.pv_w)
        assert battery_w == _word(round(-truth.battery_w))
        assert grid_w == _word(round(truth.grid_w))
        imported = simulation.house
        imported.import_wh, imported.export_wh = 70000.4, 99.9
        simulation.step(1.0)
        counters = await read(meter, BASE + 2 + 68 + 38, 10)
        assert counters[0:2] in ([0, 99], [0, 100], [0, 101])
        assert counters[8:10] == [1, 4464]

    asyncio.run(main())


def test_nothing_written_leaves_the_battery_to_itself() -> None:
    simulation = sim(BATTERY)
    run(simulation, 15)
    assert simulation.truth().grid_w == pytest.approx(0.0, abs=1.0)


@pytest.mark.parametrize(
    ("mode", "out_pct", "in_pct", "expected_w"),
    [
        (3, -5000, 5000, 2500.0),  # exactly 50 % charging, as real hybrid inverters are driven
        (3, 3000, -3000, -1500.0),  # exactly 30 % discharging
        (2, 0, 10000, 0.0),  # no discharging; nothing to charge from at night
        (1, 10000, 0, -300.0),  # no charging: self-consumption goes on
        (2, -2000, 10000, 1000.0),  # at least 20 % charging
        (1, 10000, -4000, -2000.0),  # at least 40 % discharging
        (3, 0, 0, 0.0),  # hold
        (0, -5000, 5000, -300.0),  # rates without their bits are not active
    ],
)
def test_rates_bound_and_force_the_power(mode: int, out_pct: int, in_pct: int, expected_w: float) -> None:
    async def main() -> None:
        simulation = sim(BATTERY)
        unit = simulation.modbus("battery")
        assert (await write(unit, OUT, _word(out_pct), _word(in_pct)))[0] == 16
        assert (await write(unit, MODE, mode))[0] == 16
        run(simulation, 15)
        assert simulation.truth().battery_w == pytest.approx(expected_w, abs=1.0)

    asyncio.run(main())


def test_the_storage_revert_timer_hands_the_battery_back() -> None:
    async def main() -> None:
        simulation = sim(BATTERY)
        unit = simulation.modbus("battery")
        await write(unit, OUT, _word(-5000), 5000, 0, 60)
        await write(unit, MODE, 3)
        run(simulation, 55)
        assert simulation.truth().battery_w == pytest.approx(2500.0)
        await write(unit, IN, 4000)  # a new write starts the timer again
        run(simulation, 55)
        assert await read(unit, MODE, 1) == [3]
        run(simulation, 10)
        assert await read(unit, MODE, 1) == [0]
        run(simulation, 15)
        assert simulation.truth().grid_w == pytest.approx(0.0, abs=1.0)

    asyncio.run(main())


def test_without_a_revert_time_a_control_stays() -> None:
    async def main() -> None:
        simulation = sim(BATTERY)
        unit = simulation.modbus("battery")
        await write(unit, OUT, _word(-1000), 1000)
        await write(unit, MODE, 3)
        run(simulation, 3600)
        assert await read(unit, MODE, 1) == [3]
        assert simulation.truth().battery_w == pytest.approx(500.0)

    asyncio.run(main())


def test_the_reserve_and_the_charging_source_are_honoured() -> None:
    async def main() -> None:
        simulation = sim(BATTERY)
        unit = simulation.modbus("battery")
        await write(unit, RESERVE, 500)  # 50.0 %: where it stands
        run(simulation, 15)
        assert simulation.truth().battery_w == 0.0
        await write(unit, GRID_SET, 0)  # charging from PV only, and it is night
        await write(unit, OUT, _word(-5000), 5000)
        await write(unit, MODE, 3)
        run(simulation, 15)
        assert simulation.truth().battery_w == 0.0
        await write(unit, GRID_SET, 1)
        run(simulation, 15)
        assert simulation.truth().battery_w == pytest.approx(2500.0)

    asyncio.run(main())


def test_the_power_limit_holds_and_reverts() -> None:
    async def main() -> None:
        simulation = sim(PV, at=NOON)
        unit = simulation.modbus("inverter")
        await write(unit, LIMIT, 2500)
        run(simulation, 5)
        assert simulation.truth().pv["pv"].limit_w is None  # not enabled yet
        await write(unit, LIMIT_REVERT, 30)
        await write(unit, LIMIT_ON, 1)
        run(simulation, 10)
        assert simulation.truth().pv_w == pytest.approx(-2000.0)
        assert (await read(unit, BASE + 2 + 68 + 38, 1)) == [5]  # THROTTLED
        run(simulation, 25)
        assert await read(unit, LIMIT_ON, 1) == [0]
        assert simulation.truth().pv["pv"].limit_w is None
        assert simulation.truth().pv_w < -5000.0

    asyncio.run(main())


def test_disconnecting_stops_the_inverter_and_reverts() -> None:
    async def main() -> None:
        simulation = sim(PV, at=NOON)
        unit = simulation.modbus("inverter")
        await write(unit, CONN_REVERT, 20, 0)
        run(simulation, 10)
        assert simulation.truth().pv_w == 0.0
        assert (await read(unit, BASE + 2 + 68 + 38, 1)) == [8]  # STANDBY
        run(simulation, 20)
        assert simulation.truth().pv_w < -5000.0
        assert await read(unit, CONN, 1) == [1]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("device", "address", "word", "code"),
    [
        ("battery", MODE, 4, 3),
        ("battery", OUT, 10001, 3),
        ("battery", IN, _word(-10001), 3),
        ("battery", CHA_MAX, 0, 3),
        ("battery", CHA_MAX, 5001, 3),
        ("battery", RESERVE, 1001, 3),
        ("battery", GRID_SET, 2, 3),
        ("battery", BASE, 0, 2),
        ("battery", STORAGE_124 + 8, 0, 2),  # ChaState is measured
        ("inverter", LIMIT, 10001, 3),
        ("inverter", LIMIT_ON, 2, 3),
        ("inverter", CONN, 7, 3),
        ("inverter", CONTROLS_123 + 14, 1, 3),  # power factor control is not offered
        ("inverter", CONTROLS_123 + 10, 0, 2),  # nor its setpoint implemented
        ("meter", BASE + 70 + 18, 0, 2),
        ("meter", 39999, 0, 2),
    ],
)
def test_wrong_writes_are_refused_and_change_nothing(device: str, address: int, word: int, code: int) -> None:
    async def main() -> None:
        simulation = SimulatedHome(whole_home(), NIGHT)
        unit = simulation.modbus(device)
        before = await _all(unit)
        assert await write(unit, address, word) == bytes((0x90, code))
        assert await _all(unit) == before

    asyncio.run(main())


async def _all(unit: ModbusUnit) -> list[int]:
    words: list[int] = []
    assert isinstance(unit.bank, RegisterBank)
    while len(words) < len(unit.bank):
        words += await read(unit, BASE + len(words), min(100, len(unit.bank) - len(words)))
    return words


def test_the_map_ends_with_the_end_marker() -> None:
    async def main() -> None:
        simulation = SimulatedHome(whole_home(), NIGHT)
        for name in ("meter", "inverter", "battery"):
            words = await _all(simulation.modbus(name))
            assert words[:2] == [0x5375, 0x6E53]
            assert words[-2:] == [0xFFFF, 0]

    asyncio.run(main())


def test_registers_stand_still_between_two_steps() -> None:
    async def main() -> None:
        simulation = SimulatedHome(whole_home(), NOON)
        run(simulation, 5)
        unit = simulation.modbus("battery")
        assert await _all(unit) == await _all(unit)
        before = await _all(unit)
        run(simulation, 5)
        assert await _all(unit) != before

    asyncio.run(main())


FAULT = '[[fault]]\ntarget = "battery"\nkind = "{kind}"\nat_s = 10\nfor_s = 20\n'


@pytest.mark.parametrize(("kind", "error"), [("silence", TimeoutError), ("disconnect", ConnectionError)])
def test_a_planned_outage_comes_and_goes(kind: str, error: type[Exception]) -> None:
    async def main() -> None:
        simulation = sim(BATTERY, FAULT.format(kind=kind))
        unit = simulation.modbus("battery")
        run(simulation, 9)
        assert await read(unit, BASE, 1) == [0x5375]
        run(simulation, 1)
        with pytest.raises(error):
            await read(unit, BASE, 1)
        run(simulation, 20)
        assert await read(unit, BASE, 1) == [0x5375]

    asyncio.run(main())


def test_a_device_can_refuse_writes_and_freeze() -> None:
    async def main() -> None:
        simulation = sim(BATTERY)
        unit = simulation.modbus("battery")
        simulation.faults.inject("battery", "refuse_writes")
        run(simulation, 5)
        assert await write(unit, MODE, 1) == bytes((0x90, 4))
        simulation.faults.clear("battery", "refuse_writes")
        before = await _all(unit)
        simulation.faults.inject("battery", "freeze")
        run(simulation, 60)
        assert await _all(unit) == before
        assert (await write(unit, OUT, _word(-5000), 5000))[0] == 16
        assert (await write(unit, MODE, 3))[0] == 16
        run(simulation, 15)
        assert simulation.truth().battery_w == pytest.approx(-300.0, abs=1.0)  # answered, but without effect
        simulation.faults.clear("battery", "freeze")
        assert await read(unit, OUT, 2) != [_word(-5000), 5000]  # nor is it found there later

    asyncio.run(main())


def test_another_unit_is_not_there() -> None:
    async def main() -> None:
        simulation = sim(METER)
        assert await simulation.modbus("meter").exchange(7, bytes.fromhex("039c400001")) == bytes.fromhex("830b")

    asyncio.run(main())


def test_unknown_devices_are_named() -> None:
    simulation = sim(METER)
    with pytest.raises(KeyError, match="known: meter"):
        simulation.modbus("battery")


def test_a_single_phase_inverter_says_so() -> None:
    async def main() -> None:
        simulation = SimulatedHome(home(PV.replace("cloudiness = 0", "cloudiness = 0\nphases = 1")), NOON)
        run(simulation, 3)
        words = await read(simulation.modbus("inverter"), BASE + 70, 52)
        assert words[:2] == [101, 50]
        assert words[4:6] == [0xFFFF, 0xFFFF]  # AphB, AphC

    asyncio.run(main())


def test_a_large_plant_needs_no_other_code() -> None:
    async def main() -> None:
        spec = BATTERY.replace("10000", "40_000_000").replace("5000", "10_000_000").replace("4000", "10_000_000", 1)
        simulation = SimulatedHome(home(spec, EV, METER), NIGHT)
        unit = simulation.modbus("battery")
        await write(unit, OUT, _word(-5000), 5000)
        await write(unit, MODE, 3)
        run(simulation, 20)
        assert simulation.truth().battery_w == pytest.approx(5e6, rel=1e-3)
        power, scale = await read(unit, BASE + 70 + 14, 2)
        assert (0x10000 - power) * 10**scale == pytest.approx(5e6, rel=1e-3)

    asyncio.run(main())
