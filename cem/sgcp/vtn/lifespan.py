"""Until when an event runs (User Guide 7.3), for the query `active`."""

from datetime import UTC, datetime, timedelta

from cem.wire.openadr3 import Duration, Event

_NO_TIME = timedelta()


def ends_at(event: Event, known_since: datetime) -> datetime | None:
    """The end of an event's lifespan, None when it has none that can be told (then it counts as active).

    `known_since` stands for "now" as a start. A shift by randomizeStart counts to its full extent.
    """
    period = event.interval_period
    default = period.duration if period is not None else None
    cursor = (period.start.instant if period is not None and period.start is not None else None) or known_since
    slack = _length(period.randomize_start) if period is not None and period.randomize_start is not None else _NO_TIME
    first: datetime | None = None
    latest: datetime | None = None
    for interval in event.intervals:
        own = interval.interval_period
        start = (own.start.instant if own is not None and own.start is not None else None) or cursor
        duration = (own.duration if own is not None else None) or default
        end = duration.after(start) if duration is not None else None
        if own is not None and own.randomize_start is not None:
            slack = max(slack, _length(own.randomize_start))
        first = start if first is None else first
        if end is None:
            return _beyond(event.duration, first, slack)
        cursor, latest = end, end if latest is None else max(latest, end)
    if event.duration is not None:
        return _beyond(event.duration, first or cursor, slack)
    if latest is None:
        return _beyond(default, cursor, slack)
    return _plus(latest, slack)


def _length(duration: Duration) -> timedelta:
    length = duration.length()
    return abs(length) if length is not None else timedelta.max


def _beyond(duration: Duration | None, start: datetime, slack: timedelta) -> datetime | None:
    end = duration.after(start) if duration is not None else None
    return None if end is None else _plus(end, slack)


def _plus(end: datetime, slack: timedelta) -> datetime:
    try:
        return end + slack
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)
