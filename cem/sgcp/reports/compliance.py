"""What an event asked, what was delivered against a baseline, and the verdict, for settlement. Pure.

Baseline, "high 4 of 5 with same-day adjustment": of the five most recent days of the same kind (Monday to Friday, or
the weekend) without an event and with the whole time recorded, the four with the highest mean power over the event's
time; their mean is the baseline. It is shifted by what the event's day differed from the same four days over the two
hours that end one hour before the event, at most by 20 % of the baseline: what happens in the last hour before an event
that was announced is not taken as normal. Without five such days there is no baseline, and it is said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from statistics import fmean
from zoneinfo import ZoneInfo

from cem.model.event import GridEvent, SignalKind

DAYS, HIGHEST = 5, 4
LOOK_BACK = 45
"""Days among which the five are looked for."""
MOST_ADJUSTED = 0.2
ADJUST_FROM, ADJUST_TO = timedelta(hours=3), timedelta(hours=1)
TOLERANCE, LEAST_TOLERANCE_W = 0.05, 100.0
"""Interpretation: OpenADR 3.1 names no tolerance; 5 % of what was asked, at least 100 W."""
SETTLING_S = 60
"""From the beginning of an interval on, in which the house may still be on its way."""
MOST_PARTS = 100
"""Of one event."""
RECORDED = 0.9
"""The share of minutes that must be there for a mean to count."""
LONGEST = timedelta(days=1)
"""Of an interval without an end, or a longer one, the last day is settled."""

Minutes = Sequence[tuple[int, float]]
"""(minute's start in Unix seconds, mean W, import positive), oldest first."""


class Verdict(StrEnum):
    """How a stretch came out."""

    MET = "met"
    PARTLY = "partly met"  # on average, not in every minute
    MISSED = "missed"
    UNKNOWN = "not known"  # too little was recorded, or there is no baseline where one is needed
    NOTHING_ASKED = "no power was asked for"  # prices and the like: the change is told, there is nothing to keep to


_ASKS = (
    SignalKind.DISPATCH_W,
    SignalKind.DISPATCH_CHANGE_W,
    SignalKind.IMPORT_LIMIT_W,
    SignalKind.EXPORT_LIMIT_W,
)
_STEERS = (SignalKind.IMPORT_PRICE_PER_KWH, SignalKind.EXPORT_PRICE_PER_KWH, SignalKind.LOAD_SHAPE)


@dataclass(frozen=True, slots=True)
class Stretch:
    """[start, end) in which one thing was asked; `kind` None: nothing that a power can be held against."""

    start: datetime
    end: datetime
    kind: SignalKind | None
    asked: float | None


@dataclass(frozen=True, slots=True)
class Baseline:
    """The power that would have been, W; `days` are those it was made of."""

    power_w: float
    adjustment_w: float
    days: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """One stretch, settled. Powers are means in W, import positive; `shed_wh` positive is less than the baseline."""

    stretch: Stretch
    baseline: Baseline | None
    delivered_w: float | None
    tolerance_w: float
    verdict: Verdict
    shed_wh: float | None
    incentive: float | None  # in the tariff's currency; None without a rate or a baseline
    overridden_w: float | None = None  # the limit of somebody else that did not leave room for what was asked


def stretches(event: GridEvent, until: datetime) -> list[Stretch]:
    """What an event asked up to `until`, interval by interval; of a test event nothing."""
    found = []
    for interval in event.intervals if not event.test else ():
        end = until if interval.end is None else min(interval.end, until)
        start = max(interval.start, end - LONGEST)
        kinds = [kind for kind in _ASKS if kind in interval.signals]
        steers = any(kind in interval.signals for kind in _STEERS)
        if start < end and (kinds or steers):
            asked = interval.signals[kinds[0]] if kinds else None
            found.append(Stretch(start, end, kinds[0] if kinds else None, asked))
    if len(found) > MOST_PARTS:  # whole days of quarter-hourly prices say no more than what was asked for
        found = [stretch for stretch in found if stretch.kind is not None][:MOST_PARTS]
    return found


def similar_days(start: datetime, zone: ZoneInfo, taken: frozenset[date]) -> list[date]:
    """The days of the same kind before an instant, the nearest first, without those on which an event ran."""
    today = start.astimezone(zone).date()
    days = [today - timedelta(days=ago) for ago in range(1, LOOK_BACK + 1)]
    return [day for day in days if (day.weekday() < 5) == (today.weekday() < 5) and day not in taken]


def on_day(at: datetime, of: datetime, day: date, zone: ZoneInfo) -> datetime:
    """The instant that lies to `day` as `at` lies to the local day of `of`, by the clock on the wall."""
    local = at.astimezone(zone)
    shift = local.date() - of.astimezone(zone).date()
    return datetime.combine(day + shift, time(local.hour, local.minute, local.second), zone)


def mean_w(minutes: Minutes, start: datetime, end: datetime) -> float | None:
    """The mean power of [start, end); None where too little of it was recorded."""
    held, span_s = within(minutes, start, end)
    return fmean(power for _, power in held) if held and len(held) * 60 >= RECORDED * span_s else None


def within(minutes: Minutes, start: datetime, end: datetime) -> tuple[Minutes, float]:
    """The minutes that tell of [start, end), and of how many seconds they should.

    A minute that lies across an edge belongs to what was before or came after as well: it counts only where there is
    no whole one.
    """
    first, last = start.timestamp(), end.timestamp()
    begin, finish = math.ceil(first / 60) * 60, math.floor(last / 60) * 60
    if begin < finish:
        return [(at, power) for at, power in minutes if begin <= at < finish], finish - begin
    return [(at, power) for at, power in minutes if first - 59 <= at < last], last - first


def baseline(days: Mapping[date, tuple[float, float | None]], before_w: float | None) -> Baseline | None:
    """The baseline of (mean over the event's time, mean over the time before) by day, the five nearest ones.

    `before_w` is the mean over the time before on the event's own day; without it nothing is adjusted.
    """
    nearest = sorted(days, reverse=True)[:DAYS]
    if len(nearest) < DAYS:
        return None
    highest = sorted(nearest, key=lambda day: days[day][0], reverse=True)[:HIGHEST]
    plain_w = fmean(days[day][0] for day in highest)
    earlier = [before for day in highest if (before := days[day][1]) is not None]
    shift_w = 0.0
    if before_w is not None and len(earlier) == HIGHEST:
        bound_w = MOST_ADJUSTED * abs(plain_w)
        shift_w = min(max(before_w - fmean(earlier), -bound_w), bound_w)
    return Baseline(plain_w + shift_w, shift_w, tuple(sorted(highest)))


def settled(stretch: Stretch, minutes: Minutes, base: Baseline | None, rate_per_kwh: float | None) -> Settled:
    """The stretch with its verdict. `rate_per_kwh` pays for every kWh below the baseline where it was kept to."""
    hours = (stretch.end - stretch.start) / timedelta(hours=1)
    delivered_w = mean_w(minutes, stretch.start, stretch.end)
    tolerance_w = max(TOLERANCE * abs(stretch.asked or 0.0), LEAST_TOLERANCE_W)
    verdict = _verdict(stretch, minutes, base, delivered_w, tolerance_w)
    shed_wh = None if base is None or delivered_w is None else (base.power_w - delivered_w) * hours
    incentive = None
    if rate_per_kwh is not None and shed_wh is not None:
        earns = verdict in (Verdict.MET, Verdict.PARTLY, Verdict.NOTHING_ASKED)
        incentive = max(shed_wh, 0.0) / 1000 * rate_per_kwh if earns else 0.0
    return Settled(stretch, base, delivered_w, tolerance_w, verdict, shed_wh, incentive)


def overridden_w(stretch: Stretch, others: Mapping[SignalKind, float]) -> float | None:
    """The limit of others that a dispatch could not be followed beside, a magnitude; None: there was none."""
    if stretch.kind is not SignalKind.DISPATCH_W or stretch.asked is None:
        return None
    side = SignalKind.IMPORT_LIMIT_W if stretch.asked >= 0 else SignalKind.EXPORT_LIMIT_W
    limit_w = others.get(side)
    return limit_w if limit_w is not None and limit_w < abs(stretch.asked) else None


def _verdict(
    stretch: Stretch, minutes: Minutes, base: Baseline | None, delivered_w: float | None, tolerance_w: float
) -> Verdict:
    if stretch.kind is None or stretch.asked is None:
        return Verdict.NOTHING_ASKED
    if delivered_w is None or (stretch.kind is SignalKind.DISPATCH_CHANGE_W and base is None):
        return Verdict.UNKNOWN
    first, last = stretch.start.timestamp() + SETTLING_S, stretch.end.timestamp()
    whole = [power for at, power in minutes if first <= at and at + 60 <= last] or [delivered_w]
    base_w = 0.0 if base is None else base.power_w
    if all(_off_w(stretch.kind, stretch.asked, power, base_w) <= tolerance_w for power in whole):
        return Verdict.MET
    return (
        Verdict.PARTLY if _off_w(stretch.kind, stretch.asked, fmean(whole), base_w) <= tolerance_w else Verdict.MISSED
    )


def _off_w(kind: SignalKind, asked: float, power_w: float, base_w: float) -> float:
    """How far a power is from what was asked; zero or less where it keeps to it."""
    match kind:
        case SignalKind.IMPORT_LIMIT_W:
            return power_w - asked
        case SignalKind.EXPORT_LIMIT_W:
            return -power_w - asked
        case SignalKind.DISPATCH_CHANGE_W:  # more than was asked, in its direction, is no fault
            return (power_w - base_w - asked) * (1 if asked <= 0 else -1)
        case _:
            return abs(power_w - asked)
