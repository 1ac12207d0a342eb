"""The grid goes and comes: who carries the house, what collapses, and that no energy is lost on the way."""

from datetime import UTC, datetime

import pytest

from hw_sim.happenings import EventSpec
from hw_sim.homefile import Home
from hw_sim.physics.house import House
from hw_sim.simulation import SimulatedHome
from hw_sim.truth import Supply, Truth
from support.sim_homes import BATTERY, EV, METER, NIGHT, NOON, PV, home
from support.sim_worlds import World, played

FORMING = BATTERY.replace("soc_pct = 50", "soc_pct = 50\nforms_grid = true")
LOSS = '[[event]]\nkind = "grid_loss"\nat_s = 10\nfor_s = 600\n'


def run(sim: SimulatedHome, seconds: int) -> Truth:
    for _ in range(seconds):
        sim.step(1.0)
    return sim.truth()


def balance_wh(truth: Truth) -> float:
    into = truth.import_wh + truth.pv_wh + truth.discharged_wh
    parts = truth.load_wh + truth.charged_wh + truth.ev_wh + truth.heat_pump_wh + truth.relay_wh
    return into - truth.export_wh - parts


def test_a_battery_that_can_carries_the_house() -> None:
    sim = SimulatedHome(home(FORMING, METER, LOSS), NIGHT)
    truth = run(sim, 12)
    assert (truth.supply, truth.grid_present) == (Supply.ISLAND, False)
    assert truth.grid_w == 0.0
    assert truth.battery_w == pytest.approx(-300.0)
    assert truth.battery["battery"].forming
    assert truth.voltages_v == (230.0, 230.0, 230.0)
    truth = run(sim, 600)
    assert truth.supply is Supply.GRID
    assert truth.devices["battery"].reboots == 0
    assert balance_wh(truth) == pytest.approx(0.0, abs=1e-6)


def test_without_one_the_house_is_dark_until_the_grid_is_back_and_devices_start_anew() -> None:
    sim = SimulatedHome(home(PV, BATTERY, EV, METER, LOSS), NOON)
    sim.fronts["battery"].contest(1000.0)
    truth = run(sim, 12)
    assert truth.supply is Supply.DARK
    assert (truth.grid_w, truth.load_w, truth.pv_w, truth.battery_w, truth.ev_w) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert truth.voltages_v == (0.0, 0.0, 0.0)
    assert not any(device.online for device in truth.devices.values())
    assert truth.devices["battery"].remote
    truth = run(sim, 615)
    assert truth.supply is Supply.GRID
    assert truth.unserved_wh == pytest.approx(300.0 * 600.0 / 3600.0, rel=0.01)
    assert {device.reboots for device in truth.devices.values()} == {1}
    assert not truth.devices["battery"].remote
    assert balance_wh(truth) == pytest.approx(0.0, abs=1e-6)


def test_in_the_dark_modbus_is_silent_and_the_charger_is_off_its_broker() -> None:
    async def main(world: World) -> None:
        await world.run(12)
        with pytest.raises(TimeoutError):
            await world.words("battery", 40000, 1)
        assert world.last("go-eCharger/000001/mcc") is False
        await world.run(610)
        assert await world.words("battery", 40000, 1) == [0x5375]
        assert world.last("go-eCharger/000001/mcc") is True
        assert world.last("go-eCharger/000001/rbc") == 2

    played(home(BATTERY, EV, METER, LOSS), main)


def test_a_surplus_raises_the_frequency_and_holds_the_roof_back() -> None:
    full = FORMING.replace("soc_pct = 50", "soc_pct = 100")
    sim = SimulatedHome(home(PV, full, METER, LOSS), NOON)
    truth = run(sim, 30)
    assert truth.supply is Supply.ISLAND
    assert truth.pv_w == pytest.approx(-300.0, abs=1.0)
    assert 50.5 < truth.frequency_hz <= 51.5
    assert truth.pv_curtailed_wh > 0.0
    assert balance_wh(truth) == pytest.approx(0.0, abs=1e-6)


def test_too_much_for_too_long_is_a_collapse_and_a_black_start_follows() -> None:
    sim = SimulatedHome(home(FORMING, METER, LOSS.replace("600", "6000")), NIGHT)
    run(sim, 20)
    sim.house.household.extra_w = 5000.0
    assert run(sim, 5).supply is Supply.ISLAND
    assert run(sim, 3).supply is Supply.DARK
    assert run(sim, 120).supply is Supply.DARK  # still too much to start with
    sim.house.household.extra_w = 0.0
    truth = run(sim, 5)
    assert truth.supply is Supply.ISLAND
    assert truth.devices["meter"].reboots == 1
    assert balance_wh(truth) == pytest.approx(0.0, abs=1e-6)


def test_cells_at_their_floor_end_the_island() -> None:
    low = FORMING.replace("soc_pct = 50", "soc_pct = 6")
    sim = SimulatedHome(home(low, METER, LOSS.replace("600", "9000")), NIGHT)
    truth = run(sim, 1800)
    assert truth.supply is Supply.DARK
    assert truth.battery["battery"].soc_pct == pytest.approx(5.0, abs=0.5)
    assert balance_wh(truth) == pytest.approx(0.0, abs=1e-6)


def test_the_meter_and_the_status_model_tell_of_it() -> None:
    async def main(world: World) -> None:
        status = await world.model("battery", 122)
        assert (await world.words("battery", status, 3))[1:] == [7, 1]
        await world.run(15)
        assert (await world.words("battery", status, 3))[1:] == [7, 0]
        meter = await world.model("meter", 203)
        assert await world.words("meter", meter + 6, 3) == [0, 0, 0]  # PhVphA to PhVphC
        assert await world.words("meter", meter + 14, 1) == [0]  # Hz

    played(home(FORMING, METER, LOSS), main)


@pytest.mark.parametrize("dt_s", [1.0, 30.0, 600.0])
def test_long_steps_are_made_of_short_ones_where_the_house_stands_alone(dt_s: float) -> None:
    spec = home(PV, FORMING, METER)
    house = House(spec, datetime(2026, 6, 15, 3, 0, tzinfo=UTC))
    house.grid.lost = 1
    for _ in range(round(14_400 / dt_s)):
        house.step(dt_s)
    truth = house.truth()
    assert truth.supply is Supply.ISLAND
    assert balance_wh(truth) == pytest.approx(0.0, abs=1e-6)
    assert truth.battery["battery"].soc_pct == pytest.approx(90.0, abs=10.0)


def test_a_flapping_grid_ends_where_it_began() -> None:
    flaps = EventSpec.model_validate({"kind": "grid_loss", "at_s": 5, "for_s": 7, "repeat_s": 20, "times": 9})
    spec: Home = home(FORMING, METER).model_copy(update={"event": (flaps,)})
    sim = SimulatedHome(spec, NIGHT)
    seen = [run(sim, 1).supply for _ in range(200)]
    assert seen.count(Supply.ISLAND) == 9 * 7
    assert seen[-1] is Supply.GRID
    assert sim.house.grid.lost == 0
