"""Readings that cannot be true change nothing; a meter the wrong way round stops the battery."""

import math
import random
from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.model.reading import Snapshot, Value
from support.houses import BATTERY, CAR, GRID, PV, house, inputs, limited, of, settled, snapshot, watts, world
from support.lag_house import LagHouse

HOME = house(GRID, PV, BATTERY, CAR)


@pytest.mark.parametrize("spike", [214748364.7, -1e9, math.nan, math.inf, 73000.0])
def test_one_bad_sample_of_the_meter_never_changes_a_set_point(spike: float) -> None:
    good = inputs(world(load_w=1500))
    before, memory = settled(HOME, good)
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": spike},
        "pv": {"power_w": 0.0},
        "battery": {"power_w": 0.0, "soc_pct": 50.0},
        "car": {"power_w": 0.0, "state": "A"},
    }
    image = snapshot(values, mono_s=1001.0)
    # the last good reading is one second old
    after, memory = decide(HOME, inputs(image), memory)
    if math.isfinite(spike):
        assert [s.value for s in after.setpoints] == [s.value for s in before.setpoints]
        assert "dropped" in after.notes["grid"]
    else:
        assert watts(after, "battery") == 0.0
    assert [d.count for d in memory.dropped.values()] == [1]


def test_a_battery_does_not_follow_what_it_does_itself_while_the_meter_says_nothing_new() -> None:
    """4.6 kW ended in the moment in which the meter fell silent: what the battery stops to give is no surplus."""
    site, memory, battery_w = house(GRID, BATTERY), Memory(), -4600.0
    for tick in range(9):
        silent_s = max(0.0, tick - 2.0)
        battery: dict[str, Value] = {"power_w": battery_w, "soc_pct": 50.0}
        image = snapshot(
            {"grid": {"power_w": 4900.0 if tick < 2 else -4100.0}, "battery": battery},
            mono_s=1000.0 + tick,
            ages_s={"grid": silent_s},
        )
        decision, memory = decide(site, inputs(image), memory)
        battery_w = watts(decision, "battery")
    assert -1000.0 < battery_w < -450.0


@pytest.mark.parametrize(("car_age_s", "load_w"), [(0.0, 500.0), (3.0, -6400.0)])
def test_what_a_car_does_after_the_meters_last_word_is_no_load(car_age_s: float, load_w: float) -> None:
    """It has begun to draw 6.9 kW since; one that told its power less often may have drawn it before, too."""
    site, memory = house(GRID, CAR), Memory()
    for tick, car_w in enumerate((0.0, 0.0, 6900.0)):
        image = snapshot(
            {"grid": {"power_w": 500.0}, "car": {"power_w": car_w, "state": "C"}},
            mono_s=1000.0 + tick,
            ages_s={"grid": float(tick), "car": tick + car_age_s if tick < 2 else 0.0},
        )
        _, memory = decide(site, inputs(image), memory)
    assert memory.load_w is not None
    assert memory.loads_w[-1] == pytest.approx(load_w)


def test_a_battery_that_tells_more_than_its_rating_is_not_believed() -> None:
    _, memory = settled(HOME, inputs(world(load_w=1500, battery_w=-1500)))
    decision, _ = decide(HOME, inputs(world(load_w=1500, battery_w=-9000, mono_s=1001.0)), memory)
    assert "battery" in decision.notes


def test_a_value_stuck_while_its_energy_register_moves_is_taken_as_silent() -> None:
    memory, modes = Memory(), []
    for minute in range(8):
        image = snapshot(
            {
                "grid": {"power_w": 411.5, "import_wh": 1000.0 + 60 * minute, "export_wh": 0.0},
                "battery": {"power_w": 0.0, "soc_pct": 50.0},
            },
            mono_s=1000.0 + 60 * minute,
        )
        decision, memory = decide(house(GRID, BATTERY), inputs(image), memory)
        modes.append(decision.mode)
    assert modes[0] == "normal"
    assert modes[-1] == "safe"
    assert "stuck" in decision.notes["grid"]


def test_a_battery_that_comes_back_with_the_power_that_it_had_is_believed() -> None:
    """It was away for twelve minutes in which it gave 600 Wh, as its register tells, and takes 5 kW as before."""
    memory = Memory()
    for minute in range(60):
        back = minute >= 40
        now_s, taken_s = 1000.0 + 20.0 * minute + 720.0 * back, 20.0 * minute
        battery: dict[str, Value] = {"power_w": 5000.0, "soc_pct": 50.0, "charged_wh": taken_s * 5000.0 / 3600.0}
        battery["discharged_wh"] = 600.0 * back
        values: dict[str, dict[str, Value]] = {"grid": {"power_w": 5500.0}, "battery": battery}
        decision, memory = decide(house(GRID, BATTERY), inputs(snapshot(values, mono_s=now_s)), memory)
        assert [setpoint.resource_id for setpoint in decision.setpoints] == ["battery"]


def test_a_load_that_is_truly_constant_is_not_called_stuck() -> None:
    memory = Memory()
    for minute in range(60):
        image = snapshot(
            {
                "grid": {"power_w": 600.0, "import_wh": math.floor(10.0 * minute / 100) * 100.0, "export_wh": 0.0},
                "battery": {"power_w": 0.0, "soc_pct": 50.0},
            },
            mono_s=1000.0 + 60 * minute,
        )
        decision, memory = decide(house(GRID, BATTERY), inputs(image), memory)
        assert decision.mode == "normal"


@pytest.mark.parametrize("load_w", [700.0, 3000.0])
def test_a_reversed_meter_stops_the_battery_within_thirty_seconds(load_w: float) -> None:
    home = LagHouse(house(GRID, BATTERY), load_w=load_w, meter_sign=-1.0, battery_lag_s=1.0)
    home.run(30)
    assert home.decision is not None
    assert watts(home.decision, "battery") == 0
    assert "counts backwards" in of(home.decision, "battery").reason


def test_a_reversed_meter_stops_a_battery_that_runs_away_slowly_from_a_quiet_house() -> None:
    home = LagHouse(house(GRID, BATTERY), load_w=500.0, battery_lag_s=2.0)
    home.run(60)
    home.meter_sign = -1.0
    worst_w = 0.0
    for _ in range(600):
        home.load_w += 0.2  # a house is never still
        home.tick()
        worst_w = max(worst_w, abs(home.powers["battery"]))
    assert worst_w < 2500
    assert home.memory.signs.doubt


@pytest.mark.parametrize("lag_s", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("late_s", [0, 3, 6, 10])
def test_a_meter_the_right_way_round_is_never_doubted(lag_s: float, late_s: int) -> None:
    home = LagHouse(house(GRID, BATTERY), battery_lag_s=lag_s, meter_late_s=late_s)
    for load_w in (300, 2500, 400, 4000, 100, 3000, 900):
        home.load_w = load_w
        home.run(20)
        assert not home.memory.signs.doubt


def _restless(seed: int, seconds: int, meter_sign: float) -> LagHouse:
    """A house whose load steps every few seconds by more than its battery moves at a time."""
    draw = random.Random(seed)
    home = LagHouse(house(GRID, BATTERY), battery_lag_s=draw.choice((1, 2, 3)), meter_late_s=draw.choice((0, 0, 1, 2)))
    base_w, size_w, every_s = draw.choice((300, 1500)), draw.choice((500, 1500, 3000)), draw.choice((3, 5, 7))
    home.load_w = base_w
    home.run(20)
    home.meter_sign = meter_sign
    for _ in range(seconds):
        if draw.random() < 1 / every_s:
            home.load_w = base_w + draw.uniform(-size_w, size_w)
        home.tick()
        if home.memory.signs.doubt:
            break
    return home


@pytest.mark.parametrize("seed", range(12))
def test_a_restless_household_is_no_reversed_meter(seed: int) -> None:
    assert not _restless(seed, 200, 1.0).memory.signs.doubt


def test_a_reversed_meter_is_seen_in_a_restless_household_too_unless_a_step_hides_the_run_away() -> None:
    homes = [_restless(seed, 60, -1.0) for seed in range(12)]
    seen = [home for home in homes if home.memory.signs.doubt]
    assert len(seen) >= 10
    for home in seen:
        assert home.decision is not None
        assert watts(home.decision, "battery") == 0


def test_a_silent_car_keeps_its_minimum_off_time_through_a_blind_meter() -> None:
    site = house(GRID, CAR)
    _, memory = settled(site, inputs(snapshot({"grid": {"power_w": 4640.0}, "car": {"power_w": 4140.0, "state": "C"}})))
    stale = snapshot(
        {"grid": {"power_w": 4640.0}, "car": {"power_w": 4140.0, "state": "C"}}, mono_s=1100.0, ages_s={"grid": 20.0}
    )
    decision, memory = decide(site, inputs(stale), memory)
    decision, memory = decide(site, inputs(replace_time(stale, 1170.0)), memory)
    assert of(decision, "car").value == 0
    back = snapshot({"grid": {"power_w": 500.0}, "car": {"power_w": 0.0, "state": "B"}}, mono_s=1200.0)
    decision, _ = decide(site, inputs(back, directive=limited(20000.0)), memory)
    assert of(decision, "car").value == 0
    assert "minimum time" in of(decision, "car").reason


def replace_time(image: Snapshot, mono_s: float) -> Snapshot:
    """The same image later: the meter stays silent, the car is read anew."""
    readings = {
        key: {p: replace(r, taken_at_s=mono_s if key == "car" else r.taken_at_s) for p, r in points.items()}
        for key, points in image.readings.items()
    }
    return replace(image, mono_s=mono_s, readings=readings)
