"""The VTN's way to its broker: publishes notifications over paho-mqtt, reconnects by itself, keeps a bounded queue."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cem.model.errors import GridError

_log = logging.getLogger(__name__)
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_KEEPALIVE_S = 30
_CONNECT_TIMEOUT_S = 5.0
_RECONNECT_S = (1, 60)
_QUEUE = 20_000


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker as the VTN reaches it. `uri` is mqtt://host[:port] or mqtts://host[:port]; the password is the first
    line of `password_file`; `ca_file` None trusts the system's authorities."""

    uri: str
    username: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None

    def host_and_port(self) -> tuple[str, int, bool]:
        """Host, port and whether over TLS; raises ValueError."""
        parts = urlsplit(self.uri)
        if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"{self.uri!r}: write mqtt://host[:port] or mqtts://host[:port]")
        return parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "mqtts"


class MqttPublisher:
    """Satisfies cem.runtime.vtn.Publisher. QoS 1, never retained: a notification is news, not a state."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._client: paho.Client | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vtn-mqtt")
        self._sinks: dict[str, Callable[[bytes], None]] = {}
        self._full = False
        self._first: Future[None] = Future()  # done once the broker has let us in

    def start(self) -> None:
        """Begins to connect, and goes on trying; raises GridError when password or CA file can't be read."""
        host, port, tls = self._broker.host_and_port()
        client = paho.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.reconnect_delay_set(*_RECONNECT_S)
        client.max_queued_messages_set(_QUEUE)
        try:
            if self._broker.username is not None:
                client.username_pw_set(self._broker.username, self._password())
            if tls:
                client.tls_set_context(ssl.create_default_context(cafile=self._broker.ca_file))
        except (OSError, UnicodeDecodeError) as error:
            raise GridError(f"broker {self._broker.uri}: {error}; check the password file and the CA file") from error
        client.on_connect = self._connected
        client.on_message = self._arrived
        client.on_disconnect = self._disconnected
        client.connect_async(host, port, _KEEPALIVE_S)
        client.loop_start()
        self._client = client

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Sends now, or once connected again; when the queue is full they are dropped, and that is said once."""
        self._thread.submit(self._publish, messages)  # thousands of vens are thousands of messages

    async def publish_and_wait(self, messages: Sequence[tuple[str, bytes]], timeout_s: float) -> bool:
        """Sends, and says whether the broker acknowledged all of it in time; what waits is sent later all the same.

        While the broker is away nobody waits for it.
        """
        sent = await asyncio.wrap_future(self._thread.submit(self._publish, messages))
        if self._client is None or not self._client.is_connected():
            return False
        for info in sent:
            try:
                await asyncio.to_thread(info.wait_for_publish, timeout_s)
            except (RuntimeError, ValueError):  # not connected, or the queue is full
                return False
            if not info.is_published():
                return False
        return True

    async def connected(self) -> None:
        """Returns once the broker has let us in for the first time."""
        await asyncio.shield(asyncio.wrap_future(self._first))

    def listen(self, topic: str, sink: Callable[[bytes], None]) -> None:
        """Has what comes on a topic handed over, in the network thread; call it before `start`."""
        self._sinks[topic] = sink

    def stop(self) -> None:
        """Sends what was handed over, disconnects and ends the threads."""
        self._thread.shutdown()
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _publish(self, messages: Sequence[tuple[str, bytes]]) -> list[paho.MQTTMessageInfo]:
        infos: list[paho.MQTTMessageInfo] = []
        if self._client is None:
            return infos
        for topic, payload in messages:
            result = self._client.publish(topic, payload, qos=1, retain=False)
            full = result.rc == paho.MQTT_ERR_QUEUE_SIZE
            if full and not self._full:
                _log.warning("broker %s: %d notifications wait; further ones are dropped", self._broker.uri, _QUEUE)
            self._full = full
            infos.append(result)
        return infos

    def _password(self) -> str | None:
        if self._broker.password_file is None:
            return None
        with self._broker.password_file.open(encoding="utf-8") as file:
            return file.readline().rstrip("\r\n")

    # In paho's thread.

    def _connected(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            _log.warning("broker %s refuses us: %s; trying again", self._broker.uri, reason)
        else:
            _log.info("broker %s: connected", self._broker.uri)
            if not self._first.done():
                self._first.set_result(None)
            for topic in self._sinks:
                client.subscribe(topic, qos=1)

    def _arrived(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        sink = self._sinks.get(message.topic)
        if sink is not None:
            sink(bytes(message.payload))

    def _disconnected(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if self._client is not None:
            _log.warning("broker %s: connection lost (%s); trying again", self._broker.uri, reason)
