"""The ways in which a day may come, from days that were."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from cem.planning.courses import MOST, courses_of
from cem.planning.forecast import load_forecast, pv_forecast, slot_edges
from cem.planning.past import Course as Recorded
from cem.planning.past import Past
from support.houses import house

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)  # a Wednesday
EDGES = slot_edges(NOW)


def _past(days: int, *, paired: bool = True) -> Past:
    """Dull days with much load, and bright ones with little; the load alone where they are not paired."""
    rng = random.Random(5)
    dull = [rng.random() < 0.5 for _ in range(days + 1)]
    past = Past(house())
    load, sun = [], []
    for k in range(days * 96):
        at = NOW - timedelta(days=days) + timedelta(minutes=15 * k)
        height = max(math.sin((at.hour + at.minute / 60 - 6) / 12 * math.pi), 0.0)
        grey = dull[k // 96]
        load.append((int(at.timestamp()), 900.0 if grey else 300.0))
        sun.append((int(at.timestamp()), (1000.0 if grey else 5000.0) * height))
    past.load, past.generation = Recorded(load), Recorded(sun if paired else [])
    return past


def _courses(past: Past, at: datetime = NOW) -> list[tuple[float, float, float]]:
    """Of each course its weight, and the means of load and sun."""
    edges = slot_edges(at)
    load, sun = load_forecast(past.load, edges), pv_forecast(past.generation, edges)
    found = courses_of(past, edges, "UTC", load, sun)
    return [(c.weight, sum(c.load_w) / len(c.load_w), sum(c.pv_w) / len(c.pv_w)) for c in found]


def test_load_and_sun_of_a_course_are_those_of_one_day() -> None:
    found = _courses(_past(21))
    assert len(found) == MOST
    much = [sun for _, load, sun in found if load > 600.0]
    little = [sun for _, load, sun in found if load < 600.0]
    assert much
    assert little
    assert max(much) < min(little)


def test_together_they_are_what_is_expected() -> None:
    past = _past(21)
    found = _courses(past)
    expected = load_forecast(past.load, EDGES).expected_w
    mean = sum(weight * load for weight, load, _ in found) / sum(weight for weight, _, _ in found)
    assert mean == pytest.approx(sum(expected) / len(expected), rel=0.05)


def test_without_a_roof_there_are_courses_of_the_load() -> None:
    assert {sun for _, _, sun in _courses(_past(21, paired=False))} == {0.0}


@pytest.mark.parametrize("days", [0, 2])
def test_of_few_days_nothing_is_known(days: int) -> None:
    assert _courses(_past(days)) == []


def test_nothing_younger_than_now_is_looked_at() -> None:
    past, later = _past(21), _past(21)
    later.load.extend([(int(NOW.timestamp()) + 900 * k, 9e9) for k in range(96)])
    assert _courses(past) == _courses(later)


def test_days_of_the_same_kind_weigh_more() -> None:
    """Of the six working days and the weekend before a Saturday, those of the weekend, but for the last of all."""
    edges = slot_edges(datetime(2026, 6, 10, 12, tzinfo=UTC))  # its middle is in the night to Thursday
    load = load_forecast(_past(21).load, edges)
    weights = [one.weight for one in courses_of(_past(21), edges, "UTC", load, pv_forecast(Recorded([]), edges))]
    ordered = sorted(weights, reverse=True)
    assert weights == ordered
    assert ordered[0] == pytest.approx(3.0 * math.exp(-1 / 7.0))
