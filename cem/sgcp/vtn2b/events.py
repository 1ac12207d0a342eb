"""Which events a VEN gets, under which modification numbers, and what it answered.

Interpretation: a number counts the versions that this VEN was told of, so it goes up by one whatever happened in
between. An event that is deleted, or that a VEN may no longer see, is told as cancelled first, under a higher number;
once that is answered (or was told often enough) it is left out. What is over is left out without that.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cem.sgcp.vtn.objects import Body, Change, Objects
from cem.sgcp.vtn.privacy import Sight
from cem.sgcp.vtn.tokens import Role
from cem.sgcp.vtn2b.outgoing import Template, addressed, cancelled, template
from cem.sgcp.vtn2b.records import Opt, Told
from cem.sgcp.vtn2b.refusal import fine, refused
from cem.wire.openadr2b.messages import CreatedEvent, DistributeEvent
from cem.wire.openadr2b.names import Code, OptType
from cem.wire.openadr2b.parts import EiEvent, Response
from cem.wire.openadr3 import ObjectType

_LOG = logging.getLogger(__name__)
AGAIN_AFTER = timedelta(seconds=30)
"""What was told and not answered is told again after so long, since the message may have been lost."""
MOST_TIMES = 3
_OPTS = frozenset(OptType)
_KEPT = timedelta(days=1)  # numbers of what is over: it may be made longer


@dataclass(frozen=True, slots=True)
class Listed:
    """What a VEN is to know, most urgent first: each event with its record as it is once that was told."""

    events: tuple[tuple[EiEvent, Told], ...]
    forgotten: tuple[Change, ...]  # records of what is over for long
    due: frozenset[str]  # ids of events that the VEN does not know yet in this version

    def told(self, now: datetime, most: int | None = None) -> tuple[tuple[EiEvent, ...], tuple[Change, ...]]:
        """The events that a message carries, and what to store when it is sent."""
        shown = self.events if most is None else self.events[: max(most, 0)]
        rows = (
            replace(told, told_at=now, times=told.times + 1).stored() for _, told in shown if told.event_id in self.due
        )
        return tuple(event for event, _ in shown), (*self.forgotten, *rows)

    def begun(self) -> tuple[Change, ...]:
        """What to store before a message is sent that may not arrive."""
        return tuple(told.stored() for _, told in self.events if told.event_id in self.due and told.told_at is None)


_NOTHING = Listed((), (), frozenset())


def delivered(message: DistributeEvent, ven_id: str, objects: Objects, now: datetime) -> tuple[Change, ...]:
    """What to store once a message with events has arrived; what changed since then was not told."""
    changes = []
    for event in message.events:
        known = Told.find(objects, ven_id, event.descriptor.event_id)
        if known is None or known.number != event.descriptor.modification_number:
            continue
        if known.told_at is None or known.answer is None:
            changes.append(replace(known, told_at=now, times=known.times + 1).stored())
    return tuple(changes)


def listed(ven: Body, objects: Objects, now: datetime) -> Listed:
    """What a VEN is to know now."""
    known = {told.event_id: told for told in Told.of(objects, ven["id"])}
    seen = _seen(ven, objects, now)
    if not known and not seen:
        return _NOTHING
    found = [_current(ven["id"], event_id, one, known.get(event_id), now) for event_id, one in seen.items()]
    forgotten = []
    for last in known.values():
        if last.event_id in seen:
            continue
        if last.until is not None and last.until <= now:
            if last.until + _KEPT <= now:
                forgotten.append(last.dropped())
            continue
        told = last
        if last.cancelled_at is None:
            until = min(last.until or now + _KEPT, now + _KEPT)
            told = _next(last, cancelled_at=now, until=until)
        if not _is_settled(told, now):
            found.append((cancelled(told), told))
    found.sort(key=lambda one: _urgency(one[0], now))
    return Listed(tuple(found), tuple(forgotten), frozenset(t.event_id for _, t in found if _is_due(t, now)))


def _seen(ven: Body, objects: Objects, now: datetime) -> dict[str, Template]:
    """The events that a VEN may see and that are not over, by id."""
    seen: dict[str, Template] = {}
    listed = objects.all(ObjectType.EVENT)
    if not listed:
        return seen
    sight = Sight.of(ven["clientID"], Role.VEN, objects)
    for event in listed:
        program = objects.get(ObjectType.PROGRAM, event["programID"])
        if program is None or not sight.sees(ObjectType.EVENT, event, objects):
            continue
        made = template(event, program, objects)
        if made is not None and (made.until is None or made.until > now):
            seen[event["id"]] = made
    return seen


def _current(ven_id: str, event_id: str, made: Template, known: Told | None, now: datetime) -> tuple[EiEvent, Told]:
    if known is None:
        told = Told(ven_id=ven_id, event_id=event_id, number=0, digest=made.digest, xml=made.xml, until=made.until)
    elif known.cancelled_at is not None or known.digest != made.digest:
        told = _next(known, digest=made.digest, xml=made.xml, until=made.until)
    else:
        told = known
    return addressed(made.event, ven_id, told.number, now), told


def _next(
    told: Told,
    *,
    until: datetime | None,
    digest: str | None = None,
    xml: str | None = None,
    cancelled_at: datetime | None = None,
) -> Told:
    """The record of the next version of an event, which was not told yet."""
    return Told(
        ven_id=told.ven_id,
        event_id=told.event_id,
        number=told.number + 1,
        digest=told.digest if digest is None else digest,
        xml=told.xml if xml is None else xml,
        until=until,
        cancelled_at=cancelled_at,
    )


def _is_due(told: Told, now: datetime) -> bool:
    if told.told_at is None:
        return True
    return told.answer is None and told.times < MOST_TIMES and now - told.told_at >= AGAIN_AFTER


def _is_settled(told: Told, now: datetime) -> bool:
    """Whether a cancelled event needs no more telling."""
    if told.told_at is None:
        return False
    return told.answer is not None or (told.times >= MOST_TIMES and now - told.told_at >= AGAIN_AFTER)


def _urgency(event: EiEvent, now: datetime) -> tuple[bool, int, datetime]:
    return event.period.start > now, event.descriptor.priority or 2**32, event.period.start


def answered(message: CreatedEvent, ven: Body, objects: Objects) -> tuple[Response, tuple[Change, ...]]:
    """How a VEN's answers fare, and what to store. An answer to an earlier version says nothing of the present one."""
    changes = []
    request_id = message.response.request_id or next((answer.request_id for answer in message.answers), "")
    response = fine(request_id)
    for answer in message.answers:
        event_id, number = answer.event.event_id, answer.event.modification_number
        told = Told.find(objects, ven["id"], event_id)
        if told is None:
            response = refused(Code.INVALID_ID, f"no event {event_id[:60]!r}", request_id)
        elif number > told.number:
            words = f"event {event_id[:60]!r} has no modification {number}"
            response = refused(Code.OUT_OF_SEQUENCE, words, request_id)
        elif answer.opt_type not in _OPTS:
            _LOG.warning("%s: event %s: %r is neither in nor out", ven["venName"], event_id, answer.opt_type[:20])
        elif number == told.number and (told.answer, told.answer_code) != (answer.opt_type, answer.code):
            changes.append(replace(told, answer=answer.opt_type, answer_code=answer.code[:3]).stored())
            _LOG.info("%s: event %s, %d: %s (%s)", ven["venName"], event_id, number, answer.opt_type, answer.code)
    return response, tuple(changes)


def opt_of(told: Told, opts: Iterable[Opt]) -> str | None:
    """Whether a VEN takes part in an event: what it declared last by an opt of its own, else what it answered."""
    own = [opt for opt in opts if opt.event_id == told.event_id]
    return max(own, key=lambda opt: opt.made_at).opt_type if own else told.answer
