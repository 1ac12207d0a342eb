"""Reads a composite schedule: what limit holds now, and when that ends."""

import math

from cem_drivers.ocpp.conversation import Payload, objects_in, text_in, whole_in
from cem_drivers.ocpp.station import Composite

NEAR = 0.05
"""Limits nearer than this are the same: chargers write 10 A as 9.99."""


def composite_of(schedule: Payload, starts_s: float | None, now_s: float | None, asked_s: int) -> Composite | None:
    """The limit that holds now; None where the schedule is empty or no schedule.

    `starts_s` and `now_s` are Unix seconds by the charger's clock; where one is missing the schedule begins now.
    """
    periods = (
        sorted(
            (float(start), _limit(period), whole_in(period, "numberPhases"))
            for period in objects_in(schedule.get("chargingSchedulePeriod"))
            if (start := whole_in(period, "startPeriod")) is not None and not math.isnan(_limit(period))
        )
        if schedule
        else []
    )
    if not periods:
        return None
    into_s = 0.0 if starts_s is None or now_s is None else max(0.0, now_s - starts_s)
    if into_s > asked_s:
        into_s = 0.0  # a start that has nothing to do with what was asked
    current = [period for period in periods if period[0] <= into_s] or periods[:1]
    _, limit, phases = current[-1]
    later = [start - into_s for start, other, _ in periods if start > into_s and abs(other - limit) > NEAR]
    ends_s = later[0] if later else None
    duration_s = whole_in(schedule, "duration")
    if ends_s is None and duration_s is not None and 0 < duration_s - into_s < asked_s - 1:
        ends_s = duration_s - into_s
    return Composite(text_in(schedule, "chargingRateUnit") or "A", limit, phases, ends_s)


def _limit(period: Payload) -> float:
    """The limit, also where it is written as a text; NaN for none."""
    value = period.get("limit")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) and number >= 0 else math.nan
