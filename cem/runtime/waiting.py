"""Waiting for a signal with a bound."""

import asyncio


class Signal:
    """Something to be told about, for one waiter at a time: like an event, but a wait that ends by its bound costs one
    timer and no exception. Nearly every wait of the gateway ends so.
    """

    def __init__(self) -> None:
        self._set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wakes the waiter, now or as soon as it waits."""
        self._set = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def clear(self) -> None:
        """From now on a wait waits again."""
        self._set = False

    def is_set(self) -> bool:
        """Whether it was set since it was last cleared."""
        return self._set

    async def wait(self, within_s: float) -> bool:
        """Waits at most so long; whether it is set then."""
        if not self._set:
            loop = asyncio.get_running_loop()
            waiter = self._waiter = loop.create_future()
            timer = loop.call_later(max(0.0, within_s), _let_go, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
                self._waiter = None
        return self._set


async def signalled(signal: Signal, within_s: float) -> bool:
    """Waits for the signal at most so long; whether it came."""
    return await signal.wait(within_s)


def _let_go(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Patience:
    """A time-out for calls that one task makes again and again, one at a time: `with patience: await call()`.

    Raises TimeoutError like asyncio.timeout. Its timer is not made and cancelled with each call but moved on when it
    finds that the call it watches began later.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
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
        self._due_s = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_at(self._due_s, self._look, loop)

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
