"""`cem scan` at a broker with a password and our rules: what of it is suggested, and how sure."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cem.cli.scan import scan
from cem.commissioning.discover import discover
from cem.commissioning.targets import BrokerLogin, parse_target
from cem.driver import DriverContext
from cem_drivers.mqtt import DRIVER
from hw_sim.memory_broker import MemoryBroker
from support.brokers import MOSQUITTO, with_our_rules
from support.mqtt_house import PLUG, ROD, at_broker, peer

USERS = {"cem": "of-the-gateway", "rod": "of-the-rod", "plug": "of-the-plug"}


@pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto on this machine: apt-get install mosquitto")
def test_a_scan_behind_a_password_suggests_a_profile_for_each_device_and_commands_nothing(tmp_path: Path) -> None:
    broker = with_our_rules(tmp_path, USERS)
    password = tmp_path / "gateway.password"
    password.write_text(USERS["cem"])
    login: dict[str, str | float] = {"username": "cem", "password_file": str(password)}

    async def main() -> tuple[Result, Result, list[tuple[str, str]]]:
        await broker.start()
        plug = peer(PLUG, broker.port, ("plug", USERS["plug"]), **login)
        rod = peer(ROD, broker.port, ("rod", USERS["rod"]), **login)
        try:
            async with at_broker(plug, rod):
                call = [f"mqtt://127.0.0.1:{broker.port}", "--timeout", "1"]
                locked = await asyncio.to_thread(CliRunner().invoke, scan, [*call, "--timeout", "0.5"])
                entry = ["--mqtt-user", "cem", "--mqtt-password-file", str(password), "--json"]
                found = await asyncio.to_thread(CliRunner().invoke, scan, [*call, *entry])
                return locked, found, plug.simulated.heard + rod.simulated.heard
        finally:
            await broker.stop()

    locked, found, heard = asyncio.run(main())
    assert locked.exit_code == 1
    assert "wants a user and a password" in locked.stdout
    (sighting,) = json.loads(found.stdout)
    seen = {one["profile"]: one for one in sighting["found"]}
    assert set(seen) == {"tasmota.plug", "esphome.switch"}
    assert (seen["tasmota.plug"]["serial"], seen["tasmota.plug"]["confidence"]) == (PLUG[2], 0.9)
    assert seen["tasmota.plug"]["link"]["serial"] == "plug"
    assert (seen["esphome.switch"]["serial"], seen["esphome.switch"]["confidence"]) == (ROD[2], 0.5)
    assert seen["esphome.switch"]["link"]["username"] == "cem"
    assert heard == []


def test_a_sensor_that_could_be_anything_is_suggested_with_little_confidence() -> None:
    broker = MemoryBroker()
    told = {"dev_cla": "power", "dev": {"ids": "a1b2c3", "mdl": "esp32", "sw": "2025.4.0"}}
    broker.retained["homeassistant/sensor/attic/heat/config"] = json.dumps(told).encode()

    async def main() -> None:
        (link,) = parse_target("mqtt://memory")
        (sighting,) = await discover(
            [link], {"mqtt": DRIVER}, DriverContext(lambda: 0.0, topics=lambda _link: broker.client()), timeout_s=0.1
        )
        (found,) = sighting.found
        assert (found.profile, found.confidence) == ("esphome.meter", 0.3)
        assert (found.link["serial"], found.link["power"]) == ("attic", "heat")

    asyncio.run(main())


def test_a_login_is_for_brokers_alone_and_a_certificate_means_tls() -> None:
    login = BrokerLogin(username="cem", password_file="/x", ca_file="/ca")
    (broker,) = parse_target("mqtt://192.0.2.2:8883")
    assert login.of(broker) == {
        **{"kind": "mqtt", "host": "192.0.2.2", "port": 8883},
        **{"username": "cem", "password_file": "/x", "ca_file": "/ca", "tls": True},
    }
    (meter,) = parse_target("modbus://192.0.2.3")
    assert login.of(meter) == meter
    assert BrokerLogin().of(broker) == broker
