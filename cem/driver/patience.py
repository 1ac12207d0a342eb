"""A time-out for what is done again and again: one timer for all calls."""

import asyncio


class Patience:
    """A time-out for calls that one task makes again and again, one at a time: `with patience: await call()`.

    Raises TimeoutError like asyncio.timeout. Its timer is not made and cancelled with each call but moved on when it
    finds that the call it watches began later. `seconds` may be set anew between two calls.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._due_s = 0.0
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        task, self._task = self._task, None
        assert task is not None
        if self._expired and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error
