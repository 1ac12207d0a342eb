"""What people ask for: intents with an end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from cem.model.resource import Role


class RequestKind(StrEnum):
    """What a person can ask of a resource, or (OPT_OUT, READ_ONLY) of the site."""

    CHARGE_NOW = "charge_now"  # EV or battery: as fast as the limits allow
    SURPLUS_ONLY = "surplus_only"  # EV: sun only
    HOLD = "hold"  # battery: keep what is stored
    PAUSE = "pause"  # EV: do not charge
    CHARGE_BY = "charge_by"  # EV: `energy_wh` more, or `target_soc_pct`, in the car by `ready_at`
    RELEASE = "release"  # battery: by its own control, as far as no limit needs it
    RESERVE = "reserve"  # battery: keep `target_soc_pct` instead of the site file's reserve
    OPT_OUT = "opt_out"  # site: leave out the voluntary event `event_id`, or every one from `since` on
    READ_ONLY = "read_only"  # site: nothing is written to any device


@dataclass(frozen=True, slots=True)
class UserRequest:
    """One act of the owner; it ends by itself at `until`."""

    id: str
    resource_id: str  # SITE for an act of the whole site
    kind: RequestKind
    until: datetime
    made_at: datetime
    by: str = "owner"
    since: datetime | None = None  # when it begins; None: when it was made
    target_soc_pct: float | None = None
    energy_wh: float | None = None
    session_from_wh: float | None = None  # what the charging point's session counter showed when it was asked
    ready_at: datetime | None = None
    event_id: str | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it has begun and not ended."""
        return now < self.until and (self.since is None or self.since <= now)


SUITS: Mapping[RequestKind, frozenset[Role]] = MappingProxyType(
    {
        RequestKind.CHARGE_NOW: frozenset({Role.EV, Role.BATTERY}),
        RequestKind.SURPLUS_ONLY: frozenset({Role.EV}),
        RequestKind.HOLD: frozenset({Role.BATTERY}),
        RequestKind.PAUSE: frozenset({Role.EV}),
        RequestKind.CHARGE_BY: frozenset({Role.EV}),
        RequestKind.RELEASE: frozenset({Role.BATTERY}),
        RequestKind.RESERVE: frozenset({Role.BATTERY}),
        RequestKind.OPT_OUT: frozenset(),
        RequestKind.READ_ONLY: frozenset(),
    }
)
"""Which roles an act makes sense for; none: it is an act of the site."""

PLAIN = frozenset(
    {RequestKind.CHARGE_NOW, RequestKind.SURPLUS_ONLY, RequestKind.HOLD, RequestKind.PAUSE, RequestKind.RELEASE}
)
"""The acts that need nothing but a resource and an end."""


def displaces(newer: UserRequest, older: UserRequest) -> bool:
    """Whether a newer act takes the place of an older one: of what steers the same resource only the last counts.

    A reserve stands beside what steers the battery; opt-outs stand beside each other unless they name the same event.
    """
    if newer.resource_id != older.resource_id:
        return False
    if RequestKind.OPT_OUT in {newer.kind, older.kind}:
        return newer.kind is older.kind and newer.event_id is not None and newer.event_id == older.event_id
    apart = {RequestKind.RESERVE, RequestKind.READ_ONLY}
    return newer.kind is older.kind or not apart & {newer.kind, older.kind}
