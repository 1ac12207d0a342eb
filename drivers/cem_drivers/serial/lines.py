"""Who listens to which line: a serial port, a serial server on the network, or a line in memory. One reader a line."""

import asyncio
import socket
from collections.abc import Hashable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from cem.driver import ByteSink, DriverContext, LossSink, NoAnswer, StreamPort
from cem_drivers.serial_port import Line, Port
from cem_drivers.table import LinkTable, number, text

SERIAL, SERIAL_TCP = "serial", "serial-tcp"


def name_of(link: LinkTable) -> str:
    """The line as people write it."""
    if kind_of(link) == SERIAL_TCP:
        return f"{text(link, 'host', '')}:{int(number(link, 'port', 0))}"
    return text(link, "device", "")


def kind_of(link: LinkTable) -> str:
    """Serial, unless the table names a host."""
    return text(link, "kind", SERIAL_TCP if "host" in link else SERIAL)


class SerialStream:
    """A serial port: always 8 bits without parity; what has a parity bit in it is checked by its reader."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._port: Port | None = None

    async def start(self, on_bytes: ByteSink, on_lost: LossSink) -> None:
        """Opens the port; raises ConnectionError."""
        self._port = await Port.opened(self._line, on_bytes, on_lost)

    def stop(self) -> None:
        """Closes it."""
        port, self._port = self._port, None
        if port is not None:
            port.close()


class TcpStream(asyncio.Protocol):
    """A serial server (ser2net and its kin) in raw mode. Nothing is ever sent to it."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._transport: asyncio.BaseTransport | None = None
        self._on_bytes: ByteSink | None = None
        self._on_lost: LossSink | None = None

    async def start(self, on_bytes: ByteSink, on_lost: LossSink) -> None:
        """Connects; raises OSError."""
        self._on_bytes, self._on_lost = on_bytes, on_lost
        transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, self._host, self._port)
        self._transport = transport
        raw = transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def stop(self) -> None:
        """Hangs up."""
        transport, self._transport = self._transport, None
        self._on_bytes = self._on_lost = None
        if transport is not None:
            transport.close()

    def data_received(self, data: bytes) -> None:
        """A piece came."""
        if self._on_bytes is not None:
            self._on_bytes(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The server hung up, or we did."""
        self._transport = None
        if self._on_lost is not None:
            self._on_lost(exc or ConnectionResetError("the serial server hung up"))


@dataclass(slots=True)
class _Held:
    owner: str
    stream: StreamPort


class Lines:
    """The lines that this process listens to, each by one device. A line belongs to the loop in which it was taken."""

    def __init__(self) -> None:
        self._loops: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, _Held]] = WeakKeyDictionary()

    async def listen(
        self, owner: str, link: LinkTable, baud: int, context: DriverContext, on_bytes: ByteSink, on_lost: LossSink
    ) -> StreamPort:
        """Begins to listen for `owner`; give the line back with `leave`. Raises NoAnswer, without the owner's name.

        A second reader of the same line in this process is refused: two tables name it.
        """
        held = self._loops.setdefault(asyncio.get_running_loop(), {})
        key = self._key(link, context)
        if key in held:
            raise NoAnswer(
                f"{held[key].owner} reads {name_of(link)} already, and a line has one reader. "
                "Check the link tables: each meter has a port of its own"
            )
        stream = _stream(link, baud, context)
        held[key] = _Held(owner, stream)
        try:
            await stream.start(on_bytes, on_lost)
        except OSError as error:
            del held[key]
            if kind_of(link) == SERIAL:
                raise NoAnswer(str(error)) from error
            raise NoAnswer(
                f"no connection to {name_of(link)} ({error}). Check that the serial server runs, and that nobody else "
                "is connected to it"
            ) from error
        except BaseException:
            del held[key]
            stream.stop()
            raise
        return stream

    def leave(self, stream: StreamPort) -> None:
        """Lets go of a line; harmless when repeated."""
        held = self._loops.get(asyncio.get_running_loop(), {})
        for key, entry in list(held.items()):
            if entry.stream is stream:
                del held[key]
        stream.stop()

    @staticmethod
    def _key(link: LinkTable, context: DriverContext) -> Hashable:
        return (id(context.streams) if context.streams is not None else None, name_of(link))


def _stream(link: LinkTable, baud: int, context: DriverContext) -> StreamPort:
    if context.streams is not None:
        return context.streams(link)
    if kind_of(link) == SERIAL_TCP:
        return TcpStream(text(link, "host", ""), int(number(link, "port", 0)))
    return SerialStream(Line(text(link, "device", ""), int(number(link, "baud", baud))))


LINES = Lines()
"""Every line of this process."""
