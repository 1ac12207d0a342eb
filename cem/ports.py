"""The few Protocols through which the core meets the world."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from cem.model.inverter_curve import Curve, CurveSet, GridFunction, WantedCurve
from cem.model.line import LineCounts
from cem.model.market import MarketPrice
from cem.model.plan import Plan, PlanRequest
from cem.model.reading import Reading
from cem.model.resource import Contact, Control, Ratings, Resource, Role
from cem.model.setpoint import Decision
from cem.model.tick import Inputs
from cem.model.time import Instant

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


class Clock(Protocol):
    """Both clocks at once."""

    def now(self) -> Instant:
        """The present instant."""


# --- devices -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers at an address; the serial number is the identity, the address is not."""

    maker: str
    model: str
    serial: str
    version: str = ""


class Storage(StrEnum):
    """Where a device keeps what is written; UNKNOWN counts as FLASH."""

    RAM = "ram"
    LEVELLED = "levelled"  # wear-levelled flash: the profile's own interval and budget are enough
    FLASH = "flash"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ControlSpec:
    """How one control of one resource wants to be written, and what happens when the writer dies."""

    resource_id: str
    control: Control
    falls_back_to: str  # in words: what the device does by itself without us
    storage: Storage = Storage.UNKNOWN
    dead_band: float = 0.0  # only a larger change is sent
    min_interval_s: float = 1.0
    daily_budget: int | None = None  # writes a day; None: unlimited (RAM only)
    refresh_s: float | None = None  # write again at least this often
    device_timeout_s: float | None = None  # the device's own watchdog or revert timer, armed with every write
    timeout_proven: bool = False
    effect_point: str | None = None  # the point on which the effect must show
    effect_tolerance: float = 0.0
    effect_within_s: float = 30.0


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """One [[device]] table of the site file. `link` is the driver's own business; the driver checks it."""

    id: str
    name: str
    driver: str
    link: Mapping[str, str | int | float | bool]
    resources: tuple[Resource, ...]
    profile: str | None = None
    serial: str | None = None  # identity to insist on; None: never written, only read
    read_only: bool = False
    poll_s: float = 1.0
    grid_support: tuple[WantedCurve, ...] = ()  # curves that are put in force when it is opened


class Device(Protocol):
    """One physical device. The supervisor calls one method at a time and bounds each with a time-out.

    Every method may raise DeviceError (NoAnswer, BadAnswer, Refused, WrongDevice); after NoAnswer or BadAnswer
    the supervisor calls `close` and later `open` again.
    """

    @property
    def id(self) -> str:
        """The device's id in the site file."""

    async def open(self) -> Identity:
        """Connects and identifies; raises WrongDevice when another serial number answers than the configured one."""

    def controls(self) -> Sequence[ControlSpec]:
        """What may be written, known from `open` on."""

    async def poll(self) -> Sequence[Reading]:
        """One round of reading; a device that pushes returns what arrived, each with its own `taken_at_s`."""

    async def write(self, resource_id: str, control: Control, value: float) -> float | None:
        """Sets a value; arms the device's own timer first where it has one. Never resends blindly.

        Gives what it set where the device can't take the whole value now, such as a battery that is nearly full;
        None: as asked.
        """

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """The value as the device holds it now; None where it can't be read."""

    async def release(self, resource_id: str, control: Control) -> None:
        """Hands the control back to the device; harmless when repeated."""

    async def close(self) -> None:
        """Lets go of the link; never raises."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What stands in the way of a device that answers all the same, and what its owner can do about it."""

    says: str
    do: str


@runtime_checkable
class Complains(Protocol):
    """A device that can say more to its owner than whether it answers."""

    @property
    def complaint(self) -> Complaint | None:
        """What is wrong now; None while all is well."""


@runtime_checkable
class CountsLine(Protocol):
    """A device whose line counts what it carries, for whoever looks for a bad cable or a busy gateway."""

    @property
    def line(self) -> LineCounts | None:
        """The counters now; they go on while the device is closed. None before the line was first used."""


@runtime_checkable
class SpeaksSeldom(Protocol):
    """A device that answers nobody and says by itself who it is: opening it takes more patience than others need."""

    @property
    def opens_within_s(self) -> float:
        """After so long `open` has ended, one way or the other; at most 14 s."""


@runtime_checkable
class KnowsOfStrangers(Protocol):
    """A driver with profiles of devices that can't be told from others by what they say."""

    def unrecognised(self, link: Mapping[str, str | int | float | bool]) -> Sequence[str]:
        """Those of them that may answer at such a link, by the name with which a person can say that it is one."""


@runtime_checkable
class HoldsCurves(Protocol):
    """A device that supports the grid by curves of its own. They are settings: they stay without us, and no release
    undoes them. Every method needs an open device and may raise DeviceError."""

    async def curves(self) -> Sequence[CurveSet]:
        """What it holds now, one entry for each function that it has."""

    async def adopt_curve(self, function: GridFunction, curve: Curve, *, place: int = 2, revert_s: int = 0) -> CurveSet:
        """Puts a curve in force, reads it back and enables the function; writes nothing where it is so already.

        Raises Refused in words where the device is not to be written, has no such function, the curve does not fit,
        or the one in force is not what was asked for; the function is not enabled by us then.
        """

    async def switch_off_curve(self, function: GridFunction) -> CurveSet:
        """Switches a function off and reads that back; writes nothing where it is off."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a driver found at an address: enough to write a [[device]] table."""

    driver: str
    profile: str | None
    identity: Identity
    link: Mapping[str, str | int | float | bool]
    resources: tuple[tuple[Role, Ratings, frozenset[Control]], ...]
    confidence: float  # 0 to 1
    details: Mapping[str, Json] = field(default_factory=dict)  # whatever else the driver saw, for `cem scan`
    every_s: float | None = None  # how often it tells new values, where that is seldom; None: when it is asked
    contacts: frozenset[Contact] = frozenset()  # of the role contacts: which are wired


class PduPort(Protocol):
    """An in-memory Modbus link: request PDU in, answer PDU out (function code first).

    Raises TimeoutError when the unit does not answer, ConnectionError when the link is down.
    """

    async def exchange(self, unit: int, pdu: bytes) -> bytes:
        """One request and its answer."""


class MessageSink(Protocol):
    """Called for each message that arrives."""

    def __call__(self, topic: str, payload: bytes, retained: bool) -> None: ...


class ConnectionSink(Protocol):
    """Called when the connection to the broker comes (True) or goes (False)."""

    def __call__(self, connected: bool) -> None: ...


class TopicPort(Protocol):
    """A connection to an MQTT broker, in memory or real. Callbacks run in the event loop."""

    async def start(self, on_message: MessageSink, on_connection: ConnectionSink) -> None:
        """Starts connecting; returns at once, keeps reconnecting until `stop`."""

    def subscribe(self, topic_filter: str) -> None:
        """Subscribes now; call it again from on_connection(True) after a reconnect."""

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Sends if connected and says whether it did; never queues while disconnected."""

    async def stop(self) -> None:
        """Disconnects; never raises."""


class ByteSink(Protocol):
    """Called with each piece that arrives."""

    def __call__(self, data: bytes, /) -> None: ...


class LossSink(Protocol):
    """Called once when a line is lost: pulled out, or hung up."""

    def __call__(self, error: Exception, /) -> None: ...


class StreamPort(Protocol):
    """A line on which a device speaks by itself: serial, over TCP, or in memory. Callbacks run in the event loop."""

    async def start(self, on_bytes: ByteSink, on_lost: LossSink) -> None:
        """Begins to listen; raises OSError where the line is not there or somebody else reads it."""

    def stop(self) -> None:
        """Listens no more; never raises, harmless when repeated."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A device that calls in: the path it calls, the subprotocols it offers, its name and password if it gives any."""

    path: str
    protocols: tuple[str, ...] = ()
    user: str | None = None
    password: bytes | None = None
    peer: str = ""  # from where, for people


class TextStream(Protocol):
    """One connection that a device made: whole text messages both ways."""

    async def recv(self) -> str:
        """The next message; raises ConnectionError when there will be none."""

    async def send(self, text: str) -> None:
        """Sends one message; raises ConnectionError."""

    async def close(self) -> None:
        """Ends the connection; never raises."""


class CallSink(Protocol):
    """What becomes of devices that call in."""

    def admit(self, caller: Caller) -> str | int:
        """The subprotocol that is spoken with it, or the HTTP status with which it is refused."""

    async def serve(self, caller: Caller, protocol: str, stream: TextStream) -> None:
        """The whole conversation with an admitted one; ends when it is over, never raises."""


class CallPort(Protocol):
    """A place at which devices call in, in memory or real."""

    async def start(self, sink: CallSink) -> None:
        """Listens from now on; raises OSError where that is not possible."""

    async def stop(self) -> None:
        """Ends all conversations and listens no more; never raises."""


class PduPorts(Protocol):
    """Gives the in-memory link for a link table of the site file."""

    def __call__(self, link: Mapping[str, str | int | float | bool], /) -> PduPort: ...


class TopicPorts(Protocol):
    """Gives the in-memory broker connection for a link table of the site file."""

    def __call__(self, link: Mapping[str, str | int | float | bool], /) -> TopicPort: ...


class StreamPorts(Protocol):
    """Gives the in-memory line for a link table of the site file."""

    def __call__(self, link: Mapping[str, str | int | float | bool], /) -> StreamPort: ...


class CallPorts(Protocol):
    """Gives the in-memory place to call for a link table of the site file."""

    def __call__(self, link: Mapping[str, str | int | float | bool], /) -> CallPort: ...


class LevelSink(Protocol):
    """Called with the number of a pin and whether its level is high, for each input that changes."""

    def __call__(self, pin: int, high: bool) -> None: ...


class PinPort(Protocol):
    """Simulated pins in place of the machine's own, numbered as those of a Raspberry Pi (BCM).

    As at the real ones, what a process leaves driven when it dies may stay driven until somebody else takes the pin.
    """

    @property
    def connected(self) -> bool:
        """Whether the board is there."""

    async def start(self, on_level: LevelSink) -> str:
        """Connects and gives the board's serial number; tells the levels of its inputs first. Callbacks run in the
        event loop. Raises ConnectionError, TimeoutError."""

    def left(self) -> frozenset[int]:
        """The pins that a process before this one left driven."""

    def drive(self, pin: int, high: bool | None) -> None:
        """Makes a pin an output of that level, with None an input; raises ConnectionError, PermissionError."""

    async def stop(self) -> None:
        """Lets go of the board as it stands; never raises."""


class PinPorts(Protocol):
    """Gives the in-memory pins for a link table of the site file."""

    def __call__(self, link: Mapping[str, str | int | float | bool], /) -> PinPort: ...


class Keep(Protocol):
    """A few values of a driver that outlive a restart, such as a counter: small ones, written seldom."""

    async def load(self, key: str) -> Json:
        """What was saved under a key; None if nothing was, or where it can't be read."""

    async def save(self, key: str, value: Json) -> None:
        """Writes it; never raises, a disk that refuses is told elsewhere."""


class Monotonic(Protocol):
    """Monotonic seconds."""

    def __call__(self) -> float: ...


class WallClock(Protocol):
    """Aware UTC: for devices that must be told the time, never for measuring it."""

    def __call__(self) -> datetime: ...


def utc_now() -> datetime:
    """The machine's own time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What a driver gets from the house.

    `pdu`, `topics`, `streams`, `pins` and `calls`, where set, replace the real transports.

    Without `keep` nothing outlives a restart. While `watch_only` nothing may be written, whatever is due.
    """

    monotonic: Monotonic
    pdu: PduPorts | None = None
    topics: TopicPorts | None = None
    streams: StreamPorts | None = None
    pins: PinPorts | None = None
    keep: Keep | None = None
    calls: CallPorts | None = None
    wall: WallClock = utc_now
    watch_only: Callable[[], bool] = lambda: False


class Driver(Protocol):
    """A family of devices, found through the entry point group `cem.drivers`."""

    @property
    def name(self) -> str:
        """What the site file writes in `driver`."""

    def faults(self, config: DeviceConfig) -> list[str]:
        """Everything wrong with a device table, offline; each starts with the key: 'link.port: ...'."""

    def device(self, config: DeviceConfig, context: DriverContext) -> Device:
        """Builds the device; touches no wire."""

    async def probe(
        self, link: Mapping[str, str | int | float | bool], context: DriverContext, timeout_s: float
    ) -> list[Found]:
        """What answers at an address; [] if nothing of this family does."""


# --- record ------------------------------------------------------------------------------------------------


class StateKind(StrEnum):
    """The tables of state.db."""

    EVENT = "event"  # accepted grid events, key provider/event
    OFFSET = "offset"  # random offsets and delays once drawn
    LIMIT = "limit"  # default limits and the last known link state, key provider
    BUDGET = "budget"  # writes made, key resource/control
    SWITCH = "switch"  # last switching times, key resource/control
    REQUEST = "request"  # the owner's requests
    OUTBOX = "outbox"  # reports not yet acknowledged, key provider/report/resource/interval
    REGISTRATION = "registration"  # identifiers that a provider gave us
    DECISION = "decision"  # changes of what was decided and why
    DRIVER = "driver"  # what drivers keep over a restart, key device
    SETTLEMENT = "settlement"  # events that are over, settled, key provider/event/start
    PLAN_DAY = "plan_day"  # what the plan of a local day promised and what came, key the day
    TARIFF = "tariff"  # the known prices of a dynamic tariff, key provider
    FORECAST_DAY = "forecast_day"  # how good the forecasts of a local day were, key the day
    GRID_LOG = "grid_log"  # what happened between grid and house, key time and number


@dataclass(frozen=True, slots=True)
class Put:
    """Writes one row."""

    kind: StateKind
    key: str
    value: Json


@dataclass(frozen=True, slots=True)
class Drop:
    """Removes one row; harmless if it is not there."""

    kind: StateKind
    key: str


class StateStore(Protocol):
    """state.db: nothing acknowledged is lost."""

    async def load(self, kind: StateKind) -> dict[str, Json]:
        """All rows of a kind by key, oldest first."""

    async def commit(self, changes: Sequence[Put | Drop]) -> None:
        """All or nothing; on disk when it returns."""

    async def close(self) -> None:
        """Finishes what is under way."""


class Journal(Protocol):
    """history.db: at most the last 60 s may be lost."""

    def record(self, inputs: Inputs, decision: Decision) -> None:
        """Takes a tick in; never blocks, never raises for the disk's sake."""

    async def close(self) -> None:
        """Writes what is left."""


class TickRecorder(Protocol):
    """The replay journal: everything that a decision came of."""

    def take(self, inputs: Inputs, memory: object, decision: Decision) -> None:
        """Takes a tick in, with the control's memory as it stood before; never blocks, never raises."""

    async def close(self) -> None:
        """Writes what is left."""


class History(Protocol):
    """What the forecasts and the day's sums ask of the record."""

    async def minute_means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        """(minute's start in Unix seconds, mean) of one signal 'resource.point', oldest first, gaps left out."""


# --- planning, grid, watchdog ------------------------------------------------------------------------------


class Planner(Protocol):
    """Solves planning problems away from the loop."""

    async def solve(self, request: PlanRequest) -> Plan:
        """A plan; raises TimeoutError or CemError, never blocks the loop."""

    async def close(self) -> None:
        """Ends the worker."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP answer, body bounded."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Http(Protocol):
    """An HTTP client, bounded in time and size, one per provider (its TLS and credentials stay inside)."""

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One exchange, redirects not followed; raises GridError when there was no answer or it was too big."""

    async def close(self) -> None:
        """Closes the connections."""


@dataclass(frozen=True, slots=True)
class BrokerLogin:
    """A broker and how to enter it. Certificates are PEM texts; None: the system's authorities, and none of our own."""

    uris: tuple[str, ...]  # mqtt://host[:port] or mqtts://host[:port], the first that works
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_pem: str | None = None
    certificate_pem: str | None = None
    key_pem: str | None = field(default=None, repr=False)


class NoticeTopics(Protocol):
    """Listens to topics of a broker. What arrives is a hint, never truth."""

    async def start(
        self,
        topics: Sequence[str],
        login: Callable[[], Awaitable[BrokerLogin]],
        on_notice: Callable[[], None],
        on_connection: Callable[[str], None],
    ) -> None:
        """Begins to connect and goes on trying, asking for a login before each try. Never raises.

        `on_notice` is called for every message and for every connection; `on_connection` with '' when connected,
        else with what is wrong, in words.
        """

    async def stop(self) -> None:
        """Disconnects."""


class PriceSource(Protocol):
    """Where the prices of a dynamic tariff come from."""

    async def prices(self, start: datetime, end: datetime) -> tuple[MarketPrice, ...]:
        """What is published for [start, end) (aware), oldest first, without overlap; () where nothing is yet.

        Raises GridError with the cause in words, and takes nothing of an answer that is not wholly understood.
        """

    async def close(self) -> None:
        """Closes the connections."""


class Watchdog(Protocol):
    """The service manager's watchdog."""

    def kick(self) -> None:
        """Called only after a whole good tick."""

    def ready(self) -> None:
        """Called once, when the gateway runs."""
