"""XML signatures of OpenADR 2.0b: detached, over the oadrSignedObject and a ReplayProtect of time and nonce.

What is parsed after a check is the element that was checked, never the one that was sent.
"""

import base64
import binascii
import hashlib
import ssl
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_der_x509_certificate
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureConstructionMethod, SignatureMethod
from signxml.exceptions import SignXMLException
from signxml.signer import XMLSigner
from signxml.verifier import SignatureConfiguration, XMLVerifier

from cem.wire.openadr2b.codec import SIGNED_OBJECT, Payload, to_bytes, tree_of
from cem.wire.openadr2b.messages import Message
from cem.wire.openadr2b.names import NAMESPACES, qualified
from cem.wire.openadr2b.shape import Element, XmlError, read_instant, written_instant

_C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
_METHODS = frozenset(
    {
        SignatureMethod.RSA_SHA256,
        SignatureMethod.RSA_SHA384,
        SignatureMethod.RSA_SHA512,
        SignatureMethod.ECDSA_SHA256,
        SignatureMethod.ECDSA_SHA384,
        SignatureMethod.ECDSA_SHA512,
    }
)
_DIGESTS = frozenset({DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512})
_MOST_NONCES = 100_000


class SignatureError(XmlError):
    """A message that is not signed as it must be."""

    def __init__(self, reason: str) -> None:
        super().__init__("signature", reason)


def fingerprint(der: bytes) -> str:
    """What the profile calls the fingerprint of a certificate: the last ten bytes of its SHA-256, with colons."""
    return ":".join(f"{byte:02X}" for byte in hashlib.sha256(der).digest()[-10:])


def pem_fingerprint(pem: str) -> str:
    """The fingerprint of the first certificate in a PEM text; raises ValueError."""
    end = "-----END CERTIFICATE-----"
    first, found, _ = pem.partition(end)
    return fingerprint(ssl.PEM_cert_to_DER_cert(first[first.find("-----BEGIN") :] + found))


class Signer:
    """A private key with its certificate, both PEM; RSA or EC."""

    def __init__(self, key_pem: bytes, certificate_pem: str) -> None:
        """Raises ValueError for what is no key, for any other kind of key, and for what is no certificate."""
        key = load_pem_private_key(key_pem, None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError("a key that is neither RSA nor EC cannot sign messages")
        self._key = key
        is_rsa = isinstance(key, rsa.RSAPrivateKey)
        self._method = SignatureMethod.RSA_SHA256 if is_rsa else SignatureMethod.ECDSA_SHA256
        self._certificate_pem = certificate_pem
        self.fingerprint = pem_fingerprint(certificate_pem)

    def seal(self, message: Message, now: datetime, nonce: str) -> bytes:
        """The signed body of a message; raises XmlError."""
        sent = tree_of(message)
        signed_object = etree.fromstring(etree.tostring(sent[0]))
        signer = XMLSigner(SignatureConstructionMethod.detached, self._method, DigestAlgorithm.SHA256, _C14N)
        # inclusive canonical form: what is signed must see the prefixes that the payload around it declares
        signer.namespaces["oadr"] = NAMESPACES["oadr"]
        signature = signer.sign(
            signed_object,
            key=self._key,
            cert=self._certificate_pem,
            reference_uri=f"#{SIGNED_OBJECT}",
            signature_properties=_replay_protect(now, nonce),
        )
        root = etree.Element(qualified("oadr:oadrPayload"), nsmap={"oadr": NAMESPACES["oadr"]})
        root.append(signature)
        root.append(signed_object)
        return to_bytes(root)


def _replay_protect(now: datetime, nonce: str) -> Element:
    element = etree.Element(
        qualified("dsp:ReplayProtect"),
        nsmap={"dsp": NAMESPACES["dsp"]},
        attrib={"Id": "oadrReplayProtect", "Target": f"#{SIGNED_OBJECT}"},
    )
    etree.SubElement(element, qualified("dsp:timestamp")).text = written_instant(now)
    etree.SubElement(element, qualified("dsp:nonce")).text = nonce
    return element


@dataclass(slots=True)
class ReplayMemory:
    """The nonces of the last moments. Older messages than `max_age` are refused, so older nonces need not be known.

    Interpretation: the profile wants whole seconds, so a message may seem a second older than it is.
    """

    max_age: timedelta = timedelta(seconds=6)
    max_ahead: timedelta = timedelta(seconds=5)
    _seen: dict[tuple[datetime, str], None] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def __len__(self) -> int:
        return len(self._seen)

    def check(self, at: datetime, nonce: str, now: datetime) -> None:
        """Takes a message in; raises SignatureError for one that is old, ahead or known. Any thread may ask."""
        with self._lock:
            self._check(at, nonce, now)

    def _check(self, at: datetime, nonce: str, now: datetime) -> None:
        if at < now - self.max_age:
            raise SignatureError(f"was made {(now - at).total_seconds():.0f} s ago, too long")
        if at > now + self.max_ahead:
            raise SignatureError(f"was made {(at - now).total_seconds():.0f} s in the future; check the clocks")
        if (at, nonce) in self._seen:
            raise SignatureError("was seen before")
        for known in [known for known in self._seen if known[0] < now - self.max_age]:
            del self._seen[known]
        if len(self._seen) >= _MOST_NONCES:
            raise SignatureError("too many messages at once")
        self._seen[at, nonce] = None


def signed_by(payload: Payload) -> str | None:
    """The fingerprint of the certificate in a signature, as it claims; None: there is no signature.

    Raises SignatureError for a signature without a certificate.
    """
    return None if payload.signature is None else fingerprint(_certificate(payload.signature))


def verified(payload: Payload, expected: str, memory: ReplayMemory, now: datetime) -> Element:
    """The oadrSignedObject that a signature by the `expected` fingerprint covers; raises SignatureError."""
    if payload.signature is None:
        raise SignatureError("is missing")
    certificate = _certificate(payload.signature)
    seen = fingerprint(certificate)
    if seen != expected:
        raise SignatureError(f"is by the certificate {seen}, not by {expected}")
    config = SignatureConfiguration(
        location="./", expect_references=2, signature_methods=_METHODS, digest_algorithms=_DIGESTS
    )
    try:
        found = XMLVerifier().verify(
            payload.root, x509_cert=load_der_x509_certificate(certificate), expect_config=config
        )
    except (SignXMLException, etree.LxmlError, ValueError) as error:
        raise SignatureError(f"does not hold: {str(error)[:200]}") from error
    covered = [one.signed_xml for one in (found if isinstance(found, list) else [found])]
    objects = [e for e in covered if e is not None and e.tag == qualified("oadr:oadrSignedObject")]
    others = [e for e in covered if e is not None and e.tag != qualified("oadr:oadrSignedObject")]
    if len(objects) != 1 or len(others) != 1:
        raise SignatureError("does not cover the oadrSignedObject and a ReplayProtect")
    at, nonce = _protection(others[0])
    memory.check(at, nonce, now)
    return objects[0]


def _certificate(signature: Element) -> bytes:
    text = signature.findtext(f".//{qualified('ds:X509Certificate')}")
    if not text:
        raise SignatureError("carries no certificate")
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise SignatureError("carries a certificate that is none") from error


def _protection(properties: Element) -> tuple[datetime, str]:
    text = properties.findtext(f".//{qualified('dsp:timestamp')}")
    nonce = properties.findtext(f".//{qualified('dsp:nonce')}")
    if not text or not nonce or len(nonce) > 200:
        raise SignatureError("has no ReplayProtect with a time and a nonce")
    try:
        return read_instant(text.strip()), nonce.strip()
    except ValueError as error:
        raise SignatureError(f"has a time that is none: {error}") from error
