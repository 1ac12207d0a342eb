"""What people ask for: intents with an end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from cem.model.resource import Role


class RequestKind(StrEnum):
    """What a person can ask of a resource."""

    CHARGE_NOW = "charge_now"  # EV or battery: as fast as the limits allow
    SURPLUS_ONLY = "surplus_only"  # EV: sun only
    HOLD = "hold"  # battery: keep what is stored
    PAUSE = "pause"  # EV: do not charge


@dataclass(frozen=True, slots=True)
class UserRequest:
    """One act of the owner; it ends by itself at `until`."""

    id: str
    resource_id: str
    kind: RequestKind
    until: datetime
    made_at: datetime
    by: str = "owner"


SUITS: Mapping[RequestKind, frozenset[Role]] = MappingProxyType(
    {
        RequestKind.CHARGE_NOW: frozenset({Role.EV, Role.BATTERY}),
        RequestKind.SURPLUS_ONLY: frozenset({Role.EV}),
        RequestKind.HOLD: frozenset({Role.BATTERY}),
        RequestKind.PAUSE: frozenset({Role.EV}),
    }
)
"""Which roles an act makes sense for."""
