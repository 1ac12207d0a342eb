"""Batteries: what each should do this tick, from the plan's regime and the meter."""

from collections.abc import Mapping, Sequence

from cem.control import deaf as deafness
from cem.control import words
from cem.control.battery_choice import BatteryChoice, Surroundings, deficit_w, demand_of, own_band, shared
from cem.control.battery_edges import bounded
from cem.control.following import Regime, regime
from cem.control.picture import BatteryPicture
from cem.control.scene import Scene
from cem.control.trend import fall_w
from cem.control.tuning import BATTERY_DEAD_BAND_W, MOVE_SHARE, SLOW_TICK_S
from cem.model.envelope import Band, Rank
from cem.model.resource import Role
from cem.model.setpoint import Demand, Seldom
from cem.model.site import Site
from cem.model.values import replace

OWN_CONTROL = "its own control follows the house; each set point would wear out its memory"
RAMP = "ramp"
"""The source of a power that only the site's ramp keeps up."""
STANDS_STILL = "it stands still: each set point wears out its memory"


def choose(scene: Scene, around: Surroundings, last_w: dict[str, float]) -> list[BatteryChoice]:
    """One choice per battery that can be read; updates `last_w`."""
    deaf = deafness.stores(scene)
    steered: Sequence[BatteryPicture] = scene.picture.batteries
    fixed_w = 0.0
    if deaf:
        fixed_w = sum([b.power_w for b in steered if b.resource.id in deaf])
        steered = [b for b in steered if b.resource.id not in deaf]
    bands = {b.resource.id: own_band(scene, around, b) for b in scene.picture.batteries}
    regimes = {b.resource.id: regime(scene, b) for b in steered}
    choices = _wanted(scene, around, steered, regimes, bands, fixed_w)
    choices = [_gently(scene, choice, bands[choice.battery.resource.id], last_w) for choice in choices]
    choices = _aligned(choices, regimes)
    told = frozenset([key for key, follows in regimes.items() if follows.rank < Rank.PLAN])
    choices = bounded(scene, around, choices, told, fixed_w)
    if deaf:
        choices = _with_deaf(scene, choices, bands, deaf - deafness.unsteered(scene.site), last_w)
    for choice in choices:
        last_w[choice.battery.resource.id] = choice.power_w
    return choices


def _with_deaf(
    scene: Scene,
    choices: Sequence[BatteryChoice],
    bands: Mapping[str, Band],
    deaf: frozenset[str],
    last_w: Mapping[str, float],
) -> list[BatteryChoice]:
    """Beside the choices those that do not follow, each in the site's order; one that is silent goes on as it was."""
    reason = "does not follow: the house is run without it, and it is tried again"
    silent = deafness.silent(scene)
    by_id = {choice.battery.resource.id: choice for choice in choices}
    for battery in scene.picture.batteries:
        if battery.resource.id in deaf:
            key, why = battery.resource.id, reason
            power_w = 0.0
            if key in silent:
                power_w, why = last_w.get(key, 0.0), "does not answer: it goes on as it was told last"
            by_id[key] = BatteryChoice(battery, bands[key].clamp(power_w), Rank.PLAN, "rule", why)
    return [by_id[b.resource.id] for b in scene.picture.batteries if b.resource.id in by_id]


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
    surplus = max(0.0, -(scene.house_w + max(0.0, fixed_w) + around.ev_w))  # none of what another battery gives
    taken = {b.resource.id for b in steered}
    given_w = sum([min(0.0, b.power_w) for b in scene.picture.batteries if b.resource.id not in taken])
    deficit = deficit_w(scene, given_w)  # none of what another battery takes
    into_car = scene.site.once(_into_car) and any(scene.site.battery_policy(b.resource.id).into_car for b in steered)
    if around.ev_w > 0.0 and not into_car:
        deficit = max(0.0, deficit - fall_w(scene.memory.trend))  # rising sun would leave the rest of it to the car
    powers = _asked(scene, around, steered, regimes, bands, house_w)
    charging = {b.resource.id: regimes[b.resource.id].charge_w for b in steered if regimes[b.resource.id].charge_w > 0}
    for key, power in charging.items():
        powers[key] = max(power, surplus if len(steered) == 1 else 0.0)
    free = [b for b in steered if b.resource.id not in powers]
    if charging:
        rest = surplus - sum(charging.values())
        powers |= shared(scene, max(0.0, rest), [b for b in free if regimes[b.resource.id].stores], bands)
    elif surplus > 0.0:
        powers |= shared(scene, surplus, [b for b in free if regimes[b.resource.id].stores], bands)
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
        powers |= shared(scene, -max(0.0, need - sum(feeding.values())), covers, bands)
    powers = _from_the_surplus(scene, steered, powers, surplus)
    choices = []
    for battery in steered:
        key = battery.resource.id
        power_w, follows, own = powers.get(key, 0.0), regimes[key], bands[key]
        why = _why(follows, own.clamp(power_w), surplus, deficit)
        demand = Demand.EXACTLY if follows.rank <= Rank.OBLIGATION else None
        seldom = _seldom(scene, battery, follows, own, power_w, surplus, around.ev_w)
        wanted = BatteryChoice(battery, power_w, follows.rank, follows.source, why, demand, seldom)
        choices.append(_clamped(wanted, own))
    return choices


def _into_car(site: Site) -> bool:
    """Whether a battery may be emptied into a car at all."""
    return any(site.battery_policy(battery.id).into_car for battery in site.of(Role.BATTERY))


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
    powers, helping = {}, []
    for battery in steered:
        follows = regimes[battery.resource.id]
        if follows.target_w is not None:
            powers[battery.resource.id] = follows.target_w
        if follows.site_w is not None:
            helping.append(battery)
    if helping:
        site_w = regimes[helping[0].resource.id].site_w or 0.0
        powers |= shared(scene, site_w - house_w - around.ev_w - sum(powers.values()), helping, bands)
    return powers


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
    demand = None if ability else demand_of(by, at_most=power_w < choice.power_w)
    seldom = choice.seldom if ability else None
    return replace(
        choice, power_w=power_w, rank=by.rank, source=by.source, reason=by.reason, demand=demand, seldom=seldom
    )


def _gently(scene: Scene, choice: BatteryChoice, own: Band, last_w: Mapping[str, float]) -> BatteryChoice:
    """Damping, the site's ramp, and a start without a jump."""
    measured = choice.battery.power_w
    before = last_w.get(choice.battery.resource.id, measured)
    ramp, last_s = scene.site.policy.ramp_w_per_s, scene.memory.decided_at_s
    slow = last_s is not None and scene.now_s - last_s >= SLOW_TICK_S
    power_w = _damped(choice.power_w, before, 1.0 if slow else MOVE_SHARE)
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


def _damped(target_w: float, last_w: float, share: float) -> float:
    if abs(target_w - last_w) <= BATTERY_DEAD_BAND_W:
        return 0.0 if target_w == 0.0 else last_w
    return last_w + share * (target_w - last_w)


def _aligned(choices: list[BatteryChoice], regimes: Mapping[str, Regime]) -> list[BatteryChoice]:
    """No battery charges another one: whom the strongest rank moves comes first, and of equals who charges."""
    powers_w = [choice.power_w for choice in choices]
    if not powers_w or min(powers_w) >= 0.0 or max(powers_w) <= 0.0:
        return choices
    moving = [choice for choice in choices if choice.power_w != 0.0]
    first = min(moving, key=lambda choice: (regimes[choice.battery.resource.id].rank, choice.power_w < 0.0))
    reason = f"stands still while another battery {'charges' if first.power_w > 0 else 'gives'}"
    return [
        replace(choice, power_w=0.0, reason=reason, seldom=None) if choice.power_w * first.power_w < 0 else choice
        for choice in choices
    ]
