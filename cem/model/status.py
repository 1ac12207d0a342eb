"""The status: what a person or a program outside may know of the running gateway, in one value.

The local API serves it as JSON (field for field), `cem status` prints it and the dashboard draws it.
"""

from dataclasses import dataclass
from datetime import datetime

from cem.model.directive import EventSummary, GridPresence, LinkStatus
from cem.model.flexibility import Flexibility
from cem.model.line import LineCounts
from cem.model.plan import Plan
from cem.model.request import UserRequest
from cem.model.resource import Role
from cem.model.setpoint import Health, Mode


@dataclass(frozen=True, slots=True)
class Flow:
    """The energy flow now, W, house's signs; None where it is not known (silent or stale)."""

    grid_w: float | None
    pv_w: float | None
    battery_w: float | None
    ev_w: float | None
    load_w: float | None  # everything that is not one of the others


@dataclass(frozen=True, slots=True)
class ResourceStatus:
    """One resource of a device."""

    id: str
    role: Role
    name: str
    power_w: float | None
    age_s: float | None  # of power_w; None: never read
    stale: bool
    soc_pct: float | None = None
    state: str | None = None
    setpoint: str | None = None  # in words with unit: "charge 2.4 kW", "at most 10 A"
    outcome: str | None = None  # what became of it, in words
    reason: str | None = None  # why
    dropped: int = 0  # readings of this run that could not be true
    dropped_at: datetime | None = None  # the last of them
    dropped_why: str = ""


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One device with its resources."""

    id: str
    name: str
    health: Health
    since: datetime
    detail: str  # cause and effect, in words
    advice: str  # what a person can do; empty when nothing is wrong
    if_i_die: str  # what the device does by itself when the gateway stops
    resources: tuple[ResourceStatus, ...]
    line: LineCounts | None = None  # what was seen on its line; None where the driver counts nothing


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """One limit in force at the connection point."""

    side: str  # "import" or "export"
    limit_w: float  # magnitude
    source: str
    reason: str
    until: datetime | None
    binding: bool  # the strictest of its side
    since: datetime | None = None  # when it came into force, where that is known


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something a person should know; cause, effect and what to do."""

    id: str
    severity: str  # "info", "warning", "alarm"
    since: datetime
    cause: str
    effect: str
    advice: str


@dataclass(frozen=True, slots=True)
class EnergyToday:
    """Sums since local midnight; magnitudes in Wh, money in the tariff's currency."""

    import_wh: float
    export_wh: float
    pv_wh: float
    cost: float


@dataclass(frozen=True, slots=True)
class TariffStatus:
    """The dynamic tariff; where its price of now is not known, the site's own tariff holds."""

    provider: str
    known: bool  # whether there is a price of the market for now
    known_until: datetime | None  # without a gap from now on
    detail: str  # in words


@dataclass(frozen=True, slots=True)
class SubVenStatus:
    """One VEN of the domain below. Powers in W, import positive; shares as magnitudes, None: none is in force."""

    name: str
    lost: bool
    heard_at: datetime | None  # None: not since the start
    power_w: float | None  # as it reported it last
    reported_until: datetime | None
    import_share_w: float | None
    export_share_w: float | None
    opted_out: bool  # of something that it was asked


@dataclass(frozen=True, slots=True)
class DomainStatus:
    """The VTN that the gateway runs for a domain below itself."""

    url: str  # as this machine reaches it; '' before the first start
    running: bool
    vens: int
    programs: int
    events: int
    reports: int
    heard_at: datetime | None  # when one of its VENs last asked for something
    members: tuple[SubVenStatus, ...] = ()


@dataclass(frozen=True, slots=True)
class TickStatus:
    """The health of the control loop."""

    count: int
    last_ms: float
    worst_ms: float  # since the start
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Status:
    """The whole picture at `at`."""

    at: datetime
    site: str
    version: str
    mode: Mode
    headline: str
    time_trusted: bool
    grid: GridPresence
    flow: Flow
    import_price_per_kwh: float | None
    export_price_per_kwh: float | None
    currency: str
    devices: tuple[DeviceStatus, ...]
    limits: tuple[LimitStatus, ...]
    links: tuple[LinkStatus, ...]
    events: tuple[EventSummary, ...]
    plan: Plan | None
    today: EnergyToday
    alarms: tuple[Alarm, ...]
    tick: TickStatus
    read_only: bool = False
    zone: str = "UTC"  # of the site: the clock on its wall
    requests: tuple[UserRequest, ...] = ()  # the owner's acts in force
    tariff: TariffStatus | None = None  # None: the site has no dynamic one
    domain: DomainStatus | None = None  # None: the site has no VTN of its own
    flexibility: tuple[Flexibility, ...] = ()  # the house as one resource first, then each steered device
