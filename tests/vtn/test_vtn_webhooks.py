"""Webhooks of the VTN: the echo challenge, who is told of what, retries and the end of dead callbacks."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support.vtn_site import Site, event_body, report_body, running_site

ALL = {"operations": ["CREATE", "UPDATE", "DELETE"]}


async def _subscribed(site: Site, client: str, objects: list[str], **attributes: object) -> dict[str, Any]:
    body = {"clientName": client, "objectOperations": [site.hook(objects=objects, **ALL)], **attributes}
    return await site.made(client, "/subscriptions", body)


async def _program(site: Site, name: str = "p", **attributes: object) -> str:
    return str((await site.made("bl", "/programs", {"programName": name, **attributes}))["id"])


def _said(notices: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(one["objectType"], one["operation"], one["object"].get("eventName", "")) for one in notices]


ECHOES = [
    ("bare", "{}", False, 201),
    ("as a JSON string", '"{}"', False, 201),
    ("as a member", '{"echo": "{}"}', False, 201),
    ("a member of another value", '{"echo": "x"}', False, 400),
    ("at /echo", "{}", True, 201),
    ("among other text", "you said {}", False, 400),
    ("nothing", "", False, 400),
]


@pytest.mark.parametrize(("name", "echo", "below", "status"), ECHOES, ids=[row[0] for row in ECHOES])
def test_a_subscription_is_made_only_when_its_callback_echoes(name: str, echo: str, below: bool, status: int) -> None:
    async def main() -> None:
        async with running_site() as site:
            site.hooks.echo, site.hooks.echo_below = echo, below
            body = {"clientName": "home", "objectOperations": [site.hook(bearerToken="k")]}
            answer = await site.ask("home", "POST", "/subscriptions", body)
            assert answer.status == status, (name, answer.json)
            assert set(site.hooks.challenged) == {"Bearer k"}
            assert len((await site.ask("bl", "GET", "/subscriptions")).json) == (status == 201)
            if status == 400:
                assert "echo" in answer.json["detail"]
                return
            site.hooks.echo = "x"
            own = f"/subscriptions/{answer.json['id']}"
            assert (await site.ask("home", "PUT", own, body)).status == 400
            assert (await site.ask("home", "GET", own)).json == answer.json

    asyncio.run(main())


def test_a_change_is_told_with_the_bearer_token_and_the_object_as_it_is() -> None:
    async def main() -> None:
        async with running_site() as site:
            program = await _program(site)
            hook = site.hook(bearerToken="mine", **ALL)
            await site.made("home", "/subscriptions", {"clientName": "home", "objectOperations": [hook]})
            event = await site.made("bl", "/events", event_body(program))
            changed = (await site.ask("bl", "PUT", f"/events/{event['id']}", event_body(program, priority=1))).json
            await site.ask("bl", "DELETE", f"/events/{event['id']}")
            notices = await site.hooks.arrived(3)
            assert notices == [
                {"objectType": "EVENT", "operation": operation, "object": body}
                for operation, body in (("CREATE", event), ("UPDATE", changed), ("DELETE", changed))
            ]
            assert site.hooks.tokens == ["Bearer mine"] * 3

    asyncio.run(main())


def test_only_what_was_asked_for_is_told() -> None:
    async def main() -> None:
        async with running_site() as site:
            one, two = await _program(site, "one"), await _program(site, "two")
            hook = site.hook(objects=["EVENT", "PROGRAM", "REPORT", "VEN"], operations=["CREATE", "READ"])
            body = {"clientName": "bl", "programID": one, "objectOperations": [hook, hook]}
            await site.made("bl", "/subscriptions", body)
            await site.made("bl", "/events", event_body(two, eventName="elsewhere"))
            event = await site.made("bl", "/events", event_body(one, eventName="here"))
            await site.ask("bl", "PUT", f"/events/{event['id']}", event_body(one, eventName="changed"))
            await site.made("home", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "v"})
            await site.made("home", "/reports", report_body(event["id"]))
            await site.ask("bl", "GET", f"/events/{event['id']}")
            await site.made("bl", "/events", event_body(one, eventName="last"))
            assert _said(await site.hooks.arrived(3)) == [
                ("EVENT", "CREATE", "here"),
                ("REPORT", "CREATE", ""),
                ("EVENT", "CREATE", "last"),
            ]

    asyncio.run(main())


def test_a_ven_is_told_only_what_it_may_see_and_with_its_own_targets_alone() -> None:
    async def main() -> None:
        async with running_site() as site:
            ven = {"objectType": "BL_VEN_REQUEST", "clientID": "home", "venName": "h", "targets": ["a", "b"]}
            await site.made("bl", "/vens", ven)
            await _subscribed(site, "home", ["EVENT", "REPORT", "VEN", "SUBSCRIPTION"], targets=["a"])
            program = await _program(site)
            secret = await site.made("bl", "/events", event_body(program, eventName="z", targets=["z"]))
            await site.made("bl", "/events", event_body(program, eventName="b", targets=["b"]))
            seen = await site.made("bl", "/events", event_body(program, eventName="abz", targets=["a", "b", "z"]))
            await site.made("other", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "o"})
            now = event_body(program, eventName="z too", targets=["a", "z"])
            await site.ask("bl", "PUT", f"/events/{secret['id']}", now)
            gone = event_body(program, eventName="gone", targets=["z"])
            await site.ask("bl", "PUT", f"/events/{seen['id']}", gone)
            notices = await site.hooks.arrived(3)
            assert _said(notices) == [
                ("EVENT", "CREATE", "abz"),
                ("EVENT", "UPDATE", "z too"),
                ("EVENT", "DELETE", "abz"),
            ]
            assert [one["object"]["targets"] for one in notices] == [["a"], ["a"], ["a"]]

    asyncio.run(main())


def test_business_logic_is_told_of_all_but_the_tokens_of_others() -> None:
    async def main() -> None:
        async with running_site() as site:
            await _subscribed(site, "bl", ["SUBSCRIPTION", "VEN", "RESOURCE", "PROGRAM", "EVENT"])
            ven = await site.made("home", "/vens", {"objectType": "VEN_VEN_REQUEST", "venName": "h"})
            resource = {"objectType": "VEN_RESOURCE_REQUEST", "resourceName": "pv", "venID": ven["id"]}
            await site.made("home", "/resources", resource)
            hook = site.hook(bearerToken="secret")
            await site.made("home", "/subscriptions", {"clientName": "home", "objectOperations": [hook]})
            await site.ask("home", "DELETE", f"/vens/{ven['id']}")
            notices = await site.hooks.arrived(5)
            assert [(one["objectType"], one["operation"]) for one in notices] == [
                ("VEN", "CREATE"),
                ("RESOURCE", "CREATE"),
                ("SUBSCRIPTION", "CREATE"),
                ("RESOURCE", "DELETE"),
                ("VEN", "DELETE"),
            ]
            assert "bearerToken" not in notices[2]["object"]["objectOperations"][0]

    asyncio.run(main())


def test_the_end_of_a_program_is_told_to_the_subscriptions_that_end_with_it() -> None:
    async def main() -> None:
        async with running_site(retry_after_s=()) as site:
            program = await _program(site)
            await _subscribed(site, "home", ["PROGRAM"], programID=program)
            await _subscribed(site, "bl", ["PROGRAM"])
            await site.ask("bl", "DELETE", f"/programs/{program}")
            notices = await site.hooks.arrived(1)
            assert (notices[0]["operation"], notices[0]["object"]["id"]) == ("DELETE", program)

    asyncio.run(main())


def test_a_failed_notification_is_tried_again_and_keeps_its_place() -> None:
    async def main() -> None:
        async with running_site() as site:
            program = await _program(site)
            await _subscribed(site, "home", ["EVENT"])
            site.hooks.statuses = [500, 302]
            await site.made("bl", "/events", event_body(program, eventName="first"))
            await site.made("bl", "/events", event_body(program, eventName="second"))
            names = [one["object"]["eventName"] for one in await site.hooks.arrived(4)]
            assert names == ["first", "first", "first", "second"]

    asyncio.run(main())


@pytest.mark.parametrize("statuses", [[500, 500, 500], [410]])
def test_a_dead_callback_is_given_up_and_said_so_until_it_proves_itself_again(
    tmp_path: Path, statuses: list[int]
) -> None:
    async def main() -> None:
        async with running_site(tmp_path) as site:
            program = await _program(site)
            made = await _subscribed(site, "home", ["EVENT"])
            own = f"/subscriptions/{made['id']}"
            site.hooks.statuses = list(statuses)
            await site.made("bl", "/events", event_body(program, eventName="unheard"))
            await site.hooks.arrived(len(statuses))
            async with asyncio.timeout(5):
                while "givenUpCallbacks" not in (shown := (await site.ask("home", "GET", own)).json):
                    pass
            mark = shown["givenUpCallbacks"][0]
            assert mark["callbackUrl"] == site.hooks.url
            assert mark["reason"] == f"answered with {statuses[-1]}"
            await site.made("bl", "/events", event_body(program, eventName="not told"))
        async with running_site(tmp_path) as again:
            assert (await again.ask("bl", "GET", own)).json == shown
            again.clock.advance(timedelta(minutes=1))
            revived = {"clientName": "home", "objectOperations": [again.hook()], "givenUpCallbacks": [mark]}
            answer = await again.ask("home", "PUT", own, revived)
            assert (answer.status, "givenUpCallbacks" in answer.json) == (200, False)
            await again.made("bl", "/events", event_body(program, eventName="told"))
            assert _said(await again.hooks.arrived(1)) == [("EVENT", "CREATE", "told")]

    asyncio.run(main())


def test_too_many_callbacks_or_subscriptions_are_refused() -> None:
    async def main() -> None:
        async with running_site(max_subscriptions_per_ven=1) as site:
            hooks = [site.hook(callbackUrl=f"{site.hooks.url}?n={number}") for number in range(9)]
            body = {"clientName": "home", "objectOperations": hooks}
            assert (await site.ask("home", "POST", "/subscriptions", body)).status == 400
            assert site.hooks.challenged == []
            await site.made("home", "/subscriptions", {**body, "objectOperations": hooks[:2]})
            assert len(site.hooks.challenged) == 2
            assert (await site.ask("home", "POST", "/subscriptions", body)).status == 403

    asyncio.run(main())
