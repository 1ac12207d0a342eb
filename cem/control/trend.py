"""How fast what nobody controls changes: devices follow seconds later, so that a limit needs room while it rises."""

import math

from cem.model.values import value

FOLLOW_S = 5.0  # after a tick: the wait for the next write (4 s for some), and the device's own delay
SMOOTH_S = 5.0
MEAN_S = 300.0
"""Of the mean: what a contactor is closed or opened for, which then stays so for as long."""
LONGEST_GAP_S = 10.0  # of what ticks oftener
MOST_W = 1500.0  # no more room than this is kept, whatever the trend says
MOST_LEAD_W = 100.0  # beyond a limit, to meet the trend: what changes more between two ticks does so in steps
MOST_OUT_W = 65.0  # where it would flow out if the trend ends: a house that may not feed in shows no 100 W
MOST_LEAD_WS = 3000.0  # nor more in one tick than a minute's mean may be, if the trend ends there


@value(frozen=True, slots=True)
class Trend:
    """Load and sun together at `at_s`, their last change, and its smoothed course. W and W/s; more load is positive."""

    house_w: float
    at_s: float
    last_w_per_s: float = 0.0
    w_per_s: float = 0.0
    every_s: float = 0.0  # between the last two values: a tick, or what a meter takes that is asked less often
    mean_w: float | None = None  # of the last minutes; None: this is the first value


def followed(before: Trend | None, house_w: float, now_s: float) -> Trend:
    """The trend with one more value of `now_s`. A step is no trend: of two changes in a row the smaller counts."""
    if before is None:
        return Trend(house_w, now_s, mean_w=house_w)
    lasted_s = now_s - before.at_s
    if lasted_s > max(LONGEST_GAP_S, 1.5 * before.every_s):
        mean_w = _mean_w(before, house_w, lasted_s)
        return Trend(house_w, now_s, every_s=lasted_s, mean_w=mean_w)  # a gap, or the first of long ticks
    if lasted_s < 0.5:  # the meter has said nothing new
        return before
    change = (house_w - before.house_w) / lasted_s
    lasting = 0.0
    if change * before.last_w_per_s > 0.0:
        lasting = math.copysign(min(abs(change), abs(before.last_w_per_s)), change)
    share = 1.0 - math.exp(-lasted_s / SMOOTH_S)
    w_per_s = before.w_per_s + share * (lasting - before.w_per_s)
    return Trend(house_w, now_s, change, w_per_s, lasted_s, _mean_w(before, house_w, lasted_s))


def _mean_w(before: Trend, house_w: float, lasted_s: float) -> float:
    known_w = before.house_w if before.mean_w is None else before.mean_w
    return house_w + math.exp(-lasted_s / MEAN_S) * (known_w - house_w)


def room_w(trend: Trend | None, *, importing: bool) -> float:
    """What to stay further inside a limit because of the trend: what it brings until the next tick is followed."""
    if trend is None:
        return 0.0
    towards = trend.w_per_s if importing else -trend.w_per_s
    return min(MOST_W, max(0.0, towards) * (trend.every_s + FOLLOW_S))


def lead_w(trend: Trend | None) -> float:
    """By how much load and sun will have changed by the next tick; more load is positive."""
    if trend is None:
        return 0.0
    most_w = min(MOST_LEAD_W, MOST_LEAD_WS / max(1.0, trend.every_s))
    return min(most_w, MOST_OUT_W, max(-most_w, trend.w_per_s * trend.every_s))


def fall_w(trend: Trend | None) -> float:
    """By how much load less sun will have fallen by the next tick; a magnitude."""
    return 0.0 if trend is None else max(0.0, -trend.w_per_s) * trend.every_s
