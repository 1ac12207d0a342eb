"""The clients' accounts at a real Mosquitto: a bearer token opens the own topics, and nothing else opens anything."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cem.io.mqtt_publisher import Broker
from cem.sgcp.vtn.tokens import Client, Role
from cem.sgcp.vtn.topics import MqttLogin, MqttOffer
from cem.vtn_app import VtnSettings, running_vtn
from support.mosquitto import PASSWORD, missing, secured_mosquitto
from support.vtn_site import event_body

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

CLIENTS = (Client("bl", "b", Role.BL), Client("home", "h", Role.VEN), Client("other", "o", Role.VEN))


class Reader:
    """A client of the broker: whether it was let in, what it may subscribe to, what it hears."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self.heard: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._port = port
        self._entered: asyncio.Future[bool] = self._loop.create_future()
        self._answered: asyncio.Queue[bool] = asyncio.Queue()
        self._news = asyncio.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(user, password)
        self._client.on_connect = lambda *a: self._say(self._enter, not a[3].is_failure)
        self._client.on_subscribe = lambda *a: self._say(self._answered.put_nowait, not a[3][0].is_failure)
        self._client.on_message = lambda *a: self._say(self._hear, a[2].topic)

    def _say(self, what: Any, value: object) -> None:
        self._loop.call_soon_threadsafe(what, value)

    def _enter(self, let_in: bool) -> None:
        if not self._entered.done():
            self._entered.set_result(let_in)

    def _hear(self, topic: str) -> None:
        self.heard.append(topic)
        self._news.set()

    async def enter(self) -> bool:
        """Whether the broker lets us in."""
        self._client.connect_async("127.0.0.1", self._port)
        self._client.loop_start()
        async with asyncio.timeout(5):
            return await self._entered

    async def may_read(self, topic: str) -> bool:
        """Whether a subscription is granted."""
        self._client.subscribe(topic, qos=1)
        async with asyncio.timeout(5):
            return await self._answered.get()

    async def hears(self, topic: str) -> bool:
        """Waits until something comes on a topic."""
        async with asyncio.timeout(5):
            while topic not in self.heard:
                self._news.clear()
                await self._news.wait()
        return True

    async def leave(self) -> None:
        """Ends."""
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)


@asynccontextmanager
async def _reader(port: int, user: str, password: str) -> AsyncIterator[Reader]:
    reader = Reader(port, user, password)
    try:
        yield reader
    finally:
        await reader.leave()


class Rest:
    """A client of the VTN."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def token(self, client: Client) -> str:
        """A new token."""
        form = {"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret}
        async with self._session.post(f"{self._url}/auth/token", data=form) as answer:
            return str((await answer.json())["access_token"])

    async def post(self, token: str, path: str, body: object) -> str:
        """Makes an object; its id."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.post(self._url + path, json=body, headers=headers) as answer:
            assert answer.status == 201
            return str((await answer.json())["id"])


async def _play(broker: int, rest: Rest) -> str:
    """Gives the last token of the VEN."""
    business, home = await rest.token(CLIENTS[0]), await rest.token(CLIENTS[1])
    ven = await rest.post(home, "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "h"})
    program = await rest.post(business, "/programs", {"programName": "p"})
    own = f"openadr3/ven/home/{ven}"
    async with _reader(broker, "home", home) as reader:
        assert await reader.enter()
        assert await reader.may_read(f"{own}/events/+")
        assert await reader.may_read("openadr3/all/programs/+")
        for topic in ("openadr3/bl/events/+", "openadr3/ven/other/#", "openadr3/#", "#", "$CONTROL/#"):
            assert not await reader.may_read(topic), topic
        async with _reader(broker, "bl", business) as utility:
            assert await utility.enter()
            assert await utility.may_read("openadr3/bl/events/+")
            await rest.post(business, "/events", event_body(program))
            assert await utility.hears("openadr3/bl/events/create")
        assert await reader.hears(f"{own}/events/create")
    renewed = await rest.token(CLIENTS[1])
    for user, password, let_in in (("home", renewed, True), ("home", home, False), ("other", renewed, False)):
        async with _reader(broker, user, password) as reader:
            assert await reader.enter() == let_in, user
    return renewed


def test_a_bearer_token_opens_the_own_topics_at_the_broker_and_no_others(tmp_path: Path) -> None:
    async def main() -> None:
        password = tmp_path / "password"
        password.write_text(PASSWORD + "\n", encoding="utf-8")
        async with secured_mosquitto(tmp_path) as broker:
            uri = f"mqtt://127.0.0.1:{broker}"
            settings = VtnSettings(
                CLIENTS,
                data=tmp_path / "vtn",
                broker=Broker(uri, "admin", password),
                mqtt=MqttOffer((uri,), MqttLogin.OAUTH2_BEARER_TOKEN),
            )
            async with running_vtn(settings) as vtn, aiohttp.ClientSession() as session:
                token = await _play(broker, Rest(session, vtn.url))
            async with running_vtn(settings) as vtn, aiohttp.ClientSession() as session:
                async with session.get(f"{vtn.url}/events", headers={"Authorization": f"Bearer {token}"}) as answer:
                    assert answer.status == 200
                async with _reader(broker, "home", token) as reader:
                    assert await reader.enter()
        kept = json.loads((tmp_path / "accounts.json").read_text(encoding="utf-8"))
        assert {"admin", "bl", "home", "other"} <= {one["username"] for one in kept["clients"]}

    asyncio.run(main())
