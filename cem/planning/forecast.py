"""Forecasts from what the house itself has recorded. Causal: nothing younger than the first edge is looked at.

A history is the course of the minute means (`past.py`). Missing or broken values are skipped; with no history at all
there is still a forecast.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
PV_DAYS: Final = 14
PV_RECENT_DAYS: Final = 7.0
LEAST_DAYS: Final = 4  # fewer tell nothing of the spread
TAIL: Final = 0.06  # of the past days lies below the band, and above; of the days to come it is a tenth
LEAST_SPREAD: Final = 0.6  # of a day's, even for the next minutes
WIDE_LOAD: Final = (0.3, 3.0)  # shares of what is expected, where too few days are known
WIDE_PV: Final = (0.1, 1.6)
PV_RATIO_FADES_H: Final = 8.0
PV_RATIO_BOUNDS: Final = (0.1, 2.5)
LEAST_PV_W: Final = 20.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """W per slot: what is expected, and the band in which it comes to lie four times of five."""

    expected_w: tuple[float, ...]
    low_w: tuple[float, ...]
    high_w: tuple[float, ...]

    def beside(self, more_w: Sequence[float]) -> "Forecast":
        """With so much more in each slot."""
        return Forecast(
            *(
                tuple(own + more for own, more in zip(one, more_w, strict=True))
                for one in (self.expected_w, self.low_w, self.high_w)
            )
        )


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
) -> Forecast:
    """Mean load of each slot in W, never negative.

    Weighted mean of the same quarter hour (local time) of past days, recent days and days of the same kind weighing
    more, plus the last hour's error fading over hours. Less than a day of history: yesterday is the mean so far. The
    band is that of the past days' deviations, narrower for the next hours.
    """
    quarters = _quarters(history, edges[0], LOOK_BACK_DAYS)
    if not quarters:
        return _unknown((default_w,) * (len(edges) - 1), WIDE_LOAD, math.inf)
    local = _LocalQuarters(quarters, zone)
    now_s = edges[0].timestamp()
    error = _last_hour_error(quarters, local, now_s)
    expected, bands = [], []
    for middle_s, middle in _middles(edges):
        hours = (middle_s - now_s) / 3600.0
        past = local.past_days(middle_s, middle)
        typical = past.mean if past.count else local.mean
        expected.append(max(typical + error * math.exp(-hours / ERROR_FADES_H), 0.0))
        bands.append(past.band(typical, _grown(hours, ERROR_FADES_H)) if past.count >= LEAST_DAYS else None)
    return _banded(expected, bands, WIDE_LOAD, math.inf)


def pv_forecast(
    history: Course,
    edges: Sequence[datetime],
    max_generation_w: float | None = None,
    *,
    clear_sky_w: Sequence[float] | None = None,
) -> Forecast:
    """Mean generation of each slot in W as a magnitude, never above `max_generation_w`.

    Mean of the last days per quarter hour of the day (UTC: the sun knows no summer time), recent ones weighing more,
    times the ratio of the last hour to its own mean, fading over hours. The band is that of the days' deviations. With
    no history: `clear_sky_w` per slot where given, else nothing.
    """
    most = math.inf if max_generation_w is None else max_generation_w
    quarters = {quarter: max(value, 0.0) for quarter, value in _quarters(history, edges[0], PV_DAYS).items()}
    if not quarters:
        return _unknown(tuple(clear_sky_w or (0.0,) * (len(edges) - 1)), WIDE_PV, most)
    now_s = edges[0].timestamp()
    by_time: dict[int, _PastDays] = {}
    for quarter, value in quarters.items():
        days = (now_s / STEP_S - quarter) / 96.0
        by_time.setdefault(quarter % 96, _PastDays()).add(value, math.exp(-days / PV_RECENT_DAYS))
    shape = {at: past.mean for at, past in by_time.items()}
    ratio = _last_hour_ratio(quarters, shape, now_s)
    expected, bands = [], []
    for middle_s, _ in _middles(edges):
        hours, past = (middle_s - now_s) / 3600.0, by_time.get(int(middle_s // STEP_S) % 96, _PastDays())
        expected.append(past.mean * (1.0 + (ratio - 1.0) * math.exp(-hours / PV_RATIO_FADES_H)))
        grown = _grown(hours, PV_RATIO_FADES_H)
        bands.append(past.band(past.mean, grown) if past.count >= LEAST_DAYS else None)
    return _banded(expected, bands, WIDE_PV, most)


# --- how sure it is ----------------------------------------------------------------------------------------


class _PastDays:
    """What the same quarter hour of past days was, each with its weight."""

    def __init__(self) -> None:
        self._values: list[tuple[float, float]] = []
        self._weight = self._sum = 0.0

    def add(self, value: float, weight: float) -> None:
        """One more day."""
        self._values.append((value, weight))
        self._weight += weight
        self._sum += value * weight

    @property
    def count(self) -> int:
        """How many days there are."""
        return len(self._values)

    @property
    def mean(self) -> float:
        """Weighted; 0 without any."""
        return self._sum / self._weight if self._weight > 0.0 else 0.0

    def band(self, around: float, share: float) -> tuple[float, float]:
        """How far below and above `around` the days came to lie, but for the tenth at either end, times `share`."""
        ordered = sorted(self._values)
        low, high, passed = ordered[0][0], ordered[-1][0], 0.0
        for value, weight in ordered:
            middle = (passed + weight / 2.0) / self._weight
            passed += weight
            if middle <= TAIL:
                low = value
            if middle >= 1.0 - TAIL:
                high = value
                break
        return share * min(low - around, 0.0), share * max(high - around, 0.0)


def _grown(hours: float, fades_h: float) -> float:
    """How much of a day's uncertainty is there so soon: what was seen in the last hour still tells something."""
    return math.sqrt(max(1.0 - math.exp(-2.0 * hours / fades_h), LEAST_SPREAD**2))


def _banded(
    expected: Sequence[float],
    bands: Sequence[tuple[float, float] | None],
    wide: tuple[float, float],
    most: float,
) -> Forecast:
    """Within 0 and `most`; where too few days are known, the band is a wide share of what is expected."""
    triples = []
    for value, band in zip(expected, bands, strict=True):
        below, above = ((wide[0] - 1.0) * value, (wide[1] - 1.0) * value) if band is None else band
        triples.append(tuple(min(max(one, 0.0), most) for one in (value, value + below, value + above)))
    return Forecast(*(tuple(column) for column in zip(*triples, strict=True)))


def _unknown(expected: Sequence[float], wide: tuple[float, float], most: float) -> Forecast:
    return _banded([max(value, 0.0) for value in expected], [None] * len(expected), wide, most)


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

    @property
    def mean(self) -> float:
        """Of everything."""
        return self._mean

    def past_days(self, middle_s: float, middle: datetime, *, skip_day: int | None = None) -> _PastDays:
        """The same quarter hour of other days, recent days and days of the same kind weighing more."""
        offset = middle.astimezone(self._zone).utcoffset() or timedelta()
        day, at = divmod(int((middle_s + offset.total_seconds()) // STEP_S), 96)
        weekend = _is_weekend(day)
        found = _PastDays()
        for past_day, past_weekend, value in self._by_time.get(at, ()):
            if past_day != skip_day:
                kind = SAME_WEEKDAY if past_weekend == weekend else 1.0
                found.add(value, math.exp(-(day - past_day) / RECENT_DAYS) * kind)
        return found

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
            past = local.past_days(middle_s, middle, skip_day=local.day_of(middle))
            errors.append(quarters[quarter] - (past.mean if past.count else local.mean))
    return sum(errors) / len(errors) if errors else 0.0


def _last_hour_ratio(quarters: dict[int, float], shape: dict[int, float], now_s: float) -> float:
    """The last hour's generation over its usual one, bounded; 1 in the dark."""
    recent = [q for q in range(int(now_s // STEP_S) - 4, int(now_s // STEP_S)) if q in quarters]
    usual = sum(shape[q % 96] for q in recent)
    if not recent or usual < LEAST_PV_W * len(recent):
        return 1.0
    low, high = PV_RATIO_BOUNDS
    return min(max(sum(quarters[q] for q in recent) / usual, low), high)
