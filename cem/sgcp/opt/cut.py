"""Opting out: the owner leaves voluntary events out, one of them or all of a time. Mandatory ones stay.

IEC TS 62746-3 calls it the opt schedule; what is left out here is neither followed nor planned with.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from cem.model.event import EventInterval, GridEvent


@dataclass(frozen=True, slots=True)
class OptOut:
    """The owner does not take part in [since, until): in one event, or in any where `event_id` is None."""

    since: datetime
    until: datetime
    event_id: str | None = None

    def concerns(self, event: GridEvent) -> bool:
        """Whether the event is one of those meant; never a mandatory one."""
        return not event.mandatory and self.event_id in (None, event.id)


def remaining(events: Iterable[GridEvent], outs: Sequence[OptOut]) -> list[GridEvent]:
    """The events with what is left of their intervals; an event of which nothing is left is left out."""
    found = []
    for event in events:
        own = [out for out in outs if out.concerns(event)]
        left = tuple(_left(event.intervals, own)) if own else event.intervals
        if left or not own:
            found.append(event if left == event.intervals else replace(event, intervals=left))
    return found


def _left(intervals: Iterable[EventInterval], outs: Sequence[OptOut]) -> Iterator[EventInterval]:
    for interval in intervals:
        pieces = [interval]
        for out in outs:
            pieces = [left for piece in pieces for left in _outside(piece, out)]
        yield from pieces


def _outside(piece: EventInterval, out: OptOut) -> Iterator[EventInterval]:
    """What lies before and after the time that is left out."""
    end = piece.end
    if out.until <= piece.start or (end is not None and end <= out.since):
        yield piece
        return
    if piece.start < out.since:
        yield replace(piece, end=out.since)
    if end is None or out.until < end:
        yield replace(piece, start=out.until)
