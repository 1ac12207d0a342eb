"""The driver kit's time-out: one timer for all calls, and still each by its own bound."""

import asyncio
from datetime import UTC, datetime

import pytest

from cem.driver import Patience
from cem.io.virtual import run_virtual

START = datetime(2026, 6, 15, tzinfo=UTC)


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


def test_patience_keeps_to_a_bound_that_is_shorter_than_the_one_before() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        patience = Patience(8.0)
        lengths = []
        for seconds in (8.0, 0.5, 3.0):
            patience.seconds = seconds
            began = loop.time()
            with pytest.raises(TimeoutError), patience:
                await asyncio.sleep(100)
            lengths.append(loop.time() - began)
        patience.seconds = 8.0
        with patience:
            await asyncio.sleep(0.1)
        patience.seconds = 1.0
        began = loop.time()
        with pytest.raises(TimeoutError), patience:
            await asyncio.sleep(100)
        return [*lengths, loop.time() - began]

    assert run_virtual(main(), START) == pytest.approx([8.0, 0.5, 3.0, 1.0])
