"""A listener on a broker in memory that keeps the last value of each topic."""

import json
from typing import Any

from hw_sim.memory_broker import MemoryBroker


class Watcher:
    """Hears everything; `values` maps a topic's last part to its JSON value, `texts` to the raw text."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.client = broker.client()
        self.texts: dict[str, str] = {}
        self.log: list[tuple[str, str, bool]] = []

    async def start(self) -> "Watcher":
        """Connects and subscribes to all topics."""

        def joined(connected: bool) -> None:
            if connected:
                self.client.subscribe("#")

        await self.client.start(self._message, joined)
        return self

    def _message(self, topic: str, payload: bytes, retained: bool) -> None:
        key = topic.split("/", 2)[-1]
        self.texts[key] = payload.decode()
        self.log.append((key, payload.decode(), retained))

    def __getitem__(self, key: str) -> Any:
        return json.loads(self.texts[key])
