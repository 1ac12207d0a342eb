"""Batteries that may be written a few times a day: what they are told, and what of a set point is demanded."""

import pytest

from cem.model.directive import Directive
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Snapshot
from cem.model.setpoint import Demand, Setpoint
from support.houses import house, inputs, limited, of, plan, settled, snapshot, world

HOLD = Intent(IntentKind.HOLD)
CHARGE = Intent(IntentKind.CHARGE_TO, target_soc_pct=90)


@pytest.mark.parametrize(
    ("seen", "intent", "told"),
    [
        (world(load_w=500, pv_w=-3500), None, None),  # by itself it stores the surplus and covers the deficit
        (world(load_w=1500), None, None),
        (world(load_w=500, car_state="C", car_w=11040), None, 0.0),  # by itself it would go into the car
        (world(load_w=500, pv_w=-14000, car_state="C", car_w=11040), None, None),
        (world(load_w=1500), HOLD, 0.0),
        (world(load_w=500, pv_w=-3500), HOLD, None),
        (world(load_w=1500), CHARGE, 5000.0),  # the whole power at once, as the next one comes late
    ],
)
def test_in_place_of_a_power_that_follows_the_house_it_is_told_what_stays(
    seen: Snapshot, intent: Intent | None, told: float | None
) -> None:
    given = inputs(seen) if intent is None else inputs(seen, plan=plan({"battery": intent}))
    store = of(settled(house(), given, ticks=1)[0], "battery")
    assert store.seldom is not None
    assert store.seldom.value == told
    assert store.demanded is None


def test_what_a_battery_can_take_itself_is_no_demand_of_safety() -> None:
    given = inputs(world(load_w=500, pv_w=-8000))
    store = of(settled(house(), given)[0], "battery")
    assert (store.value or 0.0) > 4950.0
    assert store.rank is Rank.SAFETY
    assert store.demanded is None


def test_a_limit_of_the_grid_demands_its_side_alone_and_is_told_as_it_is() -> None:
    given = inputs(world(load_w=6000), directive=limited(4000), plan=plan({"battery": HOLD}))
    store = of(settled(house(), given)[0], "battery")
    assert store.demanded is Demand.AT_MOST
    assert store.seldom is None
    assert (store.value or 0.0) <= -2000.0


def test_a_battery_whose_house_is_not_known_is_not_left_to_its_own_control() -> None:
    seen = snapshot({"grid": {"power_w": 1500.0}, "battery": {"power_w": 0.0, "soc_pct": 50.0}})
    store = of(settled(house(), inputs(seen))[0], "battery")
    assert store.seldom is not None
    assert store.seldom.value == 0.0


def test_a_limit_that_the_roof_can_not_exceed_is_no_demand() -> None:
    def limited_roof(limit_w: float) -> Setpoint:
        by = Envelope(SITE, -limit_w, None, Rank.OBLIGATION, "utility", "export limit")
        given = inputs(world(load_w=500, pv_w=-6000, soc_pct=99), directive=Directive(envelopes=(by,)))
        return of(settled(house(), given)[0], "pv")

    assert limited_roof(1000.0).demanded is Demand.AT_MOST
    assert limited_roof(9000.0).value == 8000.0
    assert limited_roof(9000.0).demanded is None


def test_a_reserve_demands_that_no_more_is_taken_out() -> None:
    store = of(settled(house(), inputs(world(load_w=1500, soc_pct=9)))[0], "battery")
    assert store.value == 0.0
    assert store.demanded is Demand.AT_LEAST
    assert store.seldom is None
