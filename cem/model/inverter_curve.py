"""The curves by which an inverter supports the grid by itself: what it holds, and what it shall hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class GridFunction(StrEnum):
    """What a curve steers (IEEE 1547-2018, clauses 5.3.3, 5.4.2, 6.5.2.7, 5.3.4, 6.4.1 and 6.5.1; most have the same
    names in EN 50549-1)."""

    VOLT_VAR = "volt-var"  # points: voltage and reactive power, %
    VOLT_WATT = "volt-watt"  # points: voltage and active power, %
    FREQUENCY_WATT = "frequency-watt"  # droop settings, no points
    WATT_VAR = "watt-var"  # points: active and reactive power, %
    LOW_VOLTAGE_TRIP = "low-voltage-trip"  # regions: voltage, % of nominal, and time, s
    HIGH_VOLTAGE_TRIP = "high-voltage-trip"
    LOW_FREQUENCY_TRIP = "low-frequency-trip"  # regions: frequency, Hz, and time, s
    HIGH_FREQUENCY_TRIP = "high-frequency-trip"


TRIPS_BELOW = frozenset({GridFunction.LOW_VOLTAGE_TRIP, GridFunction.LOW_FREQUENCY_TRIP})
PROTECTION = TRIPS_BELOW | {GridFunction.HIGH_VOLTAGE_TRIP, GridFunction.HIGH_FREQUENCY_TRIP}
"""When a device leaves the grid: settings of the grid code, which nobody changes without the grid operator."""


class TripRegion(StrEnum):
    """What a trip curve bounds, seen from normal voltage or frequency."""

    MUST_TRIP = "must_trip"  # beyond it the device leaves the grid
    MAY_TRIP = "may_trip"  # up to it the device has to stay, beyond it it may leave
    MOMENTARY_CESSATION = "momentary_cessation"  # beyond it the device stays, and gives nothing

    @property
    def words(self) -> str:
        """For people."""
        return "momentary cessation" if self is TripRegion.MOMENTARY_CESSATION else self.value.replace("_", "-")


Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve: `points` are pairs (x, y) in the units of its function, () where it has settings or regions alone.

    `settings` are further values by the name that the device's standard has for them (RspTms in s, DbOf in Hz, ...),
    `regions` the points of a trip curve; one that is left out is not written.
    """

    points: Points = ()
    settings: Mapping[str, float] = field(default_factory=dict)
    read_only: bool = False
    regions: Mapping[TripRegion, Points] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CurveSet:
    """What a device holds for one function."""

    function: GridFunction
    enabled: bool
    revert_s: int | None  # after which it goes back by itself, 0: never; None: it has no such timer
    most_points: int
    curves: tuple[Curve, ...]  # the first one is in force

    @property
    def active(self) -> Curve | None:
        """The curve in force, whether it is enabled or not."""
        return self.curves[0] if self.curves else None


@dataclass(frozen=True, slots=True)
class WantedCurve:
    """What a function shall do; `curve` None: nothing, it is switched off."""

    function: GridFunction
    curve: Curve | None
    place: int = 2  # the place among the device's curves that is written over, from which it adopts
    revert_s: int = 0
