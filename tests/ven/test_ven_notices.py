"""Notifications to the gateway over a broker and by its own callback: hints that make it fetch at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from cem.io.callback_server import CallbackServer
from cem.io.clock import SystemClock
from cem.io.mqtt_notices import AFTER_LOSS_S, MISSED_S, MqttNotices
from cem.io.mqtt_publisher import Broker, MqttPublisher
from cem.model.directive import LinkState
from cem.model.provider import Notify
from cem.runtime.ven_notices import Ears
from cem.sgcp.callbacks import answer
from cem.sgcp.vtn.topics import MqttOffer
from cem.wire.http import HttpRequest
from hw_sim.broker import EmbeddedBroker
from support.rogue_vtn import Home
from support.stand import free_ports
from support.ven_world import utility
from support.vtn_site import Site, event_body, running_site

NEVER_S = 3600.0
"""Between polls: whatever arrives in these tests came by a notification."""


def limits(kw: float, program: str) -> dict[str, object]:
    """An import limit from long ago until changed."""
    period = {"start": "2026-01-15T12:00:00Z", "duration": "P9999Y"}
    intervals = [{"id": 0, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [kw]}]}]
    return event_body(program, intervalPeriod=period, intervals=intervals)


@asynccontextmanager
async def home_at(site: Site, ears: Ears, **fields: Any) -> AsyncIterator[Home]:
    """A home that polls next to never, online."""
    times = {"poll_s": NEVER_S, "reconnect_jitter_s": 0.0}
    provider = utility(url=site.url, client_id="home", client_secret="home secret%", **times, **fields)
    home = Home(provider, SystemClock(), ears=ears)
    await home.start()
    try:
        await home.until(LinkState.ONLINE, 10)
        yield home
    finally:
        await home.stop()


class Soon(Random):
    """The least of every chance; `asked` is what it was to be between."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: list[tuple[float, float]] = []

    def uniform(self, a: float, b: float) -> float:
        self.asked.append((a, b))
        return a


def test_a_broker_brings_new_changed_and_deleted_events_and_what_was_missed() -> None:
    async def main() -> None:
        chance = Soon()
        broker = EmbeddedBroker()
        await broker.start()
        uri = f"mqtt://127.0.0.1:{broker.port}"
        publisher = MqttPublisher(Broker(uri))
        publisher.start()
        try:
            async with running_site(publisher=publisher, mqtt=MqttOffer((uri,))) as site:
                program = (await site.made("bl", "/programs", {"programName": "dimming"}))["id"]
                async with home_at(site, Ears(MqttNotices(chance))) as home:
                    made = await site.made("bl", "/events", limits(3.0, program))
                    await home.until_true(lambda: home.limits_w == [3000.0], 10)
                    await site.ask("bl", "PUT", f"/events/{made['id']}", limits(2.0, program))
                    await home.until_true(lambda: home.limits_w == [2000.0], 10)
                    assert chance.asked == []
                    await broker.stop()
                    await site.ask("bl", "PUT", f"/events/{made['id']}", limits(1.0, program))
                    await broker.start()
                    await home.until_true(lambda: home.limits_w == [1000.0], 20)
                    # all houses lost it in the same second, and neither connect nor fetch in the same one
                    assert chance.asked[0][1] == AFTER_LOSS_S
                    assert chance.asked[-1] == (0.0, MISSED_S)
                    await site.ask("bl", "DELETE", f"/events/{made['id']}")
                    await home.until_true(lambda: home.limits_w == [], 10)
        finally:
            publisher.stop()
            await broker.stop()

    asyncio.run(main())


def test_a_callback_brings_events_and_is_subscribed_once() -> None:
    async def main() -> None:
        (port,) = free_ports(1)
        async with running_site() as site:
            program = (await site.made("bl", "/programs", {"programName": "dimming"}))["id"]
            fields = {"notify": Notify.WEBHOOK, "callback_url": f"http://127.0.0.1:{port}/hook"}
            for _ in range(2):  # a restart takes the subscription over
                async with home_at(site, Ears(None, CallbackServer("127.0.0.1", port)), **fields) as home:
                    made = await site.made("bl", "/events", limits(3.0, program))
                    await home.until_true(lambda: home.limits_w == [3000.0], 10)
                    await site.ask("bl", "DELETE", f"/events/{made['id']}")
                    await home.until_true(lambda: home.limits_w == [], 10)
            listed = (await site.ask("home", "GET", "/subscriptions")).json
            assert [s["clientName"] for s in listed] == ["house-1"]

    asyncio.run(main())


def test_without_any_offer_the_gateway_polls() -> None:
    async def main() -> None:
        async with running_site() as site:
            program = (await site.made("bl", "/programs", {"programName": "dimming"}))["id"]
            async with home_at(site, Ears(MqttNotices()), stale_s=NEVER_S) as home:
                await site.made("bl", "/events", limits(3.0, program))
                assert home.limits_w == []
            home.provider = utility(
                url=site.url,
                client_id="home",
                client_secret="home secret%",
                poll_s=0.5,
            )
            await home.start()
            await home.until_true(lambda: home.limits_w == [3000.0], 10)
            await home.stop()

    asyncio.run(main())


TOKEN = {"authorization": "Bearer t"}
GOOD = json.dumps({"objectType": "EVENT", "operation": "CREATE", "object": {"id": "e1"}}).encode()


@pytest.mark.parametrize(
    ("request_", "status", "body", "noticed"),
    [
        (HttpRequest("GET", "/hook", (("echo", "a b"),)), 200, b"a b", False),
        (HttpRequest("GET", "/hook/echo", (("echo", "xyz"),)), 200, b"xyz", False),
        (HttpRequest("GET", "/hook/echo"), 400, None, False),
        (HttpRequest("GET", "/hook", (("echo", "x" * 2000),)), 400, None, False),
        (HttpRequest("GET", "/elsewhere", (("echo", "x"),)), 404, None, False),
        (HttpRequest("PUT", "/hook", headers=TOKEN, body=GOOD), 405, None, False),
        (HttpRequest("POST", "/hook", headers=TOKEN, body=GOOD), 200, b"", True),
        (HttpRequest("POST", "/hook/", headers=TOKEN, body=GOOD), 200, b"", True),
        (HttpRequest("POST", "/hook", headers={"authorization": "bearer t"}, body=GOOD), 200, b"", True),
        (HttpRequest("POST", "/hook", headers={"authorization": "Basic t"}, body=GOOD), 401, None, False),
        (HttpRequest("POST", "/hook", headers={"authorization": "t"}, body=GOOD), 401, None, False),
        (HttpRequest("POST", "/hook", body=GOOD), 401, None, False),
        (HttpRequest("POST", "/hook", headers={"authorization": "Bearer ü"}, body=GOOD), 401, None, False),
        (HttpRequest("POST", "/hook", headers=TOKEN, body=b"<html>"), 400, None, False),
        (HttpRequest("POST", "/hook", headers=TOKEN, body=b"[" * 10_000), 400, None, False),
    ],
)
def test_the_callback_answers_echoes_and_takes_notifications_with_the_token_alone(
    request_: HttpRequest, status: int, body: bytes | None, noticed: bool
) -> None:
    response, notification = answer(request_, "/hook", "t")
    assert response.status == status
    assert body is None or response.body == body
    assert (notification is not None) is noticed
