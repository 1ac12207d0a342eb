"""Following the plan by regime and marginal value: what to do with surplus and deficit, never a power to chase."""

from cem.control import words
from cem.control.asked import charge_target, site_dispatch
from cem.control.bounds import act_on
from cem.control.island import AFTER_OUTAGE, returning
from cem.control.picture import BatteryPicture
from cem.control.prices import clearly_more
from cem.control.scene import Scene
from cem.control.tuning import RESERVE_HYSTERESIS_PCT, STORAGE_EFFICIENCY
from cem.model.directive import Dispatch
from cem.model.envelope import SITE, Rank
from cem.model.plan import Intent, IntentKind
from cem.model.request import RequestKind
from cem.model.values import value


@value(frozen=True, slots=True)
class Regime:
    """What one battery does with what the meter shows; powers are magnitudes, W.

    `target_w` (charging positive): a power that was asked for. `charge_w` is drawn from the grid as well, `feed_w`
    given beyond the deficit. `why` holds the words for: charge, feed, store, cover, spill (a surplus is not stored),
    keep (a deficit is not covered).
    """

    rank: Rank
    source: str
    charge_w: float = 0.0
    feed_w: float = 0.0
    stores: bool = True
    covers: bool = True
    target_w: float | None = None
    site_w: float | None = None  # a power that was asked of the whole connection point
    asked: str = ""
    at: str = ""  # the present price in words
    goal: str = ""
    waits: str = ""  # why it does not charge from the grid yet


def regime(scene: Scene, battery: BatteryPicture) -> Regime:
    """The grid's dispatch and the owner's act before the plan; without a plan plain self-consumption."""
    resource_id = battery.resource.id
    asked = None if scene.islanded else dispatch_for(scene, resource_id)
    owner = act_on(scene.inputs.requests, resource_id, scene.now)
    charges = owner is not None and owner.kind is RequestKind.CHARGE_NOW
    if owner is not None and charges and (asked is None or asked.rank > Rank.USER):
        end = words.until(owner.until, scene.site.zone, scene.now)
        what = f"charges at full power as asked{end}"
        if not scene.site.battery_policy(resource_id).grid_charge:
            what = f"charges from the surplus alone as asked{end}: it may take nothing from the grid"
        # a full one takes nothing: it does not cover the house meanwhile, or it would swing around full
        return Regime(Rank.USER, owner.by, charge_w=battery.max_charge_w, covers=False, asked=what)
    if asked is not None:
        site_w = asked.power_w if asked.subject == SITE else None
        own_w = None if asked.subject == SITE else asked.power_w
        return Regime(asked.rank, asked.source, target_w=own_w, site_w=site_w, asked=asked.reason)
    target = None if scene.islanded else charge_target(scene.inputs, battery)
    if target is not None and not (owner is not None and target[0].rank > Rank.USER):
        asks, soc_pct = target
        if battery.soc_pct < soc_pct:
            return Regime(asks.rank, asks.source, charge_w=battery.max_charge_w, covers=False, asked=asks.reason)
        held = battery.soc_pct <= soc_pct + RESERVE_HYSTERESIS_PCT
        return Regime(asks.rank, asks.source, stores=False, covers=not held, asked=asks.reason)
    intent = scene.intent(resource_id)
    if intent is None:
        source = "rule" if scene.slot is None else "plan"
        return Regime(Rank.PLAN, source)
    return _planned(scene, battery, intent)


def dispatch_for(scene: Scene, resource_id: str) -> Dispatch | None:
    """The one for this battery before the one for the whole site."""
    for dispatch in scene.inputs.directive.dispatches:
        if dispatch.subject == resource_id:
            return dispatch
    return site_dispatch(scene.inputs)


def _planned(scene: Scene, battery: BatteryPicture, intent: Intent) -> Regime:
    """The slot's regime, and within it the price of now against what a stored kWh is worth."""
    slot = scene.slot
    planned_price = slot.import_price_per_kwh if slot is not None else None
    buys, sells = scene.prices.import_per_kwh, scene.prices.export_per_kwh
    price = planned_price if buys is None or (planned_price is not None and scene.prices.source == "tariff") else buys
    at = "" if price is None else f" at {price:.2f} a kWh"
    value = intent.value_per_kwh
    stores = value is None or sells is None or not clearly_more(sells, value * STORAGE_EFFICIENCY)
    target_pct = intent.target_soc_pct
    match intent.kind:
        case IntentKind.CHARGE_TO:
            goal = "" if target_pct is None else f" up to {target_pct:.0f} %"
            below = battery.soc_pct < (100.0 if target_pct is None else target_pct)
            worth = value is None or buys is None or not clearly_more(buys, value * STORAGE_EFFICIENCY)
            if returning(scene, battery.resource.id):
                return Regime(Rank.PLAN, "plan", stores=stores, covers=False, at=at, waits=AFTER_OUTAGE)
            if below and worth and scene.site.battery_policy(battery.resource.id).grid_charge:
                most = battery.max_charge_w if intent.max_w is None else intent.max_w
                return Regime(Rank.PLAN, "plan", charge_w=most, covers=False, at=at, goal=goal)
            return Regime(Rank.PLAN, "plan", stores=stores, covers=False, at=at)
        case IntentKind.DISCHARGE_TO:
            above = battery.soc_pct > (0.0 if target_pct is None else target_pct)
            worth = value is None or sells is None or not clearly_more(value, sells * STORAGE_EFFICIENCY)
            if above and worth:
                most = battery.max_discharge_w if intent.max_w is None else intent.max_w
                return Regime(Rank.PLAN, "plan", feed_w=most, stores=stores, at=at)
            return Regime(Rank.PLAN, "plan", stores=stores, at=at)
        case IntentKind.HOLD:
            return Regime(Rank.PLAN, "plan", stores=stores, covers=False, at=at)
        case _:
            covers = value is None or buys is None or not clearly_more(value, buys * STORAGE_EFFICIENCY)
            return Regime(Rank.PLAN, "plan", stores=stores, covers=covers, at=at)
