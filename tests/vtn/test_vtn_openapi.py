"""The published OpenAPI document against our VTN, by schemathesis over real HTTP: right and wrong requests of every
operation; no answer may be our fault or break its schema, and nothing wrong may be accepted."""

import asyncio
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cem.sgcp.vtn.topics import MqttOffer
from support.openadr3_messages import openapi_document
from support.vtn_site import Site, event_body, report_body, running_site

CHECKS = [not_a_server_error, response_schema_conformance, content_type_conformance, response_headers_conformance]
FAST = {
    "GET /events",
    "POST /events",
    "POST /subscriptions",
    "PUT /vens/{venID}",
    "POST /auth/token",
}
# The Definition ("Response Codes and Errors") names more codes than the document does for each operation.
# 429 is ours: more wrong secrets than a minute allows.
BEYOND = {400, 401, 403, 404, 405, 409, 429}


class Peer:
    """A running VTN in a thread of its own, with one object of each type, and a client of each role."""

    def __init__(self, site: Site, tokens: dict[str, str], ids: dict[str, str]) -> None:
        self.url = site.url
        self.hook = site.hooks.url
        self.tokens = tokens
        self.ids = ids
        self.statuses: set[int] = set()

    def fit(self, case: Any, chance: random.Random) -> None:
        """Puts ids that exist, and a callback that is there, where a request may have them."""
        for name in case.path_parameters or {}:
            if chance.random() < 0.7:
                case.path_parameters[name] = self.ids[name]
        if not isinstance(case.body, dict):
            return
        for name in ("programID", "eventID", "venID"):
            if name in case.body and chance.random() < 0.8:
                case.body[name] = self.ids[name]

    def reach(self, case: Any) -> bool:
        """Lets callbacks lead to the server that is there, so that nobody's name is looked up; whether any was led."""
        entries = case.body.get("objectOperations") if isinstance(case.body, dict) else None
        led = False
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict) and str(entry.get("callbackUrl", "")).lower().startswith("http"):
                entry["callbackUrl"], led = self.hook, True
        return led


async def _peer(site: Site) -> Peer:
    program = await site.made("bl", "/programs", {"programName": "p"})
    event = await site.made("bl", "/events", event_body(program["id"]))
    ven = await site.made("home", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "v"})
    resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "pv", "venID": ven["id"]}
    subscription = {"clientName": "home", "objectOperations": [site.hook()]}
    ids = {
        "programID": program["id"],
        "eventID": event["id"],
        "venID": ven["id"],
        "resourceID": (await site.made("home", "/resources", resource))["id"],
        "reportID": (await site.made("home", "/reports", report_body(event["id"])))["id"],
        "subscriptionID": (await site.made("home", "/subscriptions", subscription))["id"],
    }
    return Peer(site, {client: await site.token(client) for client in ("bl", "home")}, ids)


@contextmanager
def _running_peer() -> Iterator[Peer]:
    ready: Future[tuple[Peer, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def main() -> None:
        async with running_site(mqtt=MqttOffer(("mqtt://broker.test",))) as site:
            ended = asyncio.Event()
            ready.set_result((await _peer(site), asyncio.get_running_loop(), ended))
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    peer, loop, ended = ready.result(10)
    try:
        yield peer
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


def _play(peer: Peer, operation: Any, mode: GenerationMode, examples: int) -> None:
    """Sends requests of one operation, as business logic or a VEN, and checks every answer."""
    chance = random.Random(operation.label)
    right = mode is GenerationMode.POSITIVE

    @seed(3)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(operation.as_strategy(generation_mode=mode))
    def play(case: Any) -> None:
        if right:
            peer.fit(case, chance)
        led = peer.reach(case)  # what was wrong may be right now
        bearer = peer.tokens[chance.choice(("bl", "home"))]
        answer = case.call(base_url=peer.url, headers={"Authorization": f"Bearer {bearer}"})
        known = answer.status_code in BEYOND
        checks = CHECKS if known else [*CHECKS, status_code_conformance]
        case.validate_response(answer, checks=checks if right or led else [*checks, negative_data_rejection])
        peer.statuses.add(answer.status_code)

    play()


def _can_be_wrong(operation: Any) -> bool:
    """Whether a request of an operation has anything in it that could break a schema."""
    return bool(operation.body or operation.query or operation.path_parameters)


def _play_all(chosen: set[str] | None, examples: int) -> set[int]:
    schema = schemathesis.openapi.from_dict(openapi_document())
    played = set()
    with _running_peer() as peer:
        for result in schema.get_all_operations():
            assert isinstance(result, Ok)
            operation = result.ok()
            if chosen is not None and operation.label not in chosen:
                continue
            played.add(operation.label)
            _play(peer, operation, GenerationMode.POSITIVE, examples)
            if _can_be_wrong(operation):
                _play(peer, operation, GenerationMode.NEGATIVE, examples)
        assert chosen is None or played == chosen
        return peer.statuses


def test_answers_keep_to_the_published_document() -> None:
    assert {200, 201, 400} <= _play_all(FAST, 2)


@pytest.mark.slow
def test_answers_of_every_operation_keep_to_the_published_document() -> None:
    assert {200, 201, 400, 403, 404, 409} <= _play_all(None, 40)
