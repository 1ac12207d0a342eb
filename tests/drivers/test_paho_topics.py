"""The broker connection over paho on real bytes: order, retained flags, reconnecting, and nothing sent too late."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cem_drivers.mqtt.inbound import LARGEST, MOST, Inbound
from cem_drivers.mqtt.paho_topics import BrokerAddress, PahoTopics
from cem_drivers.mqtt.topics import matches
from hw_sim.broker import EmbeddedBroker


class _Ear:
    """Notes what a connection hears."""

    def __init__(self, port: int) -> None:
        self.topics = PahoTopics(BrokerAddress("127.0.0.1", port))
        self.messages: list[tuple[str, bytes, bool]] = []
        self.connections: list[bool] = []
        self._news = asyncio.Event()

    async def start(self, *filters: str) -> None:
        def connection(connected: bool) -> None:
            self.connections.append(connected)
            self._news.set()
            if connected:
                for topic_filter in filters:
                    self.topics.subscribe(topic_filter)

        def message(topic: str, payload: bytes, retained: bool) -> None:
            self.messages.append((topic, payload, retained))
            self._news.set()

        await self.topics.start(message, connection)

    async def until(self, done: Callable[[], bool], timeout_s: float = 8.0) -> None:
        """Waits for what is to be heard."""
        async with asyncio.timeout(timeout_s):
            while not done():
                self._news.clear()
                await self._news.wait()


def _with_broker(act: Callable[[EmbeddedBroker], Awaitable[None]]) -> None:
    async def main() -> None:
        broker = EmbeddedBroker()
        await broker.start()
        try:
            await act(broker)
        finally:
            await broker.stop()

    asyncio.run(main())


def test_messages_arrive_in_order_and_retained_ones_are_known_as_such() -> None:
    async def act(broker: EmbeddedBroker) -> None:
        mouth, ear = _Ear(broker.port), _Ear(broker.port)
        assert not mouth.topics.publish("a/0", b"too early")
        await mouth.start()
        await mouth.until(lambda: mouth.connections == [True])
        assert mouth.topics.publish("a/kept", b"old", retain=True)
        await ear.start("a/#")
        await ear.until(lambda: bool(ear.messages))
        for index in range(50):
            mouth.topics.publish("a/live", str(index).encode())
        await ear.until(lambda: len(ear.messages) == 51)
        assert ear.messages[0] == ("a/kept", b"old", True)
        assert ear.messages[1:] == [("a/live", str(index).encode(), False) for index in range(50)]
        await mouth.topics.stop()
        await ear.topics.stop()

    _with_broker(act)


def test_it_comes_back_by_itself_and_nothing_is_sent_afterwards() -> None:
    async def act(broker: EmbeddedBroker) -> None:
        both = _Ear(broker.port)
        await both.start("a/#")
        await both.until(lambda: both.connections == [True])
        await broker.stop()
        await both.until(lambda: both.connections[-1] is False)
        assert not both.topics.publish("a/stale", b"setpoint")
        await broker.start()
        await both.until(lambda: both.connections[-1] is True, 15.0)
        assert both.topics.publish("a/fresh", b"1")
        await both.until(lambda: bool(both.messages))
        assert both.messages == [("a/fresh", b"1", False)]
        await both.topics.stop()
        await both.topics.stop()

    _with_broker(act)


def test_beyond_the_bound_the_topic_that_floods_loses_its_oldest_and_no_other_loses_any() -> None:
    inbound = Inbound()
    assert inbound.put("quiet", b"first", True)
    for index in range(2 * MOST):
        assert not inbound.put("flood", str(index).encode(), False)
    assert not inbound.put("late", b"last", False)
    assert not inbound.put("late", b"x" * (LARGEST + 1), False)
    assert len(inbound) == MOST
    assert inbound.dropped == MOST + 3
    taken = inbound.take(1)
    while batch := inbound.take(100):
        taken += batch
    flood = [int(payload) for topic, payload, _ in taken if topic == "flood"]
    assert flood == list(range(2 * MOST - len(flood), 2 * MOST))
    assert [payload for topic, payload, _ in taken if topic == "late"] == [b"last"]
    assert len(inbound) == 0


def test_a_flood_of_topics_costs_the_oldest_and_payloads_are_bounded_together() -> None:
    inbound = Inbound()
    for index in range(MOST + 10):
        inbound.put(f"topic/{index}", b"1", False)
    assert inbound.take(1) == [("topic/10", b"1", False)]
    inbound.clear()
    for _ in range(40):
        inbound.put("large", b"x" * LARGEST, False)
    assert sum(1 for topic, _, _ in inbound.take(2 * MOST) if topic == "large") == 16


def test_an_unreadable_password_file_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        topics = PahoTopics(BrokerAddress("127.0.0.1", 1, "user", str(tmp_path / "missing")))
        with pytest.raises(OSError, match="missing"):
            await topics.start(lambda topic, payload, retained: None, lambda connected: None)
        await topics.stop()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/+/c", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("a/+/c", "a/b", False),
        ("+/sse", "x/sse", True),
        ("a/b", "a/c", False),
        ("#", "anything/at/all", True),
    ],
)
def test_filters_match_as_the_standard_says(topic_filter: str, topic: str, fits: bool) -> None:
    assert matches(topic_filter, topic) is fits
