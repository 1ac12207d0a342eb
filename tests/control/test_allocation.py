"""One limit over several consumers: minimums, urgency, fairness, phases, circuits, cars that do not draw."""

from dataclasses import replace
from datetime import time, timedelta
from itertools import pairwise

import pytest

from cem.control import Memory, decide
from cem.control.memory import ChargerMemory, SwitchMemory
from cem.control.sharing import Claim, Pools, share
from cem.model.directive import Directive
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Snapshot, Value
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control, Ratings
from cem.model.site import ChargeGoal, Circuit, ElectricalConnection, LoadPolicy, LoadRun
from support.houses import (
    BATTERY,
    BOILER,
    CAR,
    GRID,
    NOON,
    SECOND_CAR,
    house,
    inputs,
    limited,
    of,
    plan,
    settled,
    snapshot,
    watts,
    world,
)
from support.lag_house import LagHouse

TWO_CARS = house(GRID, CAR, SECOND_CAR)


def two_cars(load_w: float = 500.0, *, mono_s: float = 1000.0, **grid: Value) -> Snapshot:
    """Both cars charge at full power."""
    car: dict[str, Value] = {"power_w": 11040.0, "state": "C"}
    values: dict[str, Value] = {"power_w": load_w + 22080.0, **grid}
    return snapshot({"grid": values, "car": dict(car), "second_car": dict(car)}, mono_s=mono_s)


@pytest.mark.parametrize(("limit_w", "amperes"), [(24000, {16}), (15000, {10}), (9000, {6}), (12100, {8})])
def test_equal_cars_share_a_limit_alike(limit_w: float, amperes: set[float]) -> None:
    decision, _ = settled(TWO_CARS, inputs(two_cars(), directive=limited(limit_w)))
    assert {watts(decision, "car"), watts(decision, "second_car")} == amperes


def test_when_not_both_minimums_fit_one_charges_and_the_turn_passes_on() -> None:
    world = LagHouse(TWO_CARS, directive=limited(6000.0))
    served: list[str] = []
    for _ in range(4):
        decision = world.run(600)[-1]
        on = [key for key in ("car", "second_car") if watts(decision, key) > 0]
        assert len(on) == 1
        served += on
    assert set(served) == {"car", "second_car"}


LONG_ON = Memory(chargers={key: ChargerMemory(16.0, closed=True) for key in ("car", "second_car")})
"""Both contactors have been closed for longer than their minimum time."""


def test_a_car_whose_goal_can_only_be_met_at_full_power_goes_first() -> None:
    late = ChargeGoal("second_car", time(14, 0), energy_wh=22000)  # two hours from noon local time at 11 kW
    site = replace(TWO_CARS, goals=(late,))
    decision, _ = settled(site, inputs(two_cars(), directive=limited(12000.0)), memory=LONG_ON)
    assert watts(decision, "second_car") == 16
    assert watts(decision, "car") == 0
    early = replace(TWO_CARS, goals=(replace(late, energy_wh=11000),))
    decision, _ = settled(early, inputs(two_cars(), directive=limited(12000.0)))
    assert watts(decision, "second_car") == watts(decision, "car") == 8


def test_the_owners_act_and_the_priority_decide_who_is_served_first() -> None:
    now = UserRequest("1", "second_car", RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON)
    decision, _ = settled(TWO_CARS, inputs(two_cars(), directive=limited(12000.0), requests=(now,)), memory=LONG_ON)
    assert watts(decision, "second_car") == 16
    favoured = house(GRID, CAR, replace(SECOND_CAR, priority=2))
    decision, _ = settled(favoured, inputs(two_cars(), directive=limited(12000.0)), memory=LONG_ON)
    assert (watts(decision, "second_car"), watts(decision, "car")) == (16, 0)


def test_the_worst_phase_bounds_the_cars() -> None:
    site = house(GRID, CAR, connection=ElectricalConnection(fuse_a=25))
    # phase 2 carries 18 A beside the car's 16 A
    image = snapshot(
        {
            "grid": {"power_w": 15640.0, "power_l1_w": 4140.0, "power_l2_w": 7820.0, "power_l3_w": 3680.0},
            "car": {"power_w": 11040.0, "state": "C"},
        }
    )
    decision, _ = settled(site, inputs(image))
    assert watts(decision, "car") == 6  # 25 - 18 - margin
    assert "phase L2" in of(decision, "car").reason
    binding = [term for term in of(decision, "car").bound_by if term.binding]
    assert binding[0].subject == "L2"
    assert binding[0].value == 25


def test_single_phase_cars_on_known_phases_do_not_crowd_each_other() -> None:
    one = replace(CAR, ratings=Ratings(max_current_a=16, phases=1, phase=1))
    two = replace(SECOND_CAR, ratings=Ratings(max_current_a=16, phases=1, phase=2))
    connection = ElectricalConnection(fuse_a=20)
    image = snapshot(
        {
            "grid": {"power_w": 7360.0, "power_l1_w": 3680.0, "power_l2_w": 3680.0, "power_l3_w": 0.0},
            "car": {"power_w": 3680.0, "state": "C"},
            "second_car": {"power_w": 3680.0, "state": "C"},
        }
    )
    apart, _ = settled(house(GRID, one, two, connection=connection), inputs(image))
    unknown = replace(two, ratings=replace(two.ratings, phase=None))
    together, _ = settled(house(GRID, one, unknown, connection=connection), inputs(image))
    assert watts(apart, "car") == watts(apart, "second_car") == 16
    assert watts(together, "car") + watts(together, "second_car") <= 20


def test_a_circuit_bounds_its_members_and_nobody_else() -> None:
    garage = Circuit("garage", 16.0, ("car", "second_car"))
    decision, _ = settled(replace(TWO_CARS, circuits=(garage,)), inputs(two_cars()))
    assert watts(decision, "car") == watts(decision, "second_car") == 8
    assert "circuit garage" in of(decision, "car").reason
    only_one = replace(garage, members=("car",), limit_w=5000.0)
    decision, _ = settled(replace(TWO_CARS, circuits=(only_one,)), inputs(two_cars()))
    assert watts(decision, "car") == 7
    assert watts(decision, "second_car") == 16


def test_a_circuit_bounds_a_battery_that_charges() -> None:
    cellar = Circuit("cellar", 25.0, ("battery",), limit_w=2000.0)
    site = replace(house(GRID, BATTERY), circuits=(cellar,))
    image = snapshot({"grid": {"power_w": -4000.0}, "battery": {"power_w": 0.0, "soc_pct": 50.0}})
    decision, _ = settled(site, inputs(image))
    assert 1975 <= watts(decision, "battery") <= 2000
    assert "circuit cellar" in of(decision, "battery").reason


@pytest.mark.parametrize(
    ("place", "charge_w"),
    [(2, (25.0 - 0.2 - 12.0) * 230.0), (1, 3000.0), (None, (25.0 - 0.2 - 12.0) * 230.0)],
)
def test_a_battery_on_one_phase_charges_with_what_the_fuse_leaves_there(place: int | None, charge_w: float) -> None:
    ratings = Ratings(max_charge_w=3000, max_discharge_w=3000, capacity_wh=10000, phases=1, phase=place)
    site = house(GRID, replace(BATTERY, ratings=ratings), connection=ElectricalConnection(fuse_a=25))
    drawn_a = {1: 1.0, 2: 12.0, 3: 0.0}
    grid: dict[str, Value] = {f"power_l{phase}_w": 230.0 * amps for phase, amps in drawn_a.items()}
    image = snapshot({"grid": {"power_w": 2990.0, **grid}, "battery": {"power_w": 0.0, "soc_pct": 50.0}})
    decision, _ = settled(site, inputs(image, plan=plan({"battery": Intent(IntentKind.CHARGE_TO)})))
    assert watts(decision, "battery") == pytest.approx(charge_w, abs=25.0)


@pytest.mark.parametrize(("looked_at", "told_a"), [(True, 16), (False, 0)])
def test_a_car_that_comes_while_its_charging_point_is_looked_at_is_not_paused_first(
    looked_at: bool, told_a: float
) -> None:
    site, memory = house(GRID, CAR), Memory()
    if looked_at:
        empty = snapshot({"grid": {"power_w": 500.0}, "car": {"power_w": 0.0, "state": "A"}}, mono_s=999.0)
        _, memory = decide(site, inputs(empty), memory)
    came = snapshot({"grid": {"power_w": 500.0}, "car": {"power_w": 0.0, "state": "B"}})
    decision, _ = decide(site, inputs(came), memory)
    assert watts(decision, "car") == told_a


@pytest.mark.parametrize(("made_ago_s", "amps"), [(600.0, 0.0), (30.0, 16.0)])
def test_an_act_ends_a_pause_that_it_found_and_none_that_it_did_not_though_the_clock_goes_back(
    made_ago_s: float, amps: float
) -> None:
    """The car was stopped 100 s ago, before the act or after it; the clock goes back by an hour."""
    act = UserRequest(
        "1", "car", RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON - timedelta(seconds=made_ago_s)
    )
    memory = Memory(chargers={"car": ChargerMemory(0.0, switched_at_s=900.0)}, decided_at_s=999.0)
    site, wall = house(GRID, CAR), NOON
    for mono_s in (1000.0, 1001.0, 1002.0):
        image = snapshot({"grid": {"power_w": 500.0}, "car": {"power_w": 0.0, "state": "B"}}, mono_s=mono_s)
        decision, memory = decide(site, inputs(image, requests=(act,), wall=wall), memory)
        assert watts(decision, "car") == amps
        wall = NOON - timedelta(hours=1)


def test_a_car_takes_over_from_another_when_that_has_made_room() -> None:
    goes, comes = ChargerMemory(16, switched_at_s=0.0, closed=True), ChargerMemory(0.0)
    memory = Memory(chargers={"car": goes, "second_car": comes})
    waits: dict[str, Value] = {"power_w": 0.0, "state": "B"}
    charges: dict[str, Value] = {"power_w": 4140.0, "state": "C"}
    both = snapshot({"grid": {"power_w": 4640.0}, "car": charges, "second_car": dict(waits)}, mono_s=1000.0)
    pause = UserRequest("1", "car", RequestKind.PAUSE, NOON + timedelta(hours=1), NOON - timedelta(minutes=1))
    given = inputs(both, directive=limited(5000.0), requests=(pause,))
    decision, memory = decide(TWO_CARS, given, memory)
    assert (watts(decision, "car"), watts(decision, "second_car")) == (0, 0)
    assert "made room" in of(decision, "second_car").reason
    made = snapshot({"grid": {"power_w": 500.0}, "car": dict(waits), "second_car": dict(waits)}, mono_s=1002.0)
    decision, _ = decide(TWO_CARS, inputs(made, directive=limited(5000.0), requests=(pause,)), memory)
    assert (watts(decision, "car"), watts(decision, "second_car")) == (0, 6)


def test_a_car_rises_when_another_has_heard_that_it_gets_less_than_it_was_told_before() -> None:
    """The one was told 14 A 5 s ago and still draws 8: the meter does not show yet what it is on its way to."""
    on_its_way = ChargerMemory(14, switched_at_s=0.0, offered_at_s=995.0, closed=True, drew=True)
    steady = ChargerMemory(8, switched_at_s=0.0, offered_at_s=900.0, closed=True, drew=True)
    draws: dict[str, Value] = {"power_w": 5520.0, "state": "C"}
    image = snapshot({"grid": {"power_w": 11_540.0}, "car": draws, "second_car": dict(draws)})
    memory = Memory(chargers={"car": on_its_way, "second_car": steady}, decided_at_s=999.0)
    decision, _ = decide(TWO_CARS, inputs(image, directive=limited(14_400.0)), memory)
    assert (watts(decision, "car"), watts(decision, "second_car")) == (10, 8)
    assert "made room" in of(decision, "second_car").reason


def test_a_car_that_does_not_draw_keeps_nothing_for_itself_after_a_minute() -> None:
    world = LagHouse(TWO_CARS, directive=limited(10000.0), unwilling=frozenset({"car"}))
    world.run(30)
    assert world.decision is not None
    assert watts(world.decision, "second_car") <= 7
    world.run(90)
    assert watts(world.decision, "second_car") == 13
    assert watts(world.decision, "car") == 0


def test_a_car_that_does_not_draw_is_asked_again_gently() -> None:
    world = LagHouse(TWO_CARS, directive=limited(10000.0), unwilling=frozenset({"car"}))
    offers = [watts(decision, "car") > 0 for decision in world.run(1500)]
    assert any(offers[300:])
    assert sum(offers) < 500


@pytest.mark.parametrize(("idle_s", "runs"), [(50.0, 0), (120.0, 1), (300.0, 1), (330.0, 1), (900.0, 1)])
def test_a_car_that_is_asked_again_takes_no_sun_from_a_load_until_it_draws(idle_s: float, runs: int) -> None:
    site = replace(house(GRID, CAR, BOILER), loads=(LoadPolicy("boiler", LoadRun.ON_SURPLUS),))
    boiler: dict[str, Value] = {"power_w": 2000.0, "state": "on"}
    image = snapshot(
        {"grid": {"power_w": -1000.0}, "car": {"power_w": 0.0, "state": "B"}, "boiler": boiler}, mono_s=5000.0
    )
    offered_s = 5000.0 - idle_s
    car = ChargerMemory(16.0, offered_at_s=offered_s, switched_at_s=offered_s, idle_since_s=offered_s)
    memory = Memory(chargers={"car": car}, switches={"boiler": SwitchMemory(1, switched_at_s=0.0)}, decided_at_s=4999.0)
    decision, _ = decide(site, inputs(image), memory)
    assert watts(decision, "boiler") == runs
    assert watts(decision, "car") == (8 if runs else 16)  # enough to wake it, when nobody waits for it any more


def test_a_car_on_the_sun_is_asked_again_only_by_what_the_sun_leaves() -> None:
    image = snapshot({"grid": {"power_w": 300.0}, "car": {"power_w": 0.0, "state": "B"}}, mono_s=5000.0)
    idle = ChargerMemory(0.0, switched_at_s=4000.0, idle_since_s=5000.0 - 330.0)
    memory = Memory(chargers={"car": idle}, decided_at_s=4999.0)
    sun = UserRequest("1", "car", RequestKind.SURPLUS_ONLY, NOON + timedelta(hours=1), NOON)
    decision, _ = decide(house(GRID, CAR), inputs(image, requests=(sun,)), memory)
    assert watts(decision, "car") == 0


def test_a_car_that_stops_below_eight_amperes_is_never_offered_less_again() -> None:
    memory = Memory(chargers={"car": ChargerMemory(6.0, offered_at_s=900.0, drew=True)}, decided_at_s=999.0)
    image = snapshot({"grid": {"power_w": 500.0}, "car": {"power_w": 0.0, "state": "B"}})
    decision, memory = decide(house(GRID, CAR), inputs(image, directive=limited(5500.0)), memory)
    assert memory.chargers["car"].least_a == 8
    assert watts(decision, "car") == 0  # seven amperes are left


@pytest.mark.parametrize(("low_ago_s", "least_a"), [(10.0, 8.0), (60.0, 0.0)])
def test_a_car_that_stops_is_known_by_what_it_was_offered_just_before_its_charger_told(
    low_ago_s: float, least_a: float
) -> None:
    car = ChargerMemory(8.0, offered_at_s=995.0, drew=True, low_at_s=1000.0 - low_ago_s)
    image = snapshot({"grid": {"power_w": 500.0}, "car": {"power_w": 0.0, "state": "B"}})
    _, memory = decide(house(GRID, CAR), inputs(image), Memory(chargers={"car": car}, decided_at_s=999.0))
    assert memory.chargers["car"].least_a == least_a


def test_what_a_car_leaves_unused_goes_to_the_other() -> None:
    small: dict[str, Value] = {"power_w": 6 * 690.0, "state": "C"}
    image = snapshot(
        {
            "grid": {"power_w": 500 + 4140 + 11040.0},
            "car": dict(small),
            "second_car": {"power_w": 11040.0, "state": "C"},
        }
    )
    offered = ChargerMemory(12.0, offered_at_s=900.0, switched_at_s=0.0, drew=True, closed=True)
    memory = Memory(chargers={"car": offered, "second_car": offered}, decided_at_s=999.0)
    decision, _ = decide(TWO_CARS, inputs(image, directive=limited(17000.0)), memory)
    assert watts(decision, "car") == 8  # what it draws, and a little for more
    assert watts(decision, "second_car") == 15


@pytest.mark.parametrize(("measured_s", "other_a"), [(0.0, 15.0), (5.0, 11.0)])
def test_an_offer_counts_as_unused_by_a_measurement_that_is_late_enough(measured_s: float, other_a: float) -> None:
    """Told 22 s ago; what was measured 17 s after the word may still rise."""
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": 500 + 4140 + 8280.0},
        "car": {"power_w": 6 * 690.0, "state": "C"},
        "second_car": {"power_w": 8280.0, "state": "C"},
    }
    offered = ChargerMemory(12.0, offered_at_s=978.0, switched_at_s=0.0, drew=True, closed=True)
    memory = Memory(chargers={"car": offered, "second_car": offered}, decided_at_s=999.0)
    image = snapshot(values, ages_s={"car": measured_s})
    decision, _ = decide(TWO_CARS, inputs(image, directive=limited(17000.0)), memory)
    assert watts(decision, "second_car") == other_a


def test_a_car_that_draws_on_one_phase_of_three_counts_with_one() -> None:
    image = snapshot(
        {
            "grid": {"power_w": 500 + 2530.0},
            "car": {"power_w": 2530.0, "current_a": 11.0, "phases": 3.0, "state": "C"},
        }
    )
    offered = ChargerMemory(11.0, closed=True, drew=True)
    decision, memory = decide(
        house(GRID, CAR), inputs(image, directive=limited(4100.0)), Memory(chargers={"car": offered})
    )
    assert watts(decision, "car") == 15  # of 3550 W, at 230 W an ampere
    assert memory.chargers["car"].draws_phases == 1
    image = snapshot({"grid": {"power_w": 500.0}, "car": {"power_w": 0.0, "current_a": 0.0, "state": "B"}})
    decision, _ = decide(house(GRID, CAR), inputs(image, directive=limited(2500.0)), memory)
    assert watts(decision, "car") == 8  # of the car it is still known


def test_a_car_begins_only_when_a_slow_battery_has_made_room() -> None:
    asked, memory = UserRequest("1", "car", RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON), Memory()
    for second, (battery_w, amps) in enumerate(((4000.0, 0.0), (4000.0, 0.0), (2500.0, 0.0), (0.0, 7.0))):
        image = world(load_w=0.0, battery_w=battery_w, car_state="B", car_limit_a=0.0, mono_s=1000.0 + second)
        decision, memory = decide(house(), inputs(image, directive=limited(5000.0), requests=(asked,)), memory)
        assert watts(decision, "car") == amps
        assert watts(decision, "battery") <= max(battery_w, 100.0)
    assert watts(decision, "battery") <= 120.0  # of 4950 W the car has 4830 W


def test_a_car_in_the_sun_switches_to_one_phase_only_while_paused_and_after_five_minutes() -> None:
    both = replace(CAR, controls=frozenset({Control.EV_LIMIT_A, Control.EV_PHASES}))
    site = house(GRID, both)
    sun = plan({"car": Intent(IntentKind.SURPLUS_ONLY)})
    memory, phases, seen = Memory(), 3, []
    for second in range(900):
        image = snapshot(
            {"grid": {"power_w": -2500.0}, "car": {"power_w": 0.0, "state": "B", "phases": float(phases)}},
            mono_s=1000.0 + second,
        )
        decision, memory = decide(site, inputs(image, plan=sun), memory)
        told = int(of(decision, "car", Control.EV_PHASES).value or 0)
        amperes = of(decision, "car", Control.EV_LIMIT_A).value
        if told != phases:
            seen.append(second)
            assert amperes == 0
        phases = told
        if (amperes or 0) > 0:
            assert phases == 1
            assert amperes == 10
            break
    assert len(seen) == 1
    assert seen[0] >= 120


@pytest.mark.parametrize("garage", [(), (Circuit("garage", 25.0, ("car",), limit_w=2450.0),)])
def test_under_a_limit_that_three_phases_do_not_fit_a_car_charges_on_one(garage: tuple[Circuit, ...]) -> None:
    both = replace(CAR, controls=frozenset({Control.EV_LIMIT_A, Control.EV_PHASES}))
    site = replace(house(GRID, both), circuits=garage)
    memory, phases, amperes = Memory(), 3, 0.0
    for second in range(900):
        image = snapshot(
            {
                "grid": {"power_w": 500.0 + amperes * phases * 230.0},
                "car": {
                    "power_w": amperes * phases * 230.0,
                    "state": "C" if amperes else "B",
                    "phases": float(phases),
                },
            },
            mono_s=1000.0 + second,
        )
        directive = Directive() if garage else limited(3000.0)
        decision, memory = decide(site, inputs(image, directive=directive), memory)
        told = int(of(decision, "car", Control.EV_PHASES).value or 0)
        assert told == phases or amperes == 0.0
        phases, amperes = told, watts(decision, "car")
    assert (phases, amperes) == (1, 10.0)


def test_a_limit_over_the_battery_and_the_cars_leaves_the_battery_what_they_do_not_take() -> None:
    charge = plan({"battery": Intent(IntentKind.CHARGE_TO, 90), "car": Intent(IntentKind.CHARGE_TO)})
    image = snapshot(
        {
            "grid": {"power_w": 500 + 11040.0},
            "battery": {"power_w": 0.0, "soc_pct": 50.0},
            "car": {"power_w": 11040.0, "state": "C"},
        }
    )
    decision, _ = settled(house(GRID, BATTERY, CAR), inputs(image, plan=charge, directive=limited(14000.0)))
    assert watts(decision, "car") == 16
    assert watts(decision, "battery") == 14000 - 50 - 11040 - 500


def test_no_grid_word_no_reason_for_a_limit_and_the_terms_still_name_the_fuse() -> None:
    decision, _ = settled(TWO_CARS, inputs(two_cars(), directive=Directive()))
    terms = of(decision, "car").bound_by
    assert "fuse" in {term.source for term in terms}


def test_sharing_serves_by_class_then_by_water_level() -> None:
    def claim(key: str, rank: float, least: float = 6.0, most: float = 16.0) -> Claim:
        return Claim(key, (rank,), (0.0,), least, most, {"site": 1.0})

    got = share([claim("a", 1), claim("b", 1), claim("c", 0, most=10)], Pools({"site": 30.0}))
    assert {key: s.level for key, s in got.items()} == {"a": 10, "b": 10, "c": 10}
    got = share([claim("a", 1), claim("b", 1), claim("c", 1)], Pools({"site": 15.0}))
    assert {key: s.level for key, s in got.items()} == {"a": 8, "b": 7, "c": 0}
    assert got["c"].bound_by == "site"


@pytest.mark.parametrize("draws_a", [1.0, 3.0, 6.3, 9.0, 12.9])
def test_what_a_car_leaves_unused_is_taken_back_once_and_not_offered_in_turn(draws_a: float) -> None:
    site, memory, offers = house(), Memory(), []
    for tick in range(300):
        wavers_a = draws_a + (0.2 if tick % 2 else -0.2)
        image = world(load_w=600, car_state="C", car_w=wavers_a * 690, soc_pct=100, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image), memory)
        offers.append(of(decision, "car").value or 0.0)
    changes = [(one, other) for one, other in pairwise(offers) if one != other]
    assert len(changes) <= 3
    assert draws_a + 1.0 <= offers[-1] <= max(8.0, draws_a + 4.0)


def test_a_car_that_draws_all_that_was_left_to_it_is_offered_more_again() -> None:
    site, memory = house(), Memory()
    for tick in range(90):
        draws_a = 6.3 if tick < 60 else 9.0 if tick < 65 else 16.0
        image = world(load_w=600, car_state="C", car_w=draws_a * 690, soc_pct=100, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image), memory)
        if tick == 59:
            assert of(decision, "car").value == 9.0
    assert of(decision, "car").value == 16.0
