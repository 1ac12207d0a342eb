"""The charger's connection to a real broker, through paho-mqtt's network thread."""

import asyncio
import socket

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from hw_sim.topics import OnConnection, OnMessage

_KEEPALIVE_S = 15
_RETRY_S = (1, 3)


class PahoLink:
    """A TopicLink on paho-mqtt; what arrives in its thread is handed to the event loop that called `start`."""

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        will: tuple[str, bytes] | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self._address = (host, port)
        self._client_id = client_id
        self._will = will
        self._login = (username, password)
        self._client: mqtt.Client | None = None

    async def start(self, on_message: OnMessage, on_connection: OnConnection) -> None:
        """Starts the network thread; it connects, and reconnects, by itself."""
        loop = asyncio.get_running_loop()
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=self._client_id)
        if self._login[0] is not None:
            client.username_pw_set(*self._login)
        if self._will is not None:
            client.will_set(self._will[0], self._will[1], qos=1, retain=True)
        client.reconnect_delay_set(*_RETRY_S)

        def connected(
            _c: mqtt.Client, _u: object, _f: mqtt.ConnectFlags, reason: ReasonCode, _p: Properties | None
        ) -> None:
            if not reason.is_failure:
                loop.call_soon_threadsafe(on_connection, True)

        def disconnected(
            _c: mqtt.Client, _u: object, _f: mqtt.DisconnectFlags, _r: ReasonCode, _p: Properties | None
        ) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(on_connection, False)

        def arrived(_c: mqtt.Client, _u: object, message: mqtt.MQTTMessage) -> None:
            loop.call_soon_threadsafe(on_message, message.topic, bytes(message.payload), bool(message.retain))

        client.on_connect = connected
        client.on_disconnect = disconnected
        client.on_message = arrived
        client.connect_async(*self._address, keepalive=_KEEPALIVE_S)
        client.loop_start()
        self._client = client

    def subscribe(self, topic_filter: str) -> None:
        """Subscribes with QoS 1."""
        if self._client is not None:
            self._client.subscribe(topic_filter, qos=1)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Publishes with QoS 0 if connected."""
        if self._client is None or not self._client.is_connected():
            return False
        return self._client.publish(topic, payload, qos=0, retain=retain).rc == mqtt.MQTT_ERR_SUCCESS

    def socket(self) -> socket.socket | None:
        """The connection's socket, for tests that break the line."""
        found = self._client.socket() if self._client is not None else None
        return found if isinstance(found, socket.socket) else None

    async def stop(self) -> None:
        """Disconnects and waits for the network thread, away from the loop."""
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)
