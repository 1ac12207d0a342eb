"""Messages in the shapes that other people's tools give them: of C++ (code made from the schemas), .NET and Java."""

import base64
import re
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from lxml import etree

from cem.model.event import SignalKind
from cem.wire.openadr2b import decode, message_of, parse
from cem.wire.openadr2b.familiar import SignedReader
from cem.wire.openadr2b.messages import CreatedPartyRegistration, Poll, UpdateReport
from cem.wire.openadr2b.names import NAMESPACES
from cem.wire.openadr2b.parts import Response
from cem.wire.openadr2b.signature import ReplayMemory, verified
from cem.wire.openadr2b.xmldsig import C14N, SHA256, canonical, digest, sign
from sgcp.test_openadr2b_events import World, times
from support.oadr2b import AT
from wire.test_openadr2b_signature import key_and_certificate, signer
from wire.test_openadr2b_xmldsig import _key

OADR, EI, DS, DSP = (NAMESPACES[prefix] for prefix in ("oadr", "ei", "ds", "dsp"))
CANON = f'<ds:Transforms>\n<ds:Transform Algorithm="{C14N}"/>\n</ds:Transforms>'


def wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.wrap(text, width))


def of_cpp(nonce: str) -> bytes:
    """A signed poll as a signer of the Apache family in C++ writes it: lines, wrapped values, fractions of a second."""
    certificate = wrapped("".join(key_and_certificate("ec", "ven")[1].split("-----")[2].split()), 76)
    reference = (
        f'<ds:Reference URI="#{{}}">\n{CANON}\n<ds:DigestMethod Algorithm="{SHA256}"/>\n'
        "<ds:DigestValue></ds:DigestValue>\n</ds:Reference>\n"
    )
    text = (
        f'<?xml version="1.0" encoding="UTF-8" standalone="no" ?><p1:oadrPayload xmlns:p1="{OADR}">'
        f'<ds:Signature xmlns:ds="{DS}" Id="oadrPayloadSignature">\n<ds:SignedInfo>\n'
        f'<ds:CanonicalizationMethod Algorithm="{C14N}"/>\n'
        '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"/>\n'
        f"{reference.format('oadrSignedObject')}{reference.format('signatureProperties')}</ds:SignedInfo>\n"
        "<ds:SignatureValue></ds:SignatureValue>\n"
        f"<ds:KeyInfo>\n<ds:X509Data>\n<ds:X509Certificate>{certificate}</ds:X509Certificate>\n</ds:X509Data>\n"
        '</ds:KeyInfo>\n<ds:Object Id="signatureProperties"><ds:SignatureProperties>'
        f'<ds:SignatureProperty Target="#oadrPayloadSignature"><dsp:ReplayProtect xmlns:dsp="{DSP}">'
        f"<dsp:timestamp>2026-01-15T12:00:00.000000Z</dsp:timestamp><dsp:nonce>{nonce}</dsp:nonce>"
        "</dsp:ReplayProtect></ds:SignatureProperty></ds:SignatureProperties></ds:Object>\n</ds:Signature>\n"
        '  <p1:oadrSignedObject p1:Id="oadrSignedObject">\n'
        f'    <p1:oadrPoll xmlns:p2="{EI}" p2:schemaVersion="2.0b">\n      <p2:venID>ven-1</p2:venID>\n'
        "    </p1:oadrPoll>\n  </p1:oadrSignedObject>\n</p1:oadrPayload>\n"
    )
    root: Any = etree.fromstring(text.encode())
    covered = (root[1], root[0].find(f"{{{DS}}}Object"))
    for one, place in zip(covered, root.findall(f".//{{{DS}}}DigestValue"), strict=True):
        place.text = digest(canonical(one, None))
    value = base64.b64encode(sign(_key(), canonical(root[0][0], None))).decode()
    root.find(f".//{{{DS}}}SignatureValue").text = wrapped(value, 64)
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=False))


def test_a_message_that_a_signer_in_cpp_wrote_holds_and_is_heard_once() -> None:
    reader = SignedReader()
    for nonce in ("3Ygjeg64UsMHIAsV3rySF9ySIE0Eu/Xe", "9Zq+eg64UsMHIAsV3rySF9ySIE0Eu/X="):
        body = of_cpp(nonce)
        assert message_of(verified(parse(body), signer().fingerprint, ReplayMemory(), AT)) == Poll(ven_id="ven-1")
        assert reader.read(body, signer().fingerprint, AT) == Poll(ven_id="ven-1")
        with pytest.raises(ValueError, match="seen before"):
            reader.read(body, signer().fingerprint, AT)


def test_a_signature_of_ours_carries_one_certificate_whatever_the_file_holds() -> None:
    """A VEN in C++ refuses messages with more than one."""
    key, certificate = key_and_certificate("ec", "ven")
    file = key.decode() + certificate + key_and_certificate("ec", "mallory")[1]
    body = type(signer())(key, file).seal(Poll(ven_id="ven-1"), AT, "n")
    assert body.count(b"<ds:X509Certificate>") == 1
    assert message_of(verified(parse(body), signer().fingerprint, ReplayMemory(), AT)) == Poll(ven_id="ven-1")


def test_reports_of_cpp_with_a_prefix_that_means_two_things_and_nothing_in_them_are_read() -> None:
    stream, payloads = NAMESPACES["strm"], NAMESPACES["pyld"]
    body = f"""<?xml version="1.0" encoding="UTF-8" standalone="no" ?>
    <p1:oadrPayload xmlns:p1="{OADR}"><p1:oadrSignedObject>
    <p1:oadrUpdateReport xmlns:p3="{EI}" p3:schemaVersion="2.0b" xmlns:p2="{payloads}">
      <p2:requestID>r1</p2:requestID>
      <p1:oadrReport xmlns:p3="{stream}" xmlns:p4="{EI}"><p3:intervals/>
        <p4:reportRequestID>rr</p4:reportRequestID><p4:reportSpecifierID>s</p4:reportSpecifierID>
        <p4:reportName>TELEMETRY_USAGE</p4:reportName><p4:createdDateTime>2026-01-15T12:00:00Z</p4:createdDateTime>
      </p1:oadrReport><p3:venID>ven-1</p3:venID>
    </p1:oadrUpdateReport></p1:oadrSignedObject></p1:oadrPayload>"""
    message = decode(body.encode())
    assert isinstance(message, UpdateReport)
    assert (message.ven_id, message.reports[0].specifier_id, message.reports[0].intervals) == ("ven-1", "s", ())


def of_net(status: str = "far", start: str = "2026-01-15T12:10:00Z") -> str:
    """Two intervals of a price beside a signal that nobody agreed on, as a serializer of .NET writes them."""
    pieces = [
        f'<interval><duration xmlns="{NAMESPACES["xcal"]}"><duration>PT60M</duration></duration>'
        f'<uid xmlns="{NAMESPACES["xcal"]}"><text>{number}</text></uid>'
        f"<signalPayload><payloadFloat><value>{value}</value></payloadFloat></signalPayload></interval>"
        for number, value in enumerate(("0.5", "0.75"))
    ]
    spans = "".join(
        f"<d3p1:x-ei{name}><duration>PT0M</duration></d3p1:x-ei{name}>"
        for name in ("Notification", "RampUp", "Recovery")
    )
    signals = "".join(
        f'<d3p1:eiEventSignal><intervals xmlns="{NAMESPACES["strm"]}">'
        + "".join(pieces).replace("<interval>", f'<interval xmlns="{EI}">')
        + f"</intervals><d3p1:signalName>{name}</d3p1:signalName><d3p1:signalType>{kind}</d3p1:signalType>"
        f"<d3p1:signalID>{name}</d3p1:signalID><d3p1:currentValue><d3p1:payloadFloat><d3p1:value>0</d3p1:value>"
        "</d3p1:payloadFloat></d3p1:currentValue></d3p1:eiEventSignal>"
        for name, kind in (("ENERGY_PRICE", "price"), ("simple", "delta"))
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<oadrPayload xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:xsd="http://www.w3.org/2001/XMLSchema"
 xmlns="{OADR}">
 <oadrSignedObject><oadrDistributeEvent d3p1:schemaVersion="2.0b" xmlns:d3p1="{EI}">
  <d3p1:eiResponse><d3p1:responseCode>200</d3p1:responseCode><d3p1:responseDescription>OK</d3p1:responseDescription>
   <requestID xmlns="{NAMESPACES["pyld"]}">q1</requestID></d3p1:eiResponse>
  <requestID xmlns="{NAMESPACES["pyld"]}">r1</requestID><d3p1:vtnID>VTN</d3p1:vtnID>
  <oadrEvent><d3p1:eiEvent><d3p1:eventDescriptor><d3p1:eventID>e1</d3p1:eventID>
    <d3p1:modificationNumber>0</d3p1:modificationNumber><d3p1:modificationReason /><d3p1:priority>0</d3p1:priority>
    <d3p1:eiMarketContext><marketContext xmlns="{NAMESPACES["emix"]}">http://provider.test/dimming</marketContext>
    </d3p1:eiMarketContext><d3p1:createdDateTime>2026-01-15T11:52:34.1234567+00:00</d3p1:createdDateTime>
    <d3p1:eventStatus>{status}</d3p1:eventStatus><d3p1:testEvent>false</d3p1:testEvent><d3p1:vtnComment />
   </d3p1:eventDescriptor><d3p1:eiActivePeriod><properties xmlns="{NAMESPACES["xcal"]}">
     <dtstart><date-time>{start}</date-time></dtstart><duration><duration>PT120M</duration></duration>
     <tolerance><tolerate><startafter>PT0M</startafter></tolerate></tolerance>{spans}</properties>
    <components xsi:nil="true" xmlns="{NAMESPACES["xcal"]}" /></d3p1:eiActivePeriod>
   <d3p1:eiEventSignals>{signals}</d3p1:eiEventSignals><d3p1:eiTarget><d3p1:venID>ven-1</d3p1:venID></d3p1:eiTarget>
  </d3p1:eiEvent><oadrResponseRequired>always</oadrResponseRequired></oadrEvent>
 </oadrDistributeEvent></oadrSignedObject></oadrPayload>"""


def _as_java(text: str) -> str:
    """The same with other prefixes, a place of the schema, single quotes, and no version."""
    text = text.replace("d3p1:", "ns2:").replace("xmlns:d3p1", "xmlns:ns2").replace(' ns2:schemaVersion="2.0b"', "")
    text = text.replace("xsi:nil", "x:nil").replace("xmlns:xsi", "xmlns:x")
    place = f'x:schemaLocation="{OADR} oadr_20b.xsd"'
    return re.sub(r'version="1.0" encoding="utf-8"', "version='1.0' encoding='UTF-8' standalone='yes'", text).replace(
        "<oadrPayload ", f"<oadrPayload {place} ", 1
    )


@pytest.mark.parametrize("written", [str, _as_java], ids=["net", "java"])
@pytest.mark.parametrize("start", ["2026-01-15T12:10:00Z", "2026-01-15T13:10:00.000+01:00", "2026-01-15T12:10:00.0Z"])
def test_an_event_in_foreign_dress_is_followed_as_far_as_it_is_understood(
    written: Callable[[str], str], start: str
) -> None:
    message: Any = decode(written(of_net(start=start)).encode())
    world = World()
    bound = world.hears(*message.events)
    assert [(answer.code, answer.opt_type) for answer in bound.answers] == [("200", "optIn")]
    price = SignalKind.IMPORT_PRICE_PER_KWH
    begun = (datetime(2026, 1, 15, 12, 10, tzinfo=UTC) - AT) / timedelta(seconds=1)
    assert [(end - start if end else None, signals) for start, end, signals in times(world.held())] == [
        (3600, {price: 0.5}),
        (3600, {price: 0.75}),
    ]
    assert message.events[0].period.start == AT + timedelta(seconds=begun)
    assert world.held() is not None
    assert world.held().unsupported == ("simple delta",)  # type: ignore[union-attr] # it is there


def test_an_offer_of_two_profiles_over_two_transports_is_read() -> None:
    transports = "".join(
        f"<p1:oadrTransport><p1:oadrTransportName>{name}</p1:oadrTransportName></p1:oadrTransport>"
        for name in ("simpleHttp", "xmpp")
    )
    profiles = "".join(
        f"<p1:oadrProfile><p1:oadrProfileName>{name}</p1:oadrProfileName>"
        f"<p1:oadrTransports>{transports}</p1:oadrTransports></p1:oadrProfile>"
        for name in ("2.0a", "2.0b")
    )
    body = (
        f'<p1:oadrPayload xmlns:p1="{OADR}"><p1:oadrSignedObject><p1:oadrCreatedPartyRegistration xmlns:p2="{EI}">'
        f'<p2:eiResponse xmlns:p3="{NAMESPACES["pyld"]}"><p2:responseCode>200</p2:responseCode>'
        "<p2:responseDescription>OK</p2:responseDescription><p3:requestID>4C8</p3:requestID></p2:eiResponse>"
        f"<p2:venID>v</p2:venID><p2:vtnID>VTN</p2:vtnID><p1:oadrProfiles>{profiles}</p1:oadrProfiles>"
        f'<p1:oadrRequestedOadrPollFreq xmlns:p3="{NAMESPACES["xcal"]}"><p3:duration>PT10S</p3:duration>'
        "</p1:oadrRequestedOadrPollFreq></p1:oadrCreatedPartyRegistration></p1:oadrSignedObject></p1:oadrPayload>"
    )
    message = decode(body.encode())
    assert isinstance(message, CreatedPartyRegistration)
    assert message.response == Response(code="200", description="OK", request_id="4C8")
    assert [profile.transports for profile in message.profiles] == [("simpleHttp", "xmpp")] * 2
    assert message.poll_every == timedelta(seconds=10)
