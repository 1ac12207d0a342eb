"""A VTN of OpenADR 2.0b that sends by itself (push): what reaches our own server is checked, and its message acted on.

The path is that of the simple HTTP transport below the address that the VTN was told. Whoever does not show the
certificate of the provider's VTN, or does not sign as it must, is refused before anything is read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from cem.model.provider import Notify, Provider
from cem.ports import Clock
from cem.runtime.ven2b_client import Envelope, opened
from cem.runtime.ven_notices import Ears
from cem.sgcp.refusal_log import RefusalLog
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr2b import XmlError
from cem.wire.openadr2b.messages import Message, OadrResponse
from cem.wire.openadr2b.names import CONTENT_TYPE, PATH_PREFIX, Code, Service
from cem.wire.openadr2b.parts import Response
from cem.wire.openadr2b.signature import fingerprint

_LOG = logging.getLogger(__name__)
_SERVICES = frozenset({Service.REGISTER_PARTY, Service.EVENT, Service.REPORT, Service.OPT})
"""A VEN is not polled."""


class Push2b:
    """One provider's way in. `heard` gives the answer to a message and when it began to come in, monotonic."""

    def __init__(
        self,
        provider: Provider,
        envelope: Envelope,
        ears: Ears,
        clock: Clock,
        heard: Callable[[Message, float], Awaitable[Message]],
    ) -> None:
        self._provider = provider
        self._envelope = envelope
        self._ears = ears
        self._clock = clock
        self._heard = heard
        self._root = urlsplit(provider.callback_url).path.rstrip("/")
        self._serving = False
        self._told = ""
        self._refused = RefusalLog(_LOG)

    async def listen(self) -> str | None:
        """The address that the VTN may send to, once it is listened on; None: it can't, or is not wanted."""
        wanted = self._provider.notify in (Notify.AUTO, Notify.WEBHOOK) and bool(self._provider.callback_url)
        if not wanted or self._ears.callback is None:
            return None
        if not self._serving:
            try:
                await self._ears.callback.start(self.answer)
            except OSError as error:
                words = f"the provider can't send to us, we ask instead: {error.strerror or error}"
                if words != self._told:
                    _LOG.warning("%s: %s", self._provider.id, words)
                self._told = words
                return None
            self._serving, self._told = True, ""
        return self._provider.callback_url

    async def stop(self) -> None:
        """Closes the socket."""
        self._serving = False
        if self._ears.callback is not None:
            await self._ears.callback.stop()

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """The answer to one request; refused ones have no effect."""
        at_s = self._clock.now().mono_s
        shown = fingerprint(request.certificate) if request.certificate else None
        if self._ears.shown and shown not in self._ears.shown:
            own = " or ".join(self._ears.shown)
            words = f"the certificate {shown} is not the provider's {own}" if shown else "no certificate"
            return self._refuse(403, words, request.peer)
        service = self._service(request.path)
        if service is None:
            return self._refuse(404, f"no service {request.path[-60:]!r}", request.peer)
        if request.method != "POST":
            return self._refuse(405, "messages are posted", request.peer)
        try:
            message = await opened(self._envelope, request.body)
        except XmlError as fault:
            return self._refuse(403 if fault.path == "signature" else 400, str(fault), request.peer)
        if service != message.SERVICE:
            response = Response(code=str(int(Code.COMPLIANCE)), description=f"{message.TAG} is not for {service}")
            answer: Message = OadrResponse(response=response)
        else:
            answer = await self._heard(message, at_s)
        body = await asyncio.to_thread(self._envelope.seal, answer)
        return HttpResponse(200, {"content-type": CONTENT_TYPE}, body)

    def _service(self, path: str) -> Service | None:
        """Interpretation: VTNs put the transport's path after the address that they were told, unless it is there."""
        if not path.startswith(f"{self._root}/"):
            return None
        rest = path.removeprefix(self._root)
        if not self._root.endswith(PATH_PREFIX):
            if not rest.startswith(f"{PATH_PREFIX}/"):
                return None
            rest = rest.removeprefix(PATH_PREFIX)
        found = rest.removeprefix("/").removeprefix("/")  # told with a slash at its end
        return Service(found) if found in _SERVICES else None

    def _refuse(self, status: int, words: str, peer: str) -> HttpResponse:
        of = f"{self._provider.id}: what {peer or 'somebody'} sent is refused"
        self._refused.tell(words, of, self._clock.now().mono_s)
        return HttpResponse(status, {"content-type": "text/plain; charset=utf-8"}, words.encode())
