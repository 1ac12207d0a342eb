"""A client that we did not write (python-oa3-client) as business logic and as VEN against our VTN: REST, MQTT through
a broker, and discovery by mDNS."""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openadr3_client.bl import BlClient
from openadr3_client.discovery import discover_vtns
from openadr3_client.mqtt import MQTTMessage
from openadr3_client.ven import VenClient

from cem.io.mdns_announcement import Announcement, MdnsAnnouncement
from cem.io.mqtt_publisher import Broker, MqttPublisher
from cem.sgcp.vtn.topics import MqttOffer
from hw_sim.broker import EmbeddedBroker
from support.vtn_site import SECRETS, Site, event_body, report_body, running_site


def _client(kind: Callable[..., Any], site: Site, client_id: str) -> Any:
    return kind(url=site.url, client_id=client_id, client_secret=SECRETS[client_id])


def _made(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def _a_season(site: Site) -> None:
    """Program, ven, event, report; changed, filtered, refused, cancelled."""
    with _client(BlClient, site, "bl") as business, _client(VenClient, site, "home") as house:
        program = _made(business.create_program({"programName": "limits"}))
        house.register("house-7")
        assert house.register("house-7").ven_id == house.vens()[0].id
        assert house.resolve_program_id("limits") == program["id"]
        assert house.create_program({"programName": "mine"}).status_code == 403
        granted = {"objectType": "BL_VEN_REQUEST", "clientID": "home", "venName": "house-7", "targets": ["street-1"]}
        assert business.update_ven(house.ven_id, granted).status_code == 200
        resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "ev", "venID": house.ven_id}
        assert _made(house.create_resource(resource))["clientID"] == "home"
        event = _made(business.create_event(event_body(program["id"], targets=["street-1", "street-2"])))
        _made(business.create_event(event_body(program["id"], targets=["street-9"])))
        seen = house.poll_events("limits")
        assert [(one.id, list(one.targets)) for one in seen] == [(event["id"], ["street-1"])]
        report = _made(house.create_report(report_body(event["id"])))
        more = report_body(event["id"], [0, 1])
        assert house.update_report(report["id"], more).status_code == 200
        assert [len(one.resources[0].intervals) for one in business.reports(eventID=event["id"])] == [2]
        assert business.update_event(event["id"], event_body(program["id"], priority=2)).status_code == 200
        assert house.event(event["id"]).priority == 2
        assert business.delete_event(event["id"]).status_code == 200
        assert house.get_event_by_id(event["id"]).status_code == 404


def test_a_foreign_client_plays_both_roles_through_a_season() -> None:
    async def main() -> None:
        async with running_site() as site:
            await asyncio.to_thread(_a_season, site)

    asyncio.run(main())


def _told(house: Any, business: Any, program_id: str, broker: str) -> list[MQTTMessage]:
    """What a house hears of an event's life on the topics of its ven."""
    channel = house.add_mqtt(broker)
    channel.start()
    topics = house.get_mqtt_topics_ven_events().json()["topics"]
    channel.subscribe_topics([topics["ALL"]])
    open_topics = house.subscribe(["limits"], ["EVENT"], ["CREATE"], channel)
    assert len(open_topics) == 4
    for _ in range(10):  # until the broker has taken the subscriptions, which the client does not wait for
        probe = _made(business.create_event(event_body(program_id)))
        business.delete_event(probe["id"])
        if channel.await_messages(1, timeout=1.0):
            break
    event = _made(business.create_event(event_body(program_id)))
    business.update_event(event["id"], event_body(program_id, priority=1))
    business.delete_event(event["id"])
    told: list[MQTTMessage] = []
    for more in range(1, 60):
        told = [one for one in channel.await_messages(more, timeout=1.0) if one.payload.object.id == event["id"]]
        if len(told) == 9:
            break
    return told


@pytest.mark.filterwarnings("ignore:Callback API version 1:DeprecationWarning")  # the foreign client's own use of paho
def test_a_foreign_client_hears_of_events_through_the_broker() -> None:
    async def main() -> None:
        broker = EmbeddedBroker()
        await broker.start()
        uri = f"mqtt://127.0.0.1:{broker.port}"
        publisher = MqttPublisher(Broker(uri))
        publisher.start()

        def work(site: Site) -> None:
            with _client(BlClient, site, "bl") as business, _client(VenClient, site, "home") as house:
                program = _made(business.create_program({"programName": "limits"}))
                house.register("house-7")
                assert house.vtn_supports_mqtt()
                assert house.get_mqtt_broker_uris() == [uri]
                told = _told(house, business, program["id"], uri)
                own = [one for one in told if one.topic.startswith(f"openadr3/ven/home/{house.ven_id}/events/")]
                assert [one.topic.rsplit("/", 1)[1] for one in own] == ["create", "update", "delete"]
                assert [str(one.payload.operation) for one in own] == ["CREATE", "UPDATE", "DELETE"]

        try:
            async with running_site(publisher=publisher, mqtt=MqttOffer((uri,))) as site:
                await asyncio.to_thread(work, site)
        finally:
            await asyncio.to_thread(publisher.stop)
            await broker.stop()

    asyncio.run(main())


def test_a_foreign_client_finds_the_vtn_by_mdns_with_its_programs() -> None:
    async def main() -> None:
        name = f"VTN {os.getpid()}"
        one = Announcement(name, "cem-test", 8443, True, "/openadr3/3.1.0", ("127.0.0.1",), ("limits", "prices"))
        announcement = MdnsAnnouncement(one, ("127.0.0.1",))
        await announcement.start()
        await announcement.rename_programs(("prices",))
        try:
            found = await asyncio.to_thread(discover_vtns, 1.0)
        finally:
            await announcement.stop()
        ours = next(vtn for vtn in found if vtn.name.startswith(f"{name}."))
        assert ours.url == "https://cem-test.local:8443/openadr3/3.1.0"
        assert (ours.version, ours.program_names, ours.requires_auth) == ("3.1.0", "prices", "True")

    asyncio.run(main())
