"""Our OpenADR 2.0b VEN with openleadr as the VTN, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cem.io.clock import SystemClock
from cem.io.http_client import AiohttpClient
from cem.io.tls import client_context
from cem.model.directive import LinkState
from cem.model.provider import Provider
from cem.model.resource import Resource, Role
from cem.runtime.ven2b import Ven2bSession
from cem.runtime.ven2b_client import Signed
from cem.sgcp.bindings.openadr2b_signals import House
from cem.sgcp.point import ConnectionPoint
from cem.wire.openadr2b.signature import Signer
from support.certificates import Authority, Identity
from support.openleadr_vtn import ForeignVtn, foreign_vtn
from support.ven_world import MemoryStore, utility
from support.waiting import until

pytestmark = pytest.mark.filterwarnings("default")  # openleadr's own
BATTERY = Resource("battery", Role.BATTERY, "d1", "Battery")


class House2b:
    """A VEN as the gateway runs it, without a house."""

    def __init__(self, provider: Provider, store: MemoryStore, http: AiohttpClient, **options: Any) -> None:
        self.own = provider.id
        self.clock = SystemClock()
        self.point = ConnectionPoint((provider,), resources=frozenset({"battery"}))
        self.woken = 0
        self.session = Ven2bSession(
            provider,
            http,
            self.point,
            store,
            self.clock,
            Random(1),
            self._wake,
            house=House(20_000.0, provider.shed_import_w),
            resources=(BATTERY,),
            **options,
        )

    def _wake(self) -> None:
        self.woken += 1

    @property
    def link(self) -> LinkState:
        return self.point.service(self.own, self.clock.now()).link.state

    @property
    def detail(self) -> str:
        """What the link says of itself."""
        return self.point.service(self.own, self.clock.now()).link.detail

    def limits_w(self) -> list[float]:
        """The import limits of all intervals of all events."""
        events = self.point.events(self.own, self.clock.now())
        return [value for e in events.values() for i in e.intervals for value in i.signals.values()]

    def feed(self, site_w: float, battery_w: float) -> None:
        self.session.sample(self.clock.now(), {"site": site_w, "battery": battery_w})


def provider(vtn: ForeignVtn, scheme: str = "http", **changes: Any) -> Provider:
    fields: dict[str, Any] = {
        "binding": "openadr2b",
        "url": f"{scheme}://127.0.0.1:{vtn.port}/OpenADR2/Simple/2.0b",
        "client_id": "",
        "poll_s": 0.3,
        "report_interval_s": 1.0,
        "reconnect_jitter_s": 0.0,
    }
    return utility(**{**fields, **changes})


@asynccontextmanager
async def living(home: House2b) -> AsyncIterator[None]:
    task = asyncio.create_task(home.session.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_registration_events_modification_cancel_and_reports_with_a_foreign_vtn() -> None:
    asyncio.run(_story())


async def _story() -> None:
    async with foreign_vtn() as vtn:
        store, http = MemoryStore(), AiohttpClient()
        home = House2b(provider(vtn), store, http)
        async with living(home):
            await until(lambda: home.link is LinkState.ONLINE)
            assert vtn.registered[0]["ven_name"] == "house-1"
            event_id = vtn.dispatch(4.2, 6.0)
            await until(lambda: bool(vtn.answers))
            assert vtn.answers == [(event_id, "optIn")]
            assert home.limits_w() == [4200.0, 6000.0]

            vtn.modify(event_id, 3.0, 5.0)
            await until(lambda: len(vtn.answers) == 2)
            assert home.limits_w() == [3000.0, 5000.0]

            other = vtn.dispatch(1.0, signal_name="CHARGE_STATE", signal_type="setpoint")
            await until(lambda: (other, "optOut") in vtn.answers)
            assert home.limits_w() == [3000.0, 5000.0]

            vtn.cancel(event_id)
            await until(lambda: len(vtn.answers) == 4)
            assert home.limits_w() == []

            assert {"site RealPower", "site RealEnergy", "battery RealPower", "battery Status"} <= set(vtn.offered)
            for _ in range(60):
                home.feed(1000.0, -2000.0)
                await asyncio.sleep(0.05)
            await until(lambda: "battery RealPower" in vtn.values and len(vtn.values["site RealPower"]) >= 2)
            measured = [value for _, value in vtn.values["battery RealPower"] if value]
            assert measured[-1] == pytest.approx(-2000.0)
            times = [at for at, _ in vtn.values["site RealPower"]]
            assert times == sorted(set(times))
            assert all(after - before == timedelta(seconds=1) for before, after in pairwise(times))
        await home.session.leave()
        assert vtn.cancelled

        again = House2b(provider(vtn), store, http)
        async with living(again):
            await until(lambda: again.link is LinkState.ONLINE)
        assert vtn.registered[-1].get("registration_id") is None
        await http.close()


def test_a_restart_keeps_the_limits_and_registers_again_under_the_old_identifiers() -> None:
    asyncio.run(_restart())


async def _restart() -> None:
    async with foreign_vtn() as vtn:
        store, http = MemoryStore(), AiohttpClient()
        home = House2b(provider(vtn), store, http)
        async with living(home):
            await until(lambda: home.link is LinkState.ONLINE)
            event_id = vtn.dispatch(4.2)
            await until(lambda: bool(vtn.answers))
        again = House2b(provider(vtn), store, http)
        await again.session.restore()
        assert again.limits_w() == [4200.0]
        async with living(again):
            await until(lambda: again.link is LinkState.ONLINE)
            assert vtn.registered[-1]["registration_id"] == "registration-1"
            assert vtn.registered[-1]["ven_id"] == "ven-1"
            vtn.cancel(event_id)
            await until(lambda: again.limits_w() == [])
        await http.close()


@dataclass(frozen=True)
class Security:
    """Both ends' keys."""

    authority: Authority
    ven: Identity
    vtn: Identity

    def vtn_options(self, *, signed: bool, ven: str | None = None) -> dict[str, Any]:
        """How openleadr is started; `ven` is the fingerprint that it expects of the VEN."""
        lookup = {"ven_id": "ven-1", "registration_id": "registration-1", "fingerprint": ven or self.ven.fingerprint}
        signing = {"cert": str(self.vtn.certificate), "key": str(self.vtn.key)} if signed else {}
        return {
            "http_cert": str(self.vtn.certificate),
            "http_key": str(self.vtn.key),
            "http_ca_file": str(self.authority.certificate),
            "ven_lookup": lambda ven_id: lookup,
            "verify_message_signatures": signed,
            **signing,
        }

    def http(self, identity: Identity | None = None, *, legacy: bool = False) -> AiohttpClient:
        """Our way to the VTN."""
        shown = identity or self.ven
        context = client_context(shown.certificate, shown.key, self.authority.certificate, legacy_suites=legacy)
        return AiohttpClient(ssl_context=context)

    def envelope(self, identity: Identity | None = None, expected: str | None = None) -> Signed:
        """Our signatures."""
        own = identity or self.ven
        signer = Signer(own.key.read_bytes(), own.certificate.read_text())
        return Signed(signer, expected or self.vtn.fingerprint, SystemClock())


def security(folder: Path, kind: str) -> Security:
    """Keys of a kind for both ends."""
    authority = Authority(folder)
    return Security(authority, authority.issue("ven", kind), authority.issue("vtn", kind))


@pytest.mark.parametrize(("kind", "signed"), [("ec", True), ("rsa", True), ("rsa", False)])
def test_an_event_over_mutual_tls(tmp_path: Path, kind: str, signed: bool) -> None:
    asyncio.run(_secure(security(tmp_path, kind), signed))


async def _secure(keys: Security, signed: bool) -> None:
    async with foreign_vtn(**keys.vtn_options(signed=signed)) as vtn:
        http = keys.http()
        options = {"envelope": keys.envelope()} if signed else {}
        home = House2b(provider(vtn, "https"), MemoryStore(), http, **options)
        async with living(home):
            await until(lambda: home.link is LinkState.ONLINE)
            event_id = vtn.dispatch(4.2, 6.0)
            await until(lambda: vtn.answers == [(event_id, "optIn")])
            assert home.limits_w() == [4200.0, 6000.0]
        await http.close()


def test_nothing_of_a_vtn_that_signs_with_another_key_or_not_at_all_is_acted_on(tmp_path: Path) -> None:
    asyncio.run(_strangers(security(tmp_path, "ec")))


async def _strangers(keys: Security) -> None:
    other = keys.authority.issue("other")
    await _refused(keys, keys.vtn_options(signed=True), "not by", envelope=keys.envelope(expected=other.fingerprint))
    await _refused(keys, keys.vtn_options(signed=False), "is missing", envelope=keys.envelope())


async def _refused(keys: Security, options: dict[str, Any], words: str, **ours: Any) -> None:
    """Nothing comes of a VTN that is run so, and the link says why."""
    async with foreign_vtn(**options) as vtn:
        http = keys.http()
        home = House2b(provider(vtn, "https"), MemoryStore(), http, **ours)
        async with living(home):
            vtn.dispatch(4.2)
            await until(lambda: words in home.detail)
            assert home.limits_w() == []
            assert vtn.answers == []
            assert home.link is not LinkState.ONLINE
        await http.close()


def test_a_vtn_with_a_foreign_or_expired_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    asyncio.run(_bad_servers(security(tmp_path, "ec"), tmp_path))


async def _bad_servers(keys: Security, folder: Path) -> None:
    strangers = folder / "strangers"
    strangers.mkdir()
    for bad in (Authority(strangers, "stranger").issue("vtn"), keys.authority.issue("late", days=(-9, -1))):
        served = {"http_cert": str(bad.certificate), "http_key": str(bad.key)}
        await _refused(keys, {**keys.vtn_options(signed=False), **served}, "certificate")
