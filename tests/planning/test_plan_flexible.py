"""What else can be moved: daily runs of loads, heat in a store, the month's highest import; what the grid asks for."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from cem.model.directive import ChargeTarget, Dispatch
from cem.model.envelope import SITE, Rank
from cem.model.plan import IntentKind, PlanRequest
from cem.model.resource import Control, Ratings, Resource, Role
from cem.model.site import ControlPolicy, ElectricalConnection, LoadPolicy, LoadRun, Site
from cem.model.tariff import Tariff, TariffPeriod
from cem.planning.flexible import Asked
from cem.planning.past import past_of
from cem.planning.problem import car_power_kw
from cem.planning.request import build_request
from cem.planning.rules import rules_plan
from cem.planning.solve import solve
from support.planning import BATTERY, PV

NOW = datetime(2026, 1, 14, 18, tzinfo=UTC)
METER = Resource("meter", Role.GRID, "meter", "Meter")
BOILER = Resource("boiler", Role.LOAD, "relay", "Boiler", Ratings(max_power_w=2000.0), frozenset({Control.LOAD_ON}))
PUMP = Resource(
    "pump", Role.HEAT_PUMP, "pump", "Heat pump", Ratings(max_power_w=2500.0), frozenset({Control.HEAT_PUMP_SG_READY})
)
SITE_ = Site(
    name="house",
    zone="UTC",
    connection=ElectricalConnection(),
    tariff=Tariff("UTC", "EUR", 0.30, 0.08, (TariffPeriod(time(2), time(4), 0.10),)),
    resources=(METER, BATTERY, PV, BOILER, PUMP),
    loads=(
        LoadPolicy("boiler", LoadRun.ON_SURPLUS, daily_wh=4000.0),
        LoadPolicy("pump", comfort_min_c=40.0, comfort_max_c=55.0, store_litres=800.0, cop=3.0),
    ),
)


def _minutes(hours: float, watts: float, until: datetime = NOW) -> list[tuple[int, float]]:
    end_s = int(until.timestamp())
    return [(at, watts) for at in range(end_s - round(hours * 3600), end_s, 60)]


def _made(
    site: Site = SITE_, *, asked: Asked | None = None, soc: float = 50.0, **history: list[tuple[int, float]]
) -> PlanRequest:
    past = {f"{name}.power_w": values for name, values in history.items()}
    given: dict[str, Any] = {} if asked is None else {"asked": asked}
    return build_request(
        NOW, site, {"battery": soc}, (), past_of(site, past), (), (), temperatures_c={"pump": 46.0}, **given
    )


def test_a_daily_run_is_planned_into_the_cheapest_quarters_before_its_time() -> None:
    request = _made()
    need = request.extras.loads[0]
    assert (need.profile_w, need.due, need.interruptible) == ((2000.0,) * 8, datetime(2026, 1, 15, tzinfo=UTC), True)
    late = replace(SITE_, loads=(replace(SITE_.loads[0], ready_by=time(6)),))
    plan = solve(_made(late))
    runs = {slot.start.hour for slot in plan.slots if slot.intents["boiler"].kind is IntentKind.CHARGE_TO}
    assert runs == {2, 3}


@pytest.mark.parametrize(("taken_h", "pieces"), [(0.0, 8), (1.0, 4), (2.0, 0), (3.0, 0)])
def test_what_a_load_took_since_its_last_time_counts(taken_h: float, pieces: int) -> None:
    needs = _made(boiler=_minutes(taken_h, 2000.0)).extras.loads
    assert sum(len(need.profile_w) for need in needs) == pieces


def test_a_run_in_one_go_that_has_begun_goes_on_at_once() -> None:
    washing = LoadPolicy("boiler", LoadRun.ON_SURPLUS, profile_w=(2000.0, 200.0, 1500.0), ready_by=time(12))
    site = replace(SITE_, loads=(washing,))
    waiting = _made(site).extras.loads[0]
    assert (waiting.profile_w, waiting.due.hour, waiting.interruptible) == ((2000.0, 200.0, 1500.0), 12, False)
    running = _made(site, boiler=_minutes(0.25, 2000.0)).extras.loads[0]
    assert (running.profile_w, running.due) == ((200.0, 1500.0), NOW + timedelta(minutes=30))


def test_a_planned_load_is_no_part_of_the_forecast_of_the_rest() -> None:
    past: dict[str, Any] = {"meter": _minutes(48, 2500.0), "pv": _minutes(48, 0.0), "battery": _minutes(48, 0.0)}
    pump: dict[str, Any] = {"pump": _minutes(48, 0.0)}
    assert max(_made(**past, **pump, boiler=_minutes(48, 2000.0)).load_w) == pytest.approx(500.0)


def test_heat_is_stored_in_cheap_hours_for_dear_ones() -> None:
    request = _made(pump=_minutes(72, 600.0))
    heat = request.extras.heat[0]
    assert heat.store.stored_wh == pytest.approx(6 * 800 * 1.163)
    assert heat.demand_w[0] == pytest.approx(1800.0)
    plan = solve(request)
    stores = {slot.start.hour for slot in plan.slots if slot.intents["pump"].kind is IntentKind.CHARGE_TO}
    assert stores
    assert stores <= {2, 3}
    assert any("Heat pump: stores heat" in reason for reason in plan.reasons)


def test_without_a_temperature_or_a_store_a_heat_pump_is_load_like_any_other() -> None:
    site = replace(SITE_, loads=(LoadPolicy("pump", comfort_min_c=40.0, comfort_max_c=55.0),))
    assert _made(site, pump=_minutes(72, 600.0)).extras.heat == ()


def test_the_highest_import_of_the_month_has_its_price() -> None:
    tariff = replace(SITE_.tariff, peak_price_per_kw=10.0, periods=())
    site = replace(SITE_, tariff=tariff, resources=(METER, BATTERY, PV, BOILER), loads=SITE_.loads[:1])
    hours = [*_minutes(400, 900.0, NOW - timedelta(hours=1)), *_minutes(1, 3000.0)]
    request = _made(site, soc=10.0, meter=hours)
    assert request.extras.peak_so_far_w == 3000.0
    plan = solve(request)
    assert max(slot.grid_w or 0.0 for slot in plan.slots) <= 3001.0
    costly = solve(replace(request, extras=replace(request.extras, peak_so_far_w=0.0)))
    assert max(slot.grid_w or 0.0 for slot in costly.slots) < 2700.0


def test_what_the_grid_asks_for_now_is_planned_with() -> None:
    until = NOW + timedelta(hours=1)
    dispatch = Dispatch(SITE, -1000.0, Rank.PROGRAMME, "utility", "asked", until)
    target = ChargeTarget("battery", 80.0, None, Rank.PROGRAMME, "utility", "asked", until)
    plan = solve(_made(asked=Asked((dispatch,))))
    asked = [slot.grid_w for slot in plan.slots if slot.end <= until]
    assert asked == pytest.approx([-1000.0] * 4, abs=1.0)
    charged = solve(_made(asked=Asked((), (target,))))
    assert next(slot.soc_pct["battery"] for slot in charged.slots if slot.end == until) >= 79.9


def test_power_that_is_promised_to_a_service_is_kept_free() -> None:
    site = replace(SITE_, policy=ControlPolicy(reserve_up_w=4000.0))
    plan = solve(_made(site, soc=90.0))
    given = [-slot.power_w["battery"] for slot in plan.slots]
    assert max(given) <= (BATTERY.ratings.max_discharge_w or 0.0) - 4000.0 + 1.0


def test_a_charging_point_that_switches_phases_is_planned_down_to_one() -> None:
    car = Resource("car", Role.EV, "wallbox", "Car", Ratings(max_current_a=16.0, phases=3))
    assert car_power_kw(car)[0] == pytest.approx(4.14)
    assert car_power_kw(replace(car, controls=frozenset({Control.EV_PHASES})))[0] == pytest.approx(1.38)


@pytest.mark.parametrize("profile_w", [(), (2000.0, 200.0, 1500.0)])
def test_the_rules_run_a_daily_load_in_the_cheapest_time_too(profile_w: tuple[float, ...]) -> None:
    daily = LoadPolicy(
        "boiler", LoadRun.ON_SURPLUS, daily_wh=None if profile_w else 2000.0, profile_w=profile_w, ready_by=time(6)
    )
    plan = rules_plan(_made(replace(SITE_, loads=(daily,))))
    runs = [slot.start for slot in plan.slots if slot.intents["boiler"].kind is IntentKind.CHARGE_TO]
    assert {at.hour for at in runs} <= {2, 3}
    assert len(runs) == (len(profile_w) or 4)
