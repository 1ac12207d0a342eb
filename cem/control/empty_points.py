"""Charging points without a car at which one that comes must not begin by itself: there is no room for it, or nobody
can tell whether there is."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from cem.control.scene import Scene
from cem.control.tuning import EMPTY_HELD_S

NO_CAR = "no car is connected"


def no_room_lately(scene: Scene, resource_id: str) -> bool:
    """Whether a charging point without a car goes on being held, as there was no room for one lately."""
    full_at_s = scene.memory.full_at_s.get(resource_id)
    return full_at_s is not None and scene.now_s - full_at_s < EMPTY_HELD_S


def held_on(scene: Scene, full: Iterable[str]) -> Mapping[str, float]:
    """When there was last no room at each charging point without a car that is held for it."""
    plugged = {charger.resource.id for charger in scene.picture.chargers if charger.plugged}
    known = {k: at_s for k, at_s in scene.memory.full_at_s.items() if k not in plugged and no_room_lately(scene, k)}
    return MappingProxyType(known | dict.fromkeys(full, scene.now_s))
