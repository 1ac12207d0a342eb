"""Waiting on conditions, with a bound, instead of sleeping."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    """Returns as soon as the condition holds; fails when it does not within the bound."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the condition is in another thread or process
            await asyncio.sleep(0.02)


def until_blocking(condition: Callable[[], bool], within_s: float = 15.0, *, every_s: float = 0.02) -> None:
    """The same outside an event loop."""
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends, f"not within {within_s} s"
        time.sleep(every_s)
