"""What a clear sky would give at a place, so that days of another season can be told of this one.

Within three weeks a spring evening gains an hour of sun: the mean of what was recorded at the same time of day lags
behind by that. How a roof stands is not known and need not be: over a few weeks it changes little of the ratio of two
days, so one that leans a little to the equator stands for all.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from cem.model.site import Place

QUARTER_S: Final = 900
DAY: Final = 96
"""Quarter hours."""
LEANS: Final = 1.0
"""Of what would be the best over a year, 15° less than the latitude: it lies between flat and steep roofs."""
DIFFUSE: Final = 0.2
"""Of full sun comes from everywhere, at dawn as well; and so much no ratio grows from almost nothing."""
MOST_KNOWN: Final = 16384
"""Quarter hours of which the light is kept."""


def clear_sky(quarter: int, place: Place) -> float:
    """The share of its peak that a roof makes in a quarter hour (number since 1970) under a clear sky; 0 in the dark.

    Declination and equation of time after Cooper and Spencer, the air mass after Meinel; good to a few per cent.
    """
    days = (quarter + 0.5) / DAY
    turn = 2.0 * math.pi * (days % 365.2425) / 365.2425  # a day off in four years
    declination = math.radians(23.45) * math.sin(turn - math.radians(79.9))
    spring = turn - math.radians(79.9)
    minutes = 9.87 * math.sin(2 * spring) - 7.53 * math.cos(spring) - 1.5 * math.sin(spring)
    solar_h = 24.0 * (days % 1.0) + place.longitude_deg / 15.0 + minutes / 60.0
    hour_angle = math.radians(15.0 * (solar_h - 12.0))
    latitude = math.radians(place.latitude_deg)
    height = _sine(latitude, declination, hour_angle)
    if height <= 0.0:
        return 0.0
    beam = math.pow(0.7, math.pow(max(height, 0.05), -0.678)) / 0.7
    lean = math.radians(LEANS * max(abs(place.latitude_deg) - 15.0, 0.0))
    faced = latitude - math.copysign(lean, latitude)  # to lean to the equator is to lie flat nearer to it
    return beam * max(_sine(faced, declination, hour_angle), 0.0)


def _sine(latitude: float, declination: float, hour_angle: float) -> float:
    """Of the sun's height at a latitude."""
    crossing = math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    return math.sin(latitude) * math.sin(declination) + crossing


def as_on(day_from: int, quarters: Mapping[int, float], place: Place | None) -> dict[int, float]:
    """Powers of past quarter hours as they would be in the day that begins with the quarter hour `day_from`.

    Without a place as they were.
    """
    if place is None:
        return dict(quarters)
    light = _lights(place)
    there = [light[quarter] for quarter in range(day_from, day_from + DAY)]
    return {quarter: value * there[(quarter - day_from) % DAY] / light[quarter] for quarter, value in quarters.items()}


class _Lights(dict[int, float]):
    """The light of each quarter hour at one place, worked out once: every plan asks for weeks of them."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    def __missing__(self, quarter: int) -> float:
        if len(self) >= MOST_KNOWN:
            self.clear()
        self[quarter] = found = clear_sky(quarter, self._place) + DIFFUSE
        return found


@lru_cache(maxsize=4)
def _lights(place: Place) -> _Lights:
    return _Lights(place)
