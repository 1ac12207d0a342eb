"""Device tasks and their writers: leases, refresh, effect, silence, hand-back."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.resource import Control
from cem.model.setpoint import Health, WriteState
from support.devices import Bench, running

NOON = datetime(2026, 6, 15, 10, 0, tzinfo=UTC)
SETPOINT = Control.BATTERY_SETPOINT_W


def play(folder: Path, act: Callable[[Bench], Awaitable[None]], *, read_only: bool = False) -> None:
    """Plays an act on the running bench in virtual time."""

    async def main(clock: VirtualClock) -> None:
        async with running(clock, folder, read_only=read_only) as bench:
            await act(bench)

    run_virtual(main, NOON)


def test_a_set_point_is_followed_and_its_effect_is_seen(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        await bench.keep_asking("battery", SETPOINT, 2000.0, 8)
        assert abs(bench.home.truth().battery_w - 2000) < 60
        assert bench.outcome("battery").state is WriteState.EFFECTIVE

    play(tmp_path, act)


def test_a_lease_that_is_not_renewed_is_handed_back(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        bench.ask("battery", SETPOINT, 2000.0, lease_s=10.0)
        await asyncio.sleep(5)
        assert bench.outcome("battery").state is WriteState.EFFECTIVE
        await asyncio.sleep(8)
        assert bench.outcome("battery").state is WriteState.EXPIRED
        assert "handed back" in bench.outcome("battery").detail

    play(tmp_path, act)


def test_a_renewed_lease_outlives_the_devices_own_timer(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        await bench.keep_asking("battery", SETPOINT, 1500.0, 150)
        assert abs(bench.home.truth().battery_w - 1500) < 60

    play(tmp_path, act)


def test_without_us_the_battery_returns_to_its_own_control_by_its_own_timer(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        await bench.keep_asking("battery", SETPOINT, 3000.0, 5)
        bench.home.faults.inject("battery", "silence")  # as if the gateway had died: nothing reaches the device
        await asyncio.sleep(75)
        truth = bench.home.truth()
        assert abs(truth.battery_w - 3000) > 500
        bench.home.faults.clear("battery", "silence")

    play(tmp_path, act)


def test_a_silent_device_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        bench.home.faults.inject("inverter", "silence")
        assert await bench.until_health("inverter", Health.SILENT) <= 10
        state = bench.board.health("inverter")
        assert state.detail
        assert state.advice
        now_s = bench.clock.now().mono_s
        snapshot = bench.board.freeze(now_s)
        assert (snapshot.age_s("grid", "power_w") or 99) <= 1.5
        assert (snapshot.age_s("battery", "power_w") or 99) <= 1.5
        bench.home.faults.clear("inverter", "silence")
        assert await bench.until_health("inverter", Health.ONLINE) <= 40

    play(tmp_path, act)


def test_after_a_loss_the_set_point_is_written_anew(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        await bench.keep_asking("battery", SETPOINT, 2500.0, 5)
        bench.home.faults.inject("battery", "disconnect")
        await bench.until_health("battery", Health.SILENT)
        bench.home.faults.clear("battery", "disconnect")
        await bench.until_health("battery", Health.ONLINE)
        await bench.keep_asking("battery", SETPOINT, 2500.0, 8)
        assert abs(bench.home.truth().battery_w - 2500) < 60

    play(tmp_path, act)


def test_a_lease_that_ran_out_while_the_device_was_away_waits_for_what_is_decided_now(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        await bench.keep_asking("car", Control.EV_LIMIT_A, 0.0, 5)
        bench.home.faults.inject("wallbox", "disconnect")
        await asyncio.sleep(60)
        bench.home.faults.clear("wallbox", "disconnect")
        await bench.until_health("wallbox", Health.ONLINE)
        await asyncio.sleep(8)
        assert bench.home.truth().ev["ev"].offered_a == 0.0
        await asyncio.sleep(8)  # nobody decides anything: then it is its own again
        assert bench.home.truth().ev["ev"].offered_a > 0.0
        assert bench.outcome("car").state is WriteState.EXPIRED

    play(tmp_path, act)


def test_what_returns_to_a_dark_house_is_met_at_once(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        async def away(devices: list[str]) -> float:
            for device_id in devices:
                bench.home.faults.inject(device_id, "disconnect")
            await asyncio.sleep(200)
            for device_id in devices:
                bench.home.faults.clear(device_id, "disconnect")
            return max([await bench.until_health(device_id, Health.ONLINE) for device_id in devices])

        assert await away([*bench.tasks]) <= 5.0
        assert await away(["inverter"]) > 5.0  # one alone is asked at ease

    play(tmp_path, act)


def test_a_refused_write_is_told_and_tried_again(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        bench.home.faults.inject("battery", "refuse_writes")
        await asyncio.sleep(2)  # the simulated device takes its new condition with its next step
        await bench.keep_asking("battery", SETPOINT, 2000.0, 5)
        assert bench.outcome("battery").state is WriteState.REFUSED
        assert bench.board.health("battery").health is Health.ONLINE
        bench.home.faults.clear("battery", "refuse_writes")
        await bench.keep_asking("battery", SETPOINT, 2000.0, 40)
        assert bench.outcome("battery").state is WriteState.EFFECTIVE

    play(tmp_path, act)


@pytest.mark.parametrize("away", [False, True], ids=["there", "away_meanwhile"])
def test_what_was_refused_is_told_no_longer_than_it_is_asked_for(tmp_path: Path, *, away: bool) -> None:
    async def act(bench: Bench) -> None:
        bench.home.faults.inject("battery", "refuse_writes")
        await asyncio.sleep(2)
        await bench.keep_asking("battery", SETPOINT, 2000.0, 5)
        assert bench.outcome("battery").state is WriteState.REFUSED
        if away:
            bench.home.faults.clear("battery", "refuse_writes")
            bench.home.faults.inject("battery", "disconnect")
            await asyncio.sleep(10)
            bench.home.faults.clear("battery", "disconnect")
            await bench.until_health("battery", Health.ONLINE)
            assert bench.outcome("battery").state is WriteState.REFUSED
        for _ in range(40):
            bench.ask("battery", SETPOINT, None)
            await asyncio.sleep(1)
        assert bench.outcome("battery").state is WriteState.RELEASED

    play(tmp_path, act)


def test_a_device_that_forgets_what_is_written_refuses_and_nobody_else_is_blamed(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        await bench.keep_asking("battery", SETPOINT, 2000.0, 5)
        bench.home.faults.inject("battery", "freeze")
        await asyncio.sleep(2)
        for _ in range(10):
            await bench.keep_asking("battery", SETPOINT, -1500.0, 10)
            assert bench.outcome("battery").state is WriteState.REFUSED
        assert "the device holds 2000" in bench.outcome("battery").detail
        bench.home.faults.clear("battery", "freeze")
        await bench.keep_asking("battery", SETPOINT, -1500.0, 40)
        assert bench.outcome("battery").state is WriteState.EFFECTIVE

    play(tmp_path, act)


def test_read_only_is_hard(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        before = bench.home.truth().battery_w
        await bench.keep_asking("battery", SETPOINT, 4000.0, 10)
        assert abs(bench.home.truth().battery_w - 4000) > 500, before
        assert bench.board.outcomes() == () or bench.outcome("battery").state is WriteState.BLOCKED

    play(tmp_path, act, read_only=True)


def test_stopping_hands_every_control_back(tmp_path: Path) -> None:
    homes: list[Bench] = []

    async def act(bench: Bench) -> None:
        homes.append(bench)
        bench.ask("car", Control.EV_LIMIT_A, 8.0)
        bench.ask("pv", Control.PV_LIMIT_W, 1000.0)
        await bench.keep_asking("battery", SETPOINT, 2000.0, 5)

    play(tmp_path, act)
    assert {o.resource_id: o.state for o in homes[0].board.outcomes()} == dict.fromkeys(
        ("battery", "car", "pv"), WriteState.RELEASED
    )
