"""The bench ties the real gateway to the simulated home."""

from pathlib import Path

import pytest

from cem.model.resource import Role
from cem.simulation.grid import GridSide, Order, Signal
from cem.simulation.harness import Bench
from cem.simulation.plant import Home, open_home

HOMES = Path(__file__).resolve().parents[2] / "hw-sim" / "homes"


@pytest.fixture(scope="module")
def demo() -> Home:
    return open_home(HOMES / "demo.toml")


def test_the_gateway_sees_what_the_plant_does(demo: Home) -> None:
    with Bench(demo, seed=3) as bench:
        for step in bench.steps(60):
            last = step
        assert last.inputs is not None
        meter = bench.site_file.site.of(Role.GRID)[0].id
        seen = last.inputs.snapshot.number(meter, "power_w", 10.0)
        assert seen is not None
        assert bench.status().flow.grid_w == seen
        assert {device.health for device in bench.status().devices} == {"online"}


def test_the_status_tells_how_often_which_device_told_what_cannot_be_true(demo: Home) -> None:
    with Bench(demo, seed=3) as bench:
        bench.advance(20)
        bench.plant.faults.inject("battery", "spike", value=9e6)
        bench.advance(3)
        bench.plant.faults.clear("battery", "spike")
        bench.advance(20)
        told = {r.id: (r.dropped, r.dropped_at, r.dropped_why) for d in bench.status().devices for r in d.resources}
        count, at, why = told.pop("battery")
        assert 1 <= count <= 3
        assert at is not None
        assert 18 <= (bench.status().at - at).total_seconds() <= 23
        assert "7500 W cannot be" in why
        assert set(told.values()) == {(0, None, "")}


def test_the_same_seed_gives_the_same_run(demo: Home) -> None:
    def run() -> list[float]:
        with Bench(demo, seed=5) as bench:
            return [step.truth.grid_w for step in bench.steps(300)]

    assert run() == run()


def test_a_killed_gateway_hands_nothing_back_and_a_stopped_one_does(demo: Home) -> None:
    with Bench(demo, seed=3) as bench:
        bench.advance(60)
        before = dict(bench.wire.writes)
        assert before
        bench.kill()
        bench.advance(5)
        assert bench.wire.writes == before
        bench.restart()
        bench.advance(60)
        before = dict(bench.wire.writes)
        bench.stop()
        assert bench.wire.writes != before
        after = dict(bench.wire.writes)
        bench.advance(30)
        assert bench.wire.writes == after


def test_a_limit_of_the_grid_reaches_the_meter_through_a_vtn_in_the_same_loop(demo: Home) -> None:
    order = Order(Signal.IMPORT_LIMIT_W, (4200.0,), 300.0, 600.0, "limits", ahead_s=120.0)
    with Bench(demo, seed=3, grids=[GridSide(orders=(order,))]) as bench:
        powers = [step.truth.grid_w for step in bench.steps(1200)]
    assert max(powers[60:290]) > 8000.0  # the car charges at night
    assert max(powers[320:895]) <= 4200.0 + 84.0  # a kettle may show for a second
    assert max(powers[960:]) > 8000.0


def test_a_cut_grid_link_is_seen_and_heals(demo: Home) -> None:
    with Bench(demo, seed=3, grids=[GridSide(poll_s=5.0)]) as bench:
        bench.advance(30)
        assert bench.status().links[0].state == "online"
        bench.grids["utility"].connected = False
        bench.advance(300)
        assert bench.status().links[0].state != "online"
        bench.grids["utility"].connected = True
        bench.advance(300)
        assert bench.status().links[0].state == "online"


@pytest.mark.parametrize("step_s", [30.0, 60.0])
def test_in_long_steps_no_device_falls_silent(demo: Home, step_s: float) -> None:
    with Bench(demo, seed=3, step_s=step_s, plan=False) as bench:
        bench.advance(5 * step_s)
        for _ in bench.steps(10 * step_s):
            assert {device.health for device in bench.status().devices} == {"online"}
