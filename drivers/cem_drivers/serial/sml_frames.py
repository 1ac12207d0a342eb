"""The transport of SML, version 1: what frames messages on a line, and the check sum (SML 1.04, clause 8)."""

from collections.abc import Iterator
from dataclasses import dataclass

from cem_drivers.serial.crc import crc16_kermit, crc16_x25
from cem_drivers.serial.telegram import Count

LONGEST = 8192
"""Bytes of one frame; a meter of the EDL kind needs 250 to 700."""
ESCAPE = b"\x1b\x1b\x1b\x1b"
BEGIN = ESCAPE + b"\x01\x01\x01\x01"
END = 0x1A
MOST_PADDING = 4
"""Three are enough to fill four octets; some DZG meters put four where none is needed."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The messages of one frame, escapes undone. `kermit`: the check sum is the one that the standard does not mean."""

    messages: bytes
    kermit: bool


class FrameReader:
    """Frames out of a stream that may begin anywhere and have noise in between."""

    def __init__(self, count: Count) -> None:
        self._count = count
        self._heard = bytearray()
        self._from = len(BEGIN)  # from here on no escape has been looked for

    @property
    def kept(self) -> int:
        """Bytes that are kept as the beginning of what is not complete."""
        return len(self._heard)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Takes what came; gives the frames that are complete now and whose check sum fits."""
        self._count.octets += len(data)
        self._heard += data
        while (whole := self._next()) is not None:
            frame = checked(whole)
            if frame is None:
                self._count.bad_check += 1
                again = whole.rfind(BEGIN, 1)  # cut off right behind an escape: the next begin looks like content
                frame = checked(whole[again:]) if again > 0 else None
            if frame is None:
                self._heard[:0] = whole[1 - len(BEGIN) :]  # cut off behind its end: what follows is the next begin
            if frame is not None:
                yield frame

    def _next(self) -> bytes | None:
        """The bytes of the next whole frame, from its begin to its check sum; None when the rest is to come."""
        heard = self._heard
        if not heard.startswith(BEGIN):
            begin = heard.find(BEGIN)
            del heard[: begin if begin >= 0 else max(0, len(heard) - len(BEGIN) + 1)]
            self._from = len(BEGIN)
            if begin < 0:
                return None
        while (at := heard.find(ESCAPE, self._from)) >= 0:
            follows = heard[at + 4 : at + 8]
            if len(follows) < 4:
                self._from = at
                break
            if follows[0] == END:
                whole = bytes(heard[: at + 8])
                del heard[: at + 8]
                self._from = len(BEGIN)
                return whole
            if follows == BEGIN[4:]:  # a frame begins within a frame: the first one was cut off
                self._count.malformed += 1
                del heard[:at]
                self._from = len(BEGIN)
            elif follows == ESCAPE:
                self._from = at + 8  # four of them that are content
            else:
                self._from = at + 1
        else:
            self._from = max(self._from, len(heard) - 3)
        if len(heard) > LONGEST:
            self._count.oversize += 1
            del heard[:1]
            return self._next()
        return None


def checked(whole: bytes) -> Frame | None:
    """The frame in bytes from begin to check sum; None where that does not fit.

    Interpretation: some meters send CRC-16/KERMIT, its high octet first, where X-25 with its low octet first is meant.
    Such a frame is taken only if the check sums of its messages are of that kind, too (see `sml_reader`): the two
    differ by a constant, so that one alone would let some damage pass.
    """
    padding = whole[-3]
    if padding > MOST_PADDING or len(whole) < len(BEGIN) + 8 + padding:
        return None
    told, content = whole[-2:], whole[:-2]
    if crc16_x25(content) == int.from_bytes(told, "little"):
        kermit = False
    elif crc16_kermit(content) == int.from_bytes(told, "big"):
        kermit = True
    else:
        return None
    return Frame(whole[len(BEGIN) : -8 - padding].replace(ESCAPE + ESCAPE, ESCAPE), kermit)
