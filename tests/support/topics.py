"""A broker in memory for driver tests, and a charger on it that says only what a test tells it to say."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from cem.driver import ConnectionSink, MessageSink


def _matches(topic_filter: str, topic: str) -> bool:
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if wanted[-1] == "#":
        wanted, levels = wanted[:-1], levels[: len(wanted) - 1]
    return len(wanted) == len(levels) and all(w in ("+", level) for w, level in zip(wanted, levels, strict=True))


class ScriptedTopics:
    """A TopicPort over a dictionary of retained messages. `published` is what the other side sent."""

    def __init__(self, retained: dict[str, str] | None = None) -> None:
        self.retained = dict(retained or {})
        self.published: list[tuple[str, str]] = []
        self.react: Callable[[str, str], None] = lambda _topic, _payload: None
        self.connected = False
        self.starts = 0
        self._filters: list[str] = []
        self._on_message: MessageSink | None = None
        self._on_connection: ConnectionSink | None = None

    async def start(self, on_message: MessageSink, on_connection: ConnectionSink) -> None:
        """Connects with the next turn of the loop."""
        self.starts += 1
        self._on_message, self._on_connection = on_message, on_connection
        asyncio.get_running_loop().call_soon(self.connect, True)

    def connect(self, connected: bool) -> None:
        """The connection comes or goes."""
        self.connected = connected
        self._filters.clear()
        if self._on_connection is not None:
            self._on_connection(connected)

    def subscribe(self, topic_filter: str) -> None:
        """Subscribes; retained messages follow."""
        self._filters.append(topic_filter)
        for topic, payload in self.retained.items():
            if _matches(topic_filter, topic) and self._on_message is not None:
                self._on_message(topic, payload.encode(), True)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """What the driver sends."""
        if not self.connected:
            return False
        self.published.append((topic, payload.decode()))
        self.react(topic, payload.decode())
        return True

    async def stop(self) -> None:
        """Disconnects."""
        self.connected = False
        self._on_message = self._on_connection = None

    def say(self, topic: str, value: Any) -> None:
        """A live message of the device, retained by the broker for others."""
        self.retained[topic] = json.dumps(value)
        self.tell(topic, self.retained[topic])

    def tell(self, topic: str, payload: str) -> None:
        """A live message that nobody retains."""
        if self.connected and self._on_message is not None and any(_matches(f, topic) for f in self._filters):
            self._on_message(topic, payload.encode(), False)
