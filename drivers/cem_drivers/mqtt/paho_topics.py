"""A broker connection over paho-mqtt. Its network thread hands everything over to the event loop."""

import asyncio
import contextlib
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cem.driver import ConnectionSink, MessageSink

RECONNECT_MIN_S = 1
RECONNECT_MAX_S = 30
KEEPALIVE_S = 20
CONNECT_TIMEOUT_S = 3.0
INBOUND_MAX = 5000  # messages waiting for the loop; beyond it the oldest go


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and how to enter. `password_file` holds the password in its first line."""

    host: str
    port: int
    username: str | None = None
    password_file: str | None = None
    tls: bool = False
    ca_file: str | None = None


class PahoTopics:
    """Satisfies cem.driver.TopicPort. Publishes with QoS 0 only: nothing is kept for after a reconnect."""

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._client: paho.Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbound: deque[tuple[str, bytes, bool]] = deque(maxlen=INBOUND_MAX)
        self._draining = False
        self._connected = False
        self._on_message: MessageSink | None = None
        self._on_connection: ConnectionSink | None = None

    async def start(self, on_message: MessageSink, on_connection: ConnectionSink) -> None:
        """Starts connecting; raises OSError when the password or CA file can't be read."""
        self._loop = asyncio.get_running_loop()
        self._on_message, self._on_connection = on_message, on_connection
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S)
        if self._address.username is not None:
            client.username_pw_set(self._address.username, await asyncio.to_thread(self._password))
        if self._address.tls:
            context = await asyncio.to_thread(ssl.create_default_context, cafile=self._address.ca_file)
            client.tls_set_context(context)
        client.on_connect = self._thread_connected
        client.on_disconnect = self._thread_disconnected
        client.on_message = self._thread_message
        client.connect_async(self._address.host, self._address.port, KEEPALIVE_S)
        client.loop_start()

    def subscribe(self, topic_filter: str) -> None:
        """Subscribes now; does nothing while disconnected."""
        if self._client is not None and self._connected:
            self._client.subscribe(topic_filter, qos=0)

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> bool:
        """Sends if connected and says whether it did."""
        if self._client is None or not self._connected:
            return False
        return self._client.publish(topic, payload, qos=0, retain=retain).rc == paho.MQTT_ERR_SUCCESS

    async def stop(self) -> None:
        """Disconnects and ends the thread."""
        client, self._client = self._client, None
        self._connected = False
        self._on_message = self._on_connection = None
        if client is not None:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    def _password(self) -> str | None:
        if self._address.password_file is None:
            return None
        with open(self._address.password_file, encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")

    # The three methods below run in paho's thread.

    def _thread_connected(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if not reason.is_failure:
            self._to_loop(True)

    def _thread_disconnected(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._to_loop(False)

    def _thread_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self._inbound.append((message.topic, bytes(message.payload), message.retain))
        if not self._draining:
            self._draining = True
            self._call(self._drain)

    def _to_loop(self, connected: bool) -> None:
        self._call(self._set_connected, connected)

    def _call(self, callback: Any, *args: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop ended before the thread: nobody listens any more
                self._loop.call_soon_threadsafe(callback, *args)

    # Back in the event loop.

    def _set_connected(self, connected: bool) -> None:
        self._connected = connected and self._client is not None
        if self._on_connection is not None:
            self._on_connection(self._connected)

    def _drain(self) -> None:
        self._draining = False  # first: a message that comes now schedules the next draining
        while self._inbound:
            topic, payload, retained = self._inbound.popleft()
            if self._on_message is not None:
                self._on_message(topic, payload, retained)
