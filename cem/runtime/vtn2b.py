"""OpenADR 2.0b over simple HTTP, beside 3.1 in one VTN: bodies to messages, the pure VTN, and back."""

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import datetime

from cem.runtime.vtn import VtnService
from cem.runtime.vtn2b_push import RETRY_AFTER_S, Poster, Pusher
from cem.sgcp.vtn.answers import RefusedRequest
from cem.sgcp.vtn.objects import Change
from cem.sgcp.vtn2b.handler import SERVICES, Vtn2b
from cem.sgcp.vtn2b.operator import OPERATOR_PATH, Operator
from cem.sgcp.vtn2b.parties import push_address
from cem.sgcp.vtn2b.refusal import Refused
from cem.wire import openadr2b as wire
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr2b import XmlError
from cem.wire.openadr2b.familiar import SignedReader
from cem.wire.openadr2b.messages import (
    CreatePartyRegistration,
    CreateReport,
    DistributeEvent,
    Message,
    Poll,
)
from cem.wire.openadr2b.names import CONTENT_TYPE, PATH_PREFIX
from cem.wire.openadr2b.signature import Signer, fingerprint

_LOG = logging.getLogger(__name__)
_SMALL_BODY_BYTES = 16 * 1024
_XML = {"content-type": CONTENT_TYPE}


class Envelope2b:
    """How messages become bodies and back: as they are, or with a `signer` signed both ways.

    A message must be signed with the certificate that the connection shows.
    """

    def __init__(self, signer: Signer | None) -> None:
        self._signer = signer
        self._reader = SignedReader()

    async def opened(self, body: bytes, shown: str | None, now: datetime) -> Message:
        """The message of a body by the owner of a certificate that came in now; raises XmlError."""
        if len(body) <= _SMALL_BODY_BYTES:
            return self._opened(body, shown, now)
        return await asyncio.to_thread(self._opened, body, shown, now)

    def _opened(self, body: bytes, shown: str | None, now: datetime) -> Message:
        if self._signer is None:
            return wire.decode(body)
        return self._reader.read(body, shown or "", now)

    async def sealed(self, message: Message, now: datetime) -> bytes:
        """The body of a message that is sent now."""
        if not isinstance(message, DistributeEvent | CreateReport):
            return self._sealed(message, now)  # a millisecond; a thread would cost as much
        return await asyncio.to_thread(self._sealed, message, now)

    def _sealed(self, message: Message, now: datetime) -> bytes:
        if self._signer is None:
            return wire.encode(message)
        return self._signer.seal(message, now, os.urandom(16).hex())


class Vtn2bService:
    """Answers requests below the profile's path, and the operator's orders; `run` posts to who does not ask."""

    def __init__(
        self,
        vtn: Vtn2b,
        service: VtnService,
        now: Callable[[], datetime],
        signer: Signer | None,
        poster: Poster,
        retry_after_s: tuple[float, ...] = RETRY_AFTER_S,
    ) -> None:
        self._vtn = vtn
        self._operator = Operator(vtn.orders)
        self._service = service
        self._now = now
        self._envelope = Envelope2b(signer)
        self._poster = poster
        self._pusher = Pusher(vtn, service, poster, self._envelope, now, retry_after_s)
        service.on_change(self._pusher.look)

    @property
    def heard(self) -> dict[str, datetime]:
        """When each registered VEN of 2.0b last said something, by its id."""
        return self._vtn.heard

    async def run(self) -> None:
        """Posts until it is cancelled."""
        await self._pusher.run()

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request; what is for 3.1 goes there."""
        if request.path.startswith(OPERATOR_PATH):
            return await self._ordered(request)
        if not request.path.startswith(PATH_PREFIX + "/"):
            return await self._service.exchange(request)
        service = request.path[len(PATH_PREFIX) + 1 :]
        if service not in SERVICES:
            return _plain(404, f"no service {service[:60]!r}")
        if request.method != "POST":
            return _plain(405, "messages are posted")
        shown = fingerprint(request.certificate) if request.certificate else None
        now = self._now()
        try:
            message = await self._envelope.opened(request.body, shown, now)
        except XmlError as fault:
            _LOG.warning("a message from %s is refused: %s", request.peer, fault)
            return _plain(403 if fault.path == "signature" else 400, str(fault))
        quick = isinstance(message, Poll) and self._vtn.is_light
        fault_of_address = None if quick else await self._address_fault(message)
        answer = await self._service.carry_out(
            lambda: self._vtn.respond(message, service, shown, now, fault_of_address), quick=quick
        )
        self._pusher.heard(getattr(answer, "ven_id", None) or "")
        if not quick:
            now = self._now()  # it may have waited for its turn and for the disk
        return HttpResponse(200, _XML, await self._envelope.sealed(answer, now))

    async def _address_fault(self, message: Message) -> str | None:
        """What is wrong with where a VEN wants messages posted to."""
        if not isinstance(message, CreatePartyRegistration):
            return None
        try:
            address = push_address(message)
        except Refused:
            return None  # said again with the answer
        return None if address is None else await self._poster.judge(address)

    async def _ordered(self, request: HttpRequest) -> HttpResponse:
        """What the operator asks or orders beside 3.1."""
        try:
            return await self._service.carry_out(lambda: self._carry_out_order(request))
        except RefusedRequest as refusal:
            return refusal.answer(request)

    def _carry_out_order(self, request: HttpRequest) -> tuple[HttpResponse, tuple[Change, ...]]:
        self._service.business(request)
        return self._operator.respond(request, self._now())


def _plain(status: int, words: str) -> HttpResponse:
    return HttpResponse(status, {"content-type": "text/plain; charset=utf-8"}, words.encode())
