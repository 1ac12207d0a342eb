"""The guaranteed minimum of controllable consumers under a mandatory import limit.

BNetzA BK6-22-300, annex 1 (paragraph 14a EnWG): clause 2.4 says which devices count, clause 4.5.2 what several behind
one energy manager may always draw. The decision itself was not at hand: formula, factors and thresholds are those that
independent public accounts of it agree on.
"""

from cem.model.resource import Control, Resource, Role
from cem.model.site import GuaranteedMinimum, Site

MINIMUM_W = 4200.0
"""What one device keeps; one that cannot draw more does not count (clause 2.4.1)."""
SIMULTANEITY = (1.0, 1.0, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.45)
"""GZF by the number of devices (clause 4.5.2); from nine on the last."""
LARGE_HEAT_W = 11_000.0
"""Heat pumps that draw more than this together keep a share of their power in place of the first 4.2 kW."""
LARGE_HEAT_SHARE = 0.4

STEERED = frozenset({Control.BATTERY_SETPOINT_W, Control.EV_LIMIT_A})


def minimum_14a_w(devices: int, heat_w: float = 0.0) -> float:
    """P_min,14a for n devices behind one energy manager: base + (n - 1) x GZF x 4.2 kW; 0 without a device.

    The base is 0.4 x `heat_w` where the heat pumps draw more than 11 kW together, else 4.2 kW.
    """
    if devices <= 0:
        return 0.0
    factor = SIMULTANEITY[min(devices, len(SIMULTANEITY) - 1)]
    base_w = LARGE_HEAT_SHARE * heat_w if heat_w > LARGE_HEAT_W else MINIMUM_W
    return base_w + (devices - 1) * factor * MINIMUM_W


def guaranteed_w(site: Site) -> float:
    """What the site's policy leaves to its steered consumers together, W; 0 without a policy.

    Charging points and batteries that are charged from the grid count one by one, heat pumps together as one (clause
    2.4.2), each where it can draw more than 4.2 kW, whether it draws or not.
    Interpretation: one that does not tell how much it can draw counts.
    """
    if site.policy.guaranteed_minimum is GuaranteedMinimum.NONE:
        return 0.0
    heat_w = sum(r.ratings.max_power_w or 0.0 for r in site.of(Role.HEAT_PUMP) if r.controls)
    devices = sum(_counts(site, resource) for resource in site.resources) + (heat_w > MINIMUM_W)
    return minimum_14a_w(devices, heat_w)


def _counts(site: Site, resource: Resource) -> bool:
    """Whether it is a charging point or battery that the grid may dim."""
    ratings = resource.ratings
    if not resource.controls & STEERED:
        return False
    if resource.role is Role.EV:
        most_a = ratings.max_current_a
        return most_a is None or most_a * ratings.phases * ratings.nominal_voltage_v > MINIMUM_W
    if resource.role is Role.BATTERY and site.battery_policy(resource.id).grid_charge:
        return ratings.max_charge_w is None or ratings.max_charge_w > MINIMUM_W
    return False
