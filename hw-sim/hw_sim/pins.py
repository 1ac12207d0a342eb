"""The pins of a simulated single-board computer: levels in, outputs out. Whoever is connected is its one process.

As on Raspberry Pi OS, what a process that died left driven stays driven (`keeps_outputs`), until the next one takes the
pin; with `dtparam=strict_gpiod`, and on other kernels, it becomes an input.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

BOUNCES = 4


class LevelSink(Protocol):
    """Called with a pin and whether its level is high."""

    def __call__(self, pin: int, high: bool) -> None: ...


class DriveSink(Protocol):
    """Called with a pin and the level that it is driven to; None: it is an input again."""

    def __call__(self, pin: int, high: bool | None) -> None: ...


class PinBoard:
    """All pins. `on_drive` is called for each output that changes."""

    def __init__(self, serial: str, keeps_outputs: bool = True) -> None:
        self.serial = serial
        self.keeps_outputs = keeps_outputs
        self.levels: dict[int, bool] = {}
        self.driven: dict[int, bool] = {}
        self.on_drive: list[DriveSink] = []
        self._process: PinProcess | None = None

    @property
    def busy(self) -> bool:
        """Whether a process holds the pins."""
        return self._process is not None

    def process(self) -> "PinProcess":
        """A process that takes over the pins; the one before it is dead."""
        if self._process is not None:
            self.died(self._process)
        self._process = PinProcess(self)
        return self._process

    def died(self, process: "PinProcess") -> None:
        """A process ended, however it did."""
        if self._process is not process:
            return
        self._process = None
        if not self.keeps_outputs:
            for pin in list(self.driven):
                self.drive(pin, None)

    def drive(self, pin: int, high: bool | None) -> None:
        """A pin is driven, or an input again."""
        if self.driven.get(pin) is high:
            return
        if high is None:
            del self.driven[pin]
        else:
            self.driven[pin] = high
        for sink in self.on_drive:
            sink(pin, high)

    def bring(self, pin: int, high: bool) -> None:
        """What is wired to an input brings it to a level; a contact bounces on the way."""
        if self.levels.get(pin) is high:
            return
        first = pin not in self.levels
        self.levels[pin] = high
        for level in () if first else (high, not high) * BOUNCES:
            self._tell(pin, level)
        self._tell(pin, high)

    def pulse(self, pin: int, high: bool) -> None:
        """One clean edge."""
        self.levels[pin] = high
        self._tell(pin, high)

    def _tell(self, pin: int, high: bool) -> None:
        if self._process is not None:
            self._process.tell(pin, high)


class PinProcess:
    """What a process has of the pins, in memory."""

    def __init__(self, board: PinBoard) -> None:
        self._board = board
        self._sink: LevelSink | None = None
        self._left = frozenset(board.driven)

    @property
    def connected(self) -> bool:
        """Whether it still holds the pins."""
        return self._board._process is self

    async def start(self, on_level: LevelSink) -> str:
        """Gives the serial number after telling every level."""
        if not self.connected:
            raise ConnectionError("another process holds the pins")
        self._sink = on_level
        for pin, high in self._board.levels.items():
            on_level(pin, high)
        return self._board.serial

    def tell(self, pin: int, high: bool) -> None:
        """A level has changed."""
        if self._sink is not None:
            self._sink(pin, high)

    def left(self) -> frozenset[int]:
        """The pins that the process before it left driven."""
        return self._left

    def drive(self, pin: int, high: bool | None) -> None:
        """Drives a pin; None: an input."""
        if not self.connected:
            raise ConnectionError("another process holds the pins")
        self._left -= {pin}
        self._board.drive(pin, high)

    async def stop(self) -> None:
        """The process lets go."""
        self._board.died(self)


class PinSocket:
    """The pins behind a unix socket, for a gateway in another process. Lines of JSON.

    First {"serial", "levels", "left"}, then {"pin", "high"} for each input that changes; back come {"pin", "high"} for
    outputs, null for a pin that is an input again. One process at a time; one whose connection ends has died.
    """

    def __init__(self, board: PinBoard, path: Path) -> None:
        self.path = path
        self._board = board
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listens; raises OSError. A socket that a dead process left there goes, no other file does."""
        if self.path.is_socket():
            self.path.unlink()
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        self.path.chmod(0o600)

    async def stop(self) -> None:
        """Listens no more, and ends the connection."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await self._server.wait_closed()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self._board.busy:
                return  # the kernel gives a line to one process at a time
            await self._talk(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def say(told: Mapping[str, object]) -> None:
            writer.write(json.dumps(told).encode() + b"\n")

        def level(pin: int, high: bool) -> None:
            say({"pin": pin, "high": high})

        process = self._board.process()
        try:
            levels = {str(pin): high for pin, high in self._board.levels.items()}
            say({"serial": self._board.serial, "levels": levels, "left": sorted(process.left())})
            await process.start(level)
            while line := await reader.readline():
                told = json.loads(line)
                process.drive(int(told["pin"]), told["high"])
        except (ValueError, KeyError, TypeError, OSError):
            return  # it speaks something else, or is gone
        finally:
            await process.stop()
