"""A quantity that stands still until something moves it: jumps, ramps and profiles."""

from collections.abc import Sequence

Points = Sequence[tuple[float, float]]


class Course:
    """A value over the elapsed time. The newest of the courses laid over the base holds; lifting it goes back."""

    def __init__(self, base: float) -> None:
        self.base = base
        self.value = base
        self._laid: dict[int, float] = {}  # key to the value in which it ends
        self._points: list[tuple[float, float]] = []

    def lay(self, key: int, now_s: float, target: Points, ramp_s: float = 0.0) -> None:
        """From now on over `ramp_s` to the first point of `target` (seconds from then, value), then along it."""
        points = [(now_s + ramp_s + after_s, value) for after_s, value in target]
        self._laid[key] = points[-1][1]
        self._points = [(now_s, self.value), *points]

    def lift(self, key: int, now_s: float, ramp_s: float = 0.0) -> None:
        """Back over `ramp_s` to what is laid below, else to the base; nothing where another one holds."""
        newest = next(reversed(self._laid), None)
        self._laid.pop(key, None)
        if newest == key:
            below = next(reversed(self._laid.values())) if self._laid else self.base
            self._points = [(now_s, self.value), (now_s + ramp_s, below)]

    def move(self, now_s: float) -> float:
        """The value at a time that does not go back."""
        points = self._points
        if not points:
            return self.value
        while len(points) > 1 and points[1][0] <= now_s + 1e-9:
            points.pop(0)
        since, before = points[0]
        if len(points) == 1:
            self.value = before
            points.clear()
        elif now_s >= since:
            until, after = points[1]
            self.value = before + (after - before) * (now_s - since) / (until - since)
        return self.value
