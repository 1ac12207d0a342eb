"""Plays a scenario from begin to end: acts when they are due, expectations looked at, every step judged, an account."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cem.commissioning.site import Answers
from cem.config.sitefile import SiteFile
from cem.model.resource import Role
from cem.simulation.account import Account, limits_of
from cem.simulation.expectations import BenchView, Watched, in_words
from cem.simulation.harness import Bench
from cem.simulation.market import Contract, recorded_days
from cem.simulation.oracle import INVARIANTS, Invariant, Oracle, Violation
from cem.simulation.oracle.excuses import Excused
from cem.simulation.oracle.twins import Trace, differences
from cem.simulation.plant import HomeUnusable, begins_at
from cem.simulation.scenario import Scenario
from cem.simulation.site import answers_for, site_of, with_market

LOOK_S = 60.0
"""How often the gateway's status is looked at for alarms."""
LIMIT_PROMISES = {"import": "I2", "export": "I3"}
"""Who judges the limits of each side."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How to play, beyond what the scenario says: whose answers make the site, with a planner or without, where the
    gateway's state (None: in memory) and a replay journal go, and the recorded day of a market's prices."""

    answers: Path | None = None
    plan: bool = True
    folder: Path | None = None
    record: Path | None = None
    prices: Path | None = None


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a scenario. `expectations` as `Watched.result` gives them; met None: not reached."""

    scenario: Scenario
    began: datetime
    account: Account
    violations: tuple[Violation, ...]
    excused: Excused
    judged_steps: int
    expectations: tuple[dict[str, Any], ...]
    writes: Mapping[str, int]

    @property
    def missed(self) -> list[str]:
        """The expectations that were not met, in words."""
        return [in_words(result) for result in self.expectations if result["met"] is False]

    def summary(self) -> dict[str, Any]:
        """Everything as JSON types."""
        scenario = self.scenario
        return {
            "home": scenario.home.name,
            "scenario": None if scenario.is_home else scenario.name,
            "claim": scenario.claim,
            "days": scenario.for_s / 86400,
            "tick_s": scenario.step_s,
            **self._accounted(),
            "promises": self._promises(),
            "expectations": list(self.expectations),
        }

    def _accounted(self) -> dict[str, Any]:
        """The account, and of each limit that was exceeded the promise that excuses each such minute; else None."""
        account = self.account.summary(dict(self.writes))
        broken = {one.invariant for one in self.violations}
        began_s = self.began.timestamp()
        for limit, kept in zip(account.get("limits", ()), self.account.kept, strict=False):
            promise = LIMIT_PROMISES[kept.side]
            # the mean of such a minute is judged at its end
            ends = [(60.0 * minute + 60.0 - began_s, over_w) for minute, over_w in kept.broken_at]
            covered = [self.excused.covers(promise, end_s - 60.0, end_s + 60.0, over_w) for end_s, over_w in ends]
            limit["excused_by"] = promise if covered and all(covered) and promise not in broken else None
        return account

    def _promises(self) -> dict[str, Any]:
        left_out = self.scenario.leave_out
        return {
            "judged_steps": self.judged_steps,
            "invariants": [name for name in INVARIANTS if name not in left_out],
            "left_out": list(left_out),
            "violations": [
                {
                    "invariant": one.invariant,
                    "at_s": one.at_s,
                    "at": (self.began + timedelta(seconds=one.at_s)).isoformat(),
                    "allowed": one.allowed,
                    "seen": one.seen,
                    "decision": one.decision,
                }
                for one in self.violations
            ],
            "excused": [
                {
                    "invariant": excuse.invariant,
                    "why": excuse.words,
                    "source": excuse.source,
                    "times": use.times,
                    "seconds": round(use.seconds, 3),
                    "most": round(use.most, 3),
                    "unit": excuse.unit,
                }
                for excuse, use in self.excused
            ],
        }


@contextmanager
def opened(
    scenario: Scenario, setting: Setting = Setting(), also: Sequence[Invariant] = ()
) -> Iterator[tuple[Bench, Oracle, Account]]:
    """A judged bench on which nothing has happened yet. Raises HomeUnusable for what the scenario names and the house
    has not, and SiteFileError for answers that make no site."""
    home, sides = scenario.home, scenario.sides()
    site = site_for(scenario, setting.answers, market=setting.prices is not None)
    market = None if setting.prices is None else recorded_days(setting.prices)
    if market is None and site.dynamic is not None:
        why = "tariff.dynamic: a simulation has no market; name a recorded day of prices (--prices FILE)"
        raise HomeUnusable(str(scenario.path), [why])
    with Bench(
        home,
        start=scenario.start or begins_at(home, None),
        seed=scenario.seed,
        site=site,
        step_s=scenario.step_s,
        folder=setting.folder,
        plan=setting.plan,
        grids=sides,
        record=setting.record,
        market=market,
    ) as bench:
        faults = _not_there(scenario, bench)
        if faults:
            raise HomeUnusable(str(scenario.path), faults)
        end = bench.start + timedelta(seconds=scenario.for_s)
        limits = limits_of(site.site, sides, bench.start, end)
        contract = (
            Contract(site.dynamic.markup, market).price if market is not None and site.dynamic is not None else None
        )
        account = Account(site.site, limits, cars_of(bench), contract)
        bench.on_step = account.take
        yield bench, Oracle(bench, leave_out=scenario.leave_out, also=also), account


def cars_of(bench: Bench) -> dict[str, str]:
    """The plant's car behind each charging point of a bench's site."""
    found: dict[str, str] = {}
    for device in bench.site_file.devices:
        simulated = bench.wire.device_of(device.serial) if device.serial is not None else None
        plants = bench.plant.fronts[simulated].plants if simulated is not None else ()
        cars = [name for name in plants if name in bench.plant.house.charging_points]
        charging = [resource.id for resource in device.resources if resource.role is Role.EV]
        found.update(zip(charging, cars, strict=False))
    return found


def site_for(scenario: Scenario, given: Path | None, *, market: bool, goals: bool = False) -> SiteFile:
    """The site file of a scenario's home, by the `given` answers and its own; with a market where there is one.

    `goals`: each car that has trips is to be ready for them, where nobody says when a car has to be.
    """
    answers = said_of(scenario, given)
    with_market(answers.site, given=market)
    return site_of(scenario.home, answers, tick_s=scenario.step_s, goals=goals)


def said_of(scenario: Scenario, given: Path | None = None) -> Answers:
    """What is said of a scenario's home: the `given` answers, else the defaults, with the scenario's own on top."""
    answers = answers_for(scenario.home, given)
    answers.site.update(_merged(answers.site, scenario.site))
    return answers


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        known = merged.get(key)
        merged[key] = _merged(known, value) if isinstance(value, Mapping) and isinstance(known, Mapping) else value
    return merged


def _not_there(scenario: Scenario, bench: Bench) -> list[str]:
    """What the tables of a scenario name and this house has not, each with its path."""
    twin = scenario.twin
    faults = [f"act.{i}.{fault}" for i, one in enumerate(scenario.acts) for fault in one.troubles(bench)]
    faults += [f"expect.{i}.{fault}" for i, one in enumerate(scenario.expectations) for fault in one.troubles(bench)]
    if twin is not None:
        resources = [resource.id for resource in bench.site_file.site.resources]
        faults += [f"twin.act.{i}.{fault}" for i, one in enumerate(twin.act) for fault in one.troubles(bench)]
        faults += [
            f"twin.leaving_out.{i}: no resource '{name}'; known: {', '.join(resources)}"
            for i, name in enumerate(twin.leaving_out)
            if name not in resources
        ]
    return faults


def play(scenario: Scenario, setting: Setting = Setting(), also: Sequence[Invariant] = ()) -> Played:
    """Plays a scenario, and its twin where it has one. `also` watch every step. Raises what `opened` raises, and
    GatewayEnded when the gateway fails."""
    mine = Trace()
    traces = [mine] if scenario.twin is not None else []
    watched = [Watched(one) for one in scenario.expectations]
    with opened(scenario, setting, [*traces, *also]) as (bench, oracle, account):
        _run(scenario, bench, oracle, account, watched)
        writes = {spec.id: bench.wire.writes.get(spec.id, 0) for spec in scenario.home.device}
        return Played(
            scenario,
            bench.start,
            account,
            (*oracle.violations, *_twins_differences(scenario, setting, mine)),
            oracle.excused,
            oracle.steps,
            tuple(one.result(scenario.for_s) for one in watched),
            writes,
        )


def _run(scenario: Scenario, bench: Bench, oracle: Oracle, account: Account, watched: Sequence[Watched]) -> None:
    """From the first step of the plant to the last, in strides that end wherever something is to be done."""
    acts = sorted(scenario.acts, key=lambda act: act.at_s)
    step_s = scenario.step_s
    steps = max(1, math.ceil(scenario.for_s / step_s - 1e-6))
    look = max(1, round(LOOK_S / step_s))
    done = number = 0
    while True:
        now_s = number * step_s + bench.paused_s
        while done < len(acts) and acts[done].at_s <= now_s:
            acts[done].perform(bench, oracle)
            done += 1
        gone_s = bench.paused_s  # time in which the gateway's process stood still, and no step was made
        now_s = number * step_s + gone_s
        view = BenchView(bench)
        for one in watched:
            one.look(view, now_s)
        if number and number % look == 0 and view.ticked:
            account.look(view.status)
        last = steps - math.floor(gone_s / step_s)
        if number >= last:
            return
        due_s = [when for one in watched if (when := one.next_s(now_s + step_s)) is not None]
        due_s += [act.at_s for act in acts[done : done + 1]]
        soonest = min((math.ceil((when - gone_s) / step_s - 1e-6) for when in due_s), default=last)
        following = max(number + 1, min(soonest, last, (number // look + 1) * look))
        bench.advance((following - number) * step_s)
        number = following


def _twins_differences(scenario: Scenario, setting: Setting, mine: Trace) -> list[Violation]:
    """What the twin run broke, and where its actuators did something else."""
    twin = scenario.twin
    if twin is None:
        return []
    other = Trace()
    run = replace(scenario, acts=twin.act, expectations=(), twin=None)
    played = play(run, replace(setting, folder=None, record=None), [other])
    return [
        *(replace(one, seen=f"{one.seen} (in the twin run)") for one in played.violations),
        *differences(
            twin.invariant,
            mine.acts,
            other.acts,
            leaving_out=twin.leaving_out,
            tolerance=twin.tolerance,
            from_s=twin.from_s,
            until_s=scenario.for_s if twin.until_s is None else twin.until_s,
        ),
    ]
