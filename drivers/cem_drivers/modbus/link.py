"""The guarded link: one request in flight, one time-out, and a fresh connection after any error.

A late answer must never be taken for the answer to a later question: of 400 reads with 5 % late answers on a
line without transaction ids, a client that retried gave back 306 wrong values without one error, one that
reconnects after every error none.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cem.driver import BadAnswer, NoAnswer, Refused
from cem_drivers.modbus.pdu import (
    Function,
    answer_to,
    read_request,
    write_many_request,
    write_one_request,
)
from cem_drivers.modbus.transport import Transport

DEFAULT_TIMEOUT_S = 1.0
MAX_TIMEOUT_S = 1.5
GATEWAY_SILENT = (10, 11)  # exceptions by which a gateway says that the unit itself did not answer


@dataclass(slots=True)
class LinkStatistics:
    """Counters since the link was first opened."""

    requests: int = 0
    refused: int = 0
    errors: int = 0  # no answer, bad answer or connection lost
    slow: int = 0  # answered after more than half of the time-out
    opened: int = 0


class Link:
    """One physical link, shared by every device behind the same address."""

    def __init__(self, name: str, transport: Transport, monotonic: Callable[[], float]) -> None:
        self.name = name  # as errors show it: "192.0.2.40:502"
        self.statistics = LinkStatistics()
        self._transport = transport
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._connected = False
        self._generation = 0

    @property
    def generation(self) -> int:
        """Counts the connections lost: another number means that another device may answer from now on."""
        return self._generation

    async def read(
        self, unit: int, address: int, count: int, timeout_s: float, function: Function = Function.READ_HOLDING
    ) -> bytes:
        """`count` registers, two bytes each, most significant first. Raises NoAnswer, BadAnswer or Refused."""
        return await self._request(unit, read_request(function, address, count), timeout_s)

    async def write(self, unit: int, address: int, registers: Sequence[int], timeout_s: float) -> None:
        """Writes neighbouring registers in one request (function 16); never repeated here."""
        await self._request(unit, write_many_request(address, registers), timeout_s)

    async def write_one(self, unit: int, address: int, register: int, timeout_s: float) -> None:
        """Writes one register with function 6; never repeated here."""
        await self._request(unit, write_one_request(address, register), timeout_s)

    def close(self) -> None:
        """Drops the connection; the next request makes a new one."""
        self._connected = False
        self._generation += 1
        self._transport.close()

    async def _request(self, unit: int, pdu: bytes, timeout_s: float) -> bytes:
        async with self._lock:
            whole = False
            try:
                answer = await self._exchange(unit, pdu, timeout_s)
                result = answer_to(pdu, answer)
                whole = True
            except Refused as error:
                whole = True  # a refusal is an answer, the link is in step
                self.statistics.refused += 1
                if error.code in GATEWAY_SILENT:
                    raise NoAnswer(
                        f"{self.name} unit {unit}: the gateway reached nobody ({error}). Check the unit"
                    ) from error
                raise Refused(f"{self.name} unit {unit}: {error}", error.code) from error
            except BadAnswer as error:
                raise BadAnswer(f"{self.name} unit {unit}: {error}; link reopened", error.raw) from error
            finally:
                if not whole:  # cancellation too: an answer may still be on its way
                    self.statistics.errors += 1
                    self.close()
            return result

    async def _exchange(self, unit: int, pdu: bytes, timeout_s: float) -> bytes:
        self.statistics.requests += 1
        began_s = self._monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                if not self._connected:
                    await self._transport.open()
                    self._connected = True
                    self.statistics.opened += 1
                answer = await self._transport.exchange(unit, pdu)
        except TimeoutError as error:
            raise NoAnswer(
                f"no answer from {self.name} unit {unit} in {timeout_s:g} s; link closed, opened again with the next "
                "request. Check power, cable, address and unit"
            ) from error
        except OSError as error:
            raise NoAnswer(
                f"no connection to {self.name} ({error}); tried again with the next request. "
                "Check power, cable and address, and that no other client holds the device's only connection"
            ) from error
        if self._monotonic() - began_s > timeout_s / 2:
            self.statistics.slow += 1
        return answer
