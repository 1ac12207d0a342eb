"""What a charging point would like to draw, before limits: the owner's acts, goals, the plan and the price of now."""

import math

from cem.control import charger_state, phases, words
from cem.control.black_start import roofs_wait
from cem.control.bounds import act_on
from cem.control.goals import Goal, goal_of
from cem.control.island import full_enough, gives_to_cars
from cem.control.memory import ChargerMemory
from cem.control.picture import ChargerPicture
from cem.control.prices import clearly_more
from cem.control.scene import Scene
from cem.control.tuning import EV_LATE_SHARE, EV_MIN_OFF_S, EV_MIN_ON_S, EV_STEP_UP_SHARE, STORAGE_EFFICIENCY
from cem.control.wishes import ASKED, LATE, Wish, most_a
from cem.model.envelope import Rank
from cem.model.plan import Intent, IntentKind, Slot
from cem.model.request import RequestKind
from cem.model.values import replace, value


def wish(scene: Scene, charger: ChargerPicture) -> Wish:
    """The strongest of the owner's act, a goal that is running late or met, and the plan."""
    most_w = most_a(charger) * charger.watts_per_amp
    if scene.islanded:
        return _islanded(scene, charger, most_w)
    act = act_on(scene.inputs.requests, charger.resource.id, scene.now)
    end = "" if act is None else words.until(act.until, scene.site.zone, scene.now)
    if act is not None and act.kind is RequestKind.CHARGE_NOW:
        return Wish(most_w, Rank.USER, act.by, f"charges at full power as asked{end}", ASKED, asked_at=act.made_at)
    if act is not None and act.kind is RequestKind.SURPLUS_ONLY:
        return Wish(math.inf, Rank.USER, act.by, f"charges from the sun only, as asked{end}", ASKED, True)
    if act is not None and act.kind is RequestKind.PAUSE:
        return Wish(0.0, Rank.USER, act.by, f"paused by the owner{end}", ASKED)
    goal = goal_of(scene, charger)
    found = _by_goal(scene, charger.resource.id, goal, most_w) if goal is not None and most_w > 0.0 else None
    if found is None and goal is None and _came_since(scene, charger):
        found = _not_planned_yet()
    found = found or _planned(scene, charger, most_w)
    return found if act is None else replace(found, asked_at=act.made_at)


def _islanded(scene: Scene, charger: ChargerPicture, most_w: float) -> Wish:
    """Without the grid: paused, but for the sun that is left once the batteries are well charged.

    What a battery stores is for the house: only one that may be emptied into a car, which is then asked to charge,
    gives to it.
    """
    paused = Wish(0.0, Rank.SAFETY, "island", "paused: the house runs without the grid")
    act = act_on(scene.inputs.requests, charger.resource.id, scene.now)
    if not scene.gone:
        return replace(paused, reason="paused: the grid has only just come back")
    if act is not None and act.kind is RequestKind.PAUSE:
        return replace(paused, reason="paused by the owner")
    if roofs_wait(scene):
        return replace(paused, reason="paused: the dark house comes back first")
    known = scene.memory.chargers.get(charger.resource.id)
    charging = known is not None and known.limit_a > 0.0
    asked = act is not None and act.kind is RequestKind.CHARGE_NOW
    if act is not None and asked and gives_to_cars(scene, charging=charging):
        return Wish(most_w, Rank.USER, act.by, "charges without the grid, as asked", ASKED, asked_at=act.made_at)
    if full_enough(scene, charging=charging):
        said = "charges from the sun that is left without the grid"
        return Wish(math.inf, Rank.SAFETY, "island", said, surplus=True)
    return paused


def _by_goal(scene: Scene, resource_id: str, goal: Goal, most_w: float) -> Wish | None:
    """A goal that can only be met by charging at full from now on, one that is met, and one that is not planned yet."""
    if goal.missing_wh == 0.0:
        said = "has what was asked for; more only from the sun"
        return Wish(math.inf, Rank.PLAN, goal.source, said, surplus=True)
    if goal.missing_wh is None or not scene.inputs.now.trusted:
        return None
    known = scene.memory.chargers.get(resource_id)
    on = known is not None and known.limit_a > 0.0
    if on and goal.missing_wh < most_w * EV_MIN_ON_S / 3600.0:  # to come back for so little would bring more than asked
        return Wish(
            most_w, Rank.PLAN, goal.source, f"finishes what was asked for: {goal.missing_wh:.0f} Wh are missing"
        )
    # a car that charges would have to stay off for its minimum time, which a goal may not have
    pause_s = EV_MIN_OFF_S if on else 0.0
    left_h = ((goal.due - scene.now).total_seconds() - pause_s) / 3600.0
    if goal.missing_wh / most_w < left_h * (1.0 - EV_LATE_SHARE):
        if scene.slot is None or scene.intent(resource_id) is not None:
            return None
        return _not_planned_yet()
    when = words.clock(goal.due, scene.site.zone)
    reason = f"charges at full power: {goal.missing_wh / 1000:.1f} kWh are missing until {when}"
    return Wish(most_w, Rank.USER, goal.source, reason, LATE)


def _came_since(scene: Scene, charger: ChargerPicture) -> bool:
    """Whether a car whose habits count came after the plan was asked for."""
    plan, resource_id = scene.inputs.plan, charger.resource.id
    if plan is None or scene.slot is None or resource_id not in scene.site.learnt_cars:
        return False
    return scene.intent(resource_id) is None and resource_id not in plan.plugged


def _not_planned_yet() -> Wish:
    said = "waits for a new plan: this one was made without the car"
    return Wish(math.inf, Rank.PLAN, "plan", said, surplus=True)


def _planned(scene: Scene, charger: ChargerPicture, most_w: float) -> Wish:
    """The slot's regime, and what the price of now and the sun say against what a kWh in the car is worth.

    Only a price that differs from the planned one turns the regime round: what the plan knew it has weighed.
    """
    slot, intent = scene.slot, scene.intent(charger.resource.id)
    if slot is None or intent is None:
        return Wish(most_w, Rank.PLAN, "rule", "charges as it comes: no plan holds it back")
    buys, value = scene.prices.import_per_kwh, intent.value_per_kwh
    if intent.kind is IntentKind.CHARGE_TO:
        if _dearer(slot, buys, value):
            waits = Wish(0.0, Rank.PLAN, "plan", f"waits: {buys:.2f} a kWh now is more than it costs later")
            return _from_the_sun(scene, charger, intent) or waits
        asked = min(most_w, intent.max_w if intent.max_w is not None else most_w)
        sun = _from_the_sun(scene, charger, intent) if asked < most_w else None
        if sun is not None:  # more of it than was planned with
            asked = min(most_w, max(asked, sun.power_w))
        price = "" if slot.import_price_per_kwh is None else f" at {slot.import_price_per_kwh:.2f} a kWh"
        # a bound below the smallest current is a mean over the slot: charge at the smallest current then
        least = charger.resource.ratings.min_current_a * charger.watts_per_amp
        return Wish(max(asked, least), Rank.PLAN, "plan", f"charges as planned{price}")
    if _cheaper(slot, buys, value):
        reason = f"charges now: {buys:.2f} a kWh is less than it costs later"
        return Wish(most_w, Rank.PLAN, "plan", reason)
    if intent.kind is IntentKind.SURPLUS_ONLY:
        sells = scene.prices.export_per_kwh
        if value is not None and sells is not None and clearly_more(sells, value):
            return Wish(0.0, Rank.PLAN, "plan", "leaves the sun to the grid, which pays more than charging costs later")
        alone = Wish(math.inf, Rank.PLAN, "plan", "charges from the sun as planned", surplus=True)
        return _with_some_sun(scene, charger, intent) or alone
    return _from_the_sun(scene, charger, intent) or _waits(scene, charger)


def _cheaper(slot: Slot, buys: float | None, value: float | None) -> bool:
    """Whether a kWh costs less now than was planned, and less than it is worth in the car."""
    if buys is None or value is None:
        return False
    return all(other is None or clearly_more(other, buys) for other in (value, slot.import_price_per_kwh))


def _dearer(slot: Slot, buys: float | None, value: float | None) -> bool:
    """Whether a kWh costs more now than was planned, and more than it is worth in the car."""
    if buys is None or value is None:
        return False
    return all(other is None or clearly_more(buys, other) for other in (value, slot.import_price_per_kwh))


@value(frozen=True, slots=True)
class _Sun:
    """What is better in the car than fed in, and what batteries take before, there worth so much a kWh; W."""

    left_w: float
    stored_w: float
    stored_worth: float

    def costs(self, power_w: float, buys: float, sells: float) -> float:
        """A kWh in the car, on the mean, that charges with more than is left."""
        kept_w = min(power_w - self.left_w, self.stored_w)
        bought_w = power_w - self.left_w - kept_w
        stored = kept_w * self.stored_worth if kept_w > 0.0 else 0.0
        return (self.left_w * sells + stored + bought_w * buys) / power_w


def _from_the_sun(scene: Scene, charger: ChargerPicture, intent: Intent) -> Wish | None:
    """A surplus that nobody planned, where feeding it in brings less than it is worth in the car."""
    sun = _sun(scene, intent, scene.house_w)
    reason = "charges from the sun: feeding it in would bring less than charging costs later"
    alone = None if sun is None else Wish(sun.left_w, Rank.PLAN, "plan", reason, surplus=True)
    return _with_some_sun(scene, charger, intent) or alone


def _sun(scene: Scene, intent: Intent, house_w: float) -> _Sun | None:
    """None: nothing is left. A battery in which it is worth as much or more takes its part first."""
    worth, sells = intent.value_per_kwh, scene.prices.export_per_kwh
    if worth is None or sells is None or not clearly_more(worth, sells):
        return None
    first = [b for b in scene.picture.batteries if _stores_first(scene, b.resource.id, worth, sells)]
    stored_w = sum(b.max_charge_w for b in first)
    left_w = -house_w - stored_w
    if left_w <= 0.0:
        return None
    return _Sun(left_w, stored_w, max((_stored_worth(scene, b.resource.id) for b in first), default=0.0))


def _with_some_sun(scene: Scene, charger: ChargerPicture, intent: Intent) -> Wish | None:
    """The smallest power, where the sun leaves less and it is cheaper than later all the same; None: it is not.

    The sun of the last minutes counts: a contactor that follows each cloud buys in the shade and sells in the sun.
    Where the highest import has its price nothing is bought that nobody planned.
    """
    memory, trend = scene.memory.chargers.get(charger.resource.id) or ChargerMemory(0.0), scene.memory.trend
    uses = 1 if phases.switchable(charger) else charger.phases
    least_w = charger_state.least_a(charger, memory) * charger.resource.ratings.nominal_voltage_v * uses
    worth, buys, sells = intent.value_per_kwh, scene.prices.import_per_kwh, scene.prices.export_per_kwh
    now = _sun(scene, intent, scene.house_w)
    if (now is not None and now.left_w >= least_w) or scene.site.tariff.peak_price_per_kw > 0.0:
        return None
    lately = now if trend is None or trend.mean_w is None else _sun(scene, intent, trend.mean_w)
    if lately is None or worth is None or buys is None or sells is None:
        return None
    costs = replace(lately, left_w=min(lately.left_w, least_w)).costs(least_w, buys, sells)
    begins = 1.0 if memory.limit_a > 0.0 else EV_STEP_UP_SHARE  # what a cloud's edge decides is not worth a contactor
    if costs < 0.0 or not clearly_more(worth, begins * costs):
        return None
    reason = f"charges at its smallest current: with the sun that is left {costs:.2f} a kWh, less than it costs later"
    return Wish(least_w, Rank.PLAN, "plan", reason)


def _stores_first(scene: Scene, battery_id: str, worth: float, sells: float) -> bool:
    stored = _stored_worth(scene, battery_id)
    return not clearly_more(sells, stored) and not clearly_more(worth, stored)


def _stored_worth(scene: Scene, battery_id: str) -> float:
    """Of a kWh that a battery takes; inf: by rule it takes every surplus."""
    intent = scene.intent(battery_id)
    known = None if intent is None else intent.value_per_kwh
    return math.inf if known is None else known * STORAGE_EFFICIENCY


def _waits(scene: Scene, charger: ChargerPicture) -> Wish:
    slots = scene.inputs.plan.slots if scene.inputs.plan is not None else ()
    later = next((s for s in slots if s.start > scene.now and _charges(s, charger)), None)
    when = "" if later is None else f", planned from {words.clock(later.start, scene.site.zone)}"
    return Wish(0.0, Rank.PLAN, "plan", f"waits for a cheaper hour{when}")


def _charges(slot: Slot, charger: ChargerPicture) -> bool:
    intent = slot.intents.get(charger.resource.id)
    return intent is not None and intent.kind in {IntentKind.CHARGE_TO, IntentKind.SURPLUS_ONLY}
