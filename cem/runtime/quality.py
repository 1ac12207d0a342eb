"""How often a device's readings fail although it answers: noise, a bad cable, a second master on the line."""

from collections import deque

READINGS = 100
ENOUGH = 20
"""Fewer readings say nothing yet."""
LEAST_MISSES = 3
BAD_SHARE = 0.05
OUTAGE_S = 30.0
"""A longer silence is an outage, which is told as such and says nothing about the line."""


class LineQuality:
    """The last readings of one device, each right or failed."""

    def __init__(self) -> None:
        self._right: deque[bool] = deque(maxlen=READINGS)
        self._last_right_s: float | None = None

    def came(self, now_s: float) -> None:
        """A reading came."""
        if self._last_right_s is not None and now_s - self._last_right_s > OUTAGE_S:
            self._right.clear()
        self._last_right_s = now_s
        self._right.append(True)

    def failed(self) -> None:
        """None came, or a damaged one."""
        self._right.append(False)

    def trouble(self) -> str:
        """In words, when more than one in twenty fails; '' else."""
        misses = self._right.count(False)
        bad = misses >= LEAST_MISSES and misses > BAD_SHARE * len(self._right)
        return f"{misses} of the last {len(self._right)} readings failed" if bad and len(self._right) >= ENOUGH else ""
