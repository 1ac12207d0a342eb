"""Envelopes: bounds on the power of one terminal, each with its rank, source, reason and expiry."""

from datetime import datetime
from enum import IntEnum

from cem.model.values import value

SITE = "site"
"""The subject of an envelope that bounds the whole connection point."""


class Rank(IntEnum):
    """Who narrows before whom; the lower number is the stronger."""

    SAFETY = 0  # ratings, fuse, BMS, island, reserve
    OBLIGATION = 1  # limits that law or contract make mandatory; no opt-out
    USER = 2  # the owner's acts, opting out of what is voluntary among them
    PROGRAMME = 3  # voluntary grid programmes: prices, dispatch, incentives
    PLAN = 4


@value(frozen=True, slots=True)
class Envelope:
    """min_w <= power of `subject` <= max_w while in force; None leaves that side open.

    An import limit of L is max_w = L on SITE; an export limit of L is min_w = -L on SITE.
    """

    subject: str  # a resource id, or SITE
    min_w: float | None
    max_w: float | None
    rank: Rank
    source: str  # who says so: "fuse", "utility", "owner", ...
    reason: str  # in words, for the owner
    until: datetime | None = None  # half-open: not in force at `until`; None: until withdrawn
    spread: bool = False  # it ends at different times in different houses already: its sender's chance, or our start


@value(frozen=True, slots=True)
class Band:
    """What is left of a terminal after folding; each edge knows the envelope that bound it."""

    min_w: float
    max_w: float
    min_by: Envelope | None = None
    max_by: Envelope | None = None

    def clamp(self, power_w: float) -> float:
        """The point of the band nearest to `power_w`."""
        return min(max(power_w, self.min_w), self.max_w)
