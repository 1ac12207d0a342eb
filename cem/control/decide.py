"""The decision of one tick: fold the bounds, share what is left, follow the plan within it, say why."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cem.control import (
    asked,
    batteries,
    battery_rooms,
    black_start,
    bounds,
    chargers,
    deaf,
    empty_points,
    hidden,
    island,
    late_cars,
    lateness,
    panels,
    phase_loss,
    phase_place,
    presence,
    reserves,
    signs,
    spreading,
    switch_memory,
    switched,
)
from cem.control.authority import admitted
from cem.control.battery_choice import Surroundings
from cem.control.curves import curve_envelopes
from cem.control.curves import followed as followed_volts
from cem.control.droop import droop_envelopes
from cem.control.fold import fold
from cem.control.fuse_heat import warmed
from cem.control.guarantee import guaranteed_w
from cem.control.headline import headline, mode
from cem.control.limits import Limits, limits
from cem.control.memory import ChargerMemory, Memory, Metered, SwitchMemory, Vouched
from cem.control.meter import metered
from cem.control.picture import TOGETHER_S, Picture, look
from cem.control.plausible import Screened, counted, screen
from cem.control.prices import Prices, prices_now
from cem.control.safe import UNMANAGED, guaranteed, held_empty, idle, import_limit, safe_setpoints, starts, unmanaged
from cem.control.scene import Scene
from cem.control.setpoints import made, shown
from cem.control.steady import apart, as_metered, repeated, sound, steady
from cem.control.trend import Trend, followed
from cem.control.tuning import EMPTY_LOST_S, EV_HEARD_S, LEASE_S, SKEW_S
from cem.model.envelope import SITE, Envelope
from cem.model.reading import NUMBERS
from cem.model.resource import Control, Role
from cem.model.setpoint import Decision, Mode
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.model.values import replace

_NO_NOTES: Mapping[str, str] = MappingProxyType({})


def decide(site: Site, inputs: Inputs, memory: Memory, *, explained: bool = False) -> tuple[Decision, Memory]:
    """What every controllable resource should do now, and why. Pure and deterministic.

    `explained`: each set point comes with every term that narrowed it, which nobody looks at in most ticks.
    """
    site = bounds.with_owners_reserves(site, inputs)
    screened = screen(site, inputs.snapshot, memory.seen)
    if screened.snapshot is not inputs.snapshot:
        inputs = replace(inputs, snapshot=screened.snapshot)
    meter = metered(site, inputs.snapshot)
    memory = presence.followed(memory, site, inputs, meter)
    lost = phase_loss.lost_phases(site, meter)
    seen = look(site, inputs.snapshot, meter, SKEW_S)
    places = phase_place.watched(site, seen, lost, memory.places, inputs.now.mono_s)
    if places.doubts(inputs.now.mono_s):
        site = site.once(phase_place.placeless)
        seen = look(site, inputs.snapshot, meter, SKEW_S)
    picture, phases_a = phase_loss.guarded(seen, lost, memory.phases_a)
    same = memory.metered is not None and repeated(memory.metered, picture)
    watched = memory.signs if same else signs.watch(site, inputs.snapshot, meter, memory.signs, memory.late)
    late = lateness.followed(memory.late, picture, inputs.now.mono_s, nothing_new=same, doubted=watched.doubt)
    if late.seconds != memory.late.seconds:
        watched = replace(watched, samples=(), sure=0)  # they were of other moments
    elif lateness.turned(late):
        watched = signs.doubted(watched, inputs.now.mono_s)
    picture, last_word = as_metered(picture, inputs.snapshot, memory)
    picture = lateness.aligned(picture, late)
    unheeding = deaf.unheeding(inputs)
    picture, supposed_w = late_cars.supposed(picture, memory, inputs.now.mono_s, unheeding)
    memory = black_start.followed(memory, picture, inputs.now.mono_s)
    picture, moved, loads_w = steady(picture, memory, late, inputs.now.mono_s, unheeding)
    locked = bounds.locked_reserves(site, picture, memory.reserve_locked)
    prices = prices_now(site, inputs)
    grids = _grids(site, inputs, memory)
    inputs, memory = asked.definite(inputs, memory, picture)
    memory = spreading.remembered(site, inputs, memory, grids, picture.grid_w, prices)
    known = replace(
        memory,
        begun_at_s=inputs.now.mono_s if memory.decided_at_s is None else memory.begun_at_s,
        reserve_locked=locked,
        seen=screened.seen,
        signs=watched,
        moved=moved,
        loads_w=loads_w,
        metered=last_word,
        supposed_w=supposed_w,
        astray=frozenset([o.resource_id for o in inputs.outcomes if o.state in deaf.STORES]),
        sound_w=sound(picture, memory),
        late=late,
        volts=followed_volts(site, inputs, meter, memory.volts),
        trend=_trend(memory.trend, picture, picture.pv_w, last_word),
        free_trend=_trend(memory.free_trend, picture, _free_roofs_w(picture, inputs), last_word),
        phases_a=phases_a,
        heat=_heat(site, inputs, memory, picture),
        places=places,
        managed=memory.managed | {battery.resource.id for battery in picture.batteries},
        dropped=counted(memory.dropped, screened.dropped),
    )
    scene = _scene(site, inputs, known, picture, prices, grids, explained)
    if picture.grid_w is None:
        decision, known = _blind(scene)
    else:
        decision, known = _seeing(scene)
    mute = unmanaged(scene)
    kept = site.once(reserves.setpoints)
    if mute or kept:
        decision = replace(decision, setpoints=(*decision.setpoints, *idle(mute), *kept))
    doubt = phase_loss.note(lost) if lost else phase_place.NOTE if places.doubts(inputs.now.mono_s) else ""
    if late.seconds:
        decision = replace(decision, meter_late_s=late.seconds)
    decision = _noted(site, decision, screened, doubt, mute)
    return shown(site, decision), known


def _heat(site: Site, inputs: Inputs, memory: Memory, picture: Picture) -> tuple[float, ...]:
    passed_s = 0.0 if memory.decided_at_s is None else inputs.now.mono_s - memory.decided_at_s
    return warmed(memory.heat, picture.phases_a, site.connection.fuse_a, passed_s)


def _trend(before: Trend | None, picture: Picture, pv_w: float, last_word: Metered | None) -> Trend | None:
    """By the meter's words, not by ticks: one between two of them tells nothing of how fast things change."""
    if picture.load_w is None or last_word is None:
        return None
    return followed(before, picture.load_w + pv_w, last_word.at_s)


def _free_roofs_w(picture: Picture, inputs: Inputs) -> float:
    """What the roofs give that nobody can bound."""
    unheeding = deaf.unheeding(inputs) if picture.pvs else ()
    return sum([
        pv.power_w
        for pv in picture.pvs
        if Control.PV_LIMIT_W not in pv.resource.controls or pv.resource.id in unheeding
    ])  # fmt: skip


def _grids(site: Site, inputs: Inputs, memory: Memory) -> tuple[Envelope, ...]:
    """What the grid says, within its authority; it means nothing without the grid's voltage."""
    return () if presence.gone(memory) else admitted(site, inputs.directive.envelopes)


def _curves(site: Site, inputs: Inputs, memory: Memory, picture: Picture, prices: Prices) -> tuple[Envelope, ...]:
    """What the grid's curves leave, within its authority and while its voltage is there."""
    if presence.gone(memory):
        return ()
    return admitted(site, curve_envelopes(site, inputs, picture, memory.volts, prices))


def _scene(
    site: Site,
    inputs: Inputs,
    memory: Memory,
    picture: Picture,
    prices: Prices,
    grids: tuple[Envelope, ...],
    explained: bool,
) -> Scene:
    envelopes = (
        *site.once(bounds.site_envelopes),
        *grids,
        *asked.dispatch_envelopes(inputs, picture),
        *bounds.battery_envelopes(site, picture, memory.reserve_locked),
        *signs.sign_envelopes(site, memory.signs, inputs.now.mono_s),
        *droop_envelopes(site, picture, islanded=presence.gone(memory)),
        *_curves(site, inputs, memory, picture, prices),
        *bounds.user_envelopes(inputs.requests, inputs.now.wall),
    )
    return Scene(
        site,
        inputs,
        picture,
        fold(SITE, envelopes, inputs.now.wall),
        envelopes,
        memory,
        prices,
        site.once(guaranteed_w),
        spreading.waits(site, memory, inputs.now.mono_s),
        _by_subject(envelopes),
        explained,
    )


def _by_subject(envelopes: Iterable[Envelope]) -> Mapping[str, tuple[Envelope, ...]]:
    found: dict[str, tuple[Envelope, ...]] = {}
    for envelope in envelopes:
        found[envelope.subject] = (*found.get(envelope.subject, ()), envelope)
    return found


def _seeing(scene: Scene) -> tuple[Decision, Memory]:
    """With a meter that answers: consumers share the limits, batteries and panels follow."""
    known = scene.memory
    powers_w = switched.moved_w(scene)
    moved = {c.resource.id: c.power_w for c in scene.picture.chargers} | powers_w
    left = limits(scene, moved)
    shed = island.shed(scene) | black_start.unserved(scene)
    cars = chargers.candidates(scene, left)
    claims = [car.claim for car in cars] + switched.claims(scene, powers_w, shed)
    shares = deaf.shared(scene, claims, left.pools, moved, switched.drawing_on(scene))
    # what can't be read just now keeps its times: after a restart that is everything
    read = moved.keys()
    charger_memories: dict[str, ChargerMemory] = {k: m for k, m in known.chargers.items() if k not in read}
    switch_memories: dict[str, SwitchMemory] = {k: m for k, m in known.switches.items() if k not in read}
    last_w = dict(known.batteries_w)
    points = chargers.choices(scene, cars, shares, left, charger_memories)
    relays = switched.choices(scene, shares, left, shed, switch_memories)
    begins_w = switched.begins_w(scene, relays, switch_memories)
    around = _surroundings(scene, left, points, relays, switch_memories, begins_w)
    stores = batteries.choose(scene, around, last_w)
    leaving_w = switched.leaving_w(scene, relays) - begins_w
    roofs = panels.choose(scene, stores, leaving_w, around.leaving_w + around.eased_w)
    setpoints = made(scene, left, points, relays, stores, roofs)
    now = mode(scene)
    load_w = scene.picture.load_w
    said, grid = headline(scene, now, setpoints), presence.presence(known)
    decision = Decision(setpoints, scene.band, now, said, load_w, _NO_NOTES, grid)
    return decision, replace(
        known,
        decided_at_s=scene.now_s,
        chargers=MappingProxyType(charger_memories),
        vacated=MappingProxyType(scene.once(chargers.vacated)),
        full_at_s=empty_points.held_on(scene, [point.charger.resource.id for point in points if point.full]),
        batteries_w=MappingProxyType(last_w),
        load_w=load_w,
        switched_w=scene.picture.switched_w,
        apart=apart(scene.picture),
        load_at_s=known.load_at_s if scene.picture.skewed else scene.now_s,
        house_w=_house_w(scene),
        vouched=_vouched(scene),
        no_car=_no_car(scene),
        hidden=hidden.followed(scene),
        meter_lost_at_s=None,
        switches=MappingProxyType(switch_memories),
    )


def _house_w(scene: Scene) -> float | None:
    """The load without heat pumps and loads. While a charging point can't be read, or was not heard lately, the house
    takes no more than when that told its power last, nor than the least that was left since beside what its car drew:
    whatever comes on top, or stays, may be that car."""
    known_w, load_w = scene.memory.house_w, scene.picture.load_w
    if load_w is None or (known_w is None and scene.unread_cars):
        return known_w
    now_w = load_w - scene.picture.switched_w
    lately = {charger.resource.id for charger in scene.picture.chargers if charger.age_s <= EV_HEARD_S}
    if known_w is None or (len(lately) == len(scene.picture.chargers) and not scene.unread_cars):
        return now_w
    vouched_w = min([v.house_w for key, v in scene.memory.vouched.items() if key not in lately], default=known_w)
    return min(known_w, vouched_w, max(0.0, now_w - _last_told_w(scene)))


def _vouched(scene: Scene) -> Mapping[str, Vouched]:
    """What the house took at the tick at which each charging point had last told its power anew."""
    picture, known = scene.picture, scene.memory.vouched
    if picture.load_w is None or scene.unread_cars:
        return known
    house_w, found = picture.load_w - picture.switched_w, {}
    for charger in picture.chargers:
        told_at_s, before = scene.now_s - charger.age_s, known.get(charger.resource.id)
        if before is None or told_at_s > before.told_at_s + TOGETHER_S:
            found[charger.resource.id] = Vouched(told_at_s, house_w)
    return MappingProxyType({**known, **found}) if found else known


def _last_told_w(scene: Scene) -> float:
    """What the cars drew whose charging points can't be read, as they were read last."""
    told = [scene.inputs.snapshot.reading(resource.id, "power_w") for resource in scene.unread_cars]
    return sum([max(0.0, one.value) for one in told if one is not None and isinstance(one.value, NUMBERS)])


def _no_car(scene: Scene) -> frozenset[str]:
    found = set() if scene.hidden_car else set(scene.memory.no_car)
    for charger in scene.picture.chargers:
        if charger.state == "A":
            found.add(charger.resource.id)
        else:
            found.discard(charger.resource.id)
    return frozenset(found)


def _surroundings(
    scene: Scene,
    left: Limits,
    points: list[chargers.ChargerChoice],
    relays: list[switched.SwitchedChoice],
    memories: Mapping[str, SwitchMemory],
    begins_w: float,
) -> Surroundings:
    """What is left for the batteries when the consumers have theirs; `begins_w`: loads draw so much from now on."""
    waiting_w = switched.waiting_w(relays)
    fuse_w, fuse_by = battery_rooms.fuse(scene, left)
    granted_w = reserved_w = idle_w = leaving_w = at_once_w = 0.0
    for point in points:
        granted_w += (point.limit_a or 0.0) * point.charger.watts_per_amp
        reserved_w += point.reserved_w
        leaving_w += point.leaving_w
        at_once_w += point.reserved_w if point.at_once else 0.0
        idle_w += 0.0 if point.charger.plugged else point.charger.power_w
    return Surroundings(
        ev_w=scene.picture.ev_w,
        reserved_w=reserved_w + idle_w + switched.rising_w(scene, relays, memories) + waiting_w,
        granted_w=granted_w + sum([relay.switched.power_w or 0.0 for relay in relays]),
        fuse_w=fuse_w,
        fuse_by=fuse_by,
        rooms_w=battery_rooms.rooms(scene, left),
        leaving_w=leaving_w,
        eased_w=switched.eased_w(scene, relays),
        begins_w=begins_w + waiting_w,
        at_once_w=at_once_w,
    )


def _blind(scene: Scene) -> tuple[Decision, Memory]:
    """Without a meter: less, never more, until it answers again."""
    now_s, known = scene.now_s, scene.memory
    lost_at = known.meter_lost_at_s if known.meter_lost_at_s is not None else now_s
    lost_for_s = now_s - lost_at
    setpoints = safe_setpoints(scene, lost_for_s)
    by = import_limit(scene)
    switches: dict[str, SwitchMemory] = dict(known.switches)
    if by is not None and not starts(scene, lost_for_s):
        relays, alone = switched.limited(scene, by, guaranteed(scene), switches)
        setpoints += made(scene, alone, (), relays, (), ())
    elif by is None and lost_for_s >= LEASE_S:
        switches = switch_memory.let_go(scene)
    said = "The grid meter is silent: nothing is steered beyond its safe value until it answers again."
    decision = Decision(setpoints, scene.band, Mode.SAFE, said, None, _NO_NOTES, presence.presence(known))
    given = {s.resource_id: s.value or 0.0 for s in setpoints}
    cars = dict(known.chargers) if starts(scene, lost_for_s) else chargers.seen(scene)
    kept = {
        key: replace(
            charger,
            limit_a=given.get(key, charger.limit_a),
            switched_at_s=now_s if charger.limit_a > 0.0 and given.get(key) == 0.0 else charger.switched_at_s,
            met=charger.met or key in given,
        )
        for key, charger in cars.items()
    }
    return decision, replace(
        known,
        decided_at_s=scene.now_s,
        chargers=MappingProxyType(kept),
        switches=MappingProxyType(switches),
        batteries_w=MappingProxyType({b: given[b] for b in scene.memory.batteries_w if given.get(b)}),
        load_w=None,
        full_at_s=empty_points.held_on(scene, held_empty(scene, lost_for_s) if lost_for_s >= EMPTY_LOST_S else ()),
        hidden=hidden.followed(scene),
        meter_lost_at_s=lost_at,
    )


def _noted(site: Site, decision: Decision, screened: Screened, doubt: str, mute: tuple[str, ...]) -> Decision:
    if not (mute or screened.notes or doubt):
        return decision
    notes = dict.fromkeys(mute, f"{UNMANAGED}: it idles") | dict(screened.notes)
    if doubt:
        notes.setdefault(site.of(Role.GRID)[0].id, doubt)
    return replace(decision, notes=MappingProxyType(notes))
