"""One policy at one home: the real gateway from begin to end, and what is needed of it to compare."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cem.config.sitefile import SiteFile
from cem.model.resource import Role
from cem.model.site import Site
from cem.planning.flexible import LITRE_WH_PER_K
from cem.simulation.account import Account, Due, Sample, limits_of
from cem.simulation.compare.course import MINUTE_S, Course, course_of
from cem.simulation.compare.policies import Policy, planner_of
from cem.simulation.harness import MIDSUMMER, Bench, Step
from cem.simulation.market import RecordedDays, recorded_days
from cem.simulation.plant import Truth, begins_at
from cem.simulation.play import cars_of, site_for
from cem.simulation.scenario import Scenario

PAST = timedelta(days=28)
"""So long the house was recorded before, with nobody who steered it."""
AFTER = timedelta(days=2)
"""So far beyond the end plans look."""
QUARTER_MIN = 15
AWAKE_STEPS = 2.5
"""A car needs so many long steps to wake."""


@dataclass(frozen=True, slots=True)
class Task:
    """What all policies have in common."""

    scenario: Scenario
    answers: Path | None = None
    prices: Path | None = None
    past: timedelta = PAST

    def __post_init__(self) -> None:
        """Every car begins as full as it wants to be: what it takes is what its trips take.

        In long steps none wakes before the gateway has seen it, as none does in steps of a second.
        """
        home, step_s = self.scenario.home, self.scenario.step_s
        full = tuple(
            spec.model_copy(
                update={"soc_pct": spec.target_soc_pct, "wake_s": max(spec.wake_s, AWAKE_STEPS * (step_s - 1.0))}
            )
            for spec in home.ev
        )
        scenario = replace(self.scenario, home=home.model_copy(update={"ev": full}))
        object.__setattr__(self, "scenario", scenario)

    @property
    def start(self) -> datetime:
        """The first instant, UTC: days that are counted back from it are not those of a clock that changes."""
        return (self.scenario.start or begins_at(self.scenario.home, None) or MIDSUMMER).astimezone(UTC)

    @property
    def end(self) -> datetime:
        """The last one."""
        return self.start + timedelta(seconds=self.scenario.for_s)

    def site(self) -> SiteFile:
        """The site file of the home, with a charge goal for each car that has trips where nobody says another."""
        return site_for(self.scenario, self.answers, market=self.prices is not None, goals=True)

    def market(self) -> RecordedDays | None:
        """The recorded prices, where there are any."""
        return None if self.prices is None else recorded_days(self.prices)

    def course(self) -> Course:
        """What comes over the home from its past to what the last plan sees."""
        before = self.scenario.home.quiet()
        seed, step_s = self.scenario.seed, float(MINUTE_S)
        past = course_of(before, self.start - self.past, self.start, seed=seed, step_s=step_s)
        here = course_of(self.scenario.home, self.start, self.end + AFTER, seed=seed, step_s=self.scenario.step_s)
        return past.then(here)


@dataclass(frozen=True, slots=True)
class Run:
    """What became of one policy. `stored_wh` is by plant at the begin and the end, `bill` money at the meter, the
    peak's price included. `unmet_wh` is what daily loads, and heat that the house, wanted in vain; `store_c` the
    coldest and hottest that the store of each heat pump was.
    """

    policy: Policy
    bill: float
    samples: tuple[Sample, ...]
    dues: tuple[Due, ...]
    least_soc_pct: Mapping[str, float]
    stored_wh: tuple[Mapping[str, float], Mapping[str, float]]
    unmet_wh: Mapping[str, float]
    store_c: Mapping[str, tuple[float, float]]
    summary: Mapping[str, Any]


def run_policy(task: Task, policy: Policy, course: Course) -> Run:
    """Plays the whole time under one policy."""
    scenario, site = task.scenario, task.site()
    planner = planner_of(policy, course)
    sides = scenario.sides()
    with Bench(
        scenario.home,
        start=task.start,
        seed=scenario.seed,
        site=site,
        step_s=scenario.step_s,
        brisk=True,
        plan=planner is not None,
        planner=planner,
        grids=sides,
        market=task.market(),
    ) as bench:
        for resource_id, means in _past(site.site, course, task.start).items():
            bench.past.remember(resource_id, means)
        account = Account(site.site, limits_of(site.site, sides, task.start, task.end), cars_of(bench))
        first = bench.truth()
        store_c = {name: (pump.store_c, pump.store_c) for name, pump in first.heat_pump.items()}

        def take(step: Step) -> None:
            """Into the account, and how cold and hot each heat pump's store was."""
            account.take(step)
            for name, pump in step.truth.heat_pump.items():
                coldest, hottest = store_c[name]
                store_c[name] = min(coldest, pump.store_c), max(hottest, pump.store_c)

        bench.on_step = take
        bench.advance(scenario.for_s)
        last = bench.truth()
        writes = {spec.id: bench.wire.writes.get(spec.id, 0) for spec in scenario.home.device}
        summary = account.summary(writes)
    return Run(
        policy,
        account.cost + peak_cost(task, account.samples),
        tuple(account.samples),
        tuple(account.dues),
        account.least_soc_pct,
        (_stored_wh(scenario, first, first), _stored_wh(scenario, first, last)),
        {
            **{
                spec.id: last.relay_load[spec.id].unmet_wh - first.relay_load[spec.id].unmet_wh
                for spec in scenario.home.relay_load
                if spec.daily_wh is not None
            },
            **{name: pump.unmet_wh - first.heat_pump[name].unmet_wh for name, pump in last.heat_pump.items()},
        },
        store_c,
        summary,
    )


def peak_cost(task: Task, samples: Sequence[Sample]) -> float:
    """What the highest mean import of a quarter hour costs, of each local month."""
    price = task.site().site.tariff.peak_price_per_kw
    if price <= 0.0:
        return 0.0
    taken: dict[tuple[int, int], list[float]] = {}
    for minute, sample in enumerate(samples):
        taken.setdefault(quarter_of(task, minute), []).append(max(sample.grid_w, 0.0) / 1000.0)
    peaks: dict[int, float] = {}
    for (_, month), values in taken.items():
        peaks[month] = max(peaks.get(month, 0.0), sum(values) / len(values))
    return price * sum(peaks.values())


def quarter_of(task: Task, minute: int) -> tuple[int, int]:
    """Number of the quarter hour and of the local month that a minute since the begin belongs to."""
    at = task.start + timedelta(minutes=minute)
    local = at.astimezone(ZoneInfo(task.scenario.home.zone))
    return math.floor(at.timestamp() / 60.0 + 1e-6) // QUARTER_MIN, 12 * local.year + local.month


def _past(site: Site, course: Course, start: datetime) -> dict[str, list[tuple[int, float]]]:
    """The record of the time before: the meter sees load and sun, batteries and cars stand still."""
    count = course.minute_of(start)
    begin_s = int(course.start.timestamp())
    times = [begin_s + MINUTE_S * minute for minute in range(count)]
    roofs = site.of(Role.PV)
    sun = course.sun_w[:count]
    found = {roof.id: list(zip(times, (-sun / len(roofs)).tolist(), strict=True)) for roof in roofs}
    grid = course.load_w[:count] - (sun if roofs else 0.0)
    for meter in site.of(Role.GRID)[:1]:
        found[meter.id] = list(zip(times, grid.tolist(), strict=True))
    for resource in (*site.of(Role.BATTERY), *site.of(Role.EV)):
        found[resource.id] = [(at, 0.0) for at in times]
    return found


def _stored_wh(scenario: Scenario, first: Truth, now: Truth) -> dict[str, float]:
    """Of everything that holds energy for later."""
    home = scenario.home
    stored = {spec.id: now.battery[spec.id].soc_wh for spec in home.battery}
    stored |= {spec.id: now.ev[spec.id].soc_pct / 100.0 * spec.capacity_wh for spec in home.ev}
    for pump in home.heat_pump:
        stored[pump.id] = now.heat_pump[pump.id].store_c * pump.store_litres * LITRE_WH_PER_K
    hours = (now.now - first.now) / timedelta(hours=1)
    for spec in home.relay_load:
        if spec.daily_wh is not None:  # half of its day's need is open at the begin
            taken, was = now.relay_load[spec.id], first.relay_load[spec.id]
            had = taken.energy_wh - was.energy_wh + taken.unmet_wh - was.unmet_wh
            stored[spec.id] = spec.daily_wh * (0.5 - hours / 24.0) + had
    return stored
