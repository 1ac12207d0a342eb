"""The embedded MQTT broker, for demo and tests where no Mosquitto is installed."""

import asyncio
import logging
import warnings
from typing import Any

_QUIET = ("amqtt", "transitions")
_LEAVE_S = 1.0


class EmbeddedBroker:
    """amqtt on one TCP port, open to everyone on this host. `port` 0 takes a free one, known after `start`.

    The listener is ours (amqtt calls that an external one): so the port is known, and at the end every connection
    is closed, also one whose client was about to leave by itself.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self._broker: Any = None
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def listening(self) -> bool:
        """Whether connections are taken."""
        return self._server is not None

    async def start(self) -> None:
        """Listens; raises OSError where the port is taken."""
        # The package logs each connection and packet, and warns at import and on each unclean disconnect; here they
        # are the daily business of a simulation, and stdout and stderr belong to the addresses.
        for name in _QUIET:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from amqtt.broker import Broker

            plugins: dict[str, object] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
            self._broker = Broker({"listeners": {"default": {"type": "external"}}, "plugins": plugins})
            await self._broker.start()
        try:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
        except OSError as exc:
            await self.stop()
            raise OSError(f"{self.host}:{self.port}: the broker can't listen: {exc}") from exc
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter

        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._open.add(writer)
        try:
            await self._broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default")
        except OSError as exc:
            logging.getLogger("hw_sim").debug("broker: a connection broke: %s", exc)
        finally:
            self._serving.discard(task)
            self._open.discard(writer)
            writer.transport.abort()

    async def stop(self) -> None:
        """Closes all connections; harmless when repeated."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._serving:
            await asyncio.wait(self._serving, timeout=_LEAVE_S)  # those that are leaving anyway
        broker, self._broker = self._broker, None
        if broker is not None:
            await broker.shutdown()
        if self._serving:
            await asyncio.wait(self._serving, timeout=_LEAVE_S)
        for writer in list(self._open):
            writer.transport.abort()
        await asyncio.sleep(0)
