"""How long our own work took: on a busy machine that is less than what the clock says."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

SCHEDSTAT = "/proc/thread-self/schedstat"
"""Linux: nanoseconds on a processor, nanoseconds of waiting for one, and time slices (kernel: sched-stats.rst)."""


class OwnTime:
    """Seconds of a thread, without those in which it was ready but got no processor.

    What it waits for by itself (a sleep, a disk, a lock) counts. Where the kernel does not tell the waits, and outside
    `told`, the processor time alone does.
    """

    def __init__(self, path: str = SCHEDSTAT) -> None:
        self._path = path
        self._file: int | None = None

    @contextmanager
    def told(self) -> Iterator[None]:
        """Asks the kernel for the waits of this thread meanwhile."""
        try:
            self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # not on this kernel
            yield
            return
        try:
            yield
        finally:
            os.close(self._file)
            self._file = None

    def now_s(self) -> float:
        """Seconds since some instant, of the thread that is in `told`."""
        if self._file is None:
            return time.thread_time()
        return time.perf_counter() - int(os.pread(self._file, 64, 0).split()[1]) / 1e9
