"""Our VTN with VENs of OpenADR 2.0b: a foreign one, our own, and those that have no business there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from openleadr import OpenADRClient

from cem.app import real_gateway
from cem.config.load import load_site
from cem.io.clock import SystemClock
from cem.io.http_client import AiohttpClient
from cem.model.errors import GridError
from cem.model.event import SignalKind
from cem.runtime.ven import VenSession
from cem.runtime.ven2b import Ven2bSession
from cem.runtime.ven2b_client import Signed
from cem.sgcp.bindings.openadr2b_signals import House
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.vtn.handler import BASE_PATH
from cem.wire.openadr2b import encode
from cem.wire.openadr2b.messages import (
    CanceledOpt,
    CancelOpt,
    CancelPartyRegistration,
    CreatedEvent,
    CreatedOpt,
    CreateOpt,
    CreatePartyRegistration,
    DistributeEvent,
    OadrResponse,
    Poll,
    QueryRegistration,
    RequestEvent,
    RequestReregistration,
)
from cem.wire.openadr2b.names import PATH_PREFIX, Service
from cem.wire.openadr2b.parts import Response
from cem.wire.openadr2b.signature import Signer
from support.certificates import Authority, Identity
from support.oadr2b import AT
from support.toy_driver import ToyDriver
from support.ven_world import MemoryStore, utility
from support.vtn2b_site import Operator, operator, secured, trusting
from support.waiting import until

pytestmark = pytest.mark.filterwarnings("default")  # openleadr's own


@asynccontextmanager
async def running(session: VenSession | Ven2bSession) -> AsyncIterator[None]:
    task = asyncio.create_task(session.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def session_2b(vtn: Operator, http: AiohttpClient, point: ConnectionPoint, provider: Any, **more: Any) -> Ven2bSession:
    house = House(20_000.0, provider.shed_import_w)
    store, clock = MemoryStore(), SystemClock()
    return Ven2bSession(provider, http, point, store, clock, Random(1), lambda: None, house=house, **more)


def old_provider(vtn: Operator) -> Any:
    return utility(
        id="old", binding="openadr2b", client_id="", url=f"{vtn.base}{PATH_PREFIX}", poll_s=0.5, report_interval_s=1.0
    )


def limits_w(point: ConnectionPoint, provider: Any) -> list[float]:
    events = point.events(provider.id, SystemClock().now())
    return [i.signals[SignalKind.IMPORT_LIMIT_W] for e in events.values() for i in e.intervals]


def test_one_event_reaches_vens_of_both_bindings_and_so_do_its_change_and_its_end() -> None:
    asyncio.run(_both())


async def _both() -> None:
    async with operator() as vtn:
        old, http = old_provider(vtn), AiohttpClient()
        new = utility(
            url=f"{vtn.base}{BASE_PATH}", client_id="ven-3", client_secret="secret-of-ven-3", ven_name="h3", poll_s=0.5
        )
        point = ConnectionPoint((new, old))
        three = VenSession(new, http, point, MemoryStore(), SystemClock(), Random(2), lambda: None)
        two = session_2b(vtn, http, point, old)
        program = await vtn.program()
        async with running(three), running(two):
            event_id = await vtn.limit(program, 4.2, 6.0)
            await until(lambda: limits_w(point, new) == limits_w(point, old) == [4200.0, 6000.0])
            await vtn.limit(program, 3.0, 5.0, event_id=event_id)
            await until(lambda: limits_w(point, new) == limits_w(point, old) == [3000.0, 5000.0])
            for _ in range(40):
                two.sample(SystemClock().now(), {"site": 1500.0})
                await asyncio.sleep(0.05)
            await vtn.order("DELETE", f"/events/{event_id}")
            await until(lambda: limits_w(point, new) == limits_w(point, old) == [])
            reports = await vtn.order("GET", "/reports")
        points = {r["resourceName"]: r for report in reports for r in report["resources"]}
        assert {"site-import", "site-export", "site-power"} <= set(points)
        assert [v["venName"] for v in await vtn.order("GET", "/vens") if v["id"] == "ven-1"] == ["house-1"]
        await http.close()


def test_a_foreign_ven_registers_follows_an_event_and_its_change_and_reports() -> None:
    asyncio.run(_foreign({}, {}))


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_foreign_ven_does_so_over_mutual_tls_with_signatures(tmp_path: Path, kind: str) -> None:
    authority = Authority(tmp_path)
    ven, vtn = authority.issue("ven", kind), authority.issue("vtn", kind)
    theirs = {
        "cert": str(ven.certificate),
        "key": str(ven.key),
        "ca_file": str(authority.certificate),
        "vtn_fingerprint": vtn.fingerprint,
        "show_fingerprint": False,
    }
    asyncio.run(_foreign(secured(authority, vtn, ven), theirs, AiohttpClient(ssl_context=trusting(authority))))


async def _foreign(ours: dict[str, Any], theirs: dict[str, Any], http: AiohttpClient | None = None) -> None:
    async with operator(http, **ours) as vtn:
        ven = OpenADRClient(ven_name="house-1", vtn_url=f"{vtn.base}{PATH_PREFIX}", allow_jitter=False, **theirs)
        seen: list[list[float]] = []

        async def note(event: dict[str, Any]) -> str:
            seen.append([i["signal_payload"] for i in event["event_signals"][0]["intervals"]])
            return "optIn"

        ven.add_handler("on_event", note)
        ven.add_handler("on_update_event", note)
        ven.add_report(
            callback=lambda: 2.5,
            resource_id="meter",
            measurement="power_real",
            sampling_rate=timedelta(seconds=1),
        )
        program = await vtn.program()
        event_id = await vtn.limit(program, 4.2, 6.0)
        await ven.run()
        try:
            await until(lambda: bool(seen))
            assert seen == [[4200.0, 6000.0]]
            await vtn.limit(program, 3.0, 5.0, event_id=event_id)
            await until(lambda: len(seen) == 2)
            assert seen[1] == [3000.0, 5000.0]
            report = await reported(vtn)
            readings = [p["values"] for i in report["resources"][0]["intervals"] for p in i["payloads"]]
            assert readings[0] == [2.5]
        finally:
            await ven.stop()


async def reported(vtn: Operator) -> Any:
    """The first report, once there is one."""
    async with asyncio.timeout(15):
        while True:
            reports = await vtn.order("GET", "/reports")
            if reports:
                return reports[0]
            await asyncio.sleep(0.1)


def test_our_own_ven_and_vtn_sign_to_each_other(tmp_path: Path) -> None:
    asyncio.run(_own(tmp_path))


async def _own(folder: Path) -> None:
    authority = Authority(folder)
    ven, own = authority.issue("ven"), authority.issue("vtn")
    async with operator(AiohttpClient(ssl_context=trusting(authority)), **secured(authority, own, ven)) as vtn:
        http = AiohttpClient(ssl_context=trusting(authority, ven))
        provider = old_provider(vtn)
        point = ConnectionPoint((provider,))
        envelope = Signed(Signer(ven.key.read_bytes(), ven.certificate.read_text()), own.fingerprint, SystemClock())
        async with running(session_2b(vtn, http, point, provider, envelope=envelope)):
            await vtn.limit(await vtn.program(), 4.2)
            await until(lambda: limits_w(point, provider) == [4200.0])
        await http.close()


def test_who_has_no_business_there_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    asyncio.run(_strangers(tmp_path))


async def _strangers(folder: Path) -> None:
    authority = Authority(folder)
    ven, own, other = authority.issue("ven"), authority.issue("vtn"), authority.issue("other")
    (folder / "strangers").mkdir()
    foreign = Authority(folder / "strangers", "stranger")
    settings = secured(authority, own, ven, signed=False)
    async with operator(AiohttpClient(ssl_context=trusting(authority)), **settings) as vtn:
        await vtn.limit(await vtn.program(), 4.2)
        register = CreatePartyRegistration(
            request_id="1",
            profile="2.0b",
            transport="simpleHttp",
            report_only=False,
            xml_signature=False,
            ven_name="house-1",
            pull=True,
        )
        ways = {name: AiohttpClient(ssl_context=trusting(authority, who)) for name, who in (("own", ven), ("o", other))}
        for way in (None, ways["o"]):  # no certificate, and another VEN's
            refused: Any = await vtn.say(register, http=way)
            assert (refused.response.code, refused.registration_id) == ("463", None)
        good: Any = await vtn.say(register, http=ways["own"])
        assert (good.response.code, good.ven_id) == ("200", "ven-1")
        for way in (None, ways["o"]):
            for message in (Poll(ven_id="ven-1"), RequestEvent(request_id="1", ven_id="ven-1")):
                answer: Any = await vtn.say(message, http=way)
                assert answer.response.code == "463"
                assert getattr(answer, "events", ()) == ()
        cancel = CancelPartyRegistration(request_id="1", registration_id=good.registration_id, ven_id="ven-1")
        assert isinstance(await vtn.say(cancel, http=ways["o"]), OadrResponse)
        kept: Any = await vtn.say(RequestEvent(request_id="1", ven_id="ven-1"), http=ways["own"])
        assert len(kept.events) == 1
        for bad in (foreign.issue("ven"), authority.issue("late", days=(-9, -1))):
            way = AiohttpClient(ssl_context=trusting(authority, bad))
            with pytest.raises(GridError):
                await vtn.post(encode(Poll(ven_id="ven-1")), Service.POLL, way)
            await way.close()
        for way in ways.values():
            await way.close()


def test_unsigned_replayed_and_foreign_messages_are_refused_where_messages_are_signed(tmp_path: Path) -> None:
    asyncio.run(_signatures(tmp_path))


async def _signatures(folder: Path) -> None:
    authority = Authority(folder)
    ven, own, other = authority.issue("ven"), authority.issue("vtn"), authority.issue("other")
    http = AiohttpClient(ssl_context=trusting(authority, ven))
    async with operator(http, **secured(authority, own, ven)) as vtn:
        by = {who: Signer(who.key.read_bytes(), who.certificate.read_text()) for who in (ven, other)}
        query, now = QueryRegistration(request_id="1"), datetime.now(UTC)
        good = by[ven].seal(query, now, "n1")
        statuses = [
            (await vtn.post(body, Service.REGISTER_PARTY)).status
            for body in (
                good,
                good,  # again
                encode(query),
                by[other].seal(query, now, "n2"),
                by[ven].seal(query, now - timedelta(minutes=1), "n3"),
                by[ven].seal(query, now + timedelta(minutes=1), "n4"),
                good.replace(b"oadrQueryRegistration", b"oadrPoll"),
            )
        ]
        assert statuses == [200, 403, 403, 403, 403, 403, 403]


def test_the_rest_of_the_services_answer_as_the_profile_wants() -> None:
    asyncio.run(_services())


async def _services() -> None:
    async with operator() as vtn:
        poll: Any = await vtn.say(Poll(ven_id="ven-1"))
        assert isinstance(poll, RequestReregistration)
        register = CreatePartyRegistration(
            request_id="1",
            profile="2.0b",
            transport="simpleHttp",
            report_only=False,
            xml_signature=False,
            ven_name="house-1",
        )
        first: Any = await vtn.say(register)
        assert first.poll_every == timedelta(seconds=1)
        empty = await vtn.say(RequestEvent(request_id="7", ven_id="ven-1"))
        assert isinstance(empty, DistributeEvent)
        assert (empty.events, empty.request_id) == ((), "7")
        assert isinstance(await vtn.say(Poll(ven_id="ven-1")), OadrResponse)
        await vtn.limit(await vtn.program(), 4.2)
        assert isinstance(await vtn.say(Poll(ven_id="ven-1")), DistributeEvent)
        assert isinstance(await vtn.say(Poll(ven_id="ven-1")), OadrResponse)
        nothing = CreatedEvent(response=Response(code="200", request_id="7"), ven_id="ven-1")
        answer: Any = await vtn.say(nothing)
        assert answer.response.code == "200"
        opt = CreateOpt(
            opt_id="o1", opt_type="optOut", reason="economic", ven_id="ven-1", created_at=AT, request_id="8"
        )
        assert isinstance(await vtn.say(opt), CreatedOpt)
        assert isinstance(await vtn.say(CancelOpt(request_id="9", opt_id="o1", ven_id="ven-1")), CanceledOpt)
        answer = await vtn.say(CancelOpt(request_id="9", opt_id="o1", ven_id="ven-1"))
        assert answer.response.code == "452"
        answer = await vtn.say(Poll(ven_id="ven-1"), Service.EVENT)
        assert answer.response.code == "459"
        again: Any = await vtn.say(
            CreatePartyRegistration(
                request_id="1",
                registration_id="unknown",
                ven_id="ven-1",
                profile="2.0b",
                transport="simpleHttp",
                report_only=False,
                xml_signature=False,
            )
        )
        assert again.response.code == "452"
        for body, status in ((b"<a/>", 400), (b"<!DOCTYPE a><a/>", 400), (b"", 400), (b"x" * 2_000_000, 413)):
            assert (await vtn.post(body, Service.POLL)).status == status
        assert (await vtn.post(encode(Poll(ven_id="ven-1")), "EiNothing")).status == 404
        cancelled: Any = await vtn.say(
            CancelPartyRegistration(request_id="1", registration_id=first.registration_id, ven_id="ven-1")
        )
        assert cancelled.response.code == "200"
        assert isinstance(await vtn.say(Poll(ven_id="ven-1")), RequestReregistration)


SITE = """
site = 1
name = "Home"
timezone = "Europe/Berlin"
[connection]
phases = 3
fuse_a = 35
[plan]
enabled = false
[tariff]
base_price_per_kwh = 0.34
[[device]]
id = "box"
driver = "toy"
link = {{ kind = "tcp", host = "127.0.0.1", port = 5020, unit = 1 }}
[[device.resource]]
id = "meter"
role = "grid"
[[provider]]
id = "utility"
binding = "openadr2b"
url = "{url}/OpenADR2/Simple/2.0b"
ven_name = "house-1"
poll_s = 0.5
ca_file = "authority.pem"
client_certificate_file = "ven.pem"
client_key_file = "ven.key"
vtn_fingerprint = "{fingerprint}"
[[provider.programme]]
name = "dimming"
mandatory = true
"""


def test_a_gateway_follows_a_limit_of_a_2_0b_provider_from_its_site_file(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    asyncio.run(_follow(tmp_path, authority, authority.issue("ven"), authority.issue("vtn")))


async def _follow(folder: Path, authority: Authority, ven: Identity, own: Identity) -> None:
    async with operator(AiohttpClient(ssl_context=trusting(authority)), **secured(authority, own, ven)) as vtn:
        await _limited(folder, own, vtn)


async def _limited(folder: Path, own: Identity, vtn: Operator) -> None:
    path = folder / "site.toml"
    path.write_text(SITE.format(url=vtn.base, fingerprint=own.fingerprint))
    drivers = {"toy": ToyDriver()}
    gateway = await real_gateway(load_site(path, drivers), drivers, replay=False)
    running = asyncio.create_task(gateway.run())
    await vtn.limit(await vtn.program(), 4.2)

    def limited() -> bool:
        tick = gateway.loop.last
        limits = () if tick is None else tick.inputs.directive.limits
        return [limit.import_limit_w for limit in limits] == [4200.0]

    await until(limited)
    gateway.stop()
    await running
