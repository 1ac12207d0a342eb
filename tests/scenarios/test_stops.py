"""Stopping: SIGTERM hands every device back at once; after SIGKILL `cem release` or the devices' own timers do it."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cem.io.virtual import VirtualClock, run_virtual
from cem.model.request import RequestKind
from cem.model.resource import Control
from support.devices import Bench, running
from support.mqtt_client import MqttEar
from support.stand import WALLBOX, Stand, device, stand
from support.waiting import until_blocking

STOPPED_WITHIN_S = 5.0
REVERT_S = 60  # what the drivers arm in inverter and battery
CONTROLS = {"pv.limit_w", "battery.setpoint_w", "ev.limit_a"}


def _steered(house: Stand) -> MqttEar:
    """Battery, roof and car all under our control, as they say themselves."""
    house.start()
    house.limit(0.0, side="EXPORT")
    house.client.request("car", RequestKind.PAUSE, datetime.now(UTC) + timedelta(hours=1))
    ear = MqttEar(house.ports["mqtt"], f"{WALLBOX}/frc")
    until_blocking(
        lambda: house.sun_limited() == 1 and house.storage_control() != 0 and ear.value(f"{WALLBOX}/frc") == 1
    )
    return ear


def _handed_back(house: Stand, ear: MqttEar) -> bool:
    return house.storage_control() == 0 and house.sun_limited() == 0 and ear.value(f"{WALLBOX}/frc") == 0


def test_sigterm_hands_every_device_back_within_five_seconds(tmp_path: Path) -> None:
    with stand(tmp_path, battery_pct=100) as house:
        ear = _steered(house)
        began = time.monotonic()
        assert house.gateway.terminate() == 0
        took = time.monotonic() - began
        until_blocking(lambda: _handed_back(house, ear), within_s=2)
        ear.close()
        assert took < STOPPED_WITHIN_S
        assert not (tmp_path / "cem.sock").exists()
        assert "Traceback" not in house.gateway.words()


def test_sigterm_is_obeyed_while_nothing_answers(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        proxies = [house.detour(name) for name in ("meter", "inverter", "battery", "mqtt", "vtn")]
        house.start()
        for proxy in proxies:
            proxy.say("blackhole")
        house.until(lambda status: any(alarm.id == "device.storage" for alarm in status.alarms))
        began = time.monotonic()
        assert house.gateway.terminate() == 0
        assert time.monotonic() - began < STOPPED_WITHIN_S + 2, "the hand-back is bounded, then the process ends"
        assert "Traceback" not in house.gateway.words()


def test_release_after_a_kill_hands_back_and_tells_each(tmp_path: Path) -> None:
    with stand(tmp_path, battery_pct=100) as house:
        ear = _steered(house)
        refused = house.command("release")
        assert refused.returncode == 2
        assert "a gateway answers" in refused.stderr
        assert house.storage_control() != 0
        house.gateway.kill()
        assert house.storage_control() != 0
        done = house.command("release", "--json")
        results = json.loads(done.stdout)
        assert done.returncode == 0, done.stdout
        assert {result["control"] for result in results} == CONTROLS
        assert all(result["ok"] for result in results)
        until_blocking(lambda: _handed_back(house, ear), within_s=2)
        ear.close()


def test_release_names_what_it_cannot_reach_in_bounded_time_and_hands_back_the_rest(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        proxy = house.detour("battery")
        house.home.start()
        proxy.say("blackhole")
        began = time.monotonic()
        done = house.command("release")
        assert time.monotonic() - began < 9
        assert done.returncode == 1
        marks = {line.split(":")[0] for line in done.stdout.splitlines()}
        assert marks == {"ok   Roof inverter", "FAIL Cellar battery", "ok   Wallbox"}
        assert "no answer" in next(line for line in done.stdout.splitlines() if line.startswith("FAIL"))


def test_after_a_kill_battery_and_roof_fall_back_by_their_own_timers(tmp_path: Path) -> None:
    async def act(bench: Bench) -> None:
        for _ in range(5):
            bench.ask("battery", Control.BATTERY_SETPOINT_W, 3000.0)
            bench.ask("pv", Control.PV_LIMIT_W, 500.0)
            await asyncio.sleep(1)
        steered = bench.home.truth()
        assert abs(steered.battery_w - 3000) < 200
        assert abs(steered.pv_w) < 550
        for name in ("battery", "inverter"):
            bench.home.faults.inject(name, "silence")  # as from a dead gateway, nothing reaches the device any more
        await asyncio.sleep(REVERT_S + 5)
        alone = bench.home.truth()
        assert abs(alone.pv_w) > 1000
        assert abs(alone.grid_w) < 100 or abs(alone.battery_w) > 4900, "the battery steers for self-consumption"
        for name in ("battery", "inverter"):
            bench.home.faults.clear(name, "silence")

    async def main(clock: VirtualClock) -> None:
        async with running(clock, tmp_path) as bench:
            await act(bench)

    run_virtual(main, datetime(2026, 6, 15, 10, 0, tzinfo=UTC))


@pytest.mark.slow
def test_after_a_kill_the_devices_themselves_fall_back_within_their_timers(tmp_path: Path) -> None:
    with stand(tmp_path, battery_pct=100) as house:
        ear = _steered(house)
        told = device(house.until(lambda _: True), "storage").if_i_die
        assert f"{REVERT_S} s" in told
        house.gateway.kill()
        until_blocking(lambda: house.storage_control() == 0 and house.sun_limited() == 0, within_s=REVERT_S + 3)
        ear.close()
