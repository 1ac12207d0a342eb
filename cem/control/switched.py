"""Heat pumps (SG Ready) and switched loads: which state each should be in this tick."""

import math
from collections.abc import Iterable, Mapping

from cem.control import switch_memory
from cem.control.comfort import Comfort, comfort, temperature_c
from cem.control.deaf import heedless
from cem.control.island import AFTER_OUTAGE, priority, returning
from cem.control.limits import SURPLUS, Limits, use_of
from cem.control.memory import SwitchMemory
from cem.control.picture import SwitchedPicture
from cem.control.scene import Scene
from cem.control.sharing import Claim, Pools, Share
from cem.control.spreading import CHANCE, IMPORT
from cem.control.tuning import (
    EASED_STOPS_S,
    EV_DRAWS_W,
    HEAT_PUMP_MIN_STAY_S,
    LOAD_SURE_S,
    LOCK_FOLLOW_S,
    SURPLUS_ON_SHARE,
    SWITCHED_HEEDS_S,
    SWITCHED_RISES_S,
)
from cem.control.wishes import USUAL
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.plan import IntentKind
from cem.model.resource import Control, SgReady
from cem.model.site import LoadRun
from cem.model.values import replace, value

MORE = "+"
"""The claim of a heat pump for what it would store beyond its own need."""
NEARLY_ALL = 0.9
"""Of a load's rating: so much room under a limit is enough for it to begin, as powers do not stand still."""
LAST = 10.0
"""After every priority."""
BEGINS: Mapping[Control, int] = {Control.LOAD_ON: 1, Control.HEAT_PUMP_SG_READY: SgReady.NORMAL}
"""From which state on one may begin to draw: a heat pump that is let go has often waited for it."""
OF_SURPLUS, NO_POOLS = frozenset({SURPLUS}), frozenset[str]()
GOES_ON = "goes on storing heat: neither limit leaves room for what it might stop to take at once"
MAKES_ROOM = "waits until what others take has made room for it under the limit"
AS_IT_WAS = "stays as it was until the grid is heard"


@value(frozen=True, slots=True)
class SwitchedChoice:
    """The state for a heat pump (1 to 4) or a load (0 or 1); None hands it back.

    `waits_w`: what it will draw as soon as others have made room for it.
    """

    switched: SwitchedPicture
    control: Control
    value: float | None
    rank: Rank
    source: str
    reason: str
    bound_by: str | None = None
    waits_w: float = 0.0


def moved_w(scene: Scene) -> dict[str, float]:
    """The present power of each; where nobody measures it, its rating while we hold it switched on.

    A heat pump that was locked and draws on finishes its own least run: until then it is load like any other.
    """
    found, memories = {}, scene.once(switch_memory.memories)
    for switched in scene.picture.switched:
        key = switched.resource.id
        if _starting(scene, switched) or _runs_on(scene, switched, memories[key]):
            continue
        if switched.power_w is not None:
            found[key] = max(0.0, switched.power_w)
        elif Control.LOAD_ON in switched.resource.controls:
            found[key] = switched.rated_w if memories[key].state == 1 else 0.0
    return found


def rising_w(scene: Scene, relays: Iterable[SwitchedChoice], memories: Mapping[str, SwitchMemory]) -> float:
    """What those that were just switched on, let go, or asked for more, will soon take beyond what they take now."""
    found = []
    for relay in relays:
        memory, least = memories.get(relay.switched.resource.id), BEGINS[relay.control]
        if memory is None or relay.value is None or relay.value < least or relay.switched.power_w is None:
            continue
        if scene.now_s - memory.switched_at_s < SWITCHED_RISES_S:
            found.append(max(0.0, relay.switched.rated_w - max(0.0, relay.switched.power_w)))
    return sum(found)


def begins_w(scene: Scene, relays: Iterable[SwitchedChoice], memories: Mapping[str, SwitchMemory]) -> float:
    """Under an import limit what loads begin to draw that are switched on with this tick: their contact closes now."""
    found = 0.0
    if scene.band.max_by is None:
        return found
    for relay in relays:
        memory = memories.get(relay.switched.resource.id)
        if relay.control is not Control.LOAD_ON or relay.value != 1.0 or memory is None:
            continue
        if switch_memory.silent(scene, relay.switched):  # it can't be told so now
            continue
        if memory.switched_at_s == scene.now_s:
            found += max(0.0, relay.switched.rated_w - max(0.0, relay.switched.power_w or 0.0))
    return found


def waiting_w(relays: Iterable[SwitchedChoice]) -> float:
    """What loads will draw that are switched on as soon as others have made room for them."""
    return sum([relay.waits_w for relay in relays])


def _runs_on(scene: Scene, switched: SwitchedPicture, memory: SwitchMemory) -> bool:
    draws = switched.power_w is not None and switched.power_w > EV_DRAWS_W
    locked = draws and memory.state == SgReady.LOCKED and switch_memory.is_heat_pump(switched)
    return locked and scene.now_s - memory.switched_at_s > LOCK_FOLLOW_S


def drawing_on(scene: Scene) -> frozenset[str]:
    """The loads that are measured to draw long enough after they were told to be off: nobody else gets what they should
    have left, though it takes longer until they count as not following."""
    return scene.once(_drawing_on)


def _drawing_on(scene: Scene) -> frozenset[str]:
    memories, found = scene.once(switch_memory.memories), []
    for switched in scene.picture.switched:
        key = switched.resource.id
        told_off = memories[key].state == 0 and Control.LOAD_ON in switched.resource.controls
        if told_off and switched.power_w is not None and switched.power_w > EV_DRAWS_W:
            measured_at_s = scene.now_s - (scene.inputs.snapshot.age_s(key, "power_w") or 0.0)
            if measured_at_s - memories[key].switched_at_s >= SWITCHED_HEEDS_S:
                found.append(key)
    return frozenset(found)


def claims(scene: Scene, powers_w: Mapping[str, float], shed: frozenset[str]) -> list[Claim]:
    """What each would take if it may run, and a heat pump's wish for more."""
    result: list[Claim] = []
    memories = scene.once(switch_memory.memories)
    for switched in scene.picture.switched:
        key = switched.resource.id
        memory = memories[key]
        if key not in powers_w:
            if switch_memory.is_heat_pump(switched) and not _starting(scene, switched):
                result.append(_unread_claim(scene, switched, memory, shed))
            continue
        if Control.HEAT_PUMP_SG_READY in switched.resource.controls:
            result += _heat_pump_claims(scene, switched, memory, powers_w[key], shed)
        else:
            result.append(_load_claim(scene, switched, memory, powers_w[key], shed))
    return result


def limited(
    scene: Scene, by: Envelope, may_run: frozenset[str], into: dict[str, SwitchMemory]
) -> tuple[list[SwitchedChoice], Limits]:
    """Under an import limit without a meter everything is off that is not guaranteed its part; and the limit alone."""
    shares = {
        s.resource.id: Share(1.0) if s.resource.id in may_run else Share(0.0, SITE) for s in scene.picture.switched
    }
    alone = Limits(Pools(), {SITE: by})
    return choices(scene, shares, alone, frozenset(), into), alone


def _starting(scene: Scene, switched: SwitchedPicture) -> bool:
    """Whether its device was not reached yet since the start, as others were: it still does what it was told before."""
    devices = scene.inputs.devices
    return bool(devices) and switched.resource.device_id not in devices


def _claim(
    scene: Scene,
    switched: SwitchedPicture,
    watts: float,
    key: str = "",
    *,
    may: bool = True,
    of_the_sun: bool = False,
    entry: float = 0.0,
    held: bool = False,
) -> Claim:
    """Whether it runs or not; `may` not: it is refused whatever is left. `of_the_sun`: the surplus bounds it."""
    resource = switched.resource
    amperes = watts / (resource.ratings.phases * resource.ratings.nominal_voltage_v)
    use = use_of(scene, resource, watts, amperes, resource.ratings.phases)
    rank, most = (USUAL, float(priority(resource))), 1.0 if may else 0.0
    drains = NO_POOLS if of_the_sun else OF_SURPLUS
    return Claim(resource.id + key, rank, (0.0,), 1.0, most, use, drains, held, NO_POOLS, entry)


def _heat_pump_claims(
    scene: Scene, switched: SwitchedPicture, memory: SwitchMemory, power_w: float, shed: frozenset[str]
) -> list[Claim]:
    running = power_w > EV_DRAWS_W
    locked = memory.state == SgReady.LOCKED
    need_w = power_w if running else switched.rated_w if locked else 0.0
    off = switched.resource.id in shed or returning(scene, switched.resource.id)
    result = [_claim(scene, switched, need_w, may=not off)]
    wants = _wants_more(scene, switched)
    if wants is not None and switched.resource.id not in shed and not locked and not scene.islanded:
        boosted, sun = memory.state >= SgReady.RECOMMENDED, wants == "sun"
        entry = SURPLUS_ON_SHARE if sun and not boosted else 0.0
        more = _claim(scene, switched, max(0.0, switched.rated_w - need_w), MORE, of_the_sun=sun, entry=entry)
        if sun:
            # the sun must bear the whole of it; while it runs, what it draws already counts as borne
            borne_w = 0.5 * switched.rated_w - need_w if boosted else max(1.0, switched.rated_w - need_w)
            more = replace(more, use={**more.use, SURPLUS: borne_w})
        if not running:
            # it may never start: what others take now comes first, whatever its priority
            more = replace(more, rank=(USUAL, LAST))
        result.append(more)
    return result


def _unread_claim(scene: Scene, switched: SwitchedPicture, memory: SwitchMemory, shed: frozenset[str]) -> Claim:
    """A heat pump whose power is not known, or not ours, is load: it may run while the house keeps within its bound."""
    by = scene.band.max_by
    over = by is not None and scene.house_w > scene.band.max_w - scene.margins_w[0]
    off = switched.resource.id in shed or returning(scene, switched.resource.id)
    return _claim(scene, switched, switched.rated_w if over or memory.state == SgReady.LOCKED else 0.0, may=not off)


def _wants_more(scene: Scene, switched: SwitchedPicture) -> str | None:
    """'plan', 'price' or 'sun': why a heat pump should store more heat than it would by itself."""
    device = scene.inputs.devices.get(switched.resource.device_id)
    if device is not None and scene.now_s <= device.since_s:
        return None  # just reached: its state is looked at first
    if comfort(scene, switched.resource) is Comfort.WARM:
        return None
    buys = scene.prices.import_per_kwh
    if buys is not None and buys < 0.0:
        return "price"
    intent = scene.intent(switched.resource.id)
    if intent is not None and intent.kind is IntentKind.CHARGE_TO:
        return "plan"
    if intent is not None and intent.kind is IntentKind.HOLD:
        return None
    return "sun"


def _load_claim(
    scene: Scene, switched: SwitchedPicture, memory: SwitchMemory, power_w: float, shed: frozenset[str]
) -> Claim:
    policy = scene.site.load_policy(switched.resource.id)
    for_s = scene.now_s - memory.switched_at_s
    on = memory.state == 1 if policy.runs is LoadRun.ON_SURPLUS else memory.state != 0
    watts, wanted, of_the_sun = switched.rated_w, True, False
    if policy.runs is LoadRun.BY_ITSELF:
        watts = power_w if on else switched.rated_w
    else:
        intent = scene.intent(switched.resource.id)
        planned = intent is not None and intent.kind is IntentKind.CHARGE_TO
        wanted = not scene.islanded and not (intent is not None and intent.kind is IntentKind.HOLD)
        felt = comfort(scene, switched.resource)
        wanted = (wanted and felt is not Comfort.WARM) or (felt is Comfort.COLD and not scene.islanded)
        of_the_sun = not planned and felt is not Comfort.COLD
    off = switched.resource.id in shed or returning(scene, switched.resource.id)
    held = on and for_s < policy.min_on_s and not off and not scene.islanded
    if held:
        wanted, of_the_sun = True, False
    if not on and for_s < policy.min_off_s:
        wanted = False
    if not on and switch_memory.silent(scene, switched):
        wanted = False
    if scene.first and not on and policy.runs is LoadRun.ON_SURPLUS:
        wanted = False
    entry = SURPLUS_ON_SHARE if of_the_sun and not on else 0.0
    return _claim(scene, switched, watts, may=wanted and not off, of_the_sun=of_the_sun, entry=entry, held=held)


def choices(
    scene: Scene, shares: Mapping[str, Share], limits: Limits, shed: frozenset[str], into: dict[str, SwitchMemory]
) -> list[SwitchedChoice]:
    """One choice per heat pump and load; `into` takes the new memories."""
    result, memories = [], scene.once(switch_memory.memories)
    for switched in scene.picture.switched:
        if _starting(scene, switched):
            continue
        key = switched.resource.id
        memory = memories[key]
        got = shares.get(key)
        if Control.HEAT_PUMP_SG_READY in switched.resource.controls:
            choice = _heat_pump(scene, switched, memory, got, shares.get(key + MORE), limits, shed)
            state = int(choice.value or SgReady.NORMAL)
        elif Control.LOAD_ON in switched.resource.controls:
            choice, memory = _load(scene, switched, memory, got, limits, shed)
            state = switch_memory.OWN if choice.value is None else int(choice.value)
        else:
            continue
        less = state != memory.state and (memory.state == switch_memory.OWN or state < memory.state)
        if less and scene.unheard(choice.source):
            state = memory.state
            choice = replace(choice, value=None if state == switch_memory.OWN else float(state), reason=AS_IT_WAS)
        into[key] = switch_memory.remembered(scene, switched, memory, state)
        result.append(choice)
    return result


def leaving_w(scene: Scene, found: Iterable[SwitchedChoice]) -> float:
    """What is drawn now and will not be after this tick, at the most: by loads that are switched off, and by a heat
    pump that is forced no longer, whose heating rod ends at once. A compressor ends in its own time.
    """
    memories, leaving, stays = scene.once(switch_memory.memories), 0.0, heedless(scene)
    for choice in found:
        if choice.switched.resource.id in stays:
            continue
        state = memories[choice.switched.resource.id].state
        eased = state == SgReady.FORCED and choice.control is Control.HEAT_PUMP_SG_READY and choice.value != state
        if not eased and (choice.control is not Control.LOAD_ON or choice.value != 0.0):
            continue
        power_w = choice.switched.power_w
        if power_w is None and (eased or state == 1):  # nobody measures it: a rod may take more than the rating tells
            load_w = scene.picture.load_w or 0.0
            power_w = load_w if eased else min(choice.switched.rated_w, load_w)
        leaving += max(0.0, power_w or 0.0)
    return leaving


def eased_w(scene: Scene, found: Iterable[SwitchedChoice]) -> float:
    """What heat pumps draw that are asked for less from this tick on: their own thermostats may stop them at once. One
    that was asked a moment ago is still about to, whatever news comes in between.
    """
    memories, eased = scene.once(switch_memory.memories), 0.0
    for choice in found:
        if choice.control is not Control.HEAT_PUMP_SG_READY or choice.value is None:
            continue
        memory = memories[choice.switched.resource.id]
        for_s, told = scene.now_s - memory.switched_at_s, memory.state == choice.value
        stops = told and memory.state == SgReady.LOCKED and for_s < SWITCHED_RISES_S
        stops = stops or (told and memory.state < memory.was and for_s < EASED_STOPS_S)
        drawn_w = max(0.0, choice.switched.power_w or 0.0)
        if choice.value < memory.state < SgReady.FORCED:  # one that was forced is about to leave, see above
            eased += drawn_w
        elif stops:
            eased += min(drawn_w, _still_w(scene))
    return eased


def _still_w(scene: Scene) -> float:
    """What is drawn beyond the house alone, by the meter: it shows that a pump has stopped before that tells so."""
    load_w, house_w = scene.picture.load_w, scene.memory.house_w
    return math.inf if load_w is None or house_w is None else max(0.0, load_w - max(0.0, house_w))


def _heat_pump(
    scene: Scene,
    switched: SwitchedPicture,
    memory: SwitchMemory,
    got: Share | None,
    more: Share | None,
    limits: Limits,
    shed: frozenset[str],
) -> SwitchedChoice:
    control = Control.HEAT_PUMP_SG_READY
    now = SwitchedChoice(switched, control, float(SgReady.NORMAL), Rank.PLAN, "rule", "heats as it needs")
    stays = scene.now_s - memory.switched_at_s < HEAT_PUMP_MIN_STAY_S
    if got is not None and got.level == 0.0:
        reason, rank, source = _denied(scene, switched, got, limits, shed)
        if switch_memory.lock_used_up(scene, memory) and rank is not Rank.SAFETY:
            return replace(now, reason="heats as it needs: it was locked for two hours today already")
        if source != CHANCE or memory.state <= SgReady.LOCKED or not stays:  # who waits by chance keeps what runs
            by = got.bound_by
            return replace(now, value=float(SgReady.LOCKED), rank=rank, source=source, reason=reason, bound_by=by)
    bounds = _import_bound(scene)
    drawn_w = max(0.0, switched.power_w or 0.0)
    rises = more is not None and more.level > 0.0 and memory.state < SgReady.RECOMMENDED
    if rises and not stays and not _has_room(scene, switched.rated_w - drawn_w):
        waits_w = _awaited_w(scene, max(0.0, switched.rated_w - drawn_w))
        now = replace(now, reason=MAKES_ROOM, waits_w=waits_w)
    elif more is not None and more.level > 0.0:
        wants = _wants_more(scene, switched)
        state = SgReady.FORCED if wants == "price" and bounds is None else SgReady.RECOMMENDED
        said = {
            "price": f"stores {'all the heat it can' if bounds is None else 'heat'}: a kWh costs less than nothing",
            "plan": "stores heat as planned",
            "sun": _of_the_sun(scene),
        }
        source = {"price": scene.prices.source, "plan": "plan", "sun": "rule"}[wants or "sun"]
        now = replace(now, value=float(state), source=source, reason=said[wants or "sun"])
    elif memory.state == SgReady.RECOMMENDED and _goes_on(scene, switched, drawn_w):
        now = replace(now, value=float(SgReady.RECOMMENDED), reason=GOES_ON)
    locked_out = memory.state == SgReady.LOCKED and switch_memory.lock_used_up(scene, memory)
    waits = bounds is not None and bounds.source == CHANCE and stays  # who waits by chance keeps what runs
    if bounds is not None and memory.state == SgReady.FORCED and not waits:  # whose rod may start any time
        return replace(now, rank=bounds.rank, source=bounds.source) if stays else now
    if stays and memory.state != int(now.value or 0) and not locked_out:
        words = f"stays for {HEAT_PUMP_MIN_STAY_S / 60:.0f} min in one state"
        return replace(now, value=float(memory.state), reason=words)
    return now


def _goes_on(scene: Scene, switched: SwitchedPicture, drawn_w: float) -> bool:
    """Whether the limits leave no room for what it takes of the sun, which it may stop to take at once: nobody can tell
    whether it would."""
    room_w = scene.import_room_w + scene.export_room_w
    tight = not scene.islanded and drawn_w - EV_DRAWS_W > room_w
    return tight and comfort(scene, switched.resource) is not Comfort.WARM


def _import_bound(scene: Scene) -> Envelope | None:
    """The grid's bound on the import, or what a wait keeps of one: nobody tells what a pump draws when it is forced.

    SG Ready's fourth state may switch on the heating rod as well, which no rating of the pump has in it.
    """
    by = scene.band.max_by
    if by is not None and by.rank is not Rank.SAFETY:
        return by
    waiting = scene.waits.get(IMPORT)
    return None if waiting is None else waiting.by


def _of_the_sun(scene: Scene) -> str:
    """The sun's part is given out by priority: what comes after a heat pump may draw from the grid meanwhile."""
    if (scene.picture.grid_w or 0.0) > EV_DRAWS_W:
        return "stores the sun as heat; what others take beyond it comes from the grid"
    return "stores the sun's surplus as heat"


def _load(
    scene: Scene,
    switched: SwitchedPicture,
    memory: SwitchMemory,
    got: Share | None,
    limits: Limits,
    shed: frozenset[str],
) -> tuple[SwitchedChoice, SwitchMemory]:
    policy = scene.site.load_policy(switched.resource.id)
    own = SwitchedChoice(switched, Control.LOAD_ON, None, Rank.PLAN, "rule", "runs by itself")
    if got is None:
        return own, memory
    if policy.runs is LoadRun.BY_ITSELF:
        if got.level > 0.0:
            return own, memory
        reason, rank, source = _denied(scene, switched, got, limits, shed)
        return replace(own, value=0.0, rank=rank, source=source, reason=reason, bound_by=got.bound_by), memory
    on = memory.state == 1
    felt = comfort(scene, switched.resource)
    begins = got.level > 0.0 and not on
    if begins and felt is not Comfort.COLD:
        since_s = scene.now_s if memory.wanted_since_s is None else memory.wanted_since_s
        if scene.now_s - since_s < LOAD_SURE_S:
            waiting = replace(own, value=0.0, reason="waits until the surplus has lasted a minute")
            return waiting, replace(memory, wanted_since_s=since_s)
    if begins and not _has_room(scene, switched.rated_w):
        return replace(own, value=0.0, reason=MAKES_ROOM, waits_w=_awaited_w(scene, switched.rated_w)), memory
    memory = replace(memory, wanted_since_s=None)
    if got.level > 0.0:
        for_s = scene.now_s - memory.switched_at_s
        words = "stays on for its minimum time" if on and for_s < policy.min_on_s else "runs on what the sun leaves"
        intent = scene.intent(switched.resource.id)
        planned = intent is not None and intent.kind is IntentKind.CHARGE_TO
        words = "runs as planned" if planned else words
        if felt is Comfort.COLD:
            words = f"heats: {temperature_c(scene, switched.resource):.0f} °C is below what its owner wants"
        return replace(own, value=1.0, source="plan" if planned else "rule", reason=words), memory
    if scene.islanded and switched.resource.id not in shed:
        why = "the house runs without the grid" if scene.gone else "the grid has only just come back"
        return replace(own, value=0.0, rank=Rank.SAFETY, source="island", reason=f"off: {why}"), memory
    if not on and switch_memory.silent(scene, switched):
        return replace(own, value=0.0, reason="off until its device answers again"), memory
    if got.bound_by in {SURPLUS, None} and switched.resource.id not in shed:
        words = "is warm enough" if felt is Comfort.WARM else "waits for the sun"
        return replace(own, value=0.0, reason=words), memory
    reason, rank, source = _denied(scene, switched, got, limits, shed)
    return replace(own, value=0.0, rank=rank, source=source, reason=reason, bound_by=got.bound_by), memory


def _has_room(scene: Scene, more_w: float) -> bool:
    """Whether the meter shows already that so much more fits under the import limit: a contact closes at once, a pump
    may start at once, and a car or a battery that is to charge less at the same time may do so late, or not at all.
    What the law guarantees devices is theirs, whatever the house takes besides; more than that waits for room as well.
    """
    grid_w = scene.picture.grid_w
    if grid_w is None:
        return True
    may_w = scene.band.max_w
    if scene.guaranteed_w > 0.0:
        may_w = max(may_w, scene.house_w - scene.picture.switched_w + scene.guaranteed_w)
    return grid_w + NEARLY_ALL * more_w <= may_w


def _awaited_w(scene: Scene, more_w: float) -> float:
    """What others are to make room for: not for more than lies between the limits, which could only flow out."""
    return more_w if NEARLY_ALL * more_w <= scene.band.max_w - scene.band.min_w else 0.0


def _denied(
    scene: Scene, switched: SwitchedPicture, got: Share, limits: Limits, shed: frozenset[str]
) -> tuple[str, Rank, str]:
    if switched.resource.id in shed:
        return (
            "off: the house runs without the grid, and the battery has to last and to carry it",
            Rank.SAFETY,
            "island",
        )
    if returning(scene, switched.resource.id):
        return AFTER_OUTAGE, Rank.SAFETY, "island"
    by = limits.behind.get(got.bound_by or "")
    if by is not None:
        return f"off: {scene.bound(by)}", by.rank, by.source
    return "stays off for its minimum time", Rank.PLAN, "rule"
