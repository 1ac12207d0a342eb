"""A thin HTTP server around one exchange function: bounds in, the exchange, the answer out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ssl import SSLContext

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from cem.io.http_door import Door
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import Problem, encode

_log = logging.getLogger(__name__)
_COMPRESS_FROM_BYTES = 1024
_FAREWELL_S = 0.5  # for the other ends of closed connections to close theirs

Exchange = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Answers a request. What it raises is answered with 500 and logged once."""


@dataclass(frozen=True, slots=True)
class ServerBounds:
    """What a client may ask of the server's memory and patience."""

    max_body_bytes: int = 1024 * 1024
    max_line_bytes: int = 64 * 1024  # of the request line; a query may name many targets
    headers_timeout_s: float = 10.0
    body_timeout_s: float = 10.0
    keepalive_s: float = 30.0
    max_connections: int = 10_000


class _Request(web.BaseRequest):
    """A request as aiohttp's server below its applications has it: one handler needs no routes."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        """Keeps from clients which versions run here; aiohttp has no other place for that without an application."""
        response.headers.pop(hdrs.SERVER, None)


class HttpServer:
    """Serves one exchange function on one socket."""

    def __init__(
        self,
        exchange: Exchange,
        bounds: ServerBounds | None = None,
        tls: SSLContext | None = None,
        refusal: Callable[[bytes], str] | None = None,
    ) -> None:
        """`refusal` says why a client's certificate (DER) does not count any longer; empty where it does."""
        self._exchange = exchange
        self._bounds = bounds or ServerBounds()
        self._tls = tls
        self._refusal = refusal
        self._runner: web.ServerRunner | None = None
        self._server: asyncio.Server | None = None
        self._door = Door(self._bounds.headers_timeout_s, self._bounds.max_connections)
        self._failing = False
        self._refused = ""

    async def start(self, host: str, port: int) -> int:
        """Listens and returns the port, the free one that was found for port 0; raises OSError."""
        handlers = web.Server(
            self._serve,
            request_factory=self._request,
            access_log=None,
            keepalive_timeout=self._bounds.keepalive_s,
            max_line_size=self._bounds.max_line_bytes,
        )
        self._runner = web.ServerRunner(handlers, shutdown_timeout=2.0)
        await self._runner.setup()
        handshake_s = None if self._tls is None else self._bounds.headers_timeout_s
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: self._door.opened(handlers()),
                host,
                port,
                ssl=self._tls,
                backlog=128,
                ssl_handshake_timeout=handshake_s,
            )
        except OSError:
            await self.stop()
            raise
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Lets the requests under way finish, for 2 s at the most; no connection is left afterwards."""
        self._door.shut()
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self._door.emptied(_FAREWELL_S)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        size = self._bounds.max_body_bytes
        loop = asyncio.get_running_loop()
        return _Request(message, payload, protocol, writer, task, loop, client_max_size=size)

    async def _serve(self, request: web.BaseRequest) -> web.Response:
        self._door.begun(request.protocol)
        certificate = _certificate(request)
        if self._refusal is not None and certificate and (words := self._refusal(certificate)):
            if words != self._refused:
                _log.warning("%s is refused: %s", request.remote, words)
            self._refused = words
            return _problem(403, words)
        if hdrs.EXPECT in request.headers and (problem := await self._expected(request)) is not None:
            return problem
        try:
            if request.content.is_eof():  # all of it came with the headers
                body = await request.read()
            else:
                async with asyncio.timeout(self._bounds.body_timeout_s):
                    body = await request.read()
        except TimeoutError:
            return _problem(408, f"the body did not arrive within {self._bounds.body_timeout_s:g} s")
        except web.HTTPRequestEntityTooLarge:
            return _problem(413, f"the body is bigger than {self._bounds.max_body_bytes} bytes")
        except (web.RequestPayloadError, ValueError) as error:
            return _problem(400, f"the body is broken: {type(error).__name__}")
        exchange = HttpRequest(
            method=request.method,
            path=request.path,
            query=tuple(request.query.items()) if request.query_string else (),
            headers=request.headers,
            body=body,
            origin=f"{request.scheme}://{request.host}",
            peer=request.remote or "",
            certificate=certificate,
        )
        try:
            answer = await self._exchange(exchange)
        except Exception as error:  # noqa: BLE001 - the one place where a request's fault is kept from the others
            return self._failed(request, error)
        self._recovered()
        response = web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        if len(answer.body) >= _COMPRESS_FROM_BYTES:
            response.enable_compression()
        return response

    async def _expected(self, request: web.BaseRequest) -> web.Response | None:
        """Answers a client that waits before it sends its body (RFC 9110, 10.1.1); None: it was told to go on."""
        if request.headers[hdrs.EXPECT].lower() != "100-continue":
            return _problem(417, "100-continue is all that can be expected here")
        if (request.content_length or 0) > self._bounds.max_body_bytes:
            return _problem(413, f"the body is bigger than {self._bounds.max_body_bytes} bytes")
        if request.version >= HttpVersion11 and not request.content.is_eof() and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None

    def _failed(self, request: web.BaseRequest, error: Exception) -> web.Response:
        if not self._failing:
            _log.error("%s %s failed, nothing was changed: %s", request.method, request.path, error, exc_info=error)
        self._failing = True
        return _problem(500, "the request could not be carried out and nothing was changed; try again later")

    def _recovered(self) -> None:
        if self._failing:
            _log.warning("requests are carried out again")
        self._failing = False


def _certificate(request: web.BaseRequest) -> bytes:
    tls = None if request.transport is None else request.transport.get_extra_info("ssl_object")
    return (tls.getpeercert(binary_form=True) or b"") if tls is not None else b""


def _problem(status: int, detail: str) -> web.Response:
    body = encode(Problem(type="about:blank", status=status, detail=detail))
    return web.Response(status=status, body=body, content_type="application/json")
