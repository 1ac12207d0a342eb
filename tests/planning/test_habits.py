"""When a car usually leaves and what it takes: learnt of stays that are over, and only of those."""

import math
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.planning.habits import FEW, Habit, habit_of, stays_of
from cem.planning.past import Course

BERLIN = "Europe/Berlin"
ZONE = ZoneInfo(BERLIN)
MONDAY = datetime(2026, 3, 2, tzinfo=ZONE)

Stays = list[tuple[datetime, datetime, float]]


def local(day: int, at: time) -> datetime:
    """A wall clock time so many days after the first Monday."""
    return datetime.combine(MONDAY.date() + timedelta(days=day), at, ZONE)


def commuting(days: int, leaves: time = time(7, 30), takes_wh: float = 9000.0) -> Stays:
    """Home at 18:00 of each working day until the next morning, over the weekend until Monday."""
    return [
        (local(day, time(18)), local(day + (3 if day % 7 == 4 else 1), leaves), takes_wh)
        for day in range(days)
        if day % 7 < 5
    ]


def courses(stays: Stays, until: datetime, hole: tuple[datetime, datetime] | None = None) -> tuple[Course, Course]:
    """The record of stays: charging at 3 kW from the begin of each, minute by minute until an instant."""
    first, last = int(MONDAY.timestamp()), int(until.timestamp())
    there, power_w = dict.fromkeys(range(first, last, 60), 0.0), dict.fromkeys(range(first, last, 60), 0.0)
    for begin, end, wh in stays:
        begins = int(begin.timestamp())
        for at in range(begins, min(int(end.timestamp()), last), 60):
            there[at] = 1.0
            power_w[at] = 3000.0 if at - begins < wh * 1.2 else 0.0
    if hole is not None:
        for at in range(int(hole[0].timestamp()), int(hole[1].timestamp()), 60):
            del there[at], power_w[at]
    return Course(list(there.items())), Course(list(power_w.items()))


def learnt(stays: Stays, now: datetime) -> Habit | None:
    return habit_of(*courses(stays, now), now, BERLIN)


def test_a_commuter_is_expected_to_leave_when_it_leaves_and_to_take_what_it_takes() -> None:
    now = local(15, time(20))
    habit = learnt(commuting(16), now)
    assert habit is not None
    assert habit.leaves_at == local(16, time(7, 30))
    assert habit.takes_wh == pytest.approx(9000.0, rel=0.01)
    assert habit.taken_wh == pytest.approx(6000.0, rel=0.02)  # two hours at 3 kW of the present stay


def test_a_friday_is_told_by_fridays_once_there_are_enough() -> None:
    habit = learnt(commuting(33), local(32, time(20)))
    assert habit is not None
    assert habit.leaves_at == local(35, time(7, 30))


def test_one_early_departure_does_not_hurry_all_later_ones_and_many_do() -> None:
    stays = commuting(16)
    early = [(begin, local(8, time(4)) if begin == local(7, time(18)) else end, wh) for begin, end, wh in stays]
    habit = learnt(early, local(15, time(20)))
    assert habit is not None
    assert habit.leaves_at == local(16, time(7, 30))
    often = [(begin, end.replace(hour=5) if begin.day % 2 else end, wh) for begin, end, wh in stays]
    habit = learnt(often, local(15, time(20)))
    assert habit is not None
    assert habit.leaves_at == local(16, time(5, 30))


def test_a_car_that_has_stayed_longer_than_ever_has_no_habit_any_more() -> None:
    stays = [*commuting(15)[:-1], (local(14, time(18)), local(20, time(7)), 9000.0)]
    assert learnt(stays, local(15, time(7))) is not None
    assert learnt(stays, local(15, time(9))) is None


def test_nothing_is_said_of_a_car_that_came_seldom() -> None:
    assert learnt(commuting(FEW), local(FEW - 1, time(20))) is None


def test_a_stay_that_the_record_does_not_show_whole_teaches_nothing() -> None:
    stays = commuting(3)
    hole = (local(1, time(20)), local(1, time(21)))
    plugged, power = courses(stays, local(3, time(12)), hole)
    ended, present = stays_of(plugged, power)
    assert [stay.begin_s for stay in ended] == [int(stays[at][0].timestamp()) for at in (0, 2)]
    assert present is None


def test_the_wall_clock_counts_when_the_clocks_change() -> None:
    now = local(26, time(20))  # Saturday, 28 March 2026; the clocks go forward in the night
    stays = [(local(day, time(18)), local(day + 1, time(7, 30)), 9000.0) for day in range(27)]
    habit = learnt(stays, now)
    assert habit is not None
    assert habit.leaves_at == local(27, time(7, 30))


@settings(max_examples=10)
@given(
    shifts=st.lists(st.integers(-120, 120), min_size=6, max_size=8),
    amounts=st.lists(st.integers(1000, 20000), min_size=8, max_size=8),
    later=st.integers(0, 600),
)
def test_what_is_expected_is_within_what_was(shifts: list[int], amounts: list[int], later: int) -> None:
    nights = [
        (local(day, time(18)), local(day + 1, time(7)) + timedelta(minutes=shift), float(wh))
        for day, (shift, wh) in enumerate(zip(shifts, amounts, strict=False))
    ]
    last = len(nights)
    now = local(last, time(18)) + timedelta(minutes=later)
    present = (local(last, time(18)), local(last + 2, time(7)), 9000.0)
    habit = learnt([*nights, present], now)
    assert habit is not None
    first, latest = (local(last + 1, time(7)) + timedelta(minutes=pick(shifts)) for pick in (min, max))
    assert first <= habit.leaves_at <= latest
    taken = sorted(stay.taken_wh for stay in stays_of(*courses(nights, now))[0])
    assert taken[0] <= habit.takes_wh <= habit.most_wh <= taken[-1]


def test_a_stay_has_its_bounds_and_its_energy() -> None:
    ended, present = stays_of(*courses(commuting(2), local(1, time(20))))
    begin, end = (int(local(day, at).timestamp()) for day, at in ((0, time(18)), (1, time(7, 30))))
    assert [(stay.begin_s, stay.end_s) for stay in ended] == [(begin, end)]
    assert ended[0].taken_wh == pytest.approx(9000.0)
    assert present is not None
    assert present.begin_s == int(local(1, time(18)).timestamp())


def test_a_power_that_is_no_number_counts_as_none() -> None:
    plugged, power = courses(commuting(2), local(1, time(20)))
    spoilt = Course(
        [(at, math.nan if number % 10 == 0 else watts) for number, (at, watts) in enumerate(power.minutes())]
    )
    (stay,), present = stays_of(plugged, spoilt)
    assert stay.taken_wh == pytest.approx(8100.0, rel=0.02)
    assert present is not None
    assert math.isfinite(present.taken_wh)
