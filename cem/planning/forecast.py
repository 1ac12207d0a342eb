"""Forecasts from what the house itself has recorded. Causal: nothing younger than the first edge is looked at.

A history is the course of the minute means (`past.py`). Missing or broken values are skipped; with no history at all
there is still a forecast.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from cem.planning.past import DAY_S, LOOK_BACK_DAYS, QUARTER_S, Course

STEP_S: Final = QUARTER_S
DEFAULT_LOAD_W: Final = 400.0  # an average household of 3,500 kWh a year
RECENT_DAYS: Final = 7.0  # the weight of a day falls to 1/e in this time
SAME_WEEKDAY: Final = 3.0  # a day of the same kind (working day or weekend) counts this much more
ERROR_FADES_H: Final = 3.0  # the last hour's error is carried forward and falls to 1/e in this time
PV_DAYS: Final = 7
PV_RATIO_FADES_H: Final = 4.0
PV_RATIO_BOUNDS: Final = (0.1, 2.5)
LEAST_PV_W: Final = 20.0


def slot_edges(now: datetime, horizon_s: int = DAY_S, step_s: int = STEP_S) -> tuple[datetime, ...]:
    """From `now` to the next full step and on in full steps (UTC quarter hours), until the horizon is covered.

    96 or 97 slots for a day of quarter hours. `now` must be aware; a first slot shorter than a second is left out.
    """
    if now.utcoffset() is None:
        raise ValueError(f"slots need an aware time, not {now!r}")
    start = now.astimezone(UTC)
    first_s = (math.floor(start.timestamp()) // step_s + 1) * step_s
    if first_s - start.timestamp() < 1.0:
        start, first_s = datetime.fromtimestamp(first_s, UTC), first_s + step_s
    count = math.ceil((start.timestamp() + horizon_s - first_s) / step_s)
    return (start, *(datetime.fromtimestamp(first_s + k * step_s, UTC) for k in range(count + 1)))


def load_forecast(
    history: Course, edges: Sequence[datetime], zone: str = "UTC", default_w: float = DEFAULT_LOAD_W
) -> tuple[float, ...]:
    """Mean load of each slot in W, never negative.

    Weighted mean of the same quarter hour (local time) of past days, recent days and days of the same kind weighing
    more, plus the last hour's error fading over hours. Less than a day of history: yesterday is the mean so far.
    """
    quarters = _quarters(history, edges[0], LOOK_BACK_DAYS)
    if not quarters:
        return (default_w,) * (len(edges) - 1)
    local = _LocalQuarters(quarters, zone)
    now_s = edges[0].timestamp()
    profile = [local.typical(*middle_of) for middle_of in _middles(edges)]
    error = _last_hour_error(quarters, local, now_s)
    return tuple(
        max(typical + error * math.exp(-(middle_s - now_s) / 3600.0 / ERROR_FADES_H), 0.0)
        for typical, (middle_s, _) in zip(profile, _middles(edges), strict=True)
    )


def pv_forecast(
    history: Course,
    edges: Sequence[datetime],
    max_generation_w: float | None = None,
    *,
    clear_sky_w: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Mean generation of each slot in W as a magnitude, never above `max_generation_w`.

    Mean of the last 7 days per quarter hour of the day (UTC: the sun knows no summer time), times the ratio of the last
    hour to its own mean, fading over hours. With no history: `clear_sky_w` per slot where given, else nothing.
    """
    most = math.inf if max_generation_w is None else max_generation_w
    quarters = {quarter: max(value, 0.0) for quarter, value in _quarters(history, edges[0], PV_DAYS).items()}
    if not quarters:
        return tuple(min(max(value, 0.0), most) for value in clear_sky_w or (0.0,) * (len(edges) - 1))
    by_time: dict[int, list[float]] = {}
    for quarter, value in quarters.items():
        by_time.setdefault(quarter % 96, []).append(value)
    shape = {at: sum(values) / len(values) for at, values in by_time.items()}
    now_s = edges[0].timestamp()
    ratio = _last_hour_ratio(quarters, shape, now_s)
    forecast = []
    for middle_s, _ in _middles(edges):
        fading = math.exp(-(middle_s - now_s) / 3600.0 / PV_RATIO_FADES_H)
        usual = shape.get(int(middle_s // STEP_S) % 96, 0.0)
        forecast.append(min(usual * (1.0 + (ratio - 1.0) * fading), most))
    return tuple(forecast)


def clear_sky_w(
    edges: Sequence[datetime], peak_w: float, latitude_deg: float, longitude_deg: float
) -> tuple[float, ...]:
    """What a flat array of `peak_w` makes under a clear sky, by the sun's height at each slot's middle.

    Declination and equation of time after Cooper and Spencer; good to a few per cent, enough for the first days.
    """
    result = []
    for middle_s, _ in _middles(edges):
        at = datetime.fromtimestamp(middle_s, UTC)
        day = at.timetuple().tm_yday
        turn = 2.0 * math.pi * (day - 81) / 364.0
        declination = math.radians(23.45) * math.sin(2.0 * math.pi * (284 + day) / 365.0)
        minutes = 9.87 * math.sin(2 * turn) - 7.53 * math.cos(turn) - 1.5 * math.sin(turn)
        solar_h = at.hour + at.minute / 60.0 + at.second / 3600.0 + longitude_deg / 15.0 + minutes / 60.0
        hour_angle = math.radians(15.0 * (solar_h - 12.0))
        latitude = math.radians(latitude_deg)
        height = math.sin(latitude) * math.sin(declination)
        height += math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
        air = 0.7 ** (max(height, 0.05) ** -0.678)  # what the air mass lets through (Meinel)
        result.append(peak_w * max(height, 0.0) * air / 0.7)
    return tuple(result)


# --- quarters of the past ----------------------------------------------------------------------------------


def _quarters(history: Course, before: datetime, days: int) -> dict[int, float]:
    """Means of the full and begun quarter hours (number since 1970) of the last `days` before an instant.

    The instant itself is not in it.
    """
    until_s = before.timestamp()
    return history.quarters(math.ceil(until_s - days * DAY_S), math.ceil(until_s))


def _middles(edges: Sequence[datetime]) -> list[tuple[float, datetime]]:
    """The middle of each slot, in Unix seconds and as an instant."""
    return [((a + (b - a) / 2).timestamp(), a + (b - a) / 2) for a, b in pairwise(edges)]


class _LocalQuarters:
    """Past quarters by local time of day, each with its day."""

    def __init__(self, quarters: dict[int, float], zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._by_time: dict[int, list[tuple[int, bool, float]]] = {}
        self._mean = sum(quarters.values()) / len(quarters)
        offset_of: dict[int, int] = {}  # the offset to UTC by hour; it never changes within one
        for quarter, value in quarters.items():
            hour = quarter // 4
            if hour not in offset_of:
                local = datetime.fromtimestamp(hour * 3600, self._zone)
                offset_of[hour] = int((local.utcoffset() or timedelta()).total_seconds()) // STEP_S
            day, at = divmod(quarter + offset_of[hour], 96)
            self._by_time.setdefault(at, []).append((day, _is_weekend(day), value))

    def typical(self, middle_s: float, middle: datetime, *, skip_day: int | None = None) -> float:
        """Weighted mean of the same quarter hour of other days; the overall mean where there is none."""
        offset = middle.astimezone(self._zone).utcoffset() or timedelta()
        day, at = divmod(int((middle_s + offset.total_seconds()) // STEP_S), 96)
        weekend = _is_weekend(day)
        total = weights = 0.0
        for past_day, past_weekend, value in self._by_time.get(at, ()):
            if past_day == skip_day:
                continue
            weight = math.exp(-(day - past_day) / RECENT_DAYS) * (SAME_WEEKDAY if past_weekend == weekend else 1.0)
            total += weight * value
            weights += weight
        return total / weights if weights > 0 else self._mean

    def day_of(self, instant: datetime) -> int:
        """Number of the local day since 1970."""
        offset = instant.astimezone(self._zone).utcoffset() or timedelta()
        return int((instant.timestamp() + offset.total_seconds()) // DAY_S)


def _is_weekend(day: int) -> bool:
    return (day + 3) % 7 >= 5  # day 0 was a Thursday


def _last_hour_error(quarters: dict[int, float], local: _LocalQuarters, now_s: float) -> float:
    """Mean of what was more than typical in the last four quarters before now; 0 where they are not known."""
    errors = []
    for quarter in range(int(now_s // STEP_S) - 4, int(now_s // STEP_S) + 1):
        if quarter in quarters:
            middle_s = (quarter + 0.5) * STEP_S
            middle = datetime.fromtimestamp(middle_s, UTC)
            errors.append(quarters[quarter] - local.typical(middle_s, middle, skip_day=local.day_of(middle)))
    return sum(errors) / len(errors) if errors else 0.0


def _last_hour_ratio(quarters: dict[int, float], shape: dict[int, float], now_s: float) -> float:
    """The last hour's generation over its usual one, bounded; 1 in the dark."""
    recent = [q for q in range(int(now_s // STEP_S) - 4, int(now_s // STEP_S)) if q in quarters]
    usual = sum(shape[q % 96] for q in recent)
    if not recent or usual < LEAST_PV_W * len(recent):
        return 1.0
    low, high = PV_RATIO_BOUNDS
    return min(max(sum(quarters[q] for q in recent) / usual, low), high)
