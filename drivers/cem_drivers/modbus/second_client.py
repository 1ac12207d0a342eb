"""A Modbus/TCP port on this machine through which a second client shares the link of a device that takes only one.

Its questions queue with ours, one in flight. Writes are refused (exception 1) unless the site file lets them pass.
Source of the frame: Modbus Messaging on TCP/IP Implementation Guide V1.0b, clause 3.1.3.
"""

import asyncio
import logging
import struct

from cem.driver import BadAnswer, NoAnswer, Refused
from cem_drivers.modbus.link import DEFAULT_TIMEOUT_S, Link
from cem_drivers.modbus.pdu import ILLEGAL_FUNCTION, READS
from cem_drivers.modbus.rtu import answer_size

TARGET_SILENT = 11
LONGEST_FRAME = 254  # unit and PDU

_LOG = logging.getLogger(__name__)


class SecondClient:
    """The server of one link. `start` and `close` return at once; a port that is taken is told and done without."""

    def __init__(self, link: Link, host: str, port: int, writes: bool) -> None:
        self._link = link
        self._address = (host, port)
        self._writes = writes
        self._serving: asyncio.Task[None] | None = None
        self._clients: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Listens from soon on."""
        self._serving = asyncio.get_running_loop().create_task(self._serve())

    def close(self) -> None:
        """Hangs up."""
        for task in (self._serving, *self._clients):
            if task is not None:
                task.cancel()

    async def _serve(self) -> None:
        host, port = self._address
        try:
            server = await asyncio.start_server(self._accept, host, port)
        except OSError as error:
            _LOG.warning("%s: no port for a second client at %s:%d (%s)", self._link.name, host, port, error)
            return
        async with server:
            await server.serve_forever()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            while True:
                transaction, protocol, length = struct.unpack(">HHH", await reader.readexactly(6))
                if protocol != 0 or not 2 <= length <= LONGEST_FRAME:
                    return
                unit, *_ = body = await reader.readexactly(length)
                answer = await self._answer(unit, body[1:])
                writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # hung up, or told to; asyncio's server would report a cancellation as an error
        finally:
            self._clients.discard(task)
            writer.transport.abort()

    async def _answer(self, unit: int, pdu: bytes) -> bytes:
        function = pdu[0]
        if len(pdu) < 5 or answer_size(pdu) == 0 or (function not in READS and not self._writes):
            return bytes((function | 0x80, ILLEGAL_FUNCTION))
        try:
            content = await self._link.request(unit, pdu, DEFAULT_TIMEOUT_S)
        except Refused as error:
            return bytes((function | 0x80, error.code or ILLEGAL_FUNCTION))
        except (NoAnswer, BadAnswer):
            return bytes((function | 0x80, TARGET_SILENT))
        if function in (1, 2, 3, 4):
            return bytes((function, len(content))) + content
        return pdu[:5] if function in (5, 6, 15, 16) else bytes((function,)) + content
