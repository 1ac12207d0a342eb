"""Laws that hold for every planning problem."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.model.plan import EvNeed, PlanRequest
from cem.planning.optimiser import optimise
from cem.planning.problem import problem_of
from cem.planning.programme import NOISE_KW
from cem.planning.solve import solve
from support.planning import BATTERY, CAR, PV, START, STEP, charged_wh, problem, violations

SLOTS = 10
PRICES = st.lists(st.integers(-10, 50), min_size=SLOTS, max_size=SLOTS).map(lambda c: [x / 100 for x in c])
POWERS = st.lists(st.integers(0, 90), min_size=SLOTS, max_size=SLOTS).map(lambda c: [100.0 * x for x in c])
LIMITS = st.none() | st.integers(0, 120).map(lambda x: 100.0 * x)


@st.composite
def requests(draw: st.DrawFn) -> PlanRequest:
    """A house with one battery, sometimes a car, any prices (export above import and below zero among them)."""
    ev: tuple[EvNeed, ...] = ()
    if draw(st.booleans()):
        due = draw(st.none() | st.integers(-4, 2 * SLOTS).map(lambda k: START + k * STEP))
        ev = (EvNeed("car", draw(st.integers(1, 300)) * 100.0, due),)
    return problem(
        SLOTS,
        price=draw(PRICES),
        export_price=draw(PRICES | st.just([0.08] * SLOTS)),
        load_w=draw(POWERS),
        pv_w=draw(POWERS | st.just([0.0] * SLOTS)),
        import_limit_w=draw(LIMITS),
        export_limit_w=draw(LIMITS),
        resources=(BATTERY, CAR, PV) if draw(st.booleans()) else (BATTERY, CAR),
        soc_pct=float(draw(st.integers(0, 100))),
        reserve_pct=float(draw(st.sampled_from([0, 10, 30]))),
        grid_charge=draw(st.booleans()),
        ev=ev,
    )


@given(requests())
@settings(max_examples=120, deadline=None)
def test_every_plan_keeps_the_energy_balance_and_the_ratings(request: PlanRequest) -> None:
    plan = solve(request)
    assert plan.status in {"optimal", "feasible"}
    assert violations(plan, request) == []


@given(requests())
@settings(max_examples=80, deadline=None)
def test_a_plan_never_widens_a_grid_limit(request: PlanRequest) -> None:
    plan = solve(request)
    for slot, import_limit_w, export_limit_w in zip(
        plan.slots, request.import_limit_w, request.export_limit_w, strict=True
    ):
        assert slot.grid_w is not None
        for side, grid_w, limit_w in (
            ("import", slot.grid_w, import_limit_w),
            ("export", -slot.grid_w, export_limit_w),
        ):
            if limit_w is not None and grid_w > limit_w + 25.0:
                assert any(reason.startswith(f"{side} limit: exceeded") for reason in plan.reasons)


@given(requests(), st.integers(0, 60).map(lambda x: 100.0 * x))
@settings(max_examples=60, deadline=None)
def test_a_tighter_import_limit_never_costs_less(request: PlanRequest, limit_w: float) -> None:
    request = replace(request, ev=())
    loose, _ = problem_of(request)
    tight = replace(loose, import_limit_kw=np.minimum(loose.import_limit_kw, limit_w / 1000.0))
    free, bound = optimise(loose), optimise(tight)
    assert bound.objective >= free.bound - 1e-6


@given(requests(), st.integers(0, SLOTS - 1), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_a_better_price_never_costs_more(request: PlanRequest, at: int, cents: int) -> None:
    """The end value of storage and the penalties stand still; only the price moves."""
    before, _ = problem_of(replace(request, ev=(), import_limit_w=(None,) * SLOTS, export_limit_w=(None,) * SLOTS))
    before = replace(before, stores=tuple(replace(b, floor_kwh=0.0) for b in before.stores))
    cheaper = before.import_price.copy()
    cheaper[at] -= cents / 100
    after = optimise(replace(before, import_price=cheaper))
    drift = 1e-3 * 2 * SLOTS  # of two equal choices the earlier: far below money, but scaled by the largest price
    assert after.bound <= optimise(before).objective + drift


@given(requests())
@settings(max_examples=80, deadline=None)
def test_power_never_flows_both_ways_at_once(request: PlanRequest) -> None:
    arrays, _ = problem_of(request)
    solution = optimise(arrays)
    assert float(np.minimum(solution.imported_kw, solution.exported_kw).max()) <= NOISE_KW
    for battery in solution.stores:
        assert float(np.minimum(battery.charge_kw, battery.discharge_kw).max()) <= 2 * NOISE_KW


@given(requests())
@settings(max_examples=60, deadline=None)
def test_no_battery_is_emptied_into_a_car(request: PlanRequest) -> None:
    for slot in solve(request).slots:
        assert slot.load_w is not None
        assert slot.pv_w is not None
        assert slot.grid_w is not None
        discharge = max(-slot.power_w["battery"], 0.0)
        if slot.power_w.get("car", 0.0) > 0.0 and slot.import_price_per_kwh is not None:
            assert discharge <= max(slot.load_w + slot.pv_w, 0.0) + max(-slot.grid_w, 0.0) + 1.0 or _free(request)


def _free(request: PlanRequest) -> bool:
    """Where feeding in pays as much as buying costs, energy through the meter and back is the same money."""
    pairs = zip(request.import_price_per_kwh, request.export_price_per_kwh, strict=True)
    return any(export >= price for price, export in pairs)


@given(requests())
@settings(max_examples=60, deadline=None)
def test_a_battery_that_must_not_take_from_the_grid_takes_only_surplus(request: PlanRequest) -> None:
    request = replace(request, grid_charge={"battery": False})
    for slot, load_w, pv_w in zip(solve(request).slots, request.load_w, request.pv_w, strict=True):
        assert slot.power_w["battery"] <= max(pv_w - load_w, 0.0) + 0.2


@given(requests())
@settings(max_examples=60, deadline=None)
def test_the_reserve_is_kept_and_below_it_nothing_more_is_taken(request: PlanRequest) -> None:
    floor = min(request.reserve_pct["battery"], request.soc_pct["battery"])
    assert all(slot.soc_pct["battery"] >= floor - 0.02 for slot in solve(request).slots)


@given(st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_a_deadline_is_met_whenever_the_power_allows(quarters: int, wanted_kwh: int) -> None:
    due = START + quarters * STEP
    request = problem(16, price=[0.4] * 12 + [0.1] * 4, resources=(CAR,), ev=(EvNeed("car", wanted_kwh * 1e3, due),))
    plan = solve(request)
    possible_wh = 11040.0 * (due - START) / timedelta(hours=1)
    assert abs(charged_wh(plan, "car", due) - min(possible_wh, wanted_kwh * 1e3)) < 20.0
    late = [reason for reason in plan.reasons if "will be missing" in reason]
    assert bool(late) == (possible_wh < wanted_kwh * 1e3 - 50.0)
