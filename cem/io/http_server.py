"""A thin HTTP server around one exchange function: bounds in, the exchange, the answer out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ssl import SSLContext

from aiohttp import hdrs, web

from cem.io.http_door import Door
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import Problem, encode

_log = logging.getLogger(__name__)
_COMPRESS_FROM_BYTES = 1024

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
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._door = Door(self._bounds.headers_timeout_s, self._bounds.keepalive_s, self._bounds.max_connections)
        self._failing = False
        self._refused = ""

    async def start(self, host: str, port: int) -> int:
        """Listens and returns the port, the free one that was found for port 0; raises OSError."""
        app = web.Application(client_max_size=self._bounds.max_body_bytes)
        app.router.add_route("*", r"/{path:[\s\S]*}", self._serve)
        app.on_response_prepare.append(_without_banner)
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=self._bounds.keepalive_s,
            shutdown_timeout=2.0,
            handle_signals=False,
            max_line_size=self._bounds.max_line_bytes,
        )
        await runner.setup()
        self._runner = runner
        handlers = runner.server
        if handlers is None:
            raise RuntimeError("a runner that was set up has no server")
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
        """Lets the requests under way finish, for 2 s at the most."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _serve(self, request: web.Request) -> web.Response:
        with self._door.serving(request.protocol):
            return await self._served(request)

    async def _served(self, request: web.Request) -> web.Response:
        certificate = _certificate(request)
        if self._refusal is not None and certificate and (words := self._refusal(certificate)):
            if words != self._refused:
                _log.warning("%s is refused: %s", request.remote, words)
            self._refused = words
            return _problem(403, words)
        try:
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
            query=tuple(request.query.items()),
            headers={name.lower(): value for name, value in request.headers.items()},
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

    def _failed(self, request: web.Request, error: Exception) -> web.Response:
        if not self._failing:
            _log.error("%s %s failed, nothing was changed: %s", request.method, request.path, error, exc_info=error)
        self._failing = True
        return _problem(500, "the request could not be carried out and nothing was changed; try again later")

    def _recovered(self) -> None:
        if self._failing:
            _log.warning("requests are carried out again")
        self._failing = False


def _certificate(request: web.Request) -> bytes:
    tls = None if request.transport is None else request.transport.get_extra_info("ssl_object")
    return (tls.getpeercert(binary_form=True) or b"") if tls is not None else b""


def _problem(status: int, detail: str) -> web.Response:
    body = encode(Problem(type="about:blank", status=status, detail=detail))
    return web.Response(status=status, body=body, content_type="application/json")


async def _without_banner(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop(hdrs.SERVER, None)
