"""What no policy can undercut at this home in this time: a linear programme over the whole of it that knows everything.

A bound by construction. Every way in which a house can be run is a way through this programme: powers are means of
slots in which the prices stay, however long these are, so what happens within a slot is one of its ways; batteries may
go in and out at once, their tapers, fuses, reaction times and shared inverters are left out; a store may go as low as
any of the compared policies went, and holds at each appointed time what the emptiest of those held that kept the
appointment. Where the owner lets no battery be emptied into a car, cars and batteries take no more than what is bought
and the sun leaves, or as much more as with a compared policy in that slot; and as a car takes nothing or its smallest
current, it takes what the sun leaves in no more time than it needs at that, and buys the rest. A nearly full car takes
less: no more than on the line through what it takes at last and what it takes before that. Limits hold in slots that
they cover whole, and never below what a policy took. A heat pump's store is never colder than with the coldest of the
policies, and the machine always as good as it is then, with as little lost. What is stored at the end is paid for as
with every policy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import highspy
import numpy as np
from numpy.typing import NDArray

from cem.model.errors import CemError

Array = NDArray[np.float64]
MISSED: Final = 100.0
"""Times the dearest price, per kWh that must be missed: of a limit, of an appointment."""


class NoBound(CemError):  # noqa: N818 - what happened
    """The programme has no solution."""


@dataclass(frozen=True, slots=True)
class Appointment:
    """`least_kwh` are stored at the end of a slot."""

    slot: int
    least_kwh: float


@dataclass(frozen=True, slots=True)
class SunShare:
    """Of the sun that is left in a slot, cars that run so long, each at its least, take no more than `base_kw` and
    `slope_kw` times that share of the slot; or `slack_kw` more, where a policy did. Mean kW per slot.
    """

    base_kw: Array
    slope_kw: Array
    slack_kw: Array


@dataclass(frozen=True, slots=True)
class Taper:
    """With less than `room_kwh` to take it takes less, at last `least_kw`."""

    room_kwh: float
    least_kw: float


@dataclass(frozen=True, slots=True)
class Store:
    """A battery, a car, a load with a daily need, a heat store: kWh stored; kW per slot at the terminal, magnitudes.

    `drain_kwh` leaves it in a slot whatever is done. `end_value` is per kWh stored at the end. `is_load`: a battery may
    be emptied into it. `least_kw`: it takes nothing, or at least this much. `wasted`: what
    is taken need not be stored.
    """

    id: str
    stored_kwh: float
    floor_kwh: float
    capacity_kwh: float
    max_in_kw: Array
    max_out_kw: Array
    gain: Array  # stored per kWh taken
    give: float = 1.0  # given per kWh taken out of what is stored
    drain_kwh: Array | None = None
    loss_per_h: float = 0.0
    end_value: float = 0.0
    appointments: tuple[Appointment, ...] = ()
    is_load: bool = False
    least_kw: float = 0.0
    wasted: bool = False
    taper: Taper | None = None


@dataclass(frozen=True, slots=True)
class House:
    """The whole time in slots. Prices per kWh hold for a slot; limits are magnitudes, inf where there is none."""

    hours: Array
    import_price: Array
    export_price: Array
    load_kw: Array
    sun_kw: Array
    import_limit_kw: Array
    export_limit_kw: Array
    stores: tuple[Store, ...] = ()
    given_kw: Array | None = None  # where no battery may be emptied into a car or another one: what is theirs unbought
    sun_shares: tuple[SunShare, ...] = ()  # and what they can have of the sun, running at least at their smallest
    peak_price: float = 0.0  # per kW of the highest mean import of a quarter hour, of each month
    quarter_of: NDArray[np.int64] | None = None  # number of each slot's quarter hour; None: each slot is one
    month_of: NDArray[np.int64] | None = None  # and of its month; None: all the same


@dataclass(frozen=True, slots=True)
class Bound:
    """`bill` at the meter and `settled` with what is stored at the end; powers in kW per slot, house's signs."""

    bill: float
    settled: float
    grid_kw: Array
    power_kw: dict[str, Array]
    stored_kwh: dict[str, Array]


@dataclass(frozen=True, slots=True)
class _Part:
    into: NDArray[np.int64]
    out: NDArray[np.int64]
    stored: NDArray[np.int64]


@dataclass(slots=True)
class _Programme:
    """Columns and rows as HiGHS takes them."""

    lower: list[Array] = field(default_factory=list)
    upper: list[Array] = field(default_factory=list)
    cost: list[Array] = field(default_factory=list)
    row_lower: list[Array] = field(default_factory=list)
    row_upper: list[Array] = field(default_factory=list)
    entries: list[tuple[NDArray[np.int64], NDArray[np.int64], Array]] = field(default_factory=list)
    columns: int = 0
    rows: int = 0

    def column(self, count: int, lower: float | Array, upper: float | Array, cost: float | Array) -> NDArray[np.int64]:
        for into, value in ((self.lower, lower), (self.upper, upper), (self.cost, cost)):
            into.append(np.array(np.broadcast_to(np.asarray(value, np.float64), count)))
        self.columns += count
        return np.arange(self.columns - count, self.columns)

    def row(self, lower: Array, upper: Array) -> NDArray[np.int64]:
        self.row_lower.append(lower)
        self.row_upper.append(upper)
        self.rows += len(lower)
        return np.arange(self.rows - len(lower), self.rows)

    def add(self, rows: NDArray[np.int64], columns: NDArray[np.int64], value: float | Array) -> None:
        self.entries.append((rows, columns, np.array(np.broadcast_to(np.asarray(value, np.float64), len(rows)))))

    def solved(self) -> Array:
        """The values of all columns."""
        rows, columns, values = (np.concatenate([entry[at] for entry in self.entries]) for at in range(3))
        order = np.lexsort((rows, columns))
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, self.rows
        lp.col_lower_, lp.col_upper_ = np.concatenate(self.lower), np.concatenate(self.upper)
        lp.col_cost_ = np.concatenate(self.cost)
        lp.row_lower_, lp.row_upper_ = np.concatenate(self.row_lower), np.concatenate(self.row_upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = np.searchsorted(columns[order], np.arange(self.columns + 1)).astype(np.int32)
        lp.a_matrix_.index_ = rows[order].astype(np.int32)
        lp.a_matrix_.value_ = values[order]
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        solver.setOptionValue("output_flag", False)
        solver.passModel(lp)
        solver.run()
        status = solver.getModelStatus()
        if status != highspy.HighsModelStatus.kOptimal:
            raise NoBound(f"the bound could not be found: {solver.modelStatusToString(status)}")
        return np.array(solver.getSolution().col_value)


def bound_of(house: House) -> Bound:
    """The least that this time can cost. Raises NoBound."""
    made, n, hours = _Programme(), len(house.hours), house.hours
    every = np.arange(n)
    dearest = max(float(np.abs(house.import_price).max()), float(np.abs(house.export_price).max()), 0.01)
    balance = made.row(house.load_kw - house.sun_kw, house.load_kw - house.sun_kw)
    flows = {
        sign: (
            made.column(n, 0.0, limit, sign * price * hours),
            made.column(n, 0.0, np.where(np.isfinite(limit), np.inf, 0.0), (sign * price + MISSED * dearest) * hours),
        )
        for sign, limit, price in (
            (1.0, house.import_limit_kw, house.import_price),
            (-1.0, house.export_limit_kw, house.export_price),
        )
    }
    for sign, columns in flows.items():
        for each in columns:
            made.add(balance, each, sign)
    unused = made.column(n, 0.0, house.sun_kw, 0.0)
    made.add(balance, unused, -1.0)
    parts = [_store(made, store, balance, hours, MISSED * dearest) for store in house.stores]
    _through_the_meter(made, house, flows, parts)
    _into_cars(made, house, flows[1.0], parts)
    if house.peak_price > 0.0:
        _peaks(made, house, flows[1.0])
    values = made.solved()
    imported = sum((values[each] for each in flows[1.0]), np.zeros(n))
    exported = sum((values[each] for each in flows[-1.0]), np.zeros(n))
    bill = float((hours * (house.import_price * imported - house.export_price * exported)).sum())
    bill += house.peak_price * sum(_highest(house, imported))
    stored = {store.id: values[part.stored] for store, part in zip(house.stores, parts, strict=True)}
    worth = sum(store.end_value * (float(stored[store.id][-1]) - store.stored_kwh) for store in house.stores)
    return Bound(
        bill,
        bill - worth,
        imported - exported,
        {s.id: values[p.into][every] - values[p.out] for s, p in zip(house.stores, parts, strict=True)},
        stored,
    )


def _quarters(house: House) -> tuple[NDArray[np.int64], Array, NDArray[np.int64]]:
    """Of each slot the position of its quarter hour and its share of it; of each quarter hour that of its month."""
    n = len(house.hours)
    first: NDArray[np.int64]
    _, first, at = np.unique(np.arange(n) if house.quarter_of is None else house.quarter_of, True, True)
    _, months = np.unique(np.zeros(n, np.int64) if house.month_of is None else house.month_of, return_inverse=True)
    return at, house.hours / np.bincount(at, house.hours)[at], months[first]


def _peaks(made: _Programme, house: House, bought: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
    """The highest mean import of a quarter hour in each month."""
    at, share, month = _quarters(house)
    peaks = made.column(int(month.max()) + 1, 0.0, np.inf, house.peak_price)
    rows = made.row(np.full(len(month), -np.inf), np.zeros(len(month)))
    for each in bought:
        made.add(rows[at], each, share)
    made.add(rows, peaks[month], -1.0)


def _highest(house: House, imported: Array) -> list[float]:
    """The same of a solution."""
    at, share, month = _quarters(house)
    means = np.bincount(at, share * imported)
    return [float(means[month == one].max()) for one in np.unique(month)]


def _into_cars(
    made: _Programme,
    house: House,
    bought: tuple[NDArray[np.int64], NDArray[np.int64]],
    parts: Sequence[_Part],
) -> None:
    """Where no battery may be emptied into a car: what cars and batteries take is bought, or left by the sun."""
    if house.given_kw is not None:
        rows = made.row(np.full(len(house.hours), -np.inf), house.given_kw)
        for store, part in zip(house.stores, parts, strict=True):
            if not store.is_load:
                made.add(rows, part.into, 1.0)
        for each in bought:
            made.add(rows, each, -1.0)
    for one in house.sun_shares:
        rows = made.row(np.full(len(house.hours), -np.inf), one.base_kw + one.slack_kw)
        for store, part in zip(house.stores, parts, strict=True):
            if store.least_kw > 0.0:
                made.add(rows, part.into, bought_share(one.slope_kw, store.least_kw))
        for each in bought:
            made.add(rows, each, -1.0)


def bought_share(slope_kw: Array, least_kw: float) -> Array:
    """What is bought at least, beyond a base, of each kWh of something that takes `least_kw` or more."""
    return np.clip(1.0 - slope_kw / least_kw, 0.0, 1.0)


def _store(made: _Programme, store: Store, balance: NDArray[np.int64], hours: Array, missed: float) -> _Part:
    n = len(hours)
    into = made.column(n, 0.0, store.max_in_kw, 0.0)
    out = made.column(n, 0.0, store.max_out_kw, 0.0)
    end = np.zeros(n)
    end[-1] = -store.end_value
    stored = made.column(n, -np.inf, store.capacity_kwh, end)
    below = made.column(n, 0.0, np.inf, missed)
    made.add(balance, into, -1.0)
    made.add(balance, out, 1.0)
    kept = 1.0 - store.loss_per_h * hours
    rest = np.zeros(n) if store.drain_kwh is None else -store.drain_kwh
    rest[0] += store.stored_kwh * kept[0]
    rows = made.row(np.full(n, -np.inf) if store.wasted else rest, rest)
    made.add(rows, stored, 1.0)
    made.add(rows[1:], stored[:-1], -kept[1:])
    made.add(rows, into, -store.gain * hours)
    made.add(rows, out, hours / store.give)
    floors = made.row(np.full(n, store.floor_kwh), np.full(n, np.inf))
    made.add(floors, stored, 1.0)
    made.add(floors, below, 1.0)
    if store.taper is not None:
        _tapering(made, store, store.taper, into, stored, hours)
    for one in store.appointments:
        short = made.column(1, 0.0, np.inf, missed)
        row = made.row(np.array([one.least_kwh]), np.array([np.inf]))
        made.add(row, stored[one.slot : one.slot + 1], 1.0)
        made.add(row, short, 1.0)
    return _Part(into, out, stored)


def _tapering(
    made: _Programme,
    store: Store,
    taper: Taper,
    into: NDArray[np.int64],
    stored: NDArray[np.int64],
    hours: Array,
) -> None:
    """Mean power against the room that is left: at its begin and end in the mean, since what falls in proportion takes
    at least as long as at its middle (the inverse of a line is convex); at its most where energy leaves in the slot.
    """
    n = len(hours)
    most_kw = float(store.max_in_kw.max())
    if most_kw <= taper.least_kw:
        return
    share = store.max_in_kw / most_kw  # of the slot in which it can take anything
    slope = share * (most_kw - taper.least_kw) / taper.room_kwh
    drain = np.zeros(n) if store.drain_kwh is None else store.drain_kwh
    before = np.where(drain > 0.0, 1.0, 0.5)  # the weight of the level at the slot's begin
    room = share * taper.least_kw + slope * (store.capacity_kwh + drain)
    room[0] -= slope[0] * before[0] * store.stored_kwh
    rows = made.row(np.full(n, -np.inf), room)
    made.add(rows, into, 1.0)
    made.add(rows, stored, slope * (1.0 - before))
    made.add(rows[1:], stored[:-1], (slope * before)[1:])


def _through_the_meter(
    made: _Programme,
    house: House,
    flows: dict[float, tuple[NDArray[np.int64], NDArray[np.int64]]],
    parts: Sequence[_Part],
) -> None:
    """Where feeding in pays more than buying costs: no more is bought than is used, no more fed in than is made."""
    crossed = np.flatnonzero(house.export_price > house.import_price)
    if not crossed.size:
        return
    side: tuple[float, Array, Callable[[_Part], NDArray[np.int64]]]
    for side in ((1.0, house.load_kw, lambda part: part.into), (-1.0, house.sun_kw, lambda part: part.out)):
        sign, own_kw, through = side
        rows = made.row(np.full(crossed.size, -np.inf), own_kw[crossed])
        for each in flows[sign]:
            made.add(rows, each[crossed], 1.0)
        for part in parts:
            made.add(rows, through(part)[crossed], -1.0)
