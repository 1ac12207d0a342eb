"""What holds while something can't be read, or not as often as the meter; and the owner's word on a battery."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.control import Memory, decide
from cem.control.memory import ChargerMemory
from cem.model.directive import Directive, Dispatch
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.reading import Value
from cem.model.request import RequestKind, UserRequest
from cem.model.setpoint import Decision, Setpoint
from cem.model.site import BatteryPolicy
from support.houses import BATTERY, CAR, GRID, NOON, SECOND_CAR, house, inputs, snapshot, world


def of(decision: Decision, resource_id: str) -> Setpoint:
    """The set point of a resource."""
    return next(s for s in decision.setpoints if s.resource_id == resource_id)


def limited(limit_w: float) -> Directive:
    """A mandatory import limit."""
    return Directive(envelopes=(Envelope(SITE, None, limit_w, Rank.OBLIGATION, "utility", "import limit"),))


@given(age_s=st.floats(0, 15), load_w=st.integers(600, 9000))
def test_a_battery_that_is_read_seldom_never_hides_what_the_meter_shows(age_s: float, load_w: int) -> None:
    site, memory = house(), Memory()
    decision, memory = decide(site, inputs(world(load_w=500, car_state="C", car_w=6900, mono_s=1000)), memory)
    for tick in range(1, 9):
        image = world(load_w=load_w, car_state="C", car_w=6900, ages_s={"battery": age_s + tick}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image, directive=limited(8000)), memory)
    car, battery = of(decision, "car").value or 0, of(decision, "battery").value or 0
    assert load_w + car * 690 + battery <= 8000 or (car == 0 and battery == -5000)


def test_a_battery_is_not_emptied_into_a_car_that_cannot_be_read() -> None:
    site, memory = house(), Memory()
    for tick in range(5):
        known = world(load_w=600, car_state="C", car_w=0, mono_s=1000 + tick)
        _, memory = decide(site, inputs(known), memory)
    for tick in range(5, 60):
        blind = world(load_w=600, car_state="C", car_w=11040, ages_s={"car": 40}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(blind), memory)
    assert -700 <= (of(decision, "battery").value or 0) <= 0


def test_a_silent_charging_point_without_a_car_does_not_keep_the_battery_from_the_house() -> None:
    site, memory = house(), Memory()
    for tick in range(5):
        _, memory = decide(site, inputs(world(load_w=600, mono_s=1000 + tick)), memory)
    for tick in range(5, 60):
        blind = world(load_w=600 + 20 * tick, ages_s={"car": 40}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(blind), memory)
    assert of(decision, "battery").value == pytest.approx(-1780, abs=20)


def test_a_car_that_came_to_a_silent_charging_point_stays_in_mind_when_it_draws_less() -> None:
    site, memory = house(), Memory()
    for tick in range(5):
        _, memory = decide(site, inputs(world(load_w=600, mono_s=1000 + tick)), memory)
    for tick in range(5, 60):
        car_w = 11040 if tick < 30 else 800
        blind = world(load_w=600, car_state="C", car_w=car_w, ages_s={"car": 40}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(blind), memory)
        assert -700 <= (of(decision, "battery").value or 0) <= 0


def test_what_the_house_takes_less_is_known_before_a_car_comes_to_a_silent_charging_point() -> None:
    site, memory = house(), Memory()
    courses = [(1600.0, 0.0, 0.0)] * 5 + [(600.0, 0.0, 40.0)] * 5 + [(600.0, 11040.0, 60.0)] * 20
    for tick, (load_w, car_w, silent_s) in enumerate(courses):
        image = world(load_w=load_w + car_w, car_state="A", ages_s={"car": silent_s}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image), memory)
    assert -700 <= (of(decision, "battery").value or 0) <= -500


def test_a_car_that_came_in_the_last_seconds_of_a_charging_points_word_is_in_mind_when_it_is_lost() -> None:
    site, memory = house(), Memory()
    courses = [(600.0, 0.0)] * 5 + [(600.0, 25.0)] * 3 + [(11640.0, 29.0)] * 2 + [(11640.0, 35.0)] * 10
    for tick, (load_w, silent_s) in enumerate(courses):
        image = world(load_w=load_w, car_state="A", ages_s={"car": silent_s}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image), memory)
    assert -700 <= (of(decision, "battery").value or 0) <= -500


def test_a_car_that_came_since_a_charging_points_last_word_is_in_mind_when_it_is_lost() -> None:
    site, memory = house(), Memory()
    for tick in range(60):
        load_w = 600.0 if tick < 10 else 11640.0
        image = world(load_w=load_w, car_state="A", ages_s={"car": max(0.0, tick - 7.0)}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image), memory)
    assert -700 <= (of(decision, "battery").value or 0) <= -500


@pytest.mark.parametrize("apart_s", [0, 5])
@pytest.mark.parametrize(("car_w", "gives_w"), [(0.0, 3000.0), (11040.0, 3000.0)])
def test_each_charging_point_vouches_for_the_house_when_it_tells_its_power(
    apart_s: int, car_w: float, gives_w: float
) -> None:
    """Two tell it each ten seconds, not at once; a car comes to one 6 s after its last word, or none does."""
    site, memory, battery_w = house(GRID, BATTERY, CAR, SECOND_CAR), Memory(), 0.0
    for tick in range(300):
        load_w = 300.0 if tick < 60 else 3000.0
        takes_w = car_w if tick >= 206 + apart_s else 0.0
        told_ago_s = (tick - apart_s) % 10 if tick < 209 + apart_s else tick - 200 - apart_s
        points: dict[str, dict[str, Value]] = {
            "grid": {"power_w": load_w + takes_w + battery_w},
            "battery": {"power_w": battery_w, "soc_pct": 80.0},
            "car": {"power_w": 0.0, "state": "A"},
            "second_car": {"power_w": 0.0, "state": "A"},
        }
        ages_s = {"car": float(tick % 10), "second_car": float(told_ago_s)}
        image = snapshot(points, mono_s=1000.0 + tick, ages_s=ages_s)
        decision, memory = decide(site, inputs(image), memory)
        battery_w = of(decision, "battery").value or 0.0
        assert tick != 60 + 140 or battery_w == pytest.approx(-3000.0, abs=50.0)
    assert battery_w == pytest.approx(-gives_w, abs=50.0)


@pytest.mark.parametrize(
    ("course", "last_w"),
    [
        ((2600.0, *(2600.0 + 1000.0 * left for left in range(11, -1, -1)), 2600.0), 2600.0),  # a car that ends slowly
        ((2600.0, 4100.0, 5600.0, 7100.0, 8500.0, 7000.0, 5500.0, 4000.0, 2600.0), 2600.0),  # loads, and no car at all
        ((600.0, 11640.0, 600.0), 600.0),  # a car that ends at once: 11 kW are more than the house ever had
        ((2600.0, 13640.0, 11640.0), 600.0),  # 2 kW end beside one that began: they may be the house's
        ((2600.0, 600.0, 11640.0, 11140.0), 100.0),  # the house takes less before one begins, and then less again
    ],
)
def test_beside_a_hidden_car_the_battery_covers_what_the_house_has_for_sure_and_all_of_it_when_that_is_over(
    course: tuple[float, ...], last_w: float
) -> None:
    site, memory, tick = house(), Memory(), 0
    for load_w in course:
        for _ in range(20):
            image = world(load_w=load_w, car_state="B", ages_s={"car": 0.0 if tick < 20 else 40.0}, mono_s=1000 + tick)
            decision, memory = decide(site, inputs(image), memory)
            tick += 1
    assert of(decision, "battery").value == pytest.approx(-last_w, abs=50.0)


def test_what_ends_while_a_charging_car_cannot_be_read_is_not_the_car() -> None:
    site, memory = house(), Memory()
    for tick in range(40):
        load_w, silent_s = (3600.0, 0.0) if tick < 5 else (3600.0 if tick < 15 else 600.0, 40.0)
        image = world(load_w=load_w, car_state="C", car_w=11040, ages_s={"car": silent_s}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image), memory)
        assert tick != 14 or -3700 <= (of(decision, "battery").value or 0) <= -3500
    assert -700 <= (of(decision, "battery").value or 0) <= -500


def test_before_every_charging_point_was_read_no_battery_discharges() -> None:
    site, memory = house(), Memory()
    for tick in range(6):
        image = world(load_w=600, car_state="C", car_w=11040, ages_s={"car": 40}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image), memory)
        assert of(decision, "battery").value == 0


def test_under_a_limit_the_battery_helps_although_a_car_cannot_be_read() -> None:
    site, memory = house(), Memory()
    for tick in range(10):
        image = world(load_w=600, car_state="C", car_w=6000, ages_s={"car": 40}, mono_s=1000 + tick)
        decision, memory = decide(site, inputs(image, directive=limited(3000)), memory)
    assert (of(decision, "battery").value or 0) <= -3500


def test_a_charging_point_that_cannot_be_read_keeps_its_times() -> None:
    memory = Memory(chargers={"car": ChargerMemory(0.0, switched_at_s=900.0)})
    _, memory = decide(house(), inputs(world(car_state="C", ages_s={"car": 40})), memory)
    assert memory.chargers["car"].switched_at_s == 900.0


@pytest.mark.parametrize(("load_w", "pv_w", "words"), [(9000, 0, "covers 5.0 kW"), (500, -8000, "stores 5.0 kW")])
def test_the_reason_names_no_power_that_the_battery_cannot_move(load_w: float, pv_w: float, words: str) -> None:
    decision, _ = decide(house(), inputs(world(load_w=load_w, pv_w=pv_w)), Memory())
    assert words in of(decision, "battery").reason


def asked(kind: RequestKind, **more: float) -> UserRequest:
    """An act of the owner on the battery for an hour."""
    request = UserRequest("1", "battery", kind, NOON + timedelta(hours=1), NOON)
    return replace(request, **more)  # type: ignore[arg-type]


def test_the_owners_reserve_stands_in_place_of_the_site_files() -> None:
    request = asked(RequestKind.RESERVE, target_soc_pct=60.0)
    decision, _ = decide(house(), inputs(world(load_w=1500, soc_pct=55), requests=(request,)), Memory())
    assert of(decision, "battery").value == 0
    assert "reserve of 60 %" in of(decision, "battery").reason


@pytest.mark.parametrize(("load_w", "power_w"), [(600, 2400), (2600, 400), (9000, 0)])
def test_a_battery_that_may_not_charge_from_the_grid_takes_the_surplus_alone_whoever_asks(
    load_w: float, power_w: float
) -> None:
    site = replace(house(), batteries=(BatteryPolicy("battery", grid_charge=False),))
    dispatch = Directive(dispatches=(Dispatch("battery", 3000.0, Rank.PROGRAMME, "utility", "take 3 kW", None),))
    for requests, directive in (((asked(RequestKind.CHARGE_NOW),), Directive()), ((), dispatch)):
        memory, battery_w = Memory(), 0.0
        for tick in range(20):
            image = world(load_w=load_w, pv_w=-3000, battery_w=battery_w, mono_s=1000 + tick)
            decision, memory = decide(site, inputs(image, requests=requests, directive=directive), memory)
            battery_w = of(decision, "battery").value or 0.0
        assert battery_w == pytest.approx(power_w, abs=20)


def test_a_released_battery_is_left_to_itself_unless_a_limit_needs_it() -> None:
    request = asked(RequestKind.RELEASE)
    site, memory = house(), Memory()
    free, _ = decide(site, inputs(world(load_w=1500), requests=(request,)), memory)
    assert of(free, "battery").value is None
    assert "own control as asked until 13:00" in of(free, "battery").reason
    for tick in range(8):
        image = world(load_w=3000, mono_s=1000 + tick)
        needed, memory = decide(site, inputs(image, directive=limited(1000), requests=(request,)), memory)
    assert (of(needed, "battery").value or 0) <= -2000


def test_a_load_that_goes_on_rising_is_believed_although_the_battery_moves() -> None:
    site, memory = house(), Memory()
    for tick in range(30):
        load_w = 600 + 150 * max(0, tick - 10)
        swings_w = 1500.0 if tick % 2 else -1500.0
        decision, memory = decide(site, inputs(world(load_w=load_w, battery_w=swings_w, mono_s=1000 + tick)), memory)
        assert decision.load_w is not None
        assert decision.load_w >= load_w - 2 * 150 - 1
