"""Attacks on the server of our OpenADR 2.0b VEN, over real sockets: nothing moves, and the session lives on."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from lxml import etree

from cem.config.sitefile import ProviderLink
from cem.io.clock import SystemClock
from cem.io.http_client import AiohttpClient
from cem.io.tls import client_context
from cem.model.directive import LinkState
from cem.model.errors import GridError
from cem.provider_ways import ears_for, envelope_for
from cem.wire.openadr2b import encode
from cem.wire.openadr2b.messages import CreatePartyRegistration, OadrResponse
from cem.wire.openadr2b.names import PATH_PREFIX, qualified
from cem.wire.openadr2b.signature import Signer
from support.certificates import Authority, Identity
from support.scripted_vtn2b import Home, ScriptedVtn, event
from support.stand import free_ports
from support.ven_world import utility
from support.waiting import until


@dataclass
class Stand:
    """A VEN with its server, and whoever sends to it."""

    folder: Path
    authority: Authority
    ven: Identity
    vtn: Identity
    coming: Identity
    peer: ScriptedVtn
    home: Home
    port: int

    @asynccontextmanager
    async def sender(self, identity: Identity | None) -> AsyncIterator[Callable[[bytes], Awaitable[object]]]:
        """Posts bodies to the service of events over one client; the status, or what was wrong."""
        certificate, key = (None, None) if identity is None else (identity.certificate, identity.key)
        http = AiohttpClient(5.0, ssl_context=client_context(certificate, key, self.authority.certificate))
        url = f"https://127.0.0.1:{self.port}{PATH_PREFIX}/EiEvent"

        async def post(body: bytes) -> object:
            try:
                return (await http.request("POST", url, body=body)).status
            except GridError:
                return "no connection"

        try:
            yield post
        finally:
            await http.close()

    def body(self, identity: Identity | None = None, *, at: datetime | None = None) -> bytes:
        """A signed distribution of the events."""
        signer = Signer(*_files(identity or self.vtn))
        return signer.seal(self.peer.distribution(), at or _now(), secrets.token_hex(16))


def _files(identity: Identity) -> tuple[bytes, str]:
    return identity.key.read_bytes(), identity.certificate.read_text()


def _now() -> datetime:
    return SystemClock().now().wall


@asynccontextmanager
async def stand(folder: Path, *, signed: bool = True, kind: str = "ec") -> AsyncIterator[Stand]:
    """A VEN that is online and sent to, with a list of revoked certificates on which nobody stands."""
    authority = Authority(folder)
    ven, vtn = authority.issue("ven", kind), authority.issue("vtn", kind)
    coming = authority.issue("vtn-next")
    (port,) = free_ports(1)
    link = ProviderLink(
        ca_file=authority.certificate,
        crl_file=authority.revoke(),
        certificate_file=ven.certificate,
        key_file=ven.key,
        callback=("127.0.0.1", port),
        callback_fingerprint=vtn.fingerprint,
        vtn_fingerprint=vtn.fingerprint if signed else None,
        vtn_next_fingerprint=coming.fingerprint,
    )
    clock = SystemClock()
    provider = utility(binding="openadr2b", callback_url=f"https://127.0.0.1:{port}")
    peer = ScriptedVtn(sealed=Signer(*_files(vtn)) if signed else None)
    home = Home(
        clock,
        peer,
        ears=ears_for(provider, link, clock),
        envelope=envelope_for(link, clock),
        callback_url=provider.callback_url,
    )
    home.start()
    await until(lambda: home.link.state is LinkState.ONLINE)
    peer.events = [event(start=_now())]
    try:
        yield Stand(folder, authority, ven, vtn, coming, peer, home, port)
    finally:
        await home.stop()


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_the_vtn_alone_is_listened_to_whoever_else_has_a_certificate(tmp_path: Path, kind: str) -> None:
    async def main() -> None:
        async with stand(tmp_path, kind=kind) as at:
            other = at.authority.issue("other-ven")
            late = at.authority.issue("late", days=(-9, -1))
            (tmp_path / "strangers").mkdir()
            foreign = Authority(tmp_path / "strangers", "stranger").issue("vtn")
            closed = "no connection"
            for identity, answer in ((other, 403), (late, closed), (foreign, closed), (None, closed)):
                async with at.sender(identity) as post:
                    assert await post(at.body()) == answer
            assert at.home.limits_w() == []
            async with at.sender(at.vtn) as post:
                assert await post(at.body()) == 200
            assert at.home.limits_w() == [4200.0]
            (registration,) = at.peer.got(CreatePartyRegistration)
            assert (registration.pull, registration.xml_signature) == (False, True)

    asyncio.run(main())


def test_a_vtn_that_renews_its_certificate_is_known_by_the_next_one_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with stand(tmp_path) as at:
            async with at.sender(at.vtn) as post:
                assert await post(at.body()) == 200
            at.peer.events = []
            async with at.sender(at.coming) as post:
                assert await post(at.body(at.authority.issue("other-ven"))) == 403
                assert await post(at.body(at.coming)) == 200
            assert at.home.limits_w() == []

    asyncio.run(main())


def test_a_certificate_that_is_revoked_counts_no_longer_on_an_open_connection_either(tmp_path: Path) -> None:
    async def main() -> None:
        async with stand(tmp_path, signed=False) as at, at.sender(at.vtn) as post:
            empty = encode(OadrResponse(response=at.peer.fine))
            assert await post(empty) == 200
            at.authority.revoke(at.vtn)
            assert await post(at.body()) == 403
            assert at.home.limits_w() == []
            at.authority.revoke(days=(-9, -1))  # nobody is on it, but it is out of date
            assert await post(at.body()) == 403
            (tmp_path / "revoked.pem").write_text("no list")  # what was read last counts
            assert await post(at.body()) == 403
            at.authority.revoke()
            assert await post(encode(at.peer.distribution())) == 200
            assert at.home.limits_w() == [4200.0]

    asyncio.run(main())


def _wrapped(body: bytes) -> bytes:
    """The signed object is moved aside and another one takes its place."""
    root = etree.fromstring(body)
    signed = root[1]
    evil = etree.fromstring(etree.tostring(signed))
    evil.set(qualified("oadr:Id"), "other")
    root[1] = evil
    aside = etree.SubElement(root[0], qualified("ds:Object"))
    aside.append(signed)
    return bytes(etree.tostring(root))


def _said(body: bytes, more: bytes) -> bytes:
    """More is said in the first element."""
    return body.replace(b"<oadr:oadrPayload ", b"<oadr:oadrPayload" + more + b" ", 1)


PREFIXES = b"".join(b' xmlns:n%d="urn:n%d"' % (number, number) for number in range(10_000))
CARRIED = "<ds:X509Certificate>é".encode()
BOMB = b'<!DOCTYPE a [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><a>&b;</a>'


def test_a_message_that_is_not_signed_as_it_must_be_moves_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with stand(tmp_path) as at, at.sender(at.vtn) as post:
            other = at.authority.issue("other-ven")
            minute = timedelta(minutes=1)
            attacks: dict[str, tuple[bytes, int]] = {
                "tampered": (re.sub(rb">4\.2<|>4\.20*<", b">0.1<", at.body()), 403),
                "wrapped": (_wrapped(at.body()), 400),
                "old": (at.body(at=_now() - minute), 403),
                "from the future": (at.body(at=_now() + minute), 403),
                "unsigned": (encode(at.peer.distribution()), 403),
                "signed by another VEN": (at.body(other), 403),
                "a relative namespace": (_said(at.body(), b' xmlns:q="relative"'), 403),
                "a certificate in other letters": (at.body().replace(b"<ds:X509Certificate>", CARRIED), 403),
                "thousands of prefixes": (_said(at.body(), PREFIXES), 400),
                "an entity bomb": (BOMB, 400),
                "deep": (b"<a>" * 100_000, 400),
                "no XML": (secrets.token_bytes(1000), 400),
                "nothing": (b"", 400),
            }
            for name, (body, status) in attacks.items():
                assert await post(body) == status, name
                assert at.home.limits_w() == [], name
            good = at.body()
            assert await post(good) == 200
            assert at.home.limits_w() == [4200.0]
            at.peer.events = []
            assert await post(at.body()) == 200
            assert at.home.limits_w() == []
            assert await post(good) == 403  # replayed: the event does not come back
            assert at.home.limits_w() == []
            assert at.home.link.state is LinkState.ONLINE

    asyncio.run(main())
