"""Chargers call in over WebSocket (OCPP-J 1.6, 3; RFC 6455): aiohttp's server, a handshake that can refuse."""

import asyncio
import logging
import ssl
from asyncio.trsock import TransportSocket
from contextlib import suppress
from socket import SHUT_RDWR
from weakref import WeakKeyDictionary

from aiohttp import BasicAuth, WSMsgType, hdrs, web

from cem.driver import Caller, CallSink
from cem_drivers.ocpp.conversation import MOST_BYTES
from cem_drivers.ocpp.link import Place

PING_S = 20.0
"""A ping each so many seconds; without its pong within half of that the connection is ended."""
MOST_CONNECTIONS = 32
CLOSE_S = 1.0

_LOG = logging.getLogger(__name__)


class WebSocketPort:
    """Satisfies cem.driver.CallPort on a real socket."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._sink: CallSink
        self._runner: web.AppRunner | None = None
        self._open: set[web.WebSocketResponse] = set()
        self._lines: WeakKeyDictionary[asyncio.Transport, TransportSocket] = WeakKeyDictionary()

    async def start(self, sink: CallSink) -> None:
        """Listens; raises OSError (also ssl.SSLError) where address, port or certificate can't be used."""
        self._sink = sink
        tls: ssl.SSLContext | None = None
        if self._place.cert_file is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.minimum_version = ssl.TLSVersion.TLSv1_2  # what OCPP's security profile 2 asks for
            tls.load_cert_chain(self._place.cert_file, self._place.key_file)
        app = web.Application()
        app.router.add_get("/{path:.*}", self._called)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._place.host, self._place.port, ssl_context=tls).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner

    async def stop(self) -> None:
        """Tells everybody goodbye and listens no more; no connection is left afterwards."""
        runner, self._runner = self._runner, None
        for socket in tuple(self._open):
            await _ended(socket)
        if runner is not None:
            await runner.cleanup()
        lines = [line for line in self._lines.values() if line.fileno() != -1]
        for line in lines:
            with suppress(OSError):  # the other end was quicker
                line.shutdown(SHUT_RDWR)  # with TLS asyncio waits for that end's farewell, which may never come
        try:
            async with asyncio.timeout(CLOSE_S):
                while any(line.fileno() != -1 for line in lines):  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(0.005)  # they are closed in one of the next turns of the loop
        except TimeoutError:
            _LOG.warning("chargers' connections could not be closed")

    async def _called(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._lines[request.transport] = request.transport.get_extra_info("socket")
        caller = _caller(request)
        if len(self._open) >= MOST_CONNECTIONS:
            return web.Response(status=503)
        answer = self._sink.admit(caller)
        if isinstance(answer, int):
            headers = {hdrs.WWW_AUTHENTICATE: 'Basic realm="OCPP"'} if answer == 401 else {}
            return web.Response(status=answer, headers=headers)
        socket = web.WebSocketResponse(
            protocols=(answer,), heartbeat=PING_S, max_msg_size=MOST_BYTES, compress=False, timeout=CLOSE_S
        )
        await socket.prepare(request)
        self._open.add(socket)
        try:
            await self._sink.serve(caller, answer, _Stream(socket))
        finally:
            self._open.discard(socket)
        return socket


class _Stream:
    """One connection; a frame that is too large, or no text, ends it."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def recv(self) -> str:
        """The next text message; raises ConnectionError when the connection has ended."""
        message = await self._socket.receive()
        if message.type is WSMsgType.TEXT:
            return str(message.data)
        raise ConnectionError(f"the connection ended ({message.type.name})")

    async def send(self, text: str) -> None:
        """Sends one message; raises ConnectionError."""
        if self._socket.closed:
            raise ConnectionError("the connection has ended")
        await self._socket.send_str(text)

    async def close(self) -> None:
        """Ends the connection."""
        await _ended(self._socket)


async def _ended(socket: web.WebSocketResponse) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await socket.close()
    except (TimeoutError, ConnectionError, RuntimeError) as error:
        _LOG.debug("a charger's connection did not close cleanly: %r", error)


def _caller(request: web.Request) -> Caller:
    """Who calls, of a handshake; a header that is no Basic authorisation counts as none."""
    user: str | None = None
    password: bytes | None = None
    header = request.headers.get(hdrs.AUTHORIZATION)
    if header is not None:
        try:
            given = BasicAuth.decode(header, encoding="latin-1")
        except ValueError:
            given = None
        if given is not None:
            user, password = given.login, given.password.encode("latin-1")
    offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
    protocols = tuple(part.strip() for part in offered.split(",") if part.strip())
    return Caller(request.match_info["path"], protocols, user, password, str(request.remote or ""))
