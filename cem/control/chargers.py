"""Charging points: how much current each may draw this tick."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from cem.control import charger_state, phases
from cem.control.fold import fold
from cem.control.island import returning
from cem.control.limits import SURPLUS, Limits, use_of
from cem.control.memory import ChargerMemory
from cem.control.picture import ChargerPicture
from cem.control.scene import Scene
from cem.control.sharing import Claim, Share
from cem.control.tuning import EV_DRAWS_W, EV_MIN_OFF_S, EV_MIN_ON_S, EV_STEP_UP_SHARE, EV_TURN_S
from cem.control.wishes import IDLE, Wish, most_a, wish
from cem.model.envelope import Band, Rank

PRIORITY = 5.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plugged car with what it would like and what is known of it."""

    charger: ChargerPicture  # with the phases that it would use
    memory: ChargerMemory
    wish: Wish
    band: Band  # its own, in W
    claim: Claim
    pause: str  # why it may not charge now, whatever is left; '' if it may


@dataclass(frozen=True, slots=True)
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


def candidates(scene: Scene, limits: Limits) -> list[Candidate]:
    """Every plugged car with its claim."""
    room_w = {"surplus": limits.pools.room[SURPLUS], "site": limits.pools.room["site"]}
    return [_candidate(scene, charger, room_w) for charger in scene.picture.chargers if charger.plugged]


def _candidate(scene: Scene, charger: ChargerPicture, room_w: Mapping[str, float]) -> Candidate:
    now_s = scene.now_s
    memory = charger_state.observed(charger, scene.memory.chargers.get(charger.resource.id), now_s)
    wanted = wish(scene, charger)
    pause = ""
    least_a = charger_state.least_a(charger, memory)
    if phases.switchable(charger):
        most_w = min(wanted.power_w, room_w["site"], room_w["surplus"] if wanted.surplus else math.inf)
        want = phases.wanted(charger, memory, most_w, least_a)
        may_pause = now_s - memory.switched_at_s >= EV_MIN_ON_S
        memory, must = phases.switched(charger, memory, want, now_s, may_pause=may_pause)
        pause = "paused for the change of phases" if must else ""
        charger = replace(charger, phases=min(charger.phases, phases.commanded(charger, memory)))
    band = fold(charger.resource.id, scene.envelopes_of(charger.resource.id), scene.now)
    idle = charger_state.idle(memory, now_s)
    claim = _claim(scene, charger, memory, wanted, band, least_a, idle)
    if pause or returning(scene, charger.resource.id):
        pause = pause or "waits after the outage, so that not everything comes back at once"
        claim = replace(claim, most=0.0, held=False)
    elif _is_new(scene, charger):
        now_a = float(math.floor(charger.amperes + 0.5))  # not more than it draws, until it is known how all stands
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
    held = on and for_s < EV_MIN_ON_S and not urgent and not idle
    most = float(math.floor(wished_a + 1e-9))
    least = float(math.ceil(least_a))
    if held:
        most = max(most, least) if band.max_w >= least * watts else most
    if not on and for_s < EV_MIN_OFF_S and wanted.rank is not Rank.USER:
        most = 0.0
    turn = (0.0, 0.0) if on and for_s < EV_TURN_S else (1.0, memory.waits_since_s or now_s) if not on else (2.0, 0.0)
    urgency = IDLE if idle else wanted.urgency
    return Claim(
        charger.resource.id,
        (urgency, float(charger.resource.priority or PRIORITY)),
        turn,
        least,
        most if most >= least else 0.0,
        use_of(scene.site, charger.resource, watts, 1.0, charger.phases),
        frozenset() if wanted.surplus and not held else frozenset({SURPLUS}),
        held,
        # a pause for want of sun ends only when there is clearly enough, so that a cloud's edge does not switch
        least * EV_STEP_UP_SHARE if wanted.surplus and not on else 0.0,
    )


def choices(
    scene: Scene, found: list[Candidate], shares: Mapping[str, Share], limits: Limits, into: dict[str, ChargerMemory]
) -> list[ChargerChoice]:
    """One choice per charging point, in the site's order; `into` takes the new memories."""
    by_id = {candidate.charger.resource.id: candidate for candidate in found}
    result = []
    for charger in scene.picture.chargers:
        candidate = by_id.get(charger.resource.id)
        if candidate is None:
            result.append(ChargerChoice(charger, None, Rank.PLAN, "charger", "no car is connected"))
            continue
        got = shares[charger.resource.id]
        limit_a = float(math.floor(got.level + 1e-9))
        memory = charger_state.after(candidate.memory, limit_a, scene.now_s, _was_on(scene, candidate))
        waits = limit_a == 0.0 and candidate.wish.power_w > 0.0
        since_s = candidate.memory.waits_since_s
        memory = replace(memory, waits_since_s=(scene.now_s if since_s is None else since_s) if waits else None)
        into[charger.resource.id] = memory
        choice = _explained(scene, candidate, limit_a, got, limits)
        kept_w = charger_state.reserved_w(candidate.charger, limit_a, memory, scene.now_s)
        result.append(replace(choice, reserved_w=kept_w, phases=memory.phases if phases.switchable(charger) else None))
    return result


def _was_on(scene: Scene, candidate: Candidate) -> bool:
    """Whether it was on before this tick: by our will, or at first sight by what is seen."""
    new = _is_new(scene, candidate.charger)
    return candidate.charger.power_w > EV_DRAWS_W if new else candidate.memory.limit_a > 0.0


def _is_new(scene: Scene, charger: ChargerPicture) -> bool:
    """Nothing was decided for this car yet: the first word to it asks for no more than it draws."""
    return charger.resource.id not in scene.memory.chargers


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
        return replace(plain, reason=f"stays off for its minimum time of {EV_MIN_OFF_S / 60:.0f} min")
    if claim.held and limit_a > wished_a:
        return replace(plain, reason=f"{wanted.reason}; stays on for its minimum time")
    return plain
