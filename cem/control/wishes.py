"""What a consumer would like to draw, before limits, and how urgently it is served."""

from datetime import datetime

from cem.control.picture import ChargerPicture
from cem.model.envelope import Rank
from cem.model.values import value

LATE, ASKED, USUAL, IDLE = 0.0, 1.0, 2.0, 3.0
"""The classes in which consumers are served."""


@value(frozen=True, slots=True)
class Wish:
    """How much, how urgent, on whose behalf. `surplus`: only what the sun leaves."""

    power_w: float
    rank: Rank
    source: str
    reason: str
    urgency: float = USUAL
    surplus: bool = False
    asked_at: datetime | None = None  # of the owner's act


def most_a(charger: ChargerPicture) -> float:
    """The charging point's own largest current."""
    return charger.resource.ratings.max_current_a or 0.0
