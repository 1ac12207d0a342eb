"""One Modbus device as its wires see it: register banks at unit ids, and what is wrong with its answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from hw_sim.faults import HEALTHY, Condition
from hw_sim.registers import NO_RESPONSE, SERVER_BUSY, Bank, answer

_WRITES = (5, 6, 15, 16, 22, 23)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a device sends for one request: the answer PDU, and how it goes on the wire."""

    pdu: bytes
    delay_s: float = 0.0
    copies: int = 1
    wrong_unit: bool = False  # the frame names another unit
    half: bool = False  # only the first half of the frame leaves the device


class HungUp(ConnectionError):  # noqa: N818 - what it does, not what went wrong
    """The device ends the connection in place of an answer."""


class ModbusUnit:
    """Register banks by unit id, with what is wrong with the device now. `exchange` is the in-memory transport.

    On a serial `line` nobody answers for a unit that is not there; else it is exception 11, as from a gateway.
    `max_clients`: so many connections are served at the same time; None: any number.
    """

    def __init__(self, banks: Mapping[int, Bank], *, line: bool = False, max_clients: int | None = None) -> None:
        self.banks = dict(banks)
        self.unit = next(iter(self.banks))  # the one that is meant where only one is asked for
        self.bank = self.banks[self.unit]
        self.line = line
        self.max_clients = max_clients
        self.condition = HEALTHY
        self.powered = True
        self.lost = 0  # how often the device has forgotten the connections that were open
        self._last = b""
        self._in_memory = 0  # as `lost`, for the one connection in memory

    def take(self, condition: Condition) -> None:
        """From now on the device is in this condition."""
        if "half_open" in condition and "half_open" not in self.condition:
            self.lost += 1
        self.condition = condition

    @property
    def silent(self) -> bool:
        """Whether it gives no answer."""
        return self.condition.silent or not self.powered

    def respond(self, unit: int, pdu: bytes) -> Outgoing | None:
        """What goes out for a request; None: nothing. Raises HungUp."""
        if self.silent:
            return None
        bank = self.banks.get(unit)
        if bank is None:
            return None if self.line else Outgoing(bytes((pdu[0] | 0x80, NO_RESPONSE)))
        wrong = self.condition.faults
        if not wrong:
            return Outgoing(answer(bank, pdu))
        if "hang_up" in wrong:
            raise HungUp(f"unit {unit}: connection closed (simulated)")
        delay_s = wrong["slow"].delay_s if "slow" in wrong else 0.0
        if "busy" in wrong:
            return Outgoing(bytes((pdu[0] | 0x80, self._busy_code())), delay_s)
        right = answer(bank, pdu)
        last, self._last = self._last, right
        if "foreign_answer" in wrong:
            right = last or right
        if "garbage" in wrong:
            right = _spoilt(right)
        elif "short_answer" in wrong:
            right = _shortened(right)
        copies = 2 if "duplicate" in wrong else 1
        return Outgoing(right, delay_s, copies, "wrong_unit" in wrong, "half_answer" in wrong)

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """Request PDU in, answer PDU out, function code first.

        Raises TimeoutError where no whole answer comes from that unit and ConnectionError when the device is down.
        Interpretation: PDUs have no frame, so that a second copy of one is not to be seen here.
        """
        if self.condition is HEALTHY and self.powered and self._in_memory == self.lost and unit in self.banks:
            return answer(self.banks[unit], pdu)  # as below, and nearly always so
        if self.condition.disconnected:
            raise ConnectionError(f"unit {unit}: connection refused (simulated)")
        if self._in_memory != self.lost:
            self._in_memory = self.lost  # whoever gets no answer connects anew
            raise TimeoutError(f"unit {unit}: the device has forgotten this connection (simulated)")
        out = self.respond(unit, pdu)
        if out is None or out.half or out.wrong_unit:
            raise TimeoutError(f"unit {unit}: no answer (simulated)")
        if out.delay_s:
            await asyncio.sleep(out.delay_s)
        return out.pdu

    def _busy_code(self) -> int:
        given = self.condition.faults["busy"].value
        return SERVER_BUSY if given is None else round(given)


def _spoilt(right: bytes) -> bytes:
    """An answer that is none: cut off, with a byte count that does not fit."""
    return bytes((right[0], 0xFD)) + right[2 : 2 + len(right) // 2]


def _shortened(right: bytes) -> bytes:
    """One register fewer than was asked for, with a byte count that says so; writes and refusals are left alone."""
    if right[0] & 0x80 or right[0] in _WRITES:
        return right
    return bytes((right[0], right[1] - 2)) + right[2:-2]
