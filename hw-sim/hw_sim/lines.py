"""A line on which a device speaks by itself: in memory, on a pseudo terminal, or on TCP as behind a serial server."""

import asyncio
import contextlib
import os
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

OnBytes = Callable[[bytes], None]
OnLost = Callable[[Exception], None]


class MemoryLine:
    """One end for the device, the other for one listener. What is said while nobody listens is lost."""

    def __init__(self) -> None:
        self.down = False
        self._listener: tuple[OnBytes, OnLost] | None = None

    def listen(self, on_bytes: OnBytes, on_lost: OnLost) -> None:
        """Listens from now on; raises ConnectionError while the line is down, or where somebody listens already."""
        if self.down:
            raise ConnectionError("no such line (simulated: it is pulled out)")
        if self._listener is not None:
            raise ConnectionError("somebody else listens (simulated)")
        self._listener = (on_bytes, on_lost)

    def leave(self) -> None:
        """Nobody listens any more."""
        self._listener = None

    def say(self, data: bytes) -> None:
        """The device says something."""
        if self._listener is not None and data and not self.down:
            self._listener[0](data)

    def set_down(self, down: bool) -> None:
        """The adapter is pulled out, or comes back; who listened then has to listen anew."""
        self.down = down
        if down and self._listener is not None:
            _, lost = self._listener
            self._listener = None
            lost(ConnectionResetError("the adapter was pulled out (simulated)"))


class LineEndpoint(Protocol):
    """A real end of a line."""

    @property
    def listening(self) -> bool:
        """Whether it is there."""

    async def start(self) -> None:
        """Makes it; raises OSError."""

    async def stop(self) -> None:
        """Takes it away; harmless when repeated."""

    def address(self) -> dict[str, object]:
        """Where it is, as JSON types."""


class PtyLineEndpoint:
    """A pseudo terminal; `path`, where given, is a link that stays the same over unplugging, as in by-id."""

    def __init__(self, line: MemoryLine, path: Path | None) -> None:
        self._line = line
        self._path = path
        self._far = self._near = -1
        self._name = ""

    @property
    def listening(self) -> bool:
        """Whether the terminal is there."""
        return self._far >= 0

    async def start(self) -> None:
        """Makes the terminal, and the link to it."""
        far, near = os.openpty()
        try:
            tty.setraw(near)
            os.set_blocking(far, False)
            name = os.ttyname(near)
            if self._path is not None:
                if self._path.is_symlink():
                    self._path.unlink()
                self._path.symlink_to(name)
            self._line.listen(self._send, _nobody_to_tell)
        except OSError:
            os.close(far)
            os.close(near)
            raise
        self._far, self._near, self._name = far, near, name

    async def stop(self) -> None:
        """The adapter is gone: reads end, the name is gone, too."""
        if self._far < 0:
            return
        self._line.leave()
        os.close(self._far)
        os.close(self._near)
        self._far = self._near = -1
        if self._path is not None and self._path.is_symlink():
            self._path.unlink()

    def address(self) -> dict[str, object]:
        """The path under which a reader opens it."""
        return {"device": str(self._path or self._name)}

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads, and the line's buffer is full: it is lost
            os.write(self._far, data)


class TcpLineEndpoint:
    """A serial server in raw mode: one client at a time, the next one is hung up on. `port` 0 takes a free one."""

    def __init__(self, line: MemoryLine, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._line = line
        self._server: asyncio.Server | None = None
        self._client: asyncio.StreamWriter | None = None

    @property
    def listening(self) -> bool:
        """Whether connections are taken."""
        return self._server is not None

    @property
    def busy(self) -> bool:
        """Whether a client is connected."""
        return self._client is not None

    async def start(self) -> None:
        """Listens; raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        self._line.listen(self._send, _nobody_to_tell)

    async def stop(self) -> None:
        """Hangs up, and takes no connection any more."""
        server, self._server = self._server, None
        if server is None:
            return
        self._line.leave()
        server.close()
        if self._client is not None:
            self._client.close()
        await server.wait_closed()

    def address(self) -> dict[str, object]:
        """Host and port."""
        return {"host": self.host, "port": self.port}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._client is not None:
            writer.close()
            return
        self._client = writer
        try:
            while await reader.read(1024):
                continue  # a meter takes no commands
        except OSError:
            pass  # the client is gone, which is how such a connection ends
        finally:
            self._client = None
            writer.close()

    def _send(self, data: bytes) -> None:
        if self._client is not None:
            self._client.write(data)


def _nobody_to_tell(error: Exception) -> None:
    """An endpoint is taken away by whoever pulls the line, and need not be told."""
