"""OpenADR 2.0b on the wire: what is written is valid by the profile's schemas, what is read may be anything."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cem.wire.openadr2b import Bounds, XmlError, decode, encode, parse
from cem.wire.openadr2b.messages import ALL, CreatedEvent, DistributeEvent, Message, OadrResponse, Poll, UpdateReport
from cem.wire.openadr2b.parts import (
    Report,
    ReportInterval,
    ReportPayload,
    ResourceStatus,
    Response,
    Unit,
)
from cem.wire.openadr2b.shape import read_duration, read_instant, written_duration, written_instant
from support.oadr2b import AT, POWER, assert_valid, sample

SMALL = Bounds(max_bytes=100_000, max_elements=500)


@pytest.mark.parametrize("full", [True, False], ids=["full", "minimal"])
@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.TAG)
def test_every_message_is_valid_and_comes_back_as_it_was(cls: type[Message], full: bool) -> None:
    message = sample(cls, full)
    body = encode(message)
    assert_valid(body)
    assert b"schemaLocation" not in body
    assert decode(body) == message


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.TAG)
def test_order_prefixes_and_unknown_elements_do_not_matter_to_the_reader(cls: type[Message]) -> None:
    message = sample(cls, full=True)
    root = etree.fromstring(encode(message))
    chance = random.Random(1)
    for parent in [root[0], *root[0].iterdescendants()]:
        children = list(parent)
        if parent is root[0] or not children:
            continue
        repeated = len({child.tag for child in children}) < len(children)
        if not repeated:  # the order of repeated ones is theirs
            chance.shuffle(children)
            parent[:] = children
        parent.insert(0, etree.Element("{urn:vendor}more", nsmap={"v": "urn:vendor"}))
    body = etree.tostring(root).replace(b"ei:", b"q:").replace(b"xmlns:ei=", b"xmlns:q=")
    assert decode(body) == message


UNITS = [
    POWER,
    Unit(name="power:energyReal", description="RealEnergy", units="Wh", scale="k"),
    Unit(name="power:voltage", description="Voltage", units="V"),
    Unit(name="oadr:currencyPerKWh", description="currencyPerKWh", units="EUR"),
    Unit(name="oadr:current", description="Current", units="A"),
    Unit(name="oadr:frequency", description="Frequency", units="Hz"),
    Unit(name="oadr:temperature", description="temperature", units="celsius"),
    Unit(name="oadr:pulseCount", description="pulse count", units="count", scale="2.0"),
    Unit(name="oadr:customUnit", description="state of charge", units="percent"),
]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_is_valid_and_comes_back(unit: Unit) -> None:
    message = sample(DistributeEvent, full=True)
    signal = replace(message.events[0].signals[0], unit=unit)
    message = replace(message, events=(replace(message.events[0], signals=(signal,)),))
    body = encode(message)
    assert_valid(body)
    assert decode(body) == message


def test_a_status_and_a_missing_value_are_valid_in_a_report() -> None:
    status = ReportPayload(r_id="site", status=ResourceStatus(online=True, manual_override=False))
    gap = ReportPayload(r_id="site", value=0.0, quality="No Quality - No Value")
    interval = ReportInterval(start=AT, duration=timedelta(minutes=1), payloads=(status, gap))
    report = Report(intervals=(interval,), request_id="r1", specifier_id="s1", created_at=AT)
    message = UpdateReport(request_id="1", reports=(report,))
    assert_valid(encode(message))
    assert decode(encode(message)) == message


def test_a_created_event_without_answers_is_read() -> None:
    message = decode(encode(sample(CreatedEvent, full=False)))
    assert isinstance(message, CreatedEvent)
    assert message.answers == ()


def _body(inside: str) -> bytes:
    return (
        '<oadrPayload xmlns="http://openadr.org/oadr-2.0b/2012/07" '
        'xmlns:ei="http://docs.oasis-open.org/ns/energyinterop/201110">'
        f"<oadrSignedObject>{inside}</oadrSignedObject></oadrPayload>"
    ).encode()


POLL = "<oadrPoll><ei:venID>v</ei:venID></oadrPoll>"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not XML"),
        (b"<html><body>maintenance</body></html>", "not an oadrPayload"),
        (b"\xff\xfe<\x00", "not utf-8"),
        (b'<?xml version="1.0" encoding="UTF-16"?><a/>', "encoded as 'utf-16'"),
        (_body(POLL)[:-5], "not XML"),
        (_body(""), "nothing"),
        (_body("<oadrUnheardOf/>"), "oadrUnheardOf"),
        (_body(POLL + POLL), "exactly one message"),
        (_body("<oadrPoll/>"), "ei:venID: is missing"),
        (_body("<oadrPoll><ei:venID>a</ei:venID><ei:venID>b</ei:venID></oadrPoll>"), "2 times"),
        (_body(POLL).replace(b"</oadrPayload>", b"<oadrSignedObject/></oadrPayload>"), "has 2 oadrSignedObject"),
        (_body(f"<x><oadrSignedObject>{POLL}</oadrSignedObject></x>"), "has 2 oadrSignedObject"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]>' + _body(POLL), "document type"),
        (b'<?xml version="1.0"?>\n<!DOCTYPE a SYSTEM "file:///etc/passwd">' + _body(POLL), "document type"),
        (_body(POLL + "<a>" * 200 + "</a>" * 200), "elements deep"),
        (_body(POLL + "<a/>" * 2000), "more than 500 elements"),
        (_body(POLL + " " * 100_000), "more than 100000"),
        (_body("<oadrPoll><ei:venID>&undefined;</ei:venID></oadrPoll>"), "not XML"),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(body: bytes, words: str) -> None:
    with pytest.raises(XmlError, match=words):
        decode(body, SMALL)


def test_a_latin_body_and_a_byte_order_mark_are_read() -> None:
    poll = _body("<oadrPoll><ei:venID>caf\u00e9</ei:venID></oadrPoll>")
    latin = b'<?xml version="1.0" encoding="ISO-8859-1"?>' + poll.decode().encode("latin-1")
    assert decode(latin) == decode(b"\xef\xbb\xbf" + poll) == decode(b"\n " + poll) == Poll(ven_id="caf\u00e9")


def test_a_signature_anywhere_but_below_the_payload_is_refused() -> None:
    signature = '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"/>'
    with pytest.raises(XmlError, match="signatures"):
        parse(_body(POLL + signature))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-15T12:00:00Z", AT),
        ("2026-01-15T13:00:00+01:00", AT),
        ("2026-01-15T12:00:00.5Z", AT + timedelta(milliseconds=500)),
        ("2026-01-15T12:00:00.Z", AT),
        ("2026-01-15T12:00:00", AT),
    ],
)
def test_times_are_read_in_every_form_that_peers_send(text: str, expected: datetime) -> None:
    assert read_instant(text) == expected


@pytest.mark.parametrize("text", ["", "now", "2026-01-15", "2026-13-15T12:00:00Z", "12:00:00Z"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time"):
        read_instant(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT0S", timedelta()),
        ("P", timedelta()),
        ("PT", timedelta()),
        ("P1DT", timedelta(days=1)),
        ("PT1H30M", timedelta(minutes=90)),
        ("+PT5M", timedelta(minutes=5)),
        ("-PT5M", timedelta(minutes=-5)),
        ("P1W", timedelta(weeks=1)),
        ("P1M", timedelta(days=30)),
    ],
)
def test_durations_are_read(text: str, expected: timedelta) -> None:
    assert read_duration(text) == expected


@pytest.mark.parametrize("text", ["5M", "P9999Y", "PT99999999999H", "P1X"])
def test_what_is_no_duration_of_use_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|longer"):
        read_duration(text)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=365)))
def test_a_span_is_written_in_whole_seconds_and_comes_back(span: timedelta) -> None:
    assert abs(read_duration(written_duration(span)) - span) <= timedelta(seconds=0.5)


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=60_000)))
def test_an_instant_is_written_in_whole_seconds_with_z(later: timedelta) -> None:
    at = datetime(1990, 1, 1, tzinfo=UTC) + later
    text = written_instant(at)
    assert text.endswith("Z")
    assert "." not in text
    assert read_instant(text) == at.replace(microsecond=0)


def test_a_time_of_making_that_is_no_time_is_overlooked_and_none_is_written() -> None:
    message = sample(DistributeEvent, full=True)
    read = decode(encode(message).replace(b"2026-01-15T12:00:00Z</ei:createdDateTime>", b"soon</ei:createdDateTime>"))
    assert isinstance(read, DistributeEvent)
    assert read.events[0].descriptor.created_at is None
    with pytest.raises(XmlError, match="created_at is needed"):
        encode(read)


@pytest.mark.parametrize("text", ["a\x00b", "a\x0bb"])
def test_text_that_xml_cannot_hold_is_refused_by_the_writer(text: str) -> None:
    with pytest.raises(XmlError):
        encode(OadrResponse(response=Response(code="200", description=text)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_that_is_none_is_written_or_read(value: float) -> None:
    payload = ReportPayload(r_id="a", value=value)
    interval = ReportInterval(start=AT, payloads=(payload,))
    report = Report(intervals=(interval,), request_id="r1", specifier_id="s1", created_at=AT)
    with pytest.raises(XmlError, match="finite"):
        encode(UpdateReport(request_id="1", reports=(report,)))
    good = encode(sample(UpdateReport, full=True))
    with pytest.raises(XmlError, match="finite"):
        decode(good.replace(b"4.5", b"NaN"))
