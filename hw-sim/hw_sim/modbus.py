"""One Modbus device on both transports: in memory, and on TCP through pymodbus's simulator server."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from hw_sim.faults import HEALTHY, Condition
from hw_sim.registers import NO_RESPONSE, SERVER_BUSY, ModbusFault, RegisterBank, answer

_ALL_ADDRESSES = 0x10000


class ModbusUnit:
    """A register bank at a unit id, with what is wrong with it now. `exchange` is the in-memory transport."""

    def __init__(self, bank: RegisterBank, unit: int) -> None:
        self.bank = bank
        self.unit = unit
        self.condition = HEALTHY
        self.powered = True
        self._last = b""

    def take(self, condition: Condition) -> None:
        """From now on the device is in this condition."""
        self.condition = condition

    @property
    def silent(self) -> bool:
        """Whether it gives no answer."""
        return self.condition.silent or not self.powered

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """Request PDU in, answer PDU out, function code first.

        Raises TimeoutError when the device is silent and ConnectionError when it is down; another unit id gets
        exception 11, as from a gateway.
        """
        if self.condition is HEALTHY and self.powered and unit == self.unit:
            return answer(self.bank, pdu)
        if self.condition.disconnected:
            raise ConnectionError(f"unit {unit}: connection refused (simulated)")
        if self.silent:
            raise TimeoutError(f"unit {unit}: no answer (simulated)")
        if unit != self.unit:
            return bytes((pdu[0] | 0x80, NO_RESPONSE))
        wrong = self.condition.faults
        if not wrong:
            return answer(self.bank, pdu)
        if "slow" in wrong:
            await asyncio.sleep(wrong["slow"].delay_s)
        if "busy" in wrong:
            return bytes((pdu[0] | 0x80, self._busy_code()))
        right = answer(self.bank, pdu)
        if "garbage" in wrong:
            return _spoilt(right)
        last, self._last = self._last, right
        return last or right if "foreign_answer" in wrong else right

    def _busy_code(self) -> int:
        given = self.condition.faults["busy"].value
        return SERVER_BUSY if given is None else round(given)

    async def on_access(
        self,
        function: int,
        start: int,
        address: int,
        count: int,
        current: list[int],
        values: Sequence[int] | None,
    ) -> ExcCodes | None:
        """pymodbus's action: puts live words under a read, hands a write to the bank.

        Interpretation: this server can't be made to send malformed or foreign answers; it then sends none.
        """
        wrong = self.condition.faults
        if "slow" in wrong:
            await asyncio.sleep(wrong["slow"].delay_s)
        if self.silent or "garbage" in wrong or "foreign_answer" in wrong:
            raise NoSuchIdException("silent (simulated)")  # the server then sends no answer at all
        if "busy" in wrong:
            return ExcCodes(self._busy_code())
        try:
            if values is not None:
                self.bank.write(address, values)
            else:
                at = address - start
                current[at : at + count] = self.bank.read(address, count)
        except ModbusFault as fault:
            return ExcCodes(fault.code)
        return None


def _spoilt(right: bytes) -> bytes:
    """An answer that is none: cut off, with a byte count that does not fit."""
    return bytes((right[0], 0xFD)) + right[2 : 2 + len(right) // 2]


async def _no_such_unit(*_request: object) -> ExcCodes:
    return ExcCodes.GATEWAY_NO_RESPONSE


def _whole_range() -> SimData:
    """All 65,536 addresses: which of them exist is the bank's business, so that both transports say the same."""
    return SimData(0, count=_ALL_ADDRESSES, values=0, datatype=DataType.REGISTERS)


class ModbusEndpoint:
    """The TCP server of one unit. `port` 0 takes a free one and keeps it over stop and start."""

    def __init__(self, unit: ModbusUnit, host: str, port: int) -> None:
        self.unit = unit
        self.host = host
        self.port = port
        self._server: ModbusTcpServer | None = None

    @property
    def listening(self) -> bool:
        """Whether connections are taken."""
        return self._server is not None

    async def start(self) -> None:
        """Listens; raises OSError where the port is taken."""
        # The package logs each refused request with a traceback; what a simulated device refuses is no news.
        logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

        async def on_access(
            function: int,
            start: int,
            address: int,
            count: int,
            current: list[int],
            values: list[int] | list[bool] | None,
        ) -> ExcCodes | None:
            return await self.unit.on_access(function, start, address, count, current, values)

        async def on_other_unit(*request: object) -> ExcCodes | None:
            return await _no_such_unit(*request)

        devices = [
            SimDevice(id=self.unit.unit, simdata=[_whole_range()], action=on_access),
            SimDevice(id=0, simdata=[_whole_range()], action=on_other_unit),
        ]
        server = ModbusTcpServer(devices, address=(self.host, self.port), ignore_missing_devices=True)
        try:
            await server.serve_forever(background=True)
        except RuntimeError as exc:
            raise OSError(f"{self.host}:{self.port}: can't listen: taken, or not allowed") from exc
        self._server = server
        listener: Any = server.transport  # pymodbus keeps asyncio's Server under this name
        self.port = int(listener.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Closes the listener and all connections; harmless when repeated."""
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()  # type: ignore[no-untyped-call]
            await asyncio.sleep(0)
