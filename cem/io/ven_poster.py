"""The way to VENs of OpenADR 2.0b that messages are posted to; the rules for addresses are those of callbacks."""

import ssl
from collections.abc import Callable

from cem.io.callback_guard import CallbackFault, CallbackGuard
from cem.io.guarded_http import GuardedHttp

_MAX_ANSWER_BYTES = 1024 * 1024


class VenPoster:
    """Satisfies cem.runtime.vtn2b_push.Poster.

    `tls` is for VENs that are known by name alone, `peers_tls`, with our certificate, for those with a fingerprint;
    `refusal` says why a certificate (DER) of theirs does not count any longer, empty where it does.
    """

    def __init__(
        self,
        guard: CallbackGuard,
        tls: ssl.SSLContext | None = None,
        peers_tls: ssl.SSLContext | None = None,
        refusal: Callable[[bytes], str] | None = None,
    ) -> None:
        self._http = GuardedHttp(guard, tls, peers_tls, max_bytes=_MAX_ANSWER_BYTES, refusal=refusal)

    async def judge(self, url: str) -> str | None:
        """What is wrong with an address, in words; None: nothing."""
        return await self._http.judge(url)

    async def post(self, url: str, body: bytes, content_type: str, peer: str | None) -> tuple[int, bytes] | str:
        """The status and body that came back, or in words why there was no exchange."""
        try:
            return await self._http.exchange("POST", url, {"Content-Type": content_type}, body, peer=peer)
        except CallbackFault as fault:
            return str(fault)
