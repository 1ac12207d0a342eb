"""One HTTP exchange with an address that somebody else named: judged, bounded, no redirect followed."""

import ssl
from asyncio import Transport
from collections.abc import Callable, Mapping

import aiohttp
from yarl import URL

from cem.io.callback_guard import CallbackFault, CallbackGuard, KnownAddresses
from cem.wire.openadr2b.signature import fingerprint


class _Revoked(aiohttp.ServerFingerprintMismatch):
    """A certificate that does not count any longer; `words` say why."""

    words = ""


class _Peer(aiohttp.Fingerprint):
    """Lets a connection be used only where the other end shows one certificate, before anything is sent to it."""

    def __init__(self, expected: str, refusal: Callable[[bytes], str] | None) -> None:
        super().__init__(bytes(32))  # compared below instead: the profile shortens its fingerprints
        self._expected = expected
        self._refusal = refusal

    def check(self, transport: Transport) -> None:
        """Raises ServerFingerprintMismatch where it is another one, or does not count any longer."""
        shown: bytes = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        host, port, *_ = transport.get_extra_info("peername")
        if fingerprint(shown) != self._expected:
            raise aiohttp.ServerFingerprintMismatch(self._expected.encode(), shown, host, port)
        if self._refusal is not None and (words := self._refusal(shown)):
            fault = _Revoked(self._expected.encode(), shown, host, port)
            fault.words = words
            raise fault


class GuardedHttp:
    """Exchanges with addresses that `guard` allows; `tls` None verifies against the system's authorities.

    `peers_tls` is used where the other end's certificate is known beforehand: it asks for no name in it then, and
    `refusal` says why such a certificate (DER) does not count any longer; empty where it does.
    """

    def __init__(
        self,
        guard: CallbackGuard,
        tls: ssl.SSLContext | None = None,
        peers_tls: ssl.SSLContext | None = None,
        *,
        timeout_s: float = 10.0,
        max_bytes: int = 4096,
        refusal: Callable[[bytes], str] | None = None,
    ) -> None:
        self._guard = guard
        self._tls = tls
        self._peers_tls = peers_tls
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._refusal = refusal

    async def judge(self, url: str) -> str | None:
        """What is wrong with an address, in words; None: nothing."""
        try:
            await self._guard.target(url)
        except CallbackFault as fault:
            return str(fault)
        return None

    async def exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        below: str = "",
        query: Mapping[str, str] | None = None,
        peer: str | None = None,
    ) -> tuple[int, bytes]:
        """The status and the first `max_bytes` of the body; raises CallbackFault when there was no exchange.

        `peer` is the fingerprint of the certificate that the other end must show, beside being one that is trusted.
        """
        target = await self._guard.target(url)
        asked = (target.url / below if below else target.url).update_query(query or {})
        if peer is not None and (asked.scheme != "https" or self._peers_tls is None):
            raise CallbackFault("it is known by its certificate, so https with certificates at both ends is needed")
        tls = self._tls if peer is None else self._peers_tls
        certificate = True if peer is None else _Peer(peer, self._refusal)
        connector = aiohttp.TCPConnector(resolver=KnownAddresses(target), ssl=certificate, force_close=True)
        try:
            async with aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session:
                return await self._asked(session, method, asked, headers, body, tls)
        except TimeoutError as error:
            raise CallbackFault(f"no answer within {self._timeout_s:g} s") from error
        except _Revoked as error:
            raise CallbackFault(error.words) from error
        except aiohttp.ServerFingerprintMismatch as error:
            raise CallbackFault("it shows another certificate than the one that is admitted") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise CallbackFault("its certificate was not accepted") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise CallbackFault(f"no exchange with it: {type(error).__name__}") from error

    async def _asked(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        body: bytes | None,
        tls: ssl.SSLContext | None,
    ) -> tuple[int, bytes]:
        async with session.request(
            method, url, headers=headers, data=body, allow_redirects=False, ssl=tls or True
        ) as answer:
            read = bytearray()
            async for chunk in answer.content.iter_chunked(self._max_bytes):
                read += chunk
                if len(read) > self._max_bytes:
                    answer.close()
                    break
            return answer.status, bytes(read[: self._max_bytes])
