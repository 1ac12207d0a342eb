"""What carries PDUs: pymodbus over TCP, or an in-memory port. Neither knows what the bytes mean."""

import logging
from collections.abc import Mapping
from typing import Protocol

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.pdu import DecodePDU, ModbusPDU

from cem.driver import PduPort

LinkTable = Mapping[str, str | int | float | bool]


class Transport(Protocol):
    """Carries one PDU at a time. The caller bounds every call with a time-out and closes after any error."""

    async def open(self) -> None:
        """Connects; harmless when connected. Raises ConnectionError."""

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """One request and its answer. Raises ConnectionError or TimeoutError."""

    def close(self) -> None:
        """Drops the connection and whatever may still arrive on it; harmless when repeated."""


class _RawPdu(ModbusPDU):
    """A PDU as bytes: pymodbus frames it and leaves its inside alone."""

    def __init__(self, raw: bytes, unit: int = 0) -> None:
        super().__init__(dev_id=unit)
        self.function_code = raw[0]
        self.raw = raw

    def encode(self) -> bytes:
        """The bytes behind the function code."""
        return self.raw[1:]

    def __str__(self) -> str:
        """The bytes as hex."""
        return self.raw.hex()


class _RawDecoder(DecodePDU):
    """Hands every answer over undecoded, so that a strange one is ours to judge and its bytes are kept."""

    def decode(self, frame: bytes) -> ModbusPDU | None:
        """Wraps the answer."""
        return _RawPdu(frame)


class PymodbusTcp:
    """Modbus/TCP through pymodbus's asynchronous client, which keeps the framing and the transaction ids.

    Its retries, its time-outs and its own reconnecting are all off: the link above does that by its own rules.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._client: ModbusBaseClient | None = None
        self._waiting = False

    async def open(self) -> None:
        """Connects; raises ConnectionError."""
        if self._client is not None and self._client.connected:
            return
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # every fault reaches us as an exception
        client = AsyncModbusTcpClient(
            self._host,
            port=self._port,
            retries=0,
            reconnect_delay=0,
            timeout=60,  # the caller's time-out is shorter and the only one
            trace_connect=self._on_connect,
        )
        client.ctx.framer.decoder = _RawDecoder(False)
        self._client = client
        if not await client.connect():
            raise ConnectionError("connection refused or host unreachable")

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """One request and its answer; raises ConnectionError when the peer hangs up meanwhile."""
        if self._client is None or not self._client.connected:
            raise ConnectionError("not connected")
        self._waiting = True
        try:
            answer = await self._client.execute(False, _RawPdu(pdu, unit))
        except ModbusException as error:
            raise ConnectionError(str(error)) from error
        finally:
            self._waiting = False
        assert isinstance(answer, _RawPdu)
        return answer.raw

    def close(self) -> None:
        """Drops the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _on_connect(self, connected: bool) -> None:
        """Ends a wait at once when the peer hangs up; pymodbus itself would wait for its time-out."""
        if connected or not self._waiting or self._client is None:
            return
        future = self._client.ctx.response_future
        if not future.done():
            future.set_exception(ConnectionResetError("connection closed by the device"))


class InMemory:
    """The in-memory port of the driver context behind the same interface."""

    def __init__(self, port: PduPort) -> None:
        self._port = port

    async def open(self) -> None:
        """Nothing to connect."""

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """One request and its answer."""
        return await self._port.exchange(unit, pdu)

    def close(self) -> None:
        """Nothing to drop."""
