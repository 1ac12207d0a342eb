"""A TCP proxy that can fail on command, to put between a client and a device or server."""

import asyncio

_CHUNK = 65536


class FaultyProxy:
    """Forwards `listen_host`:`listen_port` (0: a free port, known after `start`) to the target, byte for byte.

    `cut` refuses and drops connections, `blackhole` accepts them and forwards nothing in either direction, `heal`
    forwards again. `latency_s` delays every chunk in each direction. Bytes swallowed by the black hole stay lost, so
    connections that were open in it are dropped by `heal`.
    """

    def __init__(
        self,
        listen_port: int,
        target_host: str,
        target_port: int,
        *,
        listen_host: str = "127.0.0.1",
        latency_s: float = 0.0,
    ) -> None:
        self.host = listen_host
        self.port = listen_port
        self.latency_s = latency_s
        self._target = (target_host, target_port)
        self._server: asyncio.Server | None = None
        self._swallowing = False
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens; raises OSError where the port is taken. The same as `heal` after `cut`."""
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def cut(self) -> None:
        """Refuses new connections and drops all that are open."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        await self._drop()

    async def blackhole(self) -> None:
        """Accepts, or keeps, connections and forwards nothing."""
        self._swallowing = True
        await self.start()

    async def heal(self) -> None:
        """Forwards again."""
        if self._swallowing:
            self._swallowing = False
            await self._drop()
        await self.start()

    async def stop(self) -> None:
        """Closes everything; harmless when repeated."""
        await self.cut()

    async def _drop(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._open.add(writer)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            return  # dropped by `cut`, `heal` or `stop`; asyncio's server would report it as an error
        finally:
            self._tasks.discard(task)
            self._open.discard(writer)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._swallowing:
            await self._pump(reader, None)
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            return  # nobody there: the client sees its connection close
        self._open.add(far_writer)
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._pump(reader, far_writer))
                ways.create_task(self._pump(far_reader, writer))
        finally:
            self._open.discard(far_writer)
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        """One direction, until its end; passes the end on."""
        try:
            while chunk := await reader.read(_CHUNK):
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                if writer is None or self._swallowing:
                    continue
                writer.write(chunk)
                await writer.drain()
            if writer is not None and writer.can_write_eof() and not self._swallowing:
                writer.write_eof()
        except OSError:
            if writer is not None:
                writer.transport.abort()
