"""What is kept from plan to plan is what a look at the whole record would give."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.model.resource import Resource, Role
from cem.model.site import ElectricalConnection, Site
from cem.model.tariff import Tariff
from cem.planning.past import DAY_S, KEPT_DAYS, QUARTER_S, Course, Minutes, Past, past_of

SITE = Site(
    name="Home",
    zone="UTC",
    connection=ElectricalConnection(),
    tariff=Tariff("UTC", "EUR", 0.3, 0.1),
    resources=tuple(
        Resource(name, role, name, name)
        for name, role in (("meter", Role.GRID), ("one", Role.PV), ("two", Role.PV), ("battery", Role.BATTERY))
    ),
)
SIGNALS = ("meter.power_w", "one.power_w", "two.power_w", "battery.power_w")


def quarters_of(minutes: Minutes, since_s: float, until_s: float) -> dict[int, float]:
    """The means as one would work them out by hand."""
    found: dict[int, list[float]] = {}
    for start, value in minutes:
        if since_s <= start < until_s and math.isfinite(value):
            found.setdefault(start // QUARTER_S, []).append(value)
    return {quarter: sum(values) / len(values) for quarter, values in found.items()}


values = st.one_of(st.floats(-1e4, 1e4), st.sampled_from([math.nan, math.inf]))
records = st.dictionaries(st.integers(0, 120), values, min_size=1).map(
    lambda told: [(60 * minute, told[minute]) for minute in sorted(told)]
)


@given(records, st.integers(0, 7200), st.integers(0, 7200))
def test_the_means_of_quarters_are_those_of_their_minutes_that_are_numbers(
    minutes: Minutes, since_s: int, until_s: int
) -> None:
    course = Course(minutes)
    assert course.quarters(since_s, until_s) == quarters_of(minutes, since_s, until_s)


@given(records, st.integers(0, 121), st.integers(0, 7200))
def test_a_course_that_grew_in_pieces_is_the_same_as_one_that_came_at_once(
    minutes: Minutes, cut: int, since_s: int
) -> None:
    whole, grown = Course(minutes), Course([(start, 1.0) for start, _ in minutes[:cut]])
    grown.extend(minutes[max(0, cut - 3) :])
    known = [(start, 1.0) for start, _ in minutes[: max(0, cut - 3)]] + list(minutes[max(0, cut - 3) :])
    assert grown.quarters(since_s, 7200) == quarters_of(known, since_s, 7200)
    whole.forget(since_s)
    assert whole.quarters(since_s, 7200) == quarters_of(minutes, since_s, 7200)


@settings(max_examples=25)
@given(st.data())
def test_what_is_kept_from_plan_to_plan_is_what_the_whole_record_says(data: st.DataObject) -> None:
    """Also where one of the meters falls silent for a while and tells its last minute late."""
    record: dict[str, list[tuple[int, float]]] = {
        signal: [(60 * minute, float(minute % 97 + place)) for minute in range(data.draw(st.integers(100, 200)))]
        for place, signal in enumerate(SIGNALS)
    }
    silent = data.draw(st.sampled_from(SIGNALS))
    gap_s = 60 * data.draw(st.integers(0, 90))
    record[silent] = [row for row in record[silent] if not gap_s < row[0] < gap_s + 2400]

    def told(signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        late = until_s < gap_s + 2400 and signal == silent  # its minute before the gap is told with the first after it
        return [row for row in record[signal] if since_s <= row[0] < until_s and not (late and row[0] >= gap_s)]

    past = Past(SITE)
    for until_s in sorted(data.draw(st.lists(st.integers(0, 12000), min_size=1, max_size=6))):
        since_s = past.since_s(until_s)
        past.take({signal: told(signal, since_s, until_s) for signal in past.signals})
        whole = past_of(SITE, {signal: told(signal, 0, until_s) for signal in past.signals})
        for kept, at_once in ((past.load, whole.load), (past.generation, whole.generation)):
            assert kept.quarters(0, 1e9) == at_once.quarters(0, 1e9)


def test_only_what_is_new_is_asked_for_and_all_again_when_the_clock_went_back() -> None:
    past = Past(SITE)
    now_s = 100 * DAY_S
    oldest_s = now_s - KEPT_DAYS * DAY_S
    assert past.since_s(now_s) == oldest_s
    past.take({signal: [(start, 5.0) for start in range(oldest_s, now_s, 60)] for signal in past.signals})
    assert past.since_s(now_s + 900) == now_s - 60
    assert past.since_s(now_s - 60) == oldest_s - 60
    assert not past.load


@pytest.mark.parametrize("silent", SIGNALS)
def test_while_one_has_told_nothing_everything_is_asked_for(silent: str) -> None:
    past = Past(SITE)
    past.since_s(33 * DAY_S)
    past.take({signal: [] if signal == silent else [(32 * DAY_S, 5.0)] for signal in past.signals})
    assert past.since_s(33 * DAY_S + 900) == 2 * DAY_S + 900
