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
                await patience.over(asyncio.sleep(call_s))
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
            await patience.over(asyncio.sleep(100))

        calling = asyncio.create_task(call())
        await asyncio.sleep(1)
        calling.cancel()
        await asyncio.wait([calling])
        return calling.cancelled()

    assert run_virtual(main(), START)


def test_patience_that_nobody_uses_does_nothing() -> None:
    async def main() -> float:
        patience = Patience(8.0)
        await patience.over(asyncio.sleep(1))
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
            with pytest.raises(TimeoutError):
                await patience.over(asyncio.sleep(100))
            lengths.append(loop.time() - began)
        patience.seconds = 8.0
        await patience.over(asyncio.sleep(0.1))
        patience.seconds = 1.0
        began = loop.time()
        with pytest.raises(TimeoutError):
            await patience.over(asyncio.sleep(100))
        return [*lengths, loop.time() - began]

    assert run_virtual(main(), START) == pytest.approx([8.0, 0.5, 3.0, 1.0])


def test_patience_hands_over_what_a_call_gives_or_raises() -> None:
    async def main() -> list[object]:
        patience = Patience(8.0)
        told: list[object] = []

        async def call(wait_s: float, fails: bool) -> str:
            if wait_s:
                await asyncio.sleep(wait_s)
            if fails:
                raise ValueError("no")
            return "yes"

        for wait_s in (0.0, 1.0):
            told.append(await patience.over(call(wait_s, fails=False)))
            with pytest.raises(ValueError, match="no"):
                await patience.over(call(wait_s, fails=True))
        return told

    assert run_virtual(main(), START) == ["yes", "yes"]


def test_a_call_within_a_call_ends_by_its_own_bound_and_the_outer_one_goes_on() -> None:
    async def main() -> str:
        inner, outer = Patience(2.0), Patience(8.0)

        async def call() -> str:
            try:
                await inner.over(asyncio.sleep(5))
            except TimeoutError:
                await asyncio.sleep(1)
                return "went on"
            return "was not ended"

        return await outer.over(call())

    assert run_virtual(main(), START) == "went on"
