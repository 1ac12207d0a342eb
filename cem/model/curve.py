"""A curve that the grid sends: how much of a power may flow at a voltage, a frequency or a price."""

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum


class CurveOver(StrEnum):
    """What a curve's x is."""

    VOLTS = "volts"
    VOLTS_SHARE = "volts_share"  # of the nominal voltage
    HERTZ = "hertz"
    PRICE_PER_KWH = "price_per_kwh"


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x, y) in order of x, at least one. y is never negative: W, or with `shares` a share of the rating."""

    over: CurveOver
    points: tuple[tuple[float, float], ...]
    shares: bool

    def at(self, x: float) -> float:
        """y at x: straight between the points, and as at the outermost ones beyond them."""
        number = bisect_right(self.points, x, key=lambda point: point[0])
        if number == 0:
            return self.points[0][1]
        if number == len(self.points):
            return self.points[-1][1]
        (left, low), (right, high) = self.points[number - 1], self.points[number]
        return low + (high - low) * (x - left) / (right - left)

    @property
    def strictest(self) -> float:
        """What holds while x is not known."""
        return min(y for _, y in self.points)
