"""One device in front of a roof and a battery; several plants of a kind; phases."""

from datetime import UTC, datetime, timedelta

import pytest

from hw_sim.home import HomeError, parse_home
from hw_sim.physics.battery import Band
from hw_sim.simulation import SimulatedHome
from support.sim_homes import METER, NIGHT, NOON, home
from support.sim_worlds import WINTER, World, played, ready

SUMMER = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)


def signed(word: int) -> int:
    return word - 0x10000 if word >= 0x8000 else word


def test_a_hybrid_shows_the_sum_and_tells_the_parts_apart() -> None:
    async def main(world: World) -> None:
        await world.run(30)
        truth = world.sim.truth()
        assert truth.pv_w < -4000.0
        ac = await world.model("hybrid", 103)
        given = signed((await world.words("hybrid", ac + 12, 1))[0])
        assert given == pytest.approx(-truth.pv_w - truth.battery_w, abs=1.0)
        mppt = await world.model("hybrid", 160)
        modules = [await world.words("hybrid", mppt + 8 + 20 * n, 20) for n in range(3)]
        names = [b"".join(w.to_bytes(2, "big") for w in words[1:9]).rstrip(b"\0") for words in modules]
        assert names == [b"String 1", b"StCha 1", b"StDisCha 1"]
        assert modules[0][11] == pytest.approx(-truth.pv_w, abs=1.0)
        assert modules[1][11] == pytest.approx(max(0.0, truth.battery_w), abs=1.0)

    played(ready("hybrid"), main, SUMMER)


def test_both_controls_of_a_hybrid_work_through_one_address() -> None:
    async def main(world: World) -> None:
        front = world.sim.fronts["hybrid"]
        await world.run(5)
        front.contest(2000.0)
        limit = await world.model("hybrid", 123)
        request = bytes((16,)) + (limit + 3).to_bytes(2, "big") + bytes((0, 1, 2)) + (3000).to_bytes(2, "big")
        assert (await world.sim.modbus("hybrid").exchange(1, request))[0] == 16
        enable = bytes((6,)) + (limit + 7).to_bytes(2, "big") + bytes((0, 1))
        assert (await world.sim.modbus("hybrid").exchange(1, enable))[0] == 6
        await world.run(30)
        truth = world.sim.truth()
        assert truth.pv_w == pytest.approx(-3000.0, abs=1.0)
        assert truth.battery_w == pytest.approx(2000.0, abs=1.0)
        holds = truth.devices["hybrid"].holds
        assert holds["roof"].lower_w == pytest.approx(-3000.0)
        assert (holds["store"].lower_w, holds["store"].upper_w) == pytest.approx((2000.0, 2000.0), abs=1.0)
        assert truth.devices["hybrid"].writes["123.WMaxLim_Ena"] == 1

    played(ready("hybrid"), main, SUMMER)


def test_a_shared_inverter_lets_out_no_more_than_its_rating() -> None:
    sim = SimulatedHome(ready("hybrid"), SUMMER)
    sim.house.batteries["store"].band = Band(-6000.0, -6000.0)
    for _ in range(120):
        sim.step(1.0)
        truth = sim.truth()
        assert -truth.pv_w - truth.battery_w <= 10_000.0 + 1e-6
    assert truth.battery_w < -1000.0


def test_batteries_that_follow_do_not_work_against_each_other() -> None:
    sim = SimulatedHome(ready("farm"), NIGHT)
    opposite = 0
    for second in range(1200):
        sim.house.household.extra_w = 6000.0 if second % 300 < 150 else -1400.0
        sim.step(1.0)
        powers = [one.power_w for one in sim.truth().battery.values()]
        opposite += min(powers) < -100.0 and max(powers) > 100.0
    assert opposite < 30  # only while they move


def test_a_battery_that_follows_feeds_one_that_is_told_to_charge() -> None:
    sim = SimulatedHome(ready("farm"), SUMMER + timedelta(hours=12))
    sim.house.batteries["old"].band = Band(3000.0, 3000.0)
    sim.house.charging_points["pickup"].unplug()
    for _ in range(60):
        sim.step(1.0)
    truth = sim.truth()
    assert truth.battery["old"].power_w == pytest.approx(3000.0, abs=1.0)
    assert truth.battery["new"].power_w < -3000.0  # as its own meter wants it
    assert truth.grid_w == pytest.approx(0.0, abs=5.0)


def test_phases_are_where_the_file_puts_them() -> None:
    async def main(world: World) -> None:
        await world.run(30)
        truth = world.sim.truth()
        parts = [
            truth.load_phases_w,
            truth.pv["pv"].phases_w,
            truth.battery["battery"].phases_w,
            truth.ev["ev"].phases_w,
        ]
        for phase in range(3):
            assert truth.grid_phases_w[phase] == pytest.approx(sum(part[phase] for part in parts))
        assert truth.ev["ev"].phases_w[0] == pytest.approx(3680.0)
        assert truth.ev["ev"].phases_w[1:] == (0.0, 0.0)
        assert truth.battery["battery"].phases_w[0] == truth.battery["battery"].phases_w[2] == 0.0
        assert truth.grid_currents_a[0] == pytest.approx(abs(truth.grid_phases_w[0]) / 230.0)
        meter = await world.model("meter", 203)
        words = await world.words("meter", meter + 16, 5)
        factor = 10.0 ** signed(words[4])
        shown = [signed(word) * factor for word in words[1:4]]
        assert shown == pytest.approx(truth.grid_phases_w, abs=factor)
        assert sum(shown) == pytest.approx(truth.grid_w, abs=2 * factor)

    played(ready("small-fuse"), main, WINTER)


def test_a_flat_on_one_phase_has_nothing_on_the_others() -> None:
    sim = SimulatedHome(ready("flat"), NOON)
    for _ in range(10):
        sim.step(1.0)
    truth = sim.truth()
    assert truth.grid_phases_w[1:] == (0.0, 0.0)
    assert truth.voltages_v == (230.0, 0.0, 0.0)
    assert truth.grid_phases_w[0] == pytest.approx(truth.grid_w)


TWO = """
[[battery]]
id = "one"
capacity_wh = 5000
max_charge_w = 2000
max_discharge_w = 2000
[[battery]]
id = "two"
capacity_wh = 5000
max_charge_w = 2000
max_discharge_w = 2000
"""


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (TWO.replace('"two"', '"one"'), "battery.1.id: "),
        (TWO + '[[device]]\nid = "b"\nkind = "sunspec.battery"', "device.0.of: "),
        (TWO + '[[device]]\nid = "b"\nkind = "sunspec.battery"\nof = ["three"]', "device.0.of: no plant 'three'"),
        (TWO + '[[device]]\nid = "b"\nkind = "sunspec.battery"\nof = ["one", "two"]', "device.0.of: "),
        (TWO + '[[device]]\nid = "b"\nkind = "sunspec.hybrid"\nof = ["one"]', "device.0.of: "),
        ("[grid]\nphases = 1\n" + TWO, "battery.0.phases: "),
        ("[load]\nphase_pct = [50, 50, 50]\n", "load.phase_pct: "),
        (
            TWO.replace("max_discharge_w = 2000\n", "max_discharge_w = 2000\nforms_grid = true\nmin_soc_pct = 0\n", 1),
            "battery.0.min_soc_pct",
        ),
        ("[[heat_pump]]\ncomfort_min_c = 60", "heat_pump.0.comfort_min_c: "),
        ("[[heat_pump]]\nmin_w = 5000", "heat_pump.0.min_w: "),
    ],
)
def test_a_fault_among_plants_is_named_with_its_path(text: str, path: str) -> None:
    with pytest.raises(HomeError) as caught:
        parse_home("home = 1\n" + text)
    assert any(fault.startswith(path) for fault in caught.value.faults), caught.value.faults


def test_each_device_of_two_has_its_own_plant() -> None:
    parts = TWO + "".join(f'[[device]]\nid = "b-{n}"\nkind = "sunspec.battery"\nof = ["{n}"]\n' for n in ("one", "two"))
    sim = SimulatedHome(home(METER, parts), NIGHT)
    sim.fronts["b-two"].contest(1500.0)
    for _ in range(20):
        sim.step(1.0)
    truth = sim.truth()
    assert truth.battery["two"].power_w == pytest.approx(1500.0)
    assert (truth.devices["b-one"].remote, truth.devices["b-two"].remote) == (False, True)
