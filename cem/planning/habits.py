"""When a car usually leaves and how much it takes by then: learnt of its stays at the charging point.

For a car for which nobody names a time and an amount. Nothing is looked at but what is over; a stay that the record
does not show whole teaches nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cem.planning.carry import is_weekend
from cem.planning.past import DAY_S, Course

GAP_S: Final = 900
"""A longer hole in the record ends what is known of a stay."""
SHORTEST_S: Final = 900
"""Who stays less, or takes less than `LEAST_WH`, is no guide to who stays."""
LEAST_WH: Final = 500.0
FEW: Final = 4
"""Stays of a kind from which on something is said of the next one."""
RARE: Final = 0.15
"""Share of the stays that may end sooner than the time that is kept, or take more than the energy that is."""
LIKE_S: Final = 4 * 3600
"""Stays that began at about the same time of day, that is within so much."""
LEAD: Final = timedelta(minutes=30)
"""Ready so much ahead of the time at which it usually leaves."""


@dataclass(frozen=True, slots=True)
class Stay:
    """From being plugged in to being unplugged, Unix seconds; what was charged meanwhile, Wh."""

    begin_s: int
    end_s: int
    taken_wh: float


@dataclass(frozen=True, slots=True)
class Habit:
    """What is expected of the present stay: it ends hardly before `leaves_at` and takes hardly more than `takes_wh`.

    `most_wh` is the most that such a stay took; `stays` how many tell so. Energies at the meter of the charging point.
    """

    leaves_at: datetime
    takes_wh: float
    most_wh: float
    taken_wh: float  # so far
    stays: int


def stays_of(plugged: Course, power: Course) -> tuple[list[Stay], Stay | None]:
    """All whole stays, oldest first, and the one that goes on, if any; `plugged` is 1 or 0 per minute."""
    drawn = {start: power_w for start, power_w in power.minutes() if math.isfinite(power_w)}
    ended: list[Stay] = []
    begin: int | None = None
    whole, taken, before, was = False, 0.0, None, False
    for start, share in plugged.minutes():
        there = share >= 0.5
        lost = before is None or start - before > GAP_S
        if there:
            if begin is None or lost:  # how long it has been there already is not known after a hole
                begin, whole, taken = start, not lost, 0.0
            taken += max(drawn.get(start, 0.0), 0.0) / 60.0
        elif begin is not None:
            if was and whole and not lost:
                ended.append(Stay(begin, start, taken))
            begin = None
        before, was = start, there
    return ended, None if begin is None else Stay(begin, begin if before is None else before + 60, taken)


def habit_of(plugged: Course, power: Course, now: datetime, zone: str) -> Habit | None:
    """What is to be expected of the car that is plugged in now; None where too little is known."""
    ended, present = stays_of(plugged, power)
    if present is None:  # it has just come: its first minute is not over
        at_s = int(now.timestamp())
        present = Stay(at_s, at_s, 0.0)
    local = ZoneInfo(zone)
    told = [stay for stay in ended if stay.end_s - stay.begin_s >= SHORTEST_S and stay.taken_wh >= LEAST_WH]
    like = _like(told, present.begin_s, local)
    midnight = _midnight(present.begin_s, local)
    leaves = sorted((midnight + _since_midnight(stay, local)).replace(tzinfo=local) for stay in like)
    later = [instant for instant in leaves if instant > now]
    if len(like) < FEW or not later:
        return None
    takes = sorted(stay.taken_wh for stay in like)
    return Habit(
        leaves_at=later[int(RARE * len(later))].astimezone(now.tzinfo),
        takes_wh=takes[-1 - int(RARE * len(takes))],
        most_wh=takes[-1],
        taken_wh=present.taken_wh,
        stays=len(like),
    )


def _like(stays: Sequence[Stay], begin_s: int, local: ZoneInfo) -> list[Stay]:
    """Those that began at about this time of day; on days of the same kinds where these are enough."""
    then = _clock_s(begin_s, local)
    near = [stay for stay in stays if min((d := abs(_clock_s(stay.begin_s, local) - then)), DAY_S - d) <= LIKE_S]
    kinds = _kinds(begin_s, local)
    for last in (0, 1):  # of the day and the next one, of the next one alone
        alike = [stay for stay in near if _kinds(stay.begin_s, local)[last:] == kinds[last:]]
        if len(alike) >= FEW:
            return alike
    return near


def _kinds(at_s: int, local: ZoneInfo) -> tuple[bool, bool]:
    """Whether the local day of an instant and the next one are of a weekend."""
    day = (datetime.fromtimestamp(at_s, local).date() - date(1970, 1, 1)).days
    return is_weekend(day), is_weekend(day + 1)


def _midnight(at_s: int, local: ZoneInfo) -> datetime:
    """The begin of an instant's local day, as a wall clock shows it."""
    return datetime.fromtimestamp(at_s, local).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)


def _since_midnight(stay: Stay, local: ZoneInfo) -> timedelta:
    """When a stay ended, by the wall clock from the begin of its first day on."""
    end = datetime.fromtimestamp(stay.end_s, local).replace(tzinfo=None)
    return end - _midnight(stay.begin_s, local)


def _clock_s(at_s: int, local: ZoneInfo) -> int:
    at = datetime.fromtimestamp(at_s, local)
    return at.hour * 3600 + at.minute * 60 + at.second
