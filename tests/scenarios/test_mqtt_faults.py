"""Faults F25 to F29 over real brokers: Mosquitto as people run it, and the embedded one."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cem.driver import Complains, Control, NoAnswer
from cem_drivers.mqtt.broker import BROKERS
from cem_drivers.mqtt.inbound import MOST
from support.brokers import MOSQUITTO, Broker, broker_of, with_our_rules
from support.mqtt_house import PLUG, ROD, Peer, at_broker, peer
from support.waiting import until

ON = Control.LOAD_ON
NO_MOSQUITTO = "no Mosquitto on this machine: apt-get install mosquitto"
mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
every_broker = pytest.mark.parametrize("kind", ["embedded", pytest.param("mosquitto", marks=mosquitto)])
BACK_S = 30.0


def _play(broker: Broker, act: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await broker.start()
        try:
            await act()
        finally:
            await broker.stop()

    asyncio.run(main())


class Rogue:
    """Somebody else at the broker, who says what he likes."""

    def __init__(self, port: int, login: tuple[str, str] | None = None) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2)
        if login is not None:
            self.client.username_pw_set(*login)
        self.client.max_inflight_messages_set(1000)
        self.client.connect("127.0.0.1", port, keepalive=10)
        self.client.loop_start()

    async def say(self, topic: str, payload: str | bytes, qos: int = 1, retain: bool = False) -> None:
        """Publishes, and waits until the broker has it."""
        told = self.client.publish(topic, payload, qos=qos, retain=retain)
        await asyncio.to_thread(told.wait_for_publish, 10)

    async def close(self) -> None:
        """Leaves."""
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


@every_broker
def test_f25_a_broker_that_restarts_is_found_again_and_nothing_of_the_time_between_counts(
    kind: str, tmp_path: Path
) -> None:
    broker = broker_of(kind, tmp_path)

    async def act() -> None:
        plug, rod = peer(PLUG, broker.port), peer(ROD, broker.port)
        async with at_broker(plug, rod):
            await plug.power()
            await rod.power()
            await broker.stop()
            for one in (plug, rod):
                await until(lambda one=one: _silent(one))  # type: ignore[misc]
                with pytest.raises(NoAnswer):
                    await one.device.write("load", ON, 1.0)
            heard = [len(one.simulated.heard) for one in (plug, rod)]
            back_s = time.monotonic()
            await broker.start()
            for one in (plug, rod):
                reading = await one.power()
                assert back_s <= reading.taken_at_s <= back_s + BACK_S
            assert [len(one.simulated.heard) for one in (plug, rod)] == heard, "a command of the time between came late"
            await plug.device.write("load", ON, 1.0)
            assert (await plug.power(lambda reading: reading.value == 1800.0)).value == 1800.0

    _play(broker, act)


def _silent(one: Peer) -> bool:
    broker = one.device._broker  # type: ignore[attr-defined]
    return broker is None or not broker.connected


@every_broker
def test_f26_a_retained_measurement_of_a_dead_device_is_never_a_value(kind: str, tmp_path: Path) -> None:
    broker = broker_of(kind, tmp_path)

    async def act() -> None:
        rogue = Rogue(broker.port)
        kept = {"rod/status": "online", "rod/sensor/power/state": "9999", "rod/switch/relay/state": "ON"}
        kept["homeassistant/switch/rod/relay/config"] = json.dumps({"dev": {"ids": ROD[2], "mdl": "x", "sw": "y"}})
        for topic, payload in kept.items():
            await rogue.say(topic, payload, retain=True)
        rod = peer(ROD, broker.port)
        assert (await rod.device.open()).serial == ROD[2]
        await until(lambda: rod.device._listener.messages.holds("sensor/{power}/state"))  # type: ignore[attr-defined]
        assert await rod.readings() == {}
        await rogue.say("rod/status", "offline", retain=True)
        await until(lambda: rod.device._listener.messages.payload("status") == "offline")  # type: ignore[attr-defined]
        with pytest.raises(NoAnswer, match="says that it is gone"):
            await rod.device.poll()
        with pytest.raises(NoAnswer):
            await rod.device.write("load", ON, 1.0)
        await rod.device.close()
        await rogue.close()

    _play(broker, act)


NONSENSE = (
    *(b"{{{", b"NaN", b"Infinity", b"\xff\xfe\x00", b"[" * 3000, b'{"a":' * 500 + b"1" + b"}" * 500),
    *(b"x" * 70_000, b"\x00" * 2_000_000, b'"12,5 W"', b"[[1],[2]]", b"true", b'{"power":"a lot"}'),
)


@every_broker
def test_f27_nonsense_on_a_topic_costs_that_topic_alone(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_of(kind, tmp_path)

    async def act() -> None:
        rod, plug = peer(ROD, broker.port), peer(PLUG, broker.port)
        rogue = Rogue(broker.port)
        async with at_broker(rod, plug):
            await rod.power(lambda reading: reading.value == 0.0)
            rod.simulated.silent = True  # so that all that comes on its topics is the rogue's
            for payload in NONSENSE * 3:
                await rogue.say("rod/sensor/power/state", payload)
            await rogue.say("rod/switch/relay/state", "ON")
            await rod.reads("state", "on")
            assert isinstance(rod.device, Complains)
            assert isinstance(plug.device, Complains)
            complaint = rod.device.complaint
            assert complaint is not None
            assert complaint.says == "What comes on rod/sensor/power/state can't be read"
            assert plug.device.complaint is None
            power = (await rod.readings()).get("power_w")
            assert power is None or power.value in {None, 0.0}
            assert isinstance((await plug.power()).value, float)
        await rogue.close()

    with caplog.at_level(logging.WARNING):
        _play(broker, act)
    told = [record.getMessage() for record in caplog.records if "sensor/power/state" in record.getMessage()]
    assert any("not listened to for 60 s" in line for line in told), told
    assert len(told) <= 3, "one line for the first, one for being muted"


@mosquitto
def test_f27_a_device_can_say_nothing_in_anothers_name_with_the_rules_that_we_ship(tmp_path: Path) -> None:
    users = {"cem": "of-the-gateway", "rod": "of-the-rod", "plug": "of-the-plug", "zigbee2mqtt": "of-the-bridge"}
    broker = with_our_rules(tmp_path, users)

    async def act() -> None:
        rod = peer(ROD, broker.port, ("rod", users["rod"]), **_login(tmp_path, users["cem"]))
        plug = peer(PLUG, broker.port, ("plug", users["plug"]), **_login(tmp_path, users["cem"]))
        rogue = Rogue(broker.port, ("plug", users["plug"]))
        async with at_broker(rod, plug):
            await rogue.say("rod/sensor/power/state", "9999")
            await rogue.say("rod/switch/relay/command", "ON")
            await rogue.say("stat/rod/POWER", "ON")
            await plug.device.write("load", ON, 1.0)
            await rod.device.write("load", ON, 1.0)
            await rod.power(lambda reading: reading.value == 1800.0)
            assert rod.simulated.heard == [("rod/switch/relay/command", "ON")], "the gateway's own word alone"
            assert plug.simulated.heard == [("cmnd/plug/POWER", "ON")]
        await rogue.close()
        stranger = peer(PLUG, broker.port, None, timeout_s=0.5)
        with pytest.raises(NoAnswer, match="no connection to the broker"):
            await stranger.device.open()

    _play(broker, act)


def _login(folder: Path, password: str) -> dict[str, str | float]:
    file = folder / "broker.password"
    file.touch(0o600)
    file.write_text(password + "\n")
    return {"username": "cem", "password_file": str(file)}


@every_broker
def test_f28_in_a_flood_the_newest_value_wins_and_no_other_device_is_forgotten(kind: str, tmp_path: Path) -> None:
    broker = broker_of(kind, tmp_path)
    count = 3000 if kind == "mosquitto" else 400

    async def act() -> None:
        rod, plug = peer(ROD, broker.port), peer(PLUG, broker.port)
        rogue = Rogue(broker.port)
        async with at_broker(rod, plug):
            await rod.power()
            rod.simulated.silent = True
            waiting = BROKERS.take(rod.device._config.link, 1883, rod.device._context)  # type: ignore[attr-defined]
            inbound = waiting._port._inbound  # type: ignore[attr-defined]
            for number in range(count):
                rogue.client.publish("rod/sensor/power/state", str(number), qos=0)
                if number % 500 == 0:
                    assert len(inbound) <= MOST
                    await asyncio.sleep(0)
            await rogue.say("rod/sensor/power/state", str(count))
            assert (await rod.power(lambda reading: reading.value == float(count))).value == float(count)
            since_s = time.monotonic()
            await plug.power(lambda reading: reading.taken_at_s > since_s)
            await BROKERS.drop(waiting)
        await rogue.close()

    _play(broker, act)


@every_broker
def test_f29_what_comes_twice_or_too_late_changes_nothing(kind: str, tmp_path: Path) -> None:
    broker = broker_of(kind, tmp_path)

    async def act() -> None:
        plug = peer(PLUG, broker.port)
        rogue = Rogue(broker.port)

        def telegram(second: int, power_w: float) -> str:
            energy = {"Total": 1.0, "Power": power_w}
            return json.dumps({"StatusSNS": {"Time": f"2026-06-15T13:00:{second:02d}", "ENERGY": energy}})

        async with at_broker(plug):
            await plug.power()
            plug.simulated.silent = True
            for second, power_w in ((30, 300.0), (28, 280.0), (30, 300.0), (29, 290.0)):
                await rogue.say("stat/plug/STATUS10", telegram(second, power_w))
            await rogue.say("stat/plug/POWER", "ON")
            await plug.reads("state", "on")
            assert (await plug.readings())["power_w"].value == 300.0
            await rogue.say("stat/plug/STATUS10", telegram(31, 310.0))
            assert (await plug.power(lambda reading: reading.value == 310.0)).value == 310.0
        await rogue.close()

    _play(broker, act)
