"""Shares that change in an orderly way: down at once, up when there is room for it, and seldom. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor

SETTLE_S = 60.0
"""So long a member may still go by what it was told before; by then the room that it gave up is given to others."""
LEAST_CHANGE = 0.05
"""Of the room that is divided: smaller changes are not told while what was told is within the limit and near to it."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What a member was told: its share in whole watts, since when, and the most that it may still go by."""

    share_w: float
    believed_w: float
    since_s: float  # monotonic


def steady(held: Mapping[str, Granted], wanted: Mapping[str, float], room_w: float, now_s: float) -> dict[str, Granted]:
    """What is told from now on. The shares are never more than the room together if the wanted ones are not.

    A raise waits for the room: until SETTLE_S after another's share went down both count. Who was told nothing so far
    is given what is free; when nobody was, everybody gets what is wanted.
    """
    known = {name: _lapsed(held[name], now_s) for name in wanted if name in held}
    if not known:
        return {name: Granted(floor(share_w), floor(share_w), now_s) for name, share_w in sorted(wanted.items())}
    if _is_near(known, wanted, room_w):
        return known
    found = {name: _lowered(known.get(name), wanted[name], now_s) for name in sorted(wanted)}
    free_w = room_w - sum(one.believed_w for one in found.values())
    rises = {
        name: wanted[name] - one.share_w
        for name, one in found.items()
        if wanted[name] > one.share_w and (name not in known or now_s - one.since_s >= SETTLE_S)
    }
    if free_w <= 0 or not rises:
        return found
    part = min(1.0, free_w / sum(rises.values()))
    for name, rise_w in rises.items():
        share_w = floor(found[name].share_w + rise_w * part)
        if share_w > found[name].share_w:
            found[name] = Granted(share_w, max(share_w, found[name].believed_w), now_s)
    return found


def _lapsed(one: Granted, now_s: float) -> Granted:
    if one.believed_w == one.share_w or now_s - one.since_s < SETTLE_S:
        return one
    return Granted(one.share_w, one.share_w, one.since_s)


def _is_near(known: Mapping[str, Granted], wanted: Mapping[str, float], room_w: float) -> bool:
    """Whether nothing worth telling has changed."""
    told_w = sum(one.share_w for one in known.values())
    if len(known) != len(wanted) or not sum(wanted.values()) - LEAST_CHANGE * room_w <= told_w <= room_w:
        return False
    return all(abs(wanted[name] - one.share_w) <= LEAST_CHANGE * room_w for name, one in known.items())


def _lowered(known: Granted | None, wanted_w: float, now_s: float) -> Granted:
    if known is None:
        return Granted(0.0, 0.0, now_s)
    if wanted_w >= known.share_w:
        return known
    return Granted(floor(wanted_w), known.believed_w, now_s)
