"""The site as the control knows it: fixed from the start, with nothing reachable."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import time
from enum import StrEnum
from types import MappingProxyType
from typing import Any, TypeVar

from cem.model.chance import share
from cem.model.curve import Curve
from cem.model.resource import Resource, Role
from cem.model.tariff import Tariff
from cem.model.values import lazy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ElectricalConnection:
    """The electrical connection point. Limits are magnitudes from the contract; None: only the fuse bounds."""

    phases: int = 3
    fuse_a: float = 35.0
    nominal_voltage_v: float = 230.0
    import_limit_w: float | None = None
    export_limit_w: float | None = None
    meter_stale_s: float = 10.0
    device_stale_s: float = 30.0

    @property
    def fuse_w(self) -> float:
        """Power of the main fuse over all phases."""
        return self.fuse_a * self.phases * self.nominal_voltage_v


@dataclass(frozen=True, slots=True)
class Place:
    """Where the house stands, degrees; north and east are positive."""

    latitude_deg: float
    longitude_deg: float


@dataclass(frozen=True, slots=True)
class ChargeGoal:
    """A standing wish: `energy_wh` (or, where the car tells it, `soc_pct`) in the car by `ready_by` local time."""

    resource_id: str
    ready_by: time
    energy_wh: float | None = None
    soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class BatteryPolicy:
    """The owner's word on a battery: what stays in it, and whether it may be charged from the grid."""

    resource_id: str
    reserve_pct: float = 10.0
    grid_charge: bool = True
    into_car: bool = False  # whether it may be emptied into a car


@dataclass(frozen=True, slots=True)
class Circuit:
    """A part of the installation behind a fuse of its own. `members` are resource ids; limits are magnitudes."""

    id: str
    fuse_a: float
    members: tuple[str, ...]
    phases: int = 3
    limit_w: float | None = None
    nominal_voltage_v: float = 230.0


@dataclass(frozen=True, slots=True)
class Group:
    """Several resources that a provider sees and dispatches as one, beside each by itself. `members` are their ids."""

    id: str
    name: str
    members: tuple[str, ...]


class LoadRun(StrEnum):
    """When a switched load is on."""

    BY_ITSELF = "by_itself"  # handed back to itself; only shed when there is not enough
    ON_SURPLUS = "on_surplus"  # on while the sun gives enough, or when the plan says so


@dataclass(frozen=True, slots=True)
class LoadPolicy:
    """The owner's word on a switched load or a heat pump."""

    resource_id: str
    runs: LoadRun = LoadRun.BY_ITSELF
    min_on_s: float = 300.0
    min_off_s: float = 300.0
    comfort_min_c: float | None = None  # a heat pump whose store is colder heats now
    comfort_max_c: float | None = None  # one whose store is as warm stores no more
    store_litres: float | None = None  # of a heat pump: how much water its store holds
    cop: float = 3.5  # heat per electrical energy, on the mean
    daily_wh: float | None = None  # what a load that waits for the sun has to get every day
    profile_w: tuple[float, ...] = ()  # or its run in one go, in quarter hours
    ready_by: time = time(0, 0)  # local, by which it is to be done


@dataclass(frozen=True, slots=True)
class Droop:
    """Frequency-watt: beyond `dead_band_hz` around nominal, power changes by its rating per `droop_pct` of nominal."""

    dead_band_hz: float = 0.2
    droop_pct: float = 5.0
    nominal_hz: float = 50.0


SPREAD_S = 900.0
"""The longest wait by chance after what ended for many houses at once, where nobody says otherwise; the reason and its
sources are in control/spreading.py."""


@dataclass(frozen=True, slots=True)
class IslandPolicy:
    """When the grid counts as back after an outage, and how the house returns to it; the sources are in presence.py."""

    stable_s: float = 300.0  # voltage and frequency in their window for so long
    low_voltage_pct: float = 85.0  # of nominal, every phase
    high_voltage_pct: float = 110.0
    below_hz: float = 0.5  # nominal, which is 50 or 60 Hz, whichever is nearer
    above_hz: float = 0.2
    permitted_by: frozenset[str] = frozenset()  # providers that must have been heard, and forbid nothing
    permission_most_s: float = 1800.0  # without their word for so long after the stable time: back all the same
    delay_s: float = SPREAD_S  # the longest wait by chance then
    ramp_pct_per_min: float = 10.0  # of the limits below, after the wait
    import_limit_w: float | None = None  # that holds without an event: a provider's default, else the contract's
    export_limit_w: float | None = None
    car_from_pct: float = 80.0  # in an island cars may have the sun that is left from this level of the batteries on

    def ramp_w_per_s(self, limit_w: float | None, connection: ElectricalConnection) -> float:
        """How fast power may return on the side of a limit; without one the main fuse counts."""
        return (connection.fuse_w if limit_w is None else limit_w) * self.ramp_pct_per_min / 6000.0


class GuaranteedMinimum(StrEnum):
    """What controllable consumers may draw together however low a mandatory import limit is."""

    NONE = "none"
    PARAGRAPH_14A = "14a"  # paragraph 14a EnWG (Germany), BNetzA BK6-22-300


@dataclass(frozen=True, slots=True)
class ControlPolicy:
    """How the control behaves where the site may choose."""

    guaranteed_minimum: GuaranteedMinimum = GuaranteedMinimum.NONE
    ramp_w_per_s: float | None = None  # of a battery, outside protection; None: as fast as it follows
    droop: Droop | None = None
    spread_s: float = 0.0  # the longest wait by chance after what ended for many houses at once; 0: none
    spread_by: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))  # of a provider, by its id
    reserve_up_w: float = 0.0  # so much more the batteries can always give by plan, for a service
    reserve_down_w: float = 0.0  # and take
    island: IslandPolicy = IslandPolicy()
    volt_watt: Curve | None = None  # of the house itself, where its inverters have none

    def spread_for(self, source: str) -> float:
        """The longest wait after an event of this provider, s."""
        return self.spread_by.get(source, self.spread_s)


@dataclass(frozen=True)
class Site:
    """Everything that does not change while the gateway runs, and what follows from it alone, worked out once."""

    name: str
    zone: str
    connection: ElectricalConnection
    tariff: Tariff
    resources: tuple[Resource, ...]
    goals: tuple[ChargeGoal, ...] = ()
    batteries: tuple[BatteryPolicy, ...] = ()
    circuits: tuple[Circuit, ...] = ()
    loads: tuple[LoadPolicy, ...] = ()
    policy: ControlPolicy = ControlPolicy()
    read_only: bool = False  # nothing is ever steered: decisions are shown, not made
    groups: tuple[Group, ...] = ()
    learnt_cars: tuple[str, ...] = ()  # charging points whose car's time and amount are learnt of its stays
    place: Place | None = None
    identity: str = ""  # tells this house from every other, for chance; '': its name

    def chance(self, occasion: str) -> float:
        """Uniform on [0, 1) over houses, the same whenever it is asked."""
        return share(self.identity or self.name, occasion)

    def once(self, work: Callable[["Site"], T]) -> T:
        """What a pure function makes of this site: worked out when it is asked for the first time."""
        try:
            found: T = self._worked_out[work]
        except KeyError:
            found = self._worked_out[work] = work(self)
        return found

    def of(self, role: Role) -> tuple[Resource, ...]:
        """The resources of a role, in the site file's order."""
        return self._by_role[role]

    def resource(self, resource_id: str) -> Resource:
        """The resource of that id; KeyError if there is none."""
        return self._by_id[resource_id]

    def battery_policy(self, resource_id: str) -> BatteryPolicy:
        """The policy of a battery, the defaults where the site file says nothing."""
        return self._battery_policies.get(resource_id) or BatteryPolicy(resource_id)

    def load_policy(self, resource_id: str) -> LoadPolicy:
        """The policy of a load or heat pump, the defaults where the site file says nothing."""
        return self._load_policies.get(resource_id) or LoadPolicy(resource_id)

    @lazy
    def _worked_out(self) -> dict[Callable[["Site"], Any], Any]:
        return {}

    @lazy
    def _by_role(self) -> dict[Role, tuple[Resource, ...]]:
        return {role: tuple(one for one in self.resources if one.role is role) for role in Role}

    @lazy
    def _by_id(self) -> dict[str, Resource]:
        return {resource.id: resource for resource in reversed(self.resources)}

    @lazy
    def _battery_policies(self) -> dict[str, BatteryPolicy]:
        said = {policy.resource_id: policy for policy in reversed(self.batteries)}
        return {one.id: BatteryPolicy(one.id) for one in self.resources} | said

    @lazy
    def _load_policies(self) -> dict[str, LoadPolicy]:
        said = {policy.resource_id: policy for policy in reversed(self.loads)}
        return {one.id: LoadPolicy(one.id) for one in self.resources} | said
