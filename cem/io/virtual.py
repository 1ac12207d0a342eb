"""Virtual time: the real application on an event loop whose clock jumps to the next timer.

The selector first looks without waiting. When nothing is ready it advances the loop's clock to the next timer
instead of sleeping, so a day of one-second ticks runs in seconds. Loopback sockets whose both ends live in the
loop, and executor jobs, work as usual: while a job runs the clock stands still, and its result is handed out when all
else of that virtual instant is done, in the order in which the jobs were given, however long they really took: what a
run does never depends on the machine's load. Where the loop has no socket, through which a job could wait for it, a job
of the default executor is done in the loop's own thread at that moment, without the way to another one. What has a
thread or a process of its own (an MQTT broker, a child process) can't follow the clock; such links need an in-memory
transport, or `VirtualEventLoop.held` around the wait.
"""

import asyncio
import fcntl
import select
import selectors
import socket
import struct
import termios
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import Context
from datetime import datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from typing import Any, Protocol, TypeVar, TypeVarTuple

from cem.model.time import Instant

ORIGIN_S = 1000.0
"""Where a virtual loop's clock starts: like the real one it is never 0."""
SETTLE_S = 0.25
"""Real time given to bytes under way on a loopback socket before they count as stuck and the clock jumps.

A busy machine's kernel carries them late, by its own thread; they are stuck while the other end does not read.
"""
FAREWELL_S = 0.5e-3
"""Real time given to the last bytes of a socket that was closed: nothing tells any more whether they arrived."""
HOLD_LIMIT_S = 60.0
"""Real time that an executor job may hold the clock before the run is given up."""
STILL_LIMIT_S = 1.0
"""Real time that a loop without any timer waits for a wake-up from outside before it counts as dead."""

MANY_TIMERS = 100
"""With more of them the base class looks whether it should clear away cancelled ones."""
LONGEST_JUMP_S = 86400.0
"""As the base class waits."""

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")
_Ready = list[tuple[selectors.SelectorKey, int]]
_Job = Future[Any] | Callable[[], Any]  # in a thread, or to be done when its result is handed out


class VirtualTimeError(RuntimeError):
    """Virtual time can't go on: everybody waits for nobody, or an executor job does not end."""


class _Jumps(Protocol):
    """What the selector asks of its loop."""

    @property
    def is_held(self) -> bool: ...

    def hand_out(self) -> bool: ...

    def advance(self, by_s: float) -> None: ...


class _JumpingSelector(selectors.BaseSelector):
    """Looks without waiting; when nothing is ready, the loop's clock jumps by the time it would have slept."""

    def __init__(self, loop: _Jumps) -> None:
        self._loop = loop
        self._inner = selectors.EpollSelector()
        self.alone = True  # only the loop's own wake-up is registered
        self._closed = False  # a socket, since the clock's last jump
        self._stuck: dict[int, int] = {}  # file descriptor to bytes that were waited for in vain

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._inner.register(fileobj, events, data)
        self._count()
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self._inner.unregister(fileobj)
        self._closed = True
        self._count()
        return key

    def _count(self) -> None:
        self.alone = len(self._inner.get_map()) <= 1

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()

    def select(self, timeout: float | None = None) -> _Ready:
        """What is ready now; else the result of an executor job, waited for in real time; else jumps by `timeout`."""
        if self.alone and timeout is not None and not self._loop.is_held:
            # nothing but the loop's own wake-up, whose callers have put their callbacks into the loop already
            if timeout > 0.0:
                self._loop.advance(timeout)
            return []
        ready = self._inner.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._loop.is_held:
            return [] if self._loop.hand_out() else self._wait_for_job()
        if ready := self._settle():
            return ready
        if timeout is None:
            return self._wait_for_outside()
        self._loop.advance(timeout)
        return []

    def _wait_for_job(self) -> _Ready:
        ready = self._inner.select(HOLD_LIMIT_S)
        if not ready and self._loop.is_held:
            raise VirtualTimeError(
                f"virtual time: an executor job has held the clock for {HOLD_LIMIT_S:.0f} s of real time; "
                "the run ends here. Bound the job, or wait for it without an executor"
            )
        return ready

    def _wait_for_outside(self) -> _Ready:
        ready = self._inner.select(STILL_LIMIT_S)
        if not ready:
            raise VirtualTimeError(
                "virtual time: deadlock: no timer is set, nothing is ready and no executor job runs, so no task can "
                "ever go on; look for a task that waits for a future, queue or event that nobody will set"
            )
        return ready

    def _settle(self) -> _Ready:
        """What became ready in the real time given to bytes under way."""
        if self._closed:
            self._closed = False
            if ready := self._look(FAREWELL_S):
                return ready
        given_up_s = time.monotonic() + SETTLE_S
        while (queued := self._under_way()) and any(self._stuck.get(fd) != count for fd, count in queued.items()):
            self._acknowledge()
            if not (ready := self._look(0.0)) and self._under_way() == queued:
                ready = self._look(FAREWELL_S)
            if ready:
                return ready
            if time.monotonic() >= given_up_s:
                break
        self._stuck = queued
        return []

    def _look(self, within_s: float) -> _Ready:
        select.select([self._inner.fileno()], [], [], within_s)
        return self._inner.select(0)

    def _acknowledge(self) -> None:
        """Lets each socket say at once what it has read: left alone, it waits up to 40 ms for something to add."""
        for key in self._inner.get_map().values():
            with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, key.fd) as line:
                try:
                    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
                finally:
                    line.detach()  # it is its transport's

    def _under_way(self) -> dict[int, int]:
        """Bytes that the other end has not acknowledged, of each registered socket that has such or connects."""
        found: dict[int, int] = {}
        for key in self._inner.get_map().values():
            try:
                count = struct.unpack("i", fcntl.ioctl(key.fd, termios.TIOCOUTQ, b"\0\0\0\0"))[0]
            except OSError:  # listening sockets and pipes have no output queue
                count = 0
            if count or key.events & selectors.EVENT_WRITE:
                found[key.fd] = count
        return found


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time; `time()` starts at ORIGIN_S and moves only by jumps to the next timer."""

    # of the base class, where they have no type
    _debug: bool
    _closed: bool
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool
    _timer_cancelled_count: int

    def __init__(self) -> None:
        self._virtual_s = ORIGIN_S
        self._holds = 0
        self._jobs: deque[tuple[_Job, asyncio.Future[Any]]] = deque()  # the oldest first
        self._pool: Executor | None = None
        self._sockets = _JumpingSelector(self)
        super().__init__(self._sockets)
        # the base class fires a timer when time() + resolution > due; after half a virtual year one step of the
        # float is larger than the nanosecond of the real clock, and a due timer would never fire
        self._clock_resolution = 1e-7

    def time(self) -> float:
        """Virtual monotonic seconds."""
        return self._virtual_s

    @property
    def is_held(self) -> bool:
        """Whether the clock stands still for an executor job or inside `held`."""
        return self._holds > 0 or bool(self._jobs)

    def _run_once(self) -> None:
        """Like the base class's, in fewer steps while there are neither sockets nor threads to be looked after."""
        timers: list[Any] = self._scheduled  # its handles' own attributes have no type
        ready, jobs = self._ready, self._jobs
        elsewhere = self._holds or (jobs and isinstance(jobs[0][0], Future))
        if not self._sockets.alone or elsewhere or self._debug or len(timers) > MANY_TIMERS:
            super()._run_once()  # type: ignore[misc]
            return
        while timers and timers[0]._cancelled:
            heappop(timers)._scheduled = False
            self._timer_cancelled_count -= 1
        if not ready and not self._stopping:
            if not timers and not jobs:
                super()._run_once()  # type: ignore[misc]
                return
            wait_s = timers[0]._when - self._virtual_s if timers else LONGEST_JUMP_S
            if wait_s > 0.0:
                if jobs:
                    self.hand_out()
                else:
                    self._virtual_s += min(wait_s, LONGEST_JUMP_S)
        due_s = self._virtual_s + self._clock_resolution
        while timers and timers[0]._when < due_s:
            timer = heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def call_soon(
        self, callback: Callable[[*_Arguments], object], *args: *_Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        """Like the base class's, in one step: a simulated second has dozens of them."""
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_at(
        self, when: float, callback: Callable[[*_Arguments], object], *args: *_Arguments, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Like the base class's, in one step."""
        if self._debug or self._closed:
            return super().call_at(when, callback, *args, context=context)
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._scheduled, timer)
        timer._scheduled = True  # type: ignore[attr-defined]
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Arguments], object],
        *args: *_Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Like the base class's, in one step."""
        return self.call_at(self._virtual_s + delay, callback, *args, context=context)

    def advance(self, by_s: float) -> None:
        """Moves the clock; only the selector calls it."""
        self._virtual_s += by_s

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps the clock still, for a wait on something that lives in real time."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1

    def set_default_executor(self, executor: Executor) -> None:
        """Like the base class's; the clock is held for its jobs too."""
        if not isinstance(executor, ThreadPoolExecutor):
            raise TypeError("virtual time: the default executor must be a ThreadPoolExecutor")
        self._pool = executor
        super().set_default_executor(executor)

    def run_in_executor(
        self,
        executor: Executor | None,
        func: Callable[[*_Arguments], _Result],
        *args: *_Arguments,
    ) -> asyncio.Future[_Result]:
        """Like the base class's; the clock is held until the job ends, even if its future is cancelled before."""
        if executor is None:
            if self._sockets.alone:
                answer: asyncio.Future[_Result] = self.create_future()
                self._jobs.append((partial(func, *args), answer))
                return answer
            if self._pool is None:
                self.set_default_executor(ThreadPoolExecutor(max_workers=4, thread_name_prefix="virtual"))
            executor = self._pool
        assert executor is not None
        job = executor.submit(func, *args)
        result: asyncio.Future[_Result] = self.create_future()
        result.add_done_callback(lambda done: job.cancel() if done.cancelled() else None)
        self._jobs.append((job, result))
        job.add_done_callback(self._job_ended)
        return result

    def _job_ended(self, _job: "Future[Any]") -> None:
        if not self.is_closed():
            self.call_soon_threadsafe(_awake)

    def hand_out(self) -> bool:
        """Gives the result of the oldest job to whoever waits for it, if it has ended; only the selector calls it."""
        if not self._jobs:
            return False
        job, result = self._jobs[0]
        if not isinstance(job, Future):
            self._jobs.popleft()
            _do(job, result)
            return True
        if not job.done():
            return False
        self._jobs.popleft()
        if result.cancelled() or job.cancelled():
            result.cancel()
        elif (error := job.exception()) is not None:
            result.set_exception(error)
        else:
            result.set_result(job.result())
        return True

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the base class's signature
        """Like the base class's; it waits for threads, so the clock is held. What no thread began is done now."""
        for job, result in tuple(self._jobs):
            if not isinstance(job, Future):
                self._jobs.remove((job, result))
                _do(job, result)
        with self.held():
            await super().shutdown_default_executor()


def _do(job: Callable[[], Any], result: asyncio.Future[Any]) -> None:
    """Does a job, also if nobody waits for it any more: a thread would have begun it at once."""
    try:
        found = job()
    except Exception as error:  # noqa: BLE001 - it is handed on to whoever waits, as from a thread
        if not result.cancelled():
            result.set_exception(error)
    else:
        if not result.cancelled():
            result.set_result(found)


def _awake() -> None:
    """Nothing: that it is called ends the selector's wait."""


class VirtualClock:
    """Both clocks of a virtual loop: the wall starts at `start`, the monotonic one is the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start: datetime, trusted: bool = True) -> None:
        self._loop = loop
        self._start = start
        self._origin_s = loop.time()
        self._last: Instant | None = None
        self.trusted = trusted
        self.monotonic: Callable[[], float] = loop.time
        """The monotonic half of `now` alone."""

    def now(self) -> Instant:
        """The present virtual instant; the same object while the loop's clock stands still."""
        mono_s = self._loop.time()
        last = self._last
        if last is None or last.mono_s != mono_s or last.trusted != self.trusted:
            wall = self._start + timedelta(seconds=mono_s - self._origin_s)
            last = self._last = Instant(wall, mono_s, self.trusted)
        return last

    def step_wall(self, by: timedelta) -> None:
        """Makes the wall clock jump, as a time synchronisation or a wrong setting does; the monotonic one does not."""
        self._start += by
        self._last = None


def run_virtual(
    main: Coroutine[Any, Any, _Result] | Callable[[VirtualClock], Coroutine[Any, Any, _Result]],
    start: datetime,
) -> _Result:
    """Runs a coroutine, or a coroutine function that takes the clock, to its end on a virtual loop.

    `start` is the aware UTC wall time at which it begins. Raises what `main` raises, and VirtualTimeError when
    virtual time can't go on.
    """
    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        clock = VirtualClock(runner.get_loop(), start)
        return runner.run(main(clock) if callable(main) else main)
