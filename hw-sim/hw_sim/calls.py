"""How a simulated device calls in at a central system: the small interface, and one in memory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol


class OnText(Protocol):
    """Called for each message that arrives."""

    def __call__(self, text: str) -> None: ...


class OnCall(Protocol):
    """Called when the connection comes (the subprotocol that was agreed on) or goes (None)."""

    def __call__(self, protocol: str | None) -> None: ...


class CallLink(Protocol):
    """A connection to a central system; callbacks run in the event loop."""

    async def start(self, on_text: OnText, on_call: OnCall) -> None:
        """Starts calling and returns at once; calls again until `stop`."""

    def send(self, text: str) -> bool:
        """Sends if connected and says whether it did; nothing is queued for later."""

    async def stop(self) -> None:
        """Hangs up; never raises; harmless when repeated."""


@dataclass(frozen=True, slots=True)
class Dial:
    """What a device shows when it calls: the path, the subprotocols it speaks, its name and its password."""

    path: str
    protocols: tuple[str, ...]
    user: str | None = None
    password: str | None = None


class Line:
    """The central system's end of one connection in memory. `refused`: the status with which nobody was let in."""

    def __init__(self, drop: Callable[[], None], deliver: Callable[[str], None]) -> None:
        self._came: asyncio.Queue[str | None] = asyncio.Queue()
        self._drop = drop
        self._deliver = deliver
        self.open = True

    async def recv(self) -> str:
        """The next message; raises ConnectionError when there will be none."""
        text = await self._came.get() if self.open or not self._came.empty() else None
        if text is None:
            raise ConnectionError("the other end hung up")
        return text

    async def send(self, text: str) -> None:
        """Delivers one message; raises ConnectionError."""
        if not self.open:
            raise ConnectionError("the other end hung up")
        asyncio.get_running_loop().call_soon(self._deliver, text)

    async def close(self) -> None:
        """Hangs up."""
        if self.open:
            self.hang_up()
            self._drop()

    def put(self, text: str) -> None:
        """The device says something."""
        self._came.put_nowait(text)

    def hang_up(self) -> None:
        """The device is gone."""
        self.open = False
        self._came.put_nowait(None)


Pick = Callable[[Dial], str | int]
Serve = Callable[[Dial, str, Line], Awaitable[None]]


class MemoryCall:
    """Satisfies CallLink on a Switchboard. A refused or dropped one calls again with `dial`."""

    def __init__(self, board: "Switchboard", dial: Dial) -> None:
        self._board = board
        self._dial = dial
        self._line: Line | None = None
        self._wants = False
        self._on_text: OnText | None = None
        self._on_call: OnCall | None = None

    async def start(self, on_text: OnText, on_call: OnCall) -> None:
        """Calls, now and with every `dial`."""
        self._on_text, self._on_call = on_text, on_call
        self._wants = True
        self.dial()

    def dial(self) -> None:
        """Tries to get through."""
        if self._line is not None or not self._wants or self._on_call is None:
            return
        connected = self._board.connect(self, self._dial)
        if connected is not None:
            self._line = connected[0]
            self._on_call(connected[1])

    def send(self, text: str) -> bool:
        """Says something, if connected."""
        if self._line is None:
            return False
        self._line.put(text)
        return True

    def deliver(self, text: str) -> None:
        """For the line: something is said to it."""
        if self._line is not None and self._on_text is not None:
            self._on_text(text)

    def drop(self) -> None:
        """The connection ends."""
        line, self._line = self._line, None
        if line is not None:
            line.hang_up()
            if self._on_call is not None:
                self._on_call(None)

    async def stop(self) -> None:
        """Hangs up and calls no more."""
        self._wants = False
        self.drop()


class Switchboard:
    """Where devices call in, in memory: whoever answers picks a subprotocol or refuses with an HTTP status."""

    def __init__(self) -> None:
        self._answerer: tuple[Pick, Serve] | None = None
        self._callers: list[MemoryCall] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def call(self, dial: Dial) -> MemoryCall:
        """A link for one device."""
        caller = MemoryCall(self, dial)
        self._callers.append(caller)
        return caller

    def answer(self, pick: Pick, serve: Serve) -> None:
        """Somebody answers from now on, in place of whoever did; whoever wants to call does so at once."""
        for caller in self._callers:
            caller.drop()
        self._answerer = (pick, serve)
        for caller in self._callers:
            caller.dial()

    async def hang_up(self, serve: Serve) -> None:
        """Whoever answered with `serve` does so no more; nothing where somebody else does by now."""
        if self._answerer is None or self._answerer[1] != serve:
            return
        self._answerer = None
        for caller in self._callers:
            caller.drop()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def connect(self, caller: MemoryCall, dial: Dial) -> tuple[Line, str] | None:
        """For a caller: the line and the subprotocol, or None where nobody answers or it is refused."""
        if self._answerer is None:
            return None
        pick, serve = self._answerer
        chosen = pick(dial)
        if isinstance(chosen, int):
            return None
        line = Line(caller.drop, caller.deliver)
        task = asyncio.get_running_loop().create_task(self._served(serve, dial, chosen, line))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return line, chosen

    @staticmethod
    async def _served(serve: Serve, dial: Dial, chosen: str, line: Line) -> None:
        try:
            await serve(dial, chosen, line)
        finally:
            await line.close()
