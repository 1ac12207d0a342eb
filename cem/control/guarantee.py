"""The guaranteed minimum of controllable consumers under a mandatory import limit."""

from collections.abc import Iterable

from cem.model.resource import Control, Resource, Role
from cem.model.site import GuaranteedMinimum, Site

MINIMUM_W = 4200.0  # paragraph 14a EnWG; BNetzA BK6-22-300, annex 1, clause 4.5
SIMULTANEITY = (1.0, 1.0, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45)
"""GZF by the number of devices (BK6-22-300, annex 1, clause 4.5.2); from nine on the last."""
LARGE_HEAT_SHARE = 0.4  # of the rated power of heat pumps and cooling

STEERED = frozenset({Control.BATTERY_SETPOINT_W, Control.EV_LIMIT_A, Control.HEAT_PUMP_SG_READY})


def minimum_14a_w(devices: int, heat_w: float = 0.0) -> float:
    """P_min,14a = max(0.4 x P_heat; 4.2 kW) + (n - 1) x GZF x 4.2 kW, for n devices behind one energy manager.

    `heat_w` is the rated power of heat pumps and cooling together. 0 without a device.
    """
    if devices <= 0:
        return 0.0
    factor = SIMULTANEITY[min(devices, len(SIMULTANEITY) - 1)]
    return max(LARGE_HEAT_SHARE * heat_w, MINIMUM_W) + (devices - 1) * factor * MINIMUM_W


def guaranteed_w(site: Site, drawing: Iterable[Resource] | None = None) -> float:
    """What the site's policy leaves to its steered consumers together, W; 0 without a policy.

    Interpretation: every steered car, heat pump and battery that is charged from the grid counts as one device
    (paragraph 14a knows these three above 4.2 kW), whether it draws or not.
    """
    if site.policy.guaranteed_minimum is GuaranteedMinimum.NONE:
        return 0.0
    counted = [r for r in (site.resources if drawing is None else drawing) if _counts(site, r)]
    heat_w = sum(r.ratings.max_power_w or 0.0 for r in counted if r.role is Role.HEAT_PUMP)
    return minimum_14a_w(len(counted), heat_w)


def _counts(site: Site, resource: Resource) -> bool:
    if not resource.controls & STEERED:
        return False
    return resource.role is not Role.BATTERY or site.battery_policy(resource.id).grid_charge
