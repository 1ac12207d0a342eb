"""Clouds and outdoor temperature of one place."""

import math

from hw_sim.homefile import Home
from hw_sim.physics.calendar import Calendar
from hw_sim.physics.noise import SlowNoise

_YEAR_S = 365.2425 * 86400.0
_WARMEST_S = 200.0 * 86400.0  # since the year's beginning, north of the equator
_HOTTEST_S = 15.0 * 3600.0  # local time


class Weather:
    """Functions of time and seed; the knobs are `cloudiness` (None: each roof's own) and `shift_c`."""

    def __init__(self, home: Home, calendar: Calendar, seed: int) -> None:
        self.cloudiness: float | None = None
        self.shift_c = 0.0
        self._climate = home.climate
        self._side = -1.0 if home.latitude < 0.0 else 1.0
        self._calendar = calendar
        self._clouds = SlowNoise(seed, "clouds", memory_s=1500.0)
        self._air = SlowNoise(seed, "air", memory_s=86400.0, grid_s=3600.0)

    def clouds(self, unix_s: float) -> float:
        """Zero mean, unit variance: how the clouds drift."""
        return self._clouds.at(unix_s)

    def outdoor_c(self, unix_s: float) -> float:
        """The air's temperature."""
        climate = self._climate
        _, second = self._calendar.day_and_second(unix_s)
        season = self._side * math.cos(2.0 * math.pi * (unix_s - _WARMEST_S) / _YEAR_S)
        day = math.cos(2.0 * math.pi * (second - _HOTTEST_S) / 86400.0)
        wobble = climate.noise_c * self._air.at(unix_s) if climate.noise_c else 0.0
        return climate.mean_c + climate.season_c * season + climate.day_c * day + wobble + self.shift_c
