"""Minutes of the record never go back within a run, however the wall clock jumps."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cem.io.record_time import RecordTime
from cem.model.time import Instant
from support.records import START

M0 = int(START.timestamp()) // 60


@given(
    st.one_of(st.none(), st.integers(M0 - 5000, M0 + 5000)),
    st.lists(
        st.tuples(st.floats(0.5, 400.0), st.sampled_from([0, 0, 0, 0, 30, -45, 3000, -3000, 90_000, -90_000])),
        max_size=80,
    ),
    st.booleans(),
)
def test_minutes_never_go_back_except_by_an_announced_shift(
    newest: int | None, steps: list[tuple[float, int]], trusted: bool
) -> None:
    record = RecordTime(newest)
    floor = newest
    wall, mono_s = START, 10.0
    for passed_s, jump_s in steps:
        wall += timedelta(seconds=passed_s + jump_s)
        mono_s += passed_s
        place = record.place(Instant(wall, mono_s, trusted))
        if place.shift is not None:
            assert floor is not None
            floor -= place.shift.by
        if place.minute is not None:
            assert 0 <= place.at_ms < 60_000
            assert floor is None or place.minute >= floor
            floor = place.minute


def test_a_steady_clock_gives_its_own_minutes() -> None:
    record = RecordTime(M0 - 1)
    places = [record.place(Instant(START + timedelta(seconds=n), 5.0 + n)) for n in range(0, 600, 7)]
    assert [place.minute for place in places] == [M0 + n // 60 for n in range(0, 600, 7)]
    assert places[1].at_ms == 7000


def test_a_clock_that_is_not_trusted_and_a_little_behind_costs_no_data() -> None:
    record = RecordTime(M0 + 10)
    places = [record.place(Instant(START + timedelta(seconds=n), 5.0 + n, trusted=False)) for n in range(0, 300, 10)]
    assert [place.minute for place in places] == [M0 + 11 + n // 60 for n in range(0, 300, 10)]
