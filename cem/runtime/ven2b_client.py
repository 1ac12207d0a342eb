"""A VEN's requests to an OpenADR 2.0b VTN over simple HTTP; every failure with its advice."""

import asyncio
import secrets
from datetime import datetime
from typing import Protocol, TypeVar

from cem.model.errors import GridError
from cem.model.provider import Provider
from cem.ports import Clock, Http
from cem.runtime.ven_client import FORBIDDEN_PAUSE_S, VtnFailure, advice_on, retry_after_s
from cem.wire import openadr2b as wire
from cem.wire.openadr2b import XmlError
from cem.wire.openadr2b.messages import Message
from cem.wire.openadr2b.names import CONTENT_TYPE, Code, Service
from cem.wire.openadr2b.parts import Response
from cem.wire.openadr2b.signature import ReplayMemory, signed_by, verified

M = TypeVar("M", bound=Message)
_LARGE_BODY_BYTES = 16 * 1024


_REFUSED = (400, 404, 405, 406, 413, 422, 501)


def is_refusal(fault: VtnFailure) -> bool:
    """Whether the VTN is there, knows us, and does not want this one message: it would say the same again."""
    status = fault.status
    return status in _REFUSED or (status is not None and 450 <= status < 470 and status != Code.NOT_REGISTERED)


class Envelope(Protocol):
    """How messages become bodies: as they are, or signed."""

    def seal(self, message: Message) -> bytes:
        """The body of a message."""

    def open(self, body: bytes) -> Message:
        """The message of a body; raises XmlError where it is none, or not signed as it must be."""


class Plain:
    """Messages as they are."""

    def seal(self, message: Message) -> bytes:
        """The body of a message."""
        return wire.encode(message)

    def open(self, body: bytes) -> Message:
        """The message of a body."""
        return wire.decode(body)


class Seals(Protocol):
    """What signs, such as a Signer."""

    def seal(self, message: Message, now: datetime, nonce: str) -> bytes:
        """The signed body of a message."""


class Signed:
    """Messages with signatures: ours by `signer`, the other end's by the certificate of a fingerprint.

    `coming` is that of the certificate which takes its place one day: it counts as well.
    """

    def __init__(self, signer: Seals, expected: str, clock: Clock, coming: str | None = None) -> None:
        self._signer = signer
        self._expected = expected
        self._coming = coming
        self._clock = clock
        self._memory = ReplayMemory()

    def seal(self, message: Message) -> bytes:
        """The signed body of a message."""
        return self._signer.seal(message, self._clock.now().wall, secrets.token_hex(16))

    def open(self, body: bytes) -> Message:
        """The message that the signature covers."""
        payload = wire.parse(body)
        renewed = self._coming is not None and signed_by(payload) == self._coming
        expected = self._coming if renewed and self._coming is not None else self._expected
        return wire.message_of(verified(payload, expected, self._memory, self._clock.now().wall))


async def opened(envelope: Envelope, body: bytes) -> Message:
    """The message of a body, without holding up the loop by a big one; raises XmlError."""
    if len(body) > _LARGE_BODY_BYTES:
        return await asyncio.to_thread(envelope.open, body)
    return envelope.open(body)


class Vtn2bClient:
    """Exchanges with one VTN. Raises VtnFailure for everything that is not an OpenADR message."""

    def __init__(self, provider: Provider, http: Http, envelope: Envelope, clock: Clock) -> None:
        self._provider = provider
        self._http = http
        self._envelope = envelope
        self._clock = clock
        self._base = provider.url.rstrip("/")

    async def exchange(self, message: Message, service: Service | None = None) -> Message | None:
        """The VTN's answer to a message; None where it answered with an empty body."""
        where = service or message.SERVICE
        what = f"{message.TAG} to {where}"
        headers = {"Content-Type": CONTENT_TYPE, "Accept": CONTENT_TYPE}
        try:
            body = await asyncio.to_thread(self._envelope.seal, message)
            answer = await self._http.request("POST", f"{self._base}/{where}", headers=headers, body=body)
        except XmlError as fault:
            raise VtnFailure(f"{self._provider.id}: {what} could not be written: {fault}") from fault
        except GridError as fault:
            raise VtnFailure(f"{self._provider.id}: {fault}", advice_on(fault)) from fault
        if answer.status in (401, 403):
            raise VtnFailure(
                f"{self._provider.id}: {what} was refused with HTTP {answer.status}",
                "The provider must know the fingerprint of this gateway's certificate and its venID.",
                FORBIDDEN_PAUSE_S,
                answer.status,
            )
        if answer.status not in (200, 202, 204):
            raise VtnFailure(
                f"{self._provider.id}: {what} was answered with HTTP {answer.status}",
                "The gateway goes on trying. If it stays, ask the provider.",
                retry_after_s(answer, self._clock.now().wall),
                answer.status,
            )
        if not answer.body.strip():
            return None
        try:
            return await opened(self._envelope, answer.body)
        except XmlError as fault:
            raise VtnFailure(
                f"{self._provider.id}: the answer to {what} is not accepted: {fault}",
                f"Check that {self._base} is the VTN's address, no proxy answers there, and what signatures it uses.",
            ) from fault

    async def ask(self, kind: type[M], message: Message) -> M:
        """The answer of a kind; another one, or one that says no, is a VtnFailure with its code as `status`."""
        answer = await self.exchange(message)
        response = getattr(answer, "response", None)
        if isinstance(response, Response) and not response.ok:
            raise self.refused(message, response)
        if not isinstance(answer, kind):
            seen = "nothing" if answer is None else answer.TAG
            raise VtnFailure(f"{self._provider.id}: {message.TAG} was answered with {seen}, not with {kind.TAG}")
        return answer

    async def tell(self, message: Message, service: Service | None = None) -> None:
        """Sends what expects no more than an oadrResponse; raises VtnFailure where the answer, of any kind, says no."""
        response = getattr(await self.exchange(message, service), "response", None)
        if isinstance(response, Response) and not response.ok:
            raise self.refused(message, response)

    def refused(self, message: Message, response: Response) -> VtnFailure:
        """The failure that an answer's code means."""
        words = f" ({response.description[:200]})" if response.description else ""
        code = int(response.code) if response.code.isdecimal() else 0
        pause_s = FORBIDDEN_PAUSE_S if code == Code.NOT_REGISTERED else 0.0
        detail = f"{self._provider.id}: {message.TAG} was answered with {response.code}{words}"
        return VtnFailure(detail, "Ask the provider what it expects of this VEN.", pause_s, code)
