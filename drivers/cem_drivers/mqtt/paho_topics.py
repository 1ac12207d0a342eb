"""A broker connection over paho-mqtt. Its network thread hands everything over to the event loop."""

import asyncio
import contextlib
import random
import ssl
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cem.driver import ConnectionSink, MessageSink
from cem_drivers.mqtt.inbound import Inbound

RECONNECT_MIN_S = 1
RECONNECT_MAX_S = 20
JITTER_S = 3  # so that a whole street does not come back at once
KEEPALIVE_S = 20
CONNECT_TIMEOUT_S = 3.0
DRAIN_AT_ONCE = 100  # messages handed on in one turn of the event loop

_RANDOM = random.SystemRandom()


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and how to enter. `password_file` holds the password in its first line."""

    host: str
    port: int
    username: str | None = None
    password_file: str | None = None
    tls: bool = False
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class PahoTopics:
    """Satisfies cem.driver.TopicPort. Publishes with QoS 0 only: nothing is kept for after a reconnect."""

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._client: paho.Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbound = Inbound()
        self._connected = False
        self._on_message: MessageSink | None = None
        self._on_connection: ConnectionSink | None = None

    async def start(self, on_message: MessageSink, on_connection: ConnectionSink) -> None:
        """Starts connecting; raises OSError when the password or CA file can't be read."""
        self._loop = asyncio.get_running_loop()
        self._on_message, self._on_connection = on_message, on_connection
        client = self._client = paho.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.reconnect_delay_set(RECONNECT_MIN_S, RECONNECT_MAX_S + _RANDOM.randrange(JITTER_S + 1))
        if self._address.username is not None:
            client.username_pw_set(self._address.username, await asyncio.to_thread(self._password))
        if self._address.tls:
            client.tls_set_context(await asyncio.to_thread(self._tls))
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

    def _tls(self) -> ssl.SSLContext:
        """The broker's certificate is checked, its name too; ours is shown where there is one."""
        context = ssl.create_default_context(cafile=self._address.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._address.cert_file is not None:
            context.load_cert_chain(self._address.cert_file, self._address.key_file)
        return context

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
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return  # no device of ours: all our topics are text
        if self._inbound.put(topic, bytes(message.payload), message.retain):
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
        if not connected:
            self._inbound.clear()
        if self._on_connection is not None:
            self._on_connection(self._connected)

    def _drain(self) -> None:
        """Hands on some messages, and the rest in the next turn: whatever else is due comes in between."""
        for topic, payload, retained in self._inbound.take(DRAIN_AT_ONCE):
            if self._on_message is not None:
                self._on_message(topic, payload, retained)
        if len(self._inbound) and self._loop is not None:
            self._loop.call_soon(self._drain)
