"""A dark house comes back without the grid: battery, gateway, loads by priority, roofs last."""

from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.control.tuning import BLACK_START_SETTLE_S, BLACK_START_STEP_S
from cem.model.directive import Directive, GridPresence
from cem.model.reading import Snapshot, Value
from support.houses import BATTERY, BOILER, GRID, HEAT_PUMP, PV, house, inputs, of, snapshot, watts

ISLAND = Directive(grid=GridPresence.ISLANDED)
PUMP = replace(BOILER, id="pump", priority=2)
STORE = replace(BATTERY, ratings=replace(BATTERY.ratings, max_charge_w=10_000.0, max_discharge_w=10_000.0))
HOME = house(GRID, PV, STORE, HEAT_PUMP, BOILER, PUMP)


def at(second: float, *, battery: bool, soc_pct: float = 60.0, roof_w: float | None = 0.0) -> Snapshot:
    """The house in an island; without voltage nothing but the meter is read."""
    values: dict[str, dict[str, Value]] = {"grid": {"power_w": 0.0}}
    if battery:
        values |= {
            "battery": {"power_w": -400.0, "soc_pct": soc_pct},
            "heat_pump": {"power_w": 0.0},
            "boiler": {"power_w": 0.0},
            "pump": {"power_w": 0.0},
        }
    if roof_w is not None:
        values["pv"] = {"power_w": -roof_w}
    return snapshot(values, mono_s=second)


def served(memory: Memory, second: float, soc_pct: float = 60.0) -> tuple[list[str], bool, Memory]:
    """The loads that may run, and whether the roof may give."""
    decision, memory = decide(HOME, inputs(at(second, battery=True, soc_pct=soc_pct), directive=ISLAND), memory)
    on = [key for key in ("pump", "boiler") if of(decision, key).value is None]
    on += ["heat_pump"] if watts(decision, "heat_pump") != 1 else []
    limit_w = of(decision, "pv").value
    return sorted(on), limit_w is None or limit_w > 0.0, memory


def dark() -> Memory:
    """The memory after an hour in the dark."""
    memory = Memory()
    for second in (0.0, 3600.0):
        _, memory = decide(HOME, inputs(at(second, battery=False, roof_w=None), directive=ISLAND), memory)
    return memory


def test_a_black_start_adds_one_load_after_the_other_and_the_roof_last() -> None:
    memory = dark()
    seen: list[tuple[int, list[str], bool]] = []
    for second in range(3601, 3700):
        on, roof, memory = served(memory, float(second))
        if not seen or (on, roof) != seen[-1][1:]:
            seen.append((second - 3601, on, roof))
    first, step = int(BLACK_START_SETTLE_S), int(BLACK_START_STEP_S)
    assert seen == [
        (0, [], False),
        (first, ["pump"], False),
        (first + step, ["heat_pump", "pump"], False),
        (first + 2 * step, ["boiler", "heat_pump", "pump"], False),
        (first + 3 * step, ["boiler", "heat_pump", "pump"], True),
    ]


def test_a_black_start_at_the_reserve_serves_no_load_and_opens_the_roof_all_the_same() -> None:
    memory = dark()
    for second in range(3601, 3700):
        on, roof, memory = served(memory, float(second), soc_pct=10.0)
        assert on == []
    assert roof


@pytest.mark.parametrize("roof_w", [0.0, 3000.0])
def test_an_island_that_a_battery_carries_from_its_first_second_on_is_no_black_start(roof_w: float) -> None:
    decision, memory = decide(HOME, inputs(at(10.0, battery=True, roof_w=roof_w), directive=ISLAND), Memory())
    assert memory.formed_at_s is None
    assert of(decision, "pump").value is None


def test_a_battery_that_is_silent_while_the_roof_gives_is_no_dark_house() -> None:
    _, memory = decide(HOME, inputs(at(10.0, battery=True, roof_w=3000.0), directive=ISLAND), Memory())
    decision, memory = decide(HOME, inputs(at(60.0, battery=False, roof_w=3000.0), directive=ISLAND), memory)
    assert not memory.unformed
    assert of(decision, "pv").value != 0.0


def test_a_black_start_is_over_with_the_grid() -> None:
    _, _, memory = served(dark(), 3601.0)
    assert memory.formed_at_s == 3601.0
    connected = Directive(grid=GridPresence.CONNECTED)
    for second in (3610.0, 3920.0):
        _, memory = decide(HOME, inputs(at(second, battery=True), directive=connected), memory)
    assert (memory.islanded, memory.formed_at_s, memory.unformed) == (False, None, False)
