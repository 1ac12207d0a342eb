"""Signed OpenADR 2.0b messages: what holds, and everything that must not."""

import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from lxml import etree
from openleadr.messaging import create_message, validate_xml_signature

from cem.wire.openadr2b import XmlError, encode, message_of, parse
from cem.wire.openadr2b.messages import ALL, DistributeEvent, Message, OadrResponse, Poll
from cem.wire.openadr2b.parts import Response
from cem.wire.openadr2b.shape import read_instant
from cem.wire.openadr2b.signature import ReplayMemory, SignatureError, Signer, fingerprint, pem_fingerprint, verified
from support.oadr2b import AT, assert_valid, sample

SECOND = timedelta(seconds=1)
KINDS = {"rsa": ["rsa:2048"], "ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "ed": ["ed25519"]}


@cache
def key_and_certificate(kind: str, name: str) -> tuple[bytes, str]:
    """A fresh key and a certificate of its own, PEM."""
    with TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        command = ["openssl", "req", "-x509", "-nodes", "-newkey", *KINDS[kind], "-days", "2", "-subj", f"/CN={name}"]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
        return key.read_bytes(), certificate.read_text()


@cache
def signer(kind: str = "ec", name: str = "ven") -> Signer:
    """Signs with such a key."""
    return Signer(*key_and_certificate(kind, name))


def opened(body: bytes, *, by: Signer | None = None, memory: ReplayMemory | None = None, later_s: float = 0) -> Message:
    """The message that a signature covers, as the receiver sees it."""
    expected = (by or signer()).fingerprint
    return message_of(
        verified(parse(body), expected, ReplayMemory() if memory is None else memory, AT + SECOND * later_s)
    )


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_every_message_holds_when_signed_and_is_valid_and_a_foreign_reader_agrees(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openleadr.messaging._verify_replay_protect", lambda tree: None)  # it reads the real clock
    for cls in ALL if kind == "ec" else (Poll, DistributeEvent):
        message = sample(cls, full=True)
        body = signer(kind).seal(message, AT, "nonce")
        assert_valid(body)
        assert opened(body, by=signer(kind)) == message
        validate_xml_signature(etree.fromstring(body), cert_fingerprint=signer(kind).fingerprint)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_message_that_a_foreign_writer_signed_holds(kind: str) -> None:
    key, certificate = key_and_certificate(kind, "ven")
    body = create_message("oadrPoll", cert=certificate.encode(), key=key, ven_id="ven-1").encode()
    at = re.search(rb"timestamp>([^<]+)<", body)
    assert at is not None
    now = read_instant(at[1].decode())
    assert message_of(verified(parse(body), signer(kind).fingerprint, ReplayMemory(), now)) == Poll(ven_id="ven-1")


POLL = Poll(ven_id="ven-1")


def _wrapped(body: bytes) -> bytes:
    """The signed object is moved aside and another one takes its place."""
    root = etree.fromstring(body)
    signed = root[1]
    evil = etree.fromstring(encode(Poll(ven_id="evil")))[0]
    evil.set("{http://openadr.org/oadr-2.0b/2012/07}Id", "other")
    root[1] = evil
    aside = etree.SubElement(root[0], "{http://www.w3.org/2000/09/xmldsig#}Object")
    aside.append(signed)
    return bytes(etree.tostring(root))


def _wrapped_outside(body: bytes) -> bytes:
    root = etree.fromstring(body)
    evil = etree.fromstring(encode(Poll(ven_id="evil")))[0]
    root.append(evil)
    return bytes(etree.tostring(root))


def _without_replay_protect(body: bytes) -> bytes:
    root = etree.fromstring(body)
    references = root.findall(".//{http://www.w3.org/2000/09/xmldsig#}Reference")
    references[1].getparent().remove(references[1])
    return bytes(etree.tostring(root))


ATTACKS: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("tampered", lambda body: body.replace(b">ven-1<", b">ven-2<"), "does not hold"),
    ("other time", lambda body: re.sub(rb"(timestamp>)[^<]+", rb"\g<1>2026-01-15T12:00:01Z", body), "does not hold"),
    ("other nonce", lambda body: body.replace(b">nonce<", b">other<"), "does not hold"),
    ("no signature", lambda body: encode(POLL), "is missing"),
    ("wrapped", _wrapped, "oadrSignedObject"),
    ("wrapped outside", _wrapped_outside, "oadrSignedObject"),
    ("no replay protection", _without_replay_protect, "does not hold"),
    (
        "no certificate",
        lambda body: re.sub(rb"<ds:X509Data>.*</ds:X509Data>", b"", body, flags=re.DOTALL),
        "certificate",
    ),
    (
        "weak digest",
        lambda body: body.replace(
            b"http://www.w3.org/2001/04/xmlenc#sha256", b"http://www.w3.org/2000/09/xmldsig#sha1"
        ),
        "does not hold",
    ),
    (
        "no method",
        lambda body: body.replace(b"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", b"urn:none"),
        "does not hold",
    ),
    (
        "mac with the certificate",
        lambda body: body.replace(b"#ecdsa-sha256", b"#hmac-sha256"),
        "does not hold",
    ),
]


@pytest.mark.parametrize(("attack", "words"), [a[1:] for a in ATTACKS], ids=[a[0] for a in ATTACKS])
def test_an_attack_on_a_signed_message_is_refused_with_its_reason(attack: Callable[[bytes], bytes], words: str) -> None:
    body = signer().seal(POLL, AT, "nonce")
    assert opened(body) == POLL
    attacked = attack(body)
    assert attacked != body
    with pytest.raises(XmlError, match=words):
        opened(attacked)


def test_the_key_of_somebody_else_is_refused() -> None:
    with pytest.raises(SignatureError, match="not by"):
        opened(signer("ec", "mallory").seal(POLL, AT, "nonce"))


@pytest.mark.parametrize(("later_s", "words"), [(60, "60 s ago"), (7, "7 s ago"), (-60, "60 s in the future")])
def test_an_old_message_and_one_from_the_future_are_refused(later_s: float, words: str) -> None:
    with pytest.raises(SignatureError, match=words):
        opened(signer().seal(POLL, AT, "nonce"), later_s=later_s)


def test_a_replayed_message_is_refused_and_what_is_remembered_is_bounded_in_time() -> None:
    memory = ReplayMemory()
    body = signer().seal(POLL, AT, "nonce")
    assert opened(body, memory=memory, later_s=1) == POLL
    with pytest.raises(SignatureError, match="seen before"):
        opened(body, memory=memory, later_s=2)
    for later in range(0, 60, 2):
        opened(signer().seal(POLL, AT + SECOND * later, "n"), memory=memory, later_s=later)
    assert len(memory) <= 4


def test_a_fingerprint_is_the_last_ten_bytes() -> None:
    assert fingerprint(b"") == "93:4C:A4:95:99:1B:78:52:B8:55"
    assert len(pem_fingerprint(key_and_certificate("ec", "ven")[1]).split(":")) == 10


def test_a_key_that_cannot_sign_is_refused() -> None:
    with pytest.raises(ValueError, match="neither RSA nor EC"):
        Signer(*key_and_certificate("ed", "ven"))


def test_a_message_that_cannot_be_written_is_not_signed() -> None:
    with pytest.raises(XmlError):
        signer().seal(OadrResponse(response=Response(code="200", description="\0")), AT, "nonce")
