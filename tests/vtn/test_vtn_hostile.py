"""Hostile clients of the VTN: every answer is the client's fault (4xx), none is ours (5xx), and it goes on serving."""

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.io.callback_guard import CallbackGuard
from cem.io.http_server import HttpServer, ServerBounds
from cem.io.webhooks import Webhooks
from cem.runtime.vtn import VtnService
from cem.sgcp.vtn.handler import BASE_PATH, Vtn
from cem.wire.http import HttpRequest
from cem.wire.openadr3 import encode
from support.openadr3_messages import any_request
from support.vtn_site import NOON, event_body, new_vtn, running_site

HOSTILE = [
    b"",
    b"null",
    b"[]",
    b"\x00" * 100,
    b"\xff\xfe\x00",
    b"<html><body>hello</body></html>",
    b'{"programName": NaN}',
    b'{"programName": "p", "x": -Infinity}',
    b'{"programName": "p", "x": 1e400}',
    b'{"programName": "p", "x": ' + b"1" * 100_000 + b"}",
    b'{"programName": "\\ud800"}',
    b'{"programName": "' + b"x" * 200_000 + b'"}',
    b'{"programName": ["p"]}',
    b'{"programName": {"$ref": "x"}}',
    b'{"programName": "p", "targets": {"a": 1}}',
    b'{"programName": "p", "targets": [null]}',
    b'{"programName": "p", "intervalPeriod": {"start": "9999-99-99"}}',
    b'{"programName": "p", "intervalPeriod": {"duration": "P' + b"9" * 1000 + b'Y"}}',
    b"[" * 500_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'"' + b'\\"' * 500_000,
    b"{" + b",".join(b'"%d":{}' % number for number in range(90_000)) + b"}",
]


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_body_is_a_bad_request_and_changes_nothing(body: bytes) -> None:
    async def main() -> None:
        async with running_site() as site:
            answer = await site.ask("bl", "POST", "/programs", body)
            assert answer.status == 400
            assert len(answer.json["detail"]) < 500
            assert (await site.ask("bl", "GET", "/programs")).json == []

    asyncio.run(main())


def test_a_body_over_the_bound_is_refused_and_the_vtn_goes_on() -> None:
    async def main() -> None:
        async with running_site() as site:
            answer = await site.ask("bl", "POST", "/programs", b" " * (1024 * 1024 + 1))
            assert answer.status == 413
            assert (await site.ask("bl", "GET", "/programs")).status == 200

    asyncio.run(main())


def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def main() -> None:
        async with running_site(bounds=ServerBounds(body_timeout_s=0.05)) as site:
            token, port = await site.token("bl"), urlsplit(site.url).port
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST {BASE_PATH}/programs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            writer.write(head.encode() + b"Content-Length: 10\r\n\r\n{")
            async with asyncio.timeout(5):
                assert (await reader.readline()).split()[1] == b"408"
            writer.close()
            assert (await site.ask("bl", "GET", "/programs")).status == 200

    asyncio.run(main())


@pytest.mark.parametrize(
    "head",
    [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"/a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST " + BASE_PATH.encode() + b"/auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET " + BASE_PATH.encode() + b"/events HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET " + BASE_PATH.encode() + b"/auth/server HTTP/1.1\r\nHost: \xff\xfe\r\nConnection: close\r\n\r\n",
        b"GET " + BASE_PATH.encode() + b"/events?targets=%ff%00 HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\r\n\r\n",
    ],
    ids=range(7),
)
def test_a_malformed_request_never_is_our_fault(head: bytes) -> None:
    async def main() -> None:
        async with running_site() as site:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(site.url).port)
            writer.write(head)
            async with asyncio.timeout(5):
                status = int((await reader.readline()).split()[1])
            writer.close()
            assert 200 <= status < 500
            assert (await site.raw("GET", "/auth/server")).status == 200

    asyncio.run(main())


def test_a_failed_commit_answers_500_and_shows_nothing_of_the_change() -> None:
    class FullDiskError(Exception):
        pass

    async def main() -> None:
        import aiohttp

        def commit(_changes: object) -> None:
            raise FullDiskError("no space left")

        service = VtnService(new_vtn(), commit, lambda: NOON, Webhooks(CallbackGuard()))
        server = HttpServer(service.exchange)
        port = await server.start("127.0.0.1", 0)
        url = f"http://127.0.0.1:{port}{BASE_PATH}"
        try:
            async with aiohttp.ClientSession() as session:
                form = {"grant_type": "client_credentials", "client_id": "bl", "client_secret": "bl:secret"}
                async with session.post(url + "/auth/token", data=form) as answer:
                    bearer = {"Authorization": "Bearer " + (await answer.json())["access_token"]}
                async with session.post(url + "/programs", json={"programName": "p"}, headers=bearer) as answer:
                    assert answer.status == 500
                    assert "no space" not in await answer.text()
                async with session.get(url + "/programs", headers=bearer) as answer:
                    assert (answer.status, await answer.json()) == (200, [])
        finally:
            await server.stop()
            await service.close()

    asyncio.run(main())


def test_a_big_listing_is_compressed_for_who_accepts_it() -> None:
    async def main() -> None:
        async with running_site() as site:
            for number in range(20):
                await site.made("bl", "/programs", {"programName": f"program {number}"})
            headers = {"Authorization": f"Bearer {await site.token('bl')}", "Accept-Encoding": "gzip"}
            answer = await site.raw("GET", "/programs", headers=headers)
            assert (answer.headers["content-encoding"], len(answer.json)) == ("gzip", 20)

    asyncio.run(main())


def _bearer(vtn: Vtn, client: str, secret: str) -> str:
    form = f"grant_type=client_credentials&client_id={client}&client_secret={secret}".encode()
    answer = vtn.respond(HttpRequest("POST", f"{BASE_PATH}/auth/token", body=form), NOON).answer
    assert answer.status == 200
    return f"Bearer {json.loads(answer.body)['access_token']}"


CREDENTIALS = (("bl", "bl%3Asecret"), ("home", "home+secret%25"))
BUSINESS, HOME = (_bearer(new_vtn(), *pair) for pair in CREDENTIALS)
segments = st.sampled_from(["programs", "events", "reports", "subscriptions", "vens", "resources", "auth/token", "x"])
paths = st.builds(
    lambda segment, tail: f"{BASE_PATH}/{segment}{tail}", segments, st.sampled_from(["", "/o0", "/", "//"])
)
bodies = st.binary(max_size=60) | any_request.map(encode) | st.just(json.dumps(event_body("o0")).encode())
requests = st.builds(
    HttpRequest,
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"]),
    path=paths | st.text(max_size=20),
    query=st.lists(
        st.tuples(st.sampled_from(["skip", "limit", "targets", "active", "objects", "programID"]), st.text(max_size=5)),
        max_size=2,
    ).map(tuple),
    headers=st.fixed_dictionaries(
        {}, optional={"authorization": st.sampled_from([BUSINESS, HOME, "Basic x"]) | st.text(max_size=20)}
    ),
    body=bodies,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(requests, max_size=12))
def test_no_sequence_of_requests_breaks_the_handler(sequence: list[HttpRequest]) -> None:
    vtn = new_vtn()
    program = b'{"programName": "p"}'
    made = HttpRequest("POST", f"{BASE_PATH}/programs", headers={"authorization": BUSINESS}, body=program)
    for request in (made, *sequence):
        outcome = vtn.respond(request, datetime(2026, 1, 15, 12, tzinfo=UTC))
        assert 200 <= outcome.answer.status < 500
        assert outcome.changes == () or outcome.answer.status in (200, 201)
        json.loads(outcome.answer.body)
        vtn.apply(outcome.changes)
