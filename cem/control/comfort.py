"""The comfort band of a heat pump: what a temperature in its store says about heating now."""

from enum import Enum

from cem.control.scene import Scene
from cem.model.resource import Resource, Role


class Comfort(Enum):
    """Where the temperature stands in the owner's band."""

    UNKNOWN = "unknown"  # nobody measures it, or no band was given: heat may be stored as ever
    COLD = "cold"  # heat is needed now, whatever the sun gives
    WITHIN = "within"
    WARM = "warm"  # there is no room for more


def temperature_c(scene: Scene, resource: Resource) -> float | None:
    """What is measured, if it is fresh."""
    if resource.role is not Role.HEAT_PUMP:
        return None
    return scene.inputs.snapshot.number(resource.id, "temperature_c", scene.site.connection.device_stale_s)


def comfort(scene: Scene, resource: Resource) -> Comfort:
    """The temperature against the band of its [[load]] policy; minimum times on and off keep it from swinging."""
    policy = scene.site.load_policy(resource.id)
    measured_c = temperature_c(scene, resource)
    if measured_c is None or (policy.comfort_min_c is None and policy.comfort_max_c is None):
        return Comfort.UNKNOWN
    if policy.comfort_min_c is not None and measured_c < policy.comfort_min_c:
        return Comfort.COLD
    if policy.comfort_max_c is not None and measured_c >= policy.comfort_max_c:
        return Comfort.WARM
    return Comfort.WITHIN
