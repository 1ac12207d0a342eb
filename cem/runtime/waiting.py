"""Waiting for a signal with a bound."""

import asyncio


class Beat:
    """One timer for all who wait for the same instant, as the tasks of devices that are polled together do."""

    def __init__(self) -> None:
        self._waiting: dict[float, list[asyncio.Future[None]]] = {}

    def waiter(self, due_s: float, within_s: float) -> asyncio.Future[None]:
        """What is done at `due_s` of the caller's clock, which is `within_s` from now, unless somebody ends it before.

        The running loop is asked for once a beat: each time that takes a system call.
        """
        waiting = self._waiting.get(due_s)
        if waiting is None:
            loop = asyncio.get_running_loop()
            waiting = self._waiting[due_s] = []
            loop.call_later(max(0.0, within_s), self._strike, due_s)
        else:
            loop = waiting[0].get_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        waiting.append(waiter)
        return waiter

    def _strike(self, due_s: float) -> None:
        for waiter in self._waiting.pop(due_s):
            _let_go(waiter)


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

    async def wait_beat(self, beat: Beat, due_s: float, now_s: float) -> bool:
        """As `wait`, until `due_s` of the clock that shows `now_s`, by a timer that others share."""
        if not self._set:
            waiter = self._waiter = beat.waiter(due_s, due_s - now_s)
            try:
                await waiter
            finally:
                self._waiter = None
        return self._set


def _let_go(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
