"""The HTTP client of a grid session: bounded in time and size, redirects not followed, gzip bounded too."""

import os
import socket
import ssl
import zlib
from collections.abc import Callable, Mapping

import aiohttp
from aiohttp.abc import AbstractResolver

from cem.model.errors import GridError, Unproven
from cem.ports import HttpAnswer

_CHUNK = 64 * 1024


class AiohttpClient:
    """`cem.ports.Http` over aiohttp. `max_body` bounds the decompressed body in bytes; `ssl_context` None verifies
    against the system's authorities, one that is called is asked at every request; `resolver` None asks the system
    for addresses."""

    def __init__(
        self,
        timeout_s: float = 10.0,
        max_body: int = 1024 * 1024,
        ssl_context: ssl.SSLContext | Callable[[], ssl.SSLContext] | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._timeout_s = timeout_s
        self._max_body = max_body
        self._ssl = ssl_context
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One exchange; raises GridError with the cause in words when there was no answer or it was too big."""
        session = self._opened()
        where = f"{method} {url.partition('?')[0]}"
        sent = {"Accept-Encoding": "gzip, identity", **(headers or {})}
        tls = self._ssl() if callable(self._ssl) else self._ssl
        try:
            async with session.request(
                method, url, headers=sent, data=body, allow_redirects=False, ssl=tls or True
            ) as answer:
                read = await self._bounded(answer, where)
                names = {name.lower(): value for name, value in answer.headers.items()}
                return HttpAnswer(answer.status, names, read)
        except TimeoutError as error:
            raise GridError(f"{where}: no complete answer within {self._timeout_s:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            detail = f"{where}: the server's certificate was not accepted: {error.certificate_error}"
            raise Unproven(detail) from error
        except aiohttp.ClientConnectorError as error:
            raise GridError(f"{where}: no connection: {_why(error.os_error)}") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise GridError(f"{where}: {_in_words(error, url)}") from error
        except OSError as error:
            raise GridError(f"{where}: the connection broke: {_why(error)}") from error

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                connector=aiohttp.TCPConnector(limit=4, resolver=self._resolver, use_dns_cache=self._resolver is None),
                max_line_size=16 * 1024,
                max_field_size=16 * 1024,
            )
        return self._session

    async def _bounded(self, answer: aiohttp.ClientResponse, where: str) -> bytes:
        coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip", ""):
            raise GridError(f"{where}: an answer coded as {coding!r}; gzip or none is understood")
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if coding == "gzip" else None
        read = bytearray()
        async for chunk in answer.content.iter_chunked(_CHUNK):
            room = self._max_body + 1 - len(read)
            try:
                read += chunk if unpack is None else unpack.decompress(chunk, room)
            except zlib.error as error:
                raise GridError(f"{where}: an answer that is not the gzip it says: {error}") from error
            if len(read) > self._max_body:
                answer.close()
                raise GridError(f"{where}: an answer of more than {self._max_body} bytes")
        if unpack is not None and read and not unpack.eof:
            raise GridError(f"{where}: a gzip answer that ends too early")
        return bytes(read)


def _why(error: OSError) -> str:
    """The system's own words: asyncio puts its call and the address in their place."""
    if isinstance(error, socket.gaierror | ssl.SSLError) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


def _in_words(error: Exception, url: str) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off before its end"
    if isinstance(error, aiohttp.InvalidURL):
        return "this is not an address that can be called"
    if isinstance(error, OSError):
        hint = "; our certificate may not be accepted there" if url.startswith("https:") else ""
        return f"the connection broke: {_why(error)}{hint}"
    return "what came is not an answer in HTTP"
