"""The plan without a solver."""

from dataclasses import replace

from cem.model.plan import EvNeed, IntentKind
from cem.planning.rules import rules_plan
from support.planning import BATTERY, CAR, PV, START, STEP, charged_wh, problem, violations


def test_the_battery_follows_the_meter() -> None:
    request = problem(12, load_w=1000.0, pv_w=[0.0] * 6 + [4000.0] * 6, soc_pct=20.0)
    plan = rules_plan(request)
    assert plan.status == "rules"
    assert {slot.intents["battery"].kind for slot in plan.slots} == {IntentKind.SELF_CONSUME}
    assert violations(plan, request) == []
    assert min(slot.soc_pct["battery"] for slot in plan.slots) >= 10.0


def test_the_car_charges_in_the_cheapest_hours_before_it_is_due() -> None:
    due = START + 12 * STEP
    request = problem(16, price=[0.4] * 4 + [0.2] * 4 + [0.3] * 4 + [0.1] * 4, resources=(BATTERY, CAR, PV))
    request = replace(request, ev=(EvNeed("car", 8e3, due),))
    plan = rules_plan(request)
    charging = [slot for slot in plan.slots if slot.intents["car"].kind is IntentKind.CHARGE_TO]
    assert {slot.import_price_per_kwh for slot in charging} == {0.2}
    assert abs(charged_wh(plan, "car", due) - 8e3) < 1040.0
    assert plan.slots[0].intents["car"].kind is IntentKind.SURPLUS_ONLY


def test_the_car_stays_below_the_import_limit() -> None:
    request = problem(8, load_w=1000.0, import_limit_w=6000.0, resources=(CAR,), ev=(EvNeed("car", 5e3, None),))
    plan = rules_plan(request)
    assert all(slot.grid_w is not None and slot.grid_w <= 6000.0 for slot in plan.slots)
    assert charged_wh(plan, "car") >= 5e3


def test_a_car_that_can_not_make_it_is_named() -> None:
    request = problem(8, resources=(CAR,), ev=(EvNeed("car", 40e3, START + 2 * STEP),))
    assert any("34.5 kWh will be missing" in reason for reason in rules_plan(request).reasons)


def test_broken_numbers_still_give_a_plan() -> None:
    nan = float("nan")
    plan = rules_plan(problem(4, price=nan, load_w=nan, pv_w=nan))
    assert len(plan.slots) == 4
    assert all(slot.grid_w is not None for slot in plan.slots)
