"""The listeners of a simulated Modbus device: Modbus TCP, RTU frames over TCP, and RTU on a pseudo terminal."""

import asyncio
import errno
import os
import struct
import tty
from pathlib import Path
from typing import Protocol

from hw_sim.modbus import HungUp, ModbusUnit, Outgoing
from hw_sim.rtu import RequestEar, framed

_HEADER = struct.Struct(">HHHB")  # transaction, protocol, length, unit: Messaging Implementation Guide V1.0b, 3.1.3
_LONGEST = 254  # unit and PDU
_OTHER = 0x10  # added to the unit of an answer from another one


class Endpoint(Protocol):
    """Where a device is reached."""

    unit: ModbusUnit

    @property
    def listening(self) -> bool:
        """Whether connections are taken."""

    def where(self) -> dict[str, object]:
        """The address, as JSON types."""

    async def start(self) -> None:
        """Listens; raises OSError."""

    async def stop(self) -> None:
        """Ends listener and connections; harmless when repeated."""


def _unit_shown(unit: int, out: Outgoing) -> int:
    return unit ^ _OTHER if out.wrong_unit else unit


def _on_wire(frame: bytes, out: Outgoing) -> bytes:
    """The frame, so far as it leaves the device."""
    return frame[: len(frame) // 2] if out.half else frame * out.copies


class TcpEndpoint:
    """One device on TCP, with MBAP headers or (`rtu`) with RTU frames. `port` 0 takes a free one and keeps it.

    A client too many is hung up on. Interpretation: what has no MBAP header ends its connection, as most devices do.
    """

    def __init__(self, unit: ModbusUnit, host: str, port: int, *, rtu: bool = False) -> None:
        self.unit = unit
        self.host = host
        self.port = port
        self.turned_away = 0
        self._rtu = rtu
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], int] = {}  # connection to how many the device had forgotten before
        self._readers: dict[asyncio.Task[None], asyncio.StreamReader] = {}

    @property
    def listening(self) -> bool:
        """Whether connections are taken."""
        return self._server is not None

    def where(self) -> dict[str, object]:
        """Host and port."""
        return {"host": self.host, "port": self.port}

    async def start(self) -> None:
        """Listens; raises OSError where the port is taken."""
        try:
            self._server = await asyncio.start_server(self._take, self.host, self.port)
        except OSError as exc:
            raise OSError(f"{self.host}:{self.port}: can't listen: taken, or not allowed") from exc
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Closes the listener and all connections; harmless when repeated."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        most = self.unit.max_clients
        if most is not None and self._clients() >= most:
            self.turned_away += 1
            writer.transport.abort()
            return
        self._open[task] = self.unit.lost
        self._readers[task] = reader
        try:
            await (self._serve_rtu(reader, writer) if self._rtu else self._serve_tcp(reader, writer))
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            return  # hung up, or stopped; asyncio's server would report a cancellation as an error
        finally:
            self._open.pop(task, None)
            self._readers.pop(task, None)
            writer.transport.abort()

    def _clients(self) -> int:
        """Connections that count: neither forgotten nor ended by the other side, though an answer may be on its way."""
        return sum(
            lost == self.unit.lost and not (self._readers[task].at_eof() or self._readers[task].exception())
            for task, lost in self._open.items()
        )

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            transaction, protocol, length, unit = _HEADER.unpack(await reader.readexactly(_HEADER.size))
            if protocol != 0 or not 2 <= length <= _LONGEST:
                return
            out = await self._answer(unit, await reader.readexactly(length - 1))
            if out is not None:
                header = _HEADER.pack(transaction, 0, len(out.pdu) + 1, _unit_shown(unit, out))
                writer.write(_on_wire(header + out.pdu, out))
                await writer.drain()

    async def _serve_rtu(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ear = RequestEar()
        while heard := await reader.read(512):
            for unit, pdu in ear.feed(heard):
                out = await self._answer(unit, pdu)
                if out is not None:
                    writer.write(_on_wire(framed(_unit_shown(unit, out), out.pdu), out))
                    await writer.drain()

    async def _answer(self, unit: int, pdu: bytes) -> Outgoing | None:
        """What goes out; nothing on a connection that the device has forgotten. Raises HungUp."""
        task = asyncio.current_task()
        if task is None or self._open.get(task) != self.unit.lost:
            return None
        out = self.unit.respond(unit, pdu)
        if out is not None and out.delay_s:
            await asyncio.sleep(out.delay_s)
        return out


class PtyEndpoint:
    """One device on a serial line of its own: a pseudo terminal, whose name `link` (if given) points to.

    While it does not listen the adapter is pulled: the terminal is gone, and `link` with it.
    """

    def __init__(self, unit: ModbusUnit, link: Path | None = None) -> None:
        self.unit = unit
        self.device = ""
        self._link = link
        self._far = self._near = -1
        self._ear = RequestEar()
        self._answering: set[asyncio.Task[None]] = set()

    @property
    def listening(self) -> bool:
        """Whether the terminal is there."""
        return self._far >= 0

    def where(self) -> dict[str, object]:
        """The name of the terminal."""
        return {"device": self.device}

    async def start(self) -> None:
        """Makes the terminal; raises OSError, also where `link` is a file of somebody else's."""
        if self._link is not None and self._link.exists() and not self._link.is_symlink():
            raise FileExistsError(errno.EEXIST, "is there, and no link of ours", str(self._link))
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        name = os.ttyname(self._near)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(name)
        self.device = name if self._link is None else str(self._link)
        self._ear = RequestEar()
        asyncio.get_running_loop().add_reader(self._far, self._readable)

    async def stop(self) -> None:
        """The adapter is pulled."""
        if self._far < 0:
            return
        asyncio.get_running_loop().remove_reader(self._far)
        for task in list(self._answering):
            task.cancel()
        os.close(self._far)
        os.close(self._near)
        self._far = self._near = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def _readable(self) -> None:
        for unit, pdu in self._ear.feed(os.read(self._far, 4096)):
            task = asyncio.get_running_loop().create_task(self._answer(unit, pdu))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, unit: int, pdu: bytes) -> None:
        try:
            out = self.unit.respond(unit, pdu)
        except HungUp:
            return  # a line has no connection to end
        if out is not None:
            await asyncio.sleep(out.delay_s)
            os.write(self._far, _on_wire(framed(_unit_shown(unit, out), out.pdu), out))
