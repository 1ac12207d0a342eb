"""Modbus RTU frames as a device hears and sends them.

Source: Modbus over Serial Line V1.02, clauses 2.5.1 (frame) and 6.2.2 (CRC).
"""

import struct

_SHORT = 8  # unit, function, address, count or value, CRC
_HEAD = 7  # up to the byte count of a function 15 or 16


def checksum(frame: bytes) -> bytes:
    """CRC-16, low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return struct.pack("<H", crc)


def framed(unit: int, pdu: bytes) -> bytes:
    """A PDU as it goes on the line."""
    body = bytes((unit,)) + pdu
    return body + checksum(body)


class RequestEar:
    """Finds the requests in a stream of bytes.

    Interpretation: a device on a real line finds the ends of frames by silence; here they are found by their length,
    and what has a wrong checksum is dropped up to the end of what has come, as a silence would do it.
    """

    def __init__(self) -> None:
        self._heard = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(unit, PDU) of each whole request by now."""
        self._heard += data
        found: list[tuple[int, bytes]] = []
        while len(self._heard) >= _SHORT:
            size = _SHORT
            if self._heard[1] in (15, 16):
                size = _HEAD + self._heard[_HEAD - 1] + 2
            if len(self._heard) < size:
                break
            frame, self._heard = self._heard[:size], self._heard[size:]
            if checksum(frame[:-2]) != frame[-2:]:
                self._heard = b""
                break
            found.append((frame[0], frame[1:-2]))
        return found
