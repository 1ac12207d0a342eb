"""A TLS client that never says goodbye: it keeps its end of the connection open, whatever the other end does."""

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path


class SilentTls:
    """One connection to 127.0.0.1."""

    def __init__(self, port: int, authority: Path) -> None:
        self._line = socket.create_connection(("127.0.0.1", port), 5.0)
        self._context = ssl.create_default_context(cafile=str(authority))
        self._tls: ssl.SSLSocket | None = None

    async def greet(self) -> "SilentTls":
        """The handshake, beside the loop that the server runs in."""
        self._tls = await asyncio.to_thread(self._context.wrap_socket, self._line, server_hostname="127.0.0.1")
        return self

    async def asks(self, request: bytes) -> bytes:
        """The first bytes of the answer."""
        assert self._tls is not None
        await asyncio.to_thread(self._tls.sendall, request)
        return await asyncio.to_thread(self._tls.recv, 4096)

    async def floods(self, head: bytes) -> None:
        """Sends a head, and of what is to follow as much as goes into the line."""
        assert self._tls is not None
        await asyncio.to_thread(self._tls.sendall, head)
        self._tls.settimeout(0.3)
        with suppress(OSError):
            while True:
                await asyncio.to_thread(self._tls.sendall, bytes(65536))

    async def is_cut(self) -> bool:
        """Whether the other end has closed the connection itself, not only said that it would."""
        return await asyncio.to_thread(self._is_cut)

    def _is_cut(self) -> bool:
        if self._tls is None and self._line.fileno() == -1:  # cut in the middle of the handshake
            return True
        with socket.socket(fileno=(self._tls or self._line).detach()) as line:
            line.settimeout(2.0)
            try:
                while line.recv(4096):  # its farewell, in TLS
                    pass
            except TimeoutError:
                return False
            except ConnectionError:
                return True
            return True
