"""MQTT topics of the VTN: who learns of which, and what is published on each."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from cem.sgcp.vtn.topics import MqttLogin, MqttOffer
from support.vtn_site import Site, event_body, report_body, running_site

OFFER = MqttOffer(("mqtts://broker.test",), MqttLogin.OAUTH2_BEARER_TOKEN)
GRANTED = {"objectType": "BL_VEN_REQUEST", "clientID": "home", "venName": "h", "targets": ["a"]}


class Board:
    """A publisher that keeps what it is given, by topic."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Keeps them."""
        self.messages += [(topic, json.loads(payload)) for topic, payload in messages]

    def topics(self, object_type: str) -> set[str]:
        """Where something of a type was published."""
        return {topic for topic, message in self.messages if message["objectType"] == object_type}


async def _stage(site: Site) -> dict[str, str]:
    """Ids of a ven with the target a, of an open program and one for a and one for z."""
    ids = {"ven": str((await site.made("bl", "/vens", GRANTED))["id"])}
    for name, targets in (("open", []), ("for-a", ["a"]), ("for-z", ["z"])):
        program = await site.made("bl", "/programs", {"programName": name, "targets": targets})
        ids[name] = str(program["id"])
    return ids


LISTS = "create update delete all"
OBJECT = "update delete all"
TABLE = [
    ("bl", "programs", "bl/programs", LISTS),
    ("bl", "programs/{for-z}", "bl/programs/{for-z}", OBJECT),
    ("bl", "programs/{open}/events", "bl/programs/{open}/events", LISTS),
    ("bl", "events", "bl/events", LISTS),
    ("bl", "reports", "bl/reports", LISTS),
    ("bl", "subscriptions", "bl/subscriptions", LISTS),
    ("bl", "vens", "bl/vens", LISTS),
    ("bl", "resources", "bl/resources", LISTS),
    ("bl", "vens/{ven}", "ven/home/{ven}", OBJECT),
    ("bl", "vens/{ven}/events", "ven/home/{ven}/events", LISTS),
    ("home", "vens/{ven}", "ven/home/{ven}", OBJECT),
    ("home", "vens/{ven}/events", "ven/home/{ven}/events", LISTS),
    ("home", "vens/{ven}/programs", "ven/home/{ven}/programs", LISTS),
    ("home", "vens/{ven}/resources", "ven/home/{ven}/resources", LISTS),
    ("home", "programs", "ven/home/{ven}/programs", LISTS),
    ("home", "programs/{for-a}", "ven/home/{ven}/programs/{for-a}", OBJECT),
    ("home", "programs/{for-a}/events", "ven/home/{ven}/programs/{for-a}/events", LISTS),
    ("other", "programs", "all/programs", LISTS),
    ("other", "programs/{open}", "all/programs/{open}", OBJECT),
    ("other", "programs/{open}/events", "all/programs/{open}/events", LISTS),
]


@pytest.mark.parametrize(("client", "path", "topic", "operations"), TABLE)
def test_every_path_of_the_specification_names_its_topics(client: str, path: str, topic: str, operations: str) -> None:
    async def main() -> None:
        async with running_site(mqtt=OFFER) as site:
            ids = await _stage(site)
            answer = await site.ask(client, "GET", "/notifiers/mqtt/topics/" + path.format(**ids))
            assert answer.status == 200, answer.json
            base = "openadr3/" + topic.format(**ids)
            expected = {name.upper(): f"{base}/{'+' if name == 'all' else name}" for name in operations.split()}
            assert answer.json == {"topics": expected}

    asyncio.run(main())


REFUSED = [
    ("home", "events", 403),
    ("home", "reports", 403),
    ("home", "subscriptions", 403),
    ("home", "vens", 403),
    ("home", "resources", 403),
    ("home", "programs/{for-z}", 404),
    ("home", "programs/{for-z}/events", 404),
    ("other", "programs/{for-a}", 404),
    ("other", "vens/{ven}", 404),
    ("other", "vens/{ven}/events", 404),
    ("bl", "programs/nope", 404),
    ("bl", "vens/nope/events", 404),
    ("bl", "vens/{ven}/reports", 404),
    ("bl", "planets", 404),
]


def test_topics_that_a_client_may_not_have_are_refused() -> None:
    async def main() -> None:
        async with running_site(mqtt=OFFER) as site:
            ids = await _stage(site)
            for client, path, status in REFUSED:
                answer = await site.ask(client, "GET", "/notifiers/mqtt/topics/" + path.format(**ids))
                assert answer.status == status, (client, path)
            assert (await site.raw("GET", "/notifiers/mqtt/topics/programs")).status == 401

    asyncio.run(main())


def test_the_binding_is_listed_with_how_to_log_in() -> None:
    async def main() -> None:
        async with running_site(mqtt=OFFER) as site:
            binding = (await site.ask("home", "GET", "/notifiers")).json["MQTT"]
            login = {"method": "OAUTH2_BEARER_TOKEN", "username": "{clientID}"}
            assert binding == {"URIS": ["mqtts://broker.test"], "serialization": "JSON", "authentication": login}
        async with running_site(mqtt=MqttOffer(("mqtt://b",))) as site:
            binding = (await site.ask("home", "GET", "/notifiers")).json["MQTT"]
            assert binding["authentication"] == {"method": "ANONYMOUS"}

    asyncio.run(main())


def test_each_audience_gets_what_it_may_see_and_nothing_else() -> None:
    async def main() -> None:
        board = Board()
        async with running_site(mqtt=OFFER, publisher=board) as site:
            ids = await _stage(site)
            board.messages.clear()
            own, opened = f"openadr3/ven/home/{ids['ven']}", ids["open"]
            body = event_body(opened, targets=["a", "z"])
            event = await site.made("bl", "/events", body)
            both = {f"openadr3/bl/{tail}/create" for tail in ("events", f"programs/{opened}/events")}
            mine = {f"{own}/{tail}/create" for tail in ("events", f"programs/{opened}/events")}
            assert board.topics("EVENT") == both | mine
            assert {t: tuple(m["object"]["targets"]) for t, m in board.messages} == {
                **dict.fromkeys(both, ("a", "z")),
                **dict.fromkeys(mine, ("a",)),
            }
            board.messages.clear()
            await site.ask("bl", "PUT", f"/events/{event['id']}", event_body(opened, targets=["z"]))
            told = {topic: message["operation"] for topic, message in board.messages}
            assert told[f"{own}/events/delete"] == "DELETE"
            assert told["openadr3/bl/events/update"] == "UPDATE"
            board.messages.clear()
            await site.made("bl", "/events", event_body(opened))
            assert f"openadr3/all/programs/{opened}/events/create" in board.topics("EVENT")
            assert f"{own}/events/create" in board.topics("EVENT")

    asyncio.run(main())


def test_vens_resources_reports_and_subscriptions_are_published_to_business_logic_and_their_owner() -> None:
    async def main() -> None:
        board = Board()
        async with running_site(mqtt=OFFER, publisher=board) as site:
            ids = await _stage(site)
            event = await site.made("bl", "/events", event_body(ids["open"]))
            board.messages.clear()
            own = f"openadr3/ven/home/{ids['ven']}"
            ven = (await site.ask("home", "GET", f"/vens/{ids['ven']}")).json
            await site.ask("home", "PUT", f"/vens/{ids['ven']}", ven)
            assert board.topics("VEN") == {"openadr3/bl/vens/update", f"{own}/update"}
            resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "pv", "venID": ids["ven"]}
            await site.made("home", "/resources", resource)
            assert board.topics("RESOURCE") == {"openadr3/bl/resources/create", f"{own}/resources/create"}
            await site.made("home", "/reports", report_body(event["id"]))
            assert board.topics("REPORT") == {"openadr3/bl/reports/create"}
            hook = site.hook(bearerToken="secret")
            await site.made("home", "/subscriptions", {"clientName": "home", "objectOperations": [hook]})
            assert board.topics("SUBSCRIPTION") == {"openadr3/bl/subscriptions/create"}
            assert "secret" not in json.dumps(board.messages)

    asyncio.run(main())
