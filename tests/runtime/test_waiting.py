"""The runtime's own way of waiting: a signal with a bound."""

import asyncio
from datetime import UTC, datetime

import pytest

from cem.io.virtual import run_virtual
from cem.runtime.waiting import Beat, Signal

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


def test_all_who_wait_for_a_beat_go_on_together_and_who_was_called_goes_on_at_once() -> None:
    async def main() -> list[tuple[str, bool, float]]:
        loop, beat = asyncio.get_running_loop(), Beat()
        due_s = loop.time() + 10.0
        called = Signal()
        ended: list[tuple[str, bool, float]] = []

        async def one(name: str, signal: Signal, until_s: float) -> None:
            came = await signal.wait_beat(beat, until_s, loop.time())
            ended.append((name, came, round(loop.time() - due_s, 3)))

        first = asyncio.create_task(one("cancelled", Signal(), due_s))
        waits = [one("first", Signal(), due_s), one("called", called, due_s), one("later", Signal(), due_s + 1.0)]
        tasks = [asyncio.create_task(wait) for wait in waits]
        await asyncio.sleep(3.0)
        first.cancel()
        called.set()
        await asyncio.sleep(1.0)
        tasks.append(asyncio.create_task(one("late", Signal(), due_s)))
        await asyncio.wait([first, *tasks])
        return ended

    expected = [("called", True, -7.0), ("first", False, 0.0), ("late", False, 0.0), ("later", False, 1.0)]
    assert run_virtual(main(), START) == expected
