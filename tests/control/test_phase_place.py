"""What draws on a phase must show there; where it does not, the worst phase counts for the fuse."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cem.control import Memory, decide
from cem.model.reading import Snapshot, Value
from cem.model.resource import Ratings
from cem.model.setpoint import Decision
from cem.model.site import ElectricalConnection
from cem.simulation.harness import Bench
from cem.simulation.plant import open_home
from support.houses import BATTERY, CAR, GRID, PV, house, inputs, snapshot, watts
from support.virtual_home import HOMES

ONE_PHASE = replace(CAR, ratings=Ratings(max_current_a=16, phases=1, phase=1))
HOME = house(GRID, ONE_PHASE, connection=ElectricalConnection(fuse_a=25))


def shown(phases_a: tuple[float, float, float], car_a: float, mono_s: float) -> Snapshot:
    """The meter's phases while the car draws so much."""
    grid: dict[str, Value] = {"power_w": 230.0 * sum(phases_a)}
    grid |= {f"power_l{n}_w": 230.0 * amps for n, amps in enumerate(phases_a, 1)}
    car: dict[str, Value] = {"power_w": 230.0 * car_a, "current_a": car_a, "state": "C"}
    return snapshot({"grid": grid, "car": car}, mono_s=mono_s)


def seconds(count: int, phases_a: tuple[float, float, float], car_a: float, memory: Memory) -> tuple[Decision, Memory]:
    """So many seconds of the same."""
    began_s = memory.decided_at_s or 1000.0
    for second in range(1, count + 1):
        decision, memory = decide(HOME, inputs(shown(phases_a, car_a, began_s + second)), memory)
    return decision, memory


def test_a_car_that_does_not_show_on_its_phase_is_bounded_by_the_worst_one() -> None:
    decision, memory = seconds(30, (24.0, 2.0, 0.0), 9.0, Memory())
    assert watts(decision, "car") == 9
    assert not decision.notes
    decision, memory = seconds(8, (2.0, 0.0, 24.0), 9.0, memory)
    assert watts(decision, "car") == 9
    assert "changed places" in decision.notes["grid"]
    decision, memory = seconds(30, (24.0, 2.0, 0.0), 9.0, memory)
    assert decision.notes  # not believed again so soon: while the car pauses nothing can be seen


def test_a_moment_in_which_meter_and_car_are_apart_is_no_doubt() -> None:
    _, memory = seconds(30, (3.0, 2.0, 0.0), 0.0, Memory())
    decision, memory = seconds(4, (3.0, 2.0, 0.0), 16.0, memory)  # the meter comes late
    decision, _ = seconds(60, (19.0, 2.0, 0.0), 16.0, memory)
    assert not decision.notes


@pytest.mark.parametrize("sun_w", [0.0, -3600.0])
def test_what_the_sun_and_a_battery_give_on_the_phase_is_counted(sun_w: float) -> None:
    sun = replace(PV, ratings=Ratings(max_generation_w=4000, phases=1, phase=1))
    store = replace(BATTERY, ratings=replace(BATTERY.ratings, phases=1, phase=1))
    site, memory = house(GRID, ONE_PHASE, sun, store), Memory()
    phase_w = 230.0 * 16 + sun_w - 1500.0 + 300.0
    for second in range(60):
        image = snapshot(
            {
                "grid": {"power_w": phase_w, "power_l1_w": phase_w, "power_l2_w": 0.0, "power_l3_w": 0.0},
                "car": {"power_w": 230.0 * 16, "current_a": 16.0, "state": "C"},
                "pv": {"power_w": sun_w},
                "battery": {"power_w": -1500.0, "soc_pct": 50.0},
            },
            mono_s=1000.0 + second,
        )
        decision, memory = decide(site, inputs(image), memory)
    assert not decision.notes


def test_in_a_home_with_everything_on_phases_of_their_own_nothing_is_doubted() -> None:
    began = datetime(2026, 6, 15, 9, 0, tzinfo=UTC)
    with Bench(open_home(HOMES / "small-fuse.toml"), start=began, seed=5) as bench:
        for step in bench.steps(1800):
            assert step.decision is None or not step.decision.notes
