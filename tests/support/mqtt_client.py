"""A paho client that keeps what it hears."""

import json
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


class MqttEar:
    """Subscribes to a filter at each connection; `heard` maps a topic to its last payload, `all` keeps each message."""

    def __init__(self, port: int, topic_filter: str = "#") -> None:
        self.heard: dict[str, bytes] = {}
        self.retained: set[str] = set()
        self.all: list[tuple[str, bytes]] = []
        self.subscribed = False
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self.client.on_connect = lambda c, *_rest: c.subscribe(topic_filter, qos=1)
        self.client.on_subscribe = lambda *_rest: setattr(self, "subscribed", True)
        self.client.on_message = self._message
        self.client.connect("127.0.0.1", port, keepalive=10)
        self.client.loop_start()

    def _message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.heard[message.topic] = bytes(message.payload)
        self.all.append((message.topic, bytes(message.payload)))
        if message.retain:
            self.retained.add(message.topic)

    def value(self, topic: str) -> Any:
        """The JSON value last heard on a topic; None if nothing was."""
        return json.loads(self.heard[topic]) if topic in self.heard else None

    def say(self, topic: str, text: str) -> None:
        """Publishes, not retained."""
        self.client.publish(topic, text.encode(), qos=1)

    def close(self) -> None:
        """Disconnects and waits for the thread."""
        self.client.disconnect()
        self.client.loop_stop()
