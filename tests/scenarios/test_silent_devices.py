"""A device or the broker stops answering: it is named with what to do, the others go on, it comes back by itself."""

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cem.model.request import RequestKind
from cem.model.setpoint import Health, Mode
from cem.model.status import Status
from support.brokers import MOSQUITTO
from support.mqtt_client import MqttEar
from support.stand import WALLBOX, Stand, all_online, all_well, device, stand
from support.waiting import until_blocking

SAFE_WITHIN_S = 6.0  # the meter's values are stale after 3 s, whatever its link does
NOTICED_S = 15.0  # an answer missed (1 s), then an opening that fails (8 s at most), with two ticks to spare
BROKER_BACK_S = 30.0


def test_a_silent_meter_makes_the_battery_idle_and_heals_by_itself(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        proxy = house.detour("meter")
        house.start()
        proxy.say("blackhole")
        house.until(lambda status: status.mode is Mode.SAFE, within_s=SAFE_WITHIN_S)
        safe = house.until(lambda status: status.mode is Mode.SAFE and _named(status, "meter"), within_s=NOTICED_S)
        alarm = next(alarm for alarm in safe.alarms if alarm.id == "device.meter")
        assert alarm.severity == "alarm"
        assert alarm.cause.startswith("Grid meter: no answer")
        assert "battery idles" in alarm.effect
        assert alarm.advice.startswith("Check power, cable, address")
        shown = house.command("status")
        assert shown.returncode == 1
        words = " ".join(shown.stdout.split())
        assert alarm.effect in words
        assert alarm.advice in words
        _others_keep_their_rate(house, "meter")
        still = house.until(lambda _: _battery_w(house) <= 20)
        assert next(r.setpoint for d in still.devices for r in d.resources if r.id == "battery") == "idle"
        proxy.say("heal")
        house.until(lambda status: all_well(status) and status.mode is Mode.NORMAL and not status.alarms)


def test_a_battery_that_drops_its_connections_is_named_and_taken_up_again(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        proxy = house.detour("battery")
        house.start()
        house.until(lambda _: house.storage_control() != 0)
        proxy.say("cut")
        lost = house.until(lambda status: _named(status, "storage"), within_s=NOTICED_S)
        found = device(lost, "storage")
        assert found.health is Health.SILENT
        assert "no connection" in found.detail
        assert found.advice
        assert lost.mode is Mode.NORMAL
        _others_keep_their_rate(house, "storage")
        proxy.say("heal")
        house.until(all_well)
        house.until(lambda status: not status.alarms)


REAL = [
    pytest.mark.slow,
    pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto on this machine: apt-get install mosquitto"),
]


@pytest.mark.parametrize(
    ("how", "mosquitto"),
    [
        ("kill", None),
        pytest.param("blackhole", None, marks=pytest.mark.slow),
        pytest.param("kill", MOSQUITTO, marks=REAL, id="kill-mosquitto"),
        pytest.param("blackhole", MOSQUITTO, marks=REAL, id="blackhole-mosquitto"),
    ],
)
def test_a_lost_broker_silences_the_charger_and_no_command_outlives_it(
    tmp_path: Path, how: str, mosquitto: str | None
) -> None:
    with stand(tmp_path, broker_apart=True, mosquitto=mosquitto) as house:
        house.broker.start()
        proxy = house.detour("mqtt")
        house.start()
        if how == "kill":
            house.broker.kill()
        else:
            proxy.say("blackhole")
        lost = house.until(lambda status: _named(status, "charger"), within_s=25)
        assert "broker" in device(lost, "charger").detail or "no message" in device(lost, "charger").detail
        assert device(lost, "charger").advice
        until = datetime.now(UTC) + timedelta(minutes=30)
        pause = house.client.request("car", RequestKind.PAUSE, until)
        house.until(lambda status: pause in status.requests)
        _others_keep_their_rate(house, "charger")
        house.client.withdraw(pause.id)
        if how == "kill":
            house.broker.start()
        ear = MqttEar(house.ports["mqtt"], f"{WALLBOX}/+/set")
        until_blocking(lambda: ear.subscribed)
        if how == "blackhole":
            proxy.say("heal")
        house.until(all_online, within_s=BROKER_BACK_S)
        ear.close()
        assert (f"{WALLBOX}/frc/set", b"1") not in ear.all, "a pause of the time without a broker came late"


@pytest.mark.slow
def test_devices_that_hang_and_wake_up_again_are_taken_up_soon(tmp_path: Path) -> None:
    with stand(tmp_path) as house:
        house.start()
        for _ in range(3):
            os.kill(house.home.pid, signal.SIGSTOP)
            house.until(lambda status: all(_named(status, name) for name in ("meter", "inverter", "storage")))
            os.kill(house.home.pid, signal.SIGCONT)
            house.until(all_well)


@pytest.mark.slow
def test_a_broker_that_was_away_for_long_is_found_within_half_a_minute(tmp_path: Path) -> None:
    with stand(tmp_path, broker_apart=True) as house:
        house.broker.start()
        house.start()
        house.broker.kill()
        count = house.until(lambda status: _named(status, "charger")).tick.count
        house.until(lambda status: status.tick.count > count + 90, within_s=100)
        house.broker.start()
        house.until(lambda status: device(status, "charger").health is Health.ONLINE, within_s=BROKER_BACK_S)


@pytest.mark.slow
def test_a_battery_that_refuses_is_named_and_followed_later(tmp_path: Path) -> None:
    fault = '\n[[fault]]\ntarget = "battery"\nkind = "refuse_writes"\nat_s = 0\nfor_s = 20\n'
    with stand(tmp_path, faults=fault) as house:
        house.start()
        refused = house.until(lambda status: any(alarm.id == "write.battery" for alarm in status.alarms))
        alarm = next(alarm for alarm in refused.alarms if alarm.id == "write.battery")
        assert alarm.cause.startswith("Cellar battery") or alarm.cause.startswith("battery")
        assert alarm.advice
        house.until(lambda status: not status.alarms and house.storage_control() != 0, within_s=60)


def _named(status: Status, device_id: str) -> bool:
    return any(alarm.id == f"device.{device_id}" for alarm in status.alarms)


def _others_keep_their_rate(house: Stand, lost: str) -> None:
    """Over three ticks: every other device has values younger than two polls (the charger reports more seldom)."""
    count = house.until(lambda _: True).tick.count
    for later in range(1, 4):
        status = house.until(lambda status, due=count + later: status.tick.count >= due, within_s=3)  # type: ignore[misc]
        for other in status.devices:
            if other.id not in {lost, "charger"}:
                assert other.health is Health.ONLINE
                assert all(r.age_s is not None and r.age_s < 2.0 for r in other.resources), other


def _battery_w(house: Stand) -> int:
    """The battery's AC power as it counts it (model 103, W), without its sign."""
    raw = house.register("battery", 103, 12)
    return min(raw, 0x10000 - raw)
