"""A serial port: pyserial sets it up, the event loop carries the bytes. Modbus RTU and meters stand on it."""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

import serial

from cem.driver import BY_ID, serial_ports

PARITIES = ("N", "E", "O")
IN_USE = "somebody else reads this port already, and two readers would each get half of the bytes. Check what else runs"
NOT_ALLOWED = "this user may not read it. Check that it is in the group dialout"
OnBytes = Callable[[bytes], None]
OnGone = Callable[[Exception], None]


@dataclass(frozen=True, slots=True)
class Line:
    """How the bytes look on the line."""

    device: str
    baud: int = 9600
    parity: str = "N"
    stop_bits: int = 1

    @property
    def bits_per_character(self) -> int:
        """Start, eight data bits, parity, stop."""
        return 9 + (self.parity != "N") + self.stop_bits

    def __str__(self) -> str:
        """As errors show it."""
        return f"{self.device} ({self.baud} 8{self.parity}{self.stop_bits})"


class Port:
    """An open port, held by this process alone."""

    def __init__(self, port: serial.Serial, on_bytes: OnBytes, on_gone: OnGone) -> None:
        self._port: serial.Serial | None = port
        self._on_bytes = on_bytes
        self._on_gone = on_gone
        asyncio.get_running_loop().add_reader(port.fileno(), self._readable)

    @classmethod
    async def opened(cls, line: Line, on_bytes: OnBytes, on_gone: OnGone) -> Self:
        """Opens in a thread: some drivers take their time. A port that comes too late is closed again.

        `on_gone` is called once when the adapter is pulled out. Raises ConnectionError with what can be done.
        """
        opening = asyncio.get_running_loop().run_in_executor(None, _open, line)
        try:
            port = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        except (serial.SerialException, ValueError) as error:
            raise ConnectionError(_advice(line, error)) from error
        return cls(port, on_bytes, on_gone)

    def write(self, data: bytes) -> None:
        """Sends now; raises ConnectionError when the adapter is gone or takes only a part."""
        assert self._port is not None
        try:
            written = os.write(self._port.fileno(), data)
        except OSError as error:
            self._gone(error)
            raise ConnectionError(f"the adapter is gone ({error})") from error
        if written != len(data):
            raise ConnectionError(f"the adapter took {written} of {len(data)} bytes")

    def close(self) -> None:
        """Lets go of the port; harmless when repeated."""
        port, self._port = self._port, None
        if port is None:
            return
        asyncio.get_running_loop().remove_reader(port.fileno())
        with contextlib.suppress(OSError, serial.SerialException):
            port.close()  # of an adapter that was pulled out

    def _readable(self) -> None:
        assert self._port is not None
        try:
            data = os.read(self._port.fileno(), 4096)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(error)
            return
        if data:
            self._on_bytes(data)
        else:
            self._gone(ConnectionResetError("the adapter was pulled out"))

    def _gone(self, error: Exception) -> None:
        self.close()
        self._on_gone(error)


def _open(line: Line) -> serial.Serial:
    port = serial.Serial(
        line.device, line.baud, parity=line.parity, stopbits=line.stop_bits, timeout=0, write_timeout=0, exclusive=True
    )
    os.set_blocking(port.fileno(), False)
    port.reset_input_buffer()
    return port


def _close_unwanted(opening: "asyncio.Future[serial.Serial] | Future[serial.Serial]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _advice(line: Line, error: Exception) -> str:
    if "exclusively lock" in str(error):  # pyserial gives no errno of it
        return f"{line}: {IN_USE}"
    number = error.errno if isinstance(error, OSError) else None
    if number in {errno.EACCES, errno.EPERM}:
        return f"{line}: {NOT_ALLOWED}"
    present = serial_ports()
    seen = ", ".join(present) if present else f"nothing in {BY_ID}"
    what = "no such port" if number == errno.ENOENT else str(error)
    return f"{line}: {what}; adapters present: {seen}. Check that the adapter is plugged in"
