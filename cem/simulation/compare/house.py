"""The house of a comparison as the bound knows it: slots, limits, stores; nothing narrower than what a policy did."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from cem.planning.flexible import LITRE_WH_PER_K
from cem.simulation.account import TOLERANCE, TOLERANCE_W, limits_of
from cem.simulation.compare.bound import Appointment, Array, House, Store, SunShare, Taper, bought_share
from cem.simulation.compare.course import Course
from cem.simulation.compare.policies import Policy
from cem.simulation.compare.run import Run, Task, quarter_of
from cem.simulation.plant import EvSpec, HeatPumpSpec, cop_at

Slots = np.ndarray[Any, np.dtype[np.int64]]
"""Edges in minutes since the begin."""
SLOT_MIN = (15, 5, 1)
"""Lengths of a slot, minutes: each in which all prices stay gives a bound, and the highest of them counts."""
LONG_MIN = 40 * 1440
"""A longer time is bound by long slots alone where prices allow it: a month of minutes is solved in some 20 s."""
MIN_CURRENT_A = 6.0
"""IEC 61851-1."""
TOUCHED = (0.0, 0.25, 0.5, 0.75)
"""Shares of a slot at which what the sun leaves in its best minutes is known from above."""
TAPER_PCT = 5.0
"""A simulated car with less than this share of its capacity to take takes less, at last its smallest current."""
KEPT_PCT = 0.05
"""A battery's least level is known so well."""
KEPT_K = 0.1
"""And a store's temperature."""
ABOVE_FORCED_K = 5.0
"""So far above its highest target a simulated heat pump stops."""
FULLY_SERVED_C, CELLAR_C = 32.0, 18.0
"""The store of one: from here on it gives all the heat that is wanted; what stands around it."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What counts beside the bill, per kWh: at the charging side of a store, and of what a car was short."""

    refill: float
    dearest: float


def houses_of(
    task: Task, course: Course, runs: Mapping[Policy, Run], worth: Worth, gains: Mapping[str, float]
) -> list[House]:
    """The whole time in slots in which prices stay, of one length or another; `gains`: stored per kWh taken of what is
    left at the end.
    """
    samples = next(iter(runs.values())).samples
    buy = np.array([sample.import_price for sample in samples])
    sell = np.array([sample.export_price for sample in samples])
    return [_house(task, course, runs, worth, gains, slots) for slots in _slots(task, buy, sell)]


def _house(
    task: Task,
    course: Course,
    runs: Mapping[Policy, Run],
    worth: Worth,
    gains: Mapping[str, float],
    slots: Slots,
) -> House:
    here = course.part(task.start, task.end)
    samples = next(iter(runs.values())).samples
    buy = np.array([sample.import_price for sample in samples])
    sell = np.array([sample.export_price for sample in samples])
    widths = np.diff(slots).astype(float)

    def mean(values: Array) -> Array:
        return np.asarray(np.add.reduceat(values, slots[:-1]) / widths, np.float64)

    hours = widths / 60.0
    standby_w = sum(pump.standby_w for pump in task.scenario.home.heat_pump)
    quarters = [quarter_of(task, int(minute)) for minute in slots[:-1]]
    return House(
        hours,
        mean(buy),
        mean(sell),
        (mean(here.load_w) + standby_w) / 1000.0,
        mean(here.sun_w) / 1000.0,
        *_limits(task, runs, slots),
        (
            *_batteries(task, runs, worth, len(hours)),
            *_cars(task, here, runs, worth, slots),
            *_daily_loads(task, runs, worth, hours),
            *_heat_stores(task, here, runs, slots, {name: worth.refill / gain for name, gain in gains.items()}),
        ),
        *_sun_for_cars(task, here, runs, slots),
        peak_price=task.site().site.tariff.peak_price_per_kw,
        quarter_of=np.array([quarter for quarter, _ in quarters]),
        month_of=np.array([month for _, month in quarters]),
    )


def _sun_for_cars(
    task: Task, here: Course, runs: Mapping[Policy, Run], slots: Slots
) -> tuple[Array | None, tuple[SunShare, ...]]:
    """As `House` has them: given, and the shares of the sun; none where a battery may be emptied into a car."""
    if any(policy.into_car for policy in task.site().site.batteries):
        return None, ()

    def mean_kw(watts: Array) -> Array:
        return np.asarray(np.add.reduceat(watts, slots[:-1]) / np.diff(slots) / 1000.0, np.float64)

    spare_w = np.maximum(here.sun_w - here.load_w, 0.0)
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
        return given, ()
    found = []
    for base_kw, slope_kw in best_minutes(spare_w / 1000.0, slots):
        share = bought_share(slope_kw, max(least))
        over = [car * share - bought - base_kw for car, _, bought in flows]
        found.append(SunShare(base_kw, slope_kw, np.maximum.reduce([np.zeros(len(base_kw)), *over])))
    return given, tuple(found)


def best_minutes(spare_kw: Array, slots: Slots) -> list[tuple[Array, Array]]:
    """What the sun leaves in the best minutes of each slot, by how many they are, from above: lines that touch it, as
    (mean kW of the slot at no time, kW per share of the slot).
    """
    lines = []
    for touched in TOUCHED:
        bases, slopes = [], []
        for begin, end in pairwise(slots.tolist()):
            best = np.sort(spare_kw[begin:end])[::-1]
            at = min(int(touched * (end - begin)), end - begin - 1)
            slopes.append(float(best[at]))
            bases.append(float((best[:at] - best[at]).sum()) / (end - begin))
        lines.append((np.array(bases), np.array(slopes)))
    return lines


def _least_kw(task: Task, car: EvSpec) -> float:
    """The smallest power at which a car charges: on one phase where its charging point changes to it."""
    changes = any(device.switches_phases for device in task.scenario.home.device)
    phases = 1 if changes else min(car.phases, car.car_phases)
    return max(MIN_CURRENT_A, car.car_min_a) * phases * task.scenario.home.grid.voltage_v / 1000.0


def _slots(task: Task, buy: Array, sell: Array) -> list[Slots]:
    """Edges in minutes since the begin, on round times; of each length that fits the prices, the longest first."""
    count = len(buy)
    begin = round(task.start.timestamp() / 60.0)
    changes = 1 + np.flatnonzero((np.diff(buy) != 0) | (np.diff(sell) != 0))
    found: list[Slots] = []
    for length in SLOT_MIN:
        first = -begin % length
        edges = np.unique(np.concatenate([[0], np.arange(first, count, length), [count]]))
        if np.isin(changes, edges).all() and (length > 1 or count <= LONG_MIN or not found):
            found.append(edges)
    return found or [np.arange(count + 1)]


def _limits(task: Task, runs: Mapping[Policy, Run], slots: Slots) -> tuple[Array, Array]:
    """What contract and orders allow in the slots that they cover whole, or as much more as a policy took."""
    kept = limits_of(task.site().site, task.scenario.sides(), task.start, task.end)
    found = []
    for sign in (1.0, -1.0):
        most = np.full(len(slots) - 1, np.inf)
        for limit in kept:
            begin, end = ((at - task.start) / timedelta(minutes=1) for at in (limit.start, limit.end))
            there = (slots[:-1] >= begin - 1e-6) & (slots[1:] <= end + 1e-6) & (limit.sign == sign)
            allowed_kw = (limit.limit_w + max(TOLERANCE_W, TOLERANCE * limit.limit_w)) / 1000.0
            most[there] = np.minimum(most[there], allowed_kw)
        flows = [np.array([max(sign * sample.grid_w, 0.0) / 1000.0 for sample in run.samples]) for run in runs.values()]
        taken = np.maximum.reduce([np.add.reduceat(flow, slots[:-1]) / np.diff(slots) for flow in flows])
        found.append(np.maximum(most, taken))
    return found[0], found[1]


def _batteries(task: Task, runs: Mapping[Policy, Run], worth: Worth, count: int) -> list[Store]:
    begins = next(iter(runs.values())).stored_wh[0]
    reserves = {policy.resource_id: policy.reserve_pct for policy in task.site().site.batteries}
    stores = []
    for spec in task.scenario.home.battery:
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
    return stores


def _cars(task: Task, here: Course, runs: Mapping[Policy, Run], worth: Worth, slots: Slots) -> list[Store]:
    home, count, stores = task.scenario.home, len(slots) - 1, []
    begins = next(iter(runs.values())).stored_wh[0]
    for car in home.ev:
        mine = here.cars[car.id]
        plugged = np.add.reduceat(mine.plugged, slots[:-1]) / np.diff(slots)
        kw_per_amp = min(car.phases, car.car_phases) * home.grid.voltage_v / 1000.0
        most_kw = min(car.max_a, car.car_max_a) * kw_per_amp
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
                taper=Taper(car.capacity_wh * TAPER_PCT / 100_000.0, MIN_CURRENT_A * kw_per_amp),
            )
        )
    return stores


def _daily_loads(task: Task, runs: Mapping[Policy, Run], worth: Worth, hours: Array) -> list[Store]:
    stores = []
    for load in task.scenario.home.relay_load:
        if load.daily_wh is not None:
            daily = load.daily_wh / 1000.0
            stores.append(
                Store(
                    load.id,
                    daily / 2.0,
                    0.0,
                    daily,
                    np.full(len(hours), load.power_w / 1000.0),
                    np.zeros(len(hours)),
                    np.ones(len(hours)),
                    drain_kwh=daily * hours / 24.0,
                    end_value=worth.refill,
                    is_load=True,
                )
            )
    return stores


# --- heat pumps ------------------------------------------------------------------------------------------------


def lowest_c(runs: Mapping[Policy, Run], pump: str) -> float:
    """The coldest that any policy let the store be."""
    return min(run.store_c[pump][0] for run in runs.values()) - KEPT_K


def heat_gains(task: Task, course: Course, runs: Mapping[Policy, Run]) -> dict[str, float]:
    """Heat per kWh taken, of each heat pump: the mean over the time, its store at its coldest."""
    here = course.part(task.start, task.end)
    return {
        spec.id: float(_cops(spec, here.heat[spec.id].outdoor_c, lowest_c(runs, spec.id)).mean())
        for spec in task.scenario.home.heat_pump
    }


def _cops(spec: HeatPumpSpec, outdoor_c: Array, store_c: float) -> Array:
    return np.array([cop_at(spec, store_c, outdoor) for outdoor in outdoor_c.tolist()])


def _heat_stores(
    task: Task, here: Course, runs: Mapping[Policy, Run], slots: Slots, end_values: Mapping[str, float]
) -> list[Store]:
    """Heat above the coldest that any policy let it be: there the machine is at its best and the least is lost."""
    stores, begins = [], next(iter(runs.values())).stored_wh[0]
    for spec in task.scenario.home.heat_pump:
        mine, low_c = here.heat[spec.id], lowest_c(runs, spec.id)
        per_k = spec.store_litres * LITRE_WH_PER_K / 1000.0
        high_c = max(spec.forced_c + ABOVE_FORCED_K, *(run.store_c[spec.id][1] for run in runs.values()))
        served = 1.0 if low_c >= FULLY_SERVED_C else 0.0  # a colder one gives less than what is wanted
        hours = np.diff(slots) / 60.0
        wanted_kwh = served * np.add.reduceat(mine.wanted_wh, slots[:-1]) / 1000.0
        lost_kwh = spec.loss_w_per_k * max(low_c - CELLAR_C, 0.0) / 1000.0 * hours
        stores.append(
            Store(
                spec.id,
                begins[spec.id] / 1000.0 - low_c * per_k,
                0.0,
                (high_c - low_c) * per_k,
                np.full(len(hours), (spec.max_w + spec.heater_w) / 1000.0),
                np.zeros(len(hours)),
                np.maximum.reduceat(_cops(spec, mine.outdoor_c, low_c), slots[:-1]),
                drain_kwh=wanted_kwh + lost_kwh,
                loss_per_h=spec.loss_w_per_k / 1000.0 / per_k,
                end_value=end_values[spec.id],
                is_load=True,
                wasted=True,
            )
        )
    return stores


def _appointments(
    task: Task, car: str, capacity_wh: float, runs: Mapping[Policy, Run], slots: Slots
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
