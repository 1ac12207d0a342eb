"""Batteries: what each should do this tick, from the plan's regime and the meter."""

from collections.abc import Mapping, Sequence

from cem.control import deaf as deafness
from cem.control import words
from cem.control.fleet import split
from cem.control.fold import fold
from cem.control.following import Regime, regime
from cem.control.picture import BatteryPicture
from cem.control.scene import Scene
from cem.control.spreading import CHANCE, IMPORT
from cem.control.tuning import BATTERY_DEAD_BAND_W, MOVE_SHARE
from cem.model.envelope import Band, Envelope, Rank
from cem.model.setpoint import Demand, Seldom
from cem.model.values import replace, value

OWN_CONTROL = "its own control follows the house; each set point would wear out its memory"
RAMP = "ramp"
"""The source of a power that only the site's ramp keeps up."""
STANDS_STILL = "it stands still: each set point wears out its memory"


@value(frozen=True, slots=True)
class BatteryChoice:
    """The power for one battery, charging positive."""

    battery: BatteryPicture
    power_w: float
    rank: Rank
    source: str
    reason: str
    demand: Demand | None = None  # by safety or an obligation; what it can take and give itself is none
    seldom: Seldom | None = None


@value(frozen=True, slots=True)
class Edge:
    """One edge of the connection point for the sum of the batteries: at most (or at least) `power_w`."""

    by: Envelope
    power_w: float
    is_import: bool
    keeps: bool  # only keeps charging down; never asks for discharge
    told: frozenset[str] = frozenset()  # batteries that do what a rank above `by` asks of them: it does not move them


@value(frozen=True, slots=True)
class Surroundings:
    """What the batteries act on, W: the cars as measured, what is kept free for them, and the room of the fuse."""

    ev_w: float
    reserved_w: float
    granted_w: float  # given to steered consumers this tick
    fuse_w: float  # what the main fuse leaves to all batteries together
    fuse_by: Envelope
    circuits_w: Mapping[str, tuple[float, Envelope]]  # what a circuit leaves to a battery
    at_once_w: float = 0.0  # of what is kept free for cars: theirs that do not wait by chance after an event


def choose(scene: Scene, around: Surroundings, last_w: dict[str, float]) -> list[BatteryChoice]:
    """One choice per battery that can be read; updates `last_w`."""
    deaf = deafness.stores(scene)
    steered = [b for b in scene.picture.batteries if b.resource.id not in deaf]
    fixed_w = sum([b.power_w for b in scene.picture.batteries if b.resource.id in deaf])
    bands = {b.resource.id: _own(scene, around, b) for b in scene.picture.batteries}
    regimes = {b.resource.id: regime(scene, b) for b in steered}
    choices = _wanted(scene, around, steered, regimes, bands, fixed_w)
    choices = [_gently(scene, choice, bands[choice.battery.resource.id], last_w) for choice in choices]
    choices = _aligned(choices, {key: follows.rank for key, follows in regimes.items()})
    told = frozenset(key for key, follows in regimes.items() if follows.rank < Rank.PLAN)
    edges = [*_waits(scene, around, choices, told, fixed_w), *_edges(scene, around, fixed_w)]
    for edge in edges:
        excess = sum([c.power_w for c in choices]) - edge.power_w
        if excess > 0 if edge.is_import else excess < 0:
            choices = _moved(scene, around, choices, edge, excess)
    choices = _in_turns(choices, edges)
    mute = deafness.unsteered(scene.site)
    for battery in scene.picture.batteries:
        if battery.resource.id in deaf and battery.resource.id not in mute:
            reason = "does not follow: the house is run without it, and it is tried again"
            choices.append(BatteryChoice(battery, bands[battery.resource.id].clamp(0.0), Rank.PLAN, "rule", reason))
    last_w.update({choice.battery.resource.id: choice.power_w for choice in choices})
    order = {b.resource.id: n for n, b in enumerate(scene.picture.batteries)}
    return sorted(choices, key=lambda choice: order[choice.battery.resource.id])


def _own(scene: Scene, around: Surroundings, battery: BatteryPicture, weakest: Rank = Rank.PLAN) -> Band:
    own = scene.envelopes_of(battery.resource.id)
    room = around.circuits_w.get(battery.resource.id)
    if room is not None:
        own = (*own, replace(room[1], subject=battery.resource.id, min_w=None, max_w=max(0.0, room[0])))
    return fold(battery.resource.id, own, scene.now, weakest=weakest)


def _wanted(
    scene: Scene,
    around: Surroundings,
    steered: Sequence[BatteryPicture],
    regimes: Mapping[str, Regime],
    bands: Mapping[str, Band],
    fixed_w: float,
) -> list[BatteryChoice]:
    """Regimes applied to the present surplus or deficit, shared among those that take part."""
    house_w = scene.house_w + fixed_w
    surplus = max(0.0, -(house_w + around.ev_w))
    deficit = _deficit_w(scene, fixed_w)
    into_car = any(scene.site.battery_policy(b.resource.id).into_car for b in steered)
    powers = _asked(scene, around, steered, regimes, bands, house_w)
    charging = {b.resource.id: regimes[b.resource.id].charge_w for b in steered if regimes[b.resource.id].charge_w > 0}
    for key, power in charging.items():
        powers[key] = max(power, surplus if len(steered) == 1 else 0.0)
    free = [b for b in steered if b.resource.id not in powers]
    if charging:
        rest = surplus - sum(charging.values())
        powers |= _shared(scene, max(0.0, rest), [b for b in free if regimes[b.resource.id].stores], bands)
    elif surplus > 0.0:
        powers |= _shared(scene, surplus, [b for b in free if regimes[b.resource.id].stores], bands)
        for battery in free:
            if (feed_w := regimes[battery.resource.id].feed_w) > 0.0:
                powers[battery.resource.id] = -feed_w
    else:
        need = deficit + (max(0.0, around.ev_w) if into_car else 0.0)
        feeding = {b.resource.id: regimes[b.resource.id].feed_w for b in free if regimes[b.resource.id].feed_w > 0}
        covers = [b for b in free if b.resource.id not in feeding and regimes[b.resource.id].covers]
        powers |= {
            key: -max(power, need if len(covers) == 0 and len(feeding) == 1 else 0.0) for key, power in feeding.items()
        }
        powers |= _shared(scene, -max(0.0, need - sum(feeding.values())), covers, bands)
    powers = _from_the_surplus(scene, steered, powers, surplus)
    return [
        _clamped(
            BatteryChoice(
                b,
                powers.get(b.resource.id, 0.0),
                r.rank,
                r.source,
                _why(r, bands[b.resource.id].clamp(powers.get(b.resource.id, 0.0)), surplus, deficit),
                Demand.EXACTLY if r.rank <= Rank.OBLIGATION else None,
                _seldom(scene, b, r, bands[b.resource.id], powers.get(b.resource.id, 0.0), surplus, around.ev_w),
            ),
            bands[b.resource.id],
        )
        for b in steered
        for r in (regimes[b.resource.id],)
    ]


def _deficit_w(scene: Scene, fixed_w: float) -> float:
    """What the house takes beyond the sun and is no car."""
    deficit_w = max(0.0, scene.house_w + fixed_w)
    if scene.hidden_car:  # no more than the house took when it was last told apart
        without_w = (scene.memory.house_w or 0.0) + scene.picture.switched_w + scene.picture.pv_w + fixed_w
        deficit_w = min(deficit_w, max(0.0, without_w))
    return deficit_w


def _from_the_surplus(
    scene: Scene, steered: Sequence[BatteryPicture], powers: Mapping[str, float], surplus_w: float
) -> dict[str, float]:
    """The powers without what a battery would take from the grid that may not, whoever asks for it."""
    found, left_w = dict(powers), surplus_w
    for battery in steered:
        key = battery.resource.id
        if found.get(key, 0.0) > 0.0 and not scene.site.battery_policy(key).grid_charge:
            found[key] = min(found[key], left_w)
            left_w -= found[key]
    return found


def _asked(
    scene: Scene,
    around: Surroundings,
    steered: Sequence[BatteryPicture],
    regimes: Mapping[str, Regime],
    bands: Mapping[str, Band],
    house_w: float,
) -> dict[str, float]:
    """Powers that the grid asks for: of a battery, or of the site as a whole."""
    powers = {b.resource.id: target for b in steered if (target := regimes[b.resource.id].target_w) is not None}
    helping = [b for b in steered if regimes[b.resource.id].site_w is not None]
    if helping:
        site_w = regimes[helping[0].resource.id].site_w or 0.0
        powers |= _shared(scene, site_w - house_w - around.ev_w - sum(powers.values()), helping, bands)
    return powers


def _shared(
    scene: Scene, total_w: float, batteries: Sequence[BatteryPicture], bands: Mapping[str, Band]
) -> dict[str, float]:
    if len(batteries) == 1:
        return {batteries[0].resource.id: total_w}
    caps = {
        b.resource.id: max(0.0, bands[b.resource.id].max_w if total_w >= 0 else -bands[b.resource.id].min_w)
        for b in batteries
    }
    reserve = {b.resource.id: scene.site.battery_policy(b.resource.id).reserve_pct for b in batteries}
    return split(total_w, batteries, caps, reserve)


def _seldom(
    scene: Scene, battery: BatteryPicture, follows: Regime, own: Band, power_w: float, surplus_w: float, ev_w: float
) -> Seldom:
    """What one that is written a few times a day is told: a power that stays, nothing, or its own control.

    A power that follows the house would hold for a quarter of an hour what was right for a moment.
    """
    policy = scene.site.battery_policy(battery.resource.id)
    from_grid = follows.charge_w > 0 and policy.grid_charge
    if follows.asked or from_grid or (follows.feed_w > 0 and power_w < 0):
        return Seldom(float(round(own.clamp(power_w))), follows.asked)
    if surplus_w > 0:
        by_itself = follows.stores
    else:
        into_car = (ev_w > 0.0 or scene.hidden_car) and not policy.into_car
        by_itself = follows.covers and own.min_w < 0.0 and not into_car and scene.picture.load_w is not None
    return Seldom(None, OWN_CONTROL) if by_itself else Seldom(0.0, STANDS_STILL)


def _why(follows: Regime, power_w: float, surplus_w: float, deficit_w: float) -> str:
    """The regime's words for what it does now, with the power that it can really move."""
    if follows.asked:
        return follows.asked
    if follows.charge_w > 0:
        return f"charges from the grid{follows.at}{follows.goal}, which is dearer later"
    if follows.feed_w > 0 and power_w < 0:
        return f"feeds in{follows.at}, which pays more than later"
    if follows.waits and power_w == 0.0:
        return follows.waits
    if surplus_w > 0:
        if follows.stores:
            whole = power_w >= surplus_w - 1
            return (
                f"stores {'the surplus of ' if whole else ''}{words.power(power_w)}{'' if whole else ' of the surplus'}"
            )
        return "leaves the surplus to the grid, which pays more for it than it is worth stored"
    if not follows.covers:
        return f"keeps its energy, which is worth more later than now{follows.at}"
    if deficit_w > 0:
        return f"covers {words.power(power_w)} of the house{follows.at}"
    return "has nothing to store and nothing to cover"


def _clamped(choice: BatteryChoice, own: Band) -> BatteryChoice:
    power_w = own.clamp(choice.power_w)
    if power_w == choice.power_w:
        return choice
    by = own.min_by if power_w > choice.power_w else own.max_by
    if by is None:
        return replace(choice, power_w=power_w)
    ability = by.source == choice.battery.resource.id  # its rating is no news to the owner: the wish stays the reason
    if ability and power_w != 0.0:
        return replace(choice, power_w=power_w, rank=by.rank)
    demand = None if ability else _demand(by, at_most=power_w < choice.power_w)
    seldom = choice.seldom if ability else None
    return replace(
        choice, power_w=power_w, rank=by.rank, source=by.source, reason=by.reason, demand=demand, seldom=seldom
    )


def _gently(scene: Scene, choice: BatteryChoice, own: Band, last_w: Mapping[str, float]) -> BatteryChoice:
    """Damping, the site's ramp, and a start without a jump."""
    measured = choice.battery.power_w
    before = last_w.get(choice.battery.resource.id, measured)
    power_w = _damped(choice.power_w, before)
    ramp, last_s = scene.site.policy.ramp_w_per_s, scene.memory.decided_at_s
    if ramp is not None and last_s is not None:
        step = ramp * max(0.0, scene.now_s - last_s)
        held_w = min(max(power_w, before - step), before + step)
        if abs(held_w - power_w) > BATTERY_DEAD_BAND_W and choice.rank is Rank.PLAN:
            reason = f"on its way by {words.power(ramp)} a second at most: {choice.reason}"
            choice = replace(choice, source=RAMP, reason=reason)
        power_w = held_w
    if choice.battery.resource.id not in last_w:  # the first word to it: not more than it does already
        power_w = min(max(power_w, -abs(measured)), abs(measured))
    return replace(choice, power_w=own.clamp(power_w))


def _damped(target_w: float, last_w: float) -> float:
    if abs(target_w - last_w) <= BATTERY_DEAD_BAND_W:
        return 0.0 if target_w == 0.0 else last_w
    return last_w + MOVE_SHARE * (target_w - last_w)


def _aligned(choices: list[BatteryChoice], ranks: Mapping[str, Rank]) -> list[BatteryChoice]:
    """No battery charges another one: whom the strongest rank moves comes first, and of equals who charges."""
    moving = [choice for choice in choices if choice.power_w != 0.0]
    if not moving:
        return choices
    first = min(moving, key=lambda choice: (ranks[choice.battery.resource.id], choice.power_w < 0.0))
    reason = f"stands still while another battery {'charges' if first.power_w > 0 else 'gives'}"
    return [
        replace(choice, power_w=0.0, reason=reason, seldom=None) if choice.power_w * first.power_w < 0 else choice
        for choice in choices
    ]


def _edges(scene: Scene, around: Surroundings, fixed_w: float) -> list[Edge]:
    """What the connection point leaves to the batteries together, the strongest bound last."""
    house_w, edges = scene.house_w + fixed_w + scene.lead_w, []
    by = scene.band.max_by
    if by is not None:
        most_w = scene.band.max_w - scene.margins_w[0]
        kept_w = most_w
        if by.rank is Rank.OBLIGATION:
            # what consumers draw by right is not the batteries' to make up for
            most_w = max(most_w, min(around.granted_w, scene.guaranteed_w))
        edges.append(Edge(by, kept_w - house_w - around.reserved_w, is_import=True, keeps=True))
        edges.append(Edge(by, most_w - house_w - around.ev_w, is_import=True, keeps=False))
    by = scene.band.min_by
    if by is not None:
        least_w = scene.band.min_w + scene.margins_w[1]
        edges.append(Edge(by, least_w - house_w - around.ev_w, is_import=False, keeps=False))
    edges.append(Edge(around.fuse_by, around.fuse_w, is_import=True, keeps=False))
    return edges


def _waits(
    scene: Scene, around: Surroundings, choices: Sequence[BatteryChoice], told: frozenset[str], fixed_w: float
) -> list[Edge]:
    """What a wait by chance leaves: never less charging or feeding in than there is now, unless a limit is kept on.

    A battery that the owner or the grid tells what to do does not wait: it comes on top.
    """
    apart = told | deafness.unsteered(scene.site)
    present_w = [b.power_w for b in scene.picture.batteries if b.resource.id not in apart]
    told_w = [c.power_w for c in choices if c.battery.resource.id in told]
    into_car = any(scene.site.battery_policy(b.resource.id).into_car for b in scene.picture.batteries)
    house_w, edges = scene.house_w + fixed_w + scene.lead_w, []
    for side, waiting in scene.waits.items():
        is_import = side == IMPORT
        edge_w = waiting.limit_w if is_import else -waiting.limit_w
        kept_w = edge_w - house_w - max(0.0, around.reserved_w - around.at_once_w if is_import else around.ev_w)
        have_w = sum([w for w in present_w if (w > 0.0) == is_import])
        more_w = sum([w for w in told_w if (w > 0.0) == is_import])
        most_w = max(kept_w, have_w) if is_import else min(kept_w, have_w)
        edges.append(Edge(waiting.by, most_w + more_w, is_import, keeps=True, told=told))
        if waiting.firm:
            taken_w = max(0.0, around.ev_w - around.at_once_w) if is_import else around.ev_w
            left_w = edge_w - house_w - taken_w
            if is_import and not into_car:
                left_w = max(left_w, -_deficit_w(scene, fixed_w))  # cars wait by themselves: none is emptied into one
            edges.append(Edge(waiting.by, left_w + more_w, is_import, keeps=False, told=told))
    return edges


def _moved(
    scene: Scene, around: Surroundings, choices: list[BatteryChoice], edge: Edge, excess_w: float
) -> list[BatteryChoice]:
    """Moves the batteries as far as an edge of the connection point needs, over the heads of weaker ranks.

    First to zero, all of them, and only then beyond, so that none ends up feeding another.
    """
    by = edge.by
    hard = {c.battery.resource.id: _own(scene, around, c.battery, weakest=by.rank) for c in choices}
    powers = {c.battery.resource.id: c.power_w for c in choices}
    left = excess_w
    free = [c for c in choices if c.battery.resource.id not in edge.told]
    towards = sorted(
        free, key=lambda c: (c.battery.soc_pct if excess_w < 0 else -c.battery.soc_pct, c.battery.resource.id)
    )
    for choice in towards:
        key = choice.battery.resource.id
        if powers[key] * left > 0:
            power_w = hard[key].clamp(powers[key] - min(abs(left), abs(powers[key])) * (1 if left > 0 else -1))
            left -= powers[key] - power_w
            powers[key] = power_w
    feeds = any(powers[key] * left > 0 for key in edge.told)  # one that stays as it is: to go beyond would feed it
    if abs(left) > 1e-9 and left * excess_w > 0 and not edge.keeps and not feeds:
        same = [c.battery for c in free if powers[c.battery.resource.id] * left <= 0]
        total = sum([powers[b.resource.id] for b in same]) - left
        powers |= {key: hard[key].clamp(power) for key, power in _shared(scene, total, same, hard).items()}
    return [
        choice if powers[choice.battery.resource.id] == choice.power_w else _bound(scene, choice, powers, edge)
        for choice in choices
    ]


def _in_turns(choices: list[BatteryChoice], edges: Sequence[Edge]) -> list[BatteryChoice]:
    """Whoever is to take over from another battery waits until that one has made room: some are slow to follow."""
    behind_w: dict[float, float] = {}  # what has not gone back so far yet, by the sign of an edge
    total_w = sum([c.power_w for c in choices])
    for edge in edges:
        sign = 1.0 if edge.is_import else -1.0
        if sign not in behind_w:
            behind_w[sign] = sum([max(0.0, sign * (c.battery.power_w - c.power_w)) for c in choices])
        excess_w = sign * (total_w - edge.power_w) + behind_w[sign]
        if excess_w > 0.0 and behind_w[sign] > 0.0:
            choices = _in_turn(choices, sign, excess_w, edge.told)
            total_w = sum([c.power_w for c in choices])
            behind_w.clear()
    return choices


def _in_turn(choices: list[BatteryChoice], sign: float, excess_w: float, told: frozenset[str]) -> list[BatteryChoice]:
    # back to what it does, and never beyond zero: it would feed another one
    rises = [
        0.0 if c.battery.resource.id in told else max(0.0, sign * c.power_w - max(0.0, sign * c.battery.power_w))
        for c in choices
    ]
    if sum(rises) <= 0.0:
        return choices
    share = min(1.0, excess_w / sum(rises))
    reason = "waits until another battery has made room"
    return [
        replace(choice, power_w=choice.power_w - sign * share * rise, reason=reason, seldom=None)
        if rise > 0.0
        else choice
        for choice, rise in zip(choices, rises, strict=True)
    ]


def _bound(scene: Scene, choice: BatteryChoice, powers: Mapping[str, float], edge: Edge) -> BatteryChoice:
    by = edge.by
    power_w = powers[choice.battery.resource.id]
    verb = "gives" if power_w < 0 else "takes" if power_w > 0 else "stands still, taking"
    more = power_w > 0 if edge.is_import else power_w < 0  # it does what the bound is against: as far as that goes
    within = f"{' and no more,' if more else ''} to keep within the {scene.bound(by)}"
    reason = f"{verb} {words.power(power_w)}{f': {by.reason}' if by.source == CHANCE else within}"
    return BatteryChoice(choice.battery, power_w, by.rank, by.source, reason, _demand(by, at_most=edge.is_import))


def _demand(by: Envelope, *, at_most: bool) -> Demand | None:
    if by.rank > Rank.OBLIGATION:
        return None
    return Demand.AT_MOST if at_most else Demand.AT_LEAST
