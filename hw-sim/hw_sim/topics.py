"""The small interface to a broker on which the simulated charger speaks, in memory or real."""

from typing import Protocol


class OnMessage(Protocol):
    """Called for each message that arrives."""

    def __call__(self, topic: str, payload: bytes, retained: bool) -> None: ...


class OnConnection(Protocol):
    """Called when the connection to the broker comes (True) or goes (False)."""

    def __call__(self, connected: bool) -> None: ...


class TopicLink(Protocol):
    """A connection to a broker; callbacks run in the event loop."""

    async def start(self, on_message: OnMessage, on_connection: OnConnection) -> None:
        """Starts connecting and returns at once; keeps reconnecting until `stop`."""

    def subscribe(self, topic_filter: str) -> None:
        """Subscribes; to be repeated after each on_connection(True)."""

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Sends if connected and says whether it did; nothing is queued for later."""

    async def stop(self) -> None:
        """Disconnects cleanly; never raises; harmless when repeated."""


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter with + and # (MQTT 3.1.1, 4.7)."""
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    wanted, given = topic_filter.split("/"), topic.split("/")
    for i, part in enumerate(wanted):
        if part == "#":
            return True
        if i >= len(given) or part not in {"+", given[i]}:
            return False
    return len(wanted) == len(given)
