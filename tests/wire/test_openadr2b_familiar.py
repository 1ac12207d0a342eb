"""Polls that are the same again but for time, nonce and signature: read without XML, and refused as any other."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from openleadr.messaging import create_message

from cem.wire.openadr2b import XmlError, encode
from cem.wire.openadr2b.familiar import SignedReader
from cem.wire.openadr2b.messages import Message, Poll, QueryRegistration
from cem.wire.openadr2b.shape import read_instant
from support.oadr2b import AT
from wire.test_openadr2b_signature import POLL, key_and_certificate, signer

SECOND = timedelta(seconds=1)


def poll(number: int, kind: str = "ec", message: Message = POLL) -> bytes:
    return signer(kind).seal(message, AT + SECOND * number, f"nonce-{number}")


def reader(kind: str = "ec") -> SignedReader:
    """One that has read a poll."""
    found = SignedReader()
    assert found.read(poll(0, kind), signer(kind).fingerprint, AT) == POLL
    return found


@pytest.fixture
def no_xml(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes every reading of XML fail from then on."""

    def broken(*_: object) -> None:
        raise AssertionError("XML was read")

    return lambda: monkeypatch.setattr("cem.wire.openadr2b.familiar.parse", broken)


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_the_second_poll_needs_no_xml(kind: str, no_xml: Callable[[], None]) -> None:
    known = reader(kind)
    no_xml()
    for number in range(1, 5):
        assert known.read(poll(number, kind), signer(kind).fingerprint, AT + SECOND * number) == POLL


def test_so_it_is_with_the_polls_of_a_foreign_ven(no_xml: Callable[[], None]) -> None:
    key, certificate = key_and_certificate("ec", "ven")
    known = SignedReader()
    for number in range(3):
        body = create_message("oadrPoll", cert=certificate.encode(), key=key, ven_id="ven-1").encode()
        at = re.search(rb"timestamp>([^<]+)<", body)
        assert at is not None
        assert known.read(body, signer().fingerprint, read_instant(at[1].decode())) == POLL
        if number == 0:
            no_xml()


CHANGES: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("time", lambda body: body.replace(b"12:00:01Z", b"12:00:02Z"), "time or nonce was changed"),
    ("nonce", lambda body: body.replace(b"nonce-1", b"nonce-2"), "time or nonce was changed"),
    ("message", lambda body: body.replace(b">ven-1<", b">ven-2<"), "was changed"),
    ("value", lambda body: re.sub(rb"(<ds:SignatureValue>).{4}", rb"\g<1>AAAA", body), "does not hold"),
    (
        "digest",
        lambda body: re.sub(rb"(.*<ds:DigestValue>).{4}", rb"\g<1>AAAA", body, count=1, flags=re.DOTALL),
        "does not hold",
    ),
    ("markup", lambda body: body.replace(b"nonce-1", b"nonce<a/>-1"), "does not hold"),
    ("unsigned", lambda body: encode(POLL), "is missing"),
    ("something behind", lambda body: body + b"<a/>", "is not XML"),
]


@pytest.mark.parametrize(("change", "words"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES])
def test_what_was_changed_is_refused(change: Callable[[bytes], bytes], words: str) -> None:
    known, body = reader(), poll(1)
    changed = change(body)
    assert changed != body
    with pytest.raises(XmlError, match=words):
        known.read(changed, signer().fingerprint, AT + SECOND)
    assert known.read(body, signer().fingerprint, AT + SECOND) == POLL


def test_what_is_repeated_old_or_by_another_is_refused() -> None:
    known = reader()
    body = poll(1)
    for now, words in ((AT + SECOND * 60, "too long"), (AT - SECOND * 60, "future")):
        with pytest.raises(XmlError, match=words):
            known.read(body, signer().fingerprint, now)
    assert known.read(body, signer().fingerprint, AT + SECOND) == POLL
    with pytest.raises(XmlError, match="seen before"):
        known.read(body, signer().fingerprint, AT + SECOND)
    foreign = signer("ec", "mallory").seal(POLL, AT + SECOND * 2, "nonce-2")
    with pytest.raises(XmlError, match="not by"):
        known.read(foreign, signer().fingerprint, AT + SECOND * 2)


def test_other_messages_are_read_as_ever_and_another_poll_takes_the_place_of_the_first() -> None:
    known, by = reader(), signer().fingerprint
    query = QueryRegistration(request_id="q")
    assert known.read(poll(1, message=query), by, AT + SECOND) == query
    other = Poll(ven_id="ven-9")
    assert known.read(poll(2, message=other), by, AT + SECOND * 2) == other
    assert known.read(poll(3), by, AT + SECOND * 3) == POLL


def test_two_vens_may_use_the_same_nonce() -> None:
    known = reader()
    mallory = signer("ec", "mallory")
    assert known.read(mallory.seal(POLL, AT, "nonce-0"), mallory.fingerprint, AT) == POLL
