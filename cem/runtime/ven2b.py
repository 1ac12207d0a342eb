"""The session with one OpenADR 2.0b VTN, as a VEN: registers, polls, follows and answers events, reports, opts."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from random import Random

from cem.model.directive import LinkState
from cem.model.provider import Provider
from cem.model.resource import Resource
from cem.model.time import Instant
from cem.ports import Clock, Http, StateKind, StateStore
from cem.runtime.ven2b_client import Envelope, Plain, Vtn2bClient
from cem.runtime.ven2b_events import Events2b
from cem.runtime.ven2b_opts import Opts2b
from cem.runtime.ven2b_registration import Registration2b
from cem.runtime.ven2b_reports import Reports2b
from cem.runtime.ven_client import VtnFailure
from cem.runtime.ven_link import LOST, VenLink
from cem.sgcp.bindings.openadr2b_signals import House
from cem.sgcp.durable import own_rows
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.reports.openadr2b import METADATA
from cem.wire.openadr2b.messages import (
    CanceledPartyRegistration,
    CancelPartyRegistration,
    CancelReport,
    CreateReport,
    DistributeEvent,
    Message,
    OadrResponse,
    Poll,
    RegisteredReport,
    RegisterReport,
    RequestEvent,
    RequestReregistration,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.names import Code, Service
from cem.wire.openadr2b.parts import Response

_LOG = logging.getLogger(__name__)
_MOST_IN_QUEUE = 50
"""Messages taken from a VTN's queue in one turn; a VTN that always has one more must not starve the rest."""
_REPORT_RETRY_S = 5.0


class Ven2bSession:
    """One provider's session. `wake` is called when the directive changed and the control loop should not wait."""

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
    ) -> None:
        self._provider = provider
        self._point = point
        self._store = store
        self._clock = clock
        self._random = random
        names = [resource.id for resource in resources]
        self._client = Vtn2bClient(provider, http, envelope or Plain())
        self._registration = Registration2b(provider, self._client, store, self._new_id, signed=envelope is not None)
        self._events = Events2b(provider, point, store, clock, random, wake, house, frozenset(names))
        self._reports = Reports2b(provider, self._client, store, names, self._new_id)
        self._opts = Opts2b(provider, self._client, point, store, clock, self._new_id)
        self._link = VenLink(provider, point, store, clock, random, wake, self._online)
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
        self._point.reports_queued(own, len(self._reports), now)
        self._restored = True

    def sample(self, now: Instant, powers_w: Mapping[str, float | None]) -> None:
        """The powers of a tick by resource id, key "site" for the meter; W, import positive, None: not known."""
        if self._reports.sample(now, powers_w):
            self._closed.set()

    async def run(self) -> None:
        """Follows the provider until cancelled. Failures of the link never leave it."""
        if not self._restored:
            await self.restore()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.follow(self._turn, self._rest), name=f"{self._provider.id} events")
            tasks.create_task(self._deliver(), name=f"{self._provider.id} reports")

    async def leave(self) -> None:
        """Cancels the registration with the VTN; raises VtnFailure where it does not agree."""
        await self._registration.cancel()

    # --- the link and the queue --------------------------------------------------------------------------------

    async def _rest(self) -> None:
        await asyncio.sleep(max(self._provider.poll_s, self._registration.poll_every.total_seconds()))

    async def _turn(self) -> None:
        if self._link.state in LOST or self._registration.registration_id is None:
            await self._resynchronise()
            return
        await self._drain()
        await self._opts.tell(self._ven_id())
        if await self._link.answered() is LinkState.RESYNC:
            await self._resynchronise()

    async def _resynchronise(self) -> None:
        """Registration, full fetch, what can be reported; until all of it is done what held goes on holding."""
        await self._registration.query()
        await self._link.answered()
        if self._was_online and self._provider.reconnect_jitter_s > 0:
            await asyncio.sleep(self._random.uniform(0.0, self._provider.reconnect_jitter_s))
        await self._register()
        await self._drain()
        await self._opts.tell(self._ven_id())
        self._was_online = True
        await self._link.synchronised()
        self._closed.set()

    async def _register(self) -> None:
        await self._registration.ensure()
        await self._fetch()
        if self._reported_as != self._registration.registration_id:
            await self._reports.register(self._ven_id(), self._clock.now().wall)
            self._reported_as = self._registration.registration_id

    async def _fetch(self) -> None:
        """Asks for all events. Interpretation: a plain agreement, as some peers give it, means that there are none."""
        asked_at_s = self._clock.now().mono_s
        request = RequestEvent(request_id=self._new_id(), ven_id=self._ven_id())
        answer = await self._client.exchange(request)
        if isinstance(answer, OadrResponse) and answer.response.ok:
            answer = DistributeEvent(request_id="", vtn_id=self._registration.vtn_id or "")
        if isinstance(answer, OadrResponse):
            raise self._client.refused(request, answer.response)
        if not isinstance(answer, DistributeEvent):
            seen = "nothing" if answer is None else answer.TAG
            raise VtnFailure(f"{self._provider.id}: {request.TAG} was answered with {seen}")
        if answer.response is not None and not answer.response.ok:
            raise self._client.refused(request, answer.response)
        await self._distributed(answer, asked_at_s)

    async def _drain(self) -> None:
        """Takes what waits for us, one message after the other, until nothing does."""
        for _ in range(_MOST_IN_QUEUE):
            asked_at_s = self._clock.now().mono_s
            answer = await self._client.exchange(Poll(ven_id=self._ven_id()))
            if answer is None or (isinstance(answer, OadrResponse) and answer.response.ok):
                return
            if isinstance(answer, OadrResponse):
                if answer.response.code in (str(int(Code.INVALID_ID)), str(int(Code.NOT_REGISTERED))):
                    await self._registration.forget()
                raise self._client.refused(Poll(ven_id=self._ven_id()), answer.response)
            await self._received(answer, asked_at_s)

    async def _received(self, message: Message, asked_at_s: float) -> None:
        """Acts on one message of the VTN and answers it where an answer is a request of ours."""
        now = self._clock.now().wall
        ven_id = self._ven_id()
        if isinstance(message, DistributeEvent):
            await self._distributed(message, asked_at_s)
        elif isinstance(message, RequestReregistration):
            await self._client.tell(self._fine(), Service.REGISTER_PARTY)
            await self._register()
        elif isinstance(message, CancelPartyRegistration):
            await self._cancelled(message)
        elif isinstance(message, RegisterReport):
            # what a VTN can report is of no use to a house: nothing of it is asked for
            response = Response(code="200", request_id=message.request_id)
            await self._client.tell(RegisteredReport(response=response, ven_id=ven_id))
        elif isinstance(message, CreateReport):
            await self._client.tell(await self._reports.answer_create(message, ven_id, now))
            for request in message.requests:
                if request.specifier_id == METADATA:
                    await self._reports.register(ven_id, now, request.request_id)
            self._closed.set()
        elif isinstance(message, CancelReport):
            answer, last = await self._reports.cancel(message, ven_id)
            await self._client.tell(answer)
            await self._reports.deliver(now, ven_id, last)
        elif isinstance(message, UpdateReport):
            response = Response(code="200", request_id=message.request_id)
            await self._client.tell(UpdatedReport(response=response, ven_id=ven_id))
        else:
            _LOG.warning("%s: a %s is nothing that a VTN sends; overlooked", self._provider.id, message.TAG)

    async def _distributed(self, message: DistributeEvent, asked_at_s: float) -> None:
        created = await self._events.take(message, self._ven_id(), self._registration.vtn_id, asked_at_s)
        if created is not None:
            await self._client.tell(created)

    async def _cancelled(self, message: CancelPartyRegistration) -> None:
        own = self._registration.registration_id
        known = message.registration_id == own
        code = Code.OK if known else Code.INVALID_ID
        response = Response(code=str(int(code)), request_id=message.request_id)
        answer = CanceledPartyRegistration(response=response, registration_id=own, ven_id=self._ven_id())
        await self._client.tell(answer)
        if known:
            _LOG.warning("%s: the provider ended our registration", self._provider.id)
            await self._reports.forget()
            await self._registration.forget()
            raise VtnFailure(
                f"{self._provider.id}: the provider ended our registration",
                "Ask the provider why; the gateway tries to register again later.",
                self._provider.retry_max_s,
            )

    def _fine(self) -> OadrResponse:
        return OadrResponse(response=Response(code="200", request_id=self._new_id()), ven_id=self._ven_id())

    def _ven_id(self) -> str:
        if self._registration.ven_id is None:
            raise VtnFailure(f"{self._provider.id}: not registered yet")
        return self._registration.ven_id

    def _new_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"

    # --- reports -----------------------------------------------------------------------------------------------

    def _online(self) -> None:
        self._closed.set()

    async def _deliver(self) -> None:
        """Delivers what is due whenever an interval closed; what fails is kept and sent again."""
        tries = 0
        while True:
            await self._closed.wait()
            self._closed.clear()
            if self._link.state is LinkState.ONLINE and self._registration.registration_id is not None:
                try:
                    while await self._reports.deliver(self._clock.now().wall, self._ven_id()):
                        pass
                except VtnFailure as fault:
                    tries += 1
                    if tries == 1:
                        _LOG.warning("%s; the report is kept and sent again. %s", fault.detail, fault.advice)
                    self._closed.set()
                else:
                    tries = 0
            await self._reports.keep(self._clock.now())
            self._point.reports_queued(self._provider.id, len(self._reports), self._clock.now())
            if tries:
                await asyncio.sleep(max(self._link.backoff_s(tries), _REPORT_RETRY_S if tries > 1 else 0.0))
