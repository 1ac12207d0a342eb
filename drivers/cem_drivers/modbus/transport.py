"""What carries PDUs: pymodbus over TCP or TLS, or an in-memory port. None knows what the bytes mean."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pymodbus import ModbusException
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.pdu import DecodePDU, ModbusPDU

from cem.driver import PduPort

LinkTable = Mapping[str, str | int | float | bool]


class Transport(Protocol):
    """Carries one PDU at a time. The caller bounds `open` and `exchange` with a time-out and tells every error."""

    connect_s: float
    """Patience for `open` at least."""
    opened: int
    """Connections made."""
    late: int
    """Answers seen after their time-out."""
    slowest_s: float
    """The slowest answer known; 0 where answers carry the number of their question."""
    settles: bool
    """Whether `settle` may have anything to wait for."""

    @property
    def up(self) -> bool:
        """Whether it is connected, so that `open` would do nothing."""

    async def open(self) -> None:
        """Connects; harmless when connected. Raises OSError."""

    async def settle(self) -> None:
        """Returns when no answer to an older question can be taken for the next one. Raises BadAnswer, OSError."""

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """One request and its answer. Raises BadAnswer, ConnectionError or TimeoutError."""

    def heard(self) -> bytes:
        """What came instead of an answer, as far as known."""

    def fail(self) -> None:
        """The last exchange went wrong: an answer may still be on its way."""

    def close(self) -> None:
        """Drops the connection; harmless when repeated."""


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


@dataclass(frozen=True, slots=True)
class Tls:
    """How a Modbus/TCP Security peer is known, and how it knows us. Without `ca_file` the system's roots count."""

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None

    def context(self) -> ssl.SSLContext:
        """A client's context: the peer must show a certificate that fits. Raises OSError, ssl.SSLError."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # Modbus/TCP Security V36, clause 8
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
        return context


def _no_password() -> str:
    raise OSError("the key file asks for a password; give one without")


class PymodbusTcp:
    """Modbus/TCP through pymodbus's asynchronous client, which keeps the framing and the transaction ids.

    Its retries, its time-outs and its own reconnecting are all off: the link above does that by its own rules. Its
    transaction ids, which it starts anew with each connection, are carried on: a gateway may deliver an answer on a
    later connection than the question's. TLS uses the same framer, as pymodbus's own takes any piece for a whole frame.
    """

    slowest_s = 0.0
    late = 0
    settles = False

    def __init__(self, host: str, port: int, tls: Tls | None = None) -> None:
        self.connect_s = 0.5 if tls is None else 4.0  # small devices need seconds for a handshake
        self.opened = 0
        self._host = host
        self._port = port
        self._tls = tls
        self._client: ModbusBaseClient | None = None
        self._waiting = False
        self._transaction = 0
        self._why: OSError | None = None

    @property
    def up(self) -> bool:
        """Whether pymodbus says so."""
        return self._client is not None and bool(self._client.connected)

    async def open(self) -> None:
        """Connects; raises OSError."""
        if self.up:
            return
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)  # every fault reaches us as an exception
        context = await asyncio.to_thread(self._tls.context) if self._tls is not None else None
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

        async def connection() -> tuple[Any, Any]:
            name = self._tls.server_name if self._tls is not None else None
            try:
                return await asyncio.get_running_loop().create_connection(
                    client.ctx.handle_new_connection, self._host, self._port, ssl=context, server_hostname=name
                )
            except OSError as error:
                self._why = error  # pymodbus says only that it failed
                raise

        client.ctx.call_create = connection
        if not await client.connect():
            raise ConnectionError(str(self._why or "connection refused or host unreachable"))
        client.ctx.next_tid = self._transaction
        self.opened += 1

    async def settle(self) -> None:
        """Nothing to wait for: answers carry the number of their question."""

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

    def heard(self) -> bytes:
        """Nothing: pymodbus keeps what it can't use."""
        return b""

    def fail(self) -> None:
        """Makes the next question go over a fresh connection."""
        self.close()

    def close(self) -> None:
        """Drops the connection."""
        client, self._client = self._client, None
        if client is not None:
            self._transaction = client.ctx.next_tid
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

    connect_s = 0.5
    slowest_s = 0.0
    late = 0
    settles = False

    def __init__(self, port: PduPort) -> None:
        self.opened = 0
        self.exchange = port.exchange
        self.up = False

    async def open(self) -> None:
        """Nothing to connect; counted all the same."""
        self.opened += not self.up
        self.up = True

    async def settle(self) -> None:
        """Nothing to wait for."""

    def heard(self) -> bytes:
        """Nothing."""
        return b""

    def fail(self) -> None:
        """As if the connection were made anew."""
        self.up = False

    def close(self) -> None:
        """Nothing to drop."""
        self.up = False
