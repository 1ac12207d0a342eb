"""Simulated pins behind a unix socket: `hw-sim serve` is at the other end.

Lines of JSON. It begins: {"serial": ..., "levels": {"5": true}, "left": [17]}, then {"pin": 5, "high": false} for each
input that changes; we send {"pin": 17, "high": true}, and null for a pin that is an input again.
"""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

from cem.driver import LevelSink

LONGEST_LINE = 65_536
HANGS_UP_S = 1.0


class SocketPins:
    """Satisfies cem.driver.PinPort."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._left: frozenset[int] = frozenset()

    @property
    def connected(self) -> bool:
        """Whether the socket is open at both ends."""
        return self._writer is not None and self._listening is not None and not self._listening.done()

    async def start(self, on_level: LevelSink) -> str:
        """Connects; raises OSError where nobody serves pins there."""
        reader, self._writer = await asyncio.open_unix_connection(self._path, limit=LONGEST_LINE)
        hello = _object(await reader.readline())
        levels = hello.get("levels")
        if not isinstance(hello.get("serial"), str) or not isinstance(levels, dict):
            raise ConnectionError(f"{self._path} serves no pins")
        self._left = frozenset(int(pin) for pin in hello.get("left", []))
        for pin, high in levels.items():
            on_level(int(pin), bool(high))
        self._listening = asyncio.create_task(self._listen(reader, on_level))
        return str(hello["serial"])

    def left(self) -> frozenset[int]:
        """The pins that a process before this one left driven."""
        return self._left

    def drive(self, pin: int, high: bool | None) -> None:
        """Tells how a pin is driven."""
        if self._writer is None or not self.connected:
            raise ConnectionError("the simulated board is gone")
        self._left -= {pin}
        self._writer.write(json.dumps({"pin": pin, "high": high}).encode() + b"\n")

    async def stop(self) -> None:
        """Closes the socket once the other end has read everything: it hangs up when it has."""
        listening, self._listening = self._listening, None
        writer, self._writer = self._writer, None
        if writer is not None and listening is not None and not listening.done():
            with contextlib.suppress(OSError):
                writer.write_eof()
                await asyncio.wait([listening], timeout=HANGS_UP_S)
        if listening is not None:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    @staticmethod
    async def _listen(reader: asyncio.StreamReader, on_level: LevelSink) -> None:
        """Until the other end is gone."""
        while line := await reader.readline():
            told = _object(line)
            if isinstance(told.get("pin"), int) and isinstance(told.get("high"), bool):
                on_level(told["pin"], told["high"])


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise ConnectionError(f"no line of JSON: {line[:80]!r}") from error
    return found if isinstance(found, dict) else {}
