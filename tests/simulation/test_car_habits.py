"""A car of which nobody says when it leaves: what it did on the days before decides when it charges."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cem.io.samples import PLUGGED
from cem.simulation.harness import Bench
from cem.simulation.plant import Home, open_home
from cem.simulation.site import answers_for, site_of

HOMES = Path(__file__).resolve().parents[2] / "hw-sim" / "homes"
AFTERNOON = datetime(2026, 6, 16, 14, 30, tzinfo=UTC)  # a Tuesday, 16:30 in Berlin; the car is on its way
STEP_S = 30.0
DAY_S = 86400


@pytest.fixture(scope="module")
def demo() -> Home:
    """The demo home, whose car comes at 17:15 with 9 kWh less and leaves at 07:30."""
    home = open_home(HOMES / "demo.toml")
    return home.model_copy(update={"ev": (home.ev[0].model_copy(update={"plugged_at_start": False}),)})


def nights(count: int) -> Iterator[tuple[int, float, float]]:
    """Minute by minute: start, whether the car was there, its power; it took 9 kWh as soon as it was there."""
    today = int(AFTERNOON.replace(hour=15, minute=15).timestamp())
    for night in range(count, 0, -1):
        begin = today - night * DAY_S
        for second in range(-2700, DAY_S - 2700, 60):
            there = 0 <= second < 14.25 * 3600
            charges = there and second < 9 / 11.04 * 3600
            yield begin + second, float(there), 11_040.0 if charges else 0.0


@contextmanager
def evening(home: Home, known: int) -> Iterator[Bench]:
    """From before the car comes, with so many nights in the record, told to learn."""
    site = site_of(home, answers_for(home, goal=[{"resource": "car", "ready_by": "habit"}]), tick_s=STEP_S)
    with Bench(home, start=AFTERNOON, seed=3, step_s=STEP_S, site=site) as bench:
        past = list(nights(known))
        bench.past.remember("car", [(at, there) for at, there, _ in past], PLUGGED)
        bench.past.remember("car", [(at, power_w) for at, _, power_w in past])
        yield bench


def car_kwh(bench: Bench, until: datetime) -> float:
    """What goes into the car until then."""
    seconds = (until - bench.now) / timedelta(seconds=1)
    return sum(step.truth.ev_w for step in bench.steps(seconds)) * STEP_S / 3_600_000.0


def test_a_car_that_is_known_waits_for_the_cheap_hours_and_has_what_it_takes_when_it_leaves(demo: Home) -> None:
    with evening(demo, known=14) as bench:
        assert (
            car_kwh(bench, AFTERNOON.replace(hour=18)) < 1.0
        )  # by 20:00 a little of the sun; the dear hours end at 21:00
        plan = bench.status().plan
        assert plan is not None
        reasons = plan.reasons
        assert any("by Wed 07:00, as it usually takes and leaves" in reason for reason in reasons), reasons
        assert car_kwh(bench, AFTERNOON.replace(day=17, hour=5)) >= 8.5


def test_a_car_that_is_not_known_yet_charges_as_it_comes(demo: Home) -> None:
    with evening(demo, known=3) as bench:
        assert car_kwh(bench, AFTERNOON.replace(hour=17)) >= 8.5
