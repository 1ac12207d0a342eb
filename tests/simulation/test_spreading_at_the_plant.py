"""After limits, price events and power cuts houses do not start at once: on the real gateway and a simulated home."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cem.model.request import RequestKind, UserRequest
from cem.simulation.grid import GridSide, Order, Signal
from cem.simulation.harness import Bench
from cem.simulation.oracle import Oracle
from cem.simulation.plant import Home, open_home
from cem.simulation.site import answers_for, site_of

HOMES = Path(__file__).resolve().parents[2] / "hw-sim" / "homes"
NIGHT = datetime(2026, 6, 15, 0, 0, tzinfo=UTC)  # the car is plugged and charges
BEGINS_S, LASTS_S, MOST_S = 120.0, 360.0, 600.0
LIMIT = Order(Signal.IMPORT_LIMIT_W, (4200.0,), BEGINS_S, LASTS_S, "limits", ahead_s=60.0)
SPREADS = GridSide(orders=(LIMIT,), poll_s=10.0, settings={"spread_s": MOST_S})


@pytest.fixture(scope="module")
def demo() -> Home:
    return open_home(HOMES / "demo.toml")


def opened(home: Home, name: str) -> Bench:
    """A bench of one of many houses that are alike."""
    site = site_of(home, answers_for(home, name=name))
    return Bench(home, start=NIGHT, seed=3, site=site, grids=[SPREADS])


def returns_s(bench: Bench) -> float:
    """How long after the limit's end the car charges with more than the limit again."""
    bench.advance(BEGINS_S + LASTS_S - 1)
    for second, step in enumerate(bench.steps(MOST_S + 60)):
        if step.truth.ev_w > 4200:
            return float(second)
    raise AssertionError("the car never came back")


@pytest.mark.slow
def test_alike_houses_come_back_at_times_of_their_own(demo: Home) -> None:
    times = []
    for name in ("one", "two", "three"):
        with opened(demo, name) as bench:
            oracle = Oracle(bench)
            times.append(returns_s(bench))
            assert oracle.violations == []
    assert all(0 <= time <= MOST_S + 30 for time in times)
    assert max(times) - min(times) > 60


def test_a_kill_while_it_waits_draws_no_new_time(demo: Home) -> None:
    with opened(demo, "three") as bench:
        undisturbed = returns_s(bench)
    assert undisturbed > 60
    with opened(demo, "three") as bench:
        bench.advance(BEGINS_S + LASTS_S + 20)
        bench.kill()
        bench.restart()
        powers = [step.truth.ev_w for step in bench.steps(MOST_S + 60)]
        back = next(second for second, power in enumerate(powers) if power > 4200)
        # what passed since the memory was last kept does not count: the wait is longer rather than shorter
        assert undisturbed - 12 <= back + 20 <= undisturbed + 32


def test_who_asks_for_it_does_not_wait(demo: Home) -> None:
    with opened(demo, "one") as bench:
        bench.advance(BEGINS_S + LASTS_S + 10)
        assert "by chance" in bench.status().headline
        assert bench.truth().ev_w < 4200
        now = UserRequest("1", "car", RequestKind.CHARGE_NOW, bench.now.replace(hour=3), bench.now)
        assert bench.gateway is not None
        bench.run(bench.gateway.acts.accept(now))
        bench.advance(30)
        assert bench.truth().ev_w > 10_000


def test_after_a_power_cut_the_car_waits_and_after_a_mere_restart_it_does_not(demo: Home) -> None:
    for rebooted in (False, True):
        with Bench(demo, seed=3, start=NIGHT) as bench:
            bench.advance(60)
            car = next(iter(bench.plant.house.charging_points.values()))
            car.unplug()
            bench.advance(30)
            bench.kill()
            bench.advance(5)
            bench.restart(rebooted=rebooted)
            bench.advance(10)
            car.plug(3000.0)
            bench.advance(40)
            assert (bench.truth().ev_w > 10_000) != rebooted
            bench.advance(1800 if rebooted else 300)  # stable for 300 s, up to 900 s by chance, a ramp of ten minutes
            assert bench.truth().ev_w > 10_000
