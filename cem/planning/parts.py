"""What a planning problem is made of, in kW, kWh and hours: arrays with one value per slot, every number finite."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.model.values import lazy, value

Array = NDArray[np.float64]

GOAL: Final = 1.0
"""Weight of an ordinary goal."""


@value(frozen=True, slots=True, eq=False)
class Goal:
    """`level_kwh` is to be stored at an instant: `by` is the share of each slot that lies before it."""

    level_kwh: float
    by: Array
    weight: float = GOAL  # of the price of missing it

    @property
    def slots_before(self) -> int:
        """How many slots begin before the instant."""
        return int(np.count_nonzero(self.by))


@value(frozen=True, slots=True, eq=False)
class StorePart:
    """Something that holds energy and may take and give it: a battery, a car that discharges, a heat pump's store.

    Powers are those at the terminal, as magnitudes. `min_charge_kw`: charging is nothing or at least this much.
    `drain_kw` leaves the store besides, whatever is done (the heat that a house draws), `loss_per_h` is the share of
    what is stored that is lost.
    """

    id: str
    name: str
    capacity_kwh: float
    soc_kwh: float
    floor_kwh: float  # the reserve, or the lower end of a comfort band
    max_charge_kw: Array
    max_discharge_kw: Array
    charge_efficiency: Array  # stored per kWh taken; of a heat pump its coefficient of performance
    discharge_efficiency: float = 1.0
    min_charge_kw: float = 0.0
    grid_charge: bool = True
    grid_discharge: bool = True
    end_value: float = 0.0  # of a stored kWh at the end of the horizon
    wear: float = 0.0  # per kWh given
    goals: tuple[Goal, ...] = ()
    drain_kw: Array | None = None
    loss_per_h: float = 0.0


@value(frozen=True, slots=True, eq=False)
class CarPart:
    """A car that only charges: at nothing, or between `min_kw` and what `max_kw` says of each slot.

    `full_kw`: what it takes at first, where `max_kw` is a mean over all that it still wants; 0: no other than that.
    """

    id: str
    name: str
    soc_kwh: float
    capacity_kwh: float
    efficiency: float
    min_kw: float
    max_kw: Array
    goals: tuple[Goal, ...]
    end_value: float = 0.0  # of a stored kWh at the end
    full_kw: float = 0.0
    hours_late: Array | None = None  # hours from the last deadline to each slot's middle, 0 before it

    @property
    def room_kwh(self) -> float:
        """What it still takes, in stored kWh."""
        return max(self.capacity_kwh - self.soc_kwh, 0.0)


@value(frozen=True, slots=True, eq=False)
class LoadPart:
    """A run of `profile_kw`, one piece per slot, between two slots; with pauses in between where it may have them."""

    id: str
    name: str
    profile_kw: Array
    first: int  # the earliest slot of its first piece
    end: int  # the slot before which its last piece ends
    interruptible: bool = False


@value(frozen=True, slots=True, eq=False)
class Services:
    """What the grid is promised, per slot, None where nothing is; kept before money, behind goals and limits."""

    least_kw: Array | None = None  # net import at least this much, -inf where nothing is asked
    most_kw: Array | None = None
    up_kw: Array | None = None  # the batteries can give so much more than they do
    down_kw: Array | None = None  # and take so much more


@value(frozen=True, slots=False, eq=False)
class Problem:
    """n slots; limits are inf where there is none; powers and limits are magnitudes.

    `house_rules`: no battery fills another one or a car, none is emptied only to be paid for taking again, and of two
    equal choices the earlier is taken. Without them the numbers alone count.
    """

    hours: Array
    import_price: Array
    export_price: Array
    import_limit_kw: Array
    export_limit_kw: Array
    load_kw: Array
    pv_kw: Array
    curtailable: bool
    stores: tuple[StorePart, ...] = ()
    cars: tuple[CarPart, ...] = ()
    loads: tuple[LoadPart, ...] = ()
    services: Services = Services()
    peak_price: float = 0.0  # per kW of the highest mean import of a slot
    peak_kw: float = 0.0  # what the highest has been before
    house_rules: bool = True

    @property
    def slots(self) -> int:
        """How many slots there are."""
        return len(self.hours)

    @property
    def surplus_kw(self) -> Array:
        """What the sun leaves over the load, never negative."""
        return np.maximum(self.pv_kw - self.load_kw, 0.0)

    @lazy
    def net_kw(self) -> Array:
        """What is drawn where nothing is moved, and no sun kept off."""
        return self.load_kw - self.pv_kw

    @lazy
    def import_limited(self) -> bool:
        """Whether any slot has an import limit."""
        return bool(np.isfinite(self.import_limit_kw).any())

    @lazy
    def export_limited(self) -> bool:
        """Whether any slot has an export limit."""
        return bool(np.isfinite(self.export_limit_kw).any())

    @lazy
    def less_sun_helps(self) -> NDArray[np.bool_]:
        """In which slots it may be cheaper to keep sun off."""
        paid = (self.import_price < 0.0) | (self.export_price < 0.0) | np.isfinite(self.export_limit_kw)
        return paid & (self.pv_kw > 0.0) & self.curtailable

    @lazy
    def price_scale(self) -> float:
        """The largest price in the horizon, for everything that has to be far above or far below money."""
        return float(max(np.abs(self.import_price).max(), np.abs(self.export_price).max(), 0.01))

    @property
    def gross_bill(self) -> float:
        """All load bought, and what the cars and loads may take at the mean of the import prices' magnitudes."""
        price = np.abs(self.import_price)
        wanted = sum(_wanted_kwh(car) for car in self.cars)
        wanted += sum(float(load.profile_kw.sum() * self.hours.mean()) for load in self.loads)
        return float((self.load_kw * self.hours * price).sum() + wanted * price.mean())


def _wanted_kwh(car: CarPart) -> float:
    """Of a car's goals the highest, else all that it takes, at the charging point."""
    levels = [min(goal.level_kwh, car.capacity_kwh) - car.soc_kwh for goal in car.goals]
    return max([0.0, *levels] if levels else [car.room_kwh]) / car.efficiency
