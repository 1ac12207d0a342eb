"""What a charging point would like to draw, before limits: the owner's acts, standing goals, the plan."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cem.control import words
from cem.control.bounds import in_force
from cem.control.picture import ChargerPicture
from cem.control.scene import Scene
from cem.control.tuning import EV_LATE_SHARE
from cem.model.envelope import Rank
from cem.model.plan import IntentKind, Slot
from cem.model.request import RequestKind
from cem.model.site import ChargeGoal

LATE, ASKED, USUAL, IDLE = 0.0, 1.0, 2.0, 3.0
"""The classes in which consumers are served."""


@dataclass(frozen=True, slots=True)
class Wish:
    """How much, how urgent, on whose behalf. `surplus`: only what the sun leaves."""

    power_w: float
    rank: Rank
    source: str
    reason: str
    urgency: float = USUAL
    surplus: bool = False


def most_a(charger: ChargerPicture) -> float:
    """The charging point's own largest current."""
    return charger.resource.ratings.max_current_a or 0.0


def wish(scene: Scene, charger: ChargerPicture) -> Wish:
    """The strongest of the owner's act, a goal that is running late, and the plan."""
    most_w = most_a(charger) * charger.watts_per_amp
    if scene.islanded:
        why = "the house runs without the grid" if scene.gone else "the grid has only just come back"
        return Wish(0.0, Rank.SAFETY, "island", f"paused: {why}")
    for request in in_force(scene.inputs.requests, scene.now):
        if request.resource_id != charger.resource.id:
            continue
        end = words.until(request.until, scene.site.zone, scene.now)
        if request.kind is RequestKind.CHARGE_NOW:
            return Wish(most_w, Rank.USER, request.by, f"charges at full power as asked{end}", ASKED)
        if request.kind is RequestKind.SURPLUS_ONLY:
            return Wish(math.inf, Rank.USER, request.by, f"charges from the sun only, as asked{end}", ASKED, True)
        if request.kind is RequestKind.PAUSE:
            return Wish(0.0, Rank.USER, request.by, f"paused by the owner{end}", ASKED)
    return _late(scene, charger, most_w) or _planned(scene, charger, most_w)


def _late(scene: Scene, charger: ChargerPicture, most_w: float) -> Wish | None:
    """A goal that can only be met by charging at full from now on."""
    if not scene.inputs.now.trusted or most_w <= 0.0:
        return None
    for goal in scene.site.goals:
        if goal.resource_id != charger.resource.id:
            continue
        missing_wh = missing(goal, charger)
        if missing_wh <= 0.0:
            continue
        due = next_due(goal, scene.now, scene.site.zone)
        left_h = (due - scene.now).total_seconds() / 3600.0
        if missing_wh / most_w >= left_h * (1.0 - EV_LATE_SHARE):
            when = words.clock(due, scene.site.zone)
            reason = f"charges at full power: {missing_wh / 1000:.1f} kWh are missing until {when}"
            return Wish(most_w, Rank.USER, "goal", reason, LATE)
    return None


def missing(goal: ChargeGoal, charger: ChargerPicture) -> float:
    """Energy in Wh that the goal still lacks; 0 where it can't be told."""
    if goal.energy_wh is not None:
        return max(0.0, goal.energy_wh - (charger.session_wh or 0.0))
    capacity = charger.resource.ratings.capacity_wh
    if goal.soc_pct is None or charger.soc_pct is None or capacity is None:
        return 0.0
    return max(0.0, goal.soc_pct - charger.soc_pct) / 100.0 * capacity


def next_due(goal: ChargeGoal, now: datetime, zone: str) -> datetime:
    """The next time that the goal's local time of day comes round."""
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=goal.ready_by.hour, minute=goal.ready_by.minute, second=0, microsecond=0)
    if due <= local:
        due += timedelta(days=1)
    return due


def _planned(scene: Scene, charger: ChargerPicture, most_w: float) -> Wish:
    slot, intent = scene.slot, scene.intent(charger.resource.id)
    if slot is None or intent is None:
        return Wish(most_w, Rank.PLAN, "rule", "charges as it comes: no plan holds it back")
    if intent.kind is IntentKind.CHARGE_TO:
        asked = min(most_w, intent.max_w if intent.max_w is not None else most_w)
        price = "" if slot.import_price_per_kwh is None else f" at {slot.import_price_per_kwh:.2f} a kWh"
        # a bound below the smallest current is a mean over the slot: charge at the smallest current then
        least = charger.resource.ratings.min_current_a * charger.watts_per_amp
        return Wish(max(asked, least), Rank.PLAN, "plan", f"charges as planned{price}")
    if intent.kind is IntentKind.SURPLUS_ONLY:
        return Wish(math.inf, Rank.PLAN, "plan", "charges from the sun as planned", surplus=True)
    slots = scene.inputs.plan.slots if scene.inputs.plan is not None else ()
    later = next((s for s in slots if s.start > scene.now and _charges(s, charger)), None)
    when = "" if later is None else f", planned from {words.clock(later.start, scene.site.zone)}"
    return Wish(0.0, Rank.PLAN, "plan", f"waits for a cheaper hour{when}")


def _charges(slot: Slot, charger: ChargerPicture) -> bool:
    intent = slot.intents.get(charger.resource.id)
    return intent is not None and intent.kind in {IntentKind.CHARGE_TO, IntentKind.SURPLUS_ONLY}
