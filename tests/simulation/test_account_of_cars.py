"""Every car's own goal is judged, and what heat pumps and relays take is in the account."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from cem.model.site import ChargeGoal
from cem.simulation.account import Account
from cem.simulation.harness import Bench, Step
from cem.simulation.plant import open_home
from cem.simulation.play import Setting, cars_of, play
from cem.simulation.scenario import scenario_of

HOMES = Path(__file__).parents[2] / "hw-sim" / "homes"
SIX = datetime(2026, 6, 15, 6, tzinfo=UTC)


@pytest.mark.parametrize(("full", "met"), [("first", 1), ("second", 1), ("both", 2), ("none", 0)])
def test_a_goal_is_met_by_the_car_that_it_is_of(full: str, met: int) -> None:
    home = open_home(HOMES / "two-cars.toml")
    with Bench(home, start=SIX, plan=False) as bench:
        bench.advance(2)
        site, truth, cars = bench.site_file.site, bench.truth(), cars_of(bench)
    assert sorted(cars) == ["car", "car2"]
    names = {"first": [cars["car"]], "second": [cars["car2"]], "both": list(cars.values()), "none": []}[full]
    ev = {name: replace(car, plugged=True, soc_pct=80.0 if name in names else 30.0) for name, car in truth.ev.items()}
    due = time(7, 0)
    goals_of_all = tuple(ChargeGoal(key, due, soc_pct=70.0) for key in cars)
    account = Account(replace(site, goals=goals_of_all, zone="UTC"), [], cars)
    for second in range(-3, 3):
        at = SIX.replace(hour=7) + timedelta(seconds=second)
        account.take(Step(replace(truth, now=at, ev=ev), None, None))
    goals = account.summary({})["goals"]
    assert (goals["met"], goals["missed"]) == (met, 2 - met)


def test_what_a_heat_pump_and_a_relay_take_is_used_by_the_house() -> None:
    table = {"scenario": 1, "home": "heat-pump.toml", "start": datetime(2026, 2, 10, 8, tzinfo=UTC)}
    morning = scenario_of({**table, "seed": 3, "for_s": 21600.0, "step_s": 60.0}, HOMES / "morning.toml")
    summary = play(morning, Setting(plan=False)).summary()
    flows = summary["energy_kwh"]
    assert flows["heat_pump"] > 1.0
    used = flows["load"] + flows["ev"] + flows["heat_pump"] + flows["relay"]
    assert used == pytest.approx(flows["import"] - flows["export"] + flows["pv"], abs=0.02)
    assert summary["self_sufficiency"] == pytest.approx(1 - flows["import"] / used, abs=0.001)
    assert set(summary["switched"]) == {"heat_pump", "boiler"}
