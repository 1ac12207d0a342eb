"""Without the grid: what is shed in which order, and how it comes back."""

from cem.control.scene import Scene
from cem.control.tuning import EV_DRAWS_W, ISLAND_LOAD_SHARE, ISLAND_STEP_PCT
from cem.control.words import hours
from cem.model.resource import Resource, Role

AFTER_OUTAGE = "waits after the outage or restart of this machine, so that not everything comes back at once"
PRIORITY_OF: dict[Role, int] = {Role.HEAT_PUMP: 3, Role.EV: 5, Role.LOAD: 7}


def priority(resource: Resource) -> int:
    """1 is served first and shed last."""
    return resource.priority if resource.priority is not None else PRIORITY_OF.get(resource.role, 9)


def returning(scene: Scene, resource_id: str) -> bool:
    """Whether a big load still waits for the grid to have been back for long enough; what runs already goes on.

    From then on it waits with the whole house, see spreading.py.
    """
    return scene.memory.grid_back_at_s is not None and not _runs(scene, resource_id)


def _runs(scene: Scene, resource_id: str) -> bool:
    """Whether a car, heat pump or load draws; one that nobody measures, whether it was last switched on."""
    picture = scene.picture
    powers = {c.resource.id: c.power_w for c in picture.chargers} | {s.resource.id: s.power_w for s in picture.switched}
    power_w = powers.get(resource_id, 0.0)
    if power_w is not None:
        return power_w > EV_DRAWS_W
    memory = scene.memory.switches.get(resource_id)
    return memory is not None and memory.state == 1


def shed(scene: Scene) -> frozenset[str]:
    """What is off in an island: the least important first, one more for every step nearer to the reserve.

    And whatever the batteries cannot carry: an island that is asked for more than they give goes dark.
    """
    if not scene.islanded:
        return frozenset()
    order = sorted(
        (s.resource for s in scene.picture.switched), key=lambda resource: (-priority(resource), resource.id)
    )
    above = [b.soc_pct - scene.site.battery_policy(b.resource.id).reserve_pct for b in scene.picture.batteries]
    if not above:
        return frozenset(resource.id for resource in order)
    short_pct = ISLAND_STEP_PCT * len(order) - max(above)
    count = min(len(order), max(0, -int(-short_pct // ISLAND_STEP_PCT)))
    if max(above) <= 0.0:
        count = len(order)
    return frozenset(resource.id for resource in order[:count]) | _beyond(scene, [r.id for r in reversed(order)])


def _beyond(scene: Scene, important_first: list[str]) -> frozenset[str]:
    """The loads for which the batteries have no power left. One that is off counts with its rating."""
    needs = {
        s.resource.id: s.power_w if s.power_w is not None and s.power_w > EV_DRAWS_W else s.rated_w
        for s in scene.picture.switched
    }
    flowing_w = sum(s.power_w or 0.0 for s in scene.picture.switched)
    left_w, off = carried_w(scene) - (scene.house_w - flowing_w), []
    for key in important_first:
        if needs[key] <= left_w:
            left_w -= needs[key]
        else:
            off.append(key)
    return frozenset(off)


def carried_w(scene: Scene) -> float:
    """What the batteries carry, with room for a motor's start."""
    return ISLAND_LOAD_SHARE * sum(battery.max_discharge_w for battery in scene.picture.batteries)


def full_enough(scene: Scene, *, charging: bool) -> bool:
    """Whether every battery holds so much that a car may have the sun that is left; one that charges a little less."""
    least_pct = scene.site.policy.island.car_from_pct - (ISLAND_STEP_PCT if charging else 0.0)
    levels_pct = [battery.soc_pct for battery in scene.picture.batteries]
    return bool(levels_pct) and min(levels_pct) >= least_pct


def gives_to_cars(scene: Scene, *, charging: bool) -> bool:
    """Whether a battery that may be emptied into a car holds more than what is kept for the loads."""
    kept_pct = ISLAND_STEP_PCT * (len(scene.picture.switched) + (0 if charging else 1))
    policies = {b.resource.id: scene.site.battery_policy(b.resource.id) for b in scene.picture.batteries}
    return any(
        policies[b.resource.id].into_car and b.soc_pct - policies[b.resource.id].reserve_pct > kept_pct
        for b in scene.picture.batteries
    )


def lasts(scene: Scene) -> str:
    """How long the stored energy lasts at the present load, in words; '' where it can't be told."""
    usable_wh = 0.0
    for battery in scene.picture.batteries:
        capacity = battery.resource.ratings.capacity_wh
        if capacity is None:
            return ""
        reserve = scene.site.battery_policy(battery.resource.id).reserve_pct
        usable_wh += max(0.0, battery.soc_pct - reserve) / 100.0 * capacity
    need_w = max(scene.house_w, -scene.picture.battery_w)  # what they give is what is needed, once nothing else does
    if need_w <= 0.0:
        return "the sun gives more than the house takes"
    return f"the battery lasts for about {hours(usable_wh / need_w)}"
