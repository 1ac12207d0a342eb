"""Seeded randomness that is a function of time, so that neither step size nor starting point changes it."""

import math
import random
from operator import mul


def draws(*key: object) -> random.Random:
    """A source of draws that belongs to the key: the same key, the same draws, on every machine."""
    return random.Random(":".join(str(part) for part in key))  # noqa: S311 - weather, not a secret


class SlowNoise:
    """Zero mean, unit variance, exponentially forgetting noise on a time grid, straight lines between.

    It is a moving average over independent draws that are keyed by the grid point; hence the value at a time
    is the same whenever and in whatever steps one asks, like an Ornstein-Uhlenbeck path written down beforehand.
    """

    def __init__(self, seed: int, name: str, memory_s: float = 1800.0, grid_s: float = 60.0) -> None:
        self._key = (seed, name)
        self._grid_s = grid_s
        decay = math.exp(-grid_s / memory_s)
        weights = [decay**j for j in range(max(1, math.ceil(4 * memory_s / grid_s)))]
        norm = math.sqrt(sum(w * w for w in weights))
        self._weights = [w / norm for w in weights]
        self._shocks: dict[int, float] = {}
        self._points: dict[int, float] = {}

    def _point(self, k: int) -> float:
        found = self._points.get(k)
        if found is None:
            if len(self._points) > 4 * len(self._weights) + 64:
                self._points.clear()
                self._shocks = {j: v for j, v in self._shocks.items() if abs(k - j) <= len(self._weights)}
            span, shocks = range(k, k - len(self._weights), -1), self._shocks
            for at in span:
                if at not in shocks:
                    shocks[at] = draws(*self._key, at).gauss(0.0, 1.0)
            found = sum(map(mul, self._weights, map(shocks.__getitem__, span)))
            self._points[k] = found
        return found

    def at(self, unix_s: float) -> float:
        """The value at a time in Unix seconds."""
        position = unix_s / self._grid_s
        k = math.floor(position)
        share = position - k
        return self._point(k) * (1.0 - share) + self._point(k + 1) * share
