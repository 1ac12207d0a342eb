"""A power that the grid asks of the connection point: what it leaves to consumers, and the return from it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.model.directive import Directive, Dispatch
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.reading import Value
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import SgReady
from cem.model.setpoint import Decision
from cem.model.site import BatteryPolicy, ControlPolicy, GuaranteedMinimum, Site
from cem.model.tick import Inputs
from support.houses import BATTERY, CAR, GRID, HEAT_PUMP, NOON, house, inputs, of, settled, snapshot, watts

CHARGE_NOW = (UserRequest("1", "car", RequestKind.CHARGE_NOW, NOON + timedelta(hours=1), NOON),)
MUST, MAY = Rank.OBLIGATION, Rank.PROGRAMME


def asked(power_w: float, rank: Rank = MUST) -> Directive:
    """A power that is asked of the site."""
    return Directive(dispatches=(Dispatch(SITE, power_w, rank, "utility", f"utility: {power_w:g} W", None),))


def charging(
    mono_s: float = 1000.0, *, load_w: float = 500.0, battery_w: float = 0.0, car_w: float = 11040.0
) -> Inputs:
    """A house whose car draws all that it may."""
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": load_w + car_w + battery_w},
        "battery": {"power_w": battery_w, "soc_pct": 50.0},
        "car": {"power_w": car_w, "state": "C", "limit_a": 16.0},
    }
    return inputs(snapshot(values, mono_s=mono_s), wall=NOON + timedelta(seconds=mono_s - 1000.0))


def second(given: Inputs, directive: Directive, requests: tuple[UserRequest, ...] = ()) -> Inputs:
    """The same moment with what the grid and the owner want."""
    return replace(given, directive=directive, requests=requests)


def after_a_while(site: Site, directive: Directive, requests: tuple[UserRequest, ...] = ()) -> tuple[Decision, Memory]:
    """Ten minutes of charging, then the grid's word."""
    memory = Memory()
    for mono_s in (1000.0, 1001.0, 1600.0):
        _, memory = decide(site, charging(mono_s), memory)
    return decide(site, second(charging(1601.0), directive, requests), memory)


@pytest.mark.parametrize(
    ("power_w", "rank", "requests", "amperes"),
    [
        (-2000.0, MUST, (), 0),  # to give: no car
        (3000.0, MUST, (), 0),  # does not bear its smallest current beside the house
        (6000.0, MUST, (), 7),  # 5500 W are left
        (11600.0, MUST, (), 16),
        (6000.0, MAY, (), 7),
        (6000.0, MUST, CHARGE_NOW, 7),  # nobody opts out of an obligation
        (6000.0, MAY, CHARGE_NOW, 16),  # the owner's word stands above a voluntary programme
    ],
)
def test_what_is_asked_of_the_site_bounds_a_charging_car(
    power_w: float, rank: Rank, requests: tuple[UserRequest, ...], amperes: float
) -> None:
    decision, _ = after_a_while(house(GRID, BATTERY, CAR), asked(power_w, rank), requests)
    assert watts(decision, "car") == amperes
    if amperes < 16:
        assert f"utility: {power_w:g} W" in of(decision, "car").reason


def test_an_obligation_leaves_what_the_law_guarantees() -> None:
    site = house(GRID, CAR)
    site = replace(site, policy=ControlPolicy(guaranteed_minimum=GuaranteedMinimum.PARAGRAPH_14A))
    assert watts(after_a_while(site, asked(-2000.0))[0], "car") == 6
    assert watts(after_a_while(site, asked(-2000.0, MAY))[0], "car") == 0


def test_a_voluntary_programme_waits_for_the_contactor_and_an_obligation_does_not() -> None:
    site = house(GRID, BATTERY, CAR)
    for rank, amperes in ((MAY, 6), (MUST, 0)):
        _, memory = decide(site, charging(), Memory())
        decision, _ = decide(site, second(charging(1001.0), asked(-2000.0, rank)), memory)
        assert watts(decision, "car") == amperes


@pytest.mark.parametrize(
    ("power_w", "rank", "soc_pct", "runs"),
    [
        (-2000.0, MAY, 50.0, True),
        (-2000.0, MUST, 50.0, True),  # the battery gives for both
        (-4000.0, MUST, 50.0, False),  # more than it gives
        (-2000.0, MUST, 5.0, False),  # it is at its reserve
        (-2000.0, MAY, 5.0, True),
    ],
)
def test_a_heat_pump_runs_on_what_batteries_can_give(power_w: float, rank: Rank, soc_pct: float, runs: bool) -> None:
    image = snapshot(
        {
            "grid": {"power_w": 2500.0},
            "battery": {"power_w": 0.0, "soc_pct": soc_pct},
            "heat_pump": {"power_w": 2000.0},
        }
    )
    decision, _ = settled(house(GRID, BATTERY, HEAT_PUMP), inputs(image, directive=asked(power_w, rank)))
    assert (watts(decision, "heat_pump") > SgReady.LOCKED) == runs


def test_when_it_is_asked_no_more_the_house_comes_back_by_its_ramp() -> None:
    site = replace(house(GRID, BATTERY, CAR), policy=ControlPolicy(ramp_w_per_s=20.0))
    _, memory = decide(site, second(charging(), asked(-2000.0)), Memory())
    _, memory = decide(site, second(charging(1400.0, car_w=0.0, battery_w=-2500.0), asked(-2000.0)), memory)
    offers = {}
    for for_s in (1.0, 150.0, 300.0, 600.0):
        image = charging(1400.0 + for_s, car_w=0.0, battery_w=-500.0)
        decision, memory = decide(site, image, memory)
        offers[for_s] = watts(decision, "car") * 690
        assert offers[for_s] + 500.0 <= max(500.0, 20.0 * for_s)
    assert offers[300.0] > 4000.0
    assert offers[600.0] > 10_000.0


def test_a_limit_of_a_moment_has_held_nothing_back() -> None:
    site = replace(house(GRID, BATTERY, CAR), policy=ControlPolicy(spread_s=600.0, ramp_w_per_s=20.0))
    default = Envelope(SITE, None, 4200.0, Rank.OBLIGATION, "utility", "the default limit")
    for held_s, waits in ((2.0, False), (60.0, True)):
        _, memory = decide(site, second(charging(), Directive(envelopes=(default,))), Memory())
        _, memory = decide(site, charging(1000.0 + held_s), memory)
        assert bool(memory.releases) == waits


@pytest.mark.parametrize(("into_car", "given_w"), [(False, 500.0), (True, 5000.0)])
def test_no_battery_is_emptied_into_a_car_by_a_limit_that_is_over(into_car: bool, given_w: float) -> None:
    site = replace(
        house(GRID, BATTERY, CAR),
        policy=ControlPolicy(spread_s=600.0),
        batteries=(BatteryPolicy("battery", reserve_pct=10.0, into_car=into_car),),
    )
    limit = Directive(envelopes=(Envelope(SITE, None, 3000.0, Rank.OBLIGATION, "utility", "import limit", None),))
    _, memory = decide(site, second(charging(), limit), Memory())
    _, memory = decide(site, second(charging(1100.0), limit), memory)
    for mono_s in range(1101, 1130):  # it has not followed the limit yet, and now it is over
        decision, memory = decide(site, charging(float(mono_s), battery_w=-500.0), memory)
    assert memory.releases
    assert -watts(decision, "battery") == pytest.approx(given_w, abs=50)


def test_what_only_the_ramp_keeps_up_says_so() -> None:
    site = replace(house(GRID, BATTERY), policy=ControlPolicy(ramp_w_per_s=20.0))
    image = charging(car_w=0.0, battery_w=-4000.0)
    _, memory = decide(site, second(image, asked(-3500.0)), Memory())
    _, memory = decide(site, second(charging(1001.0, car_w=0.0, battery_w=-4000.0), asked(-3500.0)), memory)
    decision, _ = decide(site, charging(1002.0, car_w=0.0, battery_w=-4000.0), memory)
    assert -watts(decision, "battery") == pytest.approx(3980.0, abs=5)
    assert "20 W a second" in of(decision, "battery").reason
    assert of(decision, "battery").source == "ramp"
