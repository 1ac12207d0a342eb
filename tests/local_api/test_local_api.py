"""The local API over a real unix socket."""

import asyncio
import dataclasses
import json
import socket
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from cem.io.local_api import LARGEST_BODY, MOST_STREAMS
from cem.io.local_client import GatewayRefused, GatewayUnreachable, LocalClient
from cem.io.local_openapi import openapi
from cem.io.local_socket import SocketUnusable, bind_socket
from cem.io.local_stream import LocalStream
from cem.io.status_json import StatusJson, read_status
from cem.model.request import RequestKind
from cem.model.status import Status
from support.gateways import gateway
from support.statuses import NOON, fallback, islanded, limited, normal, safe, starting

LATER = NOON + timedelta(hours=2)


async def _ask(path: Path, method: str, target: str, body: object = None) -> tuple[int, str, Any]:
    """(HTTP status, media type, JSON) of one exchange."""
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(path))) as session,
        session.request(
            method, f"http://cem{target}", data=body if isinstance(body, bytes) else json.dumps(body)
        ) as answer,
    ):
        text = await answer.text()
        return answer.status, answer.content_type, json.loads(text) if text else None


@pytest.mark.parametrize("build", [normal, limited, fallback, safe, islanded, starting])
def test_a_status_survives_the_socket_field_for_field(build: Callable[[], Status], tmp_path: Path) -> None:
    async def main() -> None:
        status = build()
        async with gateway(tmp_path / "api", status) as found:
            assert await asyncio.to_thread(LocalClient(found.path).status) == status

    asyncio.run(main())


def test_only_owner_and_group_reach_the_socket(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            mode = found.path.stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o660
        assert not (tmp_path / "api").exists()

    asyncio.run(main())


def test_nobody_can_connect_before_the_mode_is_set(tmp_path: Path) -> None:
    with bind_socket(tmp_path / "api"), socket.socket(socket.AF_UNIX) as early, pytest.raises(ConnectionRefusedError):
        early.connect(str(tmp_path / "api"))


def test_a_dead_gateways_socket_is_replaced(tmp_path: Path) -> None:
    bind_socket(tmp_path / "api").close()
    assert (tmp_path / "api").exists()
    with bind_socket(tmp_path / "api") as sock:
        assert sock.getsockname() == str(tmp_path / "api")


def test_a_living_gateways_socket_is_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            with pytest.raises(SocketUnusable, match="another gateway answers"):
                bind_socket(found.path)
            assert (await _ask(found.path, "GET", "/v1/status"))[0] == 200

    asyncio.run(main())


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "api").write_text("keep me")
    with pytest.raises(SocketUnusable, match="is no socket"):
        bind_socket(tmp_path / "api")
    assert (tmp_path / "api").read_text() == "keep me"


def test_a_path_too_long_for_a_socket_is_named() -> None:
    with pytest.raises(SocketUnusable, match="longer than 107 bytes"):
        bind_socket(Path("/tmp") / ("x" * 120))


def test_stopping_leaves_the_socket_of_a_successor(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            found.path.unlink()
            with bind_socket(found.path):
                await found.api.stop()
                assert found.path.exists()

    asyncio.run(main())


def test_the_plan_alone_can_be_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            code, media, plan = await _ask(found.path, "GET", "/v1/plan")
            assert (code, media, len(plan["slots"])) == (200, "application/json", 96)
            found.status = starting()
            assert (await _ask(found.path, "GET", "/v1/plan"))[2] is None

    asyncio.run(main())


def test_a_status_is_written_once_and_its_plan_once() -> None:
    status = normal()
    codec = StatusJson()
    first = codec.brief(status)
    later = dataclasses.replace(status, headline="another")
    assert codec.brief(status) == first
    assert codec.plan(status.plan) is codec.plan(later.plan)
    assert read_status(codec.whole(later)) == later
    assert read_status(first).plan is None


def _references(node: object) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(_references(value) for value in node.values()))
    return set().union(*(_references(value) for value in node)) if isinstance(node, list) else set()


def test_the_description_covers_every_field_and_resolves_every_reference(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            code, _, document = await _ask(found.path, "GET", "/v1/openapi.json")
        assert code == 200
        assert document == openapi()
        assert document["openapi"].startswith("3.1")
        schemas = document["components"]["schemas"]
        assert {reference.removeprefix("#/components/schemas/") for reference in _references(document)} <= set(schemas)
        assert set(schemas["Status"]["properties"]) == {field.name for field in dataclasses.fields(Status)}
        assert set(document["paths"]) == {
            "/v1/status",
            "/v1/plan",
            "/v1/why",
            "/v1/stream",
            "/v1/openapi.json",
            "/v1/requests",
            "/v1/requests/{id}",
        }

    asyncio.run(main())


def test_an_act_reaches_the_gateway_and_can_be_taken_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            client = LocalClient(found.path)
            made = await asyncio.to_thread(client.request, "car", RequestKind.CHARGE_NOW, LATER)
            assert found.asked == {made.id: made}
            assert (made.resource_id, made.kind, made.until, made.made_at) == (
                "car",
                RequestKind.CHARGE_NOW,
                LATER,
                NOON,
            )
            assert made.by
            await asyncio.to_thread(client.withdraw, made.id)
            assert not found.asked
            with pytest.raises(GatewayRefused, match="no act") as refused:
                await asyncio.to_thread(client.withdraw, made.id)
            assert refused.value.status == 404

    asyncio.run(main())


GOOD = {"resource_id": "car", "kind": "charge_now", "until": LATER.isoformat()}


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["resource_id", "kind", "until"]),
        ({**GOOD, "kind": "explode"}, ["kind"]),
        ({**GOOD, "until": "2026-06-17T14:00:00"}, ["until"]),
        ({**GOOD, "until": (NOON - timedelta(seconds=1)).isoformat()}, ["until"]),
        ({**GOOD, "until": (NOON + timedelta(days=8)).isoformat()}, ["until"]),
        ({**GOOD, "resource_id": "nobody", "until": NOON.isoformat()}, ["resource_id", "until"]),
        ({**GOOD, "kind": "hold"}, ["kind"]),
        ({**GOOD, "resource_id": "roof"}, ["kind"]),
        ({**GOOD, "power_w": 9000}, ["power_w"]),
        (b"{", ["body"]),
        (b"\xff\xfe", ["body"]),
        (b"", ["body"]),
        ([], ["body"]),
    ],
)
def test_a_wrong_act_is_refused_with_every_path(body: object, paths: list[str], tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            code, media, problem = await _ask(found.path, "POST", "/v1/requests", body)
            assert (code, media) == (422, "application/problem+json")
            assert [error["path"] for error in problem["errors"]] == paths
            assert problem["status"] == 422
            assert not found.asked

    asyncio.run(main())


def test_what_the_gateway_says_against_an_act_reaches_the_asker(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            found.refuses = "the car is being repaired"
            with pytest.raises(GatewayRefused, match="the car is being repaired") as refused:
                await LocalStream(found.path).request("car", RequestKind.PAUSE, LATER)
            assert refused.value.status == 409

    asyncio.run(main())


def test_a_gateway_that_only_watches_takes_no_acts(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", dataclasses.replace(normal(), read_only=True)) as found:
            with pytest.raises(GatewayRefused, match="only watches"):
                await LocalStream(found.path).request("car", RequestKind.PAUSE, LATER)
            assert not found.asked

    asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "target", "body", "code"),
    [
        ("GET", "/", None, 404),
        ("GET", "/v2/status", None, 404),
        ("DELETE", "/v1/status", None, 405),
        ("POST", "/v1/requests", b" " * (LARGEST_BODY + 1), 413),
    ],
)
def test_every_error_is_a_problem_document(method: str, target: str, body: object, code: int, tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            status, media, problem = await _ask(found.path, method, target, body)
            assert (status, media, problem["status"]) == (code, "application/problem+json", code)
            assert problem["title"]
            assert problem["detail"]

    asyncio.run(main())


def test_the_stream_brings_each_change_and_the_plan_only_when_it_changes(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            stream = LocalStream(found.path).statuses()
            first = await anext(stream)
            assert first == found.status
            found.status = dataclasses.replace(found.status, headline="second")
            second = await anext(stream)
            assert second == found.status
            assert second.plan is first.plan
            found.status = dataclasses.replace(found.status, plan=None)
            assert (await anext(stream)).plan is None
            await stream.aclose()

    asyncio.run(main())


def test_a_stopping_gateway_cuts_its_streams_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            stream = LocalStream(found.path).statuses()
            await anext(stream)
            async with asyncio.timeout(2.0):
                await found.api.stop()
                with pytest.raises(GatewayUnreachable):
                    await anext(stream)

    asyncio.run(main())


def test_streams_are_bounded_and_given_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with gateway(tmp_path / "api", normal()) as found:
            streams = [LocalStream(found.path).statuses() for _ in range(MOST_STREAMS)]
            for stream in streams:
                await anext(stream)
            with pytest.raises(GatewayRefused, match="close one"):
                await anext(LocalStream(found.path).statuses())
            for stream in streams:
                await stream.aclose()
            async with asyncio.timeout(10.0):
                while True:
                    try:
                        found.status = dataclasses.replace(found.status)
                        again = LocalStream(found.path).statuses()
                        assert await anext(again) == found.status
                        break
                    except GatewayRefused:
                        await asyncio.sleep(0.1)
            await again.aclose()

    asyncio.run(main())


def test_a_missing_gateway_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GatewayUnreachable, match=r"no gateway is running at .*api.*cem run"):
        LocalClient(tmp_path / "api").status()
    bind_socket(tmp_path / "api").close()
    with pytest.raises(GatewayUnreachable, match="nobody listens"):
        LocalClient(tmp_path / "api").status()

    async def main() -> None:
        with pytest.raises(GatewayUnreachable, match="nobody listens"):
            await anext(LocalStream(tmp_path / "api").statuses())

    asyncio.run(main())


def test_a_gateway_that_hangs_is_told_from_one_that_is_gone(tmp_path: Path) -> None:
    async def main() -> None:
        with bind_socket(tmp_path / "api") as sock:
            sock.listen()
            with pytest.raises(GatewayUnreachable, match="does not answer"):
                await asyncio.to_thread(LocalClient(tmp_path / "api", timeout_s=0.1).status)
            with pytest.raises(GatewayUnreachable, match="does not answer"):
                await anext(LocalStream(tmp_path / "api", silence_s=0.1).statuses())

    asyncio.run(main())


@pytest.mark.parametrize("answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
def test_something_else_at_the_socket_is_not_taken_for_a_gateway(answer: bytes, tmp_path: Path) -> None:
    async def main() -> None:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(speak, str(tmp_path / "api"))
        async with server:
            with pytest.raises(GatewayUnreachable, match="is not understood"):
                await asyncio.to_thread(LocalClient(tmp_path / "api").status)

    asyncio.run(main())
