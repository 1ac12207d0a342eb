"""The time of our own work: what we wait for ourselves counts, that others have the processor does not."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cem.runtime.own_time import SCHEDSTAT, OwnTime

BUSY = "while True: pass"
ROUNDS = 400_000

needs_kernel = pytest.mark.skipif(not Path(SCHEDSTAT).exists(), reason="this kernel does not tell the waits")


def work() -> int:
    return sum(number % 7 for number in range(ROUNDS))


def took(own: OwnTime, what: Callable[[], object]) -> tuple[float, float, float]:
    """(own, of the processor, by the clock) in seconds."""
    before = own.now_s(), time.thread_time(), time.perf_counter()
    what()
    after = own.now_s(), time.thread_time(), time.perf_counter()
    own_s, processor_s, clock_s = (b - a for a, b in zip(before, after, strict=True))
    return own_s, processor_s, clock_s


@needs_kernel
def test_waiting_for_a_processor_does_not_count() -> None:
    import os

    processor = min(os.sched_getaffinity(0))
    others = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {processor})
    rival = subprocess.Popen([sys.executable, "-c", BUSY])  # it inherits our one processor
    try:
        own = OwnTime()
        with own.told():
            for _ in range(200):
                own_s, processor_s, clock_s = took(own, work)
                assert own_s < processor_s + 0.25 * (clock_s - processor_s) + 0.005
                if clock_s > 1.3 * processor_s:  # the rival has had its share
                    return
        pytest.fail("nobody else ever got the processor")
    finally:
        os.sched_setaffinity(0, others)
        rival.kill()
        rival.wait()


@needs_kernel
def test_a_wait_of_our_own_counts() -> None:
    own = OwnTime()
    with own.told():
        own_s, processor_s, _ = took(own, lambda: time.sleep(0.05))
    assert own_s > 0.04 > processor_s


def test_without_the_kernels_word_the_processor_time_counts() -> None:
    own = OwnTime("/nowhere/schedstat")
    with own.told():
        own_s, processor_s, _ = took(own, work)
    assert own_s == pytest.approx(processor_s, abs=0.01)
