"""VENs with the two old suites alone and with XML and HTTP habits of their own, as `openssl s_client` sends them."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cem.io.http_client import AiohttpClient
from cem.io.tls import server_context
from cem.sgcp.vtn2b.parties import Admitted
from support.certificates import Authority, Identity
from support.vtn2b_site import operator, trusting

OADR = "http://openadr.org/oadr-2.0b/2012/07"
EI = "http://docs.oasis-open.org/ns/energyinterop/201110"
PYLD = f"{EI}/payloads"
POSTED = "POST /OpenADR2/Simple/2.0b/%s HTTP/1.1\r\nHost: vtn\r\nConnection: %s\r\n%s\r\n"

REGISTER = f"""<?xml version="1.0"?>
<p1:oadrPayload xmlns:p1="{OADR}">
  <!-- made by hand -->
  <p1:oadrSignedObject>
    <p1:oadrCreatePartyRegistration xmlns:p2="{EI}" p2:schemaVersion="2.0b">
      <p3:requestID xmlns:p3="{PYLD}">r1</p3:requestID>
      <p1:oadrProfileName>2.0b</p1:oadrProfileName>
      <p1:oadrTransportName>simpleHttp</p1:oadrTransportName>
      <p1:oadrReportOnly>false</p1:oadrReportOnly>
      <p1:oadrXmlSignature>0</p1:oadrXmlSignature>
      <p1:oadrVenName>house-1</p1:oadrVenName>
      <p1:oadrHttpPullModel>1</p1:oadrHttpPullModel>
      <p1:oadrSomethingOfTheirOwn xmlns="urn:theirs">x</p1:oadrSomethingOfTheirOwn>
    </p1:oadrCreatePartyRegistration>
  </p1:oadrSignedObject>
</p1:oadrPayload>
"""
POLL = (
    f'<oadrPayload xmlns="{OADR}"><oadrSignedObject><oadrPoll schemaVersion="2.0b">'
    f'<venID xmlns="{EI}">ven-1</venID></oadrPoll></oadrSignedObject></oadrPayload>'
)


def sized(service: str, xml: str, kind: str = "application/xml", more: str = "", connection: str = "close") -> bytes:
    body = xml.encode()
    return (
        POSTED % (service, connection, f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}")
    ).encode() + body


def chunked(service: str, xml: str) -> bytes:
    head = (POSTED % (service, "close", "Transfer-Encoding: chunked\r\n")).encode()
    parts = [xml.encode()[start : start + 100] for start in range(0, len(xml), 100)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [*parts, b""])


def marked(service: str, xml: str) -> bytes:
    body = xml.encode("utf-8-sig")
    return (POSTED % (service, "close", f"Content-Length: {len(body)}\r\n")).encode() + body


HABITS: dict[str, Callable[[str, str], bytes]] = {
    "sized": sized,
    "text/xml": lambda service, xml: sized(service, xml, "text/xml; charset=UTF-8"),
    "without a type": lambda service, xml: sized(service, xml).replace(b"Content-Type: application/xml\r\n", b""),
    "expecting to go on": lambda service, xml: sized(service, xml, more="Expect: 100-continue\r\n"),
    "chunked": chunked,
    "HTTP/1.0": lambda service, xml: sized(service, xml).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    "with a mark of its byte order": marked,
}


async def spoken(port: int, suite: str, ven: Identity, authority: Authority, sent: bytes) -> bytes:
    """What `openssl s_client` gets for some bytes over TLS 1.2 with one suite, until the other end closes."""
    command = ["s_client", "-quiet", "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0", "-connect", f"127.0.0.1:{port}"]
    files = ["-cert", str(ven.certificate), "-key", str(ven.key), "-CAfile", str(authority.certificate)]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "openssl", *command, *files, "-verify_return_error", stdin=pipe, stdout=pipe, stderr=pipe
    )
    out, err = await asyncio.wait_for(process.communicate(sent), 15)
    return out or b"nothing: " + err


@pytest.mark.parametrize(
    ("kind", "suite"),
    [("ec", "ECDHE-ECDSA-AES128-SHA256"), ("rsa", "AES128-SHA256")],
    ids=["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256"],
)
def test_a_ven_with_one_old_suite_registers_and_polls_whatever_its_habits(
    tmp_path: Path, kind: str, suite: str
) -> None:
    asyncio.run(_old(tmp_path, kind, suite))


async def _old(folder: Path, kind: str, suite: str) -> None:
    authority = Authority(folder)
    own, ven = authority.issue("vtn", kind), authority.issue("ven", kind)
    tls = server_context(own.certificate, own.key, authority.certificate, legacy_suites=True)
    admitted = (Admitted("ven-1", "house-1", ven.fingerprint),)
    async with operator(AiohttpClient(ssl_context=trusting(authority)), tls=tls, vens_2b=admitted) as vtn:
        port = int(vtn.base.rpartition(":")[2])
        for habit, written in HABITS.items():
            answer = await spoken(port, suite, ven, authority, written("EiRegisterParty", REGISTER))
            assert re.search(rb"HTTP/1\.[01] 200", answer), (habit, answer)
            assert b"registrationID>" in answer, (habit, answer)
            answer = await spoken(port, suite, ven, authority, written("OadrPoll", POLL))
            assert b"oadrResponse" in answer, (habit, answer)
        two = sized("OadrPoll", POLL, connection="keep-alive") + sized("OadrPoll", POLL)
        answer = await spoken(port, suite, ven, authority, two)
        assert answer.count(b"HTTP/1.1 200") == 2


def test_an_old_suite_is_refused_where_it_is_not_permitted(tmp_path: Path) -> None:
    asyncio.run(_modern(tmp_path))


async def _modern(folder: Path) -> None:
    authority = Authority(folder)
    own, ven = authority.issue("vtn", "rsa"), authority.issue("ven", "rsa")
    tls = server_context(own.certificate, own.key, authority.certificate)
    async with operator(AiohttpClient(ssl_context=trusting(authority)), tls=tls) as vtn:
        port = int(vtn.base.rpartition(":")[2])
        answer = await spoken(port, "AES128-SHA256", ven, authority, sized("OadrPoll", POLL))
        assert answer.startswith(b"nothing: ")
        modern = await spoken(port, "ECDHE-RSA-AES128-GCM-SHA256", ven, authority, sized("OadrPoll", POLL))
        assert b"HTTP/1.1 200" in modern
