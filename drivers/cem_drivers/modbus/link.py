"""The guarded link: one request in flight, one time-out, and a fresh start after any error.

A late answer must never be taken for the answer to a later question: of 400 reads with 5 % late answers on a
line without transaction ids, a client that retried gave back 306 wrong values without one error, one that
reconnects after every error none.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from cem.driver import BadAnswer, LineCounts, NoAnswer, Patience, Refused
from cem_drivers.modbus.pdu import (
    READS,
    Function,
    answer_to,
    read_request,
    write_many_request,
    write_one_request,
)
from cem_drivers.modbus.silence import Silence
from cem_drivers.modbus.transport import Transport

DEFAULT_TIMEOUT_S = 1.0
MAX_TIMEOUT_S = 1.5
GATEWAY_SILENT = (10, 11)  # exceptions by which a gateway says that the unit itself did not answer


@dataclass(slots=True)
class _Counted:
    """What a link counts itself; `LineCounts` says what each means."""

    requests: int = 0
    writes: int = 0
    refused: int = 0
    errors: int = 0
    timeouts: int = 0
    bad: int = 0
    slow: int = 0
    slowest_s: float = 0.0
    spared: int = 0


class Link:
    """One physical link, shared by every device behind the same address."""

    def __init__(self, name: str, transport: Transport, monotonic: Callable[[], float]) -> None:
        self.name = name  # as errors show it: "192.0.2.40:502"
        self.units: Counter[int] = Counter()  # users by unit
        self._statistics = _Counted()
        self._transport = transport
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._generation = 0
        self._silence = Silence()
        self._missed: int | None = None  # the unit that did not answer last
        self._patience = Patience(DEFAULT_TIMEOUT_S)

    @property
    def generation(self) -> int:
        """Counts the connections lost: another number means that another device may answer from now on."""
        return self._generation

    @property
    def statistics(self) -> LineCounts:
        """The counters as they are now; they outlive the users of the link."""
        counted, carried = self._statistics, self._transport
        return LineCounts(
            name=self.name,
            requests=counted.requests,
            writes=counted.writes,
            refused=counted.refused,
            errors=counted.errors,
            timeouts=counted.timeouts,
            bad=counted.bad,
            late=carried.late,
            slow=counted.slow,
            slowest_s=counted.slowest_s,
            opened=carried.opened,
            spared=counted.spared,
        )

    def read(
        self,
        unit: int,
        address: int,
        count: int,
        timeout_s: float,
        function: Function = Function.READ_HOLDING,
        insist: bool = False,
    ) -> Coroutine[Any, Any, bytes]:
        """`count` registers, two bytes each, most significant first. Raises NoAnswer, BadAnswer or Refused."""
        return self.request(unit, read_request(function, address, count), timeout_s, insist)

    async def write(self, unit: int, address: int, registers: Sequence[int], timeout_s: float) -> None:
        """Writes neighbouring registers in one request (function 16); never repeated here."""
        await self.request(unit, write_many_request(address, registers), timeout_s)

    async def write_one(self, unit: int, address: int, register: int, timeout_s: float) -> None:
        """Writes one register with function 6; never repeated here."""
        await self.request(unit, write_one_request(address, register), timeout_s)

    def close(self) -> None:
        """Drops the connection; the next request makes a new one."""
        self._generation += 1
        self._transport.close()

    async def request(self, unit: int, pdu: bytes, timeout_s: float, insist: bool = False) -> bytes:
        """One request; what its answer says beyond the header, as `answer_to` gives it. Raises as `read` does.

        `insist`: even a unit that has been silent is asked; for a scan, which meets silent addresses.
        """
        await self._lock.acquire()
        try:
            if self._silence.units and not insist:
                self._spare(unit)
            began_s = self._monotonic()
            whole = silent = False
            try:
                if self._transport.settles or not self._transport.up:
                    await self._ready(unit, timeout_s)
                result = answer_to(pdu, await self._exchange(unit, pdu, timeout_s))
                whole = True
            except Refused as error:
                whole = True  # a refusal is an answer, the link is in step
                self._statistics.refused += 1
                if error.code in GATEWAY_SILENT:
                    silent = True
                    raise NoAnswer(
                        f"{self.name} unit {unit}: the gateway reached nobody ({error}). Check the unit"
                    ) from error
                raise Refused(f"{self.name} unit {unit}: {error}", error.code) from error
            except BadAnswer as error:
                self._statistics.bad += 1
                raise BadAnswer(f"{self.name} unit {unit}: {error}; link reopened", error.raw) from error
            except NoAnswer:
                silent = True
                raise
            finally:
                if not whole:  # cancellation too: an answer may still be on its way
                    self._statistics.errors += 1
                    self._generation += 1
                    self._transport.fail()
                if silent or self._silence.units:
                    self._note(unit, whole, silent, began_s)
            return result
        finally:
            self._lock.release()

    def _spare(self, unit: int) -> None:
        """Raises NoAnswer for a unit that has been silent, for so long that the others keep their rate."""
        left_s = self._silence.left_s(unit, self._monotonic())
        if left_s > 0 and self._shared:
            self._statistics.spared += 1
            raise NoAnswer(
                f"{self.name} unit {unit} has been silent; asked again in {left_s:.1f} s, so that the other units on "
                "the line keep their rate. Check its power, cable and unit number"
            )

    @property
    def _shared(self) -> bool:
        return len(self.units) > 1

    def _note(self, unit: int, whole: bool, silent: bool, began_s: float) -> None:
        if silent:
            self._missed = unit
            now_s = self._monotonic()
            self._silence.silent(unit, now_s, now_s - began_s + self._transport.slowest_s)
        elif whole:
            self._silence.answered(unit)

    async def _ready(self, unit: int, timeout_s: float) -> None:
        """Connects where needed, and waits until nothing old can arrive."""
        try:
            if not self._transport.up:
                async with asyncio.timeout(max(timeout_s, self._transport.connect_s)):
                    await self._transport.open()
            late = self._transport.late
            await self._transport.settle()
            if self._transport.late > late and self._missed is not None:
                self._silence.answered(self._missed)  # late is not dead
        except TimeoutError as error:
            raise NoAnswer(
                f"no connection to {self.name} for unit {unit} in {max(timeout_s, self._transport.connect_s):g} s; "
                "tried again with the next request. Check power, cable and address"
            ) from error
        except OSError as error:
            raise self._unconnected(error) from error

    def _unconnected(self, error: OSError) -> NoAnswer:
        return NoAnswer(
            f"no connection to {self.name} ({error}); tried again with the next request. "
            "Check power, cable and address, and that no other client holds the device's only connection"
        )

    async def _exchange(self, unit: int, pdu: bytes, timeout_s: float) -> bytes:
        counted = self._statistics
        counted.requests += 1
        if pdu[0] not in READS:
            counted.writes += 1
        began_s = self._monotonic()
        try:
            self._patience.seconds = timeout_s
            answer = await self._patience.over(self._transport.exchange(unit, pdu))
        except TimeoutError as error:
            heard = self._transport.heard()
            if heard:
                raise BadAnswer(f"{len(heard)} bytes in {timeout_s:g} s, no whole answer", heard) from error
            counted.timeouts += 1
            raise NoAnswer(
                f"no answer from {self.name} unit {unit} in {timeout_s:g} s; link closed, opened again with the next "
                "request. Check power, cable, address and unit"
            ) from error
        except OSError as error:
            raise self._unconnected(error) from error
        took_s = self._monotonic() - began_s
        counted.slowest_s = max(counted.slowest_s, took_s)
        if took_s > timeout_s / 2:
            counted.slow += 1
        return answer
