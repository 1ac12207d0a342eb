"""Listens to a VTN's notifications at a broker: paho-mqtt driven by the event loop, without a thread of its own."""

import asyncio
import contextlib
import logging
import ssl
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from random import Random, SystemRandom
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from cem.model.errors import GridError
from cem.ports import BrokerLogin

_log = logging.getLogger(__name__)
_PORTS = {"mqtt": (1883, False), "tcp": (1883, False), "mqtts": (8883, True), "ssl": (8883, True)}
_KEEPALIVE_S = 30
_CONNECT_S = 5.0
_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 120.0
AFTER_LOSS_S = 10.0
"""A connection that was lost was lost by all gateways at once: the first try after it is by chance up to this late,"""
MISSED_S = 30.0
"""and what may have been missed is asked for by chance up to this much later."""
_MISC_S = 1.0


class MqttNotices:
    """Satisfies cem.ports.NoticeTopics. QoS 1, a clean session: what was missed is fetched after each connecting; not
    in the same second by all gateways of a broker that was started anew."""

    def __init__(self, chance: Random | None = None) -> None:
        self._chance = chance or SystemRandom()
        self._task: asyncio.Task[None] | None = None
        self._late: asyncio.TimerHandle | None = None  # what may have been missed is asked for then

    async def start(
        self,
        topics: Sequence[str],
        login: Callable[[], Awaitable[BrokerLogin]],
        on_notice: Callable[[], None],
        on_connection: Callable[[str], None],
    ) -> None:
        """Begins to connect, and goes on trying."""
        await self.stop()
        self._task = asyncio.create_task(self._run(tuple(topics), login, on_notice, on_connection))

    async def stop(self) -> None:
        """Disconnects."""
        if self._late is not None:
            self._late.cancel()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(
        self,
        topics: tuple[str, ...],
        login: Callable[[], Awaitable[BrokerLogin]],
        on_notice: Callable[[], None],
        on_connection: Callable[[str], None],
    ) -> None:
        tries, lost = 0, False

        def up() -> None:
            on_connection("")
            if lost:
                late_s = self._chance.uniform(0.0, MISSED_S)
                self._late = asyncio.get_running_loop().call_later(late_s, on_notice)
            else:
                on_notice()

        while True:
            fault = ""
            try:
                entry = await login()
                for uri in entry.uris:
                    try:
                        line = await _Line.opened(uri, entry)
                    except (OSError, ValueError) as error:
                        fault = f"{uri}: {error}"
                        continue
                    fault = await line.serve(topics, on_notice, up)
                    tries, lost = (0, True) if line.served else (tries, lost)
                    break
            except GridError as error:
                fault = str(error)
            tries += 1
            on_connection(fault or "the provider names no broker")
            first_s = AFTER_LOSS_S / 2 if lost else _FIRST_RETRY_S
            bound_s = min(_LONGEST_RETRY_S, first_s * 2 ** min(tries, 10))
            await asyncio.sleep(self._chance.uniform(_FIRST_RETRY_S / 2, bound_s))


class _Line:
    """One connection, from its opening to its end."""

    def __init__(self, uri: str, client: paho.Client) -> None:
        self._uri = uri
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self.served = False

    @classmethod
    async def opened(cls, uri: str, login: BrokerLogin) -> "_Line":
        """Connects; raises OSError or ValueError."""
        host, port, tls = _address(uri)
        client = paho.Client(CallbackAPIVersion.VERSION2, clean_session=True)
        client.connect_timeout = _CONNECT_S
        if login.username is not None:
            client.username_pw_set(login.username, login.password)
        if tls:
            client.tls_set_context(await asyncio.to_thread(_context, login))
        line = cls(uri, client)
        await asyncio.to_thread(client.connect, host, port, _KEEPALIVE_S)
        return line

    async def serve(self, topics: Sequence[str], on_notice: Callable[[], None], on_up: Callable[[], None]) -> str:
        """Until the connection ends; what ended it."""

        def connected(_client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            if reason.is_failure:
                self._end(f"{self._uri} refuses us: {reason}")
            else:
                self.served = True
                self._client.subscribe([(topic, 1) for topic in topics])

        def subscribed(_client: paho.Client, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
            if all(reason.is_failure for reason in reasons):
                self._end(f"{self._uri} refuses every topic that the provider named")
            else:
                on_up()  # something may have changed before

        def disconnected(_client: paho.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
            self._end(f"{self._uri}: connection lost ({reason})")

        client = self._client
        client.on_connect, client.on_subscribe, client.on_disconnect = connected, subscribed, disconnected
        client.on_message = lambda *_: on_notice()
        sock = client.socket()
        if sock is None:
            return f"{self._uri}: connection lost"
        self._loop.add_reader(sock.fileno(), self._read)
        client.on_socket_register_write = lambda *_: self._loop.add_writer(sock.fileno(), client.loop_write)
        client.on_socket_unregister_write = self._written
        client.on_socket_close = lambda *_: self._forget(sock.fileno())
        if client.want_write():
            self._loop.add_writer(sock.fileno(), client.loop_write)
        try:
            while not self._over.done():
                await asyncio.wait([self._over], timeout=_MISC_S)
                client.loop_misc()
            return self._over.result()
        finally:
            client.on_disconnect = None
            client.disconnect()
            self._forget(sock.fileno())

    def _written(self, _client: paho.Client, _data: Any, sock: Any) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_writer(sock.fileno())

    def _read(self) -> None:
        while True:
            self._client.loop_read()
            sock = self._client.socket()
            if not isinstance(sock, ssl.SSLSocket) or not sock.pending():
                return

    def _forget(self, number: int) -> None:
        if number >= 0:
            self._loop.remove_reader(number)
            self._loop.remove_writer(number)

    def _end(self, words: str) -> None:
        if not self._over.done():
            self._over.set_result(words)


def _address(uri: str) -> tuple[str, int, bool]:
    parts = urlsplit(uri if "//" in uri else f"mqtt://{uri}")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("no address of a broker; mqtt://host or mqtts://host is understood")
    port, tls = _PORTS[parts.scheme]
    return parts.hostname, parts.port or port, tls


def _context(login: BrokerLogin) -> ssl.SSLContext:
    """Raises ValueError for certificates that are none."""
    try:
        context = ssl.create_default_context(cadata=login.ca_pem)
        if login.certificate_pem is not None and login.key_pem is not None:
            # OpenSSL reads an own certificate from a file alone
            with tempfile.TemporaryDirectory(prefix="cem-") as folder:
                file = Path(folder) / "own.pem"
                file.touch(mode=0o600)
                file.write_text(f"{login.certificate_pem}\n{login.key_pem}\n", encoding="ascii")
                context.load_cert_chain(file)
    except (ssl.SSLError, UnicodeEncodeError) as error:
        raise ValueError(f"the certificates that the provider gives can't be used: {error}") from error
    return context
