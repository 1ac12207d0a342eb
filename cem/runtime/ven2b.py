"""The session with one OpenADR 2.0b VTN, as a VEN: registers, polls, follows and answers events, reports, opts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random

from cem.model.directive import LinkState
from cem.model.provider import Provider
from cem.model.resource import Resource
from cem.model.time import Instant
from cem.ports import Clock, Http, StateKind, StateStore
from cem.runtime.ven2b_client import Envelope, Plain, Signed, Vtn2bClient
from cem.runtime.ven2b_events import Events2b
from cem.runtime.ven2b_hearing import Hearing2b
from cem.runtime.ven2b_opts import Opts2b
from cem.runtime.ven2b_push import Push2b
from cem.runtime.ven2b_registration import Registration2b
from cem.runtime.ven2b_reports import Reports2b
from cem.runtime.ven_client import VtnFailure
from cem.runtime.ven_link import LOST, VenLink
from cem.runtime.ven_notices import Ears
from cem.runtime.ven_settlement import EVERY_S, Books, Settlements
from cem.runtime.waiting import Signal
from cem.sgcp.bindings.openadr2b_signals import House
from cem.sgcp.durable import own_rows
from cem.sgcp.point import ConnectionPoint
from cem.wire.openadr2b.messages import DistributeEvent, Message, OadrResponse, Poll, RequestEvent
from cem.wire.openadr2b.names import Code
from cem.wire.openadr2b.parts import Response

_LOG = logging.getLogger(__name__)
_MOST_IN_QUEUE = 50
"""Messages taken from a VTN's queue in one turn; a VTN that always has one more must not starve the rest."""
_REPORT_RETRY_S = 5.0
_MOST_UNSENT = 2
"""Times that we had to ask for news of a VTN that said it sends them, none sent meanwhile: what it sends is lost."""
_NOT_REGISTERED = (int(Code.NOT_REGISTERED),)
_LATER = (408, 429)
_STRANGER = (int(Code.NOT_REGISTERED), int(Code.INVALID_ID))
"""Of a message that names nothing but the venID."""


class Ven2bSession:
    """One provider's session. `wake` is called when the directive changed and the control loop should not wait.

    `ears` are what the VTN's own messages are listened for with; without any, or where the VTN does not send, it is
    asked. `books` are what events are settled by, and what history is reported from; None: neither.
    """

    def __init__(
        self,
        provider: Provider,
        http: Http,
        point: ConnectionPoint,
        store: StateStore,
        clock: Clock,
        random: Random,
        wake: Callable[[], None],
        *,
        house: House,
        resources: Sequence[Resource] = (),
        envelope: Envelope | None = None,
        ears: Ears | None = None,
        books: Books | None = None,
    ) -> None:
        self._provider = provider
        self._point = point
        self._store = store
        self._clock = clock
        self._random = random
        names = [resource.id for resource in resources]
        self._client = Vtn2bClient(provider, http, envelope or Plain(), clock)
        signed = isinstance(envelope, Signed)
        self._registration = Registration2b(provider, self._client, store, self._new_id, signed=signed)
        self._events = Events2b(provider, point, store, clock, random, wake, house, frozenset(names))
        self._reports = Reports2b(provider, self._client, store, names, self._new_id, books)
        self._settlements = None
        if books is not None:
            self._settlements = Settlements(
                provider,
                None,
                store,
                books,
                lambda stretch: point.limits_of_others(provider.id, stretch.start, stretch.end, clock.now()),
            )
        self._opts = Opts2b(provider, self._client, point, store, clock, self._new_id)
        self._link = VenLink(provider, point, store, clock, random, wake, self._online)
        self._hint = Signal()
        self._hearing = Hearing2b(
            provider,
            self._client,
            self._registration,
            self._events,
            self._reports,
            clock,
            self._new_id,
            self._register_again,
            self._hint.set,
        )
        self._push = Push2b(provider, envelope or Plain(), ears or Ears(), clock, self._pushed)
        self._unsent = 0
        self._push_lost = False
        self._doubted = False
        self._ask_at_s = 0.0
        self._closed = asyncio.Event()
        self._restored = False
        self._was_online = False
        self._reported_as: str | None = None  # the registration under which our reports were registered

    async def restore(self) -> None:
        """Takes in what was stored: limits are in force from here on, before any contact."""
        now = self._clock.now()
        own = self._provider.id
        events = own_rows(await self._store.load(StateKind.EVENT), own)
        limits = own_rows(await self._store.load(StateKind.LIMIT), own)
        for fault in self._point.restore(own, events, limits, now):
            _LOG.warning("%s", fault)
        await self._events.restore()
        await self._opts.restore()
        await self._registration.restore()
        await self._reports.restore(now)
        if self._settlements is not None:
            await self._settlements.restore()
        self._point.reports_queued(own, len(self._reports), now)
        self._restored = True

    def owner_decided(self) -> None:
        """The owner opted out of something, or in again: the VTN is told at once where it is there."""
        if self._link.state is LinkState.ONLINE:
            self._hint.set()

    def power_was_cut(self) -> None:
        """The power of this house came back, and with it perhaps that of all its neighbours; said before `run`."""
        self._link.power_was_cut()

    def sample(self, now: Instant, powers_w: Mapping[str, float | None]) -> None:
        """The powers of a tick by resource id, key "site" for the meter; W, import positive, None: not known."""
        if self._reports.sample(now, powers_w):
            self._closed.set()

    async def run(self) -> None:
        """Follows the provider until cancelled. Failures of the link never leave it."""
        if not self._restored:
            await self.restore()
        try:
            async with asyncio.TaskGroup() as tasks:
                follow = self._link.follow(self._turn, self._rest, self._hint.wait)
                tasks.create_task(follow, name=f"{self._provider.id} events")
                tasks.create_task(self._deliver(), name=f"{self._provider.id} reports")
                if self._settlements is not None:
                    tasks.create_task(self._settle(self._settlements), name=f"{self._provider.id} settlements")
        finally:
            await self._push.stop()

    async def leave(self) -> None:
        """Cancels the registration with the VTN; raises VtnFailure where it does not agree."""
        await self._registration.cancel()

    # --- the link ----------------------------------------------------------------------------------------------

    async def _rest(self) -> None:
        """Until the VTN is to be asked, or has sent something."""
        await self._hint.wait(self._ask_at_s - self._clock.now().mono_s)

    async def _turn(self) -> None:
        self._hint.clear()
        if self._link.state in LOST or self._registration.registration_id is None or self._doubted:
            await self._resynchronise()
            return
        async with self._registered(_NOT_REGISTERED):
            await self._hearing.catch_up()
            asks = self._clock.now().mono_s >= self._ask_at_s
            if asks:
                await self._ask()
            await self._tell_opts()
        if asks and await self._link.answered() is LinkState.RESYNC:
            await self._resynchronise()

    async def _tell_opts(self) -> None:
        """What the owner takes part in, where the VTN was told otherwise."""
        changed = self._events.changed_answers(self._ven_id())
        if changed is not None:
            self._hearing.owe(changed)
            await self._hearing.catch_up()
        await self._opts.tell(self._ven_id())

    async def _ask(self) -> None:
        """Asks for what waits for us; a VTN that sends by itself is asked for its events, so that none is lost."""
        every_s = max(self._provider.poll_s, self._registration.poll_every.total_seconds())
        self._ask_at_s = self._clock.now().mono_s + every_s
        if not self._registration.pushed:
            await self._drain()
            return
        before = self._events.news
        await self._fetch()
        self._unsent += self._events.news > before
        if self._unsent >= _MOST_UNSENT:
            _LOG.warning(
                "%s: what the provider sends does not reach us at %s, so we ask each %g s",
                self._provider.id,
                self._provider.callback_url,
                every_s,
            )
            self._push_lost = True
            await self._register()

    async def _resynchronise(self) -> None:
        """Registration, full fetch, what can be reported; until all of it is done what held goes on holding."""
        self._push_lost = False
        await self._registration.query()
        await self._link.answered()
        if self._was_online and self._provider.reconnect_jitter_s > 0:
            await asyncio.sleep(self._random.uniform(0.0, self._provider.reconnect_jitter_s))
        await self._register()
        self._ask_at_s = float("-inf")
        async with self._registered(_NOT_REGISTERED):
            await self._ask()
            await self._tell_opts()
        self._was_online, self._doubted = True, False
        await self._link.synchronised()
        self._closed.set()

    async def _register(self) -> None:
        await self._registration.ensure(None if self._push_lost else await self._push.listen())
        self._unsent = 0
        await self._fetch()
        if self._reported_as != self._registration.registration_id:
            await self._reports.offer(self._ven_id(), self._clock.now().wall)
            self._reported_as = self._registration.registration_id

    async def _register_again(self) -> None:
        """As the VTN wants it; what can be reported is told anew as well."""
        self._reported_as = None
        await self._register()

    @asynccontextmanager
    async def _registered(self, codes: tuple[int, ...]) -> AsyncIterator[None]:
        """A VTN that answers with one of these codes does not know us any longer: we register again, and soon.

        Interpretation: one that refuses us in HTTP alone may mean the same, so the next try begins with registering.
        """
        try:
            yield
        except VtnFailure as fault:
            self._doubted = fault.status is not None and 400 <= fault.status < 450 and fault.status not in _LATER
            if fault.status in codes and self._registration.registration_id is not None:
                await self._registration.forget()
                raise VtnFailure(f"{fault.detail}; registering again", fault.advice, 0.0, fault.status) from fault
            raise

    # --- what the VTN has for us -------------------------------------------------------------------------------

    async def _fetch(self) -> None:
        """Asks for all events. Interpretation: a plain agreement, as some peers give it, means that there are none."""
        asked_at_s = self._clock.now().mono_s
        request = RequestEvent(request_id=self._new_id(), ven_id=self._ven_id())
        async with self._registered(_STRANGER):
            answer = await self._client.exchange(request)
            if isinstance(answer, OadrResponse) and answer.response.ok:
                answer = DistributeEvent(request_id="", vtn_id=self._registration.vtn_id or "")
            response = getattr(answer, "response", None)
            if isinstance(response, Response) and not response.ok:
                raise self._client.refused(request, response)
        if not isinstance(answer, DistributeEvent):
            seen = "nothing" if answer is None else answer.TAG
            raise VtnFailure(f"{self._provider.id}: {request.TAG} was answered with {seen}")
        await self._hearing.distributed(answer, asked_at_s)
        await self._hearing.catch_up()

    async def _drain(self) -> None:
        """Takes what waits for us, one message after the other, until nothing does."""
        for _ in range(_MOST_IN_QUEUE):
            asked_at_s = self._clock.now().mono_s
            poll = Poll(ven_id=self._ven_id())
            async with self._registered(_STRANGER):
                answer = await self._client.exchange(poll)
                if answer is None or (isinstance(answer, OadrResponse) and answer.response.ok):
                    return
                if isinstance(answer, OadrResponse):
                    raise self._client.refused(poll, answer.response)
            await self._hearing.polled(answer, asked_at_s)
            self._closed.set()

    async def _pushed(self, message: Message, at_s: float) -> Message:
        """The answer to what the VTN sent by itself; it was heard of then."""
        answer = await self._hearing.pushed(message, at_s)
        if isinstance(message, DistributeEvent):
            self._unsent = 0
        await self._link.answered()
        self._closed.set()
        return answer

    def _ven_id(self) -> str:
        if self._registration.ven_id is None:
            raise VtnFailure(f"{self._provider.id}: not registered yet")
        return self._registration.ven_id

    def _new_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    async def _settle(self, settlements: Settlements) -> None:
        """Events that are over, as soon as the record of them is there."""
        while True:
            now = self._clock.now()
            if now.trusted:
                await settlements.settle(self._point.events(self._provider.id, now), now.wall)
            await asyncio.sleep(EVERY_S)

    # --- reports -----------------------------------------------------------------------------------------------

    def _online(self) -> None:
        self._closed.set()

    async def _deliver(self) -> None:
        """Delivers what is due whenever an interval closed; what fails is kept and sent again."""
        tries = 0
        while True:
            await self._closed.wait()
            self._closed.clear()
            wait_s = 0.0
            if self._link.state is LinkState.ONLINE and self._registration.registration_id is not None:
                try:
                    while await self._reports.deliver(self._clock.now().wall, self._ven_id()):
                        pass
                except VtnFailure as fault:
                    tries += 1
                    if tries == 1:
                        _LOG.warning("%s; the report is kept and sent again. %s", fault.detail, fault.advice)
                    wait_s = max(
                        self._link.backoff_s(tries), self._link.away_s(fault), _REPORT_RETRY_S if tries > 1 else 0.0
                    )
                    self._closed.set()
                else:
                    tries = 0
            await self._reports.keep(self._clock.now())
            self._point.reports_queued(self._provider.id, len(self._reports), self._clock.now())
            if wait_s:
                await asyncio.sleep(wait_s)
