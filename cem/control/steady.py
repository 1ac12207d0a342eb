"""What the house itself takes, told apart from what we move: meters and devices do not show a change together."""

from collections.abc import Mapping
from operator import itemgetter
from types import MappingProxyType

from cem.control.memory import Lateness, Memory, Metered
from cem.control.picture import LATE_S, BatteryPicture, ChargerPicture, Picture
from cem.control.tuning import (
    EV_DRAWS_W,
    LOAD_SURE_TICKS,
    METER_HOLDS_S,
    METER_LATE_S,
    METER_SAME_W,
    METER_SURE_S,
    SKEW_HOLD_S,
)
from cem.model.reading import Snapshot
from cem.model.resource import Role
from cem.model.values import replace

SAME_SHARE = 0.1
SAME_W = 100.0
Moved = tuple[tuple[float, float], ...]
POWER_W = itemgetter(1)


def steady(
    picture: Picture, memory: Memory, late: Lateness, now_s: float, heedless: frozenset[str]
) -> tuple[Picture, Moved, tuple[float, ...]]:
    """(the picture with a load that can be trusted, what moved lately, the last loads as they came out).

    While batteries and cars move, or were told to and have not done so yet, the meter may run before or behind what
    they tell. A change of the load that this could be may be no more than that: acting on it would make the house
    swing. What exceeds it, or goes the other way, is real and counts at once; the rest counts when it has stayed for
    some ticks, or when all is at rest.
    While meter and battery were read too far apart the former load stands, but not for long: a battery that is read
    less often than the meter must not hide what the meter shows. What a heat pump or a load tells of itself is sure.
    """
    lately, past, late_s = memory.moved, 0, late.seconds
    while past < len(lately) and now_s - lately[past][0] > late_s + METER_LATE_S:
        past += 1
    moved = (
        *lately[past:],
        (now_s, picture.battery_w + picture.ev_w),
        (now_s, _commanded_w(picture, memory, now_s, heedless)),
    )
    if picture.load_w is None:
        return picture, moved, ()
    raw_w = picture.load_w - picture.switched_w
    raws = (*memory.loads_w[1 - LOAD_SURE_TICKS :], raw_w)
    if memory.load_w is None:
        return picture, moved, raws
    known_w = memory.load_w - memory.switched_w
    if apart(picture) != memory.apart or _owns_up(picture, memory, raw_w, known_w):
        return picture, moved[-2:], (raw_w,)  # what was load is told apart now, or the other way round: nothing moved
    if picture.skewed and memory.load_at_s is not None and now_s - memory.load_at_s <= SKEW_HOLD_S:
        return replace(picture, load_w=known_w + picture.switched_w), moved, raws
    change_w, sure_w = raw_w - known_w, known_w
    if len(raws) == LOAD_SURE_TICKS:
        if max(raws) - min(raws) <= max(SAME_W, SAME_SHARE * abs(change_w)):
            return picture, moved, raws
        sure_w = min(max(sure_w, min(raws)), max(raws))  # a load that goes on rising has risen at least so far
    if late_s:
        then_w = late.gave_w[int(late_s)]
        powers = [watts for at_s, watts in moved if now_s - at_s >= late_s - METER_SURE_S]
    else:
        then_w, powers = picture.battery_w + picture.ev_w, [*map(POWER_W, moved)]
    change_w = raw_w - sure_w
    rise_w, fall_w = max([*powers, then_w]) - then_w, then_w - min([*powers, then_w])
    believed_w = max(0.0, change_w - rise_w) + min(0.0, change_w + fall_w)
    return replace(picture, load_w=sure_w + believed_w + picture.switched_w), moved, raws


def _owns_up(picture: Picture, memory: Memory, raw_w: float, known_w: float) -> bool:
    """Whether a charger or a battery that did not follow tells something new that brings the load back to what it was
    when it had last told anything new.

    What it told meanwhile was not so then: it stood still while its device followed, and nothing moves now.
    """
    if not memory.astray:
        return False
    parts: tuple[ChargerPicture | BatteryPicture, ...] = (*picture.chargers, *picture.batteries)
    for part in parts:
        key = part.resource.id
        before, sound_w = memory.seen.get(key), memory.sound_w.get(key)
        if key not in memory.astray or before is None or sound_w is None:
            continue
        moved_w, change_w = part.power_w - before.value, raw_w - known_w
        if abs(moved_w) > EV_DRAWS_W and moved_w * change_w < 0.0 and abs(raw_w - sound_w) < abs(known_w - sound_w):
            return True
    return False


def sound(picture: Picture, memory: Memory) -> Mapping[str, float]:
    """The load without heat pumps and loads when each charger and battery last told anything new, by resource."""
    known = memory.sound_w
    if picture.load_w is None:
        return known
    parts: tuple[ChargerPicture | BatteryPicture, ...] = (*picture.chargers, *picture.batteries)
    fresh = [
        part.resource.id
        for part in parts
        if (before := memory.seen.get(part.resource.id)) is None
        or before.value != part.power_w
        or part.resource.id not in known
    ]
    return MappingProxyType({**known, **dict.fromkeys(fresh, picture.load_w - picture.switched_w)}) if fresh else known


def as_metered(picture: Picture, snapshot: Snapshot, memory: Memory) -> tuple[Picture, Metered | None]:
    """The picture, where the meter has said nothing new, with the load of its last word; and that word.

    What goes on moving meanwhile would be taken for a load that moves against it, and followed.
    """
    if picture.grid_w is None or picture.grid_at_s is None or picture.load_w is None:
        return picture, None
    before = memory.metered
    if before is None or not repeated(before, picture) or apart(picture) != memory.apart:
        # what is told seldom may have done before the meter's word what it tells after it
        grid_s = snapshot.mono_s - picture.grid_at_s
        parts_w = {
            part.resource.id: part.power_w
            for part in picture.parts
            if part.power_w is not None
            and (
                part.resource.role is Role.BATTERY
                or (snapshot.age_s(part.resource.id, "power_w") or 0.0) - grid_s <= LATE_S
            )
        }
        return picture, Metered(picture.grid_w, picture.grid_at_s, MappingProxyType(parts_w), _told_w(picture))
    moved_w = 0.0
    for part in picture.parts:
        if part.power_w is not None:
            moved_w += part.power_w - before.parts_w.get(part.resource.id, part.power_w)
    return (replace(picture, load_w=picture.load_w + moved_w) if moved_w else picture), before


def repeated(before: Metered, picture: Picture) -> bool:
    """Whether the meter has said nothing new: the same word, or the very same watts under a new time for a while.

    Meters that an inverter asks every few seconds hold their value in between. Near nothing it may be the same again,
    and so it may where one thing took over from another, as both tell.
    """
    if picture.grid_w != before.grid_w or picture.grid_at_s is None:
        return False
    if picture.grid_at_s == before.at_s:
        return True
    if abs(before.grid_w) <= METER_SAME_W or not 0.0 <= picture.grid_at_s - before.at_s <= METER_HOLDS_S:
        return False
    return abs(_told_w(picture) - before.told_w) > METER_SAME_W


def _told_w(picture: Picture) -> float:
    return picture.battery_w + picture.ev_w + picture.pv_w + picture.switched_w


def apart(picture: Picture) -> frozenset[str]:
    """What is read now, so that its power is told apart from the rest of the load."""
    return frozenset([part.resource.id for part in picture.parts if part.power_w is not None])


def _commanded_w(picture: Picture, memory: Memory, now_s: float, heedless: frozenset[str]) -> float:
    """What batteries and cars will do once they have followed the last command; who is `heedless` will not."""
    total = sum([memory.batteries_w.get(b.resource.id, b.power_w) for b in picture.batteries])
    for charger in picture.chargers:
        known = memory.chargers.get(charger.resource.id)
        follows = (
            known is not None
            and charger.closed
            and charger.resource.id not in heedless
            and now_s - max(known.offered_at_s, known.switched_at_s) < known.follows_in_s
        )
        total += known.limit_a * charger.watts_per_amp if known is not None and follows else charger.power_w
    return total
