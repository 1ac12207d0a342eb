"""A broker without sockets or threads: delivery by the event loop's call_soon, in the order of publishing."""

import asyncio
from collections.abc import Callable

from hw_sim.topics import OnConnection, OnMessage, matches

Will = tuple[str, bytes]
_MOST_WAYS = 4096


class MemoryClient:
    """One client of a MemoryBroker. `will` (topic, payload) is published retained if the connection breaks."""

    def __init__(self, broker: "MemoryBroker", will: Will | None) -> None:
        self.will = will
        self.connected = False
        self.wants = False
        self._broker = broker
        self._filters: list[str] = []
        self._on_message: OnMessage | None = None
        self._on_connection: OnConnection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._coming: list[tuple[str, bytes, bool]] = []

    async def start(self, on_message: OnMessage, on_connection: OnConnection) -> None:
        """Connects as soon as the broker is up; on_connection comes by the event loop."""
        self._on_message, self._on_connection = on_message, on_connection
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # nothing arrives from one that ended
            self._loop, self._coming = loop, []
        self.wants = True
        self._broker.join(self)

    def subscribe(self, topic_filter: str) -> None:
        """Subscribes; retained messages under the filter follow at once, marked as retained."""
        if not self.connected:
            return
        if topic_filter not in self._filters:
            self._filters.append(topic_filter)
            self._broker.forget_ways()
        self._broker.replay(self, topic_filter)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """False where not connected; then nothing is sent, now or later."""
        if not self.connected:
            return False
        self._broker.spread(topic, payload, retain)
        return True

    async def stop(self) -> None:
        """Leaves cleanly: no will."""
        self.wants = False
        self.set_connected(False)

    def drop(self) -> None:
        """The connection breaks: the will is published; the client does not come back by itself."""
        if not self.connected:
            return
        self.wants = False
        self.set_connected(False)
        if self.will is not None:
            self._broker.spread(self.will[0], self.will[1], retain=True)

    def set_connected(self, connected: bool) -> None:
        """For the broker: the connection comes or goes."""
        if connected == self.connected:
            return
        self.connected = connected
        self._filters.clear()
        self._broker.forget_ways()
        if self._on_connection is not None:
            self._soon(self._on_connection, connected)

    def takes(self, topic: str) -> bool:
        """For the broker: whether a topic is subscribed to."""
        return self.connected and any(matches(topic_filter, topic) for topic_filter in self._filters)

    def send(self, topic: str, payload: bytes, retained: bool) -> None:
        """For the broker: a message is on its way to it."""
        self._coming.append((topic, payload, retained))
        if len(self._coming) == 1:
            self._soon(self._arrive)

    def _soon(self, call: Callable[..., None], *given: object) -> None:
        assert self._loop is not None
        self._loop.call_soon(call, *given)

    def _arrive(self) -> None:
        coming, self._coming = self._coming, []
        for message in coming:
            self.deliver(*message)

    def deliver(self, topic: str, payload: bytes, retained: bool) -> None:
        """Hands one message over; one that overtakes a disconnect is lost, as on a socket."""
        if self.connected and self._on_message is not None:
            self._on_message(topic, payload, retained)


class MemoryBroker:
    """Topics, retained messages, and who listens."""

    def __init__(self) -> None:
        self.up = True
        self.retained: dict[str, bytes] = {}
        self._clients: list[MemoryClient] = []
        self._ways: dict[str, list[MemoryClient]] = {}  # topic to those who hear it, as far as already asked for

    def client(self, will: Will | None = None) -> MemoryClient:
        """A new client, not yet started."""
        return MemoryClient(self, will)

    def join(self, client: MemoryClient) -> None:
        """For the client: connects it if the broker is up."""
        if client not in self._clients:
            self._clients.append(client)
        if self.up:
            client.set_connected(True)

    def set_up(self, up: bool) -> None:
        """Takes the broker down (all clients lose the connection) or up again (all come back); retained ones stay."""
        self.up = up
        for client in self._clients:
            client.set_connected(up and client.wants)

    def replay(self, client: MemoryClient, topic_filter: str) -> None:
        """For the client: the retained messages under a filter."""
        for topic, payload in self.retained.items():
            if matches(topic_filter, topic):
                client.send(topic, payload, True)

    def spread(self, topic: str, payload: bytes, retain: bool) -> None:
        """For the client: keeps and delivers a message; an empty retained payload deletes (MQTT 3.1.1, 3.3.1.3)."""
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        ways = self._ways.get(topic)
        if ways is None:
            if len(self._ways) >= _MOST_WAYS:
                self._ways.clear()
            ways = self._ways[topic] = [client for client in self._clients if client.takes(topic)]
        for client in ways:
            client.send(topic, payload, False)

    def forget_ways(self) -> None:
        """For the client: who hears what has changed."""
        self._ways.clear()
