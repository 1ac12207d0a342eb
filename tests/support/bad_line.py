"""A line between a VEN and its VTN that can be bad: a TCP proxy on 127.0.0.x, and a resolver whose answers change."""

import asyncio
import re
import socket
import ssl
from contextlib import suppress
from random import Random

from aiohttp.abc import AbstractResolver, ResolveResult

NAME = "vtn.test"
_REQUEST = re.compile(rb"^(?:GET|POST|PUT|DELETE) \S+ HTTP/1\.1\r$", re.MULTILINE)


class BadLine:
    """A proxy to a port of 127.0.0.1. Set its fields while it runs; `connections` counts what was begun, `requests`
    what was asked over them in plain HTTP; a connection that is reset counts as one, too."""

    def __init__(self, to_port: int, seed: int = 1, tls: ssl.SSLContext | None = None) -> None:
        self.dark = False  # takes connections and bytes, and nothing ever comes back
        self.delay_s = 0.0  # of each piece, both ways
        self.lost = 0.0  # share of the connections that are reset before anything is answered
        self.cut_after: int | None = None  # bytes of an answer after which its connection ends
        self.connections = 0
        self.requests = 0
        self.heard = 0  # bytes from the VEN
        self.port = 0
        self._to_port = to_port
        self._tls = tls  # towards the VEN; what is behind it hears plain HTTP
        self._random = Random(seed)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1") -> None:
        """Listens, on the same port after a stop."""
        self._server = await asyncio.start_server(self._serve, host, self.port, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuses connections, and ends those there are."""
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def cut(self) -> None:
        """Resets every connection there is and each that is begun."""
        self.lost = 1.0
        await self.drop()

    async def mend(self) -> None:
        """Carries again what is begun from now on."""
        self.lost = 0.0

    async def drop(self) -> None:
        """Ends the connections there are, so that new ones have to be made."""
        await self.stop()
        await self.start()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._random.random() < self.lost:
            self.requests += 1
            writer.transport.abort()
            return
        upstream, to_vtn = await asyncio.open_connection("127.0.0.1", self._to_port)
        try:
            await asyncio.gather(self._pass(reader, to_vtn), self._pass(upstream, writer, answer=True))
        finally:
            to_vtn.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError):  # either end left: what a line does
                await self._carry(reader, writer)
        except asyncio.CancelledError:
            return  # ended by `stop`; asyncio's server would report it as an error
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answer: bool = False) -> None:
        passed = 0
        while piece := await source.read(65536):
            if not answer:
                self.heard += len(piece)
                self.requests += len(_REQUEST.findall(piece))
            await asyncio.sleep(self.delay_s)
            if self.dark:
                continue
            if answer and self.cut_after is not None:
                sink.write(piece[: max(0, self.cut_after - passed)])
                with suppress(OSError):
                    await sink.drain()
                break
            sink.write(piece)
            passed += len(piece)
            await sink.drain()
        sink.close()


class ChangingResolver(AbstractResolver):
    """Knows NAME alone, at `address`; None: it knows nothing. `asked` counts."""

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """One address."""
        self.asked += 1
        if host != NAME or self.address is None:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        return [
            ResolveResult(
                hostname=host, host=self.address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        """Nothing to close."""
