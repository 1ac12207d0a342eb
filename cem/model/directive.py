"""What the grid side tells the control, folded to the present moment, and the two states of the grid."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from cem.model.curve import Curve
from cem.model.envelope import Envelope, Rank
from cem.model.event import EventStatus
from cem.model.tariff import Tariff
from cem.model.values import value


class LinkState(StrEnum):
    """The state of the communication with one provider."""

    ONLINE = "online"
    STALE = "stale"
    HOLD = "hold"
    FALLBACK = "fallback"
    RESYNC = "resync"


class GridPresence(StrEnum):
    """Whether the grid's voltage is there; never the same thing as the link."""

    CONNECTED = "connected"
    ISLANDED = "islanded"
    UNKNOWN = "unknown"


@value(frozen=True, slots=True)
class LinkStatus:
    """One provider's link as a person or a record sees it."""

    provider_id: str
    state: LinkState
    since: datetime
    last_success_at: datetime | None
    detail: str  # what happened, in words
    advice: str = ""  # what can be done, empty when nothing is wrong
    reports_queued: int = 0
    awaited: bool = False  # not up yet since the start, and not away for long enough to be lost
    falls_back: bool = False  # the default limit holds, and prices and dispatch are dropped


@value(frozen=True, slots=True)
class Dispatch:
    """A power that the grid asks for now at a subject (SITE or a resource)."""

    subject: str
    power_w: float
    rank: Rank
    source: str
    reason: str
    until: datetime | None
    since: datetime | None = None
    change: bool = False  # `power_w` is a change against what the subject took when it began


@value(frozen=True, slots=True)
class ChargeTarget:
    """What batteries should hold now; one of `soc_pct` and `energy_wh` is given. The subject is one battery or SITE."""

    subject: str
    soc_pct: float | None
    energy_wh: float | None
    rank: Rank
    source: str
    reason: str
    until: datetime | None


@value(frozen=True, slots=True)
class CurveOrder:
    """A curve in force now: what its subject (SITE or a resource) may give or take by it."""

    subject: str
    curve: Curve
    rank: Rank
    source: str
    reason: str
    until: datetime | None


@value(frozen=True, slots=True)
class WeightWindow:
    """What weighs on consumption during [start, end) beside its price: it steers, and is on no bill."""

    start: datetime
    end: datetime | None
    ghg_g_per_kwh: float | None
    load_shape: float | None  # 0 to 1: how welcome consumption is
    source: str


@value(frozen=True, slots=True)
class PriceWindow:
    """A price that holds for [start, end); either side may be None (then the tariff's own holds)."""

    start: datetime
    end: datetime | None
    import_price_per_kwh: float | None
    export_price_per_kwh: float | None
    source: str
    spread: bool = False  # its sender spreads its times over houses by chance already


@value(frozen=True, slots=True)
class LimitWindow:
    """A limit on the connection point known for [start, end), for the plan; magnitudes in W."""

    start: datetime
    end: datetime | None
    import_limit_w: float | None
    export_limit_w: float | None
    source: str
    rank: Rank = Rank.OBLIGATION


@value(frozen=True, slots=True)
class LevelWindow:
    """A load-shed level, 1 to 3, that is called for during [start, end). The limit that it means stands beside it."""

    start: datetime
    end: datetime | None
    level: int
    rank: Rank
    source: str


@value(frozen=True, slots=True)
class EventSummary:
    """One event as shown to a person."""

    id: str
    provider_id: str
    name: str
    status: EventStatus
    start: datetime
    end: datetime | None
    asks: str  # in words


@value(frozen=True, slots=True)
class Directive:
    """Everything that the grid side says at this moment. Envelopes and dispatches are those in force now."""

    envelopes: tuple[Envelope, ...] = ()
    dispatches: tuple[Dispatch, ...] = ()
    prices: tuple[PriceWindow, ...] = ()  # present and future
    limits: tuple[LimitWindow, ...] = ()  # present and future, for the plan
    charges: tuple[ChargeTarget, ...] = ()  # in force now
    weights: tuple[WeightWindow, ...] = ()  # present and future
    curves: tuple[CurveOrder, ...] = ()  # in force now
    levels: tuple[LevelWindow, ...] = ()  # present and future
    links: tuple[LinkStatus, ...] = ()
    events: tuple[EventSummary, ...] = ()
    grid: GridPresence = GridPresence.UNKNOWN
    next_change_at: datetime | None = None  # when the directive will next differ by time alone

    def prices_at(self, at: datetime, tariff: Tariff) -> tuple[float, float]:
        """Import and export price per kWh: the first window that covers and names one, else the contract's."""
        import_price = export_price = None
        for window in self.prices:
            if window.start <= at and (window.end is None or at < window.end):
                import_price = window.import_price_per_kwh if import_price is None else import_price
                export_price = window.export_price_per_kwh if export_price is None else export_price
        return (
            tariff.import_price_per_kwh(at) if import_price is None else import_price,
            tariff.export_price_per_kwh if export_price is None else export_price,
        )

    def weight_at(self, at: datetime, tariff: Tariff) -> float:
        """What weighs on a kWh bought at an instant beside its price."""
        return weight_at(self.weights, at, tariff)


def weight_at(windows: Iterable[WeightWindow], at: datetime, tariff: Tariff) -> float:
    """What the first of the windows that covers an instant weighs on a kWh bought."""
    for window in windows:
        if window.start <= at and (window.end is None or at < window.end):
            return tariff.weight_per_kwh(window.ghg_g_per_kwh, window.load_shape)
    return 0.0
