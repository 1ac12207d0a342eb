"""Modbus RTU frames: checksum, sizes, and finding the one answer that belongs to a question. Pure.

Source: Modbus over Serial Line V1.02, clauses 2.5.1 (frame, gap of 3.5 characters) and 6.2.2 (CRC).
"""

import struct
from dataclasses import dataclass

from cem.driver import BadAnswer

MAX_NOISE = 4  # bytes in front of an answer that a line may make by itself; the shortest foreign frame has five
FAST_BAUD = 19_200
FAST_GAP_S = 0.00175  # clause 2.5.1.1: a fixed gap above 19,200 baud
GAP_CHARACTERS = 3.5
EXCEPTION_SIZE = 5
QUESTION_SIZE = 8  # of every question but those that carry values


def _table() -> tuple[int, ...]:
    rows = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        rows.append(crc)
    return tuple(rows)


_CRC = _table()


def crc16(data: bytes) -> int:
    """The checksum of a frame, sent low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def framed(unit: int, pdu: bytes) -> bytes:
    """A PDU as it goes on the line."""
    body = bytes((unit,)) + pdu
    return body + struct.pack("<H", crc16(body))


def intact(frame: bytes) -> bool:
    """Whether the checksum at the end fits."""
    return len(frame) >= 4 and crc16(frame[:-2]) == frame[-2] | frame[-1] << 8


def gap_s(baud: int, bits_per_character: int = 10) -> float:
    """The silence that separates two frames, s."""
    return FAST_GAP_S if baud > FAST_BAUD else GAP_CHARACTERS * bits_per_character / baud


def answer_size(pdu: bytes) -> int:
    """Bytes of the whole frame that answers a request; 0 for a function whose answer tells its own size only."""
    function = pdu[0]
    if function in (1, 2):
        return 5 + (int.from_bytes(pdu[3:5], "big") + 7) // 8
    if function in (3, 4, 23):
        return 5 + 2 * int.from_bytes(pdu[3:5], "big")
    if function in (5, 6, 15, 16):
        return 8
    return 10 if function == 22 else 0


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer found among the bytes heard."""

    pdu: bytes
    end: int  # index of the first byte behind its frame


def find_answer(heard: bytes, unit: int, pdu: bytes) -> Heard | None:
    """The answer to a request among what was heard since it was sent; None while it may still come.

    A few bytes of noise in front are forgiven. Raises BadAnswer when so much was heard that none of it can be the
    answer: wrong checksum, another unit, another function, or a second master's conversation.
    """
    size = answer_size(pdu)
    waiting = False
    for at in range(min(len(heard), MAX_NOISE + 1)):
        if heard[at] != unit:
            continue
        if at + 1 >= len(heard):
            waiting = True
            continue
        code = heard[at + 1]
        wanted = size if code == pdu[0] else EXCEPTION_SIZE if code == pdu[0] | 0x80 else 0
        frame = heard[at : at + wanted]
        if wanted and len(frame) < wanted:
            waiting = True
        elif wanted and intact(frame):
            return Heard(frame[1:-2], at + wanted)
    if not waiting and len(heard) >= size + MAX_NOISE:
        raise BadAnswer(f"{heard[:16].hex(' ')}... is no answer to function {pdu[0]}: {_why(heard, unit)}", heard)
    return None


def contradicted(heard: bytes, answer: Heard, unit: int, pdu: bytes) -> bool:
    """Whether another answer of the same shape, and with other content, follows the one that was found."""
    rest = heard[answer.end :]
    size = len(answer.pdu) + 3
    for at in range(max(len(rest) - size + 1, 0)):
        frame = rest[at : at + size]
        if frame[0] == unit and frame[1] == pdu[0] and intact(frame):
            return frame[1:-2] != answer.pdu
    return False


def ends_with_question(heard: bytes) -> bool:
    """Whether the last thing heard was somebody else's question, whose answer may still come."""
    last = heard[-QUESTION_SIZE:]
    return len(last) == QUESTION_SIZE and 1 <= last[1] <= 6 and intact(last)


def _why(heard: bytes, unit: int) -> str:
    if len(heard) >= QUESTION_SIZE and intact(heard[:QUESTION_SIZE]):
        return "it is a question; a second master on the line, or an adapter that echoes?"
    if heard[0] != unit:
        return f"it is from unit {heard[0]}, or noise"
    return "wrong checksum; check termination, polarity and baud rate"
