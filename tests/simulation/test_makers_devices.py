"""The gateway in a house of makers' devices: a hybrid inverter, a serial meter and a charger, each by its profile."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cem.simulation.harness import Bench
from cem.simulation.oracle.judge import Oracle
from cem.simulation.plant import Home, home_in, open_home, read_table
from support.virtual_home import HOMES

MAKERS = HOMES / "makers.toml"
NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
MIDNIGHT = datetime(2026, 6, 14, 22, 0, tzinfo=UTC)
STEP_S = 10.0


def with_faults(*faults: dict[str, Any]) -> Home:
    """The house, and what goes wrong in it."""
    return home_in({**read_table(MAKERS), "fault": list(faults)}, MAKERS)


def test_an_hour_with_devices_that_fail_breaks_no_promise() -> None:
    home = with_faults(
        {"kind": "half_open", "target": "wallbox", "at_s": 600, "for_s": 60},
        {"kind": "short_answer", "target": "meter", "at_s": 900, "for_s": 40},
        {"kind": "reboot", "target": "plenticore", "at_s": 1500, "for_s": 60},
        {"kind": "second_master", "target": "plenticore", "at_s": 2000, "for_s": 15, "value": 3000.0},
    )
    with Bench(home, start=NOON, seed=3, step_s=STEP_S) as bench:
        oracle = Oracle(bench)
        bench.advance(2700)
        assert oracle.violations == []
        assert oracle.steps >= 260
        devices = bench.truth().devices
        assert devices["plenticore"].writes["battery.setpoint_w 1034"] > 50
        assert devices["wallbox"].writes["ev.limit_a 1210"] > 50
        assert devices["plenticore"].foreign_writes >= 1
        assert {device.id: device.profile for device in bench.site_file.devices} == {
            "hybrid": "kostal.plenticore",
            "meter": "eastron.sdm630",
            "charger": "alfen.eve",
        }
        assert {status.id for status in bench.status().devices} == {"hybrid", "meter", "charger"}
        assert all(status.line is not None and status.line.requests > 0 for status in bench.status().devices)


@pytest.mark.slow
def test_a_day_breaks_no_promise() -> None:
    with Bench(open_home(MAKERS), start=MIDNIGHT, seed=17, step_s=STEP_S) as bench:
        oracle = Oracle(bench)
        before = bench.truth()
        bench.advance(86400)
        after = bench.truth()
        assert oracle.violations == []
        assert after.charged_wh - before.charged_wh > 2000
        assert after.ev_wh - before.ev_wh > 20_000
        assert after.pv_wh - before.pv_wh > 20_000


@pytest.mark.slow
def test_a_battery_with_a_longer_time_out_is_by_itself_once_that_is_over() -> None:
    table = read_table(MAKERS)
    table["device"][0]["profile"] = "alpha-ess.smile"  # 300 s
    with Bench(home_in(table, MAKERS), start=NOON, seed=3, step_s=STEP_S) as bench:
        oracle = Oracle(bench)
        bench.advance(120)
        bench.kill()
        bench.advance(200)
        assert bench.truth().battery["store"].upper_w is not None
        bench.advance(150)
        assert bench.truth().battery["store"].upper_w is None
        assert oracle.violations == []


def test_what_a_lost_inverter_does_by_itself_is_told_once() -> None:
    home = with_faults({"kind": "silence", "target": "plenticore", "at_s": 20, "for_s": 600})
    with Bench(home, start=NOON, seed=3, step_s=STEP_S) as bench:
        bench.advance(80)
        (effect,) = [alarm.effect for alarm in bench.status().alarms if alarm.id == "device.hybrid"]
        (alone,) = [device.if_i_die for device in bench.status().devices if device.id == "hybrid"]
        assert effect.count(alone) == 1
        assert "the battery is not steered" in effect
        assert "the sun's power is unknown" in effect


def test_what_a_battery_that_wears_out_is_really_told_is_shown() -> None:
    table = read_table(MAKERS)
    wearing = [{**d, "profile": "sungrow.sh"} if d["id"] == "plenticore" else d for d in table["device"]]
    away = [{**car, "plugged_at_start": False, "trip": []} for car in table["ev"]]
    home = home_in({**table, "device": wearing, "ev": away}, MAKERS)
    with Bench(home, start=NOON, seed=3, step_s=STEP_S) as bench:
        bench.advance(120)
        (store,) = [r for d in bench.status().devices for r in d.resources if r.role == "battery"]
        assert store.setpoint == "its own control"
        assert store.reason == "its own control follows the house; each set point would wear out its memory"
