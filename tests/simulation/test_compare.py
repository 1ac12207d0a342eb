"""Policies at one home under the same weather, against perfect foresight."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner

from cem.cli.main import main
from cem.simulation.compare.course import course_of
from cem.simulation.compare.policies import Policy
from cem.simulation.compare.report import compare
from cem.simulation.compare.run import Task, run_policy
from cem.simulation.grid import Signal
from cem.simulation.orders import OrderTable
from cem.simulation.plant import open_home
from cem.simulation.scenario import open_scenario
from support.virtual_home import HOMES

START = datetime(2026, 4, 14, 22, tzinfo=UTC)  # midnight in the house
DAY = timedelta(days=1)


def _task(hours: float, start: datetime = START) -> Task:
    scenario = replace(open_scenario(HOMES / "demo.toml"), start=start, for_s=hours * 3600, step_s=60.0)
    return Task(scenario, past=DAY)


def test_a_course_is_what_every_policy_meets() -> None:
    task = _task(1.0, START + timedelta(hours=10))
    course = task.course()
    run = run_policy(task, Policy.SELF_CONSUMPTION, course)
    here = course.part(task.start, task.end)
    assert np.allclose([sample.load_w for sample in run.samples], here.load_w)
    assert np.allclose([-sample.pv_w for sample in run.samples], here.sun_w)
    assert here.sun_w.max() > 100


def test_a_course_knows_when_cars_are_away_and_what_they_use() -> None:
    course = course_of(open_home(HOMES / "demo.toml"), START, START + DAY, seed=1)
    car = course.cars["ev"]
    away = np.flatnonzero(car.plugged < 1)
    assert (away[0], away[-1]) == (7 * 60 + 30 - 1, 17 * 60 + 15 - 1)
    assert car.used_wh.sum() == pytest.approx(9000)


def test_the_weeks_before_are_aligned_with_the_time_itself_when_the_clocks_change() -> None:
    berlin = datetime(2026, 3, 29, 18, tzinfo=ZoneInfo("Europe/Berlin"))
    course = replace(_task(1.0, berlin), past=2 * DAY).course()
    assert course.minute_of(berlin) == 2 * 1440
    assert len(course.load_w) == 4 * 1440 + 60


def test_long_ticks_do_not_make_the_gateway_late() -> None:
    """Of an evening hour, a kettle among it, less than 4 % of the load goes through the meter: the battery is there."""
    task = _task(1.0, START + timedelta(hours=18))
    run = run_policy(task, Policy.SELF_CONSUMPTION, task.course())
    load_kwh = sum(sample.load_w for sample in run.samples) / 60_000.0
    assert load_kwh > 0.4
    assert max(abs(a.load_w - b.load_w) for a, b in pairwise(run.samples)) > 500.0
    assert sum(abs(sample.grid_w) for sample in run.samples) / 60_000.0 < 0.04 * load_kwh


def test_a_heat_pump_is_bought_for_by_every_policy_and_none_undercuts_the_bound() -> None:
    """Three winter hours, with a peak price and a limit that the grid orders."""
    scenario = replace(
        open_scenario(HOMES / "heat-pump.toml"),
        start=datetime(2026, 1, 14, 16, tzinfo=UTC),
        for_s=3 * 3600,
        step_s=60.0,
        site={"tariff": {"base_price_per_kwh": 0.3, "export_price_per_kwh": 0.08, "peak_price_per_kw": 5.0}},
        orders=(OrderTable(signal=Signal.IMPORT_LIMIT_W, values=(2500.0,), start_s=3600.0, for_s=3600.0),),
    )
    found = compare(Task(scenario, past=DAY), [Policy.SELF_CONSUMPTION], processes=1)
    plain = found.runs[Policy.SELF_CONSUMPTION]
    assert not found.faults()
    quarters = [np.mean([max(s.grid_w, 0.0) for s in plain.samples[k : k + 15]]) / 1000.0 for k in range(0, 180, 15)]
    bought = sum(s.import_price * max(s.grid_w, 0.0) for s in plain.samples[1:]) / 60_000.0
    assert plain.bill == pytest.approx(bought + 5.0 * max(quarters), abs=0.03)
    assert found.summary()["policies"]["self-consumption"]["energy_kwh"]["heat_pump"] > 0.5
    edges = np.concatenate([[0], np.rint(np.cumsum(found.house.hours) * 60.0).astype(int)])
    minutes = np.array([max(s.grid_w, 0.0) for s in plain.samples]) / 1000.0
    taken = np.add.reduceat(minutes, edges[:-1]) / np.diff(edges)
    limited = (edges[:-1] >= 75) & (edges[1:] <= 120)
    assert limited.any()
    assert (found.house.import_limit_kw[limited] <= np.maximum(taken[limited], 2.55) + 1e-6).all()
    assert np.isinf(found.house.import_limit_kw[edges[1:] <= 60]).all()
    heat = next(store for store in found.house.stores if store.id == "heat_pump")
    assert heat.drain_kwh is not None
    assert found.bound.power_kw["heat_pump"].sum() > 0.0
    assert 2.0 < float(heat.gain.mean()) < 5.0


def test_cars_begin_full_and_are_to_be_ready_for_their_trips() -> None:
    task = _task(1.0)
    assert [spec.soc_pct for spec in task.scenario.home.ev] == [100.0]
    goal = task.site().site.goals[0]
    assert (f"{goal.ready_by:%H:%M}", goal.energy_wh) == ("07:15", 9800.0)


@pytest.mark.slow
def test_no_policy_undercuts_the_bound_and_the_plan_saves_most_of_what_can_be_saved() -> None:
    """In winter: in spring, with sun enough every day, the cheapest hours for the car are all that can be saved."""
    found = compare(_task(48.0, datetime(2026, 1, 13, 23, tzinfo=UTC)), processes=2)
    assert not found.faults()
    assert found.bound.settled <= min(found.settled.values())
    assert (found.share(Policy.OURS) or 0.0) > (found.share(Policy.CHEAPEST_HOURS) or 0.0) > 0.0
    assert found.foresight()[-1][1] == pytest.approx(found.bound.bill)


@pytest.mark.slow
def test_the_command_prints_the_comparison_and_draws_it(tmp_path: Path) -> None:
    picture = tmp_path / "days.svg"
    home = str(HOMES / "demo.toml")
    told = ["simulate", home, "--days", "0.25", "--tick", "60", "--compare", "--plot", str(picture)]
    result = CliRunner().invoke(main, [*told, "--json"])
    summary = json.loads(result.stdout)
    assert [*summary["policies"]] == [policy.value for policy in Policy]
    assert "perfect foresight" in picture.read_text(encoding="utf-8")
    assert result.exit_code == int(bool(summary["faults"]))


def test_what_belongs_to_one_policy_does_not_go_with_a_comparison() -> None:
    result = CliRunner().invoke(main, ["simulate", str(HOMES / "demo.toml"), "--compare", "--no-plan"])
    assert result.exit_code == 2
    assert "--no-plan" in result.output
