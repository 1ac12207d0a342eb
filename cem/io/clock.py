"""The system's clocks: the only place that looks at them."""

import time
from datetime import UTC, datetime
from pathlib import Path

from cem.model.time import Instant

TIMESYNC = Path("/run/systemd/timesync")
"""Folder of systemd-timesyncd; its file `synchronized` appears with the first synchronisation after a boot."""
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
"""No clock that is right shows an earlier time than this program's making."""
LOOK_EVERY_S = 5.0


class SystemClock:
    """The wall clock in UTC and the monotonic clock of this machine.

    A computer without a battery-backed clock boots with a plausible time that is behind by the outage. Where
    systemd-timesyncd keeps the time, the wall clock is trusted from its first synchronisation on; elsewhere at once,
    unless it shows a time that can't be.
    """

    def __init__(self, timesync: Path = TIMESYNC) -> None:
        self._timesync = timesync
        self._trusted = False
        self._looked_at_s = float("-inf")

    def now(self) -> Instant:
        """The present instant."""
        wall, mono_s = datetime.now(UTC), time.monotonic()
        if not self._trusted and mono_s - self._looked_at_s >= LOOK_EVERY_S:
            self._looked_at_s = mono_s
            waiting = self._timesync.is_dir() and not (self._timesync / "synchronized").exists()
            self._trusted = wall >= EARLIEST and not waiting
        return Instant(wall=wall, mono_s=mono_s, trusted=self._trusted)
