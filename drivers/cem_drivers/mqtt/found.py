"""What a look at a broker found, in the words of the driver kit."""

import math
from collections.abc import Mapping

from cem.driver import Control, Found, Identity, Ratings, Role
from cem_drivers.mqtt.profile import Profile

SURE = 0.9


def found_device(
    profile: Profile, link: Mapping[str, str | int | float | bool], serial: str, told: Mapping[str, str]
) -> Found:
    """A device of a family with that serial number, of what its identity topics told."""
    names = profile.identify
    identity = Identity(names.maker, told.get(names.model or "", ""), serial, told.get(names.version or "", ""))
    controls = frozenset(Control(control.id) for control in profile.controls)
    ratings = Ratings(max_current_a=_positive(told.get(names.max_current_a or "")), phases=names.phases or 3)
    resources = tuple((Role(role), ratings, controls) for role in profile.roles)
    return Found("mqtt", profile.id, identity, dict(link), resources, SURE)


def _positive(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
