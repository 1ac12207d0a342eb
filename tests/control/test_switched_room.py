"""Heat pumps and loads under limits: when there is room for what they begin to take."""

from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.control.memory import SwitchMemory
from cem.model.directive import Directive
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.reading import Value
from cem.model.resource import SgReady
from cem.model.site import ControlPolicy, GuaranteedMinimum, LoadPolicy, LoadRun
from support.houses import (
    BATTERY,
    BOILER,
    CAR,
    GRID,
    HEAT_PUMP,
    PV,
    house,
    inputs,
    limited,
    of,
    snapshot,
    watts,
)

HEATED = house(GRID, HEAT_PUMP)
SUNNY = replace(house(GRID, BOILER), loads=(LoadPolicy("boiler", LoadRun.ON_SURPLUS),))


def test_a_load_begins_under_a_limit_when_the_battery_has_made_room_for_it_and_not_before() -> None:
    """The contact closes at once; a battery that is told at the same time may obey late, or not at all."""
    site = replace(house(GRID, BATTERY, BOILER), loads=(LoadPolicy("boiler", LoadRun.ON_SURPLUS),))
    memory = Memory()
    for second in range(200):
        obeys = second >= 150
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": -2050.0 if obeys else -50.0},
            "battery": {"power_w": 2000.0 if obeys else 4000.0, "soc_pct": 50.0},
            "boiler": {"power_w": 0.0},
        }
        image = snapshot(values, mono_s=1000.0 + second)
        decision, memory = decide(site, inputs(image, directive=limited(0.0)), memory)
        if 100 <= second < 150:
            assert of(decision, "boiler").value == 0.0
            assert "made room" in of(decision, "boiler").reason
            assert watts(decision, "battery") <= 2100.0
        if second == 151:
            break
    assert of(decision, "boiler").value == 1.0


def test_a_heat_pump_stores_the_sun_under_a_limit_when_the_car_has_made_room_for_it_and_not_before() -> None:
    """It may start with the word; the car that is paused for it draws on until its charger has heard that."""
    site = house(GRID, CAR, HEAT_PUMP)
    memory = Memory()
    for second in range(1200):
        drawn_w = 4140.0 if second < 900 else 0.0
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": drawn_w - (4300.0 if second < 700 else 4100.0)},
            "car": {"power_w": drawn_w, "state": "C" if drawn_w else "B"},
            "heat_pump": {"power_w": 0.0},
        }
        image = snapshot(values, mono_s=1000.0 + second)
        decision, memory = decide(site, inputs(image, directive=limited(0.0)), memory)
        pump = of(decision, "heat_pump")
        if 710 <= second < 900:
            assert (watts(decision, "car"), pump.value) == (0.0, SgReady.NORMAL)
            assert "made room" in pump.reason
    assert watts(decision, "heat_pump") == SgReady.RECOMMENDED


@pytest.mark.parametrize("policy", list(GuaranteedMinimum))
def test_a_heat_pump_leaves_the_sun_to_the_battery_where_limits_leave_no_room_for_it_and_nobody_makes_any(
    policy: GuaranteedMinimum,
) -> None:
    """It may start faster than the battery goes down, and a roof that closed for it would give less for nothing."""
    pump = replace(HEAT_PUMP, ratings=replace(HEAT_PUMP.ratings, max_power_w=5000.0))
    site = replace(house(GRID, PV, BATTERY, pump), policy=ControlPolicy(policy))
    nothing = Envelope(SITE, 0.0, 0.0, Rank.OBLIGATION, "utility", "nothing may flow")
    memory = Memory(switches={"heat_pump": SwitchMemory(int(SgReady.NORMAL))}, batteries_w={"battery": 3760.0})
    for second in range(60):
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": 0.0},
            "pv": {"power_w": -6400.0},
            "battery": {"power_w": 3760.0, "soc_pct": 50.0},
            "heat_pump": {"power_w": 2200.0},
        }
        image = snapshot(values, mono_s=1000.0 + second)
        decision, memory = decide(site, inputs(image, directive=Directive(envelopes=(nothing,))), memory)
    assert watts(decision, "heat_pump") == SgReady.NORMAL
    assert "made room" in of(decision, "heat_pump").reason
    assert watts(decision, "battery") == 3760.0
    assert watts(decision, "pv") > 6400.0
