"""The events of one OpenADR 2.0b provider: taken in, stored, and answered."""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from cem.model.provider import Provider
from cem.ports import Clock, StateKind, StateStore
from cem.runtime.ven_rows import commit
from cem.sgcp.bindings.openadr2b import Binding2b, Bound, is_cancelled
from cem.sgcp.bindings.openadr2b_signals import House
from cem.sgcp.durable import OFFSET, Row, own_rows, row_key
from cem.sgcp.events.store import Difference, event_end
from cem.sgcp.point import ConnectionPoint
from cem.wire.openadr2b.messages import CreatedEvent, DistributeEvent
from cem.wire.openadr2b.names import Code, OptType
from cem.wire.openadr2b.parts import EventResponse, QualifiedEventId, Response

_LOG = logging.getLogger(__name__)
_FEW_INTERVALS = 100


@dataclass(frozen=True, slots=True)
class _Answered:
    """What was answered last to an event."""

    version: int
    opt: str
    request_id: str


class Events2b:
    """Takes in what a VTN distributes. `wake` is called when the accepted events changed."""

    def __init__(
        self,
        provider: Provider,
        point: ConnectionPoint,
        store: StateStore,
        clock: Clock,
        random: Random,
        wake: Callable[[], None],
        house: House,
        resources: frozenset[str],
    ) -> None:
        self._provider = provider
        self._point = point
        self._store = store
        self._clock = clock
        self._wake = wake
        self._binding = Binding2b(provider, house, random.random, point.opted_out, resources)
        self._shares: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._asked_at_s = -math.inf
        self._one_at_a_time = asyncio.Lock()
        self._answered: dict[str, _Answered] = {}
        self.news = 0  # events that were new or changed, since we run

    async def restore(self) -> None:
        """Loads what was drawn: a late start is never drawn twice."""
        prefix = row_key(self._provider.id, "")
        for key, value in own_rows(await self._store.load(StateKind.OFFSET), self._provider.id).items():
            if isinstance(value, int | float):
                self._shares[key.removeprefix(prefix)] = min(max(float(value), 0.0), 1.0)

    async def take(
        self, message: DistributeEvent, ven_id: str, vtn_id: str | None, asked_at_s: float
    ) -> CreatedEvent | None:
        """Makes a whole distribution count; the answer to it, None where none is due.

        `asked_at_s`: when it was asked for or began to come in, on the monotonic clock.
        """
        if vtn_id is not None and message.vtn_id != vtn_id:
            _LOG.warning(
                "%s: events in the name of the VTN %r are not accepted; we are registered with %r",
                self._provider.id,
                message.vtn_id,
                vtn_id,
            )
            words = f"vtnID {message.vtn_id[:60]!r} is not known here"
            return _created(message, ven_id, Code.INVALID_ID, words, None)
        async with self._one_at_a_time:
            bound = await self._bind(message, ven_id, asked_at_s)
        self._answered = {
            answer.event.event_id: _Answered(answer.event.modification_number, answer.opt_type, message.request_id)
            for answer in bound.answers
            if answer.code == str(int(Code.OK))
        }
        return _created(message, ven_id, Code.OK, None, bound) if bound.answers else None

    def changed_answers(self, ven_id: str) -> CreatedEvent | None:
        """The answer anew to events of which the owner thinks otherwise by now; None: there are none.

        Interpretation: a VEN may change its mind with another oadrCreatedEvent as long as the event is not over; a VTN
        that has no EiOpt hears of it in no other way.
        """
        now = self._clock.now()
        answers = []
        for event in self._point.events(self._provider.id, now).values():
            last, end = self._answered.get(event.id), event_end(event)
            opt = str(OptType.OUT if self._point.opted_out(event) else OptType.IN)
            if last is None or last.opt == opt or is_cancelled(event) or (end is not None and end <= now.wall):
                continue
            self._answered[event.id] = replace(last, opt=opt)
            about = QualifiedEventId(event_id=event.id, modification_number=last.version)
            answers.append(EventResponse(code=str(int(Code.OK)), request_id=last.request_id, event=about, opt_type=opt))
        if not answers:
            return None
        return CreatedEvent(response=Response(code=str(int(Code.OK))), answers=tuple(answers), ven_id=ven_id)

    async def _bind(self, message: DistributeEvent, ven_id: str, asked_at_s: float) -> Bound:
        own = self._provider.id
        now = self._clock.now()
        known = self._point.events(own, now)
        before = set(self._shares)
        shares = {
            event_id: self._shares[row_key(event_id)] for event_id in _ids(message) if row_key(event_id) in before
        }
        if asked_at_s == self._asked_at_s:  # one after the other within the clock's step
            asked_at_s = math.nextafter(asked_at_s, math.inf)
        self._asked_at_s = asked_at_s
        args = message, ven_id, known, shares, now.wall, asked_at_s
        # a few intervals are bound in less time than it takes to change to another thread
        small = sum(len(signal.intervals) for event in message.events for signal in event.signals) <= _FEW_INTERVALS
        bound = self._binding.bind(*args) if small else await asyncio.to_thread(self._binding.bind, *args)
        self._shares.update({row_key(event_id): share for event_id, share in shares.items()})
        difference, rows = self._point.difference(own, bound.listing, now)
        fresh = [key for key in self._shares if key not in before]
        rows += [Row(OFFSET, f"{row_key(own)}/{key}", self._shares[key]) for key in fresh]
        rows += [
            Row(OFFSET, row_key(own, event.id), None)
            for event in difference.gone
            if self._shares.pop(row_key(event.id), None) is not None
        ]
        if rows:
            await commit(self._store, rows, own)
        self.news += len(difference.new) + len(difference.changed)
        if self._point.apply(own, difference, self._clock.now()):
            self._wake()
        self._log(difference)
        return bound

    def _log(self, difference: Difference) -> None:
        own = self._provider.id
        for words, events in (
            ("new", difference.new),
            ("changed", difference.changed),
            ("cancelled by the provider or over", difference.gone),
            ("missed: it ran out before we heard of it; it is not run late", difference.missed),
        ):
            for event in events:
                self._tell(event.id, f"{words} {event.modification}", f"{own}: event {event.name} {words}")
        for rejection in difference.rejected:
            words = f"{own}: event {rejection.event_id} is not acted on: {rejection.reason}"
            self._tell(rejection.event_id, rejection.reason, words)

    def _tell(self, event_id: str, state: str, text: str) -> None:
        if self._told.get(event_id) != state:
            if len(self._told) > 1000:
                self._told.clear()
            self._told[event_id] = state
            _LOG.info("%s", text)


def _ids(message: DistributeEvent) -> list[str]:
    return [event.descriptor.event_id for event in message.events]


def _created(message: DistributeEvent, ven_id: str, code: Code, words: str | None, bound: Bound | None) -> CreatedEvent:
    answers = () if bound is None else bound.answers
    # each answer carries the request's identifier, and then it must not stand above them
    response = Response(code=str(int(code)), description=words, request_id="" if answers else message.request_id)
    return CreatedEvent(response=response, answers=answers, ven_id=ven_id)
