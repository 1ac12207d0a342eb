"""A meter that shows late what the batteries have done: nobody tells how late, and the house must not swing."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.control import Memory, decide
from cem.model.reading import Value
from support.houses import BATTERY, CAR, GRID, PV, SECOND_BATTERY, house, inputs, snapshot
from support.lag_house import LagHouse

SITE = house(GRID, PV, BATTERY)


def restless(home: LagHouse, seed: int, seconds: int) -> list[float]:
    """The power at the connection point, second by second, while load and sun step now and then."""
    draw, found = random.Random(seed), []
    for _ in range(seconds):
        if draw.random() < 1 / 30:
            home.load_w = draw.uniform(200.0, 4000.0)
        if draw.random() < 1 / 60:
            home.pv_w = -draw.uniform(0.0, 4000.0)
        home.load_w += draw.uniform(-20.0, 20.0)
        home.tick()
        found.append(home.grid_w())
    return found


@pytest.mark.parametrize("lag_s", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("late_s", [0, 2, 4, 6, 10, 15, 20])
def test_however_late_a_meter_is_a_battery_covers_a_step_and_then_stands_still(lag_s: float, late_s: int) -> None:
    home = LagHouse(SITE, load_w=2000.0, battery_lag_s=lag_s, meter_late_s=late_s)
    home.run(60)
    home.load_w = 3000.0
    home.run(late_s + 10 + int(5 * lag_s))
    powers = []
    for _ in range(120):
        home.tick()
        powers.append(home.powers["battery"])
    assert abs(home.grid_w()) <= 50.0
    assert max(powers) - min(powers) <= 50.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 20), st.sampled_from([1.0, 2.0, 4.0]), st.integers(0, 10**6))
def test_how_late_a_meter_is_is_found_out(late_s: int, lag_s: float, seed: int) -> None:
    home = LagHouse(SITE, battery_lag_s=lag_s, meter_late_s=late_s)
    restless(home, seed, 400)
    believed = []
    for _ in range(200):
        restless(home, seed + 1, 1)
        believed.append(abs(home.memory.late.seconds - late_s))
    assert sorted(believed)[len(believed) // 2] <= 1.0


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([1.0, 2.0, 3.0, 5.0]), st.integers(0, 10**6))
def test_a_prompt_meter_is_never_taken_for_a_late_one(lag_s: float, seed: int) -> None:
    home = LagHouse(SITE, battery_lag_s=lag_s)
    for part in range(20):
        restless(home, seed + part, 20)
        assert home.memory.late.seconds == 0.0


@pytest.mark.parametrize("lag_s", [1.0, 1.4, 2.0])
def test_a_meter_is_not_late_because_batteries_are_read_more_seldom_while_the_sun_sinks(lag_s: float) -> None:
    home = LagHouse(SITE, load_w=600.0, pv_w=-4000.0, battery_lag_s=lag_s, battery_every_s=2)
    home.run(60)
    powers = []
    for _ in range(200):
        home.pv_w += 10.0
        home.tick()
        powers.append(home.grid_w())
    assert home.memory.late.seconds == 0.0
    assert max(powers) <= 30.0


@pytest.mark.parametrize(("late_s", "every_s"), [(4, 1), (8, 1), (0, 5), (0, 10), (5, 5)])
def test_a_late_or_seldom_meter_costs_little_beside_a_prompt_one(late_s: int, every_s: int) -> None:
    """A step of up to 4 kW every half a minute is seen so much later; it is not answered over and over again."""
    shown = []
    for late, every in ((0, 1), (late_s, every_s)):
        home = LagHouse(SITE, battery_lag_s=2.0, meter_late_s=late, meter_every_s=every)
        watts = [abs(power) for seed in range(4) for power in restless(home, seed, 300)]
        shown.append(sum(watts) / len(watts))
    prompt_w, other_w = shown
    seen_late_s = late_s + every_s / 2
    assert other_w <= prompt_w + 70.0 * seen_late_s


def test_a_meter_that_stands_still_is_not_taken_for_a_late_one() -> None:
    home = LagHouse(SITE, load_w=1000.0)
    home.run(60)
    home.meter_every_s = 10**6
    for load_w in (3000.0, 500.0, 2500.0):
        home.load_w = load_w
        home.run(30)
        assert home.memory.late.seconds == 0.0


@pytest.mark.parametrize("late_s", [0, 4, 8])
def test_a_reversed_meter_is_recognised_however_late_it_is(late_s: int) -> None:
    home = LagHouse(SITE, load_w=1500.0, battery_lag_s=2.0, meter_sign=-1.0, meter_late_s=late_s)
    home.run(90)
    assert home.memory.signs.doubt
    assert home.memory.late.seconds == 0.0


def test_what_is_known_of_the_meter_outlives_a_battery_that_falls_silent_and_comes_back() -> None:
    home = LagHouse(house(GRID, PV, BATTERY, SECOND_BATTERY), battery_lag_s=2.0, meter_late_s=6)
    restless(home, 1, 300)
    assert home.memory.late.seconds == 6.0
    powers = dict(home.powers)
    home.site = house(GRID, PV, BATTERY)
    home.run(3)
    home.site = house(GRID, PV, BATTERY, SECOND_BATTERY)
    home.powers |= powers
    home.run(3)
    assert home.memory.late.seconds == 6.0


def test_a_decision_says_how_old_the_meters_word_is() -> None:
    home = LagHouse(SITE, battery_lag_s=2.0, meter_late_s=6)
    restless(home, 3, 200)
    assert home.decision is not None
    assert home.decision.meter_late_s == 6.0


def test_a_car_that_can_be_read_again_has_not_moved() -> None:
    """Its 11 kW were load until then; nothing of them tells how late the meter is."""
    site, memory = house(GRID, BATTERY, CAR), Memory()
    for tick in range(12):
        battery_w, read = -300.0 * (tick % 2), tick >= 6
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": 11540.0 + battery_w},
            "battery": {"power_w": battery_w, "soc_pct": 50.0},
            "car": {"power_w": 11040.0 if read else 0.0, "state": "C" if read else "A"},
        }
        image = snapshot(values, mono_s=1000.0 + tick, ages_s={"car": 0.0 if read else 31.0 + tick})
        _, memory = decide(site, inputs(image), memory)
        assert max(memory.late.shown_w) < 2000.0
        assert memory.late.seconds == 0.0
