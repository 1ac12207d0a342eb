"""Charging points: how much current each may draw this tick."""

import math
from collections.abc import Iterable, Mapping

from cem.control import charger_state, phases
from cem.control.car_wishes import wish
from cem.control.deaf import heedless
from cem.control.empty_points import NO_CAR, no_room_lately
from cem.control.fold import fold
from cem.control.island import AFTER_OUTAGE, returning
from cem.control.limits import ASKED as GRID_ASKS
from cem.control.limits import SURPLUS, WAIT, Limits, use_of
from cem.control.memory import LONG_AGO_S, ChargerMemory, Vacated
from cem.control.picture import ChargerPicture
from cem.control.safe import import_limit
from cem.control.scene import Scene
from cem.control.sharing import Claim, Share
from cem.control.tuning import EV_DRAWS_W, EV_MIN_OFF_S, EV_MIN_ON_S, EV_STEP_UP_SHARE, EV_TOLD_S, EV_TURN_S
from cem.control.wishes import ASKED, IDLE, LATE, Wish, most_a
from cem.model.envelope import Band, Envelope, Rank
from cem.model.values import replace, value

PRIORITY = 5.0


@value(frozen=True, slots=True)
class Candidate:
    """A plugged car with what it would like and what is known of it."""

    charger: ChargerPicture  # with the phases that it would use
    memory: ChargerMemory
    wish: Wish
    band: Band  # its own, in W
    claim: Claim
    pause: str  # why it may not charge now, whatever is left; '' if it may


@value(frozen=True, slots=True)
class ChargerChoice:
    """The current for one charging point; None hands it back to itself (no car)."""

    charger: ChargerPicture
    limit_a: float | None
    rank: Rank
    source: str
    reason: str
    phases: int | None = None  # commanded, where it can be
    reserved_w: float = 0.0  # what is kept free for it
    bound_by: str | None = None  # the pool that bounded it
    at_once: bool = False  # does not wait by chance after an event
    leaving_w: float = 0.0  # what its car still draws of what it was just told to leave
    full: bool = False  # no car is there, and a fuse has no room for one


def candidates(scene: Scene, limits: Limits) -> list[Candidate]:
    """Every plugged car with its claim."""
    return [_candidate(scene, charger, limits) for charger in scene.picture.chargers if charger.plugged]


def _room_w(scene: Scene, charger: ChargerPicture, limits: Limits, surplus: bool) -> float:
    """What the limits in watts leave for it, before others have their part: one phase fits where three do not."""
    room = limits.pools.room
    inside = [c for c in scene.site.circuits if c.limit_w is not None and charger.resource.id in c.members]
    return min([room["site"], *(room[f"circuit {c.id}"] for c in inside), *([room[SURPLUS]] if surplus else [])])


def seen(scene: Scene) -> dict[str, ChargerMemory]:
    """What is known of each car that is plugged in, though nothing is decided; what can't be read stays."""
    read = {charger.resource.id for charger in scene.picture.chargers}
    known = {key: memory for key, memory in scene.memory.chargers.items() if key not in read}
    return known | {c.resource.id: _observed(scene, c) for c in scene.picture.chargers if c.plugged}


def _observed(scene: Scene, charger: ChargerPicture) -> ChargerMemory:
    before = scene.memory.chargers.get(charger.resource.id)
    memory = charger_state.observed(charger, before, scene.now_s, scene.follows_in_s)
    return replace(memory, deaf_at_s=scene.now_s) if charger.resource.id in heedless(scene) else memory


def _asked(scene: Scene, memory: ChargerMemory, wanted: Wish) -> ChargerMemory:
    """With when the owner's act was made, by the clock that nobody sets; long ago, where the other was set back."""
    asked_at = wanted.asked_at
    if asked_at is None or asked_at == memory.asked_at:
        return memory
    ago_s = (scene.now - asked_at).total_seconds()
    return replace(memory, asked_at=asked_at, asked_at_s=LONG_AGO_S if ago_s < -1.0 else scene.now_s - ago_s)


def _candidate(scene: Scene, charger: ChargerPicture, limits: Limits) -> Candidate:
    now_s = scene.now_s
    wanted = wish(scene, charger)
    memory = _asked(scene, _observed(scene, charger), wanted)
    pause = ""
    least_a = charger_state.least_a(charger, memory)
    if phases.switchable(charger):
        most_w = min(wanted.power_w, _room_w(scene, charger, limits, wanted.surplus))
        want = phases.wanted(charger, memory, most_w, least_a)
        may_pause = now_s - memory.switched_at_s >= EV_MIN_ON_S
        had = memory.phases
        memory, must = phases.switched(charger, memory, want, now_s, may_pause=may_pause)
        pause = "paused for the change of phases" if must else ""
        if memory.phases != had:
            memory = replace(memory, draws_phases=None)
        charger = replace(charger, phases=min(charger.phases, phases.commanded(charger, memory)))
    if memory.draws_phases is not None and memory.draws_phases < charger.phases:
        charger = replace(charger, phases=memory.draws_phases)
    band = fold(charger.resource.id, scene.envelopes_of(charger.resource.id), scene.now)
    idle = charger_state.idle(memory, now_s)
    claim = _claim(scene, charger, memory, wanted, band, least_a, idle)
    waits = wanted.urgency not in {LATE, ASKED} and returning(scene, charger.resource.id)
    if pause or waits:
        pause = pause or AFTER_OUTAGE
        claim = replace(claim, most=0.0, held=False)
    elif _is_new(scene, charger):
        # not more than it draws, or may draw by its own limit already, until it is known how all stands
        now_a = max(float(math.floor(charger.amperes + 0.5)), memory.limit_a)
        if charger.power_w > EV_DRAWS_W:  # on fewer phases than its charger has, these watts are more amperes
            now_a = max(now_a, float(math.ceil(least_a)))
        claim = replace(claim, most=min(claim.most, now_a), held=claim.held and now_a >= claim.least)
    return Candidate(charger, memory, wanted, band, claim, pause)


def _claim(
    scene: Scene,
    charger: ChargerPicture,
    memory: ChargerMemory,
    wanted: Wish,
    band: Band,
    least_a: float,
    idle: bool,
) -> Claim:
    now_s, watts = scene.now_s, charger.watts_per_amp
    wished_a = min(most_a(charger), wanted.power_w / watts, max(0.0, band.max_w) / watts)
    spare_a = charger_state.spare_a(charger, memory, now_s)
    if spare_a is not None:
        wished_a = min(wished_a, max(math.ceil(least_a), spare_a))
    on = memory.limit_a > 0.0
    for_s = now_s - memory.switched_at_s
    urgent = wanted.rank in {Rank.USER, Rank.SAFETY}
    held = charger_state.kept_on(memory, now_s) and not urgent and not idle
    most = float(math.floor(wished_a + 1e-9))
    least = float(math.ceil(least_a))
    if charger_state.unused(memory, now_s):
        most = min(most, charger_state.asleep_a(charger, memory))
    if held:
        most = max(most, least) if band.max_w >= least * watts else most
    # an act of the owner may end a pause that it found; one that was there before it waits like everybody
    asked_s = math.inf if wanted.asked_at is None else now_s - memory.asked_at_s
    if not on and for_s < EV_MIN_OFF_S and asked_s >= for_s:
        most = 0.0
    if not on and wanted.surplus and wanted.power_w < least * EV_STEP_UP_SHARE * watts:
        most = 0.0
    turn = (0.0, 0.0) if on and for_s < EV_TURN_S else (1.0, memory.waits_since_s or now_s) if not on else (2.0, 0.0)
    again = charger_state.asked_again(memory, now_s)
    urgency = IDLE if idle or (again and wanted.surplus) else wanted.urgency
    use = use_of(scene, charger.resource, watts, 1.0, charger.phases)
    if again and not wanted.surplus:
        # until the car really draws the sun stays with others, and the limits must only bear the smallest current
        del use[SURPLUS]
        most = most if on else min(most, least)
    at_once = wanted.urgency in {LATE, ASKED}  # the owner's word, and a goal that would be missed, do not wait
    obliged = scene.obliged
    drains = frozenset({SURPLUS} if not wanted.surplus else ()) | frozenset({WAIT} if at_once else ())
    return Claim(
        charger.resource.id,
        (urgency, float(charger.resource.priority or PRIORITY)),
        turn,
        least,
        most if most >= least else 0.0,
        use,
        drains | frozenset({GRID_ASKS} if at_once and not obliged else ()),
        held,
        frozenset({SURPLUS} if obliged else {SURPLUS, GRID_ASKS}),
        # a pause for want of sun ends only when there is clearly enough, so that a cloud's edge does not switch
        least * EV_STEP_UP_SHARE if wanted.surplus and not on else 0.0,
    )


def choices(
    scene: Scene, found: list[Candidate], shares: Mapping[str, Share], limits: Limits, into: dict[str, ChargerMemory]
) -> list[ChargerChoice]:
    """One choice per charging point, in the site's order; `into` takes the new memories."""
    by_id = {candidate.charger.resource.id: candidate for candidate in found}
    given_a = {key: _given_a(scene, car, shares[key], limits) for key, car in by_id.items()}
    waiting = _waiting(scene, found, given_a)
    result = []
    for charger in scene.picture.chargers:
        candidate = by_id.get(charger.resource.id)
        if candidate is None:
            left = scene.once(vacated).get(charger.resource.id)
            result.append(_vacant(scene, charger, limits, 0.0 if left is None else left.offered_w))
            continue
        got = shares[charger.resource.id]
        limit_a = candidate.memory.limit_a if charger.resource.id in waiting else given_a[charger.resource.id]
        wishes = candidate.wish.power_w > 0.0
        memory = charger_state.after(candidate.charger, candidate.memory, limit_a, scene.now_s, wishes=wishes)
        into[charger.resource.id] = memory
        choice = _explained(scene, candidate, limit_a, got, limits)
        if charger.resource.id in waiting:
            wanted = candidate.wish
            reason = f"{wanted.reason}; waits until others have made room"
            choice = replace(choice, rank=wanted.rank, source=wanted.source, reason=reason)
        kept_w = charger_state.reserved_w(candidate.charger, given_a[charger.resource.id], memory, scene.now_s)
        told = memory.phases if phases.switchable(charger) else None
        at_once = WAIT in candidate.claim.drains
        leaving_w = charger_state.leaving_w(candidate.charger, memory, scene.now_s)
        result.append(replace(choice, reserved_w=kept_w, phases=told, at_once=at_once, leaving_w=leaving_w))
    return result


def _vacant(scene: Scene, charger: ChargerPicture, limits: Limits, offered_w: float) -> ChargerChoice:
    """A charging point without a car: in its own hands, but for a limit, under which a car must not begin by itself.

    Nor where a fuse has no room for one: a car that begins by itself draws all it can until it is seen and answered.
    """
    by = import_limit(scene)
    if by is not None:
        reason = f"{NO_CAR}; one that comes asks first: {scene.bound(by)}"
        return ChargerChoice(charger, 0.0, by.rank, by.source, reason, reserved_w=offered_w)
    full = _full(scene, charger, limits)
    if full is None and not no_room_lately(scene, charger.resource.id):
        return ChargerChoice(charger, None, Rank.PLAN, "charger", NO_CAR)
    # nobody draws anything there yet: that is worth a write as any other, not one beyond a day's budget
    reason = f"{NO_CAR}; one that comes asks first: {'there was no room lately' if full is None else full.reason}"
    return ChargerChoice(charger, 0.0, Rank.PLAN, "charger", reason, reserved_w=offered_w, full=full is not None)


def _full(scene: Scene, charger: ChargerPicture, limits: Limits) -> Envelope | None:
    """The fuse that does not bear the smallest current beside what all others have; None: each does."""
    key, least_a = charger.resource.id, charger.resource.ratings.min_current_a
    use = use_of(scene, charger.resource, 0.0, 1.0, charger.phases)
    pool = limits.pools.short(Claim(key, (), (), least_a, least_a, use), least_a)
    return None if pool is None else limits.behind[pool]


def vacated(scene: Scene) -> dict[str, Vacated]:
    """What the car drew that has just left each charging point, which still may let it, until that took its offer back.

    Nobody else's for so long: a car that is plugged in again at once draws before any new word can reach it.
    """
    found = {}
    for charger in scene.picture.chargers:
        name = charger.resource.id
        known, car = scene.memory.vacated.get(name), scene.memory.chargers.get(name)
        if charger.plugged:
            continue
        if car is not None and car.drew and car.draws_phases is not None and car.limit_a > 0.0:
            offered_w = car.limit_a * car.draws_phases * charger.resource.ratings.nominal_voltage_v
            found[name] = Vacated(offered_w, scene.now_s + EV_TOLD_S)
        elif known is not None and scene.now_s < known.until_s:
            found[name] = known
    return found


def _given_a(scene: Scene, car: Candidate, got: Share, limits: Limits) -> float:
    """The current of its share; no less than it has, or the smallest, for a limit that nobody was heard of yet."""
    amperes = float(math.floor(got.level + 1e-9))
    by = limits.behind.get(got.bound_by or "")
    if amperes == 0.0 and car.memory.limit_a > 0.0 and by is not None and scene.unheard(by.source):
        return min(car.memory.limit_a, car.claim.least)
    return amperes


def _waiting(scene: Scene, found: Iterable[Candidate], given_a: Mapping[str, float]) -> frozenset[str]:
    """The cars that may not rise yet, for others still have to make room.

    Batteries that charge give way to what is kept free for a car, and a car that is told less takes seconds to follow:
    the other one rises when they have done so, as far as the meter leaves it. What one is on its way to, as it was told
    before, it may still reach. What flows out beyond an export limit is none of its room: that ends now.
    """
    by, grid_w = scene.band.max_by, scene.picture.grid_w
    if by is None or grid_w is None:
        return frozenset()
    falls, left_w, rises_w = False, scene.band.max_w - max(grid_w, scene.band.min_w), []
    for car in sorted(found, key=lambda one: (one.claim.rank, one.claim.turn, one.claim.id)):
        watts, power_w = car.charger.watts_per_amp, car.charger.power_w
        told_w, given_w = charger_state.told_w(car.charger, car.memory, scene.now_s), watts * given_a[car.claim.id]
        falls = falls or max(power_w, told_w) > given_w + EV_DRAWS_W
        left_w -= max(0.0, told_w - power_w)
        rises_w.append((car.claim.id, given_w - max(watts * car.memory.limit_a, power_w)))
    waits = set()
    if falls or grid_w < scene.band.min_w or any(b.power_w > EV_DRAWS_W for b in scene.picture.batteries):
        for key, rise_w in rises_w:
            if rise_w > max(0.0, left_w):
                waits.add(key)
            elif rise_w > 0.0:
                left_w -= rise_w
    return frozenset(waits)


def _is_new(scene: Scene, charger: ChargerPicture) -> bool:
    """Nothing was decided for this car in this run yet: the first word to it asks for no more than it may draw.

    One that came while its charging point was looked at is met as it comes: to be told nothing at first would open the
    contactor that its charger closes by itself.
    """
    known = scene.memory.chargers.get(charger.resource.id)
    return (known is None or not known.met) and charger.resource.id not in scene.memory.no_car


def _explained(scene: Scene, candidate: Candidate, limit_a: float, got: Share, limits: Limits) -> ChargerChoice:
    """The reason in words: what held it below its wish, or the wish itself."""
    charger, wanted, claim = candidate.charger, candidate.wish, candidate.claim
    if candidate.pause:
        return ChargerChoice(charger, limit_a, wanted.rank, wanted.source, f"{wanted.reason}; {candidate.pause}")
    plain = ChargerChoice(charger, limit_a, wanted.rank, wanted.source, wanted.reason, bound_by=got.bound_by)
    wished_a = float(math.floor(min(most_a(charger), wanted.power_w / charger.watts_per_amp) + 1e-9))
    pool = got.bound_by
    if pool == SURPLUS:
        words = f"{wanted.reason}; waits for more sun" if limit_a == 0.0 else wanted.reason
        return replace(plain, reason=words)
    if pool == WAIT and limit_a < wished_a:
        return replace(plain, reason=f"{wanted.reason}; {limits.behind[pool].reason}")
    if pool is not None and limit_a < wished_a and pool in limits.behind:
        by = limits.behind[pool]
        what = f"reduced to {limit_a:.0f} A" if limit_a > 0.0 else "paused"
        return replace(plain, rank=by.rank, source=by.source, reason=f"{what}: {scene.bound(by)}")
    by_own = candidate.band.max_by
    if by_own is not None and limit_a < wished_a and candidate.band.max_w < wished_a * charger.watts_per_amp:
        what = f"reduced to {limit_a:.0f} A" if limit_a > 0.0 else "paused"
        return replace(plain, rank=by_own.rank, source=by_own.source, reason=f"{what}: {scene.bound(by_own)}")
    if _is_new(scene, charger) and limit_a < wished_a:
        return replace(plain, reason=f"{wanted.reason}; begins gently")
    off_s = scene.now_s - candidate.memory.switched_at_s
    if limit_a == 0.0 and wished_a > 0.0 and off_s < EV_MIN_OFF_S and candidate.memory.limit_a == 0.0:
        short = limits.behind.get(limits.pools.short(claim, claim.least) or "")
        if short is not None:  # it could not be on anyway
            return replace(plain, rank=short.rank, source=short.source, reason=f"paused: {scene.bound(short)}")
        return replace(plain, reason=f"stays off for its minimum time of {EV_MIN_OFF_S / 60:.0f} min")
    if charger_state.unused(candidate.memory, scene.now_s) and limit_a < wished_a:
        return replace(plain, reason=f"{wanted.reason}; begins gently when the car wakes")
    if claim.held and limit_a > wished_a:
        return replace(plain, reason=f"{wanted.reason}; stays on for its minimum time")
    return plain
