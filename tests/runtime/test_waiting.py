"""The runtime's own ways of waiting: a signal with a bound, and a time-out that costs one timer."""

import asyncio
from datetime import UTC, datetime

import pytest

from cem.io.virtual import run_virtual
from cem.runtime.waiting import Patience, Signal, signalled

START = datetime(2026, 6, 15, tzinfo=UTC)


def test_a_signal_ends_a_wait_at_once_and_its_bound_ends_it_without() -> None:
    async def main() -> tuple[bool, float, bool, float, bool]:
        loop = asyncio.get_running_loop()
        signal = Signal()
        loop.call_later(2.0, signal.set)
        began = loop.time()
        came = await signalled(signal, 10.0)
        after = loop.time() - began
        signal.clear()
        began = loop.time()
        late = await signalled(signal, 10.0)
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


def test_patience_ends_each_call_by_its_own_bound() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        patience = Patience(8.0)
        lengths = []
        for call_s in (3.0, 7.0, 9.0, 1.0, 20.0):
            began = loop.time()
            try:
                with patience:
                    await asyncio.sleep(call_s)
            except TimeoutError:
                lengths.append(-(loop.time() - began))
            else:
                lengths.append(loop.time() - began)
        return lengths

    assert run_virtual(main(), START) == pytest.approx([3.0, 7.0, -8.0, 1.0, -8.0])


def test_patience_does_not_swallow_a_cancellation() -> None:
    async def main() -> bool:
        patience = Patience(8.0)

        async def call() -> None:
            with patience:
                await asyncio.sleep(100)

        calling = asyncio.create_task(call())
        await asyncio.sleep(1)
        calling.cancel()
        await asyncio.wait([calling])
        return calling.cancelled()

    assert run_virtual(main(), START)


def test_patience_that_nobody_uses_does_nothing() -> None:
    async def main() -> float:
        patience = Patience(8.0)
        with patience:
            await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(100)
        return asyncio.get_running_loop().time() - began

    assert run_virtual(main(), START) == pytest.approx(100.0)
