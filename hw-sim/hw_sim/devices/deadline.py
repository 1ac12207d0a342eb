"""A revert timer as devices keep it."""


class RevertTimer:
    """Runs out once after it was armed; times in seconds of the simulation."""

    def __init__(self) -> None:
        self._ends_s: float | None = None

    @property
    def ends_s(self) -> float | None:
        """When it will run out; None: not running."""
        return self._ends_s

    def arm(self, now_s: float, after_s: float) -> None:
        """Starts anew; 0 means: never (SunSpec, points ..._RvrtTms)."""
        self._ends_s = now_s + after_s if after_s > 0 else None

    def cancel(self) -> None:
        """Stops it."""
        self._ends_s = None

    def ran_out(self, now_s: float) -> bool:
        """True once, when the time has come."""
        if self._ends_s is None or now_s + 1e-9 < self._ends_s:
            return False
        self._ends_s = None
        return True
