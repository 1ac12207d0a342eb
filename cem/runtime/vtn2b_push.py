"""Messages posted to VENs of OpenADR 2.0b that do not ask: one at a time for each, in their order, until they arrive.

What is posted is made when its turn comes, so a VEN that was away gets the present state and no history of it.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from cem.model.errors import CemError
from cem.runtime.vtn import VtnService
from cem.sgcp.vtn2b.handler import Post, Vtn2b
from cem.wire.openadr2b import XmlError
from cem.wire.openadr2b.messages import Message
from cem.wire.openadr2b.names import CONTENT_TYPE

_LOG = logging.getLogger(__name__)
_LOOK_S = 10.0
RETRY_AFTER_S = (1.0, 5.0, 30.0, 120.0, 300.0)
"""How long is waited after each failure in a row; the last one again and again, as long as the VEN is registered."""


class Poster(Protocol):
    """The way to VENs that are pushed to."""

    async def judge(self, url: str) -> str | None:
        """What is wrong with an address, in words; None: nothing."""

    async def post(self, url: str, body: bytes, content_type: str, peer: str | None) -> tuple[int, bytes] | str:
        """The status and body that came back, or in words why there was no exchange."""


class Envelope(Protocol):
    """How messages become bodies and back, as with what VENs send."""

    async def sealed(self, message: Message, now: datetime) -> bytes:
        """The body of a message that is sent now."""

    async def opened(self, body: bytes, shown: str | None, now: datetime) -> Message:
        """The message of a body by the owner of a certificate that came in now; raises XmlError."""


class Pusher:
    """Posts what VENs are due. `run` works until it is cancelled; `look` says that something may be due."""

    def __init__(
        self,
        vtn: Vtn2b,
        service: VtnService,
        poster: Poster,
        envelope: Envelope,
        now: Callable[[], datetime],
        retry_after_s: tuple[float, ...] = RETRY_AFTER_S,
    ) -> None:
        self._vtn = vtn
        self._service = service
        self._poster = poster
        self._envelope = envelope
        self._now = now
        self._retry_after_s = retry_after_s
        self._due = asyncio.Event()
        self._hurry: dict[str, asyncio.Event] = {}  # of each VEN that is being worked for

    def look(self) -> None:
        """Something changed."""
        self._due.set()

    def heard(self, ven_id: str) -> None:
        """A VEN is there: what waits to be tried again is tried now."""
        if ven_id in self._hurry:
            self._hurry[ven_id].set()

    async def run(self) -> None:
        """Works for ever; a VEN that is slow or away holds up nobody else."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                for ven_id in await self._service.carry_out(lambda: (self._vtn.parties.pushed(), ())):
                    if ven_id not in self._hurry:
                        self._hurry[ven_id] = asyncio.Event()
                        tasks.create_task(self._work_off(ven_id))
                try:
                    async with asyncio.timeout(_LOOK_S):  # unanswered messages come round by time alone
                        await self._due.wait()
                except TimeoutError:
                    continue
                self._due.clear()

    async def _work_off(self, ven_id: str) -> None:
        failures = 0
        try:
            while True:
                post = await self._service.carry_out(lambda: self._vtn.to_post(ven_id, self._now()))
                if post is None:
                    return
                fault = await self._posted(post)
                if fault is None:
                    if failures:
                        _LOG.warning("%s: messages arrive again", post.ven_name)
                    failures = 0
                    continue
                wait_s = self._retry_after_s[min(failures, len(self._retry_after_s) - 1)]
                if not failures:
                    words = "%s: %s could not be posted to %s: %s; tried again until it arrives"
                    _LOG.warning(words, post.ven_name, post.message.TAG, post.address, fault)
                failures += 1
                await self._rest(ven_id, wait_s)
        except CemError as error:
            _LOG.error("messages to the VEN %s wait: %s", ven_id, error)
        finally:
            del self._hurry[ven_id]

    async def _rest(self, ven_id: str, wait_s: float) -> None:
        self._hurry[ven_id].clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._hurry[ven_id].wait()
        except TimeoutError:
            return

    async def _posted(self, post: Post) -> str | None:
        """Posts a message and takes in what is answered; what was wrong, None: it arrived."""
        body = await self._envelope.sealed(post.message, self._now())
        url = f"{post.address}/{post.message.SERVICE}"
        answered = await self._poster.post(url, body, CONTENT_TYPE, post.fingerprint)
        if isinstance(answered, str):
            return answered
        status, text = answered
        if status not in (200, 202, 204):
            return f"it was answered with HTTP {status}"
        answer: Message | None = None
        if text.strip():
            try:
                answer = await self._envelope.opened(text, post.fingerprint, self._now())
            except XmlError as fault:
                return f"the answer is not accepted: {fault}"
        await self._service.carry_out(lambda: self._vtn.posted(post, self._now()))
        if answer is not None:
            taken = answer
            await self._service.carry_out(lambda: self._vtn.take(post, taken, self._now()))
        return None
