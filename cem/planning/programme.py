"""The linear programme of a planning problem: its columns, its rows, and where everything is in them.

Power at the connection point: import - export = load - pv + charge - discharge + cars + loads + curtailed.
Limits and goals are soft at prices far above money, limits above goals, so that nothing is ever infeasible. What is
on or off is relaxed here; `Switch` says what may not stay between.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.model.values import value
from cem.planning.lp import Blocks, Index, Status
from cem.planning.parts import Array, CarPart, Goal, LoadPart, Problem, StorePart

GOAL_PRICE: Final = 100.0  # times the largest price, per kWh missed
LIMIT_PRICE: Final = 10000.0  # times the largest price, per kWh beyond a limit
SERVICE_PRICE: Final = 30.0  # times the largest price, per kWh of a service not kept
LATE_PRICE: Final = GOAL_PRICE / 48.0  # times the largest price, per kWh and hour after a deadline
RESERVE_PRICE: Final = GOAL_PRICE / 24.0  # times the largest price, per kWh and hour outside a store's band
PREFERENCE: Final = 1e-3  # times the largest price, over the whole horizon: of two equal choices the earlier
WAITING: Final = 2.0  # times as much: of two equal times to buy for a battery the later, when more is known
NOISE_KW: Final = 1e-4


@value(frozen=True, slots=True, eq=False)
class Group:
    """Columns of some slots: `columns[i]` belongs to `slots[i]`."""

    slots: Index
    columns: Index

    def over(self, values: Array, count: int) -> Array:
        """One value per slot, 0 where there is no column."""
        full = np.zeros(count)
        full[self.slots] = values[self.columns]
        return full


@value(frozen=True, slots=True, eq=False)
class Soft:
    """A column of what is missed, and the price of a unit of it."""

    columns: Index
    price: Array


@value(frozen=True, slots=True, eq=False)
class StoreColumns:
    """Where a store's values are."""

    charge: Group
    discharge: Group
    soc: Index
    soc_rows: Index
    goals: tuple[Soft, ...]
    outside: tuple[Soft, ...]  # below its floor, above its capacity, for whole hours


@value(frozen=True, slots=True, eq=False)
class CarColumns:
    """Where a car's values are: kW per slot, stored kWh missed at each goal; the rows whose duals are its value."""

    power: Group
    goals: tuple[Soft, ...]
    rows: Index


@value(frozen=True, slots=True, eq=False)
class Choice:
    """`count` of the columns are 1: of column k, `power_kw` runs from slot `first + k` on."""

    name: str
    columns: Index
    first: int
    power_kw: Array
    count: int = 1

    def slots(self, piece: int) -> Index:
        """The slot of one piece for each column."""
        return self.first + piece + np.arange(len(self.columns))


@value(frozen=True, slots=True, eq=False)
class LoadColumns:
    """One choice of a start, or one of each piece; `missed` is 1 where the load does not run."""

    choices: tuple[Choice, ...]
    missed: Index

    def power_kw(self, values: Array, count: int) -> Array:
        """kW per slot."""
        power = np.zeros(count)
        for choice in self.choices:
            for piece, kw in enumerate(choice.power_kw):
                power[choice.slots(piece)] += kw * values[choice.columns]
        return power


@value(frozen=True, slots=True, eq=False)
class Ways:
    """Pairs of flows of which only one may be, the slot of each pair, and the most of either."""

    name: str
    slots: Index
    into: Index
    out: Index
    most_in: Array
    most_out: Array

    def both(self, values: Array) -> NDArray[np.bool_]:
        """Where a solution goes both ways at once."""
        return np.minimum(values[self.into], values[self.out]) > NOISE_KW

    def beyond(self, values: Array) -> NDArray[np.bool_]:
        """Where a solution goes both ways by more than a mixture of the two could."""
        return self.both(values) & (values[self.into] / self.most_in + values[self.out] / self.most_out > 1.0 + 1e-6)

    def add_hull(self, add_rows: Callable[..., object], where: NDArray[np.bool_]) -> None:
        """Either flow at its most, or a mixture of the two: the narrowest that a linear programme knows of it."""
        add_rows(
            -np.inf, 1.0, (self.into[where], 1.0 / self.most_in[where]), (self.out[where], 1.0 / self.most_out[where])
        )


@value(frozen=True, slots=True, eq=False)
class Steady:
    """Columns that are 0, or at least `least`, and their slots."""

    name: str
    slots: Index
    columns: Index
    least: float


@value(frozen=True, slots=True, eq=False)
class Layout:
    """Where everything is in the programme."""

    imported: Group
    exported: Group
    import_over: Group
    export_over: Group
    curtailed: Group
    stores: tuple[StoreColumns, ...]
    cars: tuple[CarColumns, ...]
    loads: tuple[LoadColumns, ...]
    services: tuple[tuple[str, Soft], ...]
    peak: Index
    ways: tuple[Ways, ...]
    crossed: Ways  # those of them at the connection point, in slots in which feeding in pays more than buying costs
    steady: tuple[Steady, ...]
    balance: Index
    haste: Array  # by how much a kW bought seems dearer in each slot than it is

    @property
    def soft(self) -> tuple[Soft, ...]:
        """Everything that is paid for with more than money, beside the limits."""
        parts = [*(s.goals + s.outside for s in self.stores), *(c.goals for c in self.cars)]
        return (*(soft for part in parts for soft in part), *(soft for _, soft in self.services))


class _Builder:
    """Fills one problem into blocks; the terms of the balance are collected on the way."""

    def __init__(self, problem: Problem, blocks: Blocks) -> None:
        self.problem, self.blocks = problem, blocks
        self.scale = problem.price_scale
        self.every = np.arange(problem.slots)
        ends_h = np.cumsum(problem.hours)
        begins = (ends_h - problem.hours) / ends_h[-1]
        self.later = (PREFERENCE if problem.house_rules else 0.0) * self.scale * begins * problem.hours
        self.waiting = WAITING * self.later
        self.haste = WAITING * ((PREFERENCE if problem.house_rules else 0.0) * self.scale * problem.hours - self.later)
        self.balance = blocks.reserve_rows(problem.load_kw - problem.pv_kw, problem.load_kw - problem.pv_kw)
        self.most_import, self.most_export = _most(problem)

    def group(self, where: NDArray[np.bool_], upper: Array, cost: Array, sign: float) -> Group:
        """Columns between 0 and `upper` in the slots of `where`, with `sign` in the balance."""
        slots = np.flatnonzero(where)
        columns = self.blocks.add_columns(len(slots), 0.0, upper[slots], cost[slots])
        if sign:
            self.blocks.add_entries(self.balance[slots], columns, sign)
        return Group(slots, columns)

    def soft(self, count: int, most: float, price: Array | float) -> Soft:
        """Columns of what may be missed."""
        prices = np.array(np.broadcast_to(np.asarray(price, np.float64), count))
        return Soft(self.blocks.add_columns(count, 0.0, most, prices), prices)


def build(problem: Problem, blocks: Blocks) -> Layout:
    """Fills the columns and rows of the problem into `blocks` (kW and kWh); where each quantity stands."""
    make = _Builder(problem, blocks)
    hours = problem.hours
    buy, sell = problem.import_price * hours, -problem.export_price * hours
    breach = LIMIT_PRICE * make.scale * hours
    every = np.ones(problem.slots, bool)
    exporting = make.most_export > 0.0
    tight_in = problem.import_limit_kw < make.most_import
    tight_out = (problem.export_limit_kw < make.most_export) & exporting
    seems = buy + make.haste
    imported = make.group(every, np.minimum(problem.import_limit_kw, make.most_import), seems, 1.0)
    exported = make.group(exporting, np.minimum(problem.export_limit_kw, make.most_export), sell, -1.0)
    import_over = make.group(tight_in, make.most_import, seems + breach, 1.0)
    export_over = make.group(tight_out, make.most_export, sell + breach, -1.0)
    sunny = (problem.pv_kw > 0.0) & problem.curtailable
    curtailed = make.group(sunny, problem.pv_kw, np.zeros(problem.slots), -1.0)
    stores = tuple(_add_store(make, part) for part in problem.stores)
    cars = tuple(_add_car(make, part) for part in problem.cars)
    loads = tuple(_add_load(make, part) for part in problem.loads)
    _add_sources(make, (imported, import_over), stores, cars, loads)
    peak = _add_peak(make, (imported, import_over))
    services = _add_services(make, (imported, import_over), (exported, export_over), stores)
    crossed = _grid_ways(make, imported, exported, stores, cars, loads)
    ways = (*([crossed] if crossed.into.size else []), *_store_ways(make, stores, exported, curtailed))
    steady = tuple(
        Steady(name, group.slots, group.columns, least)
        for name, group, least in (
            *((part.id, c.power, part.min_kw) for c, part in zip(cars, problem.cars, strict=True)),
            *((part.id, s.charge, part.min_charge_kw) for s, part in zip(stores, problem.stores, strict=True)),
        )
        if least > NOISE_KW and group.columns.size
    )
    return Layout(
        imported,
        exported,
        import_over,
        export_over,
        curtailed,
        stores,
        cars,
        loads,
        services,
        peak,
        ways,
        crossed,
        steady,
        make.balance,
        make.haste,
    )


def first_basis(problem: Problem, blocks: Blocks, layout: Layout) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Where the simplex starts: nothing is stored or charged, and the meter takes what the load and the sun leave.

    Status per column and per row, as `lp.Status` counts.
    """
    lower, upper = blocks.bounds
    columns = np.where(np.isfinite(lower), Status.LOWER, Status.UPPER).astype(np.int8)
    rows = np.full(blocks.rows, Status.BASIC, dtype=np.int8)
    rows[layout.balance] = Status.LOWER
    net = problem.load_kw - problem.pv_kw
    given = np.zeros(problem.slots, bool)
    given[layout.exported.slots] = net[layout.exported.slots] < 0.0
    for main, beyond, flow, mine in (
        (layout.imported, layout.import_over, net, ~given),
        (layout.exported, layout.export_over, -net, given),
    ):
        ours = mine[main.slots]
        columns[main.columns[ours]] = Status.BASIC
        place = np.full(problem.slots, -1)
        place[main.slots] = main.columns
        there = mine[beyond.slots] & (flow[beyond.slots] > upper[place[beyond.slots]])
        columns[place[beyond.slots[there]]] = Status.UPPER
        columns[beyond.columns[there]] = Status.BASIC
    for store in layout.stores:
        columns[store.soc] = Status.BASIC
        rows[store.soc_rows] = Status.LOWER
    return columns, rows


def _most(problem: Problem) -> tuple[Array, Array]:
    """What can be imported and exported at all, kW per slot."""
    most_in = problem.load_kw
    for part in problem.stores:
        most_in = most_in + part.max_charge_kw
    for car in problem.cars:
        most_in = most_in + car.max_kw
    for load in problem.loads:
        most_in = most_in + float(load.profile_kw.max(initial=0.0))
    most_out = problem.surplus_kw + sum(
        (most_discharge(problem, part) for part in problem.stores), np.zeros(problem.slots)
    )
    return most_in, most_out


def most_discharge(problem: Problem, part: StorePart) -> Array:
    """By the house's rules not into the grid where feeding in earns nothing and buying is paid: that burns energy."""
    if not problem.house_rules:
        return part.max_discharge_kw
    wasteful = (problem.import_price < 0) & (problem.export_price <= 0)
    deficit = np.maximum(problem.load_kw - problem.pv_kw, 0.0)
    return np.where(wasteful, np.minimum(deficit, part.max_discharge_kw), part.max_discharge_kw)


def _add_store(make: _Builder, part: StorePart) -> StoreColumns:
    blocks, hours = make.blocks, make.problem.hours
    most_out = most_discharge(make.problem, part)
    waits = part.max_discharge_kw.any()  # what heat is made of is not bought later for being unsure
    cost_in = make.later if waits else make.later + make.waiting
    charge = make.group(part.max_charge_kw > 0.0, part.max_charge_kw, cost_in, -1.0)
    discharge = make.group(most_out > 0.0, most_out, make.later + part.wear * hours, 1.0)
    drain = np.zeros(make.problem.slots) if part.drain_kw is None else part.drain_kw
    leaky = bool(drain.any()) or part.loss_per_h > 0.0
    end = np.zeros(make.problem.slots)
    end[-1] = -part.end_value
    lowest = -np.inf if leaky else min(part.floor_kwh, part.soc_kwh)
    highest = np.inf if leaky else max(part.capacity_kwh, part.soc_kwh)
    soc = blocks.add_columns(make.problem.slots, lowest, highest, end)
    kept = 1.0 - part.loss_per_h * hours
    before = -drain * hours
    before[0] += part.soc_kwh * kept[0]
    rows = blocks.add_rows(before, before, (soc, 1.0))
    blocks.add_entries(rows[1:], soc[:-1], -kept[1:])
    gain = part.charge_efficiency * hours
    blocks.add_entries(rows[charge.slots], charge.columns, -gain[charge.slots])
    blocks.add_entries(rows[discharge.slots], discharge.columns, (hours / part.discharge_efficiency)[discharge.slots])
    outside = []
    price = RESERVE_PRICE * make.scale * hours
    if leaky or part.soc_kwh < part.floor_kwh:
        short = make.soft(make.problem.slots, np.inf, price)
        blocks.add_rows(part.floor_kwh, np.inf, (soc, 1.0), (short.columns, 1.0))
        outside.append(short)
    if leaky or part.soc_kwh > part.capacity_kwh:
        over = make.soft(make.problem.slots, np.inf, price)
        blocks.add_rows(-np.inf, part.capacity_kwh, (soc, 1.0), (over.columns, -1.0))
        outside.append(over)
    goals = tuple(_add_store_goal(make, part, soc, goal) for goal in part.goals if goal.by.any())
    return StoreColumns(charge, discharge, soc, rows, goals, tuple(outside))


def _add_store_goal(make: _Builder, part: StorePart, soc: Index, goal: Goal) -> Soft:
    """Between two slots' ends what is stored goes along a straight line."""
    missed = make.soft(1, max(goal.level_kwh, 0.0), GOAL_PRICE * make.scale * goal.weight)
    last = goal.slots_before - 1
    share = float(goal.by[last])
    level = goal.level_kwh - ((1.0 - share) * part.soc_kwh if last == 0 else 0.0)
    terms = [(soc[last : last + 1], share), (missed.columns, 1.0)]
    if last > 0 and share < 1.0:
        terms.append((soc[last - 1 : last], 1.0 - share))
    make.blocks.add_sum(level, np.inf, *terms)
    return missed


def _add_car(make: _Builder, part: CarPart) -> CarColumns:
    """No column for what is stored: it only grows, so that its end and its goals are all that counts."""
    problem, blocks = make.problem, make.blocks
    cost = make.later + make.waiting - part.end_value * part.efficiency * problem.hours
    if part.hours_late is not None:
        cost = cost + LATE_PRICE * make.scale * part.hours_late * problem.hours
    power = make.group(part.max_kw > 0.0, part.max_kw, cost, -1.0)
    gain = part.efficiency * problem.hours[power.slots]
    rows = [blocks.add_sum(-np.inf, part.room_kwh, (power.columns, gain))]
    goals = []
    for goal in part.goals:
        missed = make.soft(1, max(goal.level_kwh - part.soc_kwh, 0.0), GOAL_PRICE * make.scale * goal.weight)
        counted = (power.columns, gain * goal.by[power.slots])
        rows.append(blocks.add_sum(goal.level_kwh - part.soc_kwh, np.inf, counted, (missed.columns, 1.0)))
        goals.append(missed)
    return CarColumns(power, tuple(goals), np.concatenate(rows))


def _add_load(make: _Builder, part: LoadPart) -> LoadColumns:
    """A start where it runs in one go; the slots that run where its pieces are all alike; else a slot of each piece."""
    blocks, pieces = make.blocks, len(part.profile_kw)
    energy = float(part.profile_kw.sum()) * float(make.problem.hours.mean())
    missed = blocks.add_columns(1, 0.0, 1.0, GOAL_PRICE * make.scale * energy)
    width = part.end - part.first
    if not part.interruptible or pieces == 1:
        choices = [(part.first, part.profile_kw, width - pieces + 1, 1)]
    elif np.ptp(part.profile_kw) == 0.0:
        choices = [(part.first, part.profile_kw[:1], width, pieces)]
    else:  # each piece leaves room for those before and after it
        room = width - pieces + 1
        choices = [(part.first + j, part.profile_kw[j : j + 1], room, 1) for j in range(pieces)]
    made = []
    for at, (first, power_kw, room, count) in enumerate(choices):
        cost = sum(float(kw) * make.waiting[first + k : first + k + room] for k, kw in enumerate(power_kw))
        choice = Choice(f"{part.id}: {at}", blocks.add_columns(room, 0.0, 1.0, cost), first, power_kw, count)
        for piece, kw in enumerate(power_kw):
            blocks.add_entries(make.balance[choice.slots(piece)], choice.columns, -float(kw))
        blocks.add_sum(count, count, (choice.columns, 1.0), (missed, float(count)))
        made.append(choice)
    for before, after in pairwise(made):
        _add_order(blocks, before.columns, after.columns)
    return LoadColumns(tuple(made), missed)


def _add_order(blocks: Blocks, before: Index, after: Index) -> None:
    """The later piece, one slot on in the same place, has run no more than the one before it by then."""
    count = len(before)
    done = blocks.add_columns(count, 0.0, 1.0, 0.0)  # how much the earlier is ahead
    rows = blocks.add_rows(0.0, 0.0, (done, 1.0), (before, -1.0), (after, 1.0))
    blocks.add_entries(rows[1:], done[:-1], -1.0)


def _add_sources(
    make: _Builder,
    imports: tuple[Group, Group],
    stores: tuple[StoreColumns, ...],
    cars: tuple[CarColumns, ...],
    loads: tuple[LoadColumns, ...],
) -> None:
    """By the house's rules all charging comes from the grid or the sun: no battery fills another one or a car."""
    problem, blocks = make.problem, make.blocks
    surplus = problem.surplus_kw
    if problem.house_rules and (cars or len(stores) > 1):
        rows = blocks.reserve_rows(np.full(problem.slots, -np.inf), surplus)
        for taker in (*(s.charge for s in stores), *(c.power for c in cars)):
            blocks.add_entries(rows[taker.slots], taker.columns, 1.0)
        for source in imports:
            blocks.add_entries(rows[source.slots], source.columns, -1.0)
    sun_only = [s.charge for s, part in zip(stores, problem.stores, strict=True) if not part.grid_charge]
    if sun_only:
        rows = blocks.reserve_rows(np.full(problem.slots, -np.inf), surplus)
        for group in sun_only:
            blocks.add_entries(rows[group.slots], group.columns, 1.0)
    _add_home_only(make, stores, cars, loads)


def _add_home_only(
    make: _Builder, stores: tuple[StoreColumns, ...], cars: tuple[CarColumns, ...], loads: tuple[LoadColumns, ...]
) -> None:
    """What must not be fed in covers at most what the sun leaves uncovered; with a surplus a direction is chosen."""
    problem, blocks = make.problem, make.blocks
    kept = [s.discharge for s, part in zip(stores, problem.stores, strict=True) if not part.grid_discharge]
    deficit = problem.load_kw >= problem.pv_kw
    if not kept or not deficit.any():
        return
    rows = blocks.reserve_rows(
        np.full(problem.slots, -np.inf), np.where(deficit, problem.load_kw - problem.pv_kw, np.inf)
    )
    for group, sign in (
        *((group, 1.0) for group in kept),
        *((c.power, -1.0) for c in cars),
        *((s.charge, -1.0) for s in stores),
    ):
        there = deficit[group.slots]
        blocks.add_entries(rows[group.slots[there]], group.columns[there], sign)
    _add_runs(make, loads, rows, np.where(deficit, np.arange(problem.slots), -1))


def _add_peak(make: _Builder, imports: tuple[Group, Group]) -> Index:
    """The highest mean import, where it has a price."""
    problem, blocks = make.problem, make.blocks
    if problem.peak_price <= 0.0:
        return np.arange(0)
    peak = blocks.add_columns(1, problem.peak_kw, np.inf, problem.peak_price)
    rows = blocks.reserve_rows(np.full(problem.slots, -np.inf), np.zeros(problem.slots))
    for group in imports:
        blocks.add_entries(rows[group.slots], group.columns, 1.0)
    blocks.add_entries(rows, np.repeat(peak, problem.slots), -1.0)
    return peak


def _add_services(
    make: _Builder,
    imports: tuple[Group, Group],
    exports: tuple[Group, Group],
    stores: tuple[StoreColumns, ...],
) -> tuple[tuple[str, Soft], ...]:
    """Bands of the connection point, and power kept free for a service."""
    problem, blocks = make.problem, make.blocks
    price = SERVICE_PRICE * make.scale * problem.hours
    found: list[tuple[str, Soft]] = []
    bands = (("least", problem.services.least_kw, 1.0), ("most", problem.services.most_kw, -1.0))
    for name, band, sign in bands:
        if band is None or not np.isfinite(band).any():
            continue
        missed = make.soft(problem.slots, np.inf, price)
        rows = blocks.reserve_rows(sign * band, np.full(problem.slots, np.inf))
        for groups, way in ((imports, 1.0), (exports, -1.0)):
            for group in groups:
                blocks.add_entries(rows[group.slots], group.columns, sign * way)
        blocks.add_entries(rows, missed.columns, 1.0)
        found.append((name, missed))
    for name, kept, sign in (("up", problem.services.up_kw, 1.0), ("down", problem.services.down_kw, -1.0)):
        if kept is None or not kept.any():
            continue
        missed = make.soft(problem.slots, np.inf, price)
        limits = [part.max_discharge_kw if sign > 0 else part.max_charge_kw for part in problem.stores]
        rows = blocks.reserve_rows(kept - sum(limits, np.zeros(problem.slots)), np.full(problem.slots, np.inf))
        for columns in stores:
            blocks.add_entries(rows[columns.charge.slots], columns.charge.columns, sign)
            blocks.add_entries(rows[columns.discharge.slots], columns.discharge.columns, -sign)
        blocks.add_entries(rows, missed.columns, 1.0)
        found.append((name, missed))
    return tuple(found)


def _grid_ways(
    make: _Builder,
    imported: Group,
    exported: Group,
    stores: tuple[StoreColumns, ...],
    cars: tuple[CarColumns, ...],
    loads: tuple[LoadColumns, ...],
) -> Ways:
    """One direction through the meter in the slots in which feeding in pays more than buying costs.

    Else the relaxed optimum lives on what goes in a circle. What is bought is used by the load (only while buying) or
    by what takes; what is fed in comes from the sun (only while feeding in) or from a store.
    """
    problem = make.problem
    crossed = problem.export_price > problem.import_price
    most_in = np.minimum(make.most_import, problem.import_limit_kw)
    most_out = np.minimum(make.most_export, problem.export_limit_kw)
    ways = _one_of("meter", imported, exported, most_in, most_out, crossed)
    slots = ways.slots
    if not slots.size:
        return ways
    ways.add_hull(make.blocks.add_rows, np.ones(len(slots), bool))
    place = np.full(problem.slots, -1)
    place[slots] = np.arange(len(slots))
    sides = (
        (
            ways.into,
            ways.out,
            problem.load_kw[slots],
            ways.most_out,
            [*(s.charge for s in stores), *(c.power for c in cars)],
        ),
        (ways.out, ways.into, problem.pv_kw[slots], ways.most_in, [s.discharge for s in stores]),
    )
    for flow, other, own_kw, most_other, partners in sides:
        rows = make.blocks.add_rows(-np.inf, own_kw, (flow, 1.0), (other, own_kw / most_other))
        for group in partners:
            there = place[group.slots] >= 0
            make.blocks.add_entries(rows[place[group.slots[there]]], group.columns[there], -1.0)
        if flow is ways.into:
            _add_runs(make, loads, rows, place)
    return ways


def _add_runs(make: _Builder, loads: tuple[LoadColumns, ...], rows: Index, place: Index) -> None:
    """What the loads take, in the rows of those slots that have a place."""
    for choice in (choice for load in loads for choice in load.choices):
        for piece, kw in enumerate(choice.power_kw):
            at = place[choice.slots(piece)]
            make.blocks.add_entries(rows[at[at >= 0]], choice.columns[at >= 0], -float(kw))


def _store_ways(make: _Builder, stores: tuple[StoreColumns, ...], exported: Group, curtailed: Group) -> list[Ways]:
    """Either into a store or out of it; where it must not be fed in, either out of it or into the grid."""
    problem = make.problem
    found: list[Ways] = []
    every, surplus = np.ones(problem.slots, bool), problem.pv_kw > problem.load_kw
    limit = np.minimum(make.most_export, problem.export_limit_kw)
    for columns, part in zip(stores, problem.stores, strict=True):
        most_out = most_discharge(problem, part)
        charge, discharge, most_in = columns.charge, columns.discharge, part.max_charge_kw
        found.append(_one_of(f"{part.id}: in or out", charge, discharge, most_in, most_out, every))
        if not part.grid_discharge:
            found.append(_one_of(f"{part.id}: out or fed in", discharge, exported, most_out, limit, surplus))
        if not part.grid_charge:  # the sun kept off to be paid for taking from the grid
            paid = problem.import_price < 0
            found.append(_one_of(f"{part.id}: in or kept off", charge, curtailed, most_in, problem.pv_kw, paid))
    return [ways for ways in found if ways.into.size]


def _one_of(name: str, into: Group, out: Group, most_in: Array, most_out: Array, where: NDArray[np.bool_]) -> Ways:
    """The pairs of the slots that have both."""
    slots, at_in, at_out = np.intersect1d(into.slots, out.slots, assume_unique=True, return_indices=True)
    chosen = where[slots] & (most_in[slots] > 0.0) & (most_out[slots] > 0.0)
    slots = slots[chosen]
    return Ways(name, slots, into.columns[at_in[chosen]], out.columns[at_out[chosen]], most_in[slots], most_out[slots])
