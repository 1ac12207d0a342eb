"""A time-out for what is done again and again: one timer for all calls."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Patience:
    """A time-out for calls that are made again and again, one at a time: `await patience.over(call())`.

    Raises TimeoutError like asyncio.timeout. A call that is done without having to wait costs nothing. The timer is not
    made and cancelled with each call but moved on when it finds that the call it watches began later. `seconds` may be
    set anew between two calls.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due_s = 0.0
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None

    async def over(self, call: Coroutine[Any, Any, T]) -> T:
        """What the call gives."""
        try:
            awaited = call.send(None)
        except StopIteration as done:
            at_once: T = done.value
            return at_once
        self._begin()
        try:
            given = await _Begun(call, awaited)
        except asyncio.CancelledError as error:
            if self._end():
                raise TimeoutError from error
            raise
        except BaseException:
            self._end()
            raise
        self._end()
        return given

    def _begin(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert self._task is None
        loop = task.get_loop()
        self._task, self._expired, self._cancelling = task, False, task.cancelling()
        due_s = self._due_s = loop.time() + self.seconds
        if self._timer is not None and self._timer.when() > due_s:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._task is None:
            return  # nobody waits; the next call sets it anew
        if loop.time() < self._due_s:
            self._timer = loop.call_at(self._due_s, self._look, loop)
            return
        self._expired = True
        self._task.cancel()

    def _end(self) -> bool:
        """Whether it was this time-out that cancelled the task, and nobody else."""
        task, self._task = self._task, None
        assert task is not None
        return self._expired and task.uncancel() <= self._cancelling


class _Begun(Generic[T]):
    """The rest of a call that waits for something already."""

    def __init__(self, call: Coroutine[Any, Any, T], awaited: Any) -> None:
        self._call = call
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, T]:
        call, awaited = self._call, self._awaited
        try:
            while True:
                try:
                    came = yield awaited
                except GeneratorExit:
                    call.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the call's, whatever it is
                    awaited = call.throw(error)
                else:
                    awaited = call.send(came)
        except StopIteration as done:
            given: T = done.value
            return given
