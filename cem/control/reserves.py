"""What batteries that can hold a reserve by themselves are told to hold: the house's own, meter or no meter."""

from cem.control.authority import guarded
from cem.control.tuning import LEASE_S
from cem.model.envelope import Rank
from cem.model.resource import Control, Role
from cem.model.setpoint import Setpoint
from cem.model.site import Site

SOURCE = "reserve"


def setpoints(site: Site) -> tuple[Setpoint, ...]:
    """One for each battery that carries the control. `site` holds the reserves that count now, the owner's too."""
    found = []
    for resource in site.of(Role.BATTERY):
        if Control.BATTERY_RESERVE_PCT not in resource.controls:
            continue
        reserve_pct = site.battery_policy(resource.id).reserve_pct
        said = f"keeps its reserve of {reserve_pct:g} % by itself, too"
        value, reason = guarded(site, resource, Control.BATTERY_RESERVE_PCT, reserve_pct, said)
        found.append(Setpoint(resource.id, Control.BATTERY_RESERVE_PCT, value, LEASE_S, Rank.SAFETY, SOURCE, reason))
    return tuple(found)
