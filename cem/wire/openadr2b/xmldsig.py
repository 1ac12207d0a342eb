"""XML signatures (W3C, XML Signature Syntax and Processing) as OpenADR 2.0b uses them, and nothing else of it.

Two references by identifier into the same body, each at most brought into canonical form; RSA (PKCS 1.5) or ECDSA with
SHA-256, 384 or 512; the key known beforehand. Every other transform, method or place is refused, so that what is
covered can only be the very elements that `verify` gives back.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509 import load_der_x509_certificate
from lxml import etree

from cem.wire.openadr2b.names import qualified
from cem.wire.openadr2b.shape import Element

Hash = Callable[[bytes], "hashlib._Hash"]
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
_EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
_ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
_FORMS = {  # whether the form is exclusive; there are no comments left, so those with comments are the same
    C14N: False,
    f"{C14N}#WithComments": False,
    "http://www.w3.org/2006/12/xml-c14n11": False,
    "http://www.w3.org/2006/12/xml-c14n11#WithComments": False,
    _EXCLUSIVE: True,
    f"{_EXCLUSIVE}WithComments": True,
}
_DIGESTS: dict[str, Hash] = {
    SHA256: hashlib.sha256,
    "http://www.w3.org/2001/04/xmldsig-more#sha384": hashlib.sha384,
    "http://www.w3.org/2001/04/xmlenc#sha512": hashlib.sha512,
}
_METHODS: dict[str, tuple[type[PublicKey], hashes.HashAlgorithm]] = {
    f"http://www.w3.org/2001/04/xmldsig-more#{name}-sha{size}": (kind, algorithm)
    for name, kind in (("rsa", rsa.RSAPublicKey), ("ecdsa", ec.EllipticCurvePublicKey))
    for size, algorithm in ((256, hashes.SHA256()), (384, hashes.SHA384()), (512, hashes.SHA512()))
}
_IDS = etree.XPath("//@*[local-name() = 'Id' or local-name() = 'ID' or local-name() = 'id']")
_DS = {
    name: qualified(f"ds:{name}")
    for name in (
        "CanonicalizationMethod",
        "DigestMethod",
        "DigestValue",
        "Reference",
        "SignatureMethod",
        "SignatureValue",
        "SignedInfo",
        "Transforms",
    )
}
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)


_LEAST_RSA_BITS, _LEAST_EC_BITS = 2048, 224  # the profile's rule 68
_PADDING = PKCS1v15()
_SHA256 = hashes.SHA256()
_ECDSA: dict[str, ec.ECDSA] = {one.name: ec.ECDSA(one) for one in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512())}


class Unsound(ValueError):  # noqa: N818 - a verdict, nothing failed
    """A signature that does not hold, or is of a kind that is not understood; the message says why."""


@dataclass(frozen=True, slots=True)
class Covered:
    """An element that a signature covers: in its canonical form, and with its digest as it stands in the reference."""

    element: Element
    written: bytes
    digest: str
    hashed: Hash


@dataclass(frozen=True, slots=True)
class Sound:
    """A signature that holds: what was signed in its canonical form, its value as it stands there, what it covers."""

    info: bytes
    value: str
    algorithm: hashes.HashAlgorithm
    covered: tuple[Covered, ...]


@lru_cache(maxsize=1024)
def key_of(certificate: bytes) -> PublicKey:
    """The key of a certificate (DER); raises Unsound where it is none that signs messages."""
    try:
        key = load_der_x509_certificate(certificate).public_key()
    except ValueError as error:
        raise Unsound("the certificate cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise Unsound("the certificate's key is neither RSA nor EC")
    if key.key_size < (_LEAST_RSA_BITS if isinstance(key, rsa.RSAPublicKey) else _LEAST_EC_BITS):
        raise Unsound(f"the certificate's key of {key.key_size} bits is too short")
    return key


def verify(root: Element, signature: Element, key: PublicKey) -> Sound:
    """What a signature in `root` covers there, its two references; raises Unsound."""
    info = _only(signature, "SignedInfo")
    method = _METHODS.get(_algorithm(info, "SignatureMethod"))
    if method is None or not isinstance(key, method[0]):
        raise Unsound("its method is not known, or not one for the certificate's key")
    value = _only(signature, "SignatureValue").text or ""
    signed = canonical(info, _only(info, "CanonicalizationMethod"))
    check(key, method[1], value, signed)
    references = list(info.iterchildren(_DS["Reference"]))
    if len(references) != 2:
        raise Unsound(f"it covers {len(references)} elements, not the message and its time alone")
    called = _called(root)
    return Sound(signed, value, method[1], tuple(_covered(called, reference) for reference in references))


def sign(key: PrivateKey, data: bytes) -> bytes:
    """The signature value over data, with SHA-256."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, _PADDING, _SHA256)
    r, s = decode_dss_signature(key.sign(data, _ECDSA[_SHA256.name]))
    size = (key.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def digest(data: bytes) -> str:
    """The SHA-256 of data as it stands in a reference."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def canonical(element: Element, form: Element | None) -> bytes:
    """An element in the canonical form that another one names (None: the default), as it stands in its body."""
    algorithm = C14N if form is None else form.get("Algorithm", "")
    if algorithm not in _FORMS:
        raise Unsound(f"the form {algorithm[:80]!r} is not known")
    prefixes = None
    if form is not None and _FORMS[algorithm]:
        listed = form.find(f"{{{_EXCLUSIVE}}}InclusiveNamespaces")
        prefixes = None if listed is None else listed.get("PrefixList", "").split()
    try:
        # by itself it takes all prefixes in scope along
        alone = etree.fromstring(etree.tostring(element, with_tail=False), _PARSER)
        written = etree.tostring(
            alone,
            method="c14n",
            exclusive=_FORMS[algorithm],
            with_comments=False,
            inclusive_ns_prefixes=prefixes,
        )
    except etree.LxmlError as error:  # such as a namespace that is a relative address (Canonical XML, 1.3)
        raise Unsound(f"it has no canonical form: {str(error)[:80]}") from error
    return bytes(written)


def _called(root: Element) -> dict[str, list[Element]]:
    """The elements of a body by their identifiers."""
    called: dict[str, list[Element]] = {}
    for value in _IDS(root):
        called.setdefault(str(value), []).append(value.getparent())
    return called


def _covered(called: dict[str, list[Element]], reference: Element) -> Covered:
    """What a reference is to, once its digest was found right."""
    uri = reference.get("URI", "")
    if not uri.startswith("#") or len(uri) < 2:
        raise Unsound(f"it covers {uri[:80]!r}; identifiers in the same body are understood")
    found = called.get(uri[1:], [])
    if len(found) != 1:
        raise Unsound(f"{len(found)} elements are called {uri[1:80]!r}, not one")
    hashed = _DIGESTS.get(_algorithm(reference, "DigestMethod"))
    if hashed is None:
        raise Unsound("its digest is not known, or too weak")
    written = canonical(found[0], _form(reference, found[0]))
    text = _only(reference, "DigestValue").text or ""
    if not hmac.compare_digest(hashed(written).digest(), _decoded(text)):
        raise Unsound(f"what is called {uri[1:80]!r} was changed")
    return Covered(found[0], written, text, hashed)


def _form(reference: Element, covered: Element) -> Element | None:
    """The canonical form among a reference's transforms. An enveloped signature is none where it lies outside."""
    forms = []
    for transform in _transforms(reference):
        algorithm = transform.get("Algorithm", "")
        if algorithm in _FORMS:
            forms.append(transform)
        elif algorithm != _ENVELOPED or covered in reference.iterancestors():
            raise Unsound(f"the transform {algorithm[:80]!r} is not understood")
    if len(forms) > 1:
        raise Unsound("it has more than one canonical form")
    return forms[0] if forms else None


def _transforms(reference: Element) -> Iterator[Element]:
    for listed in reference.iterchildren(_DS["Transforms"]):
        yield from listed.iterchildren(etree.Element)


def check(key: PublicKey, algorithm: hashes.HashAlgorithm, text: str, signed: bytes) -> None:
    """Raises Unsound where a signature value, as it stands in a body, is not the key's over these bytes."""
    value = _decoded(text)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, signed, _PADDING, algorithm)
            return
        size = (key.key_size + 7) // 8
        if len(value) != 2 * size:
            raise Unsound("its value has not the length for its key")
        r, s = int.from_bytes(value[:size], "big"), int.from_bytes(value[size:], "big")
        key.verify(encode_dss_signature(r, s), signed, _ECDSA[algorithm.name])
    except InvalidSignature as error:
        raise Unsound("its value is not the key's") from error


def _only(parent: Element, name: str) -> Element:
    found = list(parent.iterchildren(_DS[name]))
    if len(found) != 1:
        raise Unsound(f"its {name} is there {len(found)} times, not once")
    return found[0]


def _algorithm(parent: Element, name: str) -> str:
    found: str = _only(parent, name).get("Algorithm", "")
    return found


def _decoded(text: str) -> bytes:
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError as error:  # binascii.Error is one, and what is not ASCII
        raise Unsound("a value or digest in it is not base64") from error
