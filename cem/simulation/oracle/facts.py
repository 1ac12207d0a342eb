"""The only place that knows what the plant's truth looks like: per resource of the site, what is really the case."""

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from cem.config.sitefile import SiteFile
from cem.model.resource import Resource, Role
from cem.model.values import lazy, value
from cem.simulation.plant import BROKER, BatteryTruth, EvTruth, PvTruth, SimulatedHome, Truth, Wire


@value(frozen=True, slots=True)
class BatteryFact:
    """A battery, charging positive. `held_w` is what it was told and keeps to; None: it steers itself."""

    resource: Resource
    power_w: float
    soc_pct: float
    held_w: float | None
    obeys: bool  # it can be reached and does what it is told
    takes_w: float = float("inf")  # what its cells take and give at most now, magnitudes
    gives_w: float = float("inf")
    timeout_s: float | None = None  # of its own, where it is not the house's usual one
    lets_go_s: float | None = None  # only its own time-out hands it back, after so long; None: a release does

    @property
    def at_its_most(self) -> bool:
        """Whether it moves as its cells let it, not as anybody asks."""
        most_w = self.takes_w if self.power_w > 0.0 else self.gives_w
        return abs(self.power_w) >= 0.9 * most_w - 50.0


@value(frozen=True, slots=True)
class ChargerFact:
    """A charging point; `state` is IEC 61851-1's letter, `offered_a` what the pilot says to the car."""

    resource: Resource
    power_w: float
    state: str
    offered_a: float
    current_a: float
    phases: int
    obeys: bool
    plug_ins: int = 0  # cars that have come so far: one that is changed within a step leaves no other trace
    held_a: float | None = None  # what it was told and keeps to; None: it steers itself, up to its largest current


@value(frozen=True, slots=True)
class RoofFact:
    """A PV system, generating negative; `limit_w` is the bound that its inverter keeps to, a magnitude."""

    resource: Resource
    power_w: float
    available_w: float
    limit_w: float | None
    obeys: bool


@value(frozen=True, slots=True)
class SwitchedFact:
    """A heat pump or a load behind a relay. `state` is an SG Ready state (1 to 4) or a relay's position (0, 1).

    `held` is that state while it is not the device's own, or ends by a timer; None: it steers itself. A heat pump that
    is locked, or was for as long as it may be, does not obey: it finishes its run, and nobody can take more away.
    """

    resource: Resource
    power_w: float
    state: int
    held: int | None
    obeys: bool  # it can be reached, does what it is told, and could be told to take less
    well: bool  # it can be reached and does what it is told

    @property
    def may_run(self) -> bool:
        """Whether its own thermostat may start it."""
        return self.state > (LOCKED if self.resource.role is Role.HEAT_PUMP else 0)


@value(frozen=True, slots=False)
class Facts:
    """What is the case at one step of the plant. Powers in W, into the terminal positive."""

    at_s: float  # since the plant's start, on no clock of the gateway
    grid_w: float
    phases_w: tuple[float, ...]
    load_w: float
    voltage_v: float  # nominal in the dark, where no current flows
    frequency_hz: float
    batteries: tuple[BatteryFact, ...]
    chargers: tuple[ChargerFact, ...]
    roofs: tuple[RoofFact, ...]
    heat_pumps: tuple[SwitchedFact, ...]  # that the site may steer; the others are part of the load
    loads: tuple[SwitchedFact, ...]
    unwell: frozenset[str]  # devices with which something is wrong, by the site file's id
    meter: str  # "ok", "silent": gives nothing, or "lies": gives what is not so
    slowest_s: float = 0.0  # the longest that something that obeys takes to do what it is told
    grid_there: bool = True  # its voltage; without it the grid's limits mean nothing
    hung: frozenset[str] = frozenset()  # of `unwell`, those that stand still with all that they do, their timers too

    @lazy
    def movers(self) -> tuple[BatteryFact | ChargerFact | SwitchedFact, ...]:
        """What can be made to take more or less."""
        batteries: tuple[BatteryFact | ChargerFact | SwitchedFact, ...] = self.batteries
        return batteries + self.chargers + self.switched

    @lazy
    def switched(self) -> tuple[SwitchedFact, ...]:
        """Heat pumps and loads."""
        return self.heat_pumps + self.loads

    @lazy
    def roofs_w(self) -> float:
        """Sum of the PV systems (negative)."""
        return sum([roof.power_w for roof in self.roofs])

    @lazy
    def cars_w(self) -> float:
        """Sum of the charging points."""
        return sum([charger.power_w for charger in self.chargers])

    @lazy
    def switched_w(self) -> float:
        """Sum of heat pumps and loads."""
        return sum([part.power_w for part in self.switched])

    @lazy
    def uncontrolled_w(self) -> float:
        """What nobody can do anything about now: the load, the sun, and every device that does not obey."""
        stubborn = [p.power_w for p in self.movers if not p.obeys]
        return self.load_w + self.roofs_w + sum(stubborn)

    @lazy
    def controlled_import_w(self) -> float:
        """What the devices that obey take now."""
        return sum(max(0.0, p.power_w) for p in self.movers if p.obeys)


BACK_S = 30.0
"""After a fault a device counts as one that does not obey for so long: it is back (F11), and told again a lag later."""
BACK_SOON_S = 10.0
"""What was only silent for less is tried again after no longer than it was silent, and has answered so much later."""
SILENT_ONLY = frozenset({"silence", "disconnect"})
RESPONSES = 2.0
"""Of the time constants of a device, until it has done most of what it was told."""
LOCKED, NORMAL = 1, 2
"""SG Ready."""
LOCK_LONGEST_S = 7200.0
"""SG Ready: a heat pump may be locked for two hours a day."""

SILENT = frozenset(
    {
        *("silence", "disconnect", "reboot", "slow", "busy", "garbage", "nan"),
        *("short_answer", "half_answer", "wrong_unit", "hang_up"),
        *("half_open", "broker_down", "bad_crc", "cut", "stranger"),
    }
)
"""Faults of a device that then gives nothing of use."""
TRUE = frozenset({"refuse_writes", "ineffective", "duplicate", "lying_timer"})
"""Faults of a meter that then tells what is so all the same."""
NOTHING: frozenset[str] = frozenset()
DARK = frozenset({"silence"})


class FactSource:
    """Turns the truth of a plant into facts by resource of a site."""

    def __init__(self, site_file: SiteFile, plant: SimulatedHome, wire: Wire, lag_s: float = 5.0) -> None:
        self._plant = plant
        self._lag_s = lag_s
        self._device_of = {
            device.id: wire.device_of(device.serial) if device.serial else None for device in site_file.devices
        }
        self._brokered = frozenset(spec.id for spec in plant.home.device if spec.over_mqtt)
        site = site_file.site
        self._nominal_v = site.connection.nominal_voltage_v
        self._batteries, self._chargers, self._roofs = site.of(Role.BATTERY), site.of(Role.EV), site.of(Role.PV)
        self._zone = ZoneInfo(site.zone)
        self._lock_s: dict[str, float] = {}  # of each heat pump, without a break
        self._locked_s: dict[tuple[str, date], float] = {}  # of each heat pump on each day of the house
        self._read_at_s: float | None = None
        self._meters = [r.device_id for r in site_file.site.of(Role.GRID)][:1]
        self._since_s: dict[str, float] = {}  # when a device's last trouble began
        self._back_s: dict[str, float] = {}  # until when it counts as one that does not obey because of that
        response_s = {battery.id: battery.response_s for battery in plant.home.battery}
        takes_s = {
            spec.id: spec.dead_time_s
            + RESPONSES * max((response_s.get(one, 0.0) for one in plant.home.of(spec)), default=0.0)
            for spec in plant.home.device
        }
        steered = [r for r in site.resources if r.controls]
        self._takes_s = [(r.device_id, takes_s.get(self._device_of[r.device_id] or "", 0.0)) for r in steered]
        self._heat_pumps = [r for r in steered if r.role is Role.HEAT_PUMP]
        self._loads = [r for r in steered if r.role is Role.LOAD]
        self._plants: dict[str, str] = {}  # of a resource its own, by the resource's id

    def simulated(self, device_id: str) -> str | None:
        """The simulated device behind one of the site file's."""
        return self._device_of.get(device_id)

    def read(self, truth: Truth) -> Facts:
        """The facts of a step."""
        broker = self._plant.faults.condition(BROKER).faults.keys()
        dark = DARK if truth.supply == "dark" else NOTHING
        wrong = self._wrong(truth, broker, dark)
        deaf = self._deaf(truth, wrong)
        self._count_locks(truth)
        relays = {**truth.heat_pump, **truth.relay_load}
        heat_pumps = tuple([self._switched(r, truth, relays, deaf) for r in self._heat_pumps])
        loads = tuple([self._switched(r, truth, relays, deaf) for r in self._loads])
        steered_w = sum([fact.power_w for fact in (*heat_pumps, *loads)])
        return Facts(
            truth.elapsed_s,
            truth.grid_w,
            tuple(truth.grid_phases_w),
            truth.load_w + truth.heat_pump_w + truth.relay_w - steered_w,
            truth.voltages_v[0] or self._nominal_v,  # dark: nothing flows, whatever it is divided by
            truth.frequency_hz,
            tuple([self._battery(r, truth, r.device_id not in deaf) for r in self._batteries]),
            tuple([self._charger(r, truth, r.device_id not in deaf) for r in self._chargers]),
            tuple([_roof(r, self._own(truth.pv, r), r.device_id not in deaf) for r in self._roofs]),
            heat_pumps,
            loads,
            frozenset(wrong),
            self._meter(wrong),
            max([takes_s for device_id, takes_s in self._takes_s if device_id not in deaf], default=0.0),
            truth.supply == "grid",
            frozenset([device_id for device_id, names in wrong.items() if "freeze" in names]),
        )

    def _deaf(self, truth: Truth, wrong: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """The devices that do not obey: with which something is `wrong`, or was a while ago."""
        at_s = truth.elapsed_s
        for device_id, names in wrong.items():
            back_s = self._back_s.get(device_id, 0.0)
            if at_s >= back_s:
                self._since_s[device_id] = at_s
            lasted_s = at_s - self._since_s[device_id]
            after_s = min(BACK_S, lasted_s + BACK_SOON_S) if names <= SILENT_ONLY else BACK_S
            self._back_s[device_id] = max(back_s, at_s + after_s + self._lag_s)
        return frozenset(device_id for device_id, back_s in self._back_s.items() if at_s < back_s)

    def _switched(
        self, resource: Resource, truth: Truth, relays: Mapping[str, Any], unwell: frozenset[str]
    ) -> SwitchedFact:
        """A heat pump or a load that the site steers."""
        simulated = self._device_of.get(resource.device_id) or ""
        hold = next(iter(truth.devices[simulated].holds.values()))
        well, state = resource.device_id not in unwell, int(hold.state or 0)
        power_w = float(self._own(relays, resource).power_w)
        spent = resource.role is Role.HEAT_PUMP and (state == LOCKED or self._lock_spent(truth, resource))
        held = state if hold.remote else None
        return SwitchedFact(resource, power_w, state, held, well and not spent, well)

    def _count_locks(self, truth: Truth) -> None:
        """A lock that runs over midnight counts to the new day as a whole."""
        passed_s = 0.0 if self._read_at_s is None else truth.elapsed_s - self._read_at_s
        self._read_at_s = truth.elapsed_s
        for name, pump in truth.heat_pump.items():
            lock_s = self._lock_s[name] = self._lock_s.get(name, 0.0) + passed_s if pump.sg_state == LOCKED else 0.0
            if lock_s:
                key = name, self._today(truth)
                self._locked_s[key] = max(lock_s, self._locked_s.get(key, 0.0) + passed_s)

    def _lock_spent(self, truth: Truth, resource: Resource) -> bool:
        if not self._locked_s:
            return False
        simulated = self._device_of.get(resource.device_id) or ""
        names = self._plant.fronts[simulated].plants
        today = self._today(truth)
        return any(self._locked_s.get((name, today), 0.0) >= LOCK_LONGEST_S - 60.0 for name in names)

    def _today(self, truth: Truth) -> date:
        return truth.now.astimezone(self._zone).date()

    def _own(self, parts: Mapping[str, Any], resource: Resource) -> Any:
        """The part of the truth that is about one resource: of the plants of its device, the one of its kind."""
        return parts[self._plant_of(parts, resource)]

    def _plant_of(self, parts: Mapping[str, Any], resource: Resource) -> str:
        plant = self._plants.get(resource.id)
        if plant is None:
            simulated = self._device_of.get(resource.device_id) or ""
            plant = next(one for one in self._plant.fronts[simulated].plants if one in parts)
            self._plants[resource.id] = plant
        return plant

    def _battery(self, resource: Resource, truth: Truth, obeys: bool) -> BatteryFact:
        plant = self._plant_of(truth.battery, resource)
        own: BatteryTruth = truth.battery[plant]
        held_w = None
        if own.lower_w is not None and own.upper_w is not None:
            held_w = own.upper_w if own.upper_w >= 0 else own.lower_w
        simulated = self._device_of.get(resource.device_id) or ""
        return BatteryFact(
            resource,
            own.power_w,
            own.soc_pct,
            held_w,
            obeys,
            own.max_charge_w,
            own.max_discharge_w,
            self._plant.timeouts_s(simulated).get(plant),
            self._plant.lets_go_s(simulated).get(plant),
        )

    def _charger(self, resource: Resource, truth: Truth, obeys: bool) -> ChargerFact:
        plant = self._plant_of(truth.ev, resource)
        own: EvTruth = truth.ev[plant]
        hold = truth.devices[self._device_of.get(resource.device_id) or ""].holds.get(plant)
        told_a = hold.offered_a if hold is not None and hold.remote else None
        bounds = told_a is not None and told_a < (resource.ratings.max_current_a or float("inf"))
        return ChargerFact(
            resource,
            own.power_w,
            own.state,
            own.offered_a,
            own.current_a,
            own.phases,
            obeys,
            own.plug_ins,
            told_a if bounds else None,
        )

    def _wrong(self, truth: Truth, broker: Collection[str], dark: frozenset[str]) -> dict[str, frozenset[str]]:
        """The names of everything that is wrong now with devices, or with the broker over which they speak; of those
        with which something is."""
        found = {}
        for device_id, simulated in self._device_of.items():
            names = dark
            if simulated is not None:
                names = truth.devices[simulated].faults | dark
                if broker and simulated in self._brokered:
                    names = names.union(broker)
            if names:
                found[device_id] = names
        return found

    def _meter(self, wrong: Mapping[str, frozenset[str]]) -> str:
        names = NOTHING.union(*(wrong.get(meter, NOTHING) for meter in self._meters))
        if names <= TRUE:
            return "ok"
        if names & SILENT:
            return "silent"
        return "lies"


def _roof(resource: Resource, own: PvTruth, obeys: bool) -> RoofFact:
    return RoofFact(resource, own.power_w, own.available_w, own.limit_w, obeys)
