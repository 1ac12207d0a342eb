"""The charger over a real broker and a real client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hw_sim.broker import EmbeddedBroker
from hw_sim.paho_link import PahoLink
from hw_sim.serve import ServedHome
from support.mqtt_client import MqttEar
from support.sim_homes import EV, METER, NIGHT, home
from support.waiting import until

TOPIC = "go-eCharger/000001"
QUICK_CAR = EV.replace("soc_pct = 35", "soc_pct = 35\nwake_s = 0.5\nfollow_s = 0.5")


@asynccontextmanager
async def running(served: ServedHome) -> AsyncIterator[tuple[ServedHome, MqttEar]]:
    async with served.listening():
        task = asyncio.create_task(served.run())
        addresses = served.addresses()
        mqtt = addresses["mqtt"]
        assert isinstance(mqtt, dict)
        ear = await asyncio.to_thread(MqttEar, mqtt["port"])
        try:
            yield served, ear
        finally:
            await asyncio.to_thread(ear.close)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_the_charger_is_heard_and_obeys_through_a_real_broker() -> None:
    async def main() -> None:
        async with running(ServedHome(home(QUICK_CAR, METER), NIGHT, step_s=0.05)) as (served, ear):
            await until(lambda: ear.value(f"{TOPIC}/sse") == "000001")
            await until(lambda: ear.value(f"{TOPIC}/mcc") is True)
            await until(lambda: ear.value(f"{TOPIC}/car") == 2)
            ear.say(f"{TOPIC}/amp/set", "7")
            await until(lambda: ear.heard.get(f"{TOPIC}/amp/result") == b"success")
            await until(lambda: ear.value(f"{TOPIC}/amp") == 7)
            await until(lambda: (ear.value(f"{TOPIC}/nrg") or [0] * 12)[11] == 3 * 230.0 * 7)
            assert served.simulation.truth().ev_w == pytest.approx(3 * 230.0 * 7)
            late = await asyncio.to_thread(MqttEar, int(ear.client.port))
            await until(lambda: late.value(f"{TOPIC}/amp") == 7)
            assert f"{TOPIC}/amp" in late.retained
            assert f"{TOPIC}/amp/result" not in late.heard
            await asyncio.to_thread(late.close)

    asyncio.run(main())


def test_the_will_tells_that_the_charger_is_gone_and_the_goodbye_too() -> None:
    async def main() -> None:
        broker = EmbeddedBroker()
        await broker.start()
        link = PahoLink("127.0.0.1", broker.port, "wallbox", (f"{TOPIC}/mcc", b"false"))
        ear = await asyncio.to_thread(MqttEar, broker.port)
        ups: list[bool] = []

        def heard(topic: str, payload: bytes, retained: bool) -> None:
            raise AssertionError(f"not subscribed, yet heard {topic} {payload!r} {retained}")

        def linked(connected: bool) -> None:
            ups.append(connected)

        try:
            await link.start(heard, linked)
            await until(lambda: ups == [True])
            assert link.publish(f"{TOPIC}/mcc", b"true", retain=True)
            await until(lambda: ear.value(f"{TOPIC}/mcc") is True)
            sock = link.socket()
            assert sock is not None
            sock.shutdown(2)  # the line breaks without a goodbye
            await until(lambda: ear.value(f"{TOPIC}/mcc") is False)
            await until(lambda: ups == [True, False, True])  # and it comes back by itself
            assert link.publish(f"{TOPIC}/mcc", b"true", retain=True)
        finally:
            await link.stop()
            assert link.publish(f"{TOPIC}/mcc", b"true") is False
            await asyncio.to_thread(ear.close)
            await broker.stop()

    asyncio.run(main())


def test_an_existing_broker_is_used_and_may_come_later() -> None:
    async def main() -> None:
        first = EmbeddedBroker()
        await first.start()
        port = first.port
        await first.stop()
        parts = EV + f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n'
        served = ServedHome(home(parts), NIGHT, step_s=0.05)
        async with served.listening():
            task = asyncio.create_task(served.run())
            await until(lambda: served.simulation.house.steps > 5)
            broker = EmbeddedBroker(port=port)
            await broker.start()
            ear = await asyncio.to_thread(MqttEar, port)
            await until(lambda: ear.value(f"{TOPIC}/sse") == "000001")
            await asyncio.to_thread(ear.close)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await broker.stop()

    asyncio.run(main())


def test_two_brokers_do_not_share_a_port() -> None:
    async def main() -> None:
        broker = EmbeddedBroker()
        await broker.start()
        try:
            with pytest.raises(OSError, match="can't listen"):
                await EmbeddedBroker(port=broker.port).start()
        finally:
            await broker.stop()

    asyncio.run(main())


def test_a_served_device_drops_off_the_network_and_comes_back_where_it_was() -> None:
    async def main() -> None:
        served = ServedHome(home(METER), NIGHT, step_s=0.02)
        async with served.listening():
            task = asyncio.create_task(served.run())
            devices = served.addresses()["devices"]
            assert isinstance(devices, dict)
            port = devices["meter"]["port"]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            served.simulation.faults.inject("meter", "disconnect")
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            served.simulation.faults.clear("meter", "disconnect")
            await until(lambda: bool(served.endpoint("meter").listening))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(bytes.fromhex("0001 0000 0006 01 03 9c40 0002"))
            async with asyncio.timeout(10):
                assert (await reader.readexactly(13))[9:] == b"SunS"
            writer.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
