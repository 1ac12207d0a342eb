"""Where events stand on their time lines, and how they are shown."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from cem.model.directive import EventSummary
from cem.model.event import EventInterval, EventStatus, GridEvent, SignalKind
from cem.sgcp.events.store import Rejection, event_end, event_start
from cem.sgcp.words import asked

NEAR = timedelta(hours=1)
"""Interpretation: 3.1 has no ramp-up period as 2.0b has; an event is near from one hour before its start."""
MOST_NAMED = 8


def status(event: GridEvent, now: datetime) -> EventStatus:
    """Where an event stands; one without intervals was cancelled by its provider (User Guide 7.9)."""
    start, end = event_start(event), event_end(event)
    if start is None:
        return EventStatus.CANCELLED
    if end is not None and end <= now:
        return EventStatus.COMPLETED
    if start <= now:
        return EventStatus.ACTIVE
    return EventStatus.NEAR if start - now <= NEAR else EventStatus.FAR


def interval_at(event: GridEvent, now: datetime) -> EventInterval | None:
    """The interval that covers an instant; late joining is no more than this."""
    number = _begun(event, now) - 1
    found = event.intervals[number] if number >= 0 else None
    return found if found is not None and (found.end is None or now < found.end) else None


def interval_after(event: GridEvent, now: datetime) -> EventInterval | None:
    """The first interval that begins after an instant."""
    number = _begun(event, now)
    return event.intervals[number] if number < len(event.intervals) else None


def _begun(event: GridEvent, now: datetime) -> int:
    return bisect_right(event.intervals, now, key=lambda interval: interval.start)


def status_changes(event: GridEvent) -> Iterator[datetime]:
    """The instants at which the status changes."""
    start, end = event_start(event), event_end(event)
    if start is not None:
        yield start - NEAR
        yield start
        if end is not None:
            yield end


def summary(event: GridEvent, now: datetime, cancelled: bool = False) -> EventSummary:
    """An event as shown to a person: what it asks now, else what it asks next."""
    at = interval_at(event, now) or interval_after(event, now)
    shown = at or (event.intervals[-1] if event.intervals else None)
    phrases = ["a test, nothing is moved for it"] if event.test else []
    phrases += [asked(shown.signals, event.currency)] if shown is not None else []
    phrases += event.notices[:MOST_NAMED]
    if event.unsupported:
        phrases.append(f"not supported: {', '.join(event.unsupported[:MOST_NAMED])}")
    return EventSummary(
        id=event.id,
        provider_id=event.provider_id,
        name=event.name,
        status=EventStatus.CANCELLED if cancelled else status(event, now),
        start=event_start(event) or event.received_at,
        end=event_end(event),
        asks="; ".join(phrase for phrase in phrases if phrase) or "nothing",
    )


def refusal(rejection: Rejection, provider_id: str, since: datetime) -> EventSummary:
    """An event that is not acted on, with the reason where others say what they ask."""
    reason = f"not acted on: {rejection.reason}"
    return EventSummary(rejection.event_id, provider_id, rejection.event_id, EventStatus.REFUSED, since, since, reason)


def signals_at(
    events: Iterable[GridEvent], now: datetime
) -> Iterator[tuple[GridEvent, EventInterval, SignalKind, float]]:
    """Every signal in force at an instant, test events left out."""
    for event in events:
        interval = interval_at(event, now) if not event.test else None
        if interval is not None:
            yield from ((event, interval, kind, value) for kind, value in interval.signals.items())
