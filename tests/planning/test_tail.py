"""How much longer a car takes towards its end, learnt of its last charges."""

from datetime import UTC, datetime, timedelta

import pytest

from cem.model.plan import EvNeed
from cem.planning.past import Course
from cem.planning.solve import solve
from cem.planning.tail import NO_TAIL, Tail, tail_of
from support.planning import BATTERY, CAR, PV, START, problem

NOW_S = datetime(2026, 6, 10, 12, tzinfo=UTC).timestamp()
FULL_W = 11040.0


def tapering(energy_wh: float = 9000.0, tail_wh: float = 3000.0, least_w: float = 4140.0) -> list[float]:
    """Minute by minute: full power, and in proportion to what is missing in the last kWh, no less than the least."""
    missing_wh, powers = energy_wh, []
    while missing_wh > 0.0:
        power_w = max(FULL_W * min(1.0, missing_wh / tail_wh), least_w)
        powers.append(min(power_w, missing_wh * 60.0))
        missing_wh -= power_w / 60.0
    return powers


def recorded(*charges: list[float]) -> Course:
    """One charge a night."""
    minutes: list[tuple[int, float]] = []
    for back, powers in zip(range(len(charges), 0, -1), charges, strict=True):
        begin = int(NOW_S) - 86400 * back
        minutes += [(begin + 60 * k, powers[k] if k < len(powers) else 0.0) for k in range(1440)]
    return Course(minutes)


def test_the_end_of_a_charge_takes_as_much_longer_as_it_did() -> None:
    whole_h = len(tapering()) / 60.0
    tail = tail_of(recorded(tapering(), tapering()), NOW_S, FULL_W)
    assert 9.0 / 11.04 + tail.slower_h(9000.0) == pytest.approx(whole_h, abs=0.06)
    assert tail.energy_wh == pytest.approx(2800.0, abs=250.0)
    assert 0.0 < tail.slower_h(1000.0) < 0.5 * tail.slower_h(9000.0)


STEPS = [11040.0] * 30 + [6900.0, 9000.0, 5000.0, 8000.0] * 5


@pytest.mark.parametrize(
    ("charges", "tail"),
    [
        ([], NO_TAIL),
        ([tapering()], NO_TAIL),  # one may be anything
        ([[11040.0] * 55] * 3, Tail(0.0, 0.0)),  # it ended at full power
        ([[4140.0] * 90] * 3, NO_TAIL),  # never at full power: somebody bounded it
        ([STEPS] * 3, NO_TAIL),  # its power followed the sun
    ],
)
def test_what_tells_nothing_of_a_cars_end_is_no_tail(charges: list[list[float]], tail: Tail) -> None:
    assert tail_of(recorded(*charges), NOW_S, FULL_W) == tail


def test_nothing_younger_than_now_is_looked_at() -> None:
    course = recorded(*[tapering()] * 4)
    assert tail_of(course, NOW_S - 3 * 86400, FULL_W) == NO_TAIL


@pytest.mark.parametrize(("slower_h", "begins"), [(0.0, 8), (0.4, 6)])
def test_a_plan_begins_as_much_earlier_as_the_car_needs_for_its_end(slower_h: float, begins: int) -> None:
    """An hour is cheap, and dearer is what comes after it than what comes before."""
    price = [0.30] * 6 + [0.25] * 2 + [0.10] * 4 + [0.40] * 20
    need = EvNeed("car", 9000.0, START + timedelta(hours=8), slower_h=slower_h)
    plan = solve(problem(32, price=price, resources=(BATTERY, PV, CAR), ev=(need,)))
    charging = [slot.power_w["car"] > 100.0 for slot in plan.slots]
    assert charging.index(True) == begins
    assert sum(slot.power_w["car"] for slot in plan.slots) / 4.0 == pytest.approx(9000.0, rel=0.02)
    assert plan.slots[8].intents["car"].max_w == pytest.approx(FULL_W)  # its charging point offers all the same
