"""A battery that the owner or the grid tells what to do does not give way to what the house does of itself."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cem.control import Memory, decide
from cem.control.memory import ChargerMemory
from cem.model.directive import ChargeTarget, Directive, Dispatch
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Value
from cem.model.request import RequestKind, UserRequest
from cem.model.setpoint import Decision
from cem.model.site import ControlPolicy, Site
from cem.model.tick import Inputs
from support.houses import BATTERY, CAR, GRID, NOON, SECOND_BATTERY, house, inputs, of, plan, snapshot, watts

MAY, MUST = Rank.PROGRAMME, Rank.OBLIGATION
LIMIT = Envelope(SITE, None, 3000.0, MUST, "utility", "import limit")
EXPORT_LIMIT = Envelope(SITE, -1000.0, None, MUST, "utility", "export limit")
ENOUGH_S = 30


def charge_now(resource_id: str) -> tuple[UserRequest, ...]:
    """The owner's word."""
    return (UserRequest("1", resource_id, RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON),)


def told(power_w: float, rank: Rank = MAY) -> Directive:
    """A power that is asked of one battery."""
    return Directive(dispatches=(Dispatch("battery", power_w, rank, "utility", "utility asks", None),))


def target(rank: Rank, subject: str = "battery") -> Directive:
    """A state of charge above the present one."""
    return Directive(charges=(ChargeTarget(subject, 90.0, None, rank, "utility", "utility asks", None),))


def at(
    second: float, powers_w: dict[str, float], load_w: float, directive: Directive, car: str | None = None
) -> Inputs:
    """A house in which the batteries follow; `car`: the state of a car that takes 4.1 kW, None: nobody tells."""
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": load_w + sum(powers_w.values()) + (4140.0 if car != "B" else 0.0)}
    }
    values |= {key: {"power_w": power_w, "soc_pct": 50.0} for key, power_w in powers_w.items()}
    if car is not None:
        values["car"] = {"power_w": 4140.0 if car == "C" else 0.0, "state": car}
    wall = NOON + timedelta(seconds=second)
    return inputs(snapshot(values, mono_s=1000.0 + second), directive=directive, wall=wall)


def waiting(
    site: Site, then: Directive, *, limit: Envelope = LIMIT, load_w: float = 4000.0, **more: Any
) -> tuple[Decision, Memory]:
    """Half a minute after a limit ended: the house waits by chance, and something is asked."""
    site = replace(site, identity="house", policy=ControlPolicy(spread_s=600.0))
    memory, powers_w = Memory(), {b.id: 0.0 for b in site.resources if b.role is BATTERY.role}
    for second in range(ENOUGH_S):
        decision, memory = decide(site, at(second, powers_w, load_w, Directive(envelopes=(limit,)), "B"), memory)
        powers_w = {key: watts(decision, key) for key in powers_w}
    for second in range(ENOUGH_S, 2 * ENOUGH_S):
        decision, memory = decide(site, replace(at(second, powers_w, load_w, then, "B"), **more), memory)
        powers_w = {key: watts(decision, key) for key in powers_w}
    assert memory.releases
    return decision, memory


@pytest.mark.parametrize(
    ("then", "requests", "rank", "power_w"),
    [
        (told(2000.0), (), MAY, 2000.0),
        (told(2000.0, MUST), (), MUST, 2000.0),
        (target(MAY), (), MAY, 5000.0),
        (target(MUST, SITE), (), MUST, 5000.0),
        (Directive(), charge_now("battery"), Rank.USER, 5000.0),
    ],
)
def test_a_wait_does_not_hold_back_a_battery_that_is_told_to_charge(
    then: Directive, requests: tuple[UserRequest, ...], rank: Rank, power_w: float
) -> None:
    decision, _ = waiting(house(GRID, BATTERY), then, requests=requests)
    assert watts(decision, "battery") == pytest.approx(power_w, abs=25)
    assert "by chance" not in of(decision, "battery").reason


def test_nor_one_that_is_told_to_give_but_it_does_one_that_is_not_told() -> None:
    decision, _ = waiting(house(GRID, BATTERY), told(-3000.0), limit=EXPORT_LIMIT, load_w=500.0)
    assert watts(decision, "battery") == pytest.approx(-3000.0, abs=25)
    buys = plan({"battery": Intent(IntentKind.CHARGE_TO, 90.0)})
    decision, _ = waiting(house(GRID, BATTERY), Directive(), plan=buys, load_w=1000.0)
    assert watts(decision, "battery") == pytest.approx(2000.0, abs=25)
    assert "by chance" in of(decision, "battery").reason


def test_what_one_battery_is_told_to_take_comes_on_top_and_no_other_one_gives_it() -> None:
    buys = plan({"second": Intent(IntentKind.CHARGE_TO, 90.0)})
    for load_w, second_w in ((1000.0, 2000.0), (4000.0, 0.0)):
        decision, _ = waiting(house(GRID, BATTERY, SECOND_BATTERY), told(2000.0), plan=buys, load_w=load_w)
        assert watts(decision, "battery") == pytest.approx(2000.0, abs=25)
        assert watts(decision, "second") == pytest.approx(second_w, abs=25)


@pytest.mark.parametrize(("power_w", "other"), [(-1500.0, IntentKind.CHARGE_TO), (1500.0, IntentKind.DISCHARGE_TO)])
def test_a_battery_that_is_told_what_to_do_does_not_stand_still_for_one_that_is_only_planned(
    power_w: float, other: IntentKind
) -> None:
    site, memory = house(GRID, BATTERY, SECOND_BATTERY), Memory()
    powers_w = {"battery": 0.0, "second": 0.0}
    planned = plan({"second": Intent(other, 10.0 if other is IntentKind.DISCHARGE_TO else 90.0)})
    for second in range(ENOUGH_S):
        given = replace(at(second, powers_w, 500.0, told(power_w), "B"), plan=planned)
        decision, memory = decide(site, given, memory)
        powers_w = {key: watts(decision, key) for key in powers_w}
    assert powers_w == {"battery": pytest.approx(power_w, abs=25), "second": 0.0}


def test_a_battery_is_not_emptied_into_a_car_that_nobody_reads_to_keep_a_limit_that_is_over() -> None:
    site = replace(house(GRID, BATTERY, CAR), identity="house", policy=ControlPolicy(spread_s=600.0))
    power_w, memory = 0.0, Memory()
    for second in range(3 * ENOUGH_S):
        limited = Directive(envelopes=(LIMIT,)) if second < ENOUGH_S else Directive()
        car = "B" if second < 2 * ENOUGH_S else None
        decision, memory = decide(site, at(second, {"battery": power_w}, 500.0, limited, car), memory)
        power_w = watts(decision, "battery")
    assert memory.releases
    assert power_w == pytest.approx(-500.0, abs=25)


@pytest.mark.parametrize(("told_s_ago", "gives_w"), [(1.0, -500.0), (30.0, -5000.0)])
def test_what_a_car_is_about_to_leave_no_battery_gives_where_nothing_may_be_fed_in(
    told_s_ago: float, gives_w: float
) -> None:
    image = snapshot(
        {
            "grid": {"power_w": 11040.0},
            "battery": {"power_w": -500.0, "soc_pct": 50.0},
            "car": {"power_w": 11040.0, "state": "C"},
        }
    )
    nothing = Envelope(SITE, 0.0, 0.0, MUST, "utility", "neither import nor export")
    left = ChargerMemory(0.0, switched_at_s=1000.0 - told_s_ago, closed=True)
    memory = Memory(chargers={"car": left}, batteries_w={"battery": -500.0}, decided_at_s=999.0)
    decision, _ = decide(house(GRID, BATTERY, CAR), inputs(image, directive=Directive(envelopes=(nothing,))), memory)
    assert watts(decision, "car") == 0.0
    assert watts(decision, "battery") == pytest.approx(gives_w, abs=1.0)
