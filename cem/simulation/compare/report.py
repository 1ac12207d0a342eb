"""All policies at one home, side by side, and how much of what could be saved at all each of them saves."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from typing import Any

import numpy as np

from cem.simulation.account import TOLERANCE, TOLERANCE_W, Sample
from cem.simulation.compare.bound import Appointment, Array, Bound, House, Store, bought_share, bound_of
from cem.simulation.compare.course import Course
from cem.simulation.compare.policies import Policy
from cem.simulation.compare.run import Run, Task, run_policy
from cem.simulation.plant import EvSpec

SLOT_MIN = (15, 5, 1)
"""Lengths of a slot of the bound, minutes: the longest in which all prices stay."""
MIN_CURRENT_A = 6.0
"""IEC 61851-1."""
KEPT_PCT = 0.05
"""A battery's least level is known so well."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What counts beside the bill, per kWh: at the charging side of a store, and of what a car was short."""

    refill: float
    dearest: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Every policy's run and the bound. `settled` is the bill with what is stored, and missing, paid for."""

    task: Task
    runs: Mapping[Policy, Run]
    settled: Mapping[Policy, float]
    house: House
    bound: Bound
    worth: Worth

    @property
    def currency(self) -> str:
        """Of all money."""
        return str(next(iter(self.runs.values())).summary["currency"])

    def foresight(self) -> list[tuple[datetime, float]]:
        """What the bound's way through the time has paid so far, at the end of each slot."""
        grid, price = self.bound.grid_kw, self.house.import_price
        paid = np.cumsum(self.house.hours * grid * np.where(grid > 0, price, self.house.export_price))
        ends = np.cumsum(self.house.hours)
        return [(self.task.start + timedelta(hours=h), p) for h, p in zip(ends.tolist(), paid.tolist(), strict=True)]

    def summary(self) -> dict[str, Any]:
        """Everything as JSON types; energies in kWh, money in the tariff's currency."""
        scenario, first = self.task.scenario, next(iter(self.runs.values())).summary
        return {
            "home": scenario.home.name,
            "scenario": None if scenario.is_home else scenario.name,
            "days": scenario.for_s / 86400,
            "tick_s": scenario.step_s,
            "from": first["from"],
            "to": first["to"],
            "currency": self.currency,
            "refill_per_kwh": round(self.worth.refill, 5),
            "policies": {str(policy): self._line(run) for policy, run in self.runs.items()},
            "bound": {"cost": round(self.bound.bill, 4), "settled": round(self.bound.settled, 4)},
        }

    def _line(self, run: Run) -> dict[str, Any]:
        summary, share = run.summary, self.share(run.policy)
        return {
            "cost": summary["cost"],
            "settled": round(self.settled[run.policy], 4),
            "share": None if share is None else round(share, 4),
            "ev_short_kwh": summary["goals"]["missing_kwh"],
            "goals_missed": summary["goals"]["missed"],
            "limit_over_kwh": round(sum(limit["over_kwh"] for limit in summary["limits"]), 4),
            "battery_cycles": summary["battery_cycles"],
            "contactor_closures": summary["contactor_closures"],
            "switchings": sum(one["switchings"] for one in summary["switched"].values()),
            "writes": sum(summary["writes"].values()),
            "energy_kwh": summary["energy_kwh"],
        }

    def faults(self) -> list[str]:
        """What our own policy must not do, in words: cost more than plain self-consumption, be short, break a limit."""
        plain, ours = self.runs.get(Policy.SELF_CONSUMPTION), self.runs.get(Policy.OURS)
        found = [
            f"{policy} costs less than the bound: {settled:.4f} against {self.bound.settled:.4f}"
            for policy, settled in self.settled.items()
            if settled < self.bound.settled - 1e-6 * max(1.0, abs(self.bound.settled))
        ]
        if plain is None or ours is None:
            return found
        mine, others = self._line(ours), [self._line(run) for run in self.runs.values()]
        if self.settled[Policy.OURS] > self.settled[Policy.SELF_CONSUMPTION]:
            found.append("the plan costs more than plain self-consumption")
        for key, words in (("ev_short_kwh", "a car is short of"), ("limit_over_kwh", "a limit is exceeded by")):
            if mine[key] > min(one[key] for one in others) + 0.05:
                found.append(f"{words} {mine[key]:.2f} kWh, which another policy avoids")
        return found

    def share(self, policy: Policy) -> float | None:
        """Of the possible saving against plain self-consumption; None where there is nothing to save."""
        possible = self.settled[Policy.SELF_CONSUMPTION] - self.bound.settled
        return (self.settled[Policy.SELF_CONSUMPTION] - self.settled[policy]) / possible if possible > 1e-9 else None


def compare(task: Task, policies: Sequence[Policy] = tuple(Policy), *, processes: int = 2) -> Comparison:
    """Plays the time under each policy, in so many processes at once. Plain self-consumption has to be among them.

    Raises HomeUnusable, SiteFileError, GridError and NoBound.
    """
    task.site()  # what is wrong with answers or prices is said here, not in a process of its own
    task.market()
    course = task.course()
    if processes > 1:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_quiet) as pool:
            done = [pool.submit(run_policy, task, policy, course) for policy in _longest_first(policies)]
            runs = [one.result() for one in done]
    else:
        runs = [run_policy(task, policy, course) for policy in policies]
    found = {run.policy: run for run in sorted(runs, key=lambda run: policies.index(run.policy))}
    worth = _worth(found[policies[0]].samples)
    settled = {policy: _settled(task, run, worth) for policy, run in found.items()}
    house = _house(task, course, found, worth)
    return Comparison(task, found, settled, house, bound_of(house), worth)


def _quiet() -> None:
    """What gateways log of their days is no part of the comparison."""
    logging.disable(logging.CRITICAL)


def _longest_first(policies: Sequence[Policy]) -> list[Policy]:
    return sorted(policies, key=[*Policy].index, reverse=True)


def _worth(samples: Sequence[Sample]) -> Worth:
    """What refilling costs: the mean over the days of each day's cheapest hour."""
    prices = np.array([sample.import_price for sample in samples])
    days = [prices[first : first + 1440] for first in range(0, len(prices), 1440)]
    cheapest = [float(np.sort(day)[: max(1, min(60, len(day)))].mean()) for day in days]
    dearest = max(float(np.abs(prices).max()), 0.01)
    return Worth(max(float(np.mean(cheapest)), 0.0), dearest)


def _gains(task: Task) -> dict[str, float]:
    """Stored per kWh taken, of everything that holds energy."""
    home = task.scenario.home
    return {
        **{spec.id: spec.charge_efficiency for spec in home.battery},
        **{spec.id: spec.efficiency for spec in home.ev},
        **{spec.id: 1.0 for spec in home.relay_load if spec.daily_wh is not None},
    }


def _settled(task: Task, run: Run, worth: Worth) -> float:
    begin, end = run.stored_wh
    missing_wh = sum(due.missing_wh for due in run.dues) + run.unmet_wh
    left = sum((end[name] - begin[name]) / 1000.0 / gain * worth.refill for name, gain in _gains(task).items())
    return run.bill - left + missing_wh / 1000.0 * worth.dearest


# --- the house as the bound knows it --------------------------------------------------------------------------


def _house(task: Task, course: Course, runs: Mapping[Policy, Run], worth: Worth) -> House:
    here = course.part(task.start, task.end)
    samples = next(iter(runs.values())).samples
    buy = np.array([sample.import_price for sample in samples])
    sell = np.array([sample.export_price for sample in samples])
    slots = _slots(task, buy, sell)
    widths = np.diff(slots).astype(float)

    def mean(values: Array) -> Array:
        return np.asarray(np.add.reduceat(values, slots[:-1]) / widths, np.float64)

    hours = widths / 60.0
    return House(
        hours,
        mean(buy),
        mean(sell),
        mean(here.load_w) / 1000.0,
        mean(here.sun_w) / 1000.0,
        *_limits(task, len(widths)),
        tuple(_stores(task, here, runs, worth, slots, hours)),
        *_sun_for_cars(task, here, runs, slots),
    )


def _sun_for_cars(
    task: Task, here: Course, runs: Mapping[Policy, Run], slots: np.ndarray[Any, np.dtype[np.int64]]
) -> tuple[Array | None, Array | None, Array | None]:
    """As `House` has them: given, spare, slack; none where a battery may be emptied into a car."""
    if any(policy.into_car for policy in task.site().site.batteries):
        return None, None, None

    def mean_kw(watts: Array) -> Array:
        return np.asarray(np.add.reduceat(watts, slots[:-1]) / np.diff(slots) / 1000.0, np.float64)

    spare_w = np.maximum(here.sun_w - here.load_w, 0.0)
    spare_kw = np.asarray(np.maximum.reduceat(spare_w, slots[:-1]) / 1000.0, np.float64)
    flows = [
        [
            mean_kw(np.array(watts))
            for watts in zip(*((s.ev_w, max(s.battery_w, 0.0), max(s.grid_w, 0.0)) for s in run.samples), strict=True)
        ]
        for run in runs.values()
    ]
    given = np.maximum.reduce([mean_kw(spare_w), *(car + battery - bought for car, battery, bought in flows)])
    least = [_least_kw(task, car) for car in task.scenario.home.ev]
    if not least:
        return given, None, None
    share = bought_share(spare_kw, max(least))
    slack = np.maximum.reduce([np.zeros(len(spare_kw)), *(car * share - bought for car, _, bought in flows)])
    return given, spare_kw, slack


def _least_kw(task: Task, car: EvSpec) -> float:
    """The smallest power at which a car charges: on one phase where its charging point changes to it."""
    changes = any(device.switches_phases for device in task.scenario.home.device)
    phases = 1 if changes else min(car.phases, car.car_phases)
    return max(MIN_CURRENT_A, car.car_min_a) * phases * task.scenario.home.grid.voltage_v / 1000.0


def _slots(task: Task, buy: Array, sell: Array) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Edges in minutes since the begin, on round times."""
    count = len(buy)
    begin = round(task.start.timestamp() / 60.0)
    changes = 1 + np.flatnonzero((np.diff(buy) != 0) | (np.diff(sell) != 0))
    for length in SLOT_MIN:
        first = -begin % length
        edges = np.unique(np.concatenate([[0], np.arange(first, count, length), [count]]))
        if np.isin(changes, edges).all():
            return edges
    return np.arange(count + 1)


def _limits(task: Task, slots: int) -> tuple[Array, Array]:
    """The contract's, with what an account tolerates."""
    connection = task.site().site.connection
    most_kw = [
        np.inf if limit is None else (limit + max(TOLERANCE_W, TOLERANCE * limit)) / 1000.0
        for limit in (connection.import_limit_w, connection.export_limit_w)
    ]
    return np.full(slots, most_kw[0]), np.full(slots, most_kw[1])


def _stores(
    task: Task,
    here: Course,
    runs: Mapping[Policy, Run],
    worth: Worth,
    slots: np.ndarray[Any, np.dtype[np.int64]],
    hours: Array,
) -> list[Store]:
    home, count = task.scenario.home, len(slots) - 1
    begins = next(iter(runs.values())).stored_wh[0]
    reserves = {policy.resource_id: policy.reserve_pct for policy in task.site().site.batteries}
    stores = []
    for spec in home.battery:
        least = min(run.least_soc_pct[spec.id] for run in runs.values()) - KEPT_PCT
        floor_pct = min(max(spec.min_soc_pct, reserves.get(spec.id, 10.0)), least)
        stores.append(
            Store(
                spec.id,
                begins[spec.id] / 1000.0,
                max(floor_pct, 0.0) / 100.0 * spec.capacity_wh / 1000.0,
                spec.capacity_wh * spec.max_soc_pct / 100_000.0,
                np.full(count, spec.max_charge_w / 1000.0),
                np.full(count, spec.max_discharge_w / 1000.0),
                np.full(count, spec.charge_efficiency),
                spec.discharge_efficiency,
                end_value=worth.refill / spec.charge_efficiency,
            )
        )
    for car in home.ev:
        mine = here.cars[car.id]
        plugged = np.add.reduceat(mine.plugged, slots[:-1]) / np.diff(slots)
        most_kw = min(car.max_a, car.car_max_a) * min(car.phases, car.car_phases) * home.grid.voltage_v / 1000.0
        stores.append(
            Store(
                car.id,
                begins[car.id] / 1000.0,
                0.0,
                car.capacity_wh * car.target_soc_pct / 100_000.0,
                most_kw * plugged,
                np.zeros(count),
                np.full(count, car.efficiency),
                drain_kwh=np.add.reduceat(mine.used_wh, slots[:-1]) / 1000.0,
                end_value=worth.refill / car.efficiency,
                least_kw=_least_kw(task, car),
                appointments=tuple(_appointments(task, car.id, car.capacity_wh, runs, slots)),
            )
        )
    for load in home.relay_load:
        if load.daily_wh is not None:
            daily = load.daily_wh / 1000.0
            stores.append(
                Store(
                    load.id,
                    daily / 2.0,
                    0.0,
                    daily,
                    np.full(count, load.power_w / 1000.0),
                    np.zeros(count),
                    np.ones(count),
                    drain_kwh=daily * hours / 24.0,
                    end_value=worth.refill,
                    is_load=True,
                )
            )
    return stores


def _appointments(
    task: Task,
    car: str,
    capacity_wh: float,
    runs: Mapping[Policy, Run],
    slots: np.ndarray[Any, np.dtype[np.int64]],
) -> list[Appointment]:
    """At each time at which a goal was due: what the emptiest held of those that kept it, or of all where none did."""
    dues: dict[float, list[tuple[float, bool]]] = {}
    for run in runs.values():
        for due in run.dues:
            if due.car == car:
                minute = (due.at - task.start) / timedelta(minutes=1)
                dues.setdefault(minute, []).append((due.soc_pct, due.missing_wh <= 0.0))
    found = []
    for minute, held in dues.items():
        kept = [soc for soc, met in held if met]
        slot = int(np.searchsorted(slots, minute - 1e-6)) - 1  # the slot that ends then, or in which it falls
        least = min(kept) if kept else min(soc for soc, _ in held)
        if slot >= 0:
            found.append(Appointment(slot, least / 100.0 * capacity_wh / 1000.0))
    return found
