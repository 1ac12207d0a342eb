"""Creating, reading, changing and deleting objects of the VTN, over real HTTP."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from support.vtn_site import Site, event_body, report_body, running_site

HOOK = {"objects": ["EVENT"], "operations": ["CREATE", "UPDATE"], "callbackUrl": "https://home.test/hook"}


async def _program(site: Site, **attributes: object) -> str:
    return str((await site.made("bl", "/programs", {"programName": "limits", **attributes}))["id"])


async def _event(site: Site) -> str:
    return str((await site.made("bl", "/events", event_body(await _program(site))))["id"])


async def _bodies(site: Site) -> dict[str, tuple[str, dict[str, Any]]]:
    """For each collection, who writes to it, and a body."""
    program_id = await _program(site)
    event_id = (await site.made("bl", "/events", event_body(program_id)))["id"]
    ven_id = (await site.made("home", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "home-1"}))["id"]
    return {
        "/programs": ("bl", {"programName": "prices", "attributes": [{"type": "LOCAL", "values": [True]}]}),
        "/events": ("bl", dict(event_body(program_id, priority=0))),
        "/reports": ("home", dict(report_body(event_id))),
        "/subscriptions": ("home", {"clientName": "home", "programID": program_id, "objectOperations": [site.hook()]}),
        "/vens": ("home", {"objectType": "VEN_VEN_REQUEST", "venName": "home-2"}),
        "/resources": ("home", {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "pv", "venID": ven_id}),
    }


@pytest.mark.parametrize("path", ["/programs", "/events", "/reports", "/subscriptions", "/vens", "/resources"])
def test_an_object_is_made_read_changed_and_deleted(path: str) -> None:
    async def main() -> None:
        async with running_site() as site:
            client, body = (await _bodies(site))[path]
            made = await site.made(client, path, {**body, "id": "mine", "createdDateTime": "x"})
            own = f"{path}/{made['id']}"
            assert made["id"] != "mine"
            assert made["createdDateTime"] == made["modificationDateTime"] == "2026-01-15T12:00:00Z"
            assert {name: made[name] for name in body if name != "objectType"} == {
                name: value for name, value in body.items() if name != "objectType"
            }
            assert (await site.ask(client, "GET", own)).json == made
            assert made in (await site.ask(client, "GET", path)).json
            site.clock.advance(timedelta(minutes=1))
            changed = await site.ask(client, "PUT", own, {**body, "ours": {"kept": 1}})
            assert changed.status == 200
            assert changed.json == {**made, "ours": {"kept": 1}, "modificationDateTime": "2026-01-15T12:01:00Z"}
            gone = await site.ask(client, "DELETE", own)
            assert (gone.status, gone.json) == (200, changed.json)
            for method in ("GET", "PUT", "DELETE"):
                assert (await site.ask(client, method, own, body)).status == 404

    asyncio.run(main())


def test_two_changes_in_one_instant_have_two_stamps() -> None:
    async def main() -> None:
        async with running_site() as site:
            own = f"/programs/{await _program(site)}"
            stamps = [
                (await site.ask("bl", "PUT", own, {"programName": "limits"})).json["modificationDateTime"]
                for _ in range(3)
            ]
            assert len(set(stamps)) == 3
            assert stamps == sorted(stamps)

    asyncio.run(main())


BAD_BODIES = [
    ("/programs", {}),
    ("/programs", {"programName": ""}),
    ("/programs", {"programName": 5}),
    ("/programs", {"programName": None}),
    ("/events", {"eventName": "no program"}),
    ("/events", event_body("o0", priority=-1)),
    ("/events", event_body("o0", intervals=[{"id": 0}])),
    ("/events", event_body("o0", intervalPeriod={"start": "yesterday"})),
    ("/vens", {"venName": "no client"}),
    ("/vens", {"objectType": "BL_RESOURCE_REQUEST", "venName": "v", "clientID": "home"}),
    ("/programs", {"objectType": "EVENT", "programName": "p"}),
    ("/events", event_body("o0", objectType="PROGRAM")),
    ("/events", event_body("o0", objectType=5)),
    ("/subscriptions", {"clientName": "bl", "objectOperations": [{**HOOK, "objects": ["PLANET"]}]}),
    ("/subscriptions", {"clientName": "bl", "objectOperations": [{**HOOK, "operations": ["EAT"]}]}),
    ("/subscriptions", {"clientName": "bl", "objectOperations": [{**HOOK, "callbackUrl": "file:///etc/passwd"}]}),
]


@pytest.mark.parametrize(("path", "body"), BAD_BODIES)
def test_a_body_that_lacks_or_breaks_something_is_a_bad_request(path: str, body: dict[str, object]) -> None:
    async def main() -> None:
        async with running_site() as site:
            await _program(site)
            answer = await site.ask("bl", "POST", path, body)
            assert (answer.status, answer.json["title"]) == (400, "Bad Request")
            assert path[1:-1] in answer.json["detail"]

    asyncio.run(main())


def test_an_event_cannot_be_replaced_by_something_else() -> None:
    async def main() -> None:
        async with running_site() as site:
            program = await _program(site)
            own = f"/events/{(await site.made('bl', '/events', event_body(program)))['id']}"
            answer = await site.ask("bl", "PUT", own, event_body(program, objectType="PROGRAM"))
            assert (answer.status, "objectType" in answer.json["detail"]) == (400, True)
            assert (await site.ask("bl", "PUT", own, event_body(program, objectType="EVENT"))).status == 200

    asyncio.run(main())


def test_names_that_must_be_unique_conflict() -> None:
    async def main() -> None:
        async with running_site() as site:
            program = f"/programs/{await _program(site)}"
            assert (await site.ask("bl", "POST", "/programs", {"programName": "limits"})).status == 409
            assert (await site.ask("bl", "PUT", program, {"programName": "limits"})).status == 200
            await site.made("bl", "/programs", {"programName": "prices"})
            assert (await site.ask("bl", "PUT", program, {"programName": "prices"})).status == 409
            ven = {"objectType": "VEN_VEN_REQUEST", "venName": "v"}
            home = (await site.made("home", "/vens", ven))["id"]
            assert (await site.ask("other", "POST", "/vens", ven)).status == 409
            other = (await site.made("other", "/vens", {**ven, "venName": "w"}))["id"]
            resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "pv"}
            await site.made("home", "/resources", {**resource, "venID": home})
            assert (await site.ask("home", "POST", "/resources", {**resource, "venID": home})).status == 409
            await site.made("other", "/resources", {**resource, "venID": other})

    asyncio.run(main())


def test_a_reference_to_what_is_not_there_conflicts() -> None:
    async def main() -> None:
        async with running_site() as site:
            assert (await site.ask("bl", "POST", "/events", event_body("nope"))).status == 409
            assert (await site.ask("home", "POST", "/reports", report_body("nope"))).status == 409
            resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "pv", "venID": "nope"}
            assert (await site.ask("home", "POST", "/resources", resource)).status == 409
            subscription = {"clientName": "c", "programID": "nope", "objectOperations": [site.hook()]}
            assert (await site.ask("home", "POST", "/subscriptions", subscription)).status == 409

    asyncio.run(main())


def test_a_program_with_events_stays_and_one_without_takes_its_subscriptions_along() -> None:
    async def main() -> None:
        async with running_site() as site:
            event_id = await _event(site)
            program_id = (await site.ask("bl", "GET", f"/events/{event_id}")).json["programID"]
            hook = {"clientName": "c", "programID": program_id, "objectOperations": [site.hook()]}
            await site.made("home", "/subscriptions", hook)
            refused = await site.ask("bl", "DELETE", f"/programs/{program_id}")
            assert (refused.status, "1 events" in refused.json["detail"]) == (409, True)
            assert (await site.ask("bl", "DELETE", f"/events/{event_id}")).status == 200
            assert (await site.ask("bl", "DELETE", f"/programs/{program_id}")).status == 200
            assert (await site.ask("home", "GET", "/subscriptions")).json == []

    asyncio.run(main())


def test_a_ven_takes_its_resources_along() -> None:
    async def main() -> None:
        async with running_site() as site:
            ven_id = (await site.made("home", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "v"}))["id"]
            resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "pv", "venID": ven_id}
            await site.made("home", "/resources", resource)
            assert (await site.ask("home", "DELETE", f"/vens/{ven_id}")).status == 200
            assert (await site.ask("bl", "GET", "/resources")).json == []

    asyncio.run(main())


def test_a_repeated_report_is_a_conflict_that_names_the_first_and_a_put_completes_it() -> None:
    async def main() -> None:
        async with running_site() as site:
            event_id = await _event(site)
            first = await site.made("home", "/reports", report_body(event_id, [0, 1]))
            repeated = await site.ask("home", "POST", "/reports", report_body(event_id, [0, 1]))
            assert (repeated.status, first["id"] in repeated.json["detail"]) == (409, True)
            own = f"/reports/{first['id']}"
            for _ in range(2):
                filled = await site.ask("home", "PUT", own, report_body(event_id, [0, 1, 2, 3]))
                assert filled.status == 200
            found = (await site.ask("home", "GET", "/reports", query=[("eventID", event_id)])).json
            assert [[i["id"] for i in r["resources"][0]["intervals"]] for r in found] == [[0, 1, 2, 3]]

    asyncio.run(main())


def test_an_attribute_beyond_the_schema_makes_no_second_report() -> None:
    async def main() -> None:
        async with running_site() as site:
            program = await _program(site)
            event_id = (await site.made("bl", "/events", event_body(program)))["id"]
            await site.made("home", "/reports", report_body(event_id))
            repeated = await site.ask("home", "POST", "/reports", {**report_body(event_id), "programID": program})
            assert repeated.status == 409
            assert len((await site.ask("bl", "GET", "/reports")).json) == 1

    asyncio.run(main())


def test_a_second_report_of_the_same_name_is_a_new_one() -> None:
    async def main() -> None:
        async with running_site() as site:
            event_id = await _event(site)
            await site.made("home", "/reports", report_body(event_id, [0]))
            await site.made("home", "/reports", report_body(event_id, [1]))
            assert len((await site.ask("bl", "GET", "/reports")).json) == 2

    asyncio.run(main())


def test_a_report_outlives_its_event_and_can_still_be_completed() -> None:
    async def main() -> None:
        async with running_site() as site:
            event_id = await _event(site)
            own = f"/reports/{(await site.made('home', '/reports', report_body(event_id)))['id']}"
            assert (await site.ask("bl", "DELETE", f"/events/{event_id}")).status == 200
            assert (await site.ask("home", "PUT", own, report_body(event_id, [0, 1]))).status == 200
            assert len((await site.ask("bl", "GET", "/reports")).json) == 1

    asyncio.run(main())


def test_one_ven_cannot_fill_the_disk() -> None:
    async def main() -> None:
        async with running_site(max_objects_per_ven=2) as site:
            event_id = await _event(site)
            for number in range(2):
                await site.made("home", "/reports", report_body(event_id, [number]))
            assert (await site.ask("home", "POST", "/reports", report_body(event_id, [2]))).status == 403
            await site.made("other", "/reports", report_body(event_id, [2]))

    asyncio.run(main())


def test_nulls_in_optional_attributes_are_accepted_and_not_given_back() -> None:
    async def main() -> None:
        async with running_site() as site:
            made = await site.made("bl", "/programs", {"programName": "p", "targets": None, "intervalPeriod": None})
            assert set(made) == {"programName", "id", "createdDateTime", "modificationDateTime", "objectType"}

    asyncio.run(main())


def test_times_and_durations_are_given_back_as_they_came() -> None:
    async def main() -> None:
        async with running_site() as site:
            period = {"start": "0001-01-01T00:00:00Z", "duration": "PT60M", "randomizeStart": "PT0.5S"}
            event = await site.made("bl", "/events", event_body(await _program(site), intervalPeriod=period))
            assert event["intervalPeriod"] == period

    asyncio.run(main())


ODD_PATHS = [
    ("GET", "/planets", 404),
    ("GET", "/", 404),
    ("GET", "/programs/o0/events", 404),
    ("GET", "/notifiers/mqtt/topics/events", 404),
    ("DELETE", "/programs", 405),
    ("PATCH", "/programs/o0", 405),
    ("POST", "/auth/server", 405),
    ("GET", "/auth/token", 405),
    ("GET", "/events/%00%ff%2e%2e", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), ODD_PATHS)
def test_a_path_or_method_that_is_not_there_is_a_problem(method: str, path: str, status: int) -> None:
    async def main() -> None:
        async with running_site() as site:
            answer = await site.ask("bl", method, path)
            assert (answer.status, answer.json["status"]) == (status, status)
            assert ("allow" in answer.headers) == (status == 405)

    asyncio.run(main())


def test_notifiers_are_listed_to_every_client() -> None:
    async def main() -> None:
        async with running_site() as site:
            for client in ("bl", "home"):
                assert (await site.ask(client, "GET", "/notifiers")).json == {"WEBHOOK": True}

    asyncio.run(main())
