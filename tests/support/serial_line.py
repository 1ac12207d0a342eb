"""A serial line over a pseudo terminal: one end for the gateway under test, the other in a test's hands."""

import asyncio
import os
import struct
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cem_drivers.modbus.rtu import framed, intact

Answer = Callable[[int, bytes], bytes | None]
"""Unit and request PDU to the bytes that go on the line; None keeps silent."""


@dataclass
class SerialLine:
    """Units on the far end. `device` is a link that survives unplugging, as those in /dev/serial/by-id do."""

    device: Path
    answer: Answer
    asked: list[bytes] = field(default_factory=list)
    pieces: Callable[[bytes], list[bytes]] = field(default=lambda whole: [whole])
    _far: int = -1
    _near: int = -1
    _heard: bytes = b""

    def plug_in(self) -> None:
        """Makes the terminal and points the link to it."""
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        self.device.unlink(missing_ok=True)
        self.device.symlink_to(os.ttyname(self._near))
        asyncio.get_running_loop().add_reader(self._far, self._readable)

    def pull_out(self) -> None:
        """The adapter is gone: reads end, the name is gone too."""
        asyncio.get_running_loop().remove_reader(self._far)
        self.device.unlink(missing_ok=True)
        os.close(self._far)
        os.close(self._near)
        self._far = -1

    def say(self, data: bytes) -> None:
        """Puts bytes on the line, whoever asked."""
        os.write(self._far, data)

    def _readable(self) -> None:
        self._heard += os.read(self._far, 4096)
        while len(self._heard) >= 8:
            size = 9 + self._heard[6] if self._heard[1] == 16 else 8
            frame, self._heard = self._heard[:size], self._heard[size:]
            assert intact(frame), frame.hex()
            self.asked.append(frame[1:-2])
            answer = self.answer(frame[0], frame[1:-2])
            if answer is not None:
                self._send(self.pieces(answer), 0)

    def _send(self, pieces: list[bytes], at: int) -> None:
        if self._far >= 0 and at < len(pieces):
            self.say(pieces[at])
            asyncio.get_running_loop().call_later(0.002, self._send, pieces, at + 1)


@asynccontextmanager
async def serial_line(folder: Path, answer: Answer) -> AsyncIterator[SerialLine]:
    """A line that is plugged in."""
    line = SerialLine(folder / "usb-adapter", answer)
    line.plug_in()
    try:
        yield line
    finally:
        if line._far >= 0:
            line.pull_out()


def counting(unit: int, pdu: bytes) -> bytes:
    """An answer whose registers hold unit * 1000 + address."""
    function, address, count = struct.unpack(">BHH", pdu[:5])
    if function in (6, 16):
        return framed(unit, pdu[:5])
    words = [unit * 1000 + address + at for at in range(count)]
    return framed(unit, struct.pack(f">BB{count}H", function, 2 * count, *words))
