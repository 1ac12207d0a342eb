"""A car follows what a kWh in it is worth by the plan, against the price of now; never a planned power."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.control import Memory, decide
from cem.model.directive import Directive, PriceWindow
from cem.model.plan import Intent, IntentKind, Plan
from cem.model.setpoint import Decision
from cem.model.site import ChargeGoal, Site
from support.houses import BATTERY, CAR, GRID, NOON, PV, house, inputs, of, plan, settled, watts, world
from support.lag_house import LagHouse

HOME = house(GRID, PV, BATTERY, CAR)  # buys at 0.34, sells at 0.08
PLANNED = 0.34
WAITS, CHARGES, SUN = IntentKind.HOLD, IntentKind.CHARGE_TO, IntentKind.SURPLUS_ONLY


def prices(import_price: float | None = None, export_price: float | None = None) -> Directive:
    """Prices of an event for an hour."""
    return Directive(prices=(PriceWindow(NOON, NOON + timedelta(hours=1), import_price, export_price, "market"),))


def car_plan(kind: IntentKind, value: float | None, battery_value: float | None = 0.01) -> Plan:
    """The car's regime, and a battery that rather leaves the surplus to others."""
    battery = Intent(IntentKind.SELF_CONSUME, value_per_kwh=battery_value)
    return plan({"car": Intent(kind, value_per_kwh=value), "battery": battery}, price=PLANNED)


def decided(
    kind: IntentKind,
    value: float | None,
    event: Directive | None = None,
    *,
    pv_w: float = 0.0,
    site: Site = HOME,
    battery_value: float | None = 0.01,
) -> Decision:
    """What is decided for a car that is plugged and idle."""
    given_inputs = inputs(
        world(pv_w=pv_w, car_state="B"), plan=car_plan(kind, value, battery_value), directive=event or Directive()
    )
    return settled(site, given_inputs)[0]


@pytest.mark.parametrize(
    ("kind", "value", "event", "amperes", "words"),
    [
        (CHARGES, 0.40, None, 16, "as planned at 0.34"),
        (CHARGES, 0.30, None, 16, "as planned"),  # what the plan knew it has weighed
        (CHARGES, 0.40, prices(0.50), 0, "0.50 a kWh now is more than it costs later"),
        (CHARGES, 0.60, prices(0.50), 16, "as planned"),  # dearer, and still worth it
        (CHARGES, None, prices(0.90), 16, "as planned"),  # a plan by rules knows no worth
        (WAITS, 0.25, None, 0, "waits for a cheaper hour"),
        (WAITS, 0.40, None, 0, "waits for a cheaper hour"),
        (WAITS, 0.25, prices(0.05), 16, "0.05 a kWh is less than it costs later"),
        (WAITS, 0.25, prices(-0.05), 16, "less than it costs later"),
        (WAITS, 0.25, prices(0.30), 0, "waits for a cheaper hour"),  # cheaper, but not cheap enough
        (WAITS, 0.25, prices(0.249), 0, "waits for a cheaper hour"),  # no flicker on rounding
        (WAITS, None, prices(0.05), 0, "waits for a cheaper hour"),
        (SUN, 0.25, prices(0.05), 16, "less than it costs later"),
        (SUN, 0.25, None, 0, "waits for more sun"),
    ],
)
def test_a_price_that_nobody_planned_is_weighed_against_what_a_kwh_is_worth(
    kind: IntentKind, value: float | None, event: Directive | None, amperes: float, words: str
) -> None:
    setpoint = of(decided(kind, value, event), "car")
    assert (setpoint.value, words in setpoint.reason) == (amperes, True), setpoint.reason


@pytest.mark.parametrize(
    ("kind", "value", "event", "battery_value", "amperes"),
    [
        (SUN, 0.25, None, 0.01, 10),  # 7500 W over the house's own
        (SUN, 0.05, None, 0.01, 0),  # selling at 0.08 brings more
        (SUN, 0.25, prices(export_price=0.40), 0.01, 0),
        (WAITS, 0.25, None, 0.01, 10),
        (WAITS, 0.05, None, 0.01, 0),
        (WAITS, 0.25, None, 0.60, 0),  # worth far more in the battery, which leaves too little
        (WAITS, 0.25, None, 0.30, 6),  # a little more: 2500 W that it leaves at 0.08, 1640 W of its own at 0.29
        (WAITS, 0.25, None, None, 0),
        (CHARGES, 0.25, prices(0.50), 0.01, 10),  # too dear from the grid
    ],
)
def test_a_surplus_goes_into_the_car_where_export_and_battery_bring_less(
    kind: IntentKind, value: float, event: Directive | None, battery_value: float | None, amperes: float
) -> None:
    decision = decided(kind, value, event, pv_w=-8000.0, battery_value=battery_value)
    assert watts(decision, "car") == amperes, of(decision, "car").reason


def test_what_the_battery_cannot_take_of_a_surplus_is_the_cars() -> None:
    site = replace(
        HOME, resources=(GRID, PV, replace(BATTERY, ratings=replace(BATTERY.ratings, max_charge_w=2000)), CAR)
    )
    decision = decided(WAITS, 0.25, pv_w=-8000.0, site=site, battery_value=0.30)
    assert watts(decision, "car") == 7  # of 7500 W all but the battery's 2000
    assert "the sun" in of(decision, "car").reason


@pytest.mark.parametrize("kind", [WAITS, SUN])
@pytest.mark.parametrize(
    ("pv_w", "value", "amperes"),
    [
        (-2700.0, 0.25, 6),  # 2200 W at 0.08 and 1940 W at 0.34: 0.20 on the mean
        (-2700.0, 0.21, 0),  # cheaper than later, but not clearly
        (-1500.0, 0.25, 0),  # 1000 W: 0.28 on the mean
        (-400.0, 0.50, 0),  # without any sun it is the plan's to say
    ],
)
def test_a_car_charges_with_some_sun_where_buying_the_rest_is_cheaper_on_the_mean_than_charging_later(
    kind: IntentKind, pv_w: float, value: float, amperes: float
) -> None:
    setpoint = of(decided(kind, value, pv_w=pv_w), "car")
    assert (setpoint.value, "smallest current" in setpoint.reason) == (amperes, amperes > 0), setpoint.reason


def test_nothing_is_bought_beside_the_sun_where_the_highest_import_has_its_price() -> None:
    site = replace(HOME, tariff=replace(HOME.tariff, peak_price_per_kw=5.0))
    assert of(decided(WAITS, 0.25, pv_w=-2700.0, site=site), "car").value == 0


def test_a_car_that_charges_with_some_sun_goes_on_until_it_is_no_cheaper_any_more() -> None:
    home = LagHouse(house(GRID, PV, CAR), pv_w=-2700.0, plan=car_plan(WAITS, 0.24))
    home.run(30)
    assert home.powers["car"] == 6 * 690
    home.pv_w = -2400.0  # 0.22 on the mean: not enough to begin with
    home.run(400)
    assert home.powers["car"] == 6 * 690
    home.pv_w = -1500.0
    home.run(600)
    assert home.powers["car"] == 0


def test_a_car_that_charges_with_some_sun_goes_on_through_a_cloud_and_does_not_begin_in_a_gleam() -> None:
    home = LagHouse(house(GRID, PV, CAR), pv_w=-3000.0, plan=car_plan(WAITS, 0.24))
    home.run(400)
    assert home.powers["car"] == 6 * 690
    home.pv_w = -1000.0
    home.run(45)
    assert home.powers["car"] == 6 * 690
    home.run(900)
    assert home.powers["car"] == 0
    home.pv_w = -3000.0
    home.run(45)
    assert home.powers["car"] == 0
    home.run(600)
    assert home.powers["car"] == 6 * 690


def test_a_car_that_comes_need_not_pause_because_its_charging_point_offered_current_by_itself() -> None:
    """Nothing flowed: a contactor that never closed has no minimum time off."""
    before = plan({"battery": Intent(IntentKind.SELF_CONSUME)}, price=PLANNED)  # made without the car
    goal = replace(HOME, goals=(ChargeGoal("car", time(7, 0), energy_wh=9000),))
    _, memory = settled(goal, inputs(world(car_limit_a=16.0), plan=before))
    comes = inputs(world(car_state="B", car_limit_a=16.0, mono_s=1001.0), plan=before)
    first, memory = decide(goal, comes, memory)
    assert (of(first, "car").value, "waits for a new plan" in of(first, "car").reason) == (0, True)
    now = inputs(world(car_state="B", car_limit_a=0.0, mono_s=1003.0), plan=car_plan(CHARGES, 0.40))
    then, _ = settled(goal, now, memory=memory)
    assert of(then, "car").value == 16, of(then, "car").reason


def test_a_goal_that_would_be_missed_is_charged_for_at_any_price() -> None:
    late = replace(HOME, goals=(ChargeGoal("car", time(14, 0), energy_wh=22000),))  # two hours from noon local time
    setpoint = of(decided(WAITS, 0.25, prices(0.90), site=late), "car")
    assert setpoint.value == 16
    assert "are missing until 14:00" in setpoint.reason


def test_what_was_asked_for_is_not_exceeded_from_the_grid() -> None:
    met = replace(HOME, goals=(ChargeGoal("car", time(20, 0), energy_wh=0.001),))
    image = world(car_state="B")
    points = dict(image.readings["car"])
    points["session_wh"] = replace(points["power_w"], point="session_wh", value=500.0)
    with_session = replace(image, readings=MappingProxyType({**image.readings, "car": MappingProxyType(points)}))
    for planned in (car_plan(CHARGES, 0.40), None):
        decision, _ = settled(met, inputs(with_session, plan=planned))
        assert watts(decision, "car") == 0
        assert "has what was asked for" in of(decision, "car").reason


kinds = st.sampled_from([WAITS, CHARGES, SUN])
worths = st.none() | st.floats(-0.2, 2.0)
sells = st.floats(-0.1, 0.3)


@given(kinds, worths, st.floats(-0.3, 1.0), st.floats(-0.3, 1.0), sells, st.floats(-8000.0, 0.0))
def test_a_lower_price_never_takes_current_from_a_car(
    kind: IntentKind, value: float | None, one: float, two: float, export: float, pv_w: float
) -> None:
    cheap = watts(decided(kind, value, prices(min(one, two), export), pv_w=pv_w), "car")
    dear = watts(decided(kind, value, prices(max(one, two), export), pv_w=pv_w), "car")
    assert cheap >= dear


@given(kinds, worths, worths, sells)
def test_without_a_surprise_the_plans_regime_stands_whatever_it_reckons_a_kwh_to_be_worth(
    kind: IntentKind, one: float | None, two: float | None, export: float
) -> None:
    event = prices(PLANNED, export)
    assert watts(decided(kind, one, event), "car") == watts(decided(kind, two, event), "car")


@given(kinds, worths, st.floats(0.0, 1.0), st.floats(0.0, 11000.0), st.floats(-9000.0, 20000.0))
def test_the_planned_powers_play_no_part(
    kind: IntentKind, value: float | None, price: float, car_w: float, grid_w: float
) -> None:
    without = car_plan(kind, value)
    slot = replace(without.slots[0], power_w={"car": car_w, "battery": -car_w}, grid_w=grid_w, load_w=grid_w, pv_w=0.0)
    for image in (world(car_state="B"), world(car_state="B", pv_w=-8000.0)):
        one, _ = decide(HOME, inputs(image, plan=without, directive=prices(price)), Memory())
        two, _ = decide(HOME, inputs(image, plan=replace(without, slots=(slot,)), directive=prices(price)), Memory())
        assert one.setpoints == two.setpoints


def test_a_price_event_moves_the_car_without_a_new_plan() -> None:
    end = datetime(2026, 6, 16, 10, 0, tzinfo=UTC)
    home = LagHouse(house(GRID, CAR), plan=replace(car_plan(WAITS, 0.25), expires_at=end))
    home.run(60)
    assert home.powers["car"] == 0
    home.directive = Directive(prices=(PriceWindow(NOON, None, 0.05, None, "market"),))
    home.run(30)
    assert home.powers["car"] == 16 * 690
    home.directive = Directive()
    home.run(400)  # a contactor stays closed for its least time
    assert home.powers["car"] == 0


def test_a_car_in_the_sun_takes_no_more_than_the_sun_from_its_first_second_on() -> None:
    home = LagHouse(house(GRID, PV, CAR), pv_w=-7000.0, plan=car_plan(SUN, 0.25))
    offers = [watts(decision, "car") for decision in home.run(120)]
    assert max(offers) == 9  # 6500 W
    assert home.powers["car"] == 9 * 690
    home.pv_w = -1000.0
    home.run(60)
    assert home.powers["car"] == 6 * 690  # its least, until the contactor may open


@pytest.mark.parametrize(("pv_w", "amperes"), [(-4500.0, 6), (-8000.0, 10), (-11900.0, 16)])
def test_a_car_that_is_bounded_to_last_with_the_sun_takes_more_of_it_where_there_is_more(
    pv_w: float, amperes: int
) -> None:
    bounded = Intent(CHARGES, max_w=4140.0, value_per_kwh=0.30)
    battery = Intent(IntentKind.SELF_CONSUME, value_per_kwh=0.01)
    planned = plan({"car": bounded, "battery": battery}, price=PLANNED)
    found = settled(HOME, inputs(world(pv_w=pv_w, car_state="B"), plan=planned))[0]
    assert of(found, "car").value == amperes
