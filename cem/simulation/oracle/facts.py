"""The only place that knows what the plant's truth looks like: per resource of the site, what is really the case."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cem.config.sitefile import SiteFile
from cem.model.resource import Resource, Role
from cem.simulation.plant import SimulatedHome, Truth, Wire


@dataclass(frozen=True, slots=True)
class BatteryFact:
    """A battery, charging positive. `held_w` is what it was told and keeps to; None: it steers itself."""

    resource: Resource
    power_w: float
    soc_pct: float
    held_w: float | None
    obeys: bool  # it can be reached and does what it is told


@dataclass(frozen=True, slots=True)
class ChargerFact:
    """A charging point; `state` is IEC 61851-1's letter, `offered_a` what the pilot says to the car."""

    resource: Resource
    power_w: float
    state: str
    offered_a: float
    current_a: float
    phases: int
    obeys: bool


@dataclass(frozen=True, slots=True)
class RoofFact:
    """A PV system, generating negative; `limit_w` is the bound that its inverter keeps to, a magnitude."""

    resource: Resource
    power_w: float
    available_w: float
    limit_w: float | None
    obeys: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What is the case at one step of the plant. Powers in W, into the terminal positive."""

    at_s: float  # since the plant's start, on no clock of the gateway
    grid_w: float
    phases_w: tuple[float, ...]
    load_w: float
    voltage_v: float
    frequency_hz: float
    batteries: tuple[BatteryFact, ...]
    chargers: tuple[ChargerFact, ...]
    roofs: tuple[RoofFact, ...]
    unwell: frozenset[str]  # devices with which something is wrong, by the site file's id
    meter: str  # "ok", "silent": gives nothing, or "lies": gives what is not so

    @property
    def movers(self) -> tuple[BatteryFact | ChargerFact, ...]:
        """What can be made to take more or less."""
        batteries: tuple[BatteryFact | ChargerFact, ...] = self.batteries
        return batteries + self.chargers

    @property
    def uncontrolled_w(self) -> float:
        """What nobody can do anything about now: the load, the sun, and every device that does not obey."""
        stubborn = [p.power_w for p in self.movers if not p.obeys]
        return self.load_w + sum(roof.power_w for roof in self.roofs) + sum(stubborn)

    @property
    def controlled_import_w(self) -> float:
        """What the devices that obey take now."""
        return sum(max(0.0, p.power_w) for p in self.movers if p.obeys)


SILENT = frozenset({"silent", "disconnected", "unplugged", "down", "lost"})
"""Names of what may be wrong with a device so that it gives nothing at all."""


class FactSource:
    """Turns the truth of a plant into facts by resource of a site."""

    def __init__(self, site_file: SiteFile, plant: SimulatedHome, wire: Wire) -> None:
        self._plant = plant
        self._device_of = {
            device.id: wire.device_of(device.serial) if device.serial else None for device in site_file.devices
        }
        self._resources = site_file.site.resources
        self._meters = [r.device_id for r in site_file.site.of(Role.GRID)][:1]

    def simulated(self, device_id: str) -> str | None:
        """The simulated device behind one of the site file's."""
        return self._device_of.get(device_id)

    def read(self, truth: Truth) -> Facts:
        """The facts of a step."""
        wrong = {device_id: self._wrong(device_id) for device_id in self._device_of}
        unwell = frozenset(device_id for device_id, names in wrong.items() if names)
        return Facts(
            truth.elapsed_s,
            truth.grid_w,
            tuple(truth.grid_phases_w),
            truth.load_w,
            truth.voltage_v,
            truth.frequency_hz,
            self._each(
                Role.BATTERY, lambda r: _battery(r, self._own(truth, r), self._held_w(r), r.device_id not in unwell)
            ),
            self._each(Role.EV, lambda r: _charger(r, self._own(truth, r), r.device_id not in unwell)),
            self._each(Role.PV, lambda r: _roof(r, self._own(truth, r), r.device_id not in unwell)),
            unwell,
            self._meter(wrong),
        )

    def _each(self, role: Role, make: Callable[[Resource], Any]) -> tuple[Any, ...]:
        return tuple(make(resource) for resource in self._resources if resource.role is role)

    def _own(self, truth: Truth, resource: Resource) -> Any:
        """The part of the truth that is about one resource: its own where the home has several, else the house's."""
        parts: Mapping[str, Any] = getattr(truth, "devices", {})
        simulated = self._device_of.get(resource.device_id) or ""
        return parts.get(simulated, truth)

    def _wrong(self, device_id: str) -> frozenset[str]:
        """The names of everything that is wrong with a device now."""
        simulated = self._device_of.get(device_id)
        if simulated is None:
            return frozenset()
        condition = self._plant.faults.condition(simulated, self._plant.house.elapsed_s)
        healthy = type(condition)()
        if condition == healthy:
            return frozenset()
        return frozenset(name for name in condition.__slots__ if getattr(condition, name) != getattr(healthy, name))

    def _meter(self, wrong: Mapping[str, frozenset[str]]) -> str:
        names = frozenset[str]().union(*(wrong[meter] for meter in self._meters))
        if names & SILENT:
            return "silent"
        return "lies" if names else "ok"

    def _held_w(self, resource: Resource) -> float | None:
        battery: Any = self._plant.house.battery
        if battery is None or battery.band.lower_w is None or battery.band.upper_w is None:
            return None
        return float(battery.band.upper_w if battery.band.upper_w >= 0 else battery.band.lower_w)


def _battery(resource: Resource, own: Any, held_w: float | None, obeys: bool) -> BatteryFact:
    return BatteryFact(resource, own.battery_w, own.battery_soc_pct, held_w, obeys)


def _charger(resource: Resource, own: Any, obeys: bool) -> ChargerFact:
    return ChargerFact(resource, own.ev_w, own.ev_state, own.ev_offered_a, own.ev_current_a, own.ev_phases, obeys)


def _roof(resource: Resource, own: Any, obeys: bool) -> RoofFact:
    return RoofFact(resource, own.pv_w, own.pv_available_w, own.pv_limit_w, obeys)
