"""Every control of every profile moves the physics of hw-sim's device, times out as it says, and is released."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cem.driver import Control, Device, DeviceConfig
from cem.model.resource import Role
from cem_drivers.profiled.catalogue import shipped_profiles
from cem_drivers.profiled.device import ProfiledDevice
from hw_sim.files import load_state, save_state
from hw_sim.physics.battery import FREE, Band
from hw_sim.profiled.steering import Fallback, fallback_of
from support.profiled_homes import SimulatedBench, profiled_home
from support.sim_homes import write

PROFILES = shipped_profiles()
CONTROLS = [(name, index) for name, profile in PROFILES.items() for index in range(len(profile.control))]
TIMED = [(name, index) for name, index in CONTROLS if PROFILES[name].control[index].device_timeout is not None]
LINGERS = {"vestel.evc04": 6.0, "abb.terra-ac": 0.0}
"""Chargers whose watchdog nobody ends: with no heartbeat, or nobody who asks, they fall back though released, to A."""
STILL = Band(0.0, 0.0)
CHARGE = Control.BATTERY_SETPOINT_W
INCLUDING = [(name, index) for name, index in CONTROLS if PROFILES[name].control[index].includes]
Act = Callable[[SimulatedBench, Device], Awaitable[None]]


def bench_of(name: str, index: int, device: str = "") -> SimulatedBench:
    """A profile, lifted from draft where it is one."""
    lifted = PROFILES[name].model_copy(update={"status": "documented"})
    bench = SimulatedBench(lifted, index, device=device)
    if lifted.control[index].includes:
        bench.home.house.batteries["battery"].soc_wh = 10_000.0  # full: it takes nothing, whatever it is told
        bench.home.step(1.0)
    return bench


def play(bench: SimulatedBench, act: Act) -> None:
    """Opens the device, acts, closes it."""

    async def main() -> None:
        device = bench.device(bench.config(bench.serial))
        await device.open()
        await act(bench, device)
        await device.close()

    asyncio.run(main())


async def told(bench: SimulatedBench, device: Device, value: float) -> None:
    """Writes a value."""
    assert bench.control is not None
    await device.write(bench.role.value, bench.control, value)


async def watched(bench: SimulatedBench, device: Device, seconds: int) -> None:
    """Time passes with a gateway that reads, and beats where it has to."""
    for _ in range(seconds):
        await bench.pass_s(1)
        await device.poll()


async def released(bench: SimulatedBench, device: Device) -> None:
    assert bench.control is not None
    await device.release(bench.role.value, bench.control)


def follows(bench: SimulatedBench, value: float) -> str:
    """What of the physics does not follow a value; "" where all of it does."""
    house = bench.home.house
    match bench.role.value:
        case "battery":
            battery = house.batteries["battery"]
            least, most = -battery.max_discharge_w(), battery.max_charge_w()
            wanted = min(max(value, least), most)
            return "" if abs(battery.power_w - wanted) <= 60.0 else f"battery {battery.power_w}, told {value}"
        case "pv":
            roof = house.roofs["pv"]
            wanted = min(value, roof.available_w)
            return "" if wanted - 90.0 <= -roof.power_w <= value + 1.0 else f"roof {roof.power_w}, told {value}"
        case "ev":
            point = house.charging_points["ev"]
            return "" if abs(point.current_a - value) <= 0.11 else f"car {point.current_a}, told {value}"
    pump = house.heat_pumps["heat_pump"]
    return "" if pump.sg_state == value else f"state {pump.sg_state}, told {value}"


def by_itself(bench: SimulatedBench) -> bool:
    """Whether the plant is under its own control."""
    house = bench.home.house
    match bench.role.value:
        case "battery":
            return house.batteries["battery"].band is FREE
        case "pv":
            return house.roofs["pv"].limit_w is None
        case "ev":
            return house.charging_points["ev"].offered_a == 16.0
    return house.heat_pumps["heat_pump"].sg_state == 2


@pytest.mark.parametrize(("name", "index"), CONTROLS)
def test_every_value_moves_the_physics_and_the_release_gives_it_back(name: str, index: int) -> None:
    async def act(bench: SimulatedBench, device: Device) -> None:
        assert by_itself(bench)
        for value in bench.values:
            await told(bench, device, value)
            await watched(bench, device, 12)
            assert follows(bench, value) == ""
            assert bench.home.truth().devices["dev"].remote or by_itself(bench)
        await released(bench, device)
        timeout = PROFILES[name].control[index].device_timeout
        same_as_a_set_point = name == "kostal.plenticore" and index == 0  # 0 W: its time-out hands back
        await bench.pass_s(1 if timeout is None or not same_as_a_set_point else timeout.s + 2)
        assert by_itself(bench)
        await bench.pass_s(2 * (timeout.s if timeout is not None else 30))
        if name in LINGERS:
            assert follows(bench, LINGERS[name]) == ""
        else:
            assert by_itself(bench), "released, and later something else"

    play(bench_of(name, index), act)


@pytest.mark.parametrize(("name", "index"), INCLUDING)
@pytest.mark.parametrize(("battery_w", "gives_w"), [(1500.0, 1500.0), (-1000.0, 4000.0), (0.0, 3000.0)])
def test_a_limit_of_what_the_inverter_gives_leaves_the_roof_what_its_battery_takes(
    name: str, index: int, battery_w: float, gives_w: float
) -> None:
    async def act(bench: SimulatedBench, device: Device) -> None:
        house = bench.home.house
        house.batteries["battery"].soc_wh = 5000.0
        house.batteries["battery"].band = Band(battery_w, battery_w)
        await watched(bench, device, 40)
        await told(bench, device, 3000.0)
        house.batteries["battery"].band = Band(battery_w, battery_w)  # a write to its inverter has lifted it
        await watched(bench, device, 12)
        assert follows(bench, 3000.0) == ""
        house.batteries["battery"].band = STILL  # the same power comes out of the inverter, whatever the battery does
        await watched(bench, device, 12)
        assert follows(bench, gives_w) == ""

    play(bench_of(name, index), act)


def inverter_with_battery() -> tuple[SimulatedBench, DeviceConfig]:
    """One whose limit counts its battery too."""
    bench = bench_of("kostal.plenticore", 1)
    config = bench.config(bench.serial)
    battery = replace(config.resources[0], id="battery", role=Role.BATTERY, controls=frozenset({CHARGE}))
    return bench, replace(config, resources=(*config.resources, battery))


async def limited(bench: SimulatedBench, device: Device) -> None:
    """Its battery takes 3 kW of the 4 that the roof may give."""
    await device.open()
    bench.home.house.batteries["battery"].soc_wh = 5000.0
    await watched(bench, device, 40)
    assert [spec.control for spec in device.controls()] == [CHARGE, Control.PV_LIMIT_W]
    await device.write("battery", CHARGE, 3000.0)
    await watched(bench, device, 12)
    await device.write("pv", Control.PV_LIMIT_W, 4000.0)


@pytest.mark.parametrize("busy", [False, True])
def test_a_roof_under_such_a_limit_stays_as_its_battery_is_told_to_take_less_or_more(*, busy: bool) -> None:
    """3 kW of its 4 kW go into the battery, then 1 kW, 3 kW again; then it is empty and gives nothing of 2 kW which it
    is told to give: what the roof may give is the same, also where the inverter takes nothing for a moment."""
    bench, config = inverter_with_battery()
    roofs: list[float] = []

    async def main() -> None:
        device = bench.device(config)
        await limited(bench, device)
        for watts in (3000.0, 1000.0, 3000.0, -2000.0, -2000.0):
            await device.write("battery", CHARGE, watts)
            if busy and watts == 1000.0:
                bench.befall("refuse_writes", True)
                await watched(bench, device, 8)
                bench.befall("refuse_writes", False)
            if len(roofs) == 4:
                bench.home.house.batteries["battery"].soc_wh = 0.0
            await watched(bench, device, 25)
            roofs.append(-bench.home.house.roofs["pv"].power_w)
        await device.close()

    asyncio.run(main())
    assert all(abs(watts - 4000.0) <= 90.0 for watts in roofs), roofs


def test_a_roof_under_such_a_limit_stays_from_the_word_to_its_battery_on_not_from_the_next_look() -> None:
    """It takes 3 kW of 4, then 1 kW, for which it needs some seconds; the gateway looks each ten."""
    bench, config = inverter_with_battery()
    roofs: list[float] = []

    async def main() -> None:
        device = bench.device(config)
        await limited(bench, device)
        await watched(bench, device, 12)
        await device.write("battery", CHARGE, 1000.0)
        for _ in range(9):
            bench.home.step(1.0)
            roofs.append(-bench.home.house.roofs["pv"].power_w)
        await device.close()

    asyncio.run(main())
    assert min(roofs) >= 3910.0, roofs
    assert roofs[-1] <= 4090.0, roofs


def test_nothing_is_written_by_itself_while_the_owner_only_watches() -> None:
    """A limit that counts a battery would be told anew as that moves, a heartbeat sent: neither is."""
    bench, config = inverter_with_battery()
    watches, sent = [False], []

    async def main() -> None:
        context = replace(bench.context, watch_only=lambda: watches[0])
        device = ProfiledDevice(config, bench.profile, context)
        await limited(bench, device)
        await device.write("battery", CHARGE, 1000.0)
        for watches[0] in (True, False):
            before = len(bench.sent)
            await watched(bench, device, 12)
            sent.append(len(bench.sent) - before)
        await device.close()

    asyncio.run(main())
    assert sent[0] == 0
    assert sent[1] > 0


@pytest.mark.parametrize(("name", "index"), TIMED)
def test_its_time_out_counts_from_the_last_feed_and_falls_back_as_it_says(name: str, index: int) -> None:
    timeout = PROFILES[name].control[index].device_timeout
    assert timeout is not None

    async def act(bench: SimulatedBench, device: Device) -> None:
        await told(bench, device, bench.values[0])
        await bench.pass_s(timeout.s - 2)
        assert follows(bench, bench.values[0]) == ""
        await bench.pass_s(30)
        assert not bench.home.truth().devices["dev"].remote
        expected = fallback_of(timeout.falls_back_to)
        if isinstance(expected, float):
            assert follows(bench, expected) == ""
        elif expected is Fallback.PAUSE:
            assert follows(bench, 0.0) == ""
        else:
            assert by_itself(bench)
        await told(bench, device, bench.values[0])
        await watched(bench, device, 12)
        assert follows(bench, bench.values[0]) == ""

    play(bench_of(name, index), act)


@pytest.mark.parametrize(("name", "index"), TIMED)
def test_a_time_out_that_is_fed_never_runs_out(name: str, index: int) -> None:
    row = PROFILES[name].control[index]
    assert row.device_timeout is not None
    period_s = 5 if row.device_timeout.s < 600 else 60

    async def act(bench: SimulatedBench, device: Device) -> None:
        await told(bench, device, bench.values[0])
        since_s = 0.0
        for _ in range(round(1.3 * row.device_timeout.s / period_s)):  # type: ignore[union-attr]
            await bench.pass_s(period_s)
            since_s += period_s
            await device.poll()
            if row.refresh_s is not None and since_s >= row.refresh_s:
                since_s = 0.0
                await told(bench, device, bench.values[0])
            assert bench.home.truth().devices["dev"].remote

    play(bench_of(name, index), act)


@pytest.mark.parametrize(("name", "index"), TIMED)
def test_after_a_release_the_next_set_point_is_watched_again(name: str, index: int) -> None:
    timeout = PROFILES[name].control[index].device_timeout
    assert timeout is not None

    async def act(bench: SimulatedBench, device: Device) -> None:
        await told(bench, device, bench.values[0])
        await released(bench, device)
        await told(bench, device, bench.values[0])
        assert bench.home.truth().devices["dev"].remote
        await bench.pass_s(timeout.s + 2)
        assert not bench.home.truth().devices["dev"].remote, "its time-out does not count any more"

    play(bench_of(name, index), act)


def test_a_time_out_that_is_not_armed_does_not_count() -> None:
    async def main() -> None:
        home = profiled_home("keba.p30")
        unit = home.modbus("dev")
        for at, word in ((5004, 10000), (5014, 1)):
            answer = await unit.exchange(255, bytes((6,)) + at.to_bytes(2, "big") + word.to_bytes(2, "big"))
            assert answer[0] == 6
        for _ in range(200):
            home.step(1.0)
        assert home.house.charging_points["ev"].current_a == pytest.approx(10.0)
        assert home.truth().devices["dev"].holds["ev"].until_s is None

    asyncio.run(main())


def test_a_home_file_may_say_what_an_unclear_device_falls_back_to() -> None:
    async def act(bench: SimulatedBench, device: Device) -> None:
        await told(bench, device, 10.0)
        await bench.pass_s(80)
        assert bench.home.house.charging_points["ev"].offered_a == 8.0

    play(bench_of("alfen.eve", 0, device='falls_back = "8"'), act)


def test_one_phase_is_taken_in_a_pause_alone() -> None:
    async def main() -> None:
        home = profiled_home("alfen.eve")
        point = home.house.charging_points["ev"]
        for _ in range(20):
            home.step(1.0)
        assert (point.contactor, point.phases) == (True, 3)
        unit = home.modbus("dev")
        assert await write(unit, 1215, 1) == bytes.fromhex("1004bf0001")
        home.step(1.0)
        assert (point.offered_a, point.phases) == (0.0, 3)
        for _ in range(30):
            home.step(1.0)
        assert (point.contactor, point.phases, point.current_a) == (True, 1, 16.0)

    asyncio.run(main())


def test_writes_to_flash_are_counted_and_flash_survives_a_restart() -> None:
    async def act(bench: SimulatedBench, device: Device) -> None:
        await told(bench, device, 10.0)
        await told(bench, device, 8.0)
        truth = bench.home.truth().devices["dev"]
        assert sum(truth.flash_writes.values()) == len(bench.sent) >= 2
        assert truth.flash_writes == truth.writes

    play(bench_of("vestel.evc04", 0), act)


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("0304ba0001", 0),  # 1210: there
        ("0304ba007e", 3),  # more than it gives at once
        ("0303ff0001", 2),  # a hole
        ("0404ba0001", 1),  # a function that it does not know
        ("0604ba4120", 1),
        ("1001580002040000 0000", 2),  # the measured power
        ("1004ba000204 41200000", 0),
    ],
)
def test_functions_and_holes_are_refused_as_a_device_does(pdu: str, code: int) -> None:
    home = profiled_home("alfen.eve")
    answer = asyncio.run(home.modbus("dev").exchange(1, bytes.fromhex(pdu)))
    assert (answer[1] if answer[0] & 0x80 else 0) == code


def test_who_it_is_is_told_at_the_unit_that_the_profile_names() -> None:
    async def main() -> None:
        unit = profiled_home("alfen.eve").modbus("dev")
        assert (await unit.exchange(200, bytes.fromhex("0300750005")))[2:7] == b"Alfen"
        assert await unit.exchange(1, bytes.fromhex("0300750005")) == bytes((0x83, 2))
        assert await unit.exchange(7, bytes.fromhex("0300750005")) == bytes((0x83, 11))

    asyncio.run(main())


@pytest.mark.parametrize(("name", "survives"), [("solaredge.storedge", True), ("kostal.plenticore", False)])
def test_what_lies_in_flash_is_there_and_obeyed_after_hw_sim_itself_was_restarted(
    tmp_path: Path, name: str, survives: bool
) -> None:
    file = tmp_path / "state.json"

    async def act(bench: SimulatedBench, device: Device) -> None:
        await told(bench, device, 1500.0)
        save_state(file, bench.home.save())

    bench = bench_of(name, 0)
    play(bench, act)
    saved = load_state(file)
    assert saved is not None
    again = bench_of(name, 0)
    again.home.restore(saved)
    again.home.step(1.0)
    held = again.home.house.batteries["battery"].band
    assert held == (Band(1500.0, 1500.0) if survives else FREE)
