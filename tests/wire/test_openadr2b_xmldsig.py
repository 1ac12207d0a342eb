"""Signatures in other forms than ours: what holds, and what must not although its sums are right.

They are written by signxml, a foreign implementation, or put together by hand with a key of our own.
"""

import base64
from collections.abc import Callable
from functools import cache

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.signer import XMLSigner

from cem.wire.openadr2b import XmlError, message_of, parse, tree_of
from cem.wire.openadr2b.names import NAMESPACES, qualified
from cem.wire.openadr2b.shape import Element
from cem.wire.openadr2b.signature import ReplayMemory, verified
from cem.wire.openadr2b.xmldsig import Unsound, canonical, digest, key_of, sign, verify
from support.oadr2b import AT
from wire.test_openadr2b_signature import POLL, key_and_certificate, signer

EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
INCLUSIVE = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
DS = NAMESPACES["ds"]


def protection() -> Element:
    element = etree.Element(qualified("dsp:ReplayProtect"), nsmap={"dsp": NAMESPACES["dsp"]})
    etree.SubElement(element, qualified("dsp:timestamp")).text = "2026-01-15T12:00:00Z"
    etree.SubElement(element, qualified("dsp:nonce")).text = "n"
    return element


def foreign(kind: str, method: SignatureMethod, hashed: DigestAlgorithm, form: str) -> bytes:
    """A body that signxml signed."""
    key, certificate = key_and_certificate(kind, "ven")
    writer = XMLSigner(SignatureConstructionMethod.detached, method, hashed, form)
    signed = etree.fromstring(etree.tostring(tree_of(POLL)[0]))
    writer.namespaces["oadr"] = NAMESPACES["oadr"]
    signature = writer.sign(
        signed,
        key=key,
        cert=certificate,
        reference_uri="#oadrSignedObject",
        signature_properties=protection(),
    )
    root = etree.Element(qualified("oadr:oadrPayload"), nsmap={"oadr": NAMESPACES["oadr"]})
    root.append(signature)
    root.append(signed)
    return bytes(etree.tostring(root))


@pytest.mark.parametrize("form", [INCLUSIVE, EXCLUSIVE, f"{EXCLUSIVE}WithComments", f"{INCLUSIVE}#WithComments"])
@pytest.mark.parametrize(
    ("kind", "method", "hashed"),
    [
        ("ec", SignatureMethod.ECDSA_SHA256, DigestAlgorithm.SHA256),
        ("ec", SignatureMethod.ECDSA_SHA384, DigestAlgorithm.SHA512),
        ("rsa", SignatureMethod.RSA_SHA256, DigestAlgorithm.SHA256),
        ("rsa", SignatureMethod.RSA_SHA512, DigestAlgorithm.SHA384),
    ],
    ids=["ec", "ec-384", "rsa", "rsa-512"],
)
def test_what_a_foreign_implementation_signed_holds(
    kind: str, method: SignatureMethod, hashed: DigestAlgorithm, form: str
) -> None:
    payload = parse(foreign(kind, method, hashed, form))
    assert message_of(verified(payload, signer(kind).fingerprint, ReplayMemory(), AT)) == POLL


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(key_and_certificate("ec", "ven")[0], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def again(change: Callable[[Element], None], *, der: bool = False) -> Element:
    """A body of ours, changed and then signed anew over what is in its references, with the right key."""
    root = etree.fromstring(signer().seal(POLL, AT, "n"))
    change(root)
    info = root.find(f".//{{{DS}}}SignedInfo")
    data = canonical(info, info[0])
    value = _key().sign(data, ec.ECDSA(hashes.SHA256())) if der else sign(_key(), data)
    root.find(f".//{{{DS}}}SignatureValue").text = base64.b64encode(value).decode()
    return root


def _reference(root: Element, number: int) -> Element:
    return root.findall(f".//{{{DS}}}Reference")[number]


def _transform(root: Element, number: int, algorithm: str) -> None:
    etree.SubElement(_reference(root, number)[0], f"{{{DS}}}Transform").set("Algorithm", algorithm)


def _third(root: Element) -> None:
    reference = _reference(root, 0)
    reference.getparent().append(etree.fromstring(etree.tostring(reference)))


def _twice(root: Element) -> None:
    twin = etree.SubElement(root, "other")
    twin.set("Id", "oadrSignedObject")


def _twin_of_property(root: Element) -> None:
    """Both references are to what the signature says of itself."""
    first, second = _reference(root, 0), _reference(root, 1)
    first.set("URI", second.get("URI"))
    first[-1].text = second[-1].text


def _nothing_of_itself(root: Element) -> None:
    """What stands for the time of the signature lies outside of it."""
    holder = root.find(f".//{{{DS}}}Object")
    aside = etree.SubElement(root, "aside")
    aside.append(holder)
    _reference(root, 1)[-1].text = digest(canonical(holder, None))


SOUND_SUMS: list[tuple[str, Callable[[Element], None], str]] = [
    ("three references", _third, "covers 3 elements"),
    ("two elements of that name", _twice, "2 elements are called"),
    ("whole document", lambda root: _reference(root, 0).set("URI", ""), "covers ''"),
    ("somewhere else", lambda root: _reference(root, 0).set("URI", "http://evil.test/x"), "covers 'http"),
    ("pointer", lambda root: _reference(root, 0).set("URI", "#xpointer(/)"), "0 elements are called"),
    ("xslt", lambda root: _transform(root, 0, "http://www.w3.org/TR/1999/REC-xslt-19991116"), "is not understood"),
    ("xpath", lambda root: _transform(root, 0, "http://www.w3.org/TR/1999/REC-xpath-19991116"), "is not understood"),
    ("two forms", lambda root: _transform(root, 0, EXCLUSIVE), "more than one canonical form"),
    ("property twice", _twin_of_property, "does not cover the oadrSignedObject"),
    ("time outside", _nothing_of_itself, "does not cover the oadrSignedObject"),
]


@pytest.mark.parametrize(("change", "words"), [a[1:] for a in SOUND_SUMS], ids=[a[0] for a in SOUND_SUMS])
def test_a_signature_with_right_sums_over_the_wrong_thing_is_refused(
    change: Callable[[Element], None], words: str
) -> None:
    body = etree.tostring(again(change))
    with pytest.raises(XmlError, match=words):
        verified(parse(body), signer().fingerprint, ReplayMemory(), AT)


def test_an_enveloped_signature_is_no_transform_where_it_lies_outside() -> None:
    body = etree.tostring(again(lambda root: _transform(root, 0, ENVELOPED)))
    assert message_of(verified(parse(body), signer().fingerprint, ReplayMemory(), AT)) == POLL


def test_values_in_another_shape_and_keys_of_another_kind_are_refused() -> None:
    root = again(lambda root: None, der=True)
    with pytest.raises(XmlError, match="length"):
        verified(parse(etree.tostring(root)), signer().fingerprint, ReplayMemory(), AT)
    payload = parse(signer().seal(POLL, AT, "n"))
    other = base64.b64decode("".join(key_and_certificate("rsa", "ven")[1].split("-----")[2].split()))
    with pytest.raises(Unsound, match="method"):
        verify(payload.root, payload.signature, key_of(other))
    with pytest.raises(Unsound, match="cannot be read"):
        key_of(b"nothing")


def test_the_canonical_form_sees_the_prefixes_around_an_element_and_no_tail() -> None:
    root = etree.fromstring('<a:r xmlns:a="urn:a" xmlns:z="urn:z"><a:x  b="1"\n a="2">t&#13;</a:x>tail</a:r>')
    assert canonical(root[0], None) == b'<a:x xmlns:a="urn:a" xmlns:z="urn:z" a="2" b="1">t&#xD;</a:x>'
    form = etree.fromstring(f'<form Algorithm="{EXCLUSIVE}"/>')
    assert canonical(root[0], form) == b'<a:x xmlns:a="urn:a" a="2" b="1">t&#xD;</a:x>'
    etree.SubElement(form, f"{{{EXCLUSIVE}}}InclusiveNamespaces").set("PrefixList", "z")
    assert canonical(root[0], form) == b'<a:x xmlns:a="urn:a" xmlns:z="urn:z" a="2" b="1">t&#xD;</a:x>'
