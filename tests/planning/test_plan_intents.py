"""What a plan says to do, and in which words."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cem.model.plan import EvNeed, IntentKind, Plan
from cem.planning.solve import Replanner, solve
from support.planning import BATTERY, CAR, PV, START, STEP, problem, violations

NIGHT_TARIFF = [0.18] * 8 + [0.30] * 8 + [0.42] * 8


def kinds(plan: Plan, resource_id: str) -> list[str]:
    """The kind of intent of each slot."""
    return [slot.intents[resource_id].kind.value for slot in plan.slots]


def test_cheap_hours_before_dear_ones_charge_from_the_grid() -> None:
    plan = solve(problem(24, price=NIGHT_TARIFF, load_w=1500.0, soc_pct=10.0, resources=(BATTERY,)))
    charging = [slot for slot in plan.slots if slot.intents["battery"].kind is IntentKind.CHARGE_TO]
    assert charging
    assert all(slot.import_price_per_kwh == 0.18 for slot in charging)
    target = charging[-1].intents["battery"].target_soc_pct
    assert target is not None
    assert target > 50.0
    assert all(slot.intents["battery"].max_w == 4000.0 for slot in charging)
    assert set(kinds(plan, "battery")[16:]) == {"self_consume"}
    assert any("charge from the grid 00:00-02:00, price 0.18 against 0.42 at 04:00" in r for r in plan.reasons)


def test_a_sudden_low_price_is_used_in_the_last_seconds_of_a_slot_too() -> None:
    evening = [0.41] * 13 + [0.34] * 8 + [0.22] * 32 + [0.34] * 43
    usual = problem(
        96,
        price=evening,
        load_w=400.0,
        soc_pct=40.0,
        resources=(BATTERY, CAR),
        ev=(EvNeed("car", 20000.0, START + 12 * STEP),),
        import_limit_w=24150.0,
        export_limit_w=24150.0,
        start=START,
    )
    planner = Replanner()
    last = replace(usual, edges=(usual.edges[1] - timedelta(seconds=16), *usual.edges[1:]))
    assert kinds(planner.solve(last), "battery")[0] == "self_consume"
    cheap = replace(
        last,
        edges=(usual.edges[1] - timedelta(seconds=9), *usual.edges[1:]),
        import_price_per_kwh=(0.02, 0.02, 0.025, *evening[3:]),
    )
    assert kinds(planner.solve(cheap), "battery")[:3] == ["charge_to"] * 3


@pytest.mark.parametrize(("sun_w", "evening"), [(2600.0, "surplus_only"), (700.0, "hold")])
def test_a_dear_hour_that_only_the_sun_makes_worth_it_is_left_to_the_sun_that_comes(sun_w: float, evening: str) -> None:
    """Its smallest power is 4.14 kW: with 1.9 kW of sun a kWh costs less than at night, without it more."""
    request = problem(
        24,
        price=[0.37] * 8 + [0.29] * 16,
        load_w=700.0,
        pv_w=[sun_w] * 8 + [0.0] * 16,
        resources=(PV, CAR),
        ev=(EvNeed("car", 15000.0, START + 24 * STEP),),
    )
    plan = solve(request)
    assert set(kinds(plan, "car")[:8]) == {evening}
    assert (plan.slots[0].power_w["car"] > 4000.0) == (evening == "surplus_only")
    nights = [slot.intents["car"] for slot in plan.slots[8:] if slot.intents["car"].kind is IntentKind.CHARGE_TO]
    assert nights
    assert all(intent.max_w == 11040.0 for intent in nights)


def test_what_is_worth_more_later_is_held() -> None:
    plan = solve(problem(16, price=[0.30] * 8 + [0.45] * 8, load_w=2000.0, soc_pct=55.0, grid_charge=False))
    assert set(kinds(plan, "battery")[:6]) == {"hold"}
    assert set(kinds(plan, "battery")[8:]) == {"self_consume"}
    assert any(reason.startswith("Battery: hold 00:00-0") for reason in plan.reasons)


def test_a_flat_tariff_never_hoards() -> None:
    plan = solve(problem(96, load_w=800.0, soc_pct=80.0))
    assert set(kinds(plan, "battery")) == {"self_consume"}


def test_a_dear_export_hour_feeds_in_down_to_a_target() -> None:
    plan = solve(problem(16, export_price=[0.08] * 8 + [0.60] * 8, soc_pct=90.0))
    feeding = [slot for slot in plan.slots if slot.intents["battery"].kind is IntentKind.DISCHARGE_TO]
    assert feeding
    assert all(slot.start >= START + 8 * STEP for slot in feeding)
    assert any("feed in" in reason for reason in plan.reasons)


def test_a_negative_price_is_used_without_burning_energy() -> None:
    request = problem(16, price=[-0.10] * 6 + [0.30] * 10, export_price=[-0.20] * 16, pv_w=3000.0, soc_pct=40.0)
    plan = solve(request)
    assert violations(plan, request) == []
    assert plan.slots[0].intents["battery"].kind is IntentKind.CHARGE_TO
    assert plan.slots[0].pv_w == 0.0
    assert any(reason.startswith("PV: ") and "feeding in costs 0.20" in reason for reason in plan.reasons)
    assert any("using it is paid" in reason for reason in plan.reasons)


def test_the_car_waits_for_cheap_hours_and_keeps_its_minimum() -> None:
    due = START + 20 * STEP
    plan = solve(
        problem(24, price=[0.35] * 10 + [0.20] * 6 + [0.35] * 8, resources=(CAR,), ev=(EvNeed("car", 12e3, due),))
    )
    charging = [slot for slot in plan.slots if slot.intents["car"].kind is IntentKind.CHARGE_TO]
    assert charging
    assert all(slot.import_price_per_kwh == 0.20 for slot in charging)
    for slot in charging:
        max_w = slot.intents["car"].max_w
        assert max_w is not None
        assert 4140.0 <= max_w <= 11040.0
    assert kinds(plan, "car")[0] == "hold"
    assert any(reason.startswith("Car: charge from the grid 02:30-") for reason in plan.reasons)


@pytest.mark.parametrize(("wanted_kwh", "last"), [(8.0, 14), (42.0, 15)])
def test_a_car_is_ready_a_little_before_its_time_where_there_is_time_to_spare(wanted_kwh: float, last: int) -> None:
    """The last two quarters before it leaves are the cheapest; without time to spare all of them are used."""
    need = EvNeed("car", 1e3 * wanted_kwh, START + 16 * STEP)
    plan = solve(problem(24, price=[0.35] * 12 + [0.20] * 2 + [0.15] * 10, resources=(CAR,), ev=(need,)))
    slots = [at for at, slot in enumerate(plan.slots) if slot.intents["car"].kind is IntentKind.CHARGE_TO]
    assert max(slots) == last
    assert not any("missing" in reason for reason in plan.reasons)


def test_a_car_with_enough_sun_takes_only_the_sun() -> None:
    plan = solve(
        problem(16, pv_w=8000.0, load_w=300.0, resources=(CAR, PV), ev=(EvNeed("car", 15e3, START + 16 * STEP),))
    )
    assert set(kinds(plan, "car")) <= {"surplus_only", "hold"}
    assert "surplus_only" in kinds(plan, "car")


def test_a_car_too_late_is_named_and_charged_at_once() -> None:
    request = problem(16, price=[0.4] * 4 + [0.1] * 12, resources=(CAR,), ev=(EvNeed("car", 9e3, START + 2 * STEP),))
    plan = solve(request)
    assert kinds(plan, "car")[:2] == ["charge_to", "charge_to"]
    assert plan.slots[0].power_w["car"] > 10e3
    assert any("3.5 kWh of 9.0 kWh will be missing at 00:30" in reason for reason in plan.reasons)


def test_a_deadline_missed_for_the_import_limit_names_it() -> None:
    request = problem(8, resources=(CAR,), import_limit_w=5000.0, ev=(EvNeed("car", 15e3, START + 8 * STEP),))
    plan = solve(request)
    assert any("will be missing" in reason and "the import limit leaves no more" in reason for reason in plan.reasons)
    assert all(slot.grid_w is not None and slot.grid_w <= 5000.1 for slot in plan.slots)


def test_a_limit_below_the_load_is_named_not_failed() -> None:
    request = problem(8, load_w=6000.0, import_limit_w=4000.0, resources=())
    plan = solve(request)
    assert plan.status == "optimal"
    assert any("import limit: exceeded by up to 2.0 kW 00:00-02:00" in reason for reason in plan.reasons)


def test_generation_that_can_not_be_curtailed_beyond_the_export_limit_is_named() -> None:
    plan = solve(problem(4, pv_w=8000.0, load_w=0.0, export_limit_w=0.0, resources=()))
    assert any("export limit: exceeded by up to 8.0 kW" in reason for reason in plan.reasons)


def test_a_battery_that_stopped_a_little_below_its_reserve_buys_nothing() -> None:
    plan = solve(problem(16, price=0.4, export_price=0.08, soc_pct=29.8, reserve_pct=30.0, resources=(BATTERY,)))
    assert set(kinds(plan, "battery")) == {"self_consume"}
    assert not any("reserve" in reason for reason in plan.reasons)


def test_a_battery_below_its_reserve_is_named_and_filled_first() -> None:
    plan = solve(problem(16, price=[0.4] * 8 + [0.2] * 8, soc_pct=10.0, reserve_pct=30.0, resources=(BATTERY,)))
    assert plan.slots[0].intents["battery"].kind is IntentKind.CHARGE_TO
    assert any("below its reserve of 30 % until" in reason for reason in plan.reasons)


def test_a_battery_that_does_not_tell_its_capacity_is_left_out_and_named() -> None:
    mute = replace(BATTERY, ratings=replace(BATTERY.ratings, capacity_wh=None))
    plan = solve(problem(4, resources=(mute,)))
    assert "battery" not in plan.slots[0].intents
    assert plan.reasons[0] == "Battery: not planned, its capacity is not known"


def test_numbers_that_are_missing_still_give_a_plan() -> None:
    nan = float("nan")
    request = problem(4, price=[0.3, nan, 0.3, 0.2], load_w=[500.0, nan, nan, 700.0], pv_w=nan)
    plan = solve(request)
    assert plan.status == "optimal"
    assert plan.slots[1].import_price_per_kwh == 0.3
    assert plan.slots[1].load_w == 600.0
    assert any("1 import prices missing" in reason for reason in plan.reasons)


def test_reasons_speak_local_time() -> None:
    request = problem(24, price=NIGHT_TARIFF, load_w=1500.0, soc_pct=10.0, resources=(BATTERY,))
    plan = solve(replace(request, zone="Europe/Berlin"))
    assert any("charge from the grid 01:00-03:00" in reason for reason in plan.reasons)


def test_two_batteries_never_fill_each_other() -> None:
    second = replace(BATTERY, id="second", name="Second")
    request = problem(8, price=[0.3] * 4 + [0.5] * 4, load_w=1000.0, resources=(BATTERY, second), soc_pct=60.0)
    request = replace(request, soc_pct={"battery": 5.0, "second": 90.0}, reserve_pct={"battery": 40.0, "second": 0.0})
    plan = solve(request)
    assert violations(plan, request) == []
    for slot in plan.slots:
        out = -min(slot.power_w["second"], 0.0)
        assert out <= 1000.0 + max(-(slot.grid_w or 0.0), 0.0) + 1.0


def test_a_request_whose_tuples_do_not_fit_is_refused() -> None:
    request = replace(problem(4), load_w=(1.0,))
    with pytest.raises(ValueError, match="load_w has 1 values for 4 slots"):
        solve(request)


def test_a_plan_expires_an_hour_after_it_was_made() -> None:
    plan = solve(problem(8))
    assert plan.made_at == START
    assert plan.expires_at == START + timedelta(hours=1)
    assert plan.slot_at(START + timedelta(minutes=59)) is not None
    assert plan.slot_at(datetime(2026, 1, 15, 1, tzinfo=UTC)) is None


def test_a_problem_beyond_the_solver_gives_a_plan_by_rules() -> None:
    plan = solve(problem(4, load_w=1e30))
    assert plan.status == "rules"
    assert len(plan.slots) == 4
    assert any("rules instead" in reason for reason in plan.reasons)


def test_a_car_that_charges_mostly_from_the_sun_is_bounded_so_that_the_sun_lasts() -> None:
    """Most of its smallest power comes from the sun for an hour; at full power in the first quarter it would not."""
    need = EvNeed("car", 4140.0, START + 16 * STEP)
    pv = [3600.0] * 4 + [0.0] * 12
    request = problem(16, price=0.22, export_price=0.06, load_w=0.0, pv_w=pv, resources=(CAR, PV), ev=(need,))
    intents = [slot.intents["car"] for slot in solve(request).slots]
    assert {(intent.kind, intent.max_w) for intent in intents[:4]} == {(IntentKind.CHARGE_TO, 4140.0)}
    assert {intent.kind for intent in intents[4:]} == {IntentKind.HOLD}
