"""Modbus protocol data units: requests as bytes, answers checked. Pure.

Source: Modbus Application Protocol Specification V1.1b3, clauses 6.3, 6.4, 6.6, 6.12 and 7.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from functools import lru_cache

from cem.driver import BadAnswer, Refused

MAX_READ = 125  # registers in one answer, clause 6.3
MAX_WRITE = 123  # registers in one request, clause 6.12

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2

NOT_THERE = frozenset({1, 2, 3})
"""Exceptions that say that a register is not there; after any other one, such as busy (6), it is asked for again."""
BUSY = frozenset({5, 6})
"""Exceptions that pass by themselves: the device works on something, and says nothing about the register."""

_EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge, still working",
    6: "device busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target does not respond",
}


class Function(IntEnum):
    """The function codes that we use."""

    READ_HOLDING = 3
    READ_INPUT = 4
    WRITE_ONE = 6
    WRITE_MANY = 16


READS = frozenset({1, 2, 3, 4, 7, 12, 17, 20, 24, 43})
"""Function codes that change nothing; every other one counts as a write."""


@lru_cache(maxsize=1024)
def read_request(function: Function, address: int, count: int) -> bytes:
    """Asks for `count` registers from wire address `address` on; ValueError outside the protocol's bounds."""
    if not 1 <= count <= MAX_READ or not 0 <= address <= 0x10000 - count:
        raise ValueError(f"can't read {count} registers at {address}: 1 to {MAX_READ} within 0 to 65535")
    return struct.pack(">BHH", function, address, count)


def write_many_request(address: int, registers: Sequence[int]) -> bytes:
    """Writes neighbouring registers with function 16; ValueError outside the protocol's bounds."""
    count = len(registers)
    if not 1 <= count <= MAX_WRITE or not 0 <= address <= 0x10000 - count:
        raise ValueError(f"can't write {count} registers at {address}: 1 to {MAX_WRITE} within 0 to 65535")
    return struct.pack(f">BHHB{count}H", Function.WRITE_MANY, address, count, 2 * count, *registers)


def write_one_request(address: int, register: int) -> bytes:
    """Writes one register with function 6."""
    return struct.pack(">BHH", Function.WRITE_ONE, address, register)


def answer_to(request: bytes, answer: bytes) -> bytes:
    """What the answer says beyond its header: register bytes of a read, b"" of a write, all of it for a
    function that is not ours.

    Raises Refused for an exception answer, BadAnswer for anything that is not the answer to this request.
    """
    function = request[0]
    if function in (3, 4):
        size = 2 * (request[3] << 8 | request[4])
        if len(answer) == size + 2 and answer[0] == function and answer[1] == size:
            return answer[2:]
    if len(answer) == 2 and answer[0] == function | 0x80:
        code = answer[1]
        meaning = _EXCEPTIONS.get(code, "unknown exception")
        raise Refused(f"refused function {function} with exception {code} ({meaning})", code)
    if not answer or answer[0] != function:
        raise BadAnswer(f"answered {answer[:4].hex() or 'nothing'} to function {function}", answer)
    if function in (3, 4):
        raise BadAnswer(f"{size // 2} registers asked, {max(len(answer) - 2, 0) / 2:g} answered", answer)
    if function in (1, 2):
        size = (struct.unpack_from(">H", request, 3)[0] + 7) // 8
        if len(answer) != size + 2 or answer[1] != size:
            raise BadAnswer(f"{size} bytes of bits asked, {max(len(answer) - 2, 0)} answered", answer)
        return answer[2:]
    if function not in (5, 6, 15, 16):
        return answer[1:]  # of a second client's question; its own to judge
    if answer != request[:5]:  # all four writes echo address and count or value
        raise BadAnswer(f"write of {request[1:5].hex()} echoed as {answer[1:].hex()}", answer)
    return b""
