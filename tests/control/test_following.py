"""Following the plan by regime and by what a stored kWh is worth."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.model.directive import Directive, GridPresence, PriceWindow
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Value
from cem.model.request import RequestKind, UserRequest
from cem.model.site import BatteryPolicy
from cem.model.tariff import Tariff
from support.houses import BATTERY, CAR, GRID, NOON, PV, house, inputs, of, plan, settled, snapshot, watts, world

HOME = house(GRID, PV, BATTERY, CAR)  # buys at 0.34, sells at 0.08
SURPLUS = {"load_w": 500.0, "pv_w": -3500.0}
DEFICIT = {"load_w": 1500.0}


def prices(import_price: float | None = None, export_price: float | None = None) -> Directive:
    """Prices of an event for an hour."""
    window = PriceWindow(NOON, NOON + timedelta(hours=1), import_price, export_price, "market")
    return Directive(prices=(window,))


@pytest.mark.parametrize(
    ("kind", "value", "event", "world_is", "power_w"),
    [
        (IntentKind.SELF_CONSUME, None, prices(), SURPLUS, 3000),
        (IntentKind.SELF_CONSUME, 0.20, prices(), SURPLUS, 3000),
        (IntentKind.SELF_CONSUME, 0.05, prices(), SURPLUS, 0),  # selling at 0.08 brings more
        (IntentKind.SELF_CONSUME, 0.20, prices(export_price=0.50), SURPLUS, 0),
        (IntentKind.HOLD, 0.20, prices(export_price=0.50), SURPLUS, 0),
        (IntentKind.HOLD, 0.40, prices(), SURPLUS, 3000),
        (IntentKind.SELF_CONSUME, 0.20, prices(), DEFICIT, -1500),
        (IntentKind.SELF_CONSUME, 0.40, prices(), DEFICIT, 0),  # buying at 0.34 costs less than it is worth
        (IntentKind.SELF_CONSUME, 0.20, prices(import_price=0.05), DEFICIT, 0),
        (IntentKind.HOLD, 0.01, prices(import_price=0.90), DEFICIT, 0),  # the regime bounds it: no surprise
        (IntentKind.CHARGE_TO, 0.40, prices(), DEFICIT, 5000),
        (IntentKind.CHARGE_TO, 0.40, prices(import_price=0.90), DEFICIT, 0),
        (IntentKind.DISCHARGE_TO, 0.05, prices(export_price=0.30), DEFICIT, -5000),
        (IntentKind.DISCHARGE_TO, 0.30, prices(export_price=0.05), DEFICIT, -1500),
    ],
)
def test_within_the_regime_the_price_of_now_and_the_worth_of_a_stored_kwh_decide(
    kind: IntentKind, value: float | None, event: Directive, world_is: dict[str, float], power_w: float
) -> None:
    intent = Intent(kind, target_soc_pct={IntentKind.DISCHARGE_TO: 20.0}.get(kind, 90.0), value_per_kwh=value)
    decision, _ = settled(HOME, inputs(world(**world_is), plan=plan({"battery": intent}), directive=event))  # type: ignore[arg-type]
    assert abs(watts(decision, "battery") - power_w) <= 25


def test_an_export_price_below_nothing_curtails_the_roof_rather_than_pays() -> None:
    decision, _ = settled(HOME, inputs(world(load_w=500, pv_w=-8000, battery_w=5000), directive=prices(None, -0.05)))
    assert watts(decision, "pv") == 500 + 5000 - 50
    assert "feeding in costs 0.05 a kWh now" in of(decision, "pv").reason
    decision, _ = settled(HOME, inputs(world(load_w=500, pv_w=-8000, battery_w=5000), directive=prices(None, 0.0)))
    assert of(decision, "pv").value is None


def test_an_untrusted_clock_knows_no_price() -> None:
    site = replace(HOME, tariff=Tariff("Europe/Berlin", "EUR", 0.30, -0.10))
    given = inputs(world(load_w=500, pv_w=-8000))
    decision, _ = settled(site, replace(given, now=replace(given.now, trusted=False)))
    assert of(decision, "pv").value is None


def test_the_owner_may_charge_the_battery_now() -> None:
    now = UserRequest("1", "battery", RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON)
    decision, _ = settled(HOME, inputs(world(), requests=(now,)))
    assert watts(decision, "battery") >= 4975
    assert "as asked until 13:00" in of(decision, "battery").reason


def test_a_battery_is_emptied_into_the_car_only_where_the_owner_says_so() -> None:
    charging = inputs(world(load_w=500, car_state="C", car_w=4140))
    asked = replace(HOME, batteries=(BatteryPolicy("battery", into_car=True),))
    assert abs(watts(settled(HOME, charging)[0], "battery") + 500) <= 25
    assert abs(watts(settled(asked, charging)[0], "battery") + 4640) <= 25


def test_a_battery_ramps_no_faster_than_the_site_allows_except_to_protect_a_limit() -> None:
    slow = replace(HOME, policy=replace(HOME.policy, ramp_w_per_s=100.0))
    decision, memory = settled(slow, inputs(world(load_w=0.0, battery_w=0.0)), 2)
    before = watts(decision, "battery")
    decision, memory = settled(slow, inputs(world(load_w=3000.0, mono_s=1002.0)), 0, memory)
    assert watts(decision, "battery") == before - 200
    island = replace(inputs(world(load_w=3000.0)), directive=Directive(grid=GridPresence.CONNECTED))
    assert settled(slow, island, 0)[0].setpoints


def test_a_full_battery_that_was_asked_to_charge_does_not_cover_the_house_meanwhile() -> None:
    full: dict[str, Value] = {"power_w": 0.0, "soc_pct": 100.0, "max_charge_w": 0.0, "max_discharge_w": 5000.0}
    image = snapshot({"grid": {"power_w": 400.0}, "battery": full})
    until = NOON + timedelta(hours=1)
    act = UserRequest("1", "battery", RequestKind.CHARGE_NOW, until, NOON - timedelta(minutes=5))
    decision, _ = decide(house(GRID, BATTERY), inputs(image, requests=(act,)), Memory(decided_at_s=999.0))
    assert watts(decision, "battery") == 0.0


@pytest.mark.parametrize(("device", "gives_w"), [("storage", -5000.0), ("inverter", -2000.0)])
def test_behind_one_inverter_a_battery_feeds_in_what_the_roof_leaves_of_its_rating(device: str, gives_w: float) -> None:
    site = house(GRID, PV, replace(BATTERY, device_id=device))
    image = snapshot(
        {
            "grid": {"power_w": -5500.0},
            "pv": {"power_w": -6000.0},  # of 8 kW
            "battery": {"power_w": 0.0, "soc_pct": 90.0},
        }
    )
    feeds = plan({"battery": Intent(IntentKind.DISCHARGE_TO, target_soc_pct=20.0, value_per_kwh=0.05)})
    decision, _ = settled(site, inputs(image, plan=feeds))
    assert watts(decision, "battery") == pytest.approx(gives_w, abs=25.0)


@pytest.mark.parametrize(("every_s", "left_w"), [(1.0, 200.0), (30.0, 0.0)])
def test_where_ticks_are_far_apart_a_battery_follows_the_whole_way_at_once(every_s: float, left_w: float) -> None:
    """A meter that runs behind shows what was done long before the next tick: there is nothing to overshoot."""
    _, memory = settled(house(), inputs(world(load_w=1000.0)))
    follows = inputs(world(load_w=2005.0, battery_w=-1000.0, mono_s=1000.0 + every_s))
    decision, _ = decide(house(), follows, replace(memory, moved=()))
    assert of(decision, "battery").value == pytest.approx(-2000.0 + left_w, abs=25.0)


@pytest.mark.parametrize(
    ("told_a", "change_w", "believed_w"),
    [
        (10.0, 200.0, 200.0),  # a car that is about to draw less can't make the house seem to take more
        (10.0, -200.0, 0.0),  # the meter may have seen it draw less already
        (16.0, 200.0, 0.0),  # likewise more
        (16.0, -200.0, -200.0),
    ],
)
def test_what_a_car_is_about_to_do_hides_only_changes_of_the_load_that_it_could_be_itself(
    told_a: float, change_w: float, believed_w: float
) -> None:
    site = house(GRID, CAR)
    _, memory = settled(site, inputs(world(load_w=1000.0, car_w=13 * 690.0, car_state="C", mono_s=985.0)))
    car = replace(memory.chargers["car"], limit_a=told_a, offered_at_s=990.0)
    memory = replace(memory, chargers={"car": car}, moved=())
    seen = world(load_w=1000.0 + change_w, car_w=13 * 690.0, car_state="C", mono_s=995.0)
    _, memory = decide(site, inputs(seen), memory)
    assert memory.load_w == pytest.approx(1000.0 + believed_w)
