"""A heat pump behind a relay, and its comfort band: least run and rest, cold and warm stores."""

from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.control.guarantee import guaranteed_w
from cem.model.reading import Snapshot, Value
from cem.model.resource import Control, Ratings, Role, SgReady
from cem.model.setpoint import Decision
from cem.model.site import ControlPolicy, GuaranteedMinimum, LoadPolicy, LoadRun, Site
from support.houses import BATTERY, CAR, GRID, HEAT_PUMP, house, inputs, limited, of, settled, snapshot, watts

RELAY_PUMP = replace(HEAT_PUMP, controls=frozenset({Control.LOAD_ON}))
POLICY = LoadPolicy("heat_pump", LoadRun.ON_SURPLUS, 900.0, 1200.0, comfort_min_c=40.0, comfort_max_c=52.0)
SWITCHED = replace(house(GRID, RELAY_PUMP), loads=(POLICY,))
STORING = replace(house(GRID, HEAT_PUMP), loads=(POLICY,))


def felt(grid_w: float, store_c: float | None, heat_w: float = 0.0, mono_s: float = 1000.0) -> Snapshot:
    """What the meter shows beside the heat pump, and its store."""
    pump: dict[str, float | str | None] = {"power_w": heat_w, "temperature_c": store_c}
    return snapshot({"grid": {"power_w": grid_w + heat_w}, "heat_pump": pump}, mono_s=mono_s)


def on_after(site: Site, seconds: int, grid_w: float, store_c: float | None) -> Decision:
    """The decision after so long under the same readings."""
    memory, decision = Memory(), None
    for second in range(seconds):
        decision, memory = decide(site, inputs(felt(grid_w, store_c, mono_s=1000.0 + second)), memory)
    assert decision is not None
    return decision


@pytest.mark.parametrize(
    ("grid_w", "store_c", "on", "words"),
    [
        (500.0, 38.0, 1.0, "heats: 38 °C is below what its owner wants"),  # no sun, and cold
        (500.0, 45.0, 0.0, "waits for the sun"),
        (-4000.0, 45.0, 1.0, "stays on for its minimum time"),
        (-4000.0, 53.0, 0.0, "is warm enough"),
        (500.0, None, 0.0, "waits for the sun"),  # a temperature that nobody knows asks for nothing
        (-4000.0, None, 1.0, "stays on for its minimum time"),
    ],
)
def test_a_relay_follows_sun_and_store(grid_w: float, store_c: float | None, on: float, words: str) -> None:
    decision = on_after(SWITCHED, 90, grid_w, store_c)
    setpoint = of(decision, "heat_pump")
    assert (setpoint.value, setpoint.reason) == (on, words)


def test_it_keeps_its_least_run_though_the_store_is_warm_and_its_least_rest_though_it_is_cold() -> None:
    memory = Memory()
    _, memory = decide(SWITCHED, inputs(felt(500.0, 38.0, mono_s=1000.0)), memory)
    _, memory = decide(SWITCHED, inputs(felt(500.0, 38.0, mono_s=1001.0)), memory)
    values: list[float] = []
    for second in range(2, 3200, 10):
        store_c = 60.0 if second < 1500 else 30.0
        running = values[-1] if values else 1.0
        image = felt(500.0, store_c, 3000.0 * running, 1000.0 + second)
        decision, memory = decide(SWITCHED, inputs(image), memory)
        values.append(watts(decision, "heat_pump"))
    off, again = values.index(0.0), values.index(1.0, values.index(0.0))
    assert off * 10 == pytest.approx(900, abs=15)
    assert (again - off) * 10 == pytest.approx(1200, abs=15)


def test_a_limit_of_the_grid_counts_for_more_than_comfort() -> None:
    decision, _ = settled(SWITCHED, inputs(felt(900.0, 30.0), directive=limited(1000.0)), 3)
    assert watts(decision, "heat_pump") == 0.0


@pytest.mark.parametrize(("store_c", "state"), [(45.0, SgReady.RECOMMENDED), (53.0, SgReady.NORMAL)])
def test_sg_ready_stores_no_more_in_a_warm_store(store_c: float, state: SgReady) -> None:
    decision, _ = settled(STORING, inputs(felt(-6000.0, store_c)), 3)
    assert watts(decision, "heat_pump") == state


def test_a_heat_pump_behind_a_relay_has_its_guaranteed_minimum() -> None:
    pump = replace(RELAY_PUMP, ratings=Ratings(max_power_w=6000.0))
    site = replace(house(GRID, pump), policy=ControlPolicy(GuaranteedMinimum.PARAGRAPH_14A))
    assert pump.role is Role.HEAT_PUMP
    assert guaranteed_w(site) == 4200.0


@pytest.mark.parametrize(
    ("policy", "charges_w", "on"),
    [
        (GuaranteedMinimum.NONE, 3500.0, 0.0),
        (GuaranteedMinimum.NONE, 500.0, 1.0),
        (GuaranteedMinimum.PARAGRAPH_14A, 4500.0, 1.0),
        (GuaranteedMinimum.PARAGRAPH_14A, 5000.0, 0.0),
    ],
)
def test_a_cold_store_waits_for_room_under_a_limit_but_not_for_what_the_law_guarantees_to_all_together(
    policy: GuaranteedMinimum, charges_w: float, on: float
) -> None:
    pump = replace(RELAY_PUMP, ratings=Ratings(max_power_w=3000.0))
    site = replace(house(GRID, CAR, BATTERY, pump), loads=(POLICY,), policy=ControlPolicy(policy))
    assert guaranteed_w(site) == (0.0 if policy is GuaranteedMinimum.NONE else pytest.approx(4200.0 * 1.8))
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": -3000.0 + charges_w},
        "car": {"power_w": 0.0, "state": "A"},
        "battery": {"power_w": charges_w, "soc_pct": 50.0},
        "heat_pump": {"power_w": 0.0, "temperature_c": 30.0},
    }
    decision, _ = settled(site, inputs(snapshot(values), directive=limited(500.0)), 3)
    assert watts(decision, "heat_pump") == on, of(decision, "heat_pump").reason
