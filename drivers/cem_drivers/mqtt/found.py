"""What a look at a broker found, in the words of the driver kit."""

import math
from collections.abc import Mapping

from cem.driver import Control, Found, Identity, Ratings, Role
from cem_drivers.mqtt.messages import Payload, pointed
from cem_drivers.mqtt.profile import Profile

Told = dict[str, Payload]
"""What one device said on each topic."""


def found_device(profile: Profile, link: Mapping[str, str | int | float | bool], name: str, told: Told) -> Found | None:
    """A device of a family, of what it told; None where it does not tell its serial number.

    `name` is what stands for it in topics; it goes into the link table where it is not the serial number.
    """
    spots = profile.identify.spots()

    def said(key: str) -> str:
        spot = spots.get(key)
        value = None if spot is None else pointed(told.get(spot.topic), spot.json_pointer)
        return "" if value is None or isinstance(value, dict | list) else str(value)

    if not said("serial"):
        return None
    serial = said("serial") if profile.identify.weak is None else ""
    identity = Identity(profile.identify.maker, said("model"), serial, said("version"))
    written = frozenset(Control(control.id) for control in profile.controls if profile.status != "draft")
    ratings = Ratings(max_current_a=_positive(said("rating")), phases=profile.identify.phases or 3)
    roles = [Role(role) for role in profile.find.roles or profile.roles]
    resources = tuple((role, ratings, frozenset(c for c in written if c.split(".")[0] == role)) for role in roles)
    named = dict(link) if name in ("", serial) else {**link, "serial": name}
    return Found("mqtt", profile.id, identity, named, resources, profile.find.confidence)


def _positive(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
