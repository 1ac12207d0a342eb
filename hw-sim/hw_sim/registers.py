"""The register image of one Modbus device, and Modbus requests against it, with no transport."""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

READ_HOLDING, READ_INPUT, WRITE_ONE, WRITE_MANY = 3, 4, 6, 16
ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
DEVICE_FAILURE = 4
SERVER_BUSY = 6
NO_RESPONSE = 11

MAX_READ = 125  # registers in one request, Modbus Application Protocol V1.1b3, 6.3
MAX_WRITE = 123  # 6.12


class ModbusFault(Exception):  # noqa: N818 - the answer of a healthy device, not an error of ours
    """A request that the device answers with an exception code (Modbus Application Protocol V1.1b3, 7)."""

    def __init__(self, code: int) -> None:
        super().__init__(f"Modbus exception {code}")
        self.code = code


class Bank(Protocol):
    """The registers of one unit. `frozen`: values stand still; `refuses_writes`: every write is exception 4."""

    frozen: bool
    refuses_writes: bool

    def read(self, address: int, count: int, function: int = READ_HOLDING) -> list[int]:
        """Words from `address` on; raises ModbusFault."""

    def read_bytes(self, address: int, count: int, function: int = READ_HOLDING) -> bytes:
        """As `read`, two bytes each, most significant first."""

    def write(self, address: int, values: Sequence[int], function: int = WRITE_MANY) -> None:
        """Stores all or none; raises ModbusFault."""

    def word(self, address: int) -> int:
        """One holding register as it stands; 0 where there is none."""

    def put(self, address: int, words: Sequence[int]) -> None:
        """Stores holding registers from the device's side."""


def _nothing_to_refresh(_first: int, _last: int) -> None:
    """A bank whose registers never change by themselves."""


class RegisterBank:
    """Registers from `base` on, one word each; reading and writing outside is exception 2.

    `refresh(first, last)` runs before a read and may `put` fresh words for that range. `accept(changes)` gets every
    write as address to word before it is stored; it raises ModbusFault to refuse all of it. `refused` hears of
    every write that was answered with an exception. `held` is what stands in the registers, two bytes each, most
    significant first, for whoever puts many.
    """

    def __init__(
        self,
        base: int,
        words: Sequence[int],
        writable: frozenset[int] = frozenset(),
        refresh: Callable[[int, int], None] = _nothing_to_refresh,
        accept: Callable[[Mapping[int, int]], None] | None = None,
        refused: Callable[[], None] | None = None,
    ) -> None:
        self.base = base
        self.frozen = False  # values stand still; a write is answered, and neither kept nor obeyed
        self.refuses_writes = False  # every write is exception 4
        self.held = bytearray(struct.pack(f">{len(words)}H", *words))
        self._writable = writable
        self._refresh = refresh
        self._accept = accept
        self._refused = refused

    def __len__(self) -> int:
        return len(self.held) // 2

    def put(self, address: int, words: Sequence[int]) -> None:
        """Stores words from the device's side."""
        struct.pack_into(f">{len(words)}H", self.held, 2 * (address - self.base), *words)

    def word(self, address: int) -> int:
        """One word as it stands, with no refresh; 0 where there is none."""
        at = 2 * (address - self.base)
        return int.from_bytes(self.held[at : at + 2], "big") if at >= 0 else 0

    def read(self, address: int, count: int, function: int = READ_HOLDING) -> list[int]:
        """Words from `address` on, whatever the function; raises ModbusFault 2 outside, 3 for more than 125 or none."""
        return list(struct.unpack(f">{count}H", self.read_bytes(address, count, function)))

    def read_bytes(self, address: int, count: int, function: int = READ_HOLDING) -> bytes:
        """As `read`, two bytes each, most significant first."""
        if not 1 <= count <= MAX_READ:
            raise ModbusFault(ILLEGAL_VALUE)
        begin = 2 * (address - self.base)
        end = begin + 2 * count
        if begin < 0 or end > len(self.held):
            raise ModbusFault(ILLEGAL_ADDRESS)
        if not self.frozen:
            self._refresh(address, address + count - 1)
        return bytes(self.held[begin:end])

    def write(self, address: int, values: Sequence[int], function: int = WRITE_MANY) -> None:
        """Stores all or none; raises ModbusFault 2 where a register isn't there or is read-only, 3 for a bad value."""
        try:
            self._write(address, values)
        except ModbusFault:
            if self._refused is not None:
                self._refused()
            raise

    def _write(self, address: int, values: Sequence[int]) -> None:
        if not 1 <= len(values) <= MAX_WRITE or min(values) < 0 or max(values) > 0xFFFF:
            raise ModbusFault(ILLEGAL_VALUE)
        at = 2 * (address - self.base)
        if at < 0 or at + 2 * len(values) > len(self.held):
            raise ModbusFault(ILLEGAL_ADDRESS)
        if self.refuses_writes:
            raise ModbusFault(DEVICE_FAILURE)
        changes = {address + i: value for i, value in enumerate(values)}
        if not self._writable.issuperset(changes):
            raise ModbusFault(ILLEGAL_ADDRESS)
        if self.frozen:
            return
        if self._accept is not None:
            self._accept(changes)
        struct.pack_into(f">{len(values)}H", self.held, at, *values)


_TWO = struct.Struct(">HH").unpack


def _read_answer(bank: Bank, function: int, body: bytes) -> bytes:
    if len(body) != 4:
        raise ModbusFault(ILLEGAL_VALUE)
    address, count = _TWO(body)
    return bytes((function, 2 * count)) + bank.read_bytes(address, count, function)


def _write_one_answer(bank: Bank, function: int, body: bytes) -> bytes:
    if len(body) != 4:
        raise ModbusFault(ILLEGAL_VALUE)
    address, value = struct.unpack(">HH", body)
    bank.write(address, [value], function)
    return struct.pack(">BHH", function, address, value)


def _write_many_answer(bank: Bank, function: int, body: bytes) -> bytes:
    if len(body) < 7:
        raise ModbusFault(ILLEGAL_VALUE)
    address, count, size = struct.unpack(">HHB", body[:5])
    if size != 2 * count or len(body) != 5 + size:
        raise ModbusFault(ILLEGAL_VALUE)
    bank.write(address, struct.unpack(f">{count}H", body[5:]), function)
    return struct.pack(">BHH", function, address, count)


_FUNCTIONS = {
    READ_HOLDING: _read_answer,
    READ_INPUT: _read_answer,
    WRITE_ONE: _write_one_answer,
    WRITE_MANY: _write_many_answer,
}


def answer(bank: Bank, pdu: bytes) -> bytes:
    """The answer PDU to a request PDU (function code first): functions 3, 4, 6 and 16; faults as exception PDUs."""
    function = pdu[0] if pdu else 0
    try:
        respond = _FUNCTIONS.get(function)
        if respond is None:
            raise ModbusFault(ILLEGAL_FUNCTION)
        return respond(bank, function, pdu[1:])
    except ModbusFault as fault:
        return bytes((function | 0x80, fault.code))
