"""The house: everything behind one connection point, moved on in steps."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hw_sim.homefile import Home
from hw_sim.physics.battery import FREE, Battery
from hw_sim.physics.calendar import Calendar
from hw_sim.physics.ev import ChargingPoint
from hw_sim.physics.grid import Grid
from hw_sim.physics.heat_pump import HeatPump
from hw_sim.physics.household import Household
from hw_sim.physics.island import Island
from hw_sim.physics.phases import NONE, Phases, spread
from hw_sim.physics.pv import Roof
from hw_sim.physics.relay_load import RelayLoad
from hw_sim.physics.weather import Weather
from hw_sim.truth import DeviceTruth, Supply, Truth

__all__ = ["House", "Plant", "Saved", "Truth"]

Plant = Roof | Battery | ChargingPoint | HeatPump | RelayLoad
_FINEST_ALONE_S = 5.0  # without the grid a house balances in steps no longer than this

_KEPT: dict[type, tuple[str, ...]] = {
    Roof: ("energy_wh", "curtailed_wh"),
    Battery: ("soc_wh", "charged_wh", "discharged_wh"),
    ChargingPoint: (
        *("soc_wh", "energy_wh", "session_wh", "target_pct"),
        *("contactor_closures", "contactor_switchings", "plug_ins"),
    ),
    HeatPump: (
        *("store_c", "energy_wh", "heat_wh", "drawn_wh", "lost_wh", "unmet_wh", "below_comfort_s"),
        *("starts", "switchings", "contact_switchings"),
    ),
    RelayLoad: ("energy_wh", "unmet_wh", "open_wh", "switchings"),
}
"""What of each plant outlives a power cut."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What survives when the house is built anew: energies and counters, per plant under its id."""

    now: datetime
    import_wh: float
    export_wh: float
    load_wh: float
    unserved_wh: float
    plants: dict[str, dict[str, float]]


class House:
    """All powers and energies of a home. `start` is aware; `seed` (default: the home's) fixes the weather and the load.

    The plants lie in dicts by their ids: `roofs`, `batteries`, `charging_points`, `heat_pumps`, `relay_loads`. The
    knobs are those of the parts: `limit_w`, `connected`; `band`, `reserve_pct`; `offered_a`, `offered_phases`;
    `sg_state`; `on`; and those of `household`, `grid` and `weather`.
    """

    def __init__(self, home: Home, start: datetime, seed: int | None = None) -> None:
        if start.tzinfo is None:
            raise ValueError(f"start: {start} has no offset; allowed: an aware datetime")
        self.home = home
        self.start = start.astimezone(UTC)
        self._start_unix_s = self.start.timestamp()
        seed = home.seed if seed is None else seed
        self.calendar = Calendar(home.zone)
        self.weather = Weather(home, self.calendar, seed)
        self.grid = Grid(home.grid)
        self.household = Household(home.load, self.calendar, seed, home.grid.phases)
        self.roofs = {s.id: Roof(s, self.weather, home.latitude, home.longitude, home.grid) for s in home.pv}
        self.batteries = {s.id: Battery(s) for s in home.battery}
        self.charging_points = {s.id: ChargingPoint(s, self.calendar) for s in home.ev}
        self.heat_pumps = {s.id: HeatPump(s, self.calendar) for s in home.heat_pump}
        self.relay_loads = {s.id: RelayLoad(s) for s in home.relay_load}
        self.island = Island(self.grid, list(self.batteries.values()))
        self._shared = [self._sharing(*home.of(d)) for d in home.device if d.kind == "sunspec.hybrid"]
        self._plants: list[Plant] = [plant for _, plant in self.plants()]
        self.elapsed_s = 0.0
        self._seen_s = self._start_unix_s  # the instant whose load and sky hold
        self.steps = 0
        self.grid_w = 0.0
        self.grid_phases_w: Phases = NONE
        self.import_wh, self.export_wh = home.grid.import_wh, home.grid.export_wh
        self.outdoor_c = self.weather.outdoor_c(self._start_unix_s)
        for battery in self.batteries.values():
            battery.settle(self.outdoor_c)
        self.household.step(self._start_unix_s)
        for roof in self.roofs.values():
            roof.step(1e-6, self._start_unix_s, powered=True)
        self._sum()

    def _sharing(self, one: str, other: str) -> tuple[Roof, Battery, float]:
        """Roof and battery behind one inverter, with its rating in W."""
        roof = self.roofs[one if one in self.roofs else other]
        battery = self.batteries[one if one in self.batteries else other]
        return roof, battery, max(roof.spec.rating_w, battery.spec.max_discharge_w)

    @property
    def now(self) -> datetime:
        """The simulated time, UTC."""
        return self.start + timedelta(seconds=self.elapsed_s)

    @property
    def unix_s(self) -> float:
        """The simulated time in Unix seconds."""
        return self._start_unix_s + self.elapsed_s

    @property
    def supply(self) -> Supply:
        """Where the voltage comes from."""
        return self.island.supply

    @property
    def voltages_v(self) -> Phases:
        """In the house, between phase and neutral."""
        return self.island.voltages_v

    @property
    def frequency_hz(self) -> float:
        """In the house; 0 in the dark."""
        supply = self.island.supply
        if supply is Supply.GRID:
            return self.grid.frequency_hz
        return self.island.frequency_hz if supply is Supply.ISLAND else 0.0

    def plants(self) -> Iterator[tuple[str, Plant]]:
        """Everything that has a power of its own, by id."""
        yield from self.roofs.items()
        yield from self.batteries.items()
        yield from self.charging_points.items()
        yield from self.heat_pumps.items()
        yield from self.relay_loads.items()

    def step(self, dt_s: float, *, steady: bool = False) -> None:
        """Moves on by `dt_s` > 0; each power holds for the whole step that ends now.

        Without the grid a long step is made of shorter ones; the powers then are those of the last. `steady`: the
        household's load and the sky are still those of the last step that was not.
        """
        if not dt_s > 0.0:
            raise ValueError(f"dt_s: {dt_s}; allowed: above 0")
        alone = self.grid.lost or self.island.supply is not Supply.GRID
        parts = math.ceil(dt_s / _FINEST_ALONE_S) if alone else 1
        for _ in range(parts):
            self._part(dt_s / parts, steady)
        self.steps += 1

    def _part(self, dt_s: float, steady: bool) -> None:
        self.elapsed_s += dt_s
        unix_s = self.unix_s
        seen_s = self._seen_s = self._seen_s if steady else unix_s
        self.grid.step(self.elapsed_s, self.grid_phases_w, self._flows_var())
        self.outdoor_c = outdoor_c = self.weather.outdoor_c(seen_s)
        self.household.step(seen_s)
        supply = self.island.begin(dt_s, self.household.wanted_w)
        powered = supply is not Supply.DARK
        volts = self.island.voltages_v
        others = 0.0
        for point in self.charging_points.values():
            point.step(dt_s, unix_s, volts)
            others += point.power_w
        for pump in self.heat_pumps.values():
            pump.step(dt_s, unix_s, outdoor_c, powered)
            others += pump.power_w
        for load in self.relay_loads.values():
            load.step(dt_s, powered)
            others += load.power_w
        ahead = self._ahead(dt_s) if supply is Supply.GRID else ()
        for roof in self.roofs.values():
            if supply is Supply.GRID:  # in an island the battery's frequency holds the roofs back, see Island
                roof.sense(dt_s, volts, self.grid.frequency_hz)
            roof.step(dt_s, seen_s, powered)
        if supply is Supply.GRID:
            self._follow(dt_s, others + self.household.power_w, ahead)
        elif supply is Supply.ISLAND:
            self._stand_alone(dt_s, others + self.household.power_w)
        else:
            self.household.shed(self.household.power_w)
            for battery in self.batteries.values():
                battery.rest(dt_s, outdoor_c)
        for roof in self.roofs.values():
            roof.book(dt_s)
        self.household.book(dt_s)
        self._sum(alone=supply is not Supply.GRID)
        if self.grid_w > 0.0:
            self.import_wh += self.grid_w * dt_s / 3600.0
        else:
            self.export_wh -= self.grid_w * dt_s / 3600.0

    def _flows_var(self) -> Phases:
        """What the roofs draw as reactive power through the feeder; everything else draws none."""
        one, two, three = NONE
        for roof in self.roofs.values():
            if roof.support is not None:
                a, b, c = spread(roof.reactive_var, roof.spec.phases, roof.spec.phase)
                one, two, three = one + a, two + b, three + c
        return one, two, three

    def _ahead(self, dt_s: float) -> tuple[Battery, ...]:
        """The batteries that are told a power and count under their inverter's limit, which knows at any instant what
        they do: they have done so before a long step of the roof begins."""
        limited = [roof.beside for roof in self.roofs.values() if roof.limit_w is not None]
        told = tuple([bat for bat in limited if bat is not None and bat.band.fixed and bat.grid_charge])
        for battery in told:
            battery.step(dt_s, 0.0, self.outdoor_c)
        return told

    def _follow(self, dt_s: float, others_w: float, ahead: Collection[Battery]) -> None:
        """The batteries on the grid.

        Interpretation: those that are told a power come first; those that follow their meter serve one after the
        other in the file's order, each seeing what the ones before it do, as a maker's cluster does.
        """
        for roof in self.roofs.values():
            others_w += roof.power_w
        for battery in ahead:
            others_w += battery.power_w
        rooms = {bat.spec.id: max(0.0, rating_w + roof.power_w) for roof, bat, rating_w in self._shared}
        for fixed in (True, False):
            for name, battery in self.batteries.items():
                if battery not in ahead and battery.band.fixed is fixed:
                    battery.step(dt_s, others_w, self.outdoor_c, rooms.get(name))
                    others_w += battery.power_w

    def _stand_alone(self, dt_s: float, others_w: float) -> None:
        """The batteries in an island: the forming ones balance; the others do what they are told, or nothing."""
        roofs = list(self.roofs.values())
        for battery in self.batteries.values():
            if not battery.forming:
                seen_w = 0.0 if battery.band is FREE else others_w + sum(roof.power_w for roof in roofs)
                battery.step(dt_s, seen_w, self.outdoor_c)
                others_w += battery.power_w
        missing_w = self.island.balance(dt_s, others_w, roofs, self.outdoor_c)
        if missing_w > 0.0:
            self.household.shed(missing_w)

    def _sum(self, alone: bool = False) -> None:
        if alone:
            self.grid_w, self.grid_phases_w = 0.0, NONE
            return
        total = self.household.power_w
        one, two, three = self.household.phases_w
        for plant in self._plants:
            power = plant.power_w
            if power:
                total += power
                phases = plant.phases if isinstance(plant, ChargingPoint) else plant.spec.phases
                a, b, c = spread(power, phases, plant.spec.phase)
                one, two, three = one + a, two + b, three + c
        self.grid_w = total
        self.grid_phases_w = (one, two, three)

    def truth(self, devices: Mapping[str, DeviceTruth] | None = None) -> Truth:
        """Everything that is the case now; the devices' part is for whoever has them."""
        roofs = {name: roof.truth() for name, roof in self.roofs.items()}
        batteries = {name: battery.truth() for name, battery in self.batteries.items()}
        points = {name: point.truth() for name, point in self.charging_points.items()}
        pumps = {name: pump.truth() for name, pump in self.heat_pumps.items()}
        relays = {name: load.truth() for name, load in self.relay_loads.items()}
        return Truth(
            now=self.now,
            elapsed_s=self.elapsed_s,
            supply=self.supply,
            grid_present=self.grid.present,
            voltages_v=self.voltages_v,
            frequency_hz=self.frequency_hz,
            outdoor_c=self.outdoor_c,
            grid_w=self.grid_w,
            grid_phases_w=self.grid_phases_w,
            grid_currents_a=currents(self.grid_phases_w, self.grid.voltages_v),
            load_w=self.household.power_w,
            load_phases_w=self.household.phases_w,
            pv_w=sum(one.power_w for one in roofs.values()),
            battery_w=sum(one.power_w for one in batteries.values()),
            ev_w=sum(one.power_w for one in points.values()),
            heat_pump_w=sum(one.power_w for one in pumps.values()),
            relay_w=sum(one.power_w for one in relays.values()),
            import_wh=self.import_wh,
            export_wh=self.export_wh,
            load_wh=self.household.energy_wh,
            unserved_wh=self.household.unserved_wh,
            pv_wh=sum(one.energy_wh for one in roofs.values()),
            pv_curtailed_wh=sum(one.curtailed_wh for one in roofs.values()),
            charged_wh=sum(one.charged_wh for one in batteries.values()),
            discharged_wh=sum(one.discharged_wh for one in batteries.values()),
            ev_wh=sum(one.energy_wh for one in points.values()),
            heat_pump_wh=sum(one.energy_wh for one in pumps.values()),
            relay_wh=sum(one.energy_wh for one in relays.values()),
            pv=roofs,
            battery=batteries,
            ev=points,
            heat_pump=pumps,
            relay_load=relays,
            devices=devices or {},
        )

    def save(self) -> Saved:
        """What a later `restore` needs."""
        plants = {name: {key: float(getattr(p, key)) for key in _KEPT[type(p)]} for name, p in self.plants()}
        for name, point in self.charging_points.items():
            plants[name]["plugged"] = float(point.plugged)
        load = self.household
        return Saved(self.now, self.import_wh, self.export_wh, load.energy_wh, load.unserved_wh, plants)

    def restore(self, saved: Saved) -> None:
        """Takes over energies and counters; powers start anew and controls are gone, as after a power cut."""
        self.import_wh, self.export_wh = saved.import_wh, saved.export_wh
        self.household.energy_wh, self.household.unserved_wh = saved.load_wh, saved.unserved_wh
        for name, plant in self.plants():
            kept = saved.plants.get(name, {})
            for key in _KEPT[type(plant)]:
                if key in kept:
                    setattr(plant, key, type(getattr(plant, key))(kept[key]))
            if isinstance(plant, ChargingPoint) and "plugged" in kept:
                plant.state = "B" if kept["plugged"] else "A"
            if isinstance(plant, Battery | ChargingPoint):
                plant.soc_wh = min(plant.soc_wh, plant.spec.capacity_wh)


def currents(phases_w: Phases, volts: Phases) -> Phases:
    """Magnitudes in A; 0 where there is no voltage."""
    one, two, three = [abs(w) / v if v > 0.0 else 0.0 for w, v in zip(phases_w, volts, strict=True)]
    return one, two, three
