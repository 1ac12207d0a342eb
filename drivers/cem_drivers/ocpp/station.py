"""What a charger has told, whatever version it speaks: who it is, how its connectors stand, what was measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from cem_drivers.ocpp.conversation import Payload, objects_in, text_in
from cem_drivers.ocpp.samples import Measured, mean_w, measured
from cem_drivers.ocpp.times import ChargerClock, instant

MOST_CONNECTORS = 16
"""What tells of more connectors than this is no charging point of a house."""

ASKED_S = 3.0
"""So long after a TriggerMessage what it asked for counts as asked for."""

Dated = tuple[float, float]
"""A value and when it was taken, monotonic."""


@dataclass(frozen=True, slots=True)
class Boot:
    """Who a charger says that it is; the serial number is "" where it tells none."""

    maker: str
    model: str
    serial: str
    version: str


@dataclass(frozen=True, slots=True)
class Terms:
    """On which a charger is served. Without `tags` everybody may charge; `known` ones alone are in the site file.

    `heartbeat_s` is how often it shall give a sign of life.
    """

    known: bool = True
    tags: frozenset[str] | None = None
    heartbeat_s: int = 20

    def accepts(self, tag: object) -> bool:
        """Whether this identifier may charge; they are compared without case (OCPP 1.6, 7.28)."""
        return self.tags is None or (isinstance(tag, str) and tag.strip().lower() in self.tags)


@dataclass(slots=True)
class Connector:
    """One connector (1.6) or EVSE (2.0.1). `state` is IEC 61851-1's letter; values by the vocabulary's points."""

    state: str | None = None
    status: str = ""  # as it was told, for people
    waits_for_tag: bool = False  # a car is there and nobody has been authorised
    transaction: int | str | None = None
    charging: bool = False  # what the transaction says of itself (2.0.1)
    authorised: bool = False  # somebody was, for the running transaction (2.0.1)
    values: dict[str, Dated] = field(default_factory=dict)
    samples: int = 0  # how often something was measured
    began_wh: float | None = None
    _energy: Dated | None = None
    _has_power: bool = False

    def begin(self, transaction: int | str, start_wh: float | None) -> None:
        """A transaction began, or is found to be under way (then nothing is known of its beginning)."""
        if transaction == self.transaction:
            return
        self.authorised = False
        self.transaction, self.began_wh = transaction, start_wh
        self.values.pop("session_wh", None)

    def end(self) -> None:
        """The transaction is over, or there is no car."""
        self.transaction = None
        self.charging = self.authorised = False

    def measure(self, told: Measured, taken_at_s: float, paced_s: float | None) -> None:
        """Takes a moment's values in where they are newer; `paced_s` is the sample's own time, for a mean of energy."""
        self.samples += 1
        power_w = told.power_w
        if told.energy_wh is not None:
            if self.began_wh is not None and told.energy_wh >= self.began_wh:
                self._put("session_wh", told.energy_wh - self.began_wh, taken_at_s)
            if power_w is None and not self._has_power and self._energy is not None and paced_s is not None:
                power_w = mean_w(*self._energy, told.energy_wh, paced_s)
            if paced_s is not None:
                self._energy = (told.energy_wh, paced_s)
        self._has_power = self._has_power or told.power_w is not None
        for point, value in (
            ("power_w", power_w),
            ("current_a", told.current_a),
            ("limit_a", told.offered_a),
            ("soc_pct", told.soc_pct),
            ("phases", None if told.phases is None else float(told.phases)),
        ):
            if value is not None:
                self._put(point, value, taken_at_s)

    def _put(self, point: str, value: float, taken_at_s: float) -> None:
        known = self.values.get(point)
        if known is None or taken_at_s >= known[1]:
            self.values[point] = (value, taken_at_s)


@dataclass(slots=True)
class Station:
    """One charger during one connection. `changed` is called with everything that comes."""

    identity: str
    terms: Terms
    monotonic: Callable[[], float]
    wall: Callable[[], datetime]
    clock: ChargerClock = field(default_factory=ChargerClock)
    boot: Boot | None = None
    heard_at_s: float = 0.0
    asked_at_s: float = float("-inf")  # when something was asked for that it answers with its time
    connectors: dict[int, Connector] = field(default_factory=dict)
    next_transaction: int = 0
    zero_is: int | None = None  # the connector that is meant where the whole charger's meter (0) is told of

    def connector(self, number: int | None) -> Connector:
        """The connector of this number; what tells of too many, or of none, writes into the wind."""
        if number == 0 and self.zero_is is not None:
            number = self.zero_is
        if number is None or not 0 <= number <= MOST_CONNECTORS:
            return Connector()
        return self.connectors.setdefault(number, Connector())

    def our_time(self) -> float:
        """Our time, Unix seconds, which the charger is told and should take for its own."""
        unix_s = self.wall().timestamp()
        self.clock.told(unix_s, self.monotonic())
        return unix_s

    def show_time(self, payload: Payload) -> None:
        """What was asked for a moment ago tells the charger's time by its time stamp."""
        unix_s, now_s = instant(payload.get("timestamp")), self.monotonic()
        if unix_s is not None and now_s - self.asked_at_s <= ASKED_S:
            self.clock.shown(unix_s, now_s)

    def sample(self, connector: Connector, value: Payload) -> None:
        """Takes one `MeterValue` in; what can't be dated is left out."""
        samples = objects_in(value.get("sampledValue"))
        if any(text_in(sample, "context") == "Trigger" for sample in samples):
            self.show_time(value)
        unix_s = instant(value.get("timestamp"))
        taken_at_s = self.clock.taken_at_s(unix_s, self.monotonic())
        if taken_at_s is not None:
            connector.measure(measured(samples), taken_at_s, unix_s)

    def new_transaction(self) -> int:
        """A number that no transaction had before, over restarts too: made of the time, 31 bits."""
        self.next_transaction = max(self.next_transaction + 1, int(self.wall().timestamp()) & 0x7FFFFFFF)
        return self.next_transaction


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a charger says that it can. None, and "" for a text: it does not say."""

    smart_charging: bool | None = None
    in_watts: bool | None = None  # it takes limits in W alone
    max_stack_level: int | None = None
    switches_phases: bool = False
    triggers: bool | None = None  # takes TriggerMessage
    sample_interval_s: int | None = None
    sampled: str = ""
    connectors: int | None = None
    told: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def tells_current(self) -> bool:
        """Whether it is set up to measure the car's current."""
        return "Current.Import" in self.sampled


@dataclass(frozen=True, slots=True)
class Lease:
    """A limit with an end, as a charging profile: in A or in W, on so many phases (None: the charger's own)."""

    connector: int
    profile_id: int
    stack_level: int
    purpose: str
    unit: str  # "A" or "W"
    limit: float
    phases: int | None
    starts_unix_s: float
    duration_s: int
    ends_unix_s: float | None  # None: by its duration alone
    transaction: int | str | None = None


@dataclass(frozen=True, slots=True)
class Composite:
    """What the charger says will hold: the limit now, in `unit`, and after how many seconds that ends (None: not)."""

    unit: str
    limit: float
    phases: int | None
    ends_s: float | None
