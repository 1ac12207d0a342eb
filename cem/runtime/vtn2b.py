"""OpenADR 2.0b over simple HTTP, beside 3.1 in one VTN: bodies to messages, the pure VTN, and back."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from datetime import datetime

from cem.runtime.vtn import VtnService
from cem.sgcp.vtn2b.handler import SERVICES, Vtn2b
from cem.wire import openadr2b as wire
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr2b import XmlError
from cem.wire.openadr2b.messages import Message
from cem.wire.openadr2b.names import CONTENT_TYPE, PATH_PREFIX
from cem.wire.openadr2b.signature import ReplayMemory, Signer, fingerprint, verified

_LOG = logging.getLogger(__name__)


class Vtn2bService:
    """Answers requests below the profile's path. With a `signer` every message must be signed, and every answer is.

    A message must be signed with the certificate that the connection shows.
    """

    def __init__(
        self, vtn: Vtn2b, service: VtnService, now: Callable[[], datetime], signer: Signer | None = None
    ) -> None:
        self._vtn = vtn
        self._service = service
        self._now = now
        self._signer = signer
        self._memory = ReplayMemory()

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request; what is for 3.1 goes there."""
        if not request.path.startswith(PATH_PREFIX + "/"):
            return await self._service.exchange(request)
        service = request.path[len(PATH_PREFIX) + 1 :]
        if service not in SERVICES:
            return _plain(404, f"no service {service[:60]!r}")
        if request.method != "POST":
            return _plain(405, "messages are posted")
        shown = fingerprint(request.certificate) if request.certificate else None
        try:
            message = await asyncio.to_thread(self._opened, request.body, shown)
        except XmlError as fault:
            _LOG.warning("a message from %s is refused: %s", request.peer, fault)
            return _plain(403 if fault.path == "signature" else 400, str(fault))
        now = self._now()
        answer = await self._service.carry_out(lambda: self._vtn.respond(message, service, shown, now))
        return HttpResponse(200, {"content-type": CONTENT_TYPE}, await asyncio.to_thread(self._sealed, answer))

    def _opened(self, body: bytes, shown: str | None) -> Message:
        payload = wire.parse(body)
        if self._signer is None:
            return wire.message_of(payload.signed_object)
        return wire.message_of(verified(payload, shown or "", self._memory, self._now()))

    def _sealed(self, message: Message) -> bytes:
        if self._signer is None:
            return wire.encode(message)
        return self._signer.seal(message, self._now(), secrets.token_hex(16))


def _plain(status: int, words: str) -> HttpResponse:
    return HttpResponse(status, {"content-type": "text/plain; charset=utf-8"}, words.encode())
