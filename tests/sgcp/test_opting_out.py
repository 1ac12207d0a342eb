"""Opting out: what is left of voluntary events, and that mandatory ones stay."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cem.model.event import EventInterval, GridEvent, SignalKind
from cem.sgcp.opt.cut import OptOut, remaining
from support.ven_world import T0, grid_event, retailer, utility, wall

HOURS = st.integers(0, 20)


@st.composite
def _outs(draw: st.DrawFn) -> OptOut:
    since, length = draw(HOURS), draw(st.integers(1, 8))
    event = draw(st.sampled_from([None, "e1", "other"]))
    return OptOut(wall(since * 3600), wall((since + length) * 3600), event)


@st.composite
def _events(draw: st.DrawFn) -> GridEvent:
    start = draw(HOURS) * 3600.0
    end = draw(st.one_of(st.none(), st.integers(1, 8).map(lambda hours: start + hours * 3600)))
    provider = draw(st.sampled_from([utility(), retailer()]))
    return grid_event("e1", (start, end, {SignalKind.IMPORT_LIMIT_W: 4200.0}), provider=provider)


def _covers(intervals: tuple[EventInterval, ...], at: datetime) -> bool:
    return any(i.start <= at and (i.end is None or at < i.end) for i in intervals)


@given(_events(), st.lists(_outs(), max_size=4), st.integers(0, 40))
def test_an_event_runs_exactly_when_it_would_and_nobody_opted_out(
    event: GridEvent, outs: list[OptOut], half_hours: int
) -> None:
    at = T0 + timedelta(minutes=30 * half_hours)
    left = remaining([event], outs)
    out = any(o.since <= at < o.until and o.event_id in (None, event.id) for o in outs) and not event.mandatory
    assert any(_covers(e.intervals, at) for e in left) == (_covers(event.intervals, at) and not out)


@given(_events(), st.lists(_outs(), max_size=4))
def test_a_mandatory_event_is_never_touched(event: GridEvent, outs: list[OptOut]) -> None:
    if event.mandatory:
        assert remaining([event], outs) == [event]
