"""What is known of a car from how it behaved: whether it draws, how much, below which current it stops."""

import math

from cem.control.memory import LONG_AGO_S, ChargerMemory
from cem.control.picture import ChargerPicture
from cem.control.tuning import (
    EV_DRAWS_W,
    EV_FOLLOW_S,
    EV_IDLE_S,
    EV_MIN_ON_S,
    EV_RETRY_S,
    EV_SATED_S,
    EV_SPARE_A,
    EV_STOPS_BELOW_A,
)
from cem.model.values import replace


def observed(
    charger: ChargerPicture, before: ChargerMemory | None, now_s: float, follows_in_s: float = EV_FOLLOW_S
) -> ChargerMemory:
    """The memory brought up to what the charger shows now; its car is seen to follow after `follows_in_s`."""
    if before is None or not before.met:
        return replace(_met(charger, before, now_s), follows_in_s=follows_in_s)
    if before.follows_in_s != follows_in_s:
        before = replace(before, follows_in_s=follows_in_s)
    if charger.closed != before.closed:
        # minimum times count from the contactor's own doing, seconds after our word; closed against it is not ours
        foreign = charger.closed and before.limit_a == 0.0
        at_s = before.switched_at_s if foreign else now_s
        before = replace(before, closed=charger.closed, switched_at_s=at_s)
    if charger.draws_phases is not None and charger.draws_phases != before.draws_phases:
        before = replace(before, draws_phases=charger.draws_phases)
    least_a = charger.resource.ratings.min_current_a
    drawing = charger.closed and charger.power_w > EV_DRAWS_W  # what is only supposed of an open one teaches nothing
    known = before
    if before.limit_a < least_a:
        return before
    taken_at_s = now_s - charger.age_s
    followed = taken_at_s - before.offered_at_s >= before.follows_in_s
    low = before.limit_a < EV_STOPS_BELOW_A and followed
    was_low = before.limit_a >= EV_STOPS_BELOW_A and taken_at_s - before.low_at_s < before.follows_in_s
    if drawing:
        return replace(known, idle_since_s=None, drew=True)
    if before.drew and (low or was_low) and before.least_a < EV_STOPS_BELOW_A:
        known = replace(known, least_a=EV_STOPS_BELOW_A)
    return replace(known, idle_since_s=now_s if before.idle_since_s is None else before.idle_since_s)


def _met(charger: ChargerPicture, before: ChargerMemory | None, now_s: float) -> ChargerMemory:
    """What to think of a charger at first sight: as it stands, whatever a former run left.

    A contactor counts as switched just now where it is closed and the former run did not leave it so, or where that
    left it closed and it is open: minimum times hold for longer rather than for too short. What was stopped and is open
    is stopped still, though its charging point offers something by itself since it was handed back.
    """
    known = before or ChargerMemory(0.0)
    offers_a = float(math.floor(_offered_a(charger)))
    offered = offers_a >= charger.resource.ratings.min_current_a and (before is None or before.limit_a > 0.0)
    on = charger.closed or offered
    as_left = before is not None and on == (before.limit_a > 0.0) and charger.closed == before.closed
    return replace(
        known,
        limit_a=(max(offers_a, charger.resource.ratings.min_current_a) if on else 0.0),
        switched_at_s=known.switched_at_s if as_left or not (charger.closed or before) else now_s,
        offered_at_s=now_s if on else LONG_AGO_S,
        drew=charger.power_w > EV_DRAWS_W,
        draws_phases=charger.draws_phases,
        closed=charger.closed,
    )


def least_a(charger: ChargerPicture, memory: ChargerMemory) -> float:
    """The smallest current that this car charges with."""
    most = charger.resource.ratings.max_current_a or 0.0
    return min(max(charger.resource.ratings.min_current_a, memory.least_a), max(most, 6.0))


def idle(memory: ChargerMemory, now_s: float) -> bool:
    """Whether the car has left an offer unused for so long that nothing is kept for it; asked again now and then."""
    return unused(memory, now_s) and not asked_again(memory, now_s)


def asked_again(memory: ChargerMemory, now_s: float) -> bool:
    """Whether a car that has left an offer unused is asked again just now."""
    return unused(memory, now_s) and (now_s - (memory.idle_since_s or 0.0)) % EV_RETRY_S < EV_IDLE_S


def unused(memory: ChargerMemory, now_s: float) -> bool:
    """Whether the car has left an offer unused for so long that nobody waits for it any more."""
    return memory.idle_since_s is not None and now_s - memory.idle_since_s >= EV_IDLE_S


def asleep_a(charger: ChargerPicture, memory: ChargerMemory) -> float:
    """What a car is offered that draws nothing: enough to wake it, and little that others must give back at once."""
    return math.ceil(max(least_a(charger, memory), EV_STOPS_BELOW_A))


def spare_a(charger: ChargerPicture, memory: ChargerMemory, now_s: float) -> float | None:
    """The most that is worth keeping for the car: a little above what it is seen to draw; None: not known yet."""
    asked_at_s = max(memory.offered_at_s, memory.switched_at_s)  # a car that has just begun still rises
    if (
        charger.power_w <= EV_DRAWS_W
        or memory.limit_a == 0.0
        or now_s - charger.age_s - asked_at_s < memory.follows_in_s
    ):
        return None
    if uses(charger, memory.limit_a):
        return None
    if charger.amperes + EV_SPARE_A + 1.0 > memory.limit_a:
        return memory.limit_a  # as it is, so that what it draws may waver
    return max(EV_STOPS_BELOW_A, float(math.ceil(charger.amperes + EV_SPARE_A)))  # no offer that could end the charge


def uses(charger: ChargerPicture, offered_a: float) -> bool:
    """Whether the car takes an offer as a whole, so that it may want more."""
    return charger.amperes + 1.0 > offered_a


def reserved_w(charger: ChargerPicture, limit_a: float, memory: ChargerMemory, now_s: float) -> float:
    """What must be kept free for the car: what it may draw, unless it was seen not to."""
    if idle(memory, now_s):
        return charger.power_w
    return max(charger.power_w, limit_a * charger.watts_per_amp)


def told_w(charger: ChargerPicture, memory: ChargerMemory, now_s: float) -> float:
    """What the car was told before this tick, as long as it may not have followed it yet; 0 later."""
    asked_at_s = max(memory.offered_at_s, memory.switched_at_s)
    follows = charger.plugged and now_s - charger.age_s - asked_at_s < memory.follows_in_s
    return memory.limit_a * charger.watts_per_amp if follows else 0.0


def leaving_w(charger: ChargerPicture, memory: ChargerMemory, now_s: float) -> float:
    """What the car still draws beyond its offer, as long as it may just be following it."""
    follows = now_s - max(memory.offered_at_s, memory.switched_at_s) < memory.follows_in_s
    return max(0.0, charger.power_w - memory.limit_a * charger.watts_per_amp) if follows else 0.0


def _offered_a(charger: ChargerPicture) -> float:
    """What it lets the car draw now by itself, as it says, else as the car shows."""
    if charger.offers_a is not None:
        return charger.offers_a
    return charger.amperes if charger.closed else 0.0


def kept_on(memory: ChargerMemory, now_s: float) -> bool:
    """Whether it may not be switched off yet: its contactor has just closed, or the car was just asked to close it."""
    for_s = now_s - memory.switched_at_s
    return memory.limit_a > 0.0 and for_s < (EV_MIN_ON_S if memory.closed else memory.follows_in_s)


def after(
    charger: ChargerPicture, memory: ChargerMemory, limit_a: float, now_s: float, *, wishes: bool
) -> ChargerMemory:
    """The memory after `limit_a` was decided; `wishes`: the car would charge. A car has nothing to follow where only
    what it leaves unused is taken.

    An offer that is taken back before the contactor closed has worn nothing: no pause begins with it. Nor does one that
    is taken back because nothing was to be charged then tell that the car wants nothing, unless it had long shown so.
    """
    worn = limit_a > 0.0 or memory.closed or memory.drew or charger.power_w > EV_DRAWS_W
    unused = limit_a < memory.limit_a and not uses(charger, limit_a)
    offered = limit_a > 0.0 and limit_a != memory.limit_a and not unused
    waits_s = now_s if memory.waits_since_s is None else memory.waits_since_s
    idle_since_s = memory.idle_since_s
    if limit_a == 0.0 and not wishes and idle_since_s is not None and now_s - idle_since_s < EV_SATED_S:
        idle_since_s = None
    return replace(
        memory,
        limit_a=limit_a,
        switched_at_s=now_s if worn and (memory.limit_a > 0.0) != (limit_a > 0.0) else memory.switched_at_s,
        offered_at_s=now_s if offered else memory.offered_at_s if limit_a > 0.0 else LONG_AGO_S,
        idle_since_s=idle_since_s,
        drew=memory.drew and limit_a > 0.0,
        low_at_s=now_s if 0.0 < limit_a < EV_STOPS_BELOW_A else memory.low_at_s,
        waits_since_s=waits_s if wishes and limit_a == 0.0 else None,
        met=True,
    )
