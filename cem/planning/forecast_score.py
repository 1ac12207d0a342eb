"""How good the forecasts of a day were: made anew from what was known at its begin, held against what came.

A forecast is a pure function of the past, so that the one of midnight can be made again when its day is over.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cem.model.site import Place
from cem.planning.forecast import Forecast, load_forecast, pv_forecast
from cem.planning.past import QUARTER_S, Course, Past

ENOUGH: Final = 0.9  # of the quarter hours of a day must be known
DARK_W: Final = 1.0  # where no more is expected at best, nothing is judged


@dataclass(frozen=True, slots=True)
class PowerScore:
    """One power over a day: energies in Wh, mean errors per quarter hour in W, share of those in the band.

    `before_error_w` is the error of the day before taken as the forecast, None where that is not known.
    """

    expected_wh: float
    came_wh: float
    error_w: float
    before_error_w: float | None
    in_band: float


@dataclass(frozen=True, slots=True)
class ForecastScore:
    """A local day's forecasts judged; None for what was not recorded enough of."""

    day: date
    load: PowerScore | None
    sun: PowerScore | None


def day_edges(day: date, zone: str) -> tuple[datetime, ...]:
    """The quarter hours of a local day, 92 or 100 of them when the clocks change."""
    begin_s, end_s = (
        int(datetime.combine(one, time(0), ZoneInfo(zone)).timestamp()) for one in (day, day + timedelta(days=1))
    )
    return tuple(datetime.fromtimestamp(at, ZoneInfo("UTC")) for at in range(begin_s, end_s + 1, QUARTER_S))


def score_of(
    past: Past, day: date, zone: str, max_generation_w: float | None, place: Place | None = None
) -> ForecastScore:
    """The forecasts of the day's first instant, from what `past` knows of the time before it."""
    edges = day_edges(day, zone)
    return ForecastScore(
        day,
        _scored(past.load, edges, load_forecast(past.load, edges, zone)),
        _scored(past.generation, edges, pv_forecast(past.generation, edges, max_generation_w, place=place)),
    )


def _scored(course: Course, edges: tuple[datetime, ...], forecast: Forecast) -> PowerScore | None:
    begin_s, end_s = edges[0].timestamp(), edges[-1].timestamp()
    came = course.quarters(begin_s, end_s)
    if len(came) < ENOUGH * (len(edges) - 1) or not course.quarters(begin_s - 86400.0, begin_s):
        return None
    first = int(begin_s) // QUARTER_S
    slots = [k for k in range(len(edges) - 1) if first + k in came]
    errors = [abs(forecast.expected_w[k] - came[first + k]) for k in slots]
    judged = [k for k in slots if forecast.high_w[k] > DARK_W]
    inside = sum(forecast.low_w[k] - DARK_W <= came[first + k] <= forecast.high_w[k] + DARK_W for k in judged)
    return PowerScore(
        expected_wh=sum(forecast.expected_w[k] for k in slots) / 4.0,
        came_wh=sum(came[first + k] for k in slots) / 4.0,
        error_w=sum(errors) / len(errors),
        before_error_w=_before(course.quarters(begin_s - 86400.0, begin_s), came),
        in_band=inside / len(judged) if judged else 1.0,
    )


def _before(yesterday: Mapping[int, float], came: Mapping[int, float]) -> float | None:
    pairs = [(yesterday[q - 96], value) for q, value in came.items() if q - 96 in yesterday]
    return sum(abs(a - b) for a, b in pairs) / len(pairs) if len(pairs) >= ENOUGH * len(came) else None
