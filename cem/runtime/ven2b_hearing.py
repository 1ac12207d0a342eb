"""What a VTN of OpenADR 2.0b sends to a VEN: acted on and answered, whether it was polled for or pushed.

The answer is out before what follows from a message begins. What follows is done in the session's own turns; it is kept
until it succeeds or the VTN itself refuses it.
"""

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from cem.model.provider import Provider
from cem.ports import Clock
from cem.runtime.ven2b_client import Vtn2bClient, is_refusal
from cem.runtime.ven2b_events import Events2b
from cem.runtime.ven2b_registration import Registration2b
from cem.runtime.ven2b_reports import Reports2b
from cem.runtime.ven_client import VtnFailure
from cem.sgcp.reports.openadr2b import METADATA, Pending
from cem.wire.openadr2b.messages import (
    CanceledPartyRegistration,
    CancelPartyRegistration,
    CancelReport,
    CreatedEvent,
    CreateReport,
    DistributeEvent,
    Message,
    OadrResponse,
    RegisteredReport,
    RegisterReport,
    RequestReregistration,
    UpdatedReport,
    UpdateReport,
)
from cem.wire.openadr2b.names import Code, Service
from cem.wire.openadr2b.parts import Response

_LOG = logging.getLogger(__name__)
MOST_OWED = 200
"""Things that wait to be done for the VTN's messages; more are refused, a VTN that works never has so many."""

Step = Callable[[], Awaitable[None]]


class Hearing2b:
    """Messages of one provider's VTN. `register` registers anew; `hint` is called when something waits to be done."""

    def __init__(
        self,
        provider: Provider,
        client: Vtn2bClient,
        registration: Registration2b,
        events: Events2b,
        reports: Reports2b,
        clock: Clock,
        new_id: Callable[[], str],
        register: Step,
        hint: Callable[[], None],
    ) -> None:
        self._provider = provider
        self._client = client
        self._registration = registration
        self._events = events
        self._reports = reports
        self._clock = clock
        self._new_id = new_id
        self._register = register
        self._hint = hint
        self._owed: deque[Step] = deque()

    async def polled(self, message: Message, asked_at_s: float) -> None:
        """A message that a poll brought: its answer is a request of ours. Raises VtnFailure."""
        answer = await self._act(message, asked_at_s)
        if not isinstance(message, DistributeEvent):  # oadrCreatedEvent is its answer, where one is due
            await self._tell(answer, message.SERVICE)
        await self.catch_up()

    async def pushed(self, message: Message, asked_at_s: float) -> Message:
        """The answer to a message that the VTN sent by itself."""
        if len(self._owed) >= MOST_OWED:
            return self._refusal(message, Code.DEPLOYMENT, "too many messages at once")
        answer = await self._act(message, asked_at_s)
        self._hint()
        return answer

    async def distributed(self, message: DistributeEvent, asked_at_s: float) -> CreatedEvent | None:
        """Takes a VTN's events in; the answer, where one is due, is kept to be sent by `catch_up`."""
        created = await self._events.take(message, self._ven_id(), self._registration.vtn_id, asked_at_s)
        if created is not None:
            self._owed.append(partial(self._tell, created))
        return created

    def owe(self, message: Message) -> None:
        """Keeps a message to be sent by `catch_up`."""
        self._owed.append(partial(self._tell, message))

    async def catch_up(self) -> None:
        """Does what waits to be done, in order; raises VtnFailure. What failed is kept unless the VTN refused it."""
        while self._owed:
            step = self._owed.popleft()
            try:
                await step()
            except VtnFailure as fault:
                if fault.status is None or not 400 <= fault.status < 500:
                    self._owed.appendleft(step)
                raise

    async def _tell(self, message: Message, service: Service | None = None) -> None:
        """Sends an answer. A VTN that does not want it is there all the same: its link is good."""
        try:
            await self._client.tell(message, service)
        except VtnFailure as fault:
            if not is_refusal(fault):
                raise
            _LOG.warning("%s; it is not sent again", fault.detail)

    async def _act(self, message: Message, asked_at_s: float) -> Message:
        own = self._registration.ven_id
        meant = getattr(message, "ven_id", None)
        if own is None or (meant and meant != own):
            return self._refusal(message, Code.INVALID_ID, f"venID {str(meant)[:60]!r} is not ours")
        if isinstance(message, DistributeEvent):
            created = await self.distributed(message, asked_at_s)
            code = Code.OK if created is None or created.response.ok else Code.INVALID_ID
            return self._plain(code, message.request_id, None if created is None else created.response.description)
        if isinstance(message, RequestReregistration):
            self._owed.append(self._register)
            return self._plain(Code.OK, self._new_id())
        if isinstance(message, CancelPartyRegistration):
            return self._cancelled(message)
        fine = Response(code="200", request_id=getattr(message, "request_id", ""))
        if isinstance(message, RegisterReport):
            # what a VTN can report is of no use to a house: nothing of it is asked for
            return RegisteredReport(response=fine, ven_id=own)
        if isinstance(message, UpdateReport):
            return UpdatedReport(response=fine, ven_id=own)
        if isinstance(message, CreateReport):
            return await self._asked(message, own)
        if isinstance(message, CancelReport):
            answer, last = await self._reports.cancel(message, own)
            if last:
                self._owed.append(partial(self._last, last))
            return answer
        return self._refusal(message, Code.COMPLIANCE, f"{message.TAG} is nothing that a VTN sends")

    async def _asked(self, message: CreateReport, own: str) -> Message:
        now = self._clock.now().wall
        for request in message.requests:
            if request.specifier_id == METADATA and len(self._owed) < MOST_OWED:
                self._owed.append(partial(self._offer, request.request_id))
        return await self._reports.answer_create(message, own, now)

    async def _offer(self, request_id: str) -> None:
        await self._reports.offer(self._ven_id(), self._clock.now().wall, request_id)

    async def _last(self, reports: tuple[Pending, ...]) -> None:
        await self._reports.deliver(self._clock.now().wall, self._ven_id(), reports)

    def _cancelled(self, message: CancelPartyRegistration) -> Message:
        own = self._registration.registration_id
        known = message.registration_id == own
        if known:
            self._owed.append(self._end)
        response = Response(code=str(int(Code.OK if known else Code.INVALID_ID)), request_id=message.request_id)
        return CanceledPartyRegistration(response=response, registration_id=own, ven_id=self._registration.ven_id)

    async def _end(self) -> None:
        _LOG.warning("%s: the provider ended our registration", self._provider.id)
        await self._reports.forget()
        await self._registration.forget()
        raise VtnFailure(
            f"{self._provider.id}: the provider ended our registration",
            "Ask the provider why; the gateway tries to register again later.",
            self._provider.retry_max_s,
            int(Code.NOT_REGISTERED),
        )

    def _refusal(self, message: Message, code: Code, words: str) -> OadrResponse:
        _LOG.warning("%s: %s is not acted on: %s", self._provider.id, message.TAG, words)
        return self._plain(code, getattr(message, "request_id", "") or "", words)

    def _plain(self, code: Code, request_id: str, words: str | None = None) -> OadrResponse:
        response = Response(code=str(int(code)), description=words, request_id=request_id)
        return OadrResponse(response=response, ven_id=self._registration.ven_id)

    def _ven_id(self) -> str:
        if self._registration.ven_id is None:
            raise VtnFailure(f"{self._provider.id}: not registered yet")
        return self._registration.ven_id
