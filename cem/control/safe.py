"""What holds while the meter is stale: less, never more, until it answers again."""

import math

from cem.control import charger_state
from cem.control.deaf import unsteered
from cem.control.empty_points import NO_CAR, no_room_lately
from cem.control.panels import parted
from cem.control.picture import ChargerPicture
from cem.control.scene import Scene
from cem.control.tuning import EMPTY_LOST_S, EV_DRAWS_W, LEASE_S, METER_LOST_STOP_S, START_S
from cem.model.envelope import Envelope, Rank
from cem.model.reading import NUMBERS
from cem.model.resource import Control, Resource, Role
from cem.model.setpoint import Demand, Setpoint

REASON = "the grid meter is silent"
UNMANAGED = "its management tells no state of charge"
IDLE = f"idle: {UNMANAGED}"
EASES = 0.8
"""Of what a battery takes, so much it still takes a tick later where the roofs have not closed yet: a second later
where they close in step with it."""


def safe_setpoints(scene: Scene, lost_for_s: float) -> tuple[Setpoint, ...]:
    """Batteries idle; cars at their smallest current, then off; PV within the export limit by itself.

    A roof needs its time to close: until then a battery that takes goes on taking what the roofs still give beyond the
    limit, a fifth less with each tick: the roof behind a hybrid inverter closes no sooner than its battery does.
    Under an import limit both go down in step, second by second, or what house and battery still take would come from
    the grid.

    Nobody knows what the house leaves for a car: one that comes does not begin, or it would draw all it can until it is
    seen. Under an import limit one that charges is paused at once, unless the limit guarantees it its smallest current.
    In the first seconds of a run, before the meter was read at all, nothing is decided: that is no loss of the meter,
    and a car that charges within the limit must not be switched off and on for it.
    """
    if starts(scene, lost_for_s):
        return ()
    may_go_on = None if import_limit(scene) is None else guaranteed(scene)
    stores = _stores(scene, lost_for_s)
    setpoints = stores + [
        _charger(scene, c, lost_for_s, fits=may_go_on is None or c.resource.id in may_go_on)
        for c in scene.picture.chargers
        if c.plugged or may_go_on is not None
    ]
    setpoints += [_empty(key) for key in held_empty(scene, lost_for_s)]
    if _export_limited(scene):
        pvs = [pv for pv in scene.picture.pvs if Control.PV_LIMIT_W in pv.resource.controls]
        taken_w = sum([max(0.0, setpoint.value or 0.0) for setpoint in stores])
        stays_w = taken_w + _house_w(scene) if taken_w > 0.0 and import_limit(scene) is not None else 0.0
        may_w = max(0.0, -scene.band.min_w)
        # what another roof may give, it may not: what the house takes under an import limit is left to those that do
        left_w = max(may_w - _other_roofs_w(scene), 0.0 if stays_w else min(may_w, _house_w(scene)))
        parts = parted(left_w + stays_w, pvs)
        what = "at most the export limit and what house and batteries take" if stays_w else "at most the export limit"
        for pv in pvs:
            most_w = min(parts[pv.resource.id], pv.resource.ratings.max_generation_w or math.inf)
            setpoints.append(_safe(pv.resource.id, Control.PV_LIMIT_W, round(most_w), what))
    return tuple(setpoints)


def held_empty(scene: Scene, lost_for_s: float) -> tuple[str, ...]:
    """The charging points without a car at which one that comes must not begin, where no limit holds them anyway: not
    for a meter that is silent for a moment."""
    if import_limit(scene) is not None or starts(scene, lost_for_s):
        return ()
    empty = [charger.resource.id for charger in scene.picture.chargers if not charger.plugged]
    return tuple(key for key in empty if lost_for_s >= EMPTY_LOST_S or no_room_lately(scene, key))


def _empty(resource_id: str) -> Setpoint:
    """Nobody draws anything there yet: that is worth a write as any other, not one beyond a day's budget."""
    reason = f"{NO_CAR}; one that comes asks first: {REASON}"
    return Setpoint(resource_id, Control.EV_LIMIT_A, 0.0, LEASE_S, Rank.PLAN, "meter", reason)


def _export_limited(scene: Scene) -> bool:
    by = scene.band.min_by
    return by is not None and by.rank is not Rank.SAFETY


def _other_roofs_w(scene: Scene) -> float:
    """What the roofs may give that are told nothing: one that can't be read, as soon as a timer of its own ends its
    last limit. Not what they give now: a bound that moved with a cloud would be written each time."""
    bounded = {pv.resource.id for pv in scene.picture.pvs if Control.PV_LIMIT_W in pv.resource.controls}
    return sum([_most_w(scene, resource) for resource in scene.site.of(Role.PV) if resource.id not in bounded])


def _most_w(scene: Scene, pv: Resource) -> float:
    """What it can give; where nobody knows, what it gave when it told so last."""
    last = scene.inputs.snapshot.reading(pv.id, "power_w")
    gave_w = max(0.0, -last.value) if last is not None and isinstance(last.value, NUMBERS) else 0.0
    return gave_w if pv.ratings.max_generation_w is None else pv.ratings.max_generation_w


def _stores(scene: Scene, lost_for_s: float) -> list[Setpoint]:
    """The batteries' set points: each as little as it may, the first ones the rest of the sun."""
    sun_w = 0.0
    if _export_limited(scene) and not scene.islanded and lost_for_s < METER_LOST_STOP_S:
        sun_w = max(0.0, scene.band.min_w - sum([pv.power_w for pv in scene.picture.pvs]) - _house_w(scene))
    in_step = import_limit(scene) is not None and scene.memory.decided_at_s is not None
    eased = EASES ** max(1.0, scene.now_s - (scene.memory.decided_at_s or 0.0)) if in_step else EASES
    setpoints = []
    for battery in scene.picture.batteries:
        key = battery.resource.id
        if key in unsteered(scene.site):
            continue
        takes_w = min(sun_w, battery.power_w, eased * scene.memory.batteries_w.get(key, 0.0))
        sun_w -= max(0.0, takes_w)
        takes_on = takes_w > EV_DRAWS_W
        what = "takes what the roofs still give until they have closed" if takes_on else "idle"
        setpoints.append(_safe(key, Control.BATTERY_SETPOINT_W, round(takes_w) if takes_on else 0.0, what))
    return setpoints


def _house_w(scene: Scene) -> float:
    """What the house takes beside cars and what is switched, which stops now, as the meter told it last; the roofs go
    on giving it where an import limit leaves it to them."""
    if import_limit(scene) is None:
        return 0.0
    return max(0.0, scene.memory.house_w or 0.0)


def starts(scene: Scene, lost_for_s: float) -> bool:
    """Whether the meter was not read at all yet, in the first seconds of a run."""
    read = any(scene.inputs.snapshot.reading(meter.id, "power_w") for meter in scene.site.of(Role.GRID))
    return not read and lost_for_s < START_S


def import_limit(scene: Scene) -> Envelope | None:
    """The limit that stays in force although nobody measures what is taken; the fuse looks after itself."""
    by = scene.band.max_by
    return None if by is None or by.rank is Rank.SAFETY or scene.islanded else by


def guaranteed(scene: Scene) -> frozenset[str]:
    """The consumers that go on under an import limit: their least together is what a mandatory limit must leave.

    Half of the fuse stays with the house, of which nothing is known.
    """
    by = import_limit(scene)
    policy_w = scene.guaranteed_w if by is not None and by.rank is Rank.OBLIGATION else 0.0
    left_w = min(policy_w, scene.site.connection.fuse_w / 2)
    least_w = {s.resource.id: s.rated_w for s in scene.picture.switched if s.resource.role is Role.HEAT_PUMP}
    least_w |= {c.resource.id: _least_a(scene, c) * c.watts_per_amp for c in scene.picture.chargers if c.closed}
    found = set()
    for resource_id, watts in least_w.items():
        if watts <= left_w:
            found.add(resource_id)
            left_w -= watts
    return frozenset(found)


def unmanaged(scene: Scene) -> tuple[str, ...]:
    """The batteries that answer, and that have told their state of charge in this run and do so no more."""
    if len(scene.picture.batteries) == len(scene.site.of(Role.BATTERY)):
        return ()
    read = {battery.resource.id for battery in scene.picture.batteries}
    stale_s = scene.site.connection.device_stale_s
    return tuple(
        battery.id
        for battery in scene.site.of(Role.BATTERY)
        if battery.id not in read
        and battery.id in scene.memory.managed
        and Control.BATTERY_SETPOINT_W in battery.controls
        and scene.inputs.snapshot.number(battery.id, "power_w", stale_s) is not None
    )


def idle(resource_ids: tuple[str, ...]) -> tuple[Setpoint, ...]:
    """A battery without its management stands still: what it told of its limits is not used any longer."""
    return tuple(
        Setpoint(key, Control.BATTERY_SETPOINT_W, 0.0, LEASE_S, Rank.SAFETY, key, IDLE, Demand.EXACTLY)
        for key in resource_ids
    )


def _charger(scene: Scene, charger: ChargerPicture, lost_for_s: float, *, fits: bool) -> Setpoint:
    if charger.state == "C" and fits and not scene.islanded and lost_for_s < METER_LOST_STOP_S:
        least_a = _least_a(scene, charger)
        return _safe(charger.resource.id, Control.EV_LIMIT_A, least_a, "smallest current, soon off")
    return _safe(charger.resource.id, Control.EV_LIMIT_A, 0.0, "paused")


def _least_a(scene: Scene, charger: ChargerPicture) -> float:
    """The smallest current that its car takes, as far as that is known, and no more than it was told before."""
    known = scene.memory.chargers.get(charger.resource.id)
    least_a = charger.resource.ratings.min_current_a
    return least_a if known is None else max(least_a, min(charger_state.least_a(charger, known), known.limit_a))


def _safe(resource_id: str, control: Control, value: float, what: str) -> Setpoint:
    demand = Demand.EXACTLY if control is Control.BATTERY_SETPOINT_W else Demand.AT_MOST
    return Setpoint(resource_id, control, value, LEASE_S, Rank.SAFETY, "meter", f"{what}: {REASON}", demand)
