"""RTU on a serial line: pyserial sets the port up, the event loop carries the bytes."""

import asyncio
import contextlib
import os
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import serial

from cem_drivers.modbus.rtu import gap_s
from cem_drivers.modbus.rtu_stream import SLOWEST_ANSWER_S, RtuStream

BY_ID = Path("/dev/serial/by-id")
PARITIES = ("N", "E", "O")


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


def serial_devices(folder: Path = BY_ID) -> list[str]:
    """The serial adapters present, by names that stay the same over restarts and sockets."""
    try:
        return sorted(str(entry) for entry in folder.iterdir())
    except OSError:
        return []  # no adapter: the folder itself is missing then


class RtuSerial(RtuStream):
    """After an error the line is drained and kept silent until no late answer can come; the port stays open."""

    connect_s = 2.0

    def __init__(self, line: Line, gap: float = 0.0, slowest_s: float = SLOWEST_ANSWER_S) -> None:
        super().__init__(gap, gap_s(line.baud, line.bits_per_character), slowest_s)
        self._line = line
        self._port: serial.Serial | None = None

    async def _connect(self) -> None:
        """Opens in a thread: some drivers take their time. A port that comes too late is closed again."""
        loop = asyncio.get_running_loop()
        opening = loop.run_in_executor(None, _open, self._line)
        try:
            port = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            raise
        except (serial.SerialException, ValueError) as error:
            raise ConnectionError(_advice(self._line, error)) from error
        self._port = port
        loop.add_reader(port.fileno(), self._readable)

    def _send(self, frame: bytes) -> None:
        assert self._port is not None
        try:
            written = os.write(self._port.fileno(), frame)
        except OSError as error:
            self._gone(error)
            raise ConnectionError(f"the adapter is gone ({error})") from error
        if written != len(frame):
            raise ConnectionError(f"the adapter took {written} of {len(frame)} bytes")

    def _drop(self) -> None:
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
            self._came(data)
        else:
            self._gone(ConnectionResetError("the adapter was pulled out"))


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
    present = serial_devices()
    seen = ", ".join(present) if present else f"nothing in {BY_ID}"
    return f"{line}: {error}; adapters present: {seen}"
