"""The owner's acts, on the real gateway and a simulated home."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cem.model.envelope import SITE
from cem.model.errors import CemError
from cem.model.provider import Programme
from cem.model.request import RequestKind, UserRequest
from cem.runtime.needs import ev_needs
from cem.runtime.remember import MemoryKeeper
from cem.simulation.grid import GridSide, Order, Signal
from cem.simulation.harness import Bench
from cem.simulation.plant import Home, open_home

HOMES = Path(__file__).resolve().parents[2] / "hw-sim" / "homes"
NIGHT = datetime(2026, 6, 15, 0, 0, tzinfo=UTC)  # the car is plugged in and charges
LATE = datetime(2026, 6, 15, 2, 40, tzinfo=UTC)  # what a battery is to have from the grid is bought in the last hour


@pytest.fixture(scope="module")
def demo() -> Home:
    return open_home(HOMES / "demo.toml")


def _ask(bench: Bench, kind: RequestKind, for_s: float, resource: str = SITE, **details: Any) -> None:
    request = UserRequest(
        f"{kind.value}-{bench.now:%H%M%S}", resource, kind, bench.now + timedelta(seconds=for_s), bench.now, **details
    )
    assert bench.gateway is not None
    bench.run(bench.gateway.acts.accept(request))


def _limited(mandatory: bool) -> GridSide:
    order = Order(Signal.IMPORT_LIMIT_W, (4200.0,), 120.0, 1200.0, "limits", ahead_s=60.0, name="peak")
    return GridSide(programmes=(Programme("limits", mandatory),), orders=(order,), poll_s=5.0)


def _means(powers: Sequence[float]) -> float:
    return sum(powers) / len(powers)


def test_no_write_leaves_the_box_while_the_owner_only_watches(demo: Home) -> None:
    with Bench(demo, seed=3, start=NIGHT) as bench:
        bench.advance(60)
        _ask(bench, RequestKind.READ_ONLY, 600)
        before = dict(bench.wire.writes)
        assert before["battery"] > 0
        bench.advance(300)
        assert bench.wire.writes == before
        assert bench.status().read_only
        assert "nothing is written" in bench.status().headline
        bench.kill()
        bench.restart()
        bench.advance(200)
        assert bench.wire.writes == before
        bench.advance(200)
        assert bench.wire.writes != before
        assert not bench.status().read_only


def test_a_voluntary_event_can_be_left_out_and_a_mandatory_one_can_not(demo: Home) -> None:
    with Bench(demo, seed=3, start=NIGHT, grids=[_limited(mandatory=False)]) as bench:
        bench.advance(100)
        (event,) = bench.status().events
        _ask(bench, RequestKind.OPT_OUT, 3600, event_id=event.id)
        powers = [step.truth.grid_w for step in bench.steps(600)]
        assert _means(powers[120:]) > 8000.0
        assert bench.status().limits == ()
    with Bench(demo, seed=3, start=NIGHT, grids=[_limited(mandatory=True)]) as bench:
        bench.advance(100)
        (event,) = bench.status().events
        with pytest.raises(CemError, match="nobody can opt out"):
            _ask(bench, RequestKind.OPT_OUT, 3600, event_id=event.id)


def test_opting_out_of_a_time_leaves_the_rest_of_an_event_in_force(demo: Home) -> None:
    with Bench(demo, seed=3, start=NIGHT, grids=[_limited(mandatory=False)]) as bench:
        bench.advance(200)
        assert bench.truth().grid_w < 4300.0
        _ask(bench, RequestKind.OPT_OUT, 500)
        bench.advance(300)  # the car's least time off is over
        assert [limit.source for limit in bench.status().limits] == []
        bench.advance(300)
        assert [limit.source for limit in bench.status().limits] == ["utility"]


def test_a_wish_by_a_time_becomes_the_planners_need(demo: Home) -> None:
    with Bench(demo, seed=3, start=NIGHT) as bench:
        bench.advance(120)
        gateway = bench.gateway
        assert gateway is not None
        ready = bench.now + timedelta(hours=6)
        _ask(bench, RequestKind.CHARGE_BY, 6 * 3600, "car", energy_wh=20_000.0, ready_at=ready)
        now = bench.clock.now()
        snapshot = gateway.board.freeze(now.mono_s)
        (need,) = ev_needs(bench.site_file.site, snapshot, gateway.requests.in_force(), now, 120.0)
        assert (need.resource_id, need.due) == ("car", ready)
        assert need.energy_wh == pytest.approx(20_000.0, abs=200.0)
        bench.kill()
        bench.restart()
        bench.advance(30)
        assert bench.gateway is not None
        (kept,) = bench.gateway.requests.in_force()
        assert (kept.energy_wh, kept.ready_at) == (20_000.0, ready)


def test_a_level_that_nobody_can_reckon_is_refused_in_words(demo: Home) -> None:
    with Bench(demo, seed=3, start=NIGHT) as bench:
        bench.advance(30)
        with pytest.raises(CemError, match="capacity_wh"):
            _ask(bench, RequestKind.CHARGE_BY, 3600, "car", target_soc_pct=80.0, ready_at=bench.now)


def test_the_first_command_after_a_start_asks_for_no_more_than_flows(demo: Home) -> None:
    away = demo.model_copy(update={"ev": (demo.ev[0].model_copy(update={"plugged_at_start": False}),)})
    with Bench(away, seed=3, start=LATE) as bench:
        assert any(bench.truth().battery_w > 4000.0 for _ in bench.steps(3600))  # the plan buys
        bench.kill()
        bench.advance(150)  # the battery's own timer has let the command go
        present = bench.truth().battery_w
        assert abs(present) < 1000.0
        bench.restart()
        commands: list[float] = []
        for _ in bench.steps(300):
            assert bench.gateway is not None
            held = [o.value for o in bench.gateway.board.outcomes() if o.resource_id == "battery"]
            commands += [value for value in held if value is not None and value not in commands[-1:]]
        assert abs(commands[0]) <= abs(present) + 1.0
        assert max(commands) > 4000.0


def test_a_refused_command_is_not_the_first_one(demo: Home) -> None:
    away = demo.model_copy(update={"ev": (demo.ev[0].model_copy(update={"plugged_at_start": False}),)})
    with Bench(away, seed=3, start=LATE) as bench:
        bench.advance(900)  # the plan buys
        bench.kill()
        bench.plant.faults.inject("battery", "refuse_writes")
        bench.advance(150)
        bench.restart()
        bench.advance(120)
        bench.plant.faults.clear("battery", "refuse_writes")
        before_w, told = bench.truth().battery_w, []
        for step in bench.steps(120):
            (battery,) = step.truth.battery.values()
            if battery.upper_w is not None:
                told.append((battery.upper_w, before_w))
            before_w = battery.power_w
        assert abs(told[0][0]) <= abs(told[0][1]) + 1.0
        assert told[-1][0] > 4000.0


def test_what_was_switched_outlives_a_kill(demo: Home) -> None:
    with Bench(demo, seed=3, start=NIGHT) as bench:
        bench.advance(60)
        _ask(bench, RequestKind.PAUSE, 3600, "car")
        bench.advance(60)
        assert bench.gateway is not None
        assert bench.gateway.loop.memory.chargers["car"].limit_a == 0.0
        bench.kill()
        kept = bench.run(MemoryKeeper(bench.store).restore(bench.clock.now())).chargers["car"]
        assert kept.limit_a == 0.0
        assert kept.switched_at_s >= bench.clock.now().mono_s - 61  # counted anew: longer, never shorter
