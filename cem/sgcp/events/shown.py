"""Which of a provider's events are shown to a person: a list that can be read, whatever the provider sends."""

import heapq
from collections.abc import Iterator, Mapping
from datetime import datetime

from cem.model.directive import EventSummary
from cem.model.event import EventStatus, GridEvent
from cem.sgcp.events.store import EventStore, Rejection, event_start
from cem.sgcp.events.timeline import refusal, status, summary

MOST_SHOWN = 50
"""Of one provider."""

_FIRST = (
    EventStatus.ACTIVE,
    EventStatus.NEAR,
    EventStatus.REFUSED,
    EventStatus.FAR,
    EventStatus.CANCELLED,
    EventStatus.COMPLETED,
)
_PLACE = {found: place for place, found in enumerate(_FIRST)}
_Entry = tuple[int, bool, float, int, GridEvent | Rejection, EventStatus]


def listed(
    store: EventStore,
    cancelled: Mapping[str, tuple[GridEvent, datetime]],
    refused: Mapping[str, datetime],
    provider_id: str,
    now: datetime,
) -> list[EventSummary]:
    """At most MOST_SHOWN events, what matters most first: running, near, refused, far, and at last what is over.

    Mandatory ones come before others, and of equal ones the next or the newest.
    """
    first = heapq.nsmallest(MOST_SHOWN, _entries(store, cancelled, refused, now))
    return [_shown(entry, refused, provider_id, now) for entry in first]


def _entries(
    store: EventStore,
    cancelled: Mapping[str, tuple[GridEvent, datetime]],
    refused: Mapping[str, datetime],
    now: datetime,
) -> Iterator[_Entry]:
    number = 0
    for event in store.events.values():
        number += 1
        found = status(event, now)
        yield _PLACE[found], not event.mandatory, _distance_s(event, now), number, event, found
    for event, at in cancelled.values():
        number += 1
        place = _PLACE[EventStatus.CANCELLED]
        yield place, not event.mandatory, (now - at).total_seconds(), number, event, EventStatus.CANCELLED
    for rejection in store.rejected:
        number += 1
        if rejection.event_id in refused:
            place = _PLACE[EventStatus.REFUSED]
            yield place, not rejection.limits, 0.0, number, rejection, EventStatus.REFUSED


def _distance_s(event: GridEvent, now: datetime) -> float:
    return abs(((event_start(event) or event.received_at) - now).total_seconds())


def _shown(entry: _Entry, refused: Mapping[str, datetime], provider_id: str, now: datetime) -> EventSummary:
    event, found = entry[4], entry[5]
    if isinstance(event, Rejection):
        return refusal(event, provider_id, refused[event.event_id])
    return summary(event, now, cancelled=found is EventStatus.CANCELLED)
