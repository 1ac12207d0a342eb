"""Charge targets, changes and set points of single devices, down to the set points."""

from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.control.memory_json import from_json, to_json
from cem.model.directive import ChargeTarget, Directive, Dispatch, WeightWindow
from cem.model.envelope import SITE, Rank
from cem.model.resource import Control
from support.houses import NOON, house, inputs, of, settled, watts, world

TARGET = ChargeTarget(SITE, 80.0, None, Rank.PROGRAMME, "utility", "utility: hold 80 %", None)


@pytest.mark.parametrize(
    ("soc_pct", "target", "expected_w"),
    [
        (50.0, TARGET, 5000.0),  # below: charges from the grid as well
        (80.0, TARGET, 0.0),  # there: neither stores nor covers
        (90.0, TARGET, -500.0),  # above: covers the house down to it
        (50.0, replace(TARGET, soc_pct=None, energy_wh=4000.0), -500.0),  # 40 % of 10 kWh
        (50.0, replace(TARGET, subject="elsewhere"), -500.0),
    ],
)
def test_a_battery_goes_to_its_charge_target(soc_pct: float, target: ChargeTarget, expected_w: float) -> None:
    given = inputs(world(soc_pct=soc_pct), directive=Directive(charges=(target,)))
    decision, _ = settled(house(), given)
    assert watts(decision, "battery") == pytest.approx(expected_w, abs=60)


def test_a_change_counts_against_the_power_at_its_beginning_also_after_a_restart() -> None:
    asked = Dispatch(SITE, -300.0, Rank.PROGRAMME, "utility", "take less, by 0.3 kW", None, NOON, change=True)
    given = inputs(world(), directive=Directive(dispatches=(asked,)))
    decision, memory = settled(house(), given)
    assert watts(decision, "battery") == pytest.approx(-300.0, abs=60)
    later = inputs(world(battery_w=-300.0), directive=Directive(dispatches=(asked,)))
    kept = from_json(to_json(memory, later.now), later.now)
    decision, memory = settled(house(), later, memory=kept)
    assert watts(decision, "battery") == pytest.approx(-300.0, abs=60)
    _, memory = decide(house(), inputs(world()), memory)
    assert memory.begun_w == {}


def test_a_power_asked_of_a_car_or_a_roof_bounds_it() -> None:
    asked = (
        Dispatch("car", 2500.0, Rank.PROGRAMME, "utility", "car at most 2.5 kW", None),
        Dispatch("pv", -1000.0, Rank.PROGRAMME, "utility", "roof at most 1 kW", None),
    )
    image = world(pv_w=-6000.0, car_state="C", car_w=4000.0, car_limit_a=16.0)
    decision, _ = settled(house(), inputs(image, directive=Directive(dispatches=asked)))
    assert of(decision, "pv", Control.PV_LIMIT_W).value == 1000.0
    assert (of(decision, "car").value or 0.0) * 3 * 230 <= 2500.0


def test_a_load_shape_makes_energy_count_as_dearer_now() -> None:
    window = WeightWindow(NOON, None, None, 0.0, "utility")
    _, memory = decide(house(), inputs(world(), directive=Directive(weights=(window,))), Memory())
    assert memory.prices is not None
    assert memory.prices.import_per_kwh == pytest.approx(0.34 + 0.1)
