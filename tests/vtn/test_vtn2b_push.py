"""Our VTN posts to VENs of OpenADR 2.0b that do not ask: in order, signed, until it arrives, and nowhere else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from cem.io.http_client import AiohttpClient
from cem.io.revocation import RevocationLists
from cem.io.tls import pinning_context
from cem.sgcp.vtn2b.parties import Admitted
from cem.wire.openadr2b.messages import CreatedEvent, CreatePartyRegistration
from cem.wire.openadr2b.parts import EventResponse, QualifiedEventId, Response
from cem.wire.openadr2b.signature import Signer
from support.certificates import Authority
from support.foreign_ven import ForeignVen
from support.vtn2b_site import Operator, operator, secured, trusting
from support.waiting import until

pytestmark = pytest.mark.filterwarnings("default")  # openleadr's own
LOOPBACK = (ip_network("127.0.0.0/8"),)
QUICK = (0.05,)


def register(address: str | None, **more: Any) -> CreatePartyRegistration:
    fields: dict[str, Any] = {
        "request_id": "1",
        "profile": "2.0b",
        "transport": "simpleHttp",
        "transport_address": address,
        "report_only": False,
        "xml_signature": False,
        "ven_name": "house-1",
        "pull": False,
    }
    return CreatePartyRegistration(**{**fields, **more})


@asynccontextmanager
async def pushing(**more: Any) -> AsyncIterator[tuple[Operator, ForeignVen]]:
    """A VTN and a VEN without TLS, the VEN not yet registered."""
    ven = ForeignVen()
    await ven.start()
    settings: dict[str, Any] = {"webhook_networks": LOOPBACK, "push_retry_after_s_2b": QUICK, **more}
    async with operator(**settings) as vtn:
        yield vtn, ven
    await ven.stop()


def shown(ven: ForeignVen) -> list[tuple[str, int, str]]:
    """Of each posted distribution the version and state of its first event."""
    found = []
    for _, kind, payload in ven.posts:
        if kind == "oadrDistributeEvent":
            descriptor = payload["events"][0]["event_descriptor"]
            found.append((descriptor["event_id"], descriptor["modification_number"], descriptor["event_status"]))
    return found


def created_event(event_id: str, number: int, opt: str) -> dict[str, Any]:
    answer = {
        "response_code": 200,
        "response_description": "OK",
        "request_id": "1",
        "event_id": event_id,
        "modification_number": number,
        "opt_type": opt,
    }
    response = {"response_code": 200, "response_description": "OK", "request_id": "1"}
    return {"response": response, "event_responses": [answer], "ven_id": "ven-1"}


def events_of(known: Any) -> list[tuple[int, str | None, bool]]:
    """What the VTN knows of the VEN's events: number, opt, cancelled."""
    return [(one["modification"], one["opt"], one["cancelled"]) for one in known["events"]]


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_events_their_changes_and_ends_are_posted_signed_over_mutual_tls(tmp_path: Path, kind: str) -> None:
    asyncio.run(_secured(tmp_path, kind))


async def _secured(folder: Path, kind: str) -> None:
    authority = Authority(folder)
    ours, theirs = authority.issue("vtn", kind), authority.issue("ven", kind)
    ven = ForeignVen(theirs, ours)
    await ven.start(authority)
    http = AiohttpClient(ssl_context=trusting(authority, theirs))
    tls = pinning_context(ours.certificate, ours.key, authority.certificate)
    settings = {**secured(authority, ours, theirs), "webhook_networks": LOOPBACK, "push_tls_2b": tls}
    async with operator(http, **settings) as vtn:
        signer = Signer(theirs.key.read_bytes(), theirs.certificate.read_text())

        async def say(message: Any) -> None:
            answer = await vtn.post(signer.seal(message, datetime.now(UTC), f"n{id(message)}"), message.SERVICE)
            assert answer.status == 200, answer.body

        await say(register(ven.address))
        program = await vtn.program()
        event_id = await vtn.limit(program, 4.2)
        await until(lambda: shown(ven) == [(event_id, 0, "active")])
        assert ven.posts[0][0] == "/OpenADR2/Simple/2.0b/EiEvent"
        answer = EventResponse(
            code="200",
            request_id="1",
            event=QualifiedEventId(event_id=event_id, modification_number=0),
            opt_type="optOut",
        )
        await say(CreatedEvent(response=Response(code="200", request_id="1"), answers=(answer,), ven_id="ven-1"))
        await vtn.sees(lambda known: events_of(known) == [(0, "optOut", False)])

        def opted_in(kind: str, payload: dict[str, Any]) -> tuple[int, bytes]:
            version = payload["events"][0]["event_descriptor"]["modification_number"]
            return 200, ven.signed("oadrCreatedEvent", **created_event(event_id, version, "optIn"))

        ven.reply = opted_in  # from now on with the answer to the post itself
        await vtn.limit(program, 3.0, event_id=event_id)
        await until(lambda: shown(ven)[1:] == [(event_id, 1, "active")])
        await vtn.sees(lambda known: events_of(known) == [(1, "optIn", False)])
        await vtn.order("DELETE", f"/events/{event_id}")
        await until(lambda: shown(ven)[2:] == [(event_id, 2, "cancelled")])
    await ven.stop()


def test_what_does_not_arrive_is_tried_again_and_only_the_newest_is_told() -> None:
    asyncio.run(_again())


async def _again() -> None:
    async with pushing() as (vtn, ven):
        failing = True

        def reply(kind: str, payload: dict[str, Any]) -> tuple[int, bytes]:
            return (500, b"") if failing else (200, b"")

        ven.reply = reply
        await vtn.say(register(ven.address))
        program = await vtn.program()
        event_id = await vtn.limit(program, 4.2)
        await until(lambda: len(ven.posts) >= 2)
        await vtn.limit(program, 3.0, event_id=event_id)
        await until(lambda: shown(ven)[-1] == (event_id, 1, "active"))
        failing = False
        heard = len(ven.posts)
        await until(lambda: len(ven.posts) > heard)
        await vtn.sees(lambda known: bool(known["events"][0]["told"]))
        numbers = [number for _, number, _ in shown(ven)]
        assert numbers == sorted(numbers)


def test_the_operators_messages_are_posted_to_their_services_one_after_the_other() -> None:
    asyncio.run(_ordered())


async def _ordered() -> None:
    async with pushing() as (vtn, ven):

        def reply(kind: str, payload: dict[str, Any]) -> tuple[int, bytes]:
            response = {"response_code": 200, "response_description": "OK", "request_id": payload.get("request_id", "")}
            names = {
                "oadrCreateReport": "oadrCreatedReport",
                "oadrCancelPartyRegistration": "oadrCanceledPartyRegistration",
            }
            more: dict[str, Any] = {"pending_reports": []} if kind == "oadrCreateReport" else {}
            return 200, ven.signed(names.get(kind, "oadrResponse"), response=response, ven_id="ven-1", **more)

        ven.reply = reply
        await vtn.say(register(ven.address))
        for method, what in (
            ("POST", "report-offers"),
            ("POST", "reregistrations"),
            ("DELETE", "registration"),
        ):
            ordered = await vtn.asked(method, f"/openadr2b/vens/ven-1/{what}")
            assert ordered["way"] == "posted to it"
        await until(lambda: len(ven.posts) == 3)
        assert [(path.rpartition("/")[2], kind) for path, kind, _ in ven.posts] == [
            ("EiReport", "oadrCreateReport"),
            ("EiRegisterParty", "oadrRequestReregistration"),
            ("EiRegisterParty", "oadrCancelPartyRegistration"),
        ]
        await vtn.sees(lambda known: known["registered"] is None)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://127.0.0.1:1", "its address is not a public one"),
        ("http://203.0.113.7", "its address is not a public one"),
        ("http://8.8.8.8", "plain http is not allowed"),
        ("https://[::ffff:10.0.0.1]/x", "its address is not a public one"),
        ("ftp://8.8.8.8", "an https URL"),
        ("", "says at which oadrTransportAddress it listens"),
    ],
)
def test_a_ven_is_not_posted_to_where_callbacks_may_not_go(address: str, words: str) -> None:
    async def play() -> None:
        async with operator() as vtn:
            refused: Any = await vtn.say(register(address))
            assert refused.response.code in ("454", "469")
            assert words in refused.response.description
            assert refused.registration_id is None

    asyncio.run(play())


@pytest.mark.parametrize("revoked", [False, True])
def test_nothing_is_sent_to_who_shows_another_certificate_or_a_revoked_one(tmp_path: Path, revoked: bool) -> None:
    asyncio.run(_impostor(tmp_path, revoked))


async def _impostor(folder: Path, revoked: bool) -> None:
    authority = Authority(folder)
    ours, theirs, other = authority.issue("vtn"), authority.issue("ven"), authority.issue("other")
    lists = RevocationLists(authority.revoke(), authority.certificate, lambda: datetime.now(UTC))
    ven = ForeignVen(theirs if revoked else other)
    await ven.start(authority)
    tls = pinning_context(ours.certificate, ours.key, authority.certificate)
    http = AiohttpClient(ssl_context=trusting(authority, theirs))
    settings = {**secured(authority, ours, theirs, signed=False), "webhook_networks": LOOPBACK, "push_tls_2b": tls}
    async with operator(http, push_retry_after_s_2b=QUICK, refusal=lists.refusal, **settings) as vtn:
        await vtn.say(register(ven.address))
        if revoked:
            authority.revoke(theirs)
            await vtn.http.close()
            vtn.http = AiohttpClient(ssl_context=trusting(authority))  # the operator itself shows none
        await vtn.limit(await vtn.program(), 4.2)
        await until(lambda: ven.connections >= 3)
        assert ven.posts == []
        await vtn.http.close()
    await ven.stop()


def test_a_ven_that_is_away_holds_up_nobody_else() -> None:
    asyncio.run(_away())


async def _away() -> None:
    async with pushing(vens_2b=(Admitted("ven-1", "house-1"), Admitted("ven-2", "house-2"))) as (vtn, ven):
        hung = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await hung.wait()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", 0)
        silent = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await vtn.say(register(silent, ven_name="house-2"))
        await vtn.say(register(ven.address))
        event_id = await vtn.limit(await vtn.program(), 4.2)
        await until(lambda: shown(ven) == [(event_id, 0, "active")])
        hung.set()
        server.close()
        await server.wait_closed()


def test_an_answer_in_the_name_of_another_ven_or_without_sense_changes_nothing() -> None:
    asyncio.run(_nonsense())


async def _nonsense() -> None:
    async with pushing() as (vtn, ven):
        bodies: list[bytes] = []

        def reply(kind: str, payload: dict[str, Any]) -> tuple[int, bytes]:
            event_id = payload["events"][0]["event_descriptor"]["event_id"]
            foreign = {**created_event(event_id, 0, "optOut"), "ven_id": "ven-2"}
            bodies.append(b"<html>hello</html>" if not bodies else ven.signed("oadrCreatedEvent", **foreign))
            return 200, bodies[-1]

        ven.reply = reply
        await vtn.say(register(ven.address))
        await vtn.limit(await vtn.program(), 4.2)
        await until(lambda: len(bodies) == 2)
        await vtn.sees(lambda known: bool(known["events"][0]["told"]))
        await vtn.sees(lambda known: events_of(known) == [(0, None, False)])


def test_who_is_no_operator_orders_nothing() -> None:
    async def play() -> None:
        async with operator() as vtn:
            url = f"{vtn.base}/openadr2b/vens/ven-1/reregistrations"
            answer = await vtn.http.request("POST", url, headers={}, body=b"")
            assert answer.status == 401
            form = b"grant_type=client_credentials&client_id=ven-3&client_secret=secret-of-ven-3"
            token = await vtn.token(form)
            answer = await vtn.http.request("POST", url, headers={"Authorization": f"Bearer {token}"}, body=b"")
            assert answer.status == 403

    asyncio.run(play())
