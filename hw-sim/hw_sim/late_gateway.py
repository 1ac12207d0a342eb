"""A serial device server (RTU frames on a TCP connection) whose units do not always answer in time.

RTU frames carry no number: an answer that comes late looks like the answer to whatever was asked since. Two ways in
which real gateways deliver it: to the connection that asked, or, where the gateway only passes bytes on, to whichever
connection is there by then.
"""

import asyncio
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

from hw_sim.rtu import checksum

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS = 1, 2
_HEAD = 7  # unit to byte count of the longest request


@dataclass(frozen=True, slots=True)
class Lateness:
    """How the units answer, s: after `prompt`, but a `share` of them after something between `least` and `most`."""

    prompt_s: float = 0.001
    share: float = 0.0
    least_s: float = 0.12
    most_s: float = 0.4
    lost: float = 0.0  # share that never comes
    twice: float = 0.0  # share sent twice


class LateGateway:
    """Listens on 127.0.0.1; `port` is known after `start`.

    `word(unit, address)` gives a register's value, None where there is none. `lateness` by unit; a unit that is not
    in it never answers. `passes_bytes`: answers go to the newest connection instead of the asking one.
    """

    def __init__(
        self,
        word: Callable[[int, int], int | None],
        lateness: dict[int, Lateness],
        *,
        passes_bytes: bool = False,
        seed: int = 1,
    ) -> None:
        self.lateness = lateness
        self.port = 0
        self.connections = 0
        self.asked = 0
        self.late = 0
        self.written: list[bytes] = []
        self._word = word
        self._passes_bytes = passes_bytes
        self._chance = random.Random(seed)  # noqa: S311 - misbehaviour that repeats, no secret
        self._line = asyncio.Lock()  # behind the gateway there is one line, one question at a time
        self._newest: asyncio.StreamWriter | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Hangs up; harmless when repeated."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self._newest = writer
        try:
            while True:
                frame = await _request(reader)
                self.asked += 1
                async with self._line:
                    await self._answer(frame, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # hung up, or stopped; asyncio's server would report a cancellation as an error
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, frame: bytes, asker: asyncio.StreamWriter) -> None:
        lateness = self.lateness.get(frame[0])
        if lateness is None or checksum(frame[:-2]) != frame[-2:]:
            return
        late = self._chance.random() < lateness.share
        self.late += late
        await asyncio.sleep(self._chance.uniform(lateness.least_s, lateness.most_s) if late else lateness.prompt_s)
        if self._chance.random() < lateness.lost:
            return
        writer = self._newest if self._passes_bytes else asker
        if writer is None or writer.transport.is_closing():
            return
        body = bytes((frame[0],)) + self._pdu(frame[0], frame[1:-2])
        answer = body + checksum(body)
        writer.write(answer * 2 if self._chance.random() < lateness.twice else answer)

    def _pdu(self, unit: int, pdu: bytes) -> bytes:
        function, address, count = struct.unpack_from(">BHH", pdu)
        if function in (6, 16):
            self.written.append(pdu)
            return pdu[:5]
        if function not in (3, 4):
            return bytes((function | 0x80, ILLEGAL_FUNCTION))
        words = [word for at in range(count) if (word := self._word(unit, address + at)) is not None]
        if len(words) != count:
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        return struct.pack(f">BB{count}H", function, 2 * count, *words)


async def _request(reader: asyncio.StreamReader) -> bytes:
    """One request frame."""
    head = await reader.readexactly(_HEAD)
    left = head[6] + 2 if head[1] == 16 else 1
    return head + await reader.readexactly(left)
