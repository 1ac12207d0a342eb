"""What a plan promised and what came, and when the rules are the better plan."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from cem.model.plan import Intent, IntentKind, Plan, PlanRequest, Slot
from cem.model.resource import Resource, Role
from cem.model.site import BatteryPolicy, ElectricalConnection, Site
from cem.model.tariff import Tariff
from cem.planning.honesty import Came, Day, Score, Verdict, alike_in, judged, promise_of, refill_price, score_of
from cem.planning.solve import solve
from support.planning import BATTERY, CAR, PV, problem

DAY = date(2026, 1, 15)
MIDNIGHT = datetime(2026, 1, 15, tzinfo=UTC)
SITE = Site(
    name="house",
    zone="UTC",
    connection=ElectricalConnection(),
    tariff=Tariff("UTC", "EUR", 0.30, 0.08),
    resources=(Resource("meter", Role.GRID, "meter", "Meter"), BATTERY, PV, CAR),
    batteries=(BatteryPolicy("battery", reserve_pct=0.0),),
)
PRICES = [0.10] * 48 + [0.40] * 48


def _request(start: datetime = MIDNIGHT) -> PlanRequest:
    return problem(104, price=[*PRICES, *[0.10] * 8], load_w=1000.0, soc_pct=0.0, reserve_pct=0.0, start=start)


def _plan(request: PlanRequest) -> Plan:
    return solve(request)


def _quarters(values: list[float]) -> dict[int, float]:
    begin = int(MIDNIGHT.timestamp())
    return {begin + 900 * k: value for k, value in enumerate(values)}


def _minutes(values: list[float]) -> dict[int, float]:
    begin = int(MIDNIGHT.timestamp())
    return {begin + 60 * k: values[k // 15] for k in range(1440)}


def _came(grid_w: list[float], battery_w: list[float], levels: tuple[float, float], car_w: float = 0.0) -> Came:
    begin = int(MIDNIGHT.timestamp())
    prices = {begin + 900 * k: (price, 0.08) for k, price in enumerate(PRICES)}
    powers = {"battery": _quarters(battery_w), "pv": _quarters([0.0] * 96), "car": _quarters([car_w] * 96)}
    return Came(prices, _minutes(grid_w), powers, {"battery": levels})


def test_a_day_is_promised_by_the_plan_that_sees_all_of_it() -> None:
    request = _request()
    promise = promise_of(request, _plan(request), MIDNIGHT, MIDNIGHT + timedelta(days=1))
    assert promise is not None
    assert promise.export_wh == pytest.approx(0.0, abs=1.0)
    flat = 12 * 0.1 + 12 * 0.4
    assert promise.cost < flat - 1.5  # 10 kWh go from the cheap half into the dear one


@pytest.mark.parametrize("late_h", [-1.0, 1.0])
def test_a_plan_that_does_not_begin_with_the_day_promises_nothing(late_h: float) -> None:
    request = _request(MIDNIGHT + timedelta(hours=late_h))
    assert promise_of(request, _plan(request), MIDNIGHT, MIDNIGHT + timedelta(days=1)) is None


def test_a_plan_by_rules_promises_nothing() -> None:
    request = _request()
    plan = replace(_plan(request), status="rules")
    assert promise_of(request, plan, MIDNIGHT, MIDNIGHT + timedelta(days=1)) is None


def test_what_came_is_paid_by_the_minute_and_what_is_left_in_the_battery_counts() -> None:
    charged = [3000.0] * 8 + [1000.0] * 88
    score = score_of(SITE, DAY, "plan", None, _came(charged, [2000.0] * 8 + [0.0] * 88, (0.0, 38.0)), counts=True)
    assert score is not None
    stored = 3.8 * refill_price(PRICES)
    assert score.came.cost == pytest.approx(16 * 0.1 + 12 * 0.4 - stored)
    assert score.came.import_wh == pytest.approx(28000.0)
    assert score.rules_cost == pytest.approx(12 * 0.1 + 12 * 0.4)  # no sun: by rule the battery does nothing


def test_by_rule_the_battery_covers_the_house_and_never_the_car() -> None:
    came = _came([2000.0] * 96, [0.0] * 96, (50.0, 50.0), car_w=1000.0)
    score = score_of(SITE, DAY, "plan", None, came, counts=True)
    assert score is not None
    covered = 5.0 * 0.95  # of the battery, in the first hours
    assert score.came.cost == pytest.approx(24 * 0.1 + 24 * 0.4)
    assert score.rules_cost == pytest.approx(24 * 0.1 + 24 * 0.4 - covered * 0.1 + 5.0 * refill_price(PRICES))


@pytest.mark.parametrize("full_pct", [50.0, 56.0])
def test_what_is_bought_and_sold_within_a_quarter_hour_and_a_batterys_losses_are_no_fault_of_the_plan(
    full_pct: float,
) -> None:
    """The battery did what it does by rule: some minutes behind the house, and with more losses than reckoned."""
    came = _came([0.0] * 19 + [1000.0] * 77, [-1000.0] * 19 + [0.0] * 77, (full_pct, 0.0))
    wavers = {at: watts + (3000.0, -3000.0, 0.0)[at // 60 % 3] for at, watts in came.grid_w.items()}
    score = score_of(SITE, DAY, "plan", None, replace(came, grid_w=wavers), counts=True)
    assert score is not None
    exactly = 0.25 * 29 * 0.10 + 12 * 0.40 + full_pct / 10.0 * refill_price(PRICES)
    assert score.came.cost > exactly + 0.09
    assert score.rules_cost == pytest.approx(score.came.cost, abs=0.01)


def _told(*kinds: tuple[float, IntentKind]) -> Plan:
    """A plan of one battery, from midnight on: (until which hour, what it is asked for)."""
    slots, begin = [], MIDNIGHT
    for hour, kind in kinds:
        end = MIDNIGHT + timedelta(hours=hour)
        slots.append(Slot(begin, end, {"battery": Intent(kind)}))
        begin = end
    return Plan(MIDNIGHT, begin, tuple(slots), "optimal")


def test_a_plan_is_like_the_rules_in_the_quarter_hours_in_which_it_asks_for_nothing_else() -> None:
    asked = _told((1.1, IntentKind.SELF_CONSUME), (1.2, IntentKind.HOLD), (2.0, IntentKind.SELF_CONSUME))
    begin = int(MIDNIGHT.timestamp())
    same = [at for (_, at), same in sorted(alike_in(asked, ["battery"]).items()) if same]
    assert same == [begin + 900 * k for k in (0, 1, 2, 3, 5, 6, 7)]


def test_a_day_on_which_the_plan_asked_for_what_the_rules_ask_for_costs_what_the_rules_cost() -> None:
    """The battery was full by 97 %, fed in and took from the grid within quarter hours, and lost more than usual."""
    ran_w = [2000.0] * 16 + [900.0, -700.0] * 24 + [-1500.0] * 16 + [0.0] * 16
    came = _came([300.0, -400.0] * 48, ran_w, (20.0, 30.0))
    every = {"battery": frozenset(came.prices)}
    blamed = score_of(SITE, DAY, "plan", None, came, counts=True)
    fair = score_of(SITE, DAY, "plan", None, replace(came, alike=every), counts=True)
    assert blamed is not None
    assert fair is not None
    assert blamed.rules_cost < blamed.came.cost - 0.02
    assert fair.rules_cost == pytest.approx(fair.came.cost)


def test_what_a_held_battery_did_not_cover_counts_though_the_rest_of_the_day_was_like_the_rules() -> None:
    held = [*range(48, 52)]
    came = _came(
        [1000.0 if k in held else 0.0 for k in range(96)],
        [0.0 if k in held else -300.0 for k in range(96)],
        (90.0, 15.0),
    )
    alike = {"battery": frozenset(at for k, at in enumerate(sorted(came.prices)) if k not in held)}
    score = score_of(SITE, DAY, "plan", None, replace(came, alike=alike), counts=True)
    assert score is not None
    assert score.rules_cost == pytest.approx(score.came.cost - 1.0 * 0.40 + 1.0 / 0.95 * refill_price(PRICES), abs=0.01)


def test_a_day_that_was_hardly_recorded_has_no_score() -> None:
    came = _came([1000.0] * 96, [0.0] * 96, (50.0, 50.0))
    half = replace(came, grid_w={at: w for at, w in came.grid_w.items() if at < MIDNIGHT.timestamp() + 43200})
    assert score_of(SITE, DAY, "plan", None, half, counts=True) is None


def _scores(*days: tuple[int, float, float], counts: bool = True) -> list[Score]:
    """(how many, what came, what the rules would have cost) each."""
    found: list[Score] = []
    for count, came, rules in days:
        for _ in range(count):
            day = DAY + timedelta(days=len(found))
            found.append(Score(day, "plan", None, Day(came, 0.0, 0.0, 0.0), rules, counts))
    return found


@pytest.mark.parametrize(
    ("scores", "rules"),
    [
        (_scores((6, 2.0, 1.0)), False),  # too soon to say
        (_scores((7, 2.0, 1.0)), True),
        (_scores((7, 1.0, 1.0)), False),
        (_scores((7, 1.015, 1.0)), False),  # within what is uncertain
        (_scores((30, 1.0, 2.0), (7, 2.0, 1.0)), True),
        (_scores((7, 2.0, 1.0), counts=False), False),
        (_scores((7, 2.0, 1.0), (6, 1.0, 1.0)), True),
        (_scores((7, 2.0, 1.0), (7, 1.0, 1.0)), False),  # the plan is tried again
        (_scores((7, 2.0, 1.0), (7, 1.0, 1.0), (7, 2.0, 1.0), (13, 1.0, 1.0)), True),  # for longer
        (_scores((7, 2.0, 1.0), (7, 1.0, 1.0), (7, 2.0, 1.0), (14, 1.0, 1.0)), False),
    ],
)
def test_the_rules_are_used_while_the_plan_is_no_better(scores: list[Score], rules: bool) -> None:
    verdict = judged(scores)
    assert verdict.rules is rules
    assert bool(verdict.words) is rules


def test_the_verdict_says_what_was_seen_and_until_when_it_holds() -> None:
    verdict = judged(_scores((7, 2.0, 1.0)))
    assert verdict == Verdict(
        True,
        date(2026, 1, 29),
        "over the last 7 days the plan cost 14.00 where the rules would have cost 7.00: the rules are used until "
        "29 Jan, then the plan is tried again",
    )
