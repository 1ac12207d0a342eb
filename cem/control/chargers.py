"""Charging points: how much current each may draw this tick."""

import math
from dataclasses import dataclass, replace

from cem.control import words
from cem.control.bounds import in_force
from cem.control.memory import ChargerMemory
from cem.control.picture import ChargerPicture
from cem.control.scene import Scene, margin_w
from cem.control.tuning import EV_MIN_OFF_S, EV_MIN_ON_S, IMPORT_MARGIN_W
from cem.model.envelope import Rank
from cem.model.plan import IntentKind, Slot
from cem.model.request import RequestKind


@dataclass(frozen=True, slots=True)
class Wish:
    """What a charging point would like to draw, before limits."""

    power_w: float
    rank: Rank
    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChargerChoice:
    """The current for one charging point; None hands it back to itself (no car)."""

    charger: ChargerPicture
    limit_a: float | None
    rank: Rank
    source: str
    reason: str


def choose(scene: Scene, memories: dict[str, ChargerMemory]) -> list[ChargerChoice]:
    """One choice per charging point, in the site's order; updates `memories`.

    The head-room counts the batteries as idle: no battery is emptied into a car unless asked.
    """
    headroom = scene.band.max_w - margin_w(scene.band.max_by, IMPORT_MARGIN_W) - scene.house_w
    surplus = -scene.house_w
    choices = []
    for charger in scene.picture.chargers:
        if not charger.plugged:
            memories.pop(charger.resource.id, None)
            choices.append(ChargerChoice(charger, None, Rank.PLAN, "charger", "no car is connected"))
            continue
        before = memories.get(charger.resource.id)
        choice = _limited(scene, charger, _wish(scene, charger, surplus), headroom)
        choice = _dwelt(choice, before, scene.inputs.now.mono_s, headroom)
        limit_a = choice.limit_a or 0.0
        switched = before is None or (before.limit_a > 0.0) != (limit_a > 0.0)
        since = scene.inputs.now.mono_s if switched or before is None else before.switched_at_s
        memories[charger.resource.id] = ChargerMemory(limit_a, since)
        choices.append(choice)
        headroom -= limit_a * charger.watts_per_amp
        surplus -= limit_a * charger.watts_per_amp
    return choices


def _most_w(charger: ChargerPicture) -> float:
    return (charger.resource.ratings.max_current_a or 0.0) * charger.watts_per_amp


def _amperes(charger: ChargerPicture, power_w: float) -> float:
    return float(max(0, math.floor(power_w / charger.watts_per_amp + 1e-9)))


def _wish(scene: Scene, charger: ChargerPicture, surplus_w: float) -> Wish:
    for request in in_force(scene.inputs.requests, scene.now):
        if request.resource_id != charger.resource.id:
            continue
        end = words.until(request.until, scene.site.zone, scene.now)
        if request.kind is RequestKind.CHARGE_NOW:
            return Wish(_most_w(charger), Rank.USER, request.by, f"charges at full power as asked{end}")
        if request.kind is RequestKind.SURPLUS_ONLY:
            return Wish(max(0.0, surplus_w), Rank.USER, request.by, f"charges from the sun only, as asked{end}")
        if request.kind is RequestKind.PAUSE:
            return Wish(0.0, Rank.USER, request.by, f"paused by the owner{end}")
    return _planned(scene, charger, surplus_w)


def _planned(scene: Scene, charger: ChargerPicture, surplus_w: float) -> Wish:
    slot = scene.slot
    intent = slot.intents.get(charger.resource.id) if slot is not None else None
    most_w = _most_w(charger)
    if slot is None or intent is None:
        return Wish(most_w, Rank.PLAN, "rule", "charges as it comes: no plan holds it back")
    if intent.kind is IntentKind.CHARGE_TO:
        asked = min(most_w, intent.max_w if intent.max_w is not None else most_w)
        price = "" if slot.import_price_per_kwh is None else f" at {slot.import_price_per_kwh:.2f} a kWh"
        # a bound below the smallest current is a mean over the slot: charge at the smallest current then
        least = charger.resource.ratings.min_current_a * charger.watts_per_amp
        return Wish(max(asked, least), Rank.PLAN, "plan", f"charges as planned{price}")
    if intent.kind is IntentKind.SURPLUS_ONLY:
        return Wish(max(0.0, surplus_w), Rank.PLAN, "plan", "charges from the sun as planned")
    slots = scene.inputs.plan.slots if scene.inputs.plan is not None else ()
    later = next((s for s in slots if s.start > scene.now and _charges(s, charger)), None)
    when = "" if later is None else f", planned from {words.clock(later.start, scene.site.zone)}"
    return Wish(0.0, Rank.PLAN, "plan", f"waits for a cheaper hour{when}")


def _charges(slot: Slot, charger: ChargerPicture) -> bool:
    intent = slot.intents.get(charger.resource.id)
    return intent is not None and intent.kind in {IntentKind.CHARGE_TO, IntentKind.SURPLUS_ONLY}


def _limited(scene: Scene, charger: ChargerPicture, wish: Wish, headroom_w: float) -> ChargerChoice:
    """Whole amperes within the head-room; below the smallest current it is a pause (IEC 61851-1)."""
    allowed_a = _amperes(charger, headroom_w)
    wished_a = min(_amperes(charger, wish.power_w), charger.resource.ratings.max_current_a or 0.0)
    limit_a = min(allowed_a, wished_a)
    if limit_a < charger.resource.ratings.min_current_a:
        limit_a = 0.0
    by = scene.band.max_by
    if allowed_a >= wished_a or by is None:
        return ChargerChoice(charger, limit_a, wish.rank, wish.source, wish.reason)
    what = f"reduced to {limit_a:.0f} A" if limit_a > 0.0 else "paused"
    return ChargerChoice(charger, limit_a, by.rank, by.source, f"{what}: {scene.bound(by)}")


def _dwelt(choice: ChargerChoice, before: ChargerMemory | None, now_s: float, headroom_w: float) -> ChargerChoice:
    """Minimum on and off times against contactor wear; never against a limit, never against the owner."""
    if before is None or choice.rank is Rank.USER:
        return choice
    least_a = choice.charger.resource.ratings.min_current_a
    held = now_s - before.switched_at_s
    room = _amperes(choice.charger, headroom_w) >= least_a
    if choice.limit_a == 0.0 and before.limit_a > 0.0 and held < EV_MIN_ON_S and room:
        return replace(choice, limit_a=least_a, reason=f"{choice.reason}; stays on for its minimum time")
    if choice.limit_a != 0.0 and before.limit_a == 0.0 and held < EV_MIN_OFF_S:
        return replace(choice, limit_a=0.0, reason=f"stays off for its minimum time of {EV_MIN_OFF_S / 60:.0f} min")
    return choice
