"""Every act of the owner, as the command sends it: its effect at the plant, and its end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cem.io.local_requests import read_request
from cem.model.request import RequestKind, UserRequest
from cem.model.setpoint import WriteState
from cem.simulation.harness import Bench
from cem.simulation.plant import Home, open_home
from cem.simulation.site import answers_for, site_of

HOMES = Path(__file__).resolve().parents[2] / "hw-sim" / "homes"
NIGHT = datetime(2026, 6, 15, 0, 0, tzinfo=UTC)  # 02:00 in Berlin, cheap until 06:00; the car is plugged
NOON = datetime(2026, 6, 14, 10, 0, tzinfo=UTC)  # a Sunday: the car stays at home
EVENING = datetime(2026, 6, 14, 19, 30, tzinfo=UTC)  # 21:30, after the sun and the dear hours
STEP_S = 5.0


@pytest.fixture(scope="module")
def demo() -> Home:
    return open_home(HOMES / "demo.toml")


def charged(home: Home, soc_pct: float) -> Home:
    """The home with another level in its battery, under a clear sky and with the car far from full."""
    battery = home.battery[0].model_copy(update={"soc_pct": soc_pct})
    roof = home.pv[0].model_copy(update={"cloudiness": 0.0})
    return home.model_copy(update={"battery": (battery,), "pv": (roof,)})


@contextmanager
def opened(home: Home, start: datetime, **changes: Any) -> Iterator[Bench]:
    """A bench that has settled, the minimum time of a contactor that was found closed included."""
    site = site_of(home, answers_for(home, **changes), tick_s=STEP_S)
    with Bench(home, start=start, seed=3, step_s=STEP_S, site=site) as bench:
        bench.advance(360)
        yield bench


def ask(bench: Bench, resource: str, kind: RequestKind, for_s: float, **details: Any) -> UserRequest:
    """The act as `cem override` posts it to the local API."""
    ends = bench.now + timedelta(seconds=for_s)
    body = {"resource_id": resource, "kind": kind.value, "until": ends.isoformat(), **details}
    request = read_request(json.dumps(body).encode(), bench.status(), "owner")
    assert bench.gateway is not None
    bench.run(bench.gateway.acts.accept(request))
    return request


def car_kwh(bench: Bench, for_s: float) -> float:
    """What goes into the car in so many seconds."""
    return sum(step.truth.ev_w for step in bench.steps(for_s)) * STEP_S / 3_600_000.0


def reason(bench: Bench, resource: str) -> str:
    """Why the resource does what it does, as the owner reads it."""
    found = (one for device in bench.status().devices for one in device.resources if one.id == resource)
    return next(found).reason or ""


def test_charge_by_brings_the_energy_in_time_and_no_more_until_its_end(demo: Home) -> None:
    with opened(demo, NIGHT) as bench:
        ready = bench.now + timedelta(hours=1.5)
        ask(bench, "car", RequestKind.CHARGE_BY, 2.5 * 3600, energy_wh=6000.0, ready_at=ready.isoformat())
        assert car_kwh(bench, 1.5 * 3600) == pytest.approx(6.0, abs=0.3)
        assert car_kwh(bench, 3500) < 0.1
        assert "has what was asked for" in reason(bench, "car")
        assert car_kwh(bench, 1200) > 1.5  # it is over: the car charges as it comes


def test_charge_by_counts_on_over_a_kill(demo: Home) -> None:
    with opened(demo, NIGHT) as bench:
        ready = bench.now + timedelta(hours=1)
        ask(bench, "car", RequestKind.CHARGE_BY, 2 * 3600, energy_wh=5000.0, ready_at=ready.isoformat())
        before = car_kwh(bench, 900)
        bench.kill()
        between = car_kwh(bench, 20)
        bench.restart()
        assert before + between + car_kwh(bench, 3600) == pytest.approx(5.0, abs=0.3)


def test_charge_by_a_near_time_charges_at_full_power_in_the_dearest_hour(demo: Home) -> None:
    at_home = demo.model_copy(update={"ev": (demo.ev[0].model_copy(update={"trip": ()}),)})
    goal = {"resource": "car", "ready_by": "07:00", "energy_wh": 10_000.0}
    with opened(at_home, datetime(2026, 6, 15, 16, 0, tzinfo=UTC), goal=[goal]) as bench:
        assert car_kwh(bench, 600) < 0.1  # planned for the night
        ready = bench.now + timedelta(minutes=30)
        ask(bench, "car", RequestKind.CHARGE_BY, 1800, energy_wh=5000.0, ready_at=ready.isoformat())
        assert car_kwh(bench, 1800) > 4.9
        assert car_kwh(bench, 300) + car_kwh(bench, 600) < 1.0  # the goal of the morning again, and it can wait


def test_charge_now_charges_at_full_power_until_its_end(demo: Home) -> None:
    goal = {"resource": "car", "ready_by": "09:00", "energy_wh": 2_000.0}
    with opened(demo, datetime(2026, 6, 14, 16, 0, tzinfo=UTC), goal=[goal]) as bench:
        assert car_kwh(bench, 600) < 0.1
        ask(bench, "car", RequestKind.CHARGE_NOW, 1200)
        assert car_kwh(bench, 1200) > 0.95 * 11.04 / 3
        bench.advance(60)
        assert car_kwh(bench, 600) < 0.1


def test_pause_stops_the_car_until_its_end(demo: Home) -> None:
    with opened(demo, NIGHT) as bench:
        assert bench.truth().ev_w > 10_000
        ask(bench, "car", RequestKind.PAUSE, 900)
        bench.advance(60)
        assert car_kwh(bench, 800) == 0.0
        assert "paused by the owner until" in reason(bench, "car")
        bench.advance(120)
        assert bench.truth().ev_w > 10_000


def test_sun_only_draws_nothing_from_the_grid_until_its_end(demo: Home) -> None:
    with opened(charged(demo, 95.0), NOON) as bench:
        ask(bench, "car", RequestKind.SURPLUS_ONLY, 3600)
        bench.advance(600)  # it was charging from the grid: the contactor may open after five minutes
        steps = list(bench.steps(2700))
        assert sum(step.truth.ev_w for step in steps) / len(steps) > 4000
        assert sum(max(0.0, step.truth.grid_w) for step in steps) / len(steps) < 150
        bench.advance(900)
        assert bench.truth().ev_w > 10_000


def test_hold_keeps_what_is_stored_until_its_end(demo: Home) -> None:
    with opened(charged(demo, 80.0), EVENING) as bench:
        ask(bench, "car", RequestKind.PAUSE, 7200)
        ask(bench, "battery", RequestKind.HOLD, 1200)
        bench.advance(60)
        assert min(step.truth.battery_w for step in bench.steps(1100)) > -60
        assert "held by the owner" in reason(bench, "battery")
        bench.advance(120)
        assert bench.truth().battery_w < -150


def test_reserve_stops_the_battery_at_the_level_until_its_end(demo: Home) -> None:
    with opened(charged(demo, 45.0), EVENING) as bench:
        ask(bench, "car", RequestKind.PAUSE, 7200)
        ask(bench, "battery", RequestKind.RESERVE, 1200, target_soc_pct=60.0)
        bench.advance(60)
        assert min(step.truth.battery_w for step in bench.steps(1100)) > -60
        assert "reserve of 60 %" in reason(bench, "battery")
        bench.advance(120)
        assert bench.truth().battery_w < -150


def test_release_hands_the_battery_back_until_its_end(demo: Home) -> None:
    with opened(charged(demo, 80.0), EVENING) as bench:
        ask(bench, "battery", RequestKind.RELEASE, 1200)
        bench.advance(30)
        before = bench.wire.writes["battery"]
        bench.advance(1100)
        assert bench.wire.writes["battery"] == before
        assert "own control as asked until" in reason(bench, "battery")
        assert bench.gateway is not None
        assert WriteState.RELEASED in {o.state for o in bench.gateway.board.outcomes() if o.resource_id == "battery"}
        bench.advance(200)
        assert bench.wire.writes["battery"] > before


def test_of_two_opposing_acts_the_last_counts_also_after_a_kill(demo: Home) -> None:
    with opened(demo, NIGHT) as bench:
        ask(bench, "car", RequestKind.PAUSE, 3600)
        bench.advance(60)
        assert bench.truth().ev_w == 0.0
        ask(bench, "car", RequestKind.CHARGE_NOW, 1200)
        bench.advance(60)
        assert bench.truth().ev_w > 10_000
        bench.kill()
        bench.restart()
        bench.advance(120)
        assert bench.truth().ev_w > 10_000
        assert [request.kind for request in bench.status().requests] == [RequestKind.CHARGE_NOW]
        bench.advance(1200)  # the pause does not come back with its end
        assert bench.truth().ev_w > 10_000


def test_an_act_on_something_that_is_gone_disturbs_nothing(demo: Home) -> None:
    with opened(demo, NIGHT) as bench:
        assert bench.gateway is not None
        for kind in (RequestKind.PAUSE, RequestKind.CHARGE_BY, RequestKind.RESERVE):
            gone = UserRequest(f"old-{kind}", f"old_{kind}", kind, bench.now + timedelta(hours=1), bench.now)
            bench.run(bench.gateway.requests.add(gone))
        bench.advance(60)
        bench.kill()
        bench.restart()
        bench.advance(300)
        assert bench.truth().ev_w > 10_000
        assert len(bench.status().requests) == 3
        assert bench.status().alarms == ()
