"""Plans: intents per slot, never power set points. A plan is advice with an expiry."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from cem.model.resource import Resource
from cem.model.values import value


class IntentKind(StrEnum):
    """What a resource should do with a surplus and with a deficit during a slot."""

    SELF_CONSUME = "self_consume"  # take the surplus, cover the deficit
    HOLD = "hold"  # take the surplus, let the grid cover the deficit: what is stored is worth more later
    CHARGE_TO = "charge_to"  # charge from the grid as well, up to target_soc_pct
    DISCHARGE_TO = "discharge_to"  # feed in beyond the deficit, down to target_soc_pct
    SURPLUS_ONLY = "surplus_only"  # EV: only from surplus


@value(frozen=True, slots=True)
class Intent:
    """One resource's intent in one slot. `max_w` bounds the magnitude of what CHARGE_TO or DISCHARGE_TO may use."""

    kind: IntentKind
    target_soc_pct: float | None = None
    max_w: float | None = None
    value_per_kwh: float | None = None  # marginal value of stored energy: the dual of the state-of-charge row


@value(frozen=True, slots=True)
class Slot:
    """[start, end) with an intent per resource id, and what the plan expects (W, house's signs)."""

    start: datetime
    end: datetime
    intents: Mapping[str, Intent] = field(default_factory=lambda: MappingProxyType({}))
    import_price_per_kwh: float | None = None
    grid_w: float | None = None
    pv_w: float | None = None
    load_w: float | None = None
    power_w: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    soc_pct: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@value(frozen=True, slots=True)
class Plan:
    """Slots in order, without gaps."""

    made_at: datetime
    expires_at: datetime
    slots: tuple[Slot, ...]
    status: str  # "optimal", "feasible", "rules"
    cost: float | None = None  # in the tariff's currency over the horizon
    gap: float | None = None  # share of the gross bill
    solve_s: float | None = None
    reasons: tuple[str, ...] = ()
    plugged: tuple[str, ...] = ()  # charging points that had a car when it was asked for

    def slot_at(self, at: datetime) -> Slot | None:
        """The slot that covers an instant, or None outside the plan or after its expiry."""
        if at >= self.expires_at:
            return None
        for slot in self.slots:
            if slot.start <= at < slot.end:
                return slot
        return None


@value(frozen=True, slots=True)
class EvNeed:
    """What a plugged car still needs; `due` None: no deadline. It takes `slower_h` longer than at its full power.

    `usual`: nobody asked for it, it was learnt.
    """

    resource_id: str
    energy_wh: float
    due: datetime | None
    usual: bool = False
    slower_h: float = 0.0


@value(frozen=True, slots=True)
class LoadNeed:
    """What a switched load still has to run by `due`: `profile_w` in quarter hours, in one go or with pauses."""

    resource_id: str
    profile_w: tuple[float, ...]
    due: datetime
    interruptible: bool = True


@value(frozen=True, slots=True)
class HeatStore:
    """A heat pump's store: heat above the lower end of the comfort band, and up to its upper end."""

    resource_id: str
    stored_wh: float
    capacity_wh: float
    max_w: float  # electrical
    cop: float  # heat per electrical energy
    loss_per_h: float = 0.0  # share of what is stored


@value(frozen=True, slots=True)
class HeatNeed:
    """The same with the heat that the house draws per slot."""

    store: HeatStore
    demand_w: tuple[float, ...]


@value(frozen=True, slots=True)
class LevelGoal:
    """A battery should hold so much at an instant, because the grid asks for it."""

    resource_id: str
    soc_pct: float
    due: datetime


@value(frozen=True, slots=True)
class Extras:
    """What only some houses have: every per-slot tuple has n values, or none at all.

    `grid_min_w` and `grid_max_w` are a band of the net import that is asked for. `reserve_up_w` and `reserve_down_w`:
    so much more the batteries can always give, and take.
    """

    loads: tuple[LoadNeed, ...] = ()
    heat: tuple[HeatNeed, ...] = ()
    levels: tuple[LevelGoal, ...] = ()
    grid_min_w: tuple[float | None, ...] = ()
    grid_max_w: tuple[float | None, ...] = ()
    reserve_up_w: float = 0.0
    reserve_down_w: float = 0.0
    peak_price_per_kw: float = 0.0  # of the highest mean import of a slot in the month
    peak_so_far_w: float = 0.0


@value(frozen=True, slots=True)
class Course:
    """One way in which load and generation may come, W per slot; `weight` against that of the others."""

    weight: float
    load_w: tuple[float, ...]
    pv_w: tuple[float, ...]


@value(frozen=True, slots=True)
class PlanRequest:
    """A planning problem: n slots between n + 1 `edges`; every per-slot tuple has n values, powers as magnitudes."""

    edges: tuple[datetime, ...]
    resources: tuple[Resource, ...]  # the batteries and charging points that may be planned
    soc_pct: Mapping[str, float]  # batteries, now
    reserve_pct: Mapping[str, float]
    grid_charge: Mapping[str, bool]
    ev: tuple[EvNeed, ...]
    import_price_per_kwh: tuple[float, ...]
    export_price_per_kwh: tuple[float, ...]
    import_limit_w: tuple[float | None, ...]
    export_limit_w: tuple[float | None, ...]
    load_w: tuple[float, ...]  # forecast of what is not controllable
    pv_w: tuple[float, ...]  # forecast of generation
    extras: Extras = Extras()
    zone: str = "UTC"  # local time in the plan's reasons
    courses: tuple[Course, ...] = ()  # none: what is expected is taken as sure
