"""Each kind of fault does what its name says, to its device alone, and is gone when it is over."""

import asyncio
import struct
from collections.abc import Awaitable, Callable

import pytest

from hw_sim.happenings import FAULTS
from hw_sim.home import HomeError, parse_home
from hw_sim.modbus import ModbusUnit
from support.sim_homes import BATTERY, EV, HOUSE, METER, NIGHT, PV, home
from support.sim_worlds import World, played

NRG = "go-eCharger/000001/nrg"
METER_W = 40070 + 18  # 203.W, its scale factor four further on


def fault(kind: str, target: str, more: str = "", at_s: float = 10, for_s: float | None = 20) -> str:
    lasts = "" if for_s is None else f"for_s = {for_s}\n"
    return f'[[fault]]\nkind = "{kind}"\ntarget = "{target}"\nat_s = {at_s}\n{lasts}{more}\n'


def play(main: Callable[[World], Awaitable[None]], *parts: str) -> World:
    return played(home(*parts), main, NIGHT)


def signed(word: int) -> int:
    return word - 0x10000 if word >= 0x8000 else word


async def meter_w(world: World) -> int:
    return signed((await world.words("meter", METER_W, 1))[0])


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        (fault("smoke", "meter"), "fault.0.kind: "),
        (fault("silence", "nobody"), "fault.0.target: no device 'nobody'"),
        (fault("sign", "battery"), "fault.0.target: 'sign' is nothing for a 'sunspec.battery'"),
        (fault("flood", "meter"), "fault.0.target: "),
        (fault("broker_down", "meter"), "fault.0.target: "),
        (fault("silence", "meter", "value = 3"), "fault.0.value: not for 'silence'"),
        (fault("slow", "meter", "delay_s = 0"), "fault.0.delay_s: "),
    ],
)
def test_a_fault_of_a_fault_is_named_with_its_path(lines: str, path: str) -> None:
    with pytest.raises(HomeError) as caught:
        parse_home(HOUSE + BATTERY + METER + lines)
    assert any(one.startswith(path) for one in caught.value.faults), caught.value.faults


def test_a_reversed_meter_counts_the_other_way() -> None:
    async def main(world: World) -> None:
        await world.run(10)
        assert await meter_w(world) == -300
        counters = await world.words("meter", 40070 + 38, 18)
        assert counters[0:2] == [0, 0] or counters[1] > 0
        await world.run(20)
        assert await meter_w(world) == 300

    play(main, METER, fault("sign", "meter"))


def test_a_lost_phase_and_swapped_clamps() -> None:
    step = '[[event]]\nkind = "load"\nat_s = 0\nextra_w = 900\nphase = 2\n'

    async def main(world: World) -> None:
        await world.run(10)
        assert [signed(w) for w in await world.words("meter", METER_W, 4)] == [1100 - 900, 100, 0, 100]
        assert (await world.words("meter", 40070 + 9, 1))[0] == 0  # PhVphB
        await world.run(30)
        assert [signed(w) for w in await world.words("meter", METER_W, 4)] == [1200, 1000, 100, 100]

    parts = (METER, step, fault("phase_lost", "meter", "phase = 2"), fault("phases_swapped", "meter", at_s=40))
    play(main, *parts)


def test_a_wrong_scale_factor_a_spike_and_no_number_at_all() -> None:
    async def main(world: World) -> None:
        before = await world.words("meter", METER_W, 5)
        await world.run(10)
        wrong = await world.words("meter", METER_W, 5)
        assert (wrong[0], wrong[4]) == (before[0], (before[4] + 1) & 0xFFFF)
        await world.run(10)
        assert (await world.words("meter", METER_W, 5))[0] == 0x7FFF
        await world.run(10)
        assert await world.words("meter", METER_W, 5) == [0x8000] * 4 + [before[4]]
        await world.run(10)
        assert await world.words("meter", METER_W, 5) == before

    faults = (
        fault("scale", "meter", for_s=None),
        fault("spike", "meter", at_s=20, for_s=None),
        fault("nan", "meter", at_s=30, for_s=5),
    )
    play(main, METER, *faults)


def test_a_stuck_register_stands_while_its_counter_moves() -> None:
    async def main(world: World) -> None:
        await world.run(9)
        before = await meter_w(world)
        world.sim.house.household.extra_w = 5000.0
        await world.run(10)
        counted = world.sim.truth().import_wh
        assert await meter_w(world) == before
        assert (await world.words("meter", 40070 + 46, 2))[1] == int(counted) > 10

    play(main, METER, fault("stuck", "meter", at_s=9))


def test_another_device_at_the_address_has_another_serial_number() -> None:
    async def main(world: World) -> None:
        before = await world.words("meter", 40052, 16)
        await world.run(10)
        assert await world.words("meter", 40052, 16) != before
        await world.run(20)
        assert await world.words("meter", 40052, 16) == before

    play(main, METER, fault("stranger", "meter"))


def test_accepted_is_not_effective() -> None:
    async def main(world: World) -> None:
        control = await world.model("battery", 124)
        await world.run(10)
        world.sim.fronts["battery"].contest(3000.0)
        await world.run(10)
        assert (await world.words("battery", control + 3, 1))[0] == 3  # StorCtl_Mod is held
        truth = world.sim.truth()
        assert truth.devices["battery"].holds["battery"].upper_w == pytest.approx(3000.0)
        assert truth.battery["battery"].upper_w is None
        assert truth.battery_w < 0.0

    play(main, BATTERY, METER, fault("ineffective", "battery"))


def test_a_reboot_loses_controls_and_takes_its_time() -> None:
    async def main(world: World) -> None:
        world.sim.fronts["battery"].contest(2000.0)
        await world.run(9)
        assert world.sim.truth().battery_w == pytest.approx(2000.0)
        await world.run(1)
        with pytest.raises(ConnectionError):
            await world.words("battery", 40000, 1)
        truth = world.sim.truth().devices["battery"]
        assert (truth.reboots, truth.remote, truth.online) == (1, False, False)
        await world.run(20)
        assert await world.words("battery", 40000, 1) == [0x5375]
        assert world.sim.truth().battery_w < 0.0

    play(main, BATTERY, METER, fault("reboot", "battery"))


def test_a_second_master_writes_again_and_again_and_counts_apart() -> None:
    async def main(world: World) -> None:
        await world.run(15)
        truth = world.sim.truth()
        assert truth.battery_w == pytest.approx(-2500.0, abs=50.0)
        assert truth.devices["battery"].writes == {}
        assert truth.devices["battery"].foreign_writes == 3
        await world.run(30)
        assert world.sim.truth().devices["battery"].foreign_writes == 12

    play(main, BATTERY, METER, fault("second_master", "battery", "value = -2500\nperiod_s = 5"))


@pytest.mark.parametrize(
    ("target", "parts"), [("battery", (BATTERY,)), ("inverter", (PV,)), ("wallbox", (EV,))], ids=lambda x: str(x)[:8]
)
def test_every_controlled_device_knows_a_second_master(target: str, parts: tuple[str, ...]) -> None:
    async def main(world: World) -> None:
        await world.run(15)
        device = world.sim.truth().devices[target]
        assert device.foreign_writes >= 1
        assert not device.writes

    play(main, METER, *parts, fault("second_master", target))


def test_the_management_of_the_battery_may_say_no() -> None:
    async def main(world: World) -> None:
        world.sim.house.household.extra_w = 2000.0
        await world.run(9)
        assert world.sim.truth().battery_w == pytest.approx(-2300.0, abs=1.0)
        pack = await world.model("battery", 802)
        await world.run(5)
        assert world.sim.truth().battery_w == 0.0
        assert await world.words("battery", pack + 2, 2) == [0, 0]
        await world.run(10)
        world.sim.faults.inject("battery", "bms", discharge=False)
        world.sim.fronts["battery"].contest(2000.0)
        await world.run(20)
        truth = world.sim.truth().battery["battery"]
        assert (truth.power_w, truth.max_charge_w, truth.max_discharge_w) == (0.0, 0.0, 4000.0)

    play(main, BATTERY, METER, fault("bms", "battery", for_s=8))


def test_a_pulled_cable_ends_the_charge_and_is_back_later() -> None:
    async def main(world: World) -> None:
        await world.run(9)
        assert world.sim.truth().ev_w > 10_000.0
        await world.run(5)
        truth = world.sim.truth().ev["ev"]
        assert (truth.state, truth.power_w, truth.contactor_switchings) == ("A", 0.0, 2)
        await world.run(30)
        assert world.sim.truth().ev["ev"].state == "C"

    play(main, EV, fault("unplug", "wallbox"))


def pdu(address: int, count: int) -> bytes:
    return struct.pack(">BHH", 3, address, count)


async def asked(unit: ModbusUnit, address: int, count: int = 2) -> bytes:
    return await unit.exchange(1, pdu(address, count))


def test_answers_may_be_busy_spoilt_or_another_ones() -> None:
    async def main(world: World) -> None:
        unit = world.sim.modbus("meter")
        right = await asked(unit, 40000)
        await world.run(10)
        assert await asked(unit, 40000) == bytes((0x83, 6))
        await world.run(20)
        spoilt = await asked(unit, 40000)
        assert spoilt != right
        assert len(spoilt) != 2 + spoilt[1]
        await world.run(20)
        first, second = await asked(unit, 40000), await asked(unit, 40002)
        assert second == first
        await world.run(20)
        assert await asked(unit, 40000) == right

    faults = (
        fault("busy", "meter"),
        fault("garbage", "meter", at_s=30),
        fault("foreign_answer", "meter", at_s=50),
    )
    play(main, METER, *faults)


def test_a_slow_device_answers_late() -> None:
    async def main(world: World) -> None:
        await world.run(10)
        unit = world.sim.modbus("meter")
        began = asyncio.get_running_loop().time()
        assert (await asked(unit, 40000))[0] == 3
        assert asyncio.get_running_loop().time() - began >= 0.05

    play(main, METER, fault("slow", "meter", "delay_s = 0.05"))


def test_garbage_and_a_flood_on_the_broker() -> None:
    async def main(world: World) -> None:
        await world.run(9)
        world.said.clear()
        await world.run(11)
        assert any(not payload.startswith(b"[2") for topic, payload, _ in world.said if topic == NRG)
        await world.run(10)
        world.said.clear()
        await world.run(10)
        assert 1900 < sum(topic == NRG for topic, _, _ in world.said) < 2100
        await world.run(25)
        world.said.clear()
        await world.run(10)
        assert 1 <= sum(topic == NRG for topic, _, _ in world.said) <= 4
        assert world.last(NRG)[11] == pytest.approx(11040.0)

    play(main, EV, fault("garbage", "wallbox"), fault("flood", "wallbox", "rate_per_s = 200", at_s=30))


def test_a_charger_that_left_without_a_word_still_looks_alive() -> None:
    async def main(world: World) -> None:
        await world.run(12)
        world.said.clear()
        await world.run(15)
        assert world.said == []
        assert world.sim.broker.retained["go-eCharger/000001/mcc"] == b"true"
        assert not world.sim.truth().devices["wallbox"].online
        await world.run(10)
        assert any(topic == NRG for topic, _, _ in world.said)

    play(main, EV, fault("stale_retained", "wallbox"))


def test_a_battery_without_its_management_tells_nothing_of_it_and_soon_gives_nothing() -> None:
    async def main(world: World) -> None:
        unit = world.sim.modbus("battery")
        soc = next(block for block in range(40000, 40600) if unit.bank.read(block, 2) == [802, 62]) + 12
        assert unit.bank.read(soc, 1) != [0xFFFF]
        await world.run(12)
        assert unit.bank.read(soc, 1) == [0xFFFF]
        assert world.sim.truth().battery_w < -250
        await world.run(6)
        assert world.sim.truth().battery_w == pytest.approx(0.0, abs=5.0)
        await world.run(20)
        assert unit.bank.read(soc, 1) != [0xFFFF]
        assert world.sim.truth().battery_w < -250

    play(main, BATTERY, METER, fault("bms_lost", "battery", "delay_s = 3"))


def test_the_broker_goes_down_and_comes_back() -> None:
    async def main(world: World) -> None:
        await world.run(11)
        world.said.clear()
        await world.run(15)
        assert world.said == []
        await world.run(15)
        assert any(topic == NRG and not retained for topic, _, retained in world.said)

    play(main, EV, fault("broker_down", "broker"))


def test_numbers_of_a_charger_may_be_null_a_spike_or_stuck() -> None:
    async def main(world: World) -> None:
        await world.run(12)
        assert world.last(NRG)[11] is None
        await world.run(22)
        assert world.last(NRG)[11] == 1e9
        await world.run(6)
        world.sim.faults.inject("wallbox", "stuck")
        await world.run(2)
        charger = world.sim.charger
        assert charger is not None
        charger.set("amp", b"6")
        await world.run(12)
        assert world.last(NRG)[11] == pytest.approx(11040.0)
        assert world.sim.truth().ev_w == pytest.approx(3 * 230.0 * 6)

    play(main, EV, fault("nan", "wallbox"), fault("spike", "wallbox", at_s=31, for_s=5))


def test_measured_values_may_come_late_seldom_and_coarse() -> None:
    late = METER + "report_delay_s = 10\nreport_every_s = 5\nround_w = 50\n"

    async def main(world: World) -> None:
        await world.run(20)
        world.sim.house.household.extra_w = 1020.0
        await world.run(9)
        assert await meter_w(world) == 300
        await world.run(7)
        assert await meter_w(world) == 1300  # 1,320 in steps of 50

    play(main, late)


def test_measured_values_may_come_late_for_a_while() -> None:
    quirk = '[[event]]\nkind = "quirk"\ntarget = "meter"\nat_s = 20\nfor_s = 60\nset = { report_delay_s = 10 }'

    async def main(world: World) -> None:
        await world.run(40)
        world.sim.house.household.extra_w = 1000.0
        await world.run(9)
        assert await meter_w(world) == pytest.approx(world.sim.truth().grid_w - 1000.0, abs=1.0)
        await world.run(3)
        assert await meter_w(world) == pytest.approx(world.sim.truth().grid_w, abs=1.0)
        await world.run(40)
        world.sim.house.household.extra_w = 0.0
        await world.run(1)
        assert await meter_w(world) == pytest.approx(world.sim.truth().grid_w, abs=1.0)

    play(main, METER, quirk)


def test_faults_befall_their_device_alone() -> None:
    async def main(world: World) -> None:
        for kind, rule in FAULTS.items():
            if "sunspec.battery" not in rule.devices:
                continue
            world.sim.faults.inject("battery", kind, **({"delay_s": 0.01} if kind == "slow" else {}))  # type: ignore[arg-type]
            await world.run(3)
            if kind == "half_open":  # whoever notices connects anew
                with pytest.raises(TimeoutError):
                    await world.words("battery", 40000, 1)
            assert await meter_w(world) == pytest.approx(world.sim.truth().grid_w, abs=1.0)
            assert world.sim.truth().devices["battery"].faults == {kind}
            assert world.sim.truth().devices["meter"].faults == frozenset()
            world.sim.faults.clear("battery", kind)  # type: ignore[arg-type]
            await world.run(3)
        assert world.sim.truth().devices["battery"].faults == frozenset()
        assert await world.words("battery", 40000, 1) == [0x5375]

    play(main, BATTERY, METER)
