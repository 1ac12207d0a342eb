"""Tokens, scopes and the token endpoint of the VTN, over real HTTP."""

import asyncio
import base64
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from cem.sgcp.vtn.handler import BASE_PATH, Outcome, Vtn
from cem.sgcp.vtn.tokens import Client, Issued, Role
from cem.wire.http import HttpRequest
from support.vtn_site import NOON, SECRETS, new_vtn, running_site

FORM = "application/x-www-form-urlencoded"


def _basic(pair: str) -> str:
    return "Basic " + base64.b64encode(pair.encode()).decode()


def test_the_server_names_its_token_endpoint_without_a_token() -> None:
    async def main() -> None:
        async with running_site() as site:
            answer = await site.raw("GET", "/auth/server")
            assert (answer.status, answer.json) == (200, {"tokenURL": f"{site.url}/auth/token"})
        async with running_site(public_url="https://vtn.test") as site:
            answer = await site.raw("GET", "/auth/server")
            assert answer.json == {"tokenURL": "https://vtn.test/openadr3/3.1.0/auth/token"}

    asyncio.run(main())


GRANT = {"grant_type": "client_credentials"}
OWN = {"client_id": "home", "client_secret": SECRETS["home"]}
TOKEN_TABLE = [
    ("form body", None, {**GRANT, **OWN}, 200, None),
    ("HTTP Basic", "home:home secret%", GRANT, 200, None),
    ("HTTP Basic, encoded as RFC 6749 says", "home:home+secret%25", GRANT, 200, None),
    ("secret with a colon", "bl:bl:secret", GRANT, 200, None),
    ("both the same", "home:home secret%", {**GRANT, **OWN}, 200, None),
    ("both, different", "home:x", {**GRANT, **OWN}, 400, "invalid_request"),
    ("known scope", None, {**GRANT, **OWN, "scope": "write_reports unknown"}, 200, None),
    ("scope of the other role", None, {**GRANT, **OWN, "scope": "write_events"}, 400, "invalid_scope"),
    ("more than the role has", None, {**GRANT, **OWN, "scope": "write_reports write_events"}, 400, "invalid_scope"),
    ("read_all of a VEN", None, {**GRANT, **OWN, "scope": "read_all write_reports"}, 200, None),
    ("wrong secret", None, {**GRANT, "client_id": "home", "client_secret": "x"}, 401, "invalid_client"),
    ("wrong secret, Basic", "home:x", GRANT, 401, "invalid_client"),
    ("unknown client", "nobody:x", GRANT, 401, "invalid_client"),
    ("no credentials", None, GRANT, 400, "invalid_request"),
    ("Basic without a colon", "home", GRANT, 401, "invalid_client"),
    ("no grant type", None, OWN, 400, "invalid_request"),
    ("other grant type", None, {**OWN, "grant_type": "password"}, 400, "unsupported_grant_type"),
]


@pytest.mark.parametrize(("name", "basic", "form", "status", "error"), TOKEN_TABLE, ids=[row[0] for row in TOKEN_TABLE])
def test_the_token_endpoint_follows_rfc_6749(
    name: str, basic: str | None, form: dict[str, str], status: int, error: str | None
) -> None:
    async def main() -> None:
        async with running_site() as site:
            headers = {"Content-Type": FORM, **({"Authorization": _basic(basic)} if basic is not None else {})}
            answer = await site.raw("POST", "/auth/token", headers=headers, body=urlencode(form).encode())
            assert (answer.status, answer.json.get("error")) == (status, error), name
            assert answer.headers["cache-control"] == "no-store"
            if status == 200:
                assert answer.json["token_type"] == "Bearer"
                assert answer.json["expires_in"] == 3600
            assert (answer.headers.get("www-authenticate") == "Basic") == (status == 401 and basic is not None)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b'{"grant_type": "client_credentials"}'),
        (FORM, b"grant_type=client_credentials&grant_type=x"),
        (FORM, b"\xff\xfe"),
        (FORM, b"&".join(b"a%d=1" % number for number in range(1000))),
        (FORM, b""),
    ],
)
def test_a_broken_token_request_is_the_clients_fault(content_type: str, body: bytes) -> None:
    async def main() -> None:
        async with running_site() as site:
            answer = await site.raw("POST", "/auth/token", headers={"Content-Type": content_type}, body=body)
            assert (answer.status, answer.json["error"]) == (400, "invalid_request")
            bad = {"Authorization": "Basic ~~~", "Content-Type": FORM}
            assert (await site.raw("POST", "/auth/token", headers=bad)).status == 401

    asyncio.run(main())


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "bearer t999"])
def test_without_a_valid_token_every_collection_answers_401(header: str | None) -> None:
    async def main() -> None:
        async with running_site() as site:
            headers = {"Authorization": header} if header is not None else {}
            for path in ("/programs", "/events", "/reports", "/subscriptions", "/vens", "/resources", "/notifiers"):
                answer = await site.raw("GET", path, headers=headers)
                assert answer.status == 401
                assert answer.headers["www-authenticate"].startswith("Bearer")

    asyncio.run(main())


def test_a_token_ends_at_its_expiry_and_a_new_one_works() -> None:
    async def main() -> None:
        async with running_site(token_lifetime=timedelta(minutes=5)) as site:
            assert (await site.ask("home", "GET", "/events")).status == 200
            site.clock.advance(timedelta(minutes=5))
            assert (await site.ask("home", "GET", "/events")).status == 401
            site._tokens.clear()
            assert (await site.ask("home", "GET", "/events")).status == 200

    asyncio.run(main())


def test_the_scheme_of_the_token_is_case_insensitive() -> None:
    async def main() -> None:
        async with running_site() as site:
            headers = {"Authorization": f"bearer {await site.token('home')}"}
            assert (await site.raw("GET", "/events", headers=headers)).status == 200

    asyncio.run(main())


def _token(vtn: Vtn, at: datetime = NOON) -> str:
    ask = HttpRequest("POST", f"{BASE_PATH}/auth/token", body=urlencode({**GRANT, **OWN}).encode(), peer="192.0.2.1")
    outcome = vtn.respond(ask, at)
    assert outcome.issued is not None
    return outcome.issued.token


def _read(vtn: Vtn, token: str, at: datetime = NOON) -> Outcome:
    return vtn.respond(HttpRequest("GET", f"{BASE_PATH}/events", headers={"authorization": f"Bearer {token}"}), at)


def test_a_token_holds_over_a_restart_until_its_end_and_is_handed_on_once() -> None:
    token = _token(new_vtn())
    again = new_vtn()
    late = NOON + timedelta(minutes=59)
    first = _read(again, token, late)
    assert first.answer.status == 200
    assert first.issued == Issued("home", token, 60.0)
    assert _read(again, token, late).issued is None
    assert _read(again, token, NOON + timedelta(hours=1)).answer.status == 401


FOREIGN: list[tuple[str, dict[str, Any]]] = [
    ("another key", {"token_key": b"other"}),
    ("another secret", {"clients": (Client("home", "new secret", Role.VEN),)}),
    ("client gone", {"clients": (Client("other", SECRETS["home"], Role.VEN),)}),
    ("a token from the future", {"token_lifetime": timedelta(minutes=59)}),
]


@pytest.mark.parametrize(("name", "config"), FOREIGN, ids=[row[0] for row in FOREIGN])
def test_a_token_is_worth_nothing_to_another_vtn_or_after_its_secret(name: str, config: dict[str, Any]) -> None:
    assert _read(new_vtn(**config), _token(new_vtn())).answer.status == 401, name


def test_a_client_that_became_a_ven_keeps_no_right_of_business_logic() -> None:
    business = new_vtn(clients=(Client("home", SECRETS["home"], Role.BL),))
    token = _token(business)
    make = HttpRequest(
        "POST",
        f"{BASE_PATH}/programs",
        headers={"authorization": f"Bearer {token}"},
        body=b'{"programName": "p"}',
    )
    assert business.respond(make, NOON).answer.status == 201
    assert new_vtn().respond(make, NOON).answer.status == 403


def test_a_token_that_was_tampered_with_is_none() -> None:
    vtn = new_vtn()
    token = _token(vtn)
    parts = token.split(".")
    for place in range(len(parts)):
        for other in ("", "f" + parts[place], parts[place][:-1] + ("1" if parts[place][-1] != "1" else "2"), "\udcff"):
            broken = ".".join([*parts[:place], other, *parts[place + 1 :]])
            assert _read(vtn, broken).answer.status == 401, broken
    for text in (token + ".", "." + token, token.replace(".", ""), "...." + parts[-1], "\udcff"):
        assert _read(vtn, text).answer.status == 401, text


def test_two_thousand_devices_may_share_one_client() -> None:
    vtn = new_vtn()
    form = urlencode({**GRANT, **OWN}).encode()
    ask = HttpRequest("POST", f"{BASE_PATH}/auth/token", body=form, peer="192.0.2.1")
    tokens = [json.loads(vtn.respond(ask, NOON).answer.body)["access_token"] for _ in range(2000)]
    for token in (tokens[0], tokens[-1]):
        read = HttpRequest("GET", f"{BASE_PATH}/events", headers={"authorization": f"Bearer {token}"})
        assert vtn.respond(read, NOON).answer.status == 200


FORBIDDEN = [
    ("home", "POST", "/programs"),
    ("home", "POST", "/events"),
    ("home", "PUT", "/programs/o0"),
    ("home", "DELETE", "/events/o0"),
    ("bl", "POST", "/reports"),
    ("bl", "DELETE", "/reports/o0"),
]


@pytest.mark.parametrize(("client", "method", "path"), FORBIDDEN)
def test_what_the_role_may_not_write_is_forbidden(client: str, method: str, path: str) -> None:
    async def main() -> None:
        async with running_site() as site:
            answer = await site.ask(client, method, path, {})
            assert answer.status == 403
            assert "insufficient_scope" in answer.headers["www-authenticate"]

    asyncio.run(main())


def test_a_ven_that_asks_to_read_all_may_read_all_that_vens_read() -> None:
    async def main() -> None:
        async with running_site() as site:
            form = urlencode({**GRANT, **OWN, "scope": "read_all write_reports"}).encode()
            answer = await site.raw("POST", "/auth/token", headers={"Content-Type": FORM}, body=form)
            assert answer.json["scope"] == "read_targets read_ven_objects write_reports"
            bearer = {"Authorization": f"Bearer {answer.json['access_token']}"}
            for path in ("/programs", "/events", "/reports"):
                assert (await site.raw("GET", path, headers=bearer)).status == 200

    asyncio.run(main())


def test_a_scope_of_the_other_role_is_named_and_never_dropped_silently() -> None:
    async def main() -> None:
        async with running_site() as site:
            form = urlencode({**GRANT, **OWN, "scope": "write_reports write_events"}).encode()
            answer = await site.raw("POST", "/auth/token", headers={"Content-Type": FORM}, body=form)
            assert answer.json["error_description"].startswith("not allowed to this client: write_events; allowed are")

    asyncio.run(main())


def test_a_token_with_fewer_scopes_can_do_less() -> None:
    async def main() -> None:
        async with running_site() as site:
            form = urlencode({**GRANT, **OWN, "scope": "read_targets"}).encode()
            answer = await site.raw("POST", "/auth/token", headers={"Content-Type": FORM}, body=form)
            assert answer.json["scope"] == "read_targets"
            headers = {"Authorization": f"Bearer {answer.json['access_token']}"}
            assert (await site.raw("GET", "/events", headers=headers)).status == 200
            assert (await site.raw("GET", "/vens", headers=headers)).status == 403

    asyncio.run(main())


def test_who_tries_too_many_secrets_waits_and_nobody_else_does() -> None:
    async def main() -> None:
        async with running_site() as site:

            async def ask(client: str, secret: str) -> tuple[int, str | None]:
                form = urlencode({**GRANT, "client_id": client, "client_secret": secret}).encode()
                answer = await site.raw("POST", "/auth/token", headers={"Content-Type": FORM}, body=form)
                return answer.status, answer.headers.get("retry-after")

            for _ in range(10):
                assert await ask("home", "wrong") == (401, None)
            assert await ask("home", "wrong") == (429, "61")
            assert await ask("home", SECRETS["home"]) == (429, "61")
            assert (await ask("other", SECRETS["other"]))[0] == 200
            site.clock.advance(timedelta(seconds=60))
            assert (await ask("home", SECRETS["home"]))[0] == 200

    asyncio.run(main())


def test_a_token_holds_from_the_instant_on_at_which_it_was_given_out() -> None:
    for microseconds in range(0, 2000, 100):
        vtn, at = new_vtn(), NOON + timedelta(microseconds=microseconds)
        token = _token(vtn, at)
        assert _read(vtn, token, at).answer.status == 200, microseconds
        assert _read(vtn, token, at + timedelta(hours=1)).answer.status == 401, microseconds


@pytest.mark.parametrize(("accept", "kind"), [("application/problem+json, */*", "problem+json"), ("*/*", "json")])
def test_problems_have_the_content_type_that_is_asked_for(accept: str, kind: str) -> None:
    async def main() -> None:
        async with running_site() as site:
            answer = await site.raw("GET", "/programs", headers={"Accept": accept}, content_type=f"application/{kind}")
            assert (answer.status, answer.json["status"]) == (401, 401)

    asyncio.run(main())


def test_a_body_that_says_it_is_no_json_is_not_read() -> None:
    async def main() -> None:
        async with running_site() as site:
            headers = {"Authorization": f"Bearer {await site.token('bl')}", "Content-Type": "text/xml"}
            answer = await site.raw("POST", "/programs", headers=headers, body=b'{"programName": "p"}')
            assert answer.status == 415

    asyncio.run(main())
