"""All policies at one home, side by side, and how much of what could be saved at all each of them saves."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from typing import Any

import numpy as np

from cem.simulation.account import Sample
from cem.simulation.compare.bound import Bound, House, bound_of
from cem.simulation.compare.course import Course
from cem.simulation.compare.house import Worth, heat_gains, houses_of
from cem.simulation.compare.policies import Policy
from cem.simulation.compare.run import Run, Task, run_policy


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
            "cost": round(run.bill, 4),
            "settled": round(self.settled[run.policy], 4),
            "share": None if share is None else round(share, 4),
            "within_quarters": round(self.within_quarters(run.policy), 4),
            "ev_short_kwh": summary["goals"]["missing_kwh"],
            "goals_missed": summary["goals"]["missed"],
            "limit_over_kwh": round(sum(limit["over_kwh"] for limit in summary["limits"]), 4),
            "battery_cycles": summary["battery_cycles"],
            "contactor_closures": summary["contactor_closures"],
            "switchings": sum(one["switchings"] for one in summary["switched"].values()),
            "writes": sum(summary["writes"].values()),
            "energy_kwh": summary["energy_kwh"],
        }

    def within_quarters(self, policy: Policy) -> float:
        """What it cost to buy and to sell within one quarter hour."""
        samples = self.runs[policy].samples
        grid_kwh = np.array([sample.grid_w for sample in samples]) / 60_000.0
        dearer = np.array([sample.import_price - sample.export_price for sample in samples])
        first = round(self.task.start.timestamp() / 60.0)
        quarter = (first + np.arange(len(samples))) // 15 - first // 15
        bought, sold = (np.bincount(quarter, np.maximum(sign * grid_kwh, 0.0)) for sign in (1.0, -1.0))
        mean = np.bincount(quarter, dearer) / np.bincount(quarter)
        return float((np.minimum(bought, sold) * mean).sum())

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
    gains = _gains(task, course, found)
    settled = {policy: _settled(run, worth, gains) for policy, run in found.items()}
    bounds = [(house, bound_of(house)) for house in houses_of(task, course, found, worth, gains)]
    house, bound = max(bounds, key=lambda one: one[1].settled)  # each is one, so the highest of them is
    return Comparison(task, found, settled, house, bound, worth)


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


def _gains(task: Task, course: Course, runs: Mapping[Policy, Run]) -> dict[str, float]:
    """Stored per kWh taken, of everything that holds energy."""
    home = task.scenario.home
    return {
        **heat_gains(task, course, runs),
        **{spec.id: spec.charge_efficiency for spec in home.battery},
        **{spec.id: spec.efficiency for spec in home.ev},
        **{spec.id: 1.0 for spec in home.relay_load if spec.daily_wh is not None},
    }


def _settled(run: Run, worth: Worth, gains: Mapping[str, float]) -> float:
    begin, end = run.stored_wh
    missing_wh = sum(due.missing_wh for due in run.dues)
    missing_wh += sum(unmet_wh / gains[name] for name, unmet_wh in run.unmet_wh.items())
    left = sum((end[name] - begin[name]) / 1000.0 / gain * worth.refill for name, gain in gains.items())
    return run.bill - left + missing_wh / 1000.0 * worth.dearest
