"""The VTN's way to the broker: what was published while the broker was away arrives once it is there."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cem.io.mqtt_publisher import Broker, MqttPublisher
from cem.model.errors import GridError
from hw_sim.broker import EmbeddedBroker


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def _subscribed(port: int, count: int) -> tuple[paho.Client, asyncio.Future[list[str]]]:
    """A client that is subscribed; the future holds the first payloads."""
    loop, got = asyncio.get_running_loop(), list[str]()
    ready, done = loop.create_future(), loop.create_future()

    def note(payload: str) -> None:
        got.append(payload)
        if len(got) == count:
            done.set_result(got)

    def say(what: Any, *values: object) -> None:
        loop.call_soon_threadsafe(what, *values)

    def enter(client: paho.Client, *_: Any) -> None:
        client.subscribe("t/#", qos=1)

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect = enter
    client.on_subscribe = lambda *_: say(ready.set_result, None)
    client.on_message = lambda *a: say(note, a[2].payload.decode())
    client.connect_async("127.0.0.1", port)
    client.loop_start()
    async with asyncio.timeout(5):
        await ready
    return client, done


async def _gate(port: int, broker: EmbeddedBroker) -> asyncio.Server:
    """Opens a second door to a broker."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            writer.write(data)
        writer.close()

    async def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(broker.host, broker.port)
        await asyncio.gather(carry(reader, inner_writer), carry(inner_reader, writer))

    return await asyncio.start_server(enter, "127.0.0.1", port)


def test_notifications_wait_for_a_broker_that_is_away_at_the_start() -> None:
    async def main() -> None:
        broker, port = EmbeddedBroker(), _free_port()
        await broker.start()
        reader, done = await _subscribed(broker.port, 3)
        publisher = MqttPublisher(Broker(f"mqtt://127.0.0.1:{port}"))
        await asyncio.to_thread(publisher.start)
        publisher.publish([("t/1", b"one"), ("t/2", b"two")])
        assert not await publisher.publish_and_wait([("t/3", b"three")], 0.05)
        gate = await _gate(port, broker)
        try:
            async with asyncio.timeout(10):
                assert await done == ["one", "two", "three"]
        finally:
            await asyncio.to_thread(publisher.stop)
            reader.disconnect()
            await asyncio.to_thread(reader.loop_stop)
            gate.close()
            await broker.stop()

    asyncio.run(main())


def test_a_password_file_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    publisher = MqttPublisher(Broker("mqtts://broker.test", "vtn", tmp_path / "none"))
    with pytest.raises(GridError, match="check the password file"):
        publisher.start()
    publisher.stop()


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("mqtt://broker.test", ("broker.test", 1883, False)),
        ("mqtts://broker.test", ("broker.test", 8883, True)),
        ("mqtts://[::1]:1234/", ("::1", 1234, True)),
    ],
)
def test_a_brokers_address_is_read(uri: str, expected: tuple[str, int, bool]) -> None:
    assert Broker(uri).host_and_port() == expected


@pytest.mark.parametrize("uri", ["broker.test", "http://broker.test", "mqtt://", "mqtt://b/path", "mqtt://b:x"])
def test_a_wrong_address_of_a_broker_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"mqtt|[Pp]ort"):
        Broker(uri).host_and_port()
