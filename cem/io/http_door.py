"""Who may keep a connection to a server of ours open, and how long without asking for anything.

aiohttp waits long for the first line and the headers of a connection's first request. Here it is cut when they are not
there in time, however steadily their bytes drip in, and there are never more connections than were meant.
"""

import asyncio
import logging
from asyncio.trsock import TransportSocket
from contextlib import suppress
from socket import SHUT_RDWR

_log = logging.getLogger(__name__)


class Door:
    """Guards the connections of one server."""

    def __init__(self, headers_s: float, most: int) -> None:
        self._headers_s = headers_s
        self._most = most
        self._guests: dict[asyncio.Protocol, _Guest] = {}
        self._emptied = asyncio.Event()

    def __len__(self) -> int:
        return len(self._guests)

    def opened(self, handler: asyncio.Protocol) -> asyncio.Protocol:
        """A protocol that passes everything on to `handler`, within the bounds."""
        return _Guest(self, handler)

    def begun(self, handler: asyncio.Protocol) -> None:
        """The headers of a connection's first request are there: aiohttp has an eye on what follows."""
        guest = self._guests.get(handler)
        if guest is not None:
            guest.let_in()

    def comes_in(self, handler: asyncio.Protocol, guest: "_Guest") -> bool:
        """Whether there is room for one more; it has to ask for something soon."""
        if len(self._guests) >= self._most:
            return False
        self._guests[handler] = guest
        guest.must_ask(self._headers_s)
        return True

    def goes(self, handler: asyncio.Protocol) -> None:
        """A connection is gone."""
        self._guests.pop(handler, None)
        if not self._guests:
            self._emptied.set()

    def shut(self) -> None:
        """Lets nobody in any more, not even who is in the middle of a handshake."""
        self._most = 0

    async def emptied(self, within_s: float) -> None:
        """Waits until everybody is gone; whoever takes longer is cut off, and waited for as long once more.

        With TLS the other end has a word to say before a connection is closed (RFC 8446, 6.1), and may never say it.
        """
        if await self._empty(within_s):
            return
        for guest in self._guests.values():
            guest.cut()
        if not await self._empty(within_s):
            _log.warning("%d connections could not be closed", len(self._guests))

    async def _empty(self, within_s: float) -> bool:
        self._emptied.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._guests:
                    await self._emptied.wait()
        return not self._guests


class _Guest(asyncio.Protocol):
    """One connection, with the time by which a request of it must be there."""

    def __init__(self, door: Door, handler: asyncio.Protocol) -> None:
        self._door = door
        self._handler = handler
        self._transport: asyncio.Transport | None = None
        self._line: TransportSocket
        self._until: asyncio.TimerHandle | None = None

    def let_in(self) -> None:
        """It asked for something."""
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def cut(self) -> None:
        """Ends the connection without a farewell. (A TLS transport that was closed twice can't be aborted any more.)"""
        if self._transport is not None:
            with suppress(OSError):  # the other end was quicker
                self._line.shutdown(SHUT_RDWR)

    def must_ask(self, within_s: float) -> None:
        """A request must be there within this time."""
        if self._transport is not None:
            self._until = asyncio.get_running_loop().call_later(within_s, self._transport.abort)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection, and with TLS its handshake, is there."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._line = transport.get_extra_info("socket")
        if self._door.comes_in(self._handler, self):
            self._handler.connection_made(transport)
        else:
            self._transport = None
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.let_in()
        self._door.goes(self._handler)
        if self._transport is not None:
            self._transport = None
            self._handler.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes on their way."""
        if self._transport is not None:
            self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        """The other end will send no more."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """The other end does not take what we send."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._handler.resume_writing()
