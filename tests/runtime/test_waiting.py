"""The runtime's own way of waiting: a signal with a bound."""

import asyncio
from datetime import UTC, datetime

import pytest

from cem.io.virtual import run_virtual
from cem.runtime.waiting import Signal

START = datetime(2026, 6, 15, tzinfo=UTC)


def test_a_signal_ends_a_wait_at_once_and_its_bound_ends_it_without() -> None:
    async def main() -> tuple[bool, float, bool, float, bool]:
        loop = asyncio.get_running_loop()
        signal = Signal()
        loop.call_later(2.0, signal.set)
        began = loop.time()
        came = await signal.wait(10.0)
        after = loop.time() - began
        signal.clear()
        began = loop.time()
        late = await signal.wait(10.0)
        signal.set()
        return came, after, late, loop.time() - began, await signal.wait(5.0)

    came, after, late, waited, known = run_virtual(main(), START)
    assert (came, late, known) == (True, False, True)
    assert after == pytest.approx(2.0)
    assert waited == pytest.approx(10.0)


def test_a_cancelled_wait_leaves_the_signal_usable() -> None:
    async def main() -> bool:
        signal = Signal()
        waiting = asyncio.create_task(signal.wait(100.0))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.wait([waiting])
        asyncio.get_running_loop().call_later(1.0, signal.set)
        return waiting.cancelled() and await signal.wait(5.0)

    assert run_virtual(main(), START)
