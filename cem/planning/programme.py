"""The linear programme of a planning problem: its columns, its rows, and where everything is in them.

Power at the connection point: import - export = load - pv + charge - discharge + cars + curtailed.
Limits and goals are soft at prices far above money, limits above goals, so that nothing is ever infeasible.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.planning.lp import Array, Blocks, Index
from cem.planning.problem import BatteryPart, CarPart, Problem

GOAL_PRICE: Final = 100.0  # times the largest price, per kWh missed
LIMIT_PRICE: Final = 1000.0  # times the largest price, per kWh beyond a limit
LATE_PRICE: Final = GOAL_PRICE / 48.0  # times the largest price, per kWh and hour after a deadline
RESERVE_PRICE: Final = GOAL_PRICE / 24.0  # times the largest price, per kWh and hour below the reserve
PREFERENCE: Final = 1e-3  # times the largest price, over the whole horizon: of two equal choices the earlier
NOISE_KW: Final = 1e-4


@dataclass(frozen=True, slots=True)
class BatteryColumns:
    """Where a battery's values are; `short` is empty unless it is below its reserve now."""

    charge: Index
    discharge: Index
    soc: Index
    short: Index
    soc_rows: Index


@dataclass(frozen=True, slots=True)
class CarColumns:
    """Where a car's values are: power per slot, kWh missed at the deadline, kWh not charged at the end."""

    power: Index
    missed: Index
    unfinished: Index
    total_row: Index
    due_row: Index


@dataclass(frozen=True, slots=True)
class Ways:
    """Steps that need a direction: where `way` is 1 only `into` may flow, where it is 0 only `out`."""

    way: Index
    into: Index
    out: Index

    def both(self, values: Array) -> NDArray[np.bool_]:
        """Where a solution goes both ways at once."""
        return np.minimum(values[self.into], values[self.out]) > NOISE_KW


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is in the programme."""

    imported: Index
    exported: Index
    import_over: Index
    export_over: Index
    curtailed: Index
    batteries: tuple[BatteryColumns, ...]
    cars: tuple[CarColumns, ...]
    ways: tuple[Ways, ...]


def build(problem: Problem, blocks: Blocks) -> Layout:
    """Fills the columns and rows of the problem into `blocks` (kW and kWh); where each quantity stands."""
    n, hours, scale = problem.slots, problem.hours, problem.price_scale
    most_import, most_export = _most(problem)
    limited_in, limited_out = np.isfinite(problem.import_limit_kw), np.isfinite(problem.export_limit_kw)
    buy, sell = problem.import_price * hours, -problem.export_price * hours
    breach = LIMIT_PRICE * scale * hours
    imported = blocks.add_columns(n, 0.0, np.minimum(problem.import_limit_kw, most_import), buy)
    exported = blocks.add_columns(n, 0.0, np.minimum(problem.export_limit_kw, most_export), sell)
    import_over = blocks.add_columns(n, 0.0, np.where(limited_in, most_import, 0.0), buy + breach)
    export_over = blocks.add_columns(n, 0.0, np.where(limited_out, most_export, 0.0), sell + breach)
    curtailed = blocks.add_columns(n, 0.0, problem.pv_kw if problem.curtailable else 0.0, 0.0)
    ends_h = np.cumsum(hours)
    later = PREFERENCE * scale * (ends_h - hours) / ends_h[-1] * hours
    batteries = tuple(_add_battery(problem, blocks, battery, later) for battery in problem.batteries)
    cars = tuple(_add_car(problem, blocks, car, later) for car in problem.cars)
    net = problem.load_kw - problem.pv_kw
    terms: list[tuple[Index, float]] = [
        (imported, 1.0),
        (import_over, 1.0),
        (exported, -1.0),
        (export_over, -1.0),
        (curtailed, -1.0),
    ]
    for battery in batteries:
        terms += [(battery.charge, -1.0), (battery.discharge, 1.0)]
    terms += [(car.power, -1.0) for car in cars]
    blocks.add_rows(net, net, *terms)
    _add_sources(problem, blocks, (imported, import_over), batteries, cars)
    ways = _add_directions(problem, blocks, (imported, exported), batteries)
    return Layout(imported, exported, import_over, export_over, curtailed, batteries, cars, ways)


def _most(problem: Problem) -> tuple[Array, Array]:
    """What can be imported and exported at all, kW per slot."""
    charge = sum(b.max_charge_kw for b in problem.batteries) + sum(c.max_kw for c in problem.cars)
    discharge = np.sum([_most_discharge(problem, b) for b in problem.batteries], axis=0)
    return problem.load_kw + charge + 1.0, problem.surplus_kw + discharge


def _most_discharge(problem: Problem, battery: BatteryPart) -> Array:
    """Not into the grid where feeding in earns nothing and buying is paid: that only burns energy."""
    wasteful = (problem.import_price < 0) & (problem.export_price <= 0)
    deficit = np.maximum(problem.load_kw - problem.pv_kw, 0.0)
    return np.where(wasteful, np.minimum(deficit, battery.max_discharge_kw), battery.max_discharge_kw)


def _add_battery(problem: Problem, blocks: Blocks, battery: BatteryPart, later: Array) -> BatteryColumns:
    n, hours = problem.slots, problem.hours
    below = battery.soc_kwh < battery.floor_kwh
    charge = blocks.add_columns(n, 0.0, battery.max_charge_kw, later)
    discharge = blocks.add_columns(n, 0.0, _most_discharge(problem, battery), later + battery.wear * hours)
    lowest = min(battery.floor_kwh, battery.soc_kwh)
    end = np.zeros(n)
    end[-1] = -battery.end_value
    soc = blocks.add_columns(n, lowest, battery.capacity_kwh, end)
    before = np.zeros(n)
    before[0] = battery.soc_kwh
    soc_rows = blocks.add_rows(
        before,
        before,
        (soc, 1.0),
        (charge, -battery.charge_efficiency * hours),
        (discharge, hours / battery.discharge_efficiency),
    )
    blocks.add_entries(soc_rows[1:], soc[:-1], -1.0)
    short = np.arange(0)
    if below:
        price = RESERVE_PRICE * problem.price_scale * hours
        short = blocks.add_columns(n, 0.0, battery.floor_kwh, price)
        blocks.add_rows(battery.floor_kwh, np.inf, (soc, 1.0), (short, 1.0))
    return BatteryColumns(charge, discharge, soc, short, soc_rows)


def _add_car(problem: Problem, blocks: Blocks, car: CarPart, later: Array) -> CarColumns:
    hours, scale = problem.hours, problem.price_scale
    goal = GOAL_PRICE * scale
    late = LATE_PRICE * scale * car.hours_late * hours
    power = blocks.add_columns(problem.slots, 0.0, car.max_kw, later + late)
    missed = blocks.add_columns(1, 0.0, car.by_due_kwh, goal)
    asked_for = car.by_due_kwh >= car.energy_kwh
    unfinished = blocks.add_columns(1, 0.0, car.energy_kwh, goal / 2 if asked_for else car.end_value)
    total = blocks.add_sum(car.energy_kwh, car.energy_kwh, (power, hours), (unfinished, 1.0))
    due = blocks.add_sum(car.by_due_kwh, np.inf, (power, hours * car.before_due), (missed, 1.0))
    return CarColumns(power, missed, unfinished, total, due)


def _add_sources(
    problem: Problem,
    blocks: Blocks,
    imports: tuple[Index, Index],
    batteries: tuple[BatteryColumns, ...],
    cars: tuple[CarColumns, ...],
) -> None:
    """All charging comes from the grid or the sun: no battery fills another one or a car."""
    surplus = problem.surplus_kw
    takers = [b.charge for b in batteries] + [c.power for c in cars]
    if cars or len(batteries) > 1:
        blocks.add_rows(-np.inf, surplus, *((taker, 1.0) for taker in takers), *((source, -1.0) for source in imports))
    sun_only = [
        columns.charge for columns, part in zip(batteries, problem.batteries, strict=True) if not part.grid_charge
    ]
    if sun_only:
        blocks.add_rows(-np.inf, surplus, *((taker, 1.0) for taker in sun_only))


def _add_directions(
    problem: Problem,
    blocks: Blocks,
    grid: tuple[Index, Index],
    batteries: tuple[BatteryColumns, ...],
) -> tuple[Ways, ...]:
    """A direction per step where both ways at once could pay: through the meter, or burnt in a battery."""
    most_import, most_export = (
        np.minimum(most, limit)
        for most, limit in zip(_most(problem), (problem.import_limit_kw, problem.export_limit_kw), strict=True)
    )
    found = []
    crossed = np.flatnonzero((problem.export_price > problem.import_price) & (most_export > 0.0))
    if crossed.size:
        into, out = (column[crossed] for column in grid)
        found.append(_add_ways(blocks, into, out, most_import[crossed], most_export[crossed]))
    burning = bool((problem.import_price < 0).any())
    if not problem.curtailable:
        burning |= bool(((problem.export_price < 0) | (problem.surplus_kw > problem.export_limit_kw)).any())
    for battery, part in zip(batteries, problem.batteries, strict=True) if burning else ():
        most_out = _most_discharge(problem, part)
        able = np.flatnonzero(most_out > 0.0)
        most_in = np.full(len(able), part.max_charge_kw)
        found.append(_add_ways(blocks, battery.charge[able], battery.discharge[able], most_in, most_out[able]))
    return tuple(found)


def _add_ways(blocks: Blocks, into: Index, out: Index, most_in: Array, most_out: Array) -> Ways:
    way = blocks.add_columns(len(into), 0.0, 1.0, 0.0)
    blocks.add_rows(-np.inf, 0.0, (into, 1.0), (way, -most_in))
    blocks.add_rows(-np.inf, most_out, (out, 1.0), (way, most_out))
    return Ways(way, into, out)
