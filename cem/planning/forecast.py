"""Forecasts from what the house itself has recorded. Causal: nothing younger than the first edge is looked at.

A history is the course of the minute means (`past.py`). Missing or broken values are skipped; with no history at all
there is still a forecast.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from cem.model.site import Place
from cem.planning.carry import FAINT, LAST, Carry, OtherDays, is_weekend, share_of
from cem.planning.past import DAY_S, LOOK_BACK_DAYS, QUARTER_S, Course
from cem.planning.sky import as_on

STEP_S: Final = QUARTER_S
DEFAULT_LOAD_W: Final = 400.0  # an average household of 3,500 kWh a year
RECENT_DAYS: Final = 7.0  # the weight of a day falls to 1/e in this time
SAME_WEEKDAY: Final = 3.0  # a day of the same kind (working day or weekend) counts this much more
NOTHING_LEFT: Final = Carry(0.0, 1.0)
USUAL_LOAD: Final = Carry(0.8, 2.5)  # of the last hour's error, where the house has not told its own yet
USUAL_PV: Final = Carry(0.9, 6.0)
PV_DAYS: Final = 14
PV_RECENT_DAYS: Final = 7.0
LEAST_DAYS: Final = 4  # fewer tell nothing of the spread
TAIL: Final = 0.06  # of the past days lies below the band, and above; of the days to come it is a tenth
LEAST_SPREAD: Final = 0.6  # of a day's, even for the next minutes
WIDE_LOAD: Final = (0.3, 3.0)  # shares of what is expected, where too few days are known
WIDE_PV: Final = (0.1, 1.6)
MOST_MORE: Final = 1.5  # times what is usual, at most, that the last hour says to be more


@dataclass(frozen=True, slots=True)
class Forecast:
    """W per slot: what is expected, and the band in which it comes to lie four times of five.

    `carry`: how much of the last hour's deviation is in it.
    """

    expected_w: tuple[float, ...]
    low_w: tuple[float, ...]
    high_w: tuple[float, ...]
    carry: Carry = NOTHING_LEFT

    def beside(self, more_w: Sequence[float]) -> "Forecast":
        """With so much more in each slot."""
        expected, low, high = (
            tuple(own + more for own, more in zip(one, more_w, strict=True))
            for one in (self.expected_w, self.low_w, self.high_w)
        )
        return Forecast(expected, low, high, self.carry)


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
    more, plus of the last hour's error what at this house is usually left of it. Less than a day of history: yesterday
    is the mean so far. The band is that of the past days' deviations, narrower for the next hours.
    """
    quarters = _quarters(history, edges[0], LOOK_BACK_DAYS)
    if not quarters:
        return _unknown((default_w,) * (len(edges) - 1), WIDE_LOAD, math.inf)
    local = _LocalQuarters(quarters, zone)
    now_s = edges[0].timestamp()
    error = _last_hour_error(quarters, local, now_s)
    carry = _load_carry(history, now_s, zone)
    expected, bands = [], []
    for middle_s, middle in _middles(edges):
        left = carry.at((middle_s - now_s) / 3600.0)
        past = local.past_days(middle_s, middle)
        typical = past.mean if past.count else local.mean
        expected.append(max(typical + error * left, 0.0))
        bands.append(past.band(typical, grown(left)) if past.count >= LEAST_DAYS else None)
    return _banded(expected, bands, WIDE_LOAD, math.inf, carry)


def pv_forecast(
    history: Course,
    edges: Sequence[datetime],
    max_generation_w: float | None = None,
    *,
    place: Place | None = None,
) -> Forecast:
    """Mean generation of each slot in W as a magnitude, never above `max_generation_w`.

    Mean of the last days per quarter hour of the day (UTC: the sun knows no summer time), each brought to the season of
    now where the place is known, recent ones weighing more, times what the last hour made more or less than usual, as
    far as that lasts at this place. The band is that of the days' deviations. With no history: nothing.
    """
    most = math.inf if max_generation_w is None else max_generation_w
    now_s = edges[0].timestamp()
    recorded = as_on(int(now_s // STEP_S), _quarters(history, edges[0], PV_DAYS), place)
    quarters = {quarter: max(value, 0.0) for quarter, value in recorded.items()}
    if not quarters:
        return _unknown((0.0,) * (len(edges) - 1), WIDE_PV, most)
    by_time: dict[int, _PastDays] = {}
    for quarter, value in quarters.items():
        by_time.setdefault(quarter % 96, _PastDays()).add(value, _recent(now_s / STEP_S - quarter, PV_RECENT_DAYS))
    more = _more_than_usual(quarters, FAINT * max(past.mean for past in by_time.values()), now_s)
    carry = _pv_carry(history, now_s)
    expected, bands = [], []
    for middle_s, _ in _middles(edges):
        left, past = carry.at((middle_s - now_s) / 3600.0), by_time.get(int(middle_s // STEP_S) % 96, _PastDays())
        expected.append(past.mean * (1.0 + more * left))
        bands.append(past.band(past.mean, grown(left)) if past.count >= LEAST_DAYS else None)
    return _banded(expected, bands, WIDE_PV, most, carry)


def _recent(quarters: float, days: float) -> float:
    """The weight of what was so many quarter hours ago."""
    return math.exp(-quarters / 96.0 / days)


# --- what the last hour tells of the next ones -------------------------------------------------------------


def _load_carry(history: Course, now_s: float, zone: str) -> Carry:
    """Learnt of the days before today's (UTC), so that every forecast of a day knows the same."""
    day = int(now_s // DAY_S)

    def learn() -> Carry:
        past = history.quarters((day - LOOK_BACK_DAYS) * DAY_S, day * DAY_S)
        return OtherDays(_in_local_time(past, zone), weekends=True, relative=False).carry(USUAL_LOAD)

    return history.learnt(f"load {zone}", day, learn)


def _pv_carry(history: Course, now_s: float) -> Carry:
    day = int(now_s // DAY_S)

    def learn() -> Carry:
        past = history.quarters((day - LOOK_BACK_DAYS) * DAY_S, day * DAY_S)
        return OtherDays(past, weekends=False, relative=True).carry(USUAL_PV)

    return history.learnt("generation", day, learn)


def _more_than_usual(quarters: Mapping[int, float], faint_w: float, now_s: float) -> float:
    """What the last hour made more (less: negative) than the same one of the days before, as a share of it."""
    off = usual = 0.0
    count = 0
    for quarter in range(int(now_s // STEP_S) - LAST, int(now_s // STEP_S)):
        before = [
            (quarters[then], _recent(quarter - then, PV_RECENT_DAYS))
            for then in range(quarter - 96, quarter - 96 * (PV_DAYS + 1), -96)
            if then in quarters
        ]
        if quarter in quarters and before:
            mean = sum(value * weight for value, weight in before) / sum(weight for _, weight in before)
            off, usual, count = off + quarters[quarter] - mean, usual + mean, count + 1
    return min(share_of(off, usual, faint_w, count), MOST_MORE) if count else 0.0


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


def grown(left: float) -> float:
    """How much of a day's uncertainty is there where so much of the last hour's deviation is left."""
    return math.sqrt(max(1.0 - left**2, LEAST_SPREAD**2))


def _banded(
    expected: Sequence[float],
    bands: Sequence[tuple[float, float] | None],
    wide: tuple[float, float],
    most: float,
    carry: Carry = NOTHING_LEFT,
) -> Forecast:
    """Within 0 and `most`; where too few days are known, the band is a wide share of what is expected."""
    ends = [
        ((wide[0] - 1.0) * value, (wide[1] - 1.0) * value) if band is None else band
        for value, band in zip(expected, bands, strict=True)
    ]
    middle, low, high = (
        tuple(min(max(value + away, 0.0), most) for value, away in zip(expected, aways, strict=True))
        for aways in ([0.0] * len(ends), [end[0] for end in ends], [end[1] for end in ends])
    )
    return Forecast(middle, low, high, carry)


def _unknown(expected: Sequence[float], wide: tuple[float, float], most: float) -> Forecast:
    return _banded([max(value, 0.0) for value in expected], [None] * len(expected), wide, most)


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


def _in_local_time(quarters: Mapping[int, float], zone: str) -> dict[int, float]:
    """The same quarter hours, numbered as the clock on the wall would number them."""
    place = ZoneInfo(zone)
    offset_of: dict[int, int] = {}  # the offset to UTC by hour; it never changes within one
    found = {}
    for quarter, value in quarters.items():
        hour = quarter // 4
        if hour not in offset_of:
            local = datetime.fromtimestamp(hour * 3600, place)
            offset_of[hour] = int((local.utcoffset() or timedelta()).total_seconds()) // STEP_S
        found[quarter + offset_of[hour]] = value
    return found


class _LocalQuarters:
    """Past quarters by local time of day, each with its day."""

    def __init__(self, quarters: dict[int, float], zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._by_time: dict[int, list[tuple[int, bool, float]]] = {}
        self._mean = sum(quarters.values()) / len(quarters)
        for quarter, value in _in_local_time(quarters, zone).items():
            day, at = divmod(quarter, 96)
            self._by_time.setdefault(at, []).append((day, is_weekend(day), value))

    @property
    def mean(self) -> float:
        """Of everything."""
        return self._mean

    def past_days(self, middle_s: float, middle: datetime, *, skip_day: int | None = None) -> _PastDays:
        """The same quarter hour of other days, recent days and days of the same kind weighing more."""
        offset = middle.astimezone(self._zone).utcoffset() or timedelta()
        day, at = divmod(int((middle_s + offset.total_seconds()) // STEP_S), 96)
        weekend = is_weekend(day)
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
