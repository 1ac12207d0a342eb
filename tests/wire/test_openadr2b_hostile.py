"""Who would have something read that was not signed, or a reader fail: each idea, and what comes of it."""

import base64
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree

from cem.wire.openadr2b import XmlError, message_of, parse
from cem.wire.openadr2b.familiar import SignedReader
from cem.wire.openadr2b.messages import ALL, Poll
from cem.wire.openadr2b.names import NAMESPACES
from cem.wire.openadr2b.shape import Element
from cem.wire.openadr2b.signature import ReplayMemory, Signer, opened, verified
from cem.wire.openadr2b.xmldsig import Unsound, canonical, digest, key_of
from support.oadr2b import AT, sample
from wire.test_openadr2b_signature import POLL, key_and_certificate, signer
from wire.test_openadr2b_xmldsig import again

DS, OADR = f"{{{NAMESPACES['ds']}}}", f"{{{NAMESPACES['oadr']}}}"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def body(nonce: str = "nonce") -> bytes:
    return signer().seal(POLL, AT, nonce)


def received(sent: bytes, memory: ReplayMemory | None = None) -> object:
    kept = ReplayMemory() if memory is None else memory
    return message_of(verified(parse(sent), signer().fingerprint, kept, AT))


def _certificate(name: str) -> bytes:
    return "".join(key_and_certificate("ec", name)[1].split("-----")[2].split()).encode()


def _carrying(first: bytes, second: bytes) -> bytes:
    """A body by mallory with two certificates."""
    by_mallory = signer("ec", "mallory").seal(POLL, AT, "nonce")
    both = b"".join(b"<ds:X509Certificate>%s</ds:X509Certificate>" % one for one in (first, second))
    return re.sub(rb"<ds:X509Certificate>.*</ds:X509Certificate>", both, by_mallory)


def _decoyed() -> bytes:
    """A body by mallory whose signature has the other certificate among its properties, before its own."""
    root = etree.fromstring(signer("ec", "mallory").seal(POLL, AT, "nonce"))
    decoy = etree.Element(f"{DS}Object")
    etree.SubElement(decoy, f"{DS}X509Certificate").text = _certificate("ven").decode()
    root[0].insert(0, decoy)
    return bytes(etree.tostring(root))


def _moved_id() -> bytes:
    """The signed identifier is that of another element, which holds what was signed; the object says something else."""
    root = etree.fromstring(body())
    signed = root[1]
    root.remove(signed)
    holder = etree.SubElement(root[0], f"{DS}Object")
    holder.append(signed)
    signed.tag = f"{OADR}oadrSigned"
    evil = etree.SubElement(root, f"{OADR}oadrSignedObject")
    poll = etree.SubElement(evil, f"{OADR}oadrPoll")
    etree.SubElement(poll, f"{{{NAMESPACES['ei']}}}venID").text = "evil"
    return bytes(etree.tostring(root))


def _two_signatures() -> bytes:
    root = etree.fromstring(body())
    root.insert(0, etree.fromstring(etree.tostring(root[0])))
    return bytes(etree.tostring(root))


def _nested_signature() -> bytes:
    root = etree.fromstring(body())
    etree.SubElement(root[0], f"{DS}Object").append(etree.fromstring(etree.tostring(root[0])))
    return bytes(etree.tostring(root))


def _cut_digest() -> bytes:
    return re.sub(rb"(<ds:DigestValue>)[^<]+", rb"\g<1>" + base64.b64encode(b"cut!"), body(), count=1)


STRANGERS: list[tuple[str, Callable[[], bytes], str]] = [
    ("mallory's certificate first", lambda: _carrying(_certificate("mallory"), _certificate("ven")), "not by"),
    ("mallory's certificate last", lambda: _carrying(_certificate("ven"), _certificate("mallory")), "not the key's"),
    ("a certificate among the properties", _decoyed, "not the key's"),
    ("the identifier at another element", _moved_id, "oadrSignedObject"),
    ("two signatures", _two_signatures, "2 signatures"),
    ("a signature in the signature", _nested_signature, "2 signatures"),
    ("a digest cut short", _cut_digest, "does not hold"),
    ("an identifier of XML's own twice", lambda: _added(b' xml:id="oadrSignedObject"'), "2 elements are called"),
    ("an identifier in capitals twice", lambda: _added(b' ID="protection"'), "2 elements are called"),
    ("an identifier that is two", lambda: _added(b' Id="oadrSignedObject"'), "2 elements are called"),
    ("a relative namespace", lambda: _added(b' xmlns:q="relative"'), "no canonical form"),
    ("a certificate in other letters", lambda: re.sub(rb"(<ds:X509Certificate>)", "\\1é".encode(), body()), "is none"),
    ("a document type", lambda: body().replace(b"<oadr:oadrPayload", b"<!DOCTYPE a><oadr:oadrPayload", 1), "document"),
    ("too many prefixes", lambda: _added(b"".join(b' xmlns:n%d="urn:n"' % n for n in range(100))), "prefixes"),
]


def _added(more: bytes) -> bytes:
    """The same body, with more said in its first element."""
    return body().replace(b"<oadr:oadrPayload ", b"<oadr:oadrPayload" + more + b" ", 1)


@pytest.mark.parametrize(("made", "words"), [one[1:] for one in STRANGERS], ids=[one[0] for one in STRANGERS])
def test_what_somebody_without_the_key_made_of_a_message_is_refused(made: Callable[[], bytes], words: str) -> None:
    sent = made()
    assert sent != body()
    with pytest.raises(XmlError, match=words):
        received(sent)
    with pytest.raises(XmlError, match=words):
        SignedReader().read(sent, signer().fingerprint, AT)


def _object_s_id_at_the_message(root: Element) -> None:
    """Only the message is signed, not the object that holds it: another one could stand beside it."""
    signed = root[1]
    del signed.attrib[f"{OADR}Id"]
    signed[0].set("Id", "oadrSignedObject")
    _digest_again(root, 0, signed[0])


def _id_at_the_whole(root: Element) -> None:
    del root[1].attrib[f"{OADR}Id"]
    root.set("Id", "oadrSignedObject")
    _digest_again(root, 0, root)


def _time_beside(root: Element) -> None:
    """The signed part has no time; an unsigned one beside it has."""
    protection = root[0].findall(f".//{{{NAMESPACES['dsp']}}}ReplayProtect")[0]
    holder = etree.SubElement(root[0], f"{DS}Object")
    holder.append(protection)
    _digest_again(root, 1, root[0].findall(f"{DS}Object")[0])


def _method_twice(root: Element) -> None:
    info = root[0][0]
    info.insert(2, etree.fromstring(etree.tostring(info[1])))


def _digest_again(root: Element, number: int, covered: Element) -> None:
    reference = root[0].findall(f".//{DS}Reference")[number]
    reference[-1].text = digest(canonical(covered, None))


OWNERS: list[tuple[str, Callable[[Element], None], str]] = [
    ("the message without its object", _object_s_id_at_the_message, "does not cover the oadrSignedObject"),
    ("the whole body", _id_at_the_whole, "what is called"),
    ("a time beside what is signed", _time_beside, "no ReplayProtect"),
    ("two methods", _method_twice, "SignatureMethod is there 2 times"),
]


@pytest.mark.parametrize(("change", "words"), [one[1:] for one in OWNERS], ids=[one[0] for one in OWNERS])
def test_what_the_key_s_owner_signed_in_another_way_is_refused(change: Callable[[Element], None], words: str) -> None:
    with pytest.raises(XmlError, match=words):
        received(bytes(etree.tostring(again(change))))


@pytest.mark.parametrize("inserted", [b"<!-- -->", b"<?a b?>"])
def test_a_comment_in_a_value_does_not_cut_it(inserted: bytes) -> None:
    """Readers that take the text before a comment for the whole of it read what was not signed."""
    assert received(body().replace(b"ven-1", b"ven" + inserted + b"-1")) == POLL


def test_the_twin_of_an_ecdsa_value_is_the_same_message_again_and_no_value_of_nothing_holds() -> None:
    sent, memory = body(), ReplayMemory()
    assert received(sent, memory) == POLL
    found = re.search(rb"<ds:SignatureValue>([^<]+)", sent)
    assert found is not None
    value = base64.b64decode(found[1])
    s = int.from_bytes(value[32:], "big")
    twin = value[:32] + (P256_ORDER - s).to_bytes(32, "big")
    with pytest.raises(XmlError, match="seen before"):
        received(sent.replace(found[1], base64.b64encode(twin)), memory)
    for other in (bytes(64), value[:32] + bytes(32), encode_dss_signature(1, s), value + b"\0", b""):
        with pytest.raises(XmlError, match="does not hold"):
            received(sent.replace(found[1], base64.b64encode(other)))


def test_a_key_that_is_too_short_signs_nothing(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:1024", "-days", "2", "-subj", "/CN=short"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    short = Signer(key.read_bytes(), certificate.read_text())
    with pytest.raises(XmlError, match="1024 bits is too short"):
        verified(parse(short.seal(POLL, AT, "n")), short.fingerprint, ReplayMemory(), AT)
    with pytest.raises(Unsound, match="cannot be read"):
        key_of(base64.b64decode(_certificate("ven"))[:-1])
    assert load_pem_private_key(key.read_bytes(), None) is not None


@pytest.mark.parametrize(
    ("nonce", "words"),
    [("n" * 201, "no ReplayProtect"), ("", "no ReplayProtect"), (" ", "no ReplayProtect"), ("(.*)\\", "")],
    ids=["long", "none", "blank", "odd"],
)
def test_nonces_are_bounded_and_their_signs_mean_nothing(nonce: str, words: str) -> None:
    reader = SignedReader()
    for _ in range(2):
        if words:
            with pytest.raises(XmlError, match=words):
                reader.read(body(nonce), signer().fingerprint, AT)
            continue
        assert reader.read(body(nonce), signer().fingerprint, AT) == POLL
        nonce += "."


def test_a_known_poll_does_not_speak_for_another_certificate_or_message() -> None:
    reader, mallory = SignedReader(), signer("ec", "mallory")
    assert reader.read(body("n1"), signer().fingerprint, AT) == POLL
    with pytest.raises(XmlError, match="not by"):
        reader.read(body("n2"), mallory.fingerprint, AT)
    mixed = body("n3").replace(_certificate("ven"), _certificate("mallory"))
    for by in (signer().fingerprint, mallory.fingerprint):
        with pytest.raises(XmlError, match="signature"):
            reader.read(mixed, by, AT)
    other = Poll(ven_id="ven-2")
    assert reader.read(mallory.seal(other, AT, "n2"), mallory.fingerprint, AT) == other
    assert reader.read(body("n2"), signer().fingerprint, AT) == POLL


PIECES = [b"<", b">", b"/>", b"&#0;", b"&#xD;", b"&x;", b"<!-- -->", b"<?x?>", b"<![CDATA[x]]>", b' xmlns:q="r"', b"\0"]
PIECES += [
    b"\xff",
    b' Id="oadrSignedObject"',
    b"9" * 400,
    b"NaN",
    b"1e999",
    b"9999-12-31T23:59:59Z",
    b"-P1Y",
    "é".encode(),
]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_becomes_of_a_body_on_its_way_is_read_or_refused_in_words(seed: int) -> None:
    chance, reader = random.Random(seed), SignedReader()
    bodies = [signer().seal(sample(cls, full=True), AT, "n") for cls in ALL] + [body(f"n{n}") for n in range(9)]
    refused = 0
    for _ in range(150):
        sent = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(1, 3)):
            at, long = chance.randrange(len(sent)), chance.randint(0, 60)
            sent[at : at + long] = chance.choice([*PIECES, bytes(sent[-at : -at + 200]), b""])
            sent = sent or bytearray(b" ")
        try:
            message_of(parse(bytes(sent)).signed_object)
            reader.read(bytes(sent), signer().fingerprint, AT)
        except XmlError:
            refused += 1
    assert refused > 100


def test_what_is_covered_is_the_very_element_that_is_read() -> None:
    payload = parse(body())
    found = opened(payload, signer().fingerprint)
    assert found.signed_object is payload.signed_object
    assert any(one.element is payload.signed_object for one in found.sound.covered)
