"""When the intervals of an OpenADR 3.1 event run, in absolute time (User Guide 7.3 and 7.4)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cem.sgcp.events.sweep import FAR_FUTURE
from cem.wire.openadr3 import Duration, Event, Interval, IntervalPeriod


class Unusable(ValueError):  # noqa: N818 - an event is unusable, nothing failed
    """An event that cannot be acted on; the message says why in words."""


@dataclass(frozen=True, slots=True)
class Period:
    """One interval in absolute time; `end` None never ends."""

    start: datetime
    end: datetime | None
    interval: Interval


def periods(event: Event, anchor: datetime, share: float, window: tuple[datetime, datetime]) -> Iterator[Period]:
    """The event's intervals in absolute time, looped or shortened as `event.duration` says.

    `anchor` is what "now" means (when the event was first received), `share` the part of randomizeStart drawn once
    for the event, -1 to 1. Of a looping event only what meets `window` is given. Raises Unusable.

    Interpretation: an event.duration of zero is the schema's default and means "not given". An absent interval
    duration means open until changed; an interval duration of zero where the event's default has one is the default.
    """
    once = _once(event, anchor, share)
    if not once:
        return
    begin = min(period.start for period in once)
    end = None if any(p.end is None for p in once) else max(p.end or begin for p in once)
    limit = event.duration
    if limit is None or limit.length() == timedelta():
        yield from once
        return
    until = limit.after(begin)
    if end is None or (until is not None and until <= end):
        yield from _cut(once, until)
    elif end > begin:
        yield from _looped(once, end - begin, until, window)


def _once(event: Event, anchor: datetime, share: float) -> list[Period]:
    default = event.interval_period or IntervalPeriod()
    shift = _shift(default.randomize_start, share)
    cursor: datetime | None = None
    found: list[Period] = []
    for number, interval in enumerate(event.intervals):
        own = interval.interval_period or IntervalPeriod()
        if own.randomize_start is not None and own.randomize_start.length() != timedelta():
            shift = _shift(own.randomize_start, share)
        given = own.start.instant if own.start is not None else None
        if given is None and number == 0:
            given = default.start.instant if default.start is not None else None
            given = anchor if given is None else given
        if given is not None:
            start = _moved(given, shift)
        elif cursor is None:
            raise Unusable(f"interval {interval.id} follows one that never ends")
        else:
            start = cursor
        duration = _duration(own.duration, default.duration)
        cursor = None if duration is None else duration.after(start)
        found.append(Period(start, cursor, interval))
    return found


def _duration(own: Duration | None, default: Duration | None) -> Duration | None:
    if own is None or (own.length() == timedelta() and default is not None):
        return default
    return own


def _shift(randomize: Duration | None, share: float) -> timedelta:
    length = randomize.length() if randomize is not None else timedelta()
    if length is None or abs(length) > timedelta(days=1):
        raise Unusable("randomizeStart is longer than a day")
    return abs(length) * share


def _moved(at: datetime, shift: timedelta) -> datetime:
    try:
        return at + shift
    except OverflowError as error:
        raise Unusable(f"a start at {at.isoformat()} is out of range") from error


def _cut(once: Sequence[Period], until: datetime | None) -> Iterator[Period]:
    edge = until or FAR_FUTURE
    for period in once:
        if period.start < edge:
            end = period.end if period.end is not None and period.end <= edge else until
            yield replace(period, end=end)


def _looped(
    once: Sequence[Period], turn: timedelta, until: datetime | None, window: tuple[datetime, datetime]
) -> Iterator[Period]:
    begin = min(period.start for period in once)
    first = max(0, (window[0] - begin) // turn)
    edge = min(until or FAR_FUTURE, window[1])
    number = first
    while begin + number * turn < edge:
        by = number * turn
        moved = (replace(p, start=p.start + by, end=None if p.end is None else p.end + by) for p in once)
        yield from _cut(tuple(moved), until)
        number += 1
