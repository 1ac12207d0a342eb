"""RTU frames through a TCP gateway that passes bytes on, as serial device servers do."""

import asyncio

from cem_drivers.modbus.rtu_stream import SLOWEST_ANSWER_S, RtuStream

GATEWAY_GAP_S = 0.01
"""Silence after an answer: shorter than any request takes on the line behind the gateway, long enough to see a
second copy of the answer before it can be taken for the next one."""


class RtuTcp(RtuStream):
    """After any error the connection is listened to until the line has settled, then made anew."""

    def __init__(self, host: str, port: int, gap_s: float = 0.0, slowest_s: float = SLOWEST_ANSWER_S) -> None:
        super().__init__(gap_s, GATEWAY_GAP_S, slowest_s)
        self._host = host
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._spoiled = False

    async def settle(self) -> None:
        """Waits for silence; then reconnects where something had gone wrong."""
        await super().settle()
        if self._spoiled:
            self.close()
            async with asyncio.timeout(self.connect_s):
                await self.open()
            await super().settle()

    def fail(self) -> None:
        """The connection is not used for another question."""
        super().fail()
        self._spoiled = self.up

    async def _connect(self) -> None:
        self._spoiled = False
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_connection(lambda: _Ear(self), self._host, self._port)

    def _send(self, frame: bytes) -> None:
        assert self._transport is not None
        self._transport.write(frame)

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        self._spoiled = False
        if transport is not None:
            transport.abort()

    def came_on(self, transport: asyncio.BaseTransport | None, data: bytes) -> None:
        """Takes what arrived on the present connection."""
        if transport is self._transport:
            self._came(data)

    def gone_on(self, transport: asyncio.BaseTransport | None, error: Exception) -> None:
        """Takes the end of the present connection."""
        if transport is self._transport:
            self._gone(error)


class _Ear(asyncio.Protocol):
    """One connection's events."""

    def __init__(self, owner: RtuTcp) -> None:
        self._owner = owner
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._owner.came_on(self._transport, data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.gone_on(self._transport, exc or ConnectionResetError("connection closed by the device"))
