"""Object privacy, filters and paging of the VTN (Definition, "Object Privacy" and "Response Filtering")."""

import asyncio
from typing import Any

import pytest

from support.vtn_site import Site, event_body, report_body, running_site


async def _granted(site: Site) -> None:
    """home was granted a and b by its ven and c by its resource; other was granted z."""
    ven = {"objectType": "BL_VEN_REQUEST", "clientID": "home", "venName": "home", "targets": ["a", "b"]}
    ven_id = (await site.made("bl", "/vens", ven))["id"]
    resource = {"objectType": "BL_RESOURCE_REQUEST", "clientID": "home", "resourceName": "ev", "venID": ven_id}
    await site.made("bl", "/resources", {**resource, "targets": ["c"]})
    other = {"objectType": "BL_VEN_REQUEST", "clientID": "other", "venName": "other", "targets": ["z"]}
    await site.made("bl", "/vens", other)


async def _events(site: Site) -> None:
    program_id = (await site.made("bl", "/programs", {"programName": "open"}))["id"]
    closed_id = (await site.made("bl", "/programs", {"programName": "closed", "targets": ["z"]}))["id"]
    for name, targets in {"all": [], "a": ["a"], "ab": ["a", "b"], "az": ["a", "z"], "c": ["c"], "z": ["z"]}.items():
        await site.made("bl", "/events", event_body(program_id, eventName=name, targets=targets))
    await site.made("bl", "/events", event_body(closed_id, eventName="closed"))


SIGHT: list[tuple[str, list[str], list[str]]] = [
    ("bl", [], ["all", "a", "ab", "az", "c", "z", "closed"]),
    ("bl", ["a"], ["a", "ab", "az"]),
    ("bl", ["a", "z"], ["az"]),
    ("home", [], ["all", "a", "ab", "az", "c"]),
    ("home", ["a"], ["a", "ab", "az"]),
    ("home", ["a", "b"], ["ab"]),
    ("home", ["a", "z"], ["a", "ab", "az"]),
    ("home", ["z"], []),
    ("other", [], ["all", "az", "z", "closed"]),
]


@pytest.mark.parametrize(("client", "targets", "expected"), SIGHT)
def test_a_ven_sees_what_has_no_targets_or_one_that_it_was_granted(
    client: str, targets: list[str], expected: list[str]
) -> None:
    async def main() -> None:
        async with running_site() as site:
            await _granted(site)
            await _events(site)
            query = [("targets", target) for target in targets]
            assert await site.names(client, "/events", "eventName", query) == expected

    asyncio.run(main())


def test_a_ven_without_a_ven_object_sees_only_what_has_no_targets() -> None:
    async def main() -> None:
        async with running_site() as site:
            await _events(site)
            assert await site.names("home", "/events", "eventName") == ["all"]
            assert await site.names("home", "/programs", "programName") == ["open"]

    asyncio.run(main())


def test_a_ven_never_learns_targets_that_it_was_not_granted() -> None:
    async def main() -> None:
        async with running_site() as site:
            await _granted(site)
            await _events(site)
            listed = (await site.ask("home", "GET", "/events")).json
            assert {one["eventName"]: one.get("targets") for one in listed}["az"] == ["a"]
            az = next(one for one in listed if one["eventName"] == "az")
            assert (await site.ask("home", "GET", f"/events/{az['id']}")).json["targets"] == ["a"]
            asked = (await site.ask("home", "GET", "/events", query=[("targets", "b")])).json
            assert [one["targets"] for one in asked] == [["b"]]

    asyncio.run(main())


def test_a_query_may_name_many_targets() -> None:
    async def main() -> None:
        async with running_site() as site:
            await _granted(site)
            await _events(site)
            query = [("targets", f"{number:0128}") for number in range(200)]
            assert await site.names("home", "/events", "eventName", [*query, ("targets", "c")]) == ["c"]

    asyncio.run(main())


def test_what_a_ven_may_not_see_does_not_exist_for_it() -> None:
    async def main() -> None:
        async with running_site() as site:
            await _granted(site)
            await _events(site)
            everything = (await site.ask("bl", "GET", "/events")).json
            ids = {one["eventName"]: one["id"] for one in everything}
            for name in ("z", "closed"):
                assert (await site.ask("home", "GET", f"/events/{ids[name]}")).status == 404
                report = report_body(ids[name])
                assert (await site.ask("home", "POST", "/reports", report)).status == 409

    asyncio.run(main())


def test_a_ven_has_only_its_own_vens_resources_reports_and_subscriptions() -> None:
    async def main() -> None:
        async with running_site() as site:
            program_id = (await site.made("bl", "/programs", {"programName": "p"}))["id"]
            event_id = (await site.made("bl", "/events", event_body(program_id)))["id"]
            hook = site.hook()
            ven = {"objectType": "VEN_VEN_REQUEST", "venName": "home"}
            ven_id = (await site.made("home", "/vens", ven))["id"]
            resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "pv", "venID": ven_id}
            bodies: list[tuple[str, dict[str, Any]]] = [
                ("/resources", resource),
                ("/reports", dict(report_body(event_id))),
                ("/subscriptions", {"clientName": "home", "objectOperations": [hook]}),
            ]
            own = [f"{path}/{(await site.made('home', path, body))['id']}" for path, body in bodies]
            for path, body in zip([f"/vens/{ven_id}", *own], [ven, *(body for _, body in bodies)], strict=True):
                assert (await site.ask("other", "GET", "/" + path.split("/")[1])).json == []
                for method in ("GET", "PUT", "DELETE"):
                    assert (await site.ask("other", method, path, body)).status == 404
                assert (await site.ask("bl", "GET", path)).json["clientID"] == "home"
            assert (await site.ask("other", "POST", "/resources", {**resource, "resourceName": "x"})).status == 409

    asyncio.run(main())


def test_a_ven_cannot_grant_itself_targets_nor_another_client_nor_lose_those_it_has() -> None:
    async def main() -> None:
        async with running_site() as site:
            await _granted(site)
            forged = {"objectType": "BL_VEN_REQUEST", "venName": "forged", "clientID": "other", "targets": ["z"]}
            made = await site.made("home", "/vens", forged)
            assert (made["clientID"], made.get("targets")) == ("home", None)
            own = (await site.ask("home", "GET", "/vens", query=[("venName", "home")])).json[0]
            answer = await site.ask("home", "PUT", f"/vens/{own['id']}", {**own, "targets": ["z"], "clientID": "other"})
            assert (answer.json["clientID"], answer.json["targets"]) == ("home", ["a", "b"])
            resource = (await site.ask("home", "GET", "/resources")).json[0]
            answer = await site.ask("home", "PUT", f"/resources/{resource['id']}", {**resource, "targets": []})
            assert answer.json["targets"] == ["c"]

    asyncio.run(main())


def test_business_logic_cannot_give_a_resource_to_another_client_than_its_ven() -> None:
    async def main() -> None:
        async with running_site() as site:
            await _granted(site)
            ven_id = (await site.ask("home", "GET", "/vens")).json[0]["id"]
            body = {"objectType": "BL_RESOURCE_REQUEST", "clientID": "other", "resourceName": "x", "venID": ven_id}
            assert (await site.ask("bl", "POST", "/resources", body)).status == 400

    asyncio.run(main())


def test_pages_together_give_the_whole_listing_once() -> None:
    async def main() -> None:
        async with running_site() as site:
            made = [(await site.made("bl", "/programs", {"programName": f"p{n}"}))["id"] for n in range(53)]
            assert await site.names("bl", "/programs", "id") == made[:50]
            paged: list[str] = []
            while page := await site.names("bl", "/programs", "id", [("skip", str(len(paged))), ("limit", "20")]):
                paged += page
            assert paged == made
            assert await site.names("bl", "/programs", "id", [("limit", "0")]) == []

    asyncio.run(main())


WRONG_QUERIES = [
    ("/programs", "skip", "-1"),
    ("/programs", "skip", "x"),
    ("/programs", "skip", "99999999999999999999"),
    ("/programs", "limit", "51"),
    ("/programs", "limit", "1.5"),
    ("/programs", "limit", "\u0665"),
    ("/events", "active", "yes"),
    ("/events", "targets", ""),
    ("/events", "targets", "x" * 129),
]


@pytest.mark.parametrize(("path", "name", "value"), WRONG_QUERIES)
def test_a_wrong_query_is_a_bad_request(path: str, name: str, value: str) -> None:
    async def main() -> None:
        async with running_site() as site:
            answer = await site.ask("bl", "GET", path, query=[(name, value)])
            assert (answer.status, f"query {name}" in answer.json["detail"]) == (400, True)
            twice = await site.ask("bl", "GET", "/programs", query=[("skip", "0"), ("skip", "1")])
            assert twice.status == 400

    asyncio.run(main())


def test_filters_narrow_and_must_all_match() -> None:
    async def main() -> None:
        async with running_site() as site:
            p = (await site.made("bl", "/programs", {"programName": "p"}))["id"]
            q = (await site.made("bl", "/programs", {"programName": "q"}))["id"]
            e = (await site.made("bl", "/events", event_body(p, eventName="e", targets=["a"])))["id"]
            f = (await site.made("bl", "/events", event_body(q, eventName="f")))["id"]
            await _granted(site)
            r = (await site.made("home", "/reports", report_body(e)))["id"]
            s = (await site.made("home", "/reports", report_body(f, clientName="x")))["id"]
            hook = site.hook(objects=["EVENT", "PROGRAM"])
            one = {"clientName": "one", "programID": p, "objectOperations": [hook]}
            sub = (await site.made("home", "/subscriptions", one))["id"]

            async def ids(path: str, **query: str) -> list[str]:
                return await site.names("bl", path, "id", list(query.items()))

            assert await ids("/programs", programName="q") == [q]
            assert await ids("/events", programID=p) == [e]
            assert await ids("/events", programID=q, targets="a") == []
            assert await ids("/reports", eventID=e) == [r]
            assert await ids("/reports", clientName="x") == [s]
            assert await ids("/reports", programID=q) == [s]
            assert await ids("/reports", programID=q, clientName="home") == []
            assert await ids("/subscriptions", clientName="one", programID=p, objects="PROGRAM") == [sub]
            assert await ids("/subscriptions", objects="VEN") == []
            assert await site.names("bl", "/vens", "venName", [("venName", "home")]) == ["home"]
            assert await site.names("bl", "/vens", "venName", [("targets", "a")]) == ["home"]
            assert await site.names("bl", "/resources", "resourceName", [("resourceName", "ev")]) == ["ev"]
            assert await ids("/resources", venID="nope") == []
            assert await ids("/events", unheardOf="1") == [e, f]

    asyncio.run(main())
