"""How late the meter is: what a battery has done shows in its word some seconds after the battery tells it.

The load is the meter's power less the batteries' of the same moment. With another moment each movement of a battery
looks like a load that comes and goes, the battery answers it, and the house swings. Meters that an inverter asks every
few seconds, or that come by way of a server, are so late; nobody tells by how much. But at the right lateness the load
is calmest, and that shows as soon as a battery has moved.
"""

import math
from bisect import bisect_right
from typing import Final

from cem.control.memory import Lateness
from cem.control.picture import Picture
from cem.control.tuning import METER_LATE_MOST_S, SKEW_HOLD_S
from cem.model.values import replace

TICK_S: Final = 5.0
"""Ticks further apart see only what is over: meter and batteries have followed since."""
FORGETS_S: Final = 60.0
CALMER: Final = 0.6
"""Times as much as the load moves at the lateness that is believed: less tells another one."""
SHOWN_W: Final = 500.0
"""So far must batteries and cars have moved to tell anything."""
TURNED_W: Final = 2000.0
"""And so far to tell that the meter counts backwards:"""
RESTLESS, CALM = 1.5, 0.5
"""the load moves so much beside what they did, at any lateness, and so little if it is taken the other way round."""
STILL_W: Final = 20.0
_TRAIL_S: Final = 30.0


def followed(before: Lateness, picture: Picture, now_s: float, *, nothing_new: bool, doubted: bool) -> Lateness:
    """What this tick's measurements tell of the meter's lateness; `picture` as it was measured.

    `nothing_new`: the meter has not spoken since the last tick; `doubted`: it counts backwards, which would look like
    one that is late by half a swing. Batteries that are read more seldom than the meter are looked at when they were
    read with it, if they ever are: in between it shows what they tell a tick later.
    """
    if not picture.batteries or picture.load_w is None:
        return replace(before, trail=()) if before.trail else before
    # what can be read again, or no longer, has not moved
    told = (*[b.resource.id for b in picture.batteries], *[c.resource.id for c in picture.chargers])
    told_w = picture.battery_w + picture.ev_w
    if doubted:
        return Lateness(0.0, told, ((now_s, told_w),))
    if before.told != told or not before.trail:
        return Lateness(before.seconds, told, ((now_s, told_w),), gave_w=(told_w,) * (METER_LATE_MOST_S + 1))
    gone_s = now_s - before.trail[-1][0]
    if gone_s > TICK_S:
        return Lateness(0.0, told, ((now_s, told_w),))
    old = bisect_right(before.trail, (now_s - _TRAIL_S, math.inf))
    trail = (*before.trail[old:], (now_s, told_w))
    if nothing_new or (picture.skewed and now_s - before.heard_at_s <= SKEW_HOLD_S):
        return replace(before, trail=trail)
    around_w = picture.load_w + told_w
    gave_w = _gave_w(trail, now_s)
    if before.around_w is None:
        return replace(before, trail=trail, heard_at_s=now_s, around_w=around_w, gave_w=gave_w)
    keeps = math.exp(-(now_s - before.heard_at_s) / FORGETS_S)
    change_w = around_w - before.around_w
    moves_w = [new - old for new, old in zip(gave_w, before.gave_w, strict=True)]
    shown_w = tuple([keeps * so_far + abs(move) for so_far, move in zip(before.shown_w, moves_w, strict=True)])
    rough_w = tuple(
        [keeps * so_far + abs(change_w - move) for so_far, move in zip(before.rough_w, moves_w, strict=True)]
    )
    turned_w = tuple(
        [keeps * so_far + abs(change_w + move) for so_far, move in zip(before.turned_w, moves_w, strict=True)]
    )
    return Lateness(
        float(_calmest(int(before.seconds), shown_w, rough_w)),
        told, trail, now_s, around_w, gave_w, shown_w, rough_w, turned_w,
    )  # fmt: skip


def turned(late: Lateness) -> bool:
    """Whether the load is calm only if the meter counts backwards, however late it may be."""
    each = zip(late.shown_w, late.rough_w, late.turned_w, strict=True)
    shown = [(rough / moved, against / moved) for moved, rough, against in each if moved >= TURNED_W]
    restless = min([rough for rough, _ in shown], default=0.0)
    return restless >= RESTLESS and min([against for _, against in shown]) <= CALM


def aligned(picture: Picture, late: Lateness) -> Picture:
    """The picture with the load of the moment of which the meter tells."""
    if not late.seconds or picture.load_w is None or not late.gave_w:
        return picture
    return replace(picture, load_w=picture.load_w + late.gave_w[0] - late.gave_w[int(late.seconds)])


def _gave_w(trail: tuple[tuple[float, float], ...], now_s: float) -> tuple[float, ...]:
    """The power of batteries and cars now, a second ago, and so on."""
    powers = [watts for _, watts in trail]
    if max(powers) - min(powers) <= STILL_W:
        return (powers[-1],) * (METER_LATE_MOST_S + 1)
    found, at = [], len(trail) - 1
    for ago in range(METER_LATE_MOST_S + 1):
        while at > 0 and trail[at][0] > now_s - ago + 1e-6:
            at -= 1
        found.append(powers[at])
    return tuple(found)


def _calmest(believed: int, shown_w: tuple[float, ...], rough_w: tuple[float, ...]) -> int:
    """The lateness at which the load moves least beside what the batteries did; the former if none is much better."""
    best, least = believed, math.inf
    for seconds, (shown, rough) in enumerate(zip(shown_w, rough_w, strict=True)):
        if shown >= SHOWN_W and rough < least * shown:
            best, least = seconds, rough / shown
    if shown_w[believed] < SHOWN_W or least > CALMER * rough_w[believed] / shown_w[believed]:
        return believed
    return best
