"""Grid events in one model for every binding (IEC TS 62746-3: event, interval, signal, target value)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from cem.model.curve import Curve


class EventStatus(StrEnum):
    """Where an event stands on its time line (IEC 62746-10-1 clause on EiEvent)."""

    FAR = "far"
    NEAR = "near"
    ACTIVE = "active"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REFUSED = "refused"  # it is not acted on; the summary says why


class SignalKind(StrEnum):
    """What a grid signal asks for; powers in W at the connection point or resource, import positive."""

    IMPORT_LIMIT_W = "import_limit_w"  # magnitude
    EXPORT_LIMIT_W = "export_limit_w"  # magnitude
    IMPORT_PRICE_PER_KWH = "import_price_per_kwh"
    EXPORT_PRICE_PER_KWH = "export_price_per_kwh"
    DISPATCH_W = "dispatch_w"  # absolute power asked of the target, import positive
    DEFAULT_IMPORT_LIMIT_W = "default_import_limit_w"  # subscribed capacity: what holds without an event or a link
    DEFAULT_EXPORT_LIMIT_W = "default_export_limit_w"
    RESERVED_IMPORT_W = "reserved_import_w"  # granted beyond the subscribed capacity, magnitude
    RESERVED_EXPORT_W = "reserved_export_w"
    DISPATCH_CHANGE_W = "dispatch_change_w"  # against what the target took before, import positive
    CHARGE_TARGET_PCT = "charge_target_pct"  # state of charge of batteries, 0 to 100
    CHARGE_TARGET_WH = "charge_target_wh"  # energy held by a battery
    LOAD_SHED_LEVEL = "load_shed_level"  # 0 normal to 3 emergency; the limit that it means stands beside it
    GHG_G_PER_KWH = "ghg_g_per_kwh"
    CURVE = "curve"  # the number of one of the event's curves
    LOAD_SHAPE = "load_shape"  # 0 to 1: how welcome consumption is


@dataclass(frozen=True, slots=True)
class EventInterval:
    """One stretch [start, end) of an event with what it asks; `end` None is open until changed or cancelled."""

    start: datetime
    end: datetime | None
    signals: Mapping[SignalKind, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class GridEvent:
    """One event of one provider, already in absolute time and in our units."""

    id: str  # the provider's identifier of the event
    provider_id: str
    name: str
    programme_id: str
    modification: str  # whatever the binding compares for "has it changed"
    priority: int  # 0 is the highest (3.1's sense; the 2.0b binding converts)
    mandatory: bool  # by the site file's word on the programme
    intervals: tuple[EventInterval, ...]  # in order of start, not overlapping
    received_at: datetime
    targets: tuple[str, ...] = ()  # resource names; empty means the whole site
    test: bool = False  # answered, never actuated
    randomise: timedelta = timedelta()  # drawn once, already in the intervals; kept for the record
    currency: str | None = None
    unsupported: tuple[str, ...] = ()  # payload types that we answer as not supported
    notices: tuple[str, ...] = ()  # what it tells people
    curves: tuple[Curve, ...] = ()  # that its signals of the kind CURVE name by their number
