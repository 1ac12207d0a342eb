"""The system's clocks: the only place that looks at them."""

import time
from datetime import UTC, datetime

from cem.model.time import Instant


class SystemClock:
    """The wall clock in UTC and the monotonic clock of this machine."""

    def now(self) -> Instant:
        """The present instant."""
        return Instant(wall=datetime.now(UTC), mono_s=time.monotonic())
