"""One broker connection for all devices behind it: who wants which topics, counted."""

import asyncio
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from cem.driver import DriverContext, TopicPort
from cem_drivers.mqtt.paho_topics import BrokerAddress, PahoTopics
from cem_drivers.mqtt.topics import matches
from cem_drivers.table import LinkTable, flag, number, text

_LOG = logging.getLogger(__name__)
DEFAULT_PORT, TLS_PORT = 1883, 8883
OnMessage = Callable[[str, bytes, bool], None]
OnConnection = Callable[[bool], None]
MOST_WAYS = 4096
"""Topics whose listeners are remembered; a broker that makes up ever more of them fills no memory."""


@dataclass(eq=False, slots=True)
class Subscription:
    """One device's wish."""

    topic_filters: tuple[str, ...]
    on_message: OnMessage
    on_connection: OnConnection


class Broker:
    """A shared connection. Callbacks run in the event loop; a subscription is renewed after each reconnect."""

    def __init__(self, name: str, port: TopicPort) -> None:
        self.name = name
        self.connected = False
        self._port = port
        self._subscriptions: list[Subscription] = []
        self._ways: dict[str, tuple[Subscription, ...]] = {}  # topic to who hears it, as far as one came
        self._started = False

    async def subscribe(self, subscription: Subscription) -> None:
        """Adds a subscription, and connects with the first one."""
        self._subscriptions.append(subscription)
        self._ways.clear()
        if not self._started:
            self._started = True
            await self._port.start(self._take, self._connection)
        elif self.connected:
            self._renew(subscription)
            subscription.on_connection(True)

    def unsubscribe(self, subscription: Subscription) -> None:
        """Removes a subscription; harmless when repeated."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._ways.clear()

    def publish(self, topic: str, payload: bytes) -> bool:
        """Sends now or not at all; says which."""
        return self.connected and self._port.publish(topic, payload)

    async def stop(self) -> None:
        """Ends the connection."""
        self.connected = False
        await self._port.stop()

    def _connection(self, connected: bool) -> None:
        self.connected = connected
        for subscription in tuple(self._subscriptions):
            if connected:
                self._renew(subscription)
            subscription.on_connection(connected)

    def _renew(self, subscription: Subscription) -> None:
        for topic_filter in subscription.topic_filters:
            self._port.subscribe(topic_filter)

    def _take(self, topic: str, payload: bytes, retained: bool) -> None:
        ways = self._ways.get(topic)
        if ways is None:
            if len(self._ways) >= MOST_WAYS:
                self._ways.clear()
            ways = self._ways[topic] = tuple(
                subscription
                for subscription in self._subscriptions
                if any(matches(topic_filter, topic) for topic_filter in subscription.topic_filters)
            )
        for subscription in ways:
            subscription.on_message(topic, payload, retained)


@dataclass(slots=True)
class _Entry:
    broker: Broker
    holders: int = 0


@dataclass(slots=True)
class BrokerRegistry:
    """Broker connections by address and credentials, each belonging to one event loop."""

    _entries: dict[Hashable, _Entry] = field(default_factory=dict)

    def take(self, link: LinkTable, default_port: int, context: DriverContext) -> Broker:
        """The connection for a checked link table, made if nobody holds one; give it back with `drop`."""
        address = broker_address(link, default_port)
        key: Hashable = (asyncio.get_running_loop(), context.topics, address)
        entry = self._entries.get(key)
        if entry is None:
            port: TopicPort = PahoTopics(address) if context.topics is None else context.topics(link)
            entry = self._entries[key] = _Entry(Broker(f"{address.host}:{address.port}", port))
        entry.holders += 1
        return entry.broker

    async def drop(self, broker: Broker) -> None:
        """One holder less; the last one disconnects."""
        for key, entry in self._entries.items():
            if entry.broker is broker:
                entry.holders -= 1
                if entry.holders <= 0:
                    del self._entries[key]
                    await broker.stop()
                return


def broker_address(link: LinkTable, default_port: int = DEFAULT_PORT) -> BrokerAddress:
    """The broker of a checked link table."""
    if flag(link, "tls") and default_port == DEFAULT_PORT:
        default_port = TLS_PORT
    return BrokerAddress(
        host=text(link, "host", ""),
        port=int(number(link, "port", default_port)),
        username=text(link, "username", "") or None,
        password_file=text(link, "password_file", "") or None,
        tls=flag(link, "tls"),
        ca_file=text(link, "ca_file", "") or None,
        cert_file=text(link, "cert_file", "") or None,
        key_file=text(link, "key_file", "") or None,
    )


BROKERS = BrokerRegistry()
"""Every broker connection of this process."""


async def listened(broker: Broker, subscription: Subscription, timeout_s: float) -> None:
    """Listens for so long and lets go of the broker; what stands in the way is told, as a probe finds nothing then."""
    try:
        await broker.subscribe(subscription)
        await asyncio.sleep(timeout_s)
    except OSError as error:
        _LOG.warning("broker %s: %s; check password_file and ca_file", broker.name, error)
    finally:
        broker.unsubscribe(subscription)
        await BROKERS.drop(broker)
