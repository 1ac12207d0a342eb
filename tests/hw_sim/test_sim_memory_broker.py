"""The broker in memory behaves as MQTT 3.1.1 says, and deterministically."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hw_sim.memory_broker import MemoryBroker, MemoryClient
from hw_sim.topics import matches


class Listener:
    """Collects what a client hears."""

    def __init__(self, client: MemoryClient, *filters: str) -> None:
        self.client = client
        self.heard: list[tuple[str, bytes, bool]] = []
        self.links: list[bool] = []
        self._filters = filters

    async def start(self) -> "Listener":
        await self.client.start(self._message, self._connection)
        await settle()
        return self

    def _message(self, topic: str, payload: bytes, retained: bool) -> None:
        self.heard.append((topic, payload, retained))

    def _connection(self, connected: bool) -> None:
        self.links.append(connected)
        if connected:
            for topic_filter in self._filters:
                self.client.subscribe(topic_filter)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def run(main: Callable[[MemoryBroker], Awaitable[None]]) -> None:
    async def whole() -> None:
        await main(MemoryBroker())

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matching"),
    [
        ("a/b", "a/b", True),
        ("a/+", "a/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+/+", "/a", True),
        ("+", "/a", False),
        ("+/b/+", "a/b/c", True),
        ("a/b", "a", False),
        ("a", "a/b", False),
        ("#", "$SYS/x", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
    ],
)
def test_filters_match_as_the_standard_says(topic_filter: str, topic: str, matching: bool) -> None:
    assert matches(topic_filter, topic) is matching


def test_retained_messages_come_at_subscribing_and_are_marked() -> None:
    async def main(broker: MemoryBroker) -> None:
        sender = await Listener(broker.client()).start()
        assert sender.client.publish("a/1", b"old", retain=True)
        assert sender.client.publish("a/1", b"new", retain=True)
        assert sender.client.publish("a/2", b"live")
        assert sender.client.publish("a/3", b"gone", retain=True)
        assert sender.client.publish("a/3", b"", retain=True)
        listener = await Listener(broker.client(), "a/+").start()
        assert listener.heard == [("a/1", b"new", True)]
        sender.client.publish("a/1", b"now", retain=True)
        await settle()
        assert listener.heard[1:] == [("a/1", b"now", False)]

    run(main)


def test_messages_arrive_in_the_order_of_publishing_and_only_once() -> None:
    async def main(broker: MemoryBroker) -> None:
        listener = await Listener(broker.client(), "a/#", "a/+").start()
        sender = await Listener(broker.client()).start()
        for i in range(20):
            sender.client.publish(f"a/{i % 3}", str(i).encode())
        assert listener.heard == []  # never inside publish
        await settle()
        assert [payload for _, payload, _ in listener.heard] == [str(i).encode() for i in range(20)]

    run(main)


def test_nothing_is_queued_while_disconnected() -> None:
    async def main(broker: MemoryBroker) -> None:
        listener = await Listener(broker.client(), "#").start()
        sender = await Listener(broker.client()).start()
        broker.set_up(False)
        await settle()
        assert (sender.links, listener.links) == ([True, False], [True, False])
        assert sender.client.publish("a", b"1") is False
        broker.set_up(True)
        await settle()
        assert sender.links == [True, False, True]
        assert listener.heard == []
        assert sender.client.publish("a", b"2") is True
        await settle()
        assert listener.heard == [("a", b"2", False)]

    run(main)


def test_the_will_is_published_on_a_break_and_not_on_a_goodbye() -> None:
    async def main(broker: MemoryBroker) -> None:
        listener = await Listener(broker.client(), "#").start()
        one = await Listener(broker.client(will=("one/up", b"false"))).start()
        two = await Listener(broker.client(will=("two/up", b"false"))).start()
        await one.client.stop()
        two.client.drop()
        await settle()
        assert listener.heard == [("two/up", b"false", False)]
        assert broker.retained == {"two/up": b"false"}
        assert (one.links[-1], two.links[-1]) == (False, False)

    run(main)


def test_a_client_starts_while_the_broker_is_down_and_is_picked_up() -> None:
    async def main(broker: MemoryBroker) -> None:
        broker.set_up(False)
        early = await Listener(broker.client(), "#").start()
        assert early.links == []
        broker.set_up(True)
        await settle()
        assert early.links == [True]

    run(main)
