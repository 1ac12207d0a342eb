"""A price that nobody foresaw, on the real gateway and a simulated home: what it moves, in kWh and money."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cem.simulation.grid import GridSide, Order, Signal
from cem.simulation.harness import Bench
from cem.simulation.plant import Home, open_home
from cem.simulation.site import answers_for, site_of

HOMES = Path(__file__).resolve().parents[2] / "hw-sim" / "homes"
EVENING = datetime(2026, 6, 15, 17, 0, tzinfo=UTC)  # 19:00 in Berlin: dear until 21:00, cheap from 23:00 on
STEP_S = 15.0
HOURS = 8.2
GOAL_WH = 20_000.0


@pytest.fixture(scope="module")
def demo() -> Home:
    """The demo house with a car that came home empty."""
    home = open_home(HOMES / "demo.toml")
    return home.model_copy(update={"ev": (home.ev[0].model_copy(update={"soc_pct": 20.0}),)})


Night = tuple[list[tuple[datetime, float, float]], float]
"""((when, W at the meter, W into the car) per step, kWh in the car in the end)."""


def price_order(price: float, begins: datetime, hours: float) -> Order:
    """A price that is told a minute before it holds."""
    start_s = (begins - EVENING).total_seconds()
    return Order(Signal.IMPORT_PRICE, (price,), start_s, hours * 3600.0, "prices", ahead_s=60.0)


def night(home: Home, orders: Sequence[Order]) -> Night:
    """One night with what the grid says in it."""
    goal = {"resource": "car", "ready_by": "03:00", "energy_wh": GOAL_WH}
    site = site_of(home, answers_for(home, goal=[goal]), tick_s=STEP_S)
    with Bench(
        home, start=EVENING, seed=3, step_s=STEP_S, site=site, grids=[GridSide(orders=tuple(orders), poll_s=15.0)]
    ) as bench:
        rows = [(bench.now, step.truth.grid_w, step.truth.ev_w) for step in bench.steps(HOURS * 3600.0)]
    return rows, sum(row[2] for row in rows) * STEP_S / 3_600_000.0


@pytest.fixture(scope="module")
def plain(demo: Home) -> Night:
    """The night without any event."""
    return night(demo, [])


def cost(rows: Sequence[tuple[datetime, float, float]], order: Order | None) -> float:
    """What the night cost, by the tariff and the event's price."""
    total = 0.0
    for at, grid_w, _ in rows:
        hour = (at + timedelta(hours=2)).hour
        price = 0.40 if 17 <= hour < 21 else 0.22 if hour >= 23 or hour < 6 else 0.32
        if order is not None and 0.0 <= (at - EVENING).total_seconds() - order.start_s < order.for_s:
            price = order.values[0]
        total += grid_w * STEP_S / 3_600_000.0 * (price if grid_w > 0.0 else 0.08)
    return total


def charged_kwh(rows: Sequence[tuple[datetime, float, float]], begins: datetime, hours: float) -> float:
    """kWh into the car within a time."""
    end = begins + timedelta(hours=hours)
    return sum(ev_w for at, _, ev_w in rows if begins <= at < end) * STEP_S / 3_600_000.0


def test_a_cheap_hour_out_of_the_blue_moves_the_car_into_it(demo: Home, plain: Night) -> None:
    begins = EVENING + timedelta(minutes=50)
    order = price_order(0.05, begins, 1.0)
    moved, moved_kwh = night(demo, [order])
    assert charged_kwh(plain[0], begins, 1.0) < 0.1
    assert charged_kwh(moved, begins, 1.0) > 9.0
    assert plain[1] == pytest.approx(GOAL_WH / 1000.0, abs=1.0)
    assert moved_kwh == pytest.approx(GOAL_WH / 1000.0, abs=1.0)
    assert cost(moved, order) < cost(plain[0], order) - 1.0


def test_a_dear_hour_out_of_the_blue_is_left_out_and_the_car_is_ready_all_the_same(demo: Home, plain: Night) -> None:
    begins = EVENING + timedelta(hours=4, minutes=20)  # in the cheap night
    order = price_order(0.90, begins, 1.0)
    moved, moved_kwh = night(demo, [order])
    assert charged_kwh(plain[0], begins, 1.0) > 5.0
    assert charged_kwh(moved, begins, 1.0) < 0.7
    assert moved_kwh >= 0.98 * GOAL_WH / 1000.0
    assert cost(moved, order) < cost(plain[0], order) - 3.0
