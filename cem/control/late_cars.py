"""Cars whose power is told seldom: what they must have begun or ceased to draw since, as the meter shows it.

A charger over OCPP tells its power every ten seconds. In between, what its car takes would be load: a battery would
cover it, and the fuse would be shared as if the car took it twice.
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from cem.control.memory import Memory
from cem.control.picture import ChargerPicture, Picture
from cem.control.steady import SAME_SHARE, SAME_W
from cem.control.tuning import EV_DRAWS_W
from cem.control.wishes import most_a
from cem.model.values import replace

_NONE: Mapping[str, float] = MappingProxyType({})


def supposed(
    picture: Picture, memory: Memory, now_s: float, unheeding: Collection[str] = ()
) -> tuple[Picture, Mapping[str, float]]:
    """The picture with what the load has changed by given to the cars that are just following a new offer, and what
    each was given, W.

    No further than the offer: what exceeds it is load, as is all that happens while no car has anything to follow,
    but for a car without which the house would give: that one has ended, or was unplugged. A car at a charger that
    takes no word (`unheeding`) may begin at any time, with all that this offers by itself. What a car was given it
    keeps until its charger tells its power anew, as far as the load has not fallen by it again: what falls by more
    than that is of the house.
    """
    if picture.load_w is None or memory.house_w is None or not any(c.late for c in picture.chargers):
        return picture, _NONE
    change_w, taken_w = picture.load_w - picture.switched_w - memory.house_w, 0.0
    kept_w = _kept_w(picture, memory, now_s)
    falls = _falls(memory.house_w, change_w, sum(kept_w.values()))
    dues_w = [
        _own_w(charger) if charger.resource.id in unheeding else _due_w(charger, memory, now_s)
        for charger in picture.chargers
    ]
    chargers, found = [*picture.chargers], {}
    for place in sorted(range(len(chargers)), key=dues_w.__getitem__):  # who was told to take less comes first
        charger, due_w = chargers[place], dues_w[place]
        had_w = kept_w.get(charger.resource.id, 0.0)
        least_w = had_w if falls and due_w >= had_w else min(0.0, due_w)
        if _has_ended(charger, memory.house_w, change_w - taken_w):
            least_w = due_w = -charger.power_w
        took_w = min(max(change_w - taken_w, least_w), max(0.0, due_w, had_w))
        if took_w:
            chargers[place] = replace(charger, power_w=charger.power_w + took_w)
            found[charger.resource.id] = took_w
            taken_w += took_w
    if not found:
        return picture, _NONE
    return replace(picture, load_w=picture.load_w - taken_w, chargers=tuple(chargers)), found


def _falls(house_w: float, change_w: float, kept_w: float) -> bool:
    """Whether the load has fallen by so much more than cars were given that it is the house's, which had as much; else
    it is theirs, and what differs is the house's."""
    return change_w < -max(SAME_W, SAME_SHARE * kept_w) and house_w + change_w >= kept_w


def _kept_w(picture: Picture, memory: Memory, now_s: float) -> Mapping[str, float]:
    """What each car was given beyond what its charger told, which has told nothing since."""
    if not memory.supposed_w or memory.decided_at_s is None:
        return _NONE
    for_s = now_s - memory.decided_at_s
    late = {charger.resource.id for charger in picture.chargers if charger.late and charger.age_s >= for_s}
    return {key: watts for key, watts in memory.supposed_w.items() if watts > 0.0 and key in late}


def _own_w(charger: ChargerPicture) -> float:
    """What its car may take more than it was measured to, where its charger does as it likes."""
    if not charger.late or not charger.plugged:
        return 0.0
    offers_a = most_a(charger) if charger.offers_a is None else charger.offers_a
    return max(0.0, offers_a * charger.watts_per_amp - charger.power_w)


def _has_ended(charger: ChargerPicture, house_w: float, change_w: float) -> bool:
    """Whether a load that was there fell by what its car took when it was told last, and below nothing."""
    power_w = charger.power_w
    if not charger.late or power_w <= EV_DRAWS_W or house_w < 0.0 or house_w + change_w > -EV_DRAWS_W:
        return False
    return abs(change_w + power_w) <= max(SAME_W, SAME_SHARE * power_w)


def _due_w(charger: ChargerPicture, memory: Memory, now_s: float) -> float:
    """By how much its car's power will have changed once it has followed; 0 where it has nothing to follow."""
    known = memory.chargers.get(charger.resource.id)
    if known is None or not known.met or not charger.late:
        return 0.0
    draws = charger.power_w > EV_DRAWS_W
    # its measurement has followed the last word; a contactor that was open by then stays so, a closed one that gives
    # nothing may give any time
    measured_at_s = now_s - charger.age_s
    told_at_s = max(known.offered_at_s, known.switched_at_s, known.deaf_at_s)
    followed = measured_at_s - told_at_s >= known.follows_in_s
    if followed and (draws or not charger.closed):
        return 0.0
    may_draw = charger.closed or (charger.plugged and not draws)
    return (known.limit_a * charger.watts_per_amp if may_draw else 0.0) - charger.power_w
