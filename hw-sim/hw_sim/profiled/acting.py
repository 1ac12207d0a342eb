"""What a command does to a plant."""

from typing import Protocol

from hw_sim.physics.battery import FREE, Band, Battery
from hw_sim.physics.ev import MIN_CURRENT_A, ChargingPoint
from hw_sim.physics.heat_pump import FORCED, NORMAL, HeatPump
from hw_sim.physics.house import House
from hw_sim.physics.pv import Roof
from hw_sim.physics.relay_load import RelayLoad
from hw_sim.profiled.steering import Command, Fallback
from hw_sim.truth import Hold

Told = Command | Fallback | float
PHASE_SWITCH_S = 10.0


class Actor(Protocol):
    """One plant under a control."""

    plant: str
    typical: float  # what another master would want

    def take(self, told: Told, one_phase: bool) -> None:
        """Does what it is told, or what it fell back to."""

    def tick(self) -> None:
        """Before each step."""

    def hold(self, command: Command, until_s: float | None) -> Hold:
        """What it understands its command to be."""


def _value(told: Told) -> float | None:
    """The set point; None: its own control."""
    if isinstance(told, Command):
        return told.value
    return 0.0 if told is Fallback.PAUSE else None if isinstance(told, Fallback) else told


class BatteryActor:
    """A power, or its own self-consumption."""

    typical = 0.0

    def __init__(self, battery: Battery) -> None:
        self.plant: str = battery.spec.id
        self._battery = battery

    def take(self, told: Told, one_phase: bool) -> None:
        """A set point leaves nothing to follow."""
        del one_phase
        value = _value(told)
        self._battery.band = FREE if value is None else Band(value, value)

    def tick(self) -> None:
        """Nothing."""

    def hold(self, command: Command, until_s: float | None) -> Hold:
        """The power."""
        value = command.value
        return Hold(remote=False) if value is None else Hold(True, until_s, lower_w=value, upper_w=value)


class RoofActor:
    """The largest generation, or, with a battery behind the same inverter, the largest power that comes out of it.

    Interpretation: the roof gives way to what the battery discharges; the battery itself is not cut.
    """

    typical = 0.0

    def __init__(self, roof: Roof, battery: Battery | None = None) -> None:
        self.plant: str = roof.spec.id
        self._roof = roof
        roof.beside = battery

    def take(self, told: Told, one_phase: bool) -> None:
        """A magnitude; None lifts it."""
        del one_phase
        self._roof.limit_w = _value(told)

    def tick(self) -> None:
        """It has nothing of its own to go on with."""

    def hold(self, command: Command, until_s: float | None) -> Hold:
        """The lower bound of its power."""
        return Hold(remote=False) if command.value is None else Hold(True, until_s, lower_w=-command.value)


class ChargerActor:
    """A current; the number of phases changes only while none flows, and then takes its time."""

    def __init__(self, house: House, point: ChargingPoint) -> None:
        self.plant: str = point.spec.id
        self.typical = float(point.spec.max_a)
        self._house = house
        self._point = point
        self._offer_a = self.typical
        self._phases: int = point.spec.phases
        self._wanted: int = point.spec.phases
        self._switched_s = 0.0
        self._bring()

    def take(self, told: Told, one_phase: bool) -> None:
        """Below the smallest current that a pilot can signal there is none."""
        value = _value(told)
        largest = float(self._point.spec.max_a)
        self._offer_a = largest if value is None else min(value, largest) if value >= MIN_CURRENT_A else 0.0
        self._wanted = 1 if one_phase else self._point.spec.phases
        self._bring()

    def tick(self) -> None:
        """A switch of phases goes on."""
        self._bring()

    def _bring(self) -> None:
        point = self._point
        if self._wanted != self._phases and not point.contactor:
            self._phases = self._wanted
            self._switched_s = self._house.elapsed_s + PHASE_SWITCH_S
        point.offered_phases = self._phases
        ready = self._wanted == self._phases and self._house.elapsed_s + 1e-9 >= self._switched_s
        point.offered_a = self._offer_a if ready else 0.0

    def hold(self, command: Command, until_s: float | None) -> Hold:
        """The current offered."""
        value = command.value
        if value is None:
            return Hold(remote=False, offered_a=float(self._point.spec.max_a))
        return Hold(True, until_s, offered_a=value if value >= MIN_CURRENT_A else 0.0)


class HeatPumpActor:
    """An SG-Ready state."""

    typical = float(FORCED)

    def __init__(self, pump: HeatPump) -> None:
        self.plant: str = pump.spec.id
        self._pump = pump

    def take(self, told: Told, one_phase: bool) -> None:
        """1 to 4; anything else is normal operation."""
        del one_phase
        value = _value(told)
        self._pump.sg_state = NORMAL if value is None or round(value) not in (1, 2, 3, 4) else round(value)

    def tick(self) -> None:
        """Nothing."""

    def hold(self, command: Command, until_s: float | None) -> Hold:
        """The state."""
        if command.value is None:
            return Hold(remote=False, state=NORMAL)
        return Hold(True, until_s, state=round(command.value))


class RelayActor:
    """On or off."""

    typical = 1.0

    def __init__(self, load: RelayLoad) -> None:
        self.plant: str = load.spec.id
        self._load = load
        self._own = load.spec.on_at_start

    def take(self, told: Told, one_phase: bool) -> None:
        """A half and more is on."""
        del one_phase
        value = _value(told)
        self._load.on = self._own if value is None else value >= 0.5

    def tick(self) -> None:
        """Nothing."""

    def hold(self, command: Command, until_s: float | None) -> Hold:
        """The position."""
        if command.value is None:
            return Hold(remote=False, state=int(self._own))
        return Hold(True, until_s, state=int(command.value >= 0.5))


def actor_of(house: House, role: str, plant: str, battery: str | None = None) -> Actor:
    """The plant of a role under control; `battery` shares the limit of a roof."""
    if role == "battery":
        return BatteryActor(house.batteries[plant])
    if role == "pv":
        return RoofActor(house.roofs[plant], None if battery is None else house.batteries[battery])
    if role == "ev":
        return ChargerActor(house, house.charging_points[plant])
    if role == "heat_pump":
        return HeatPumpActor(house.heat_pumps[plant])
    return RelayActor(house.relay_loads[plant])
