"""XML signatures of OpenADR 2.0b: detached, over the oadrSignedObject and a ReplayProtect of time and nonce.

What is parsed after a check is the element that was checked, never the one that was sent.
"""

import binascii
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from cem.wire.openadr2b.codec import SIGNED_OBJECT, Payload, signed_object_of
from cem.wire.openadr2b.messages import Message, OadrResponse
from cem.wire.openadr2b.names import NAMESPACES, qualified
from cem.wire.openadr2b.shape import Element, XmlError, read_instant, written_instant
from cem.wire.openadr2b.xmldsig import (
    C14N,
    ECDSA_SHA256,
    RSA_SHA256,
    SHA256,
    Covered,
    PublicKey,
    Sound,
    Unsound,
    canonical,
    digest,
    key_of,
    sign,
    verify,
)

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
# the canonical form of an element declares every prefix that its surroundings know: these two
_OURS = f' xmlns:ds="{NAMESPACES["ds"]}" xmlns:oadr="{NAMESPACES["oadr"]}"'
_PROTECTION = "protection"
_PROTECTED = (
    '<ds:SignatureProperties><ds:SignatureProperty Id="oadrReplayProtect" '
    f'Target="#{SIGNED_OBJECT}"><dsp:ReplayProtect xmlns:dsp="{NAMESPACES["dsp"]}"><dsp:timestamp>%s</dsp:timestamp>'
    "<dsp:nonce>%s</dsp:nonce></dsp:ReplayProtect></ds:SignatureProperty></ds:SignatureProperties></ds:Object>"
)
_REFERENCE = (
    f'<ds:Reference URI="#%s"><ds:Transforms><ds:Transform Algorithm="{C14N}"></ds:Transform></ds:Transforms>'
    f'<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod><ds:DigestValue>%s</ds:DigestValue></ds:Reference>'
)
_INFO = (
    f'<ds:CanonicalizationMethod Algorithm="{C14N}"></ds:CanonicalizationMethod>'
    '<ds:SignatureMethod Algorithm="%s"></ds:SignatureMethod>%s%s</ds:SignedInfo>'
)
_PROTECTION_HEAD = f'<ds:Object{_OURS} Id="{_PROTECTION}">'
_INFO_HEAD = f"<ds:SignedInfo{_OURS}>"
_BODY = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<oadr:oadrPayload xmlns:oadr="{NAMESPACES["oadr"]}">'
    f'<ds:Signature xmlns:ds="{NAMESPACES["ds"]}"><ds:SignedInfo>%%b<ds:SignatureValue>%%b</ds:SignatureValue>'
    "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo>"
    f'<ds:Object Id="{_PROTECTION}">%%b</ds:Signature>%%b</oadr:oadrPayload>'
)
MOST_NONCE = 200
"""How many characters a nonce may have."""
_MOST_NONCES = 100_000
_MOST_CHARACTERS = 16 * 1024
_CARRIED = f".//{qualified('ds:X509Certificate')}"
_TIMESTAMP, _NONCE = f".//{qualified('dsp:timestamp')}", f".//{qualified('dsp:nonce')}"
_SWEEP_EVERY = timedelta(seconds=1)


class SignatureError(XmlError):
    """A message that is not signed as it must be."""

    def __init__(self, reason: str) -> None:
        super().__init__("signature", reason)


@lru_cache(maxsize=1024)
def fingerprint(der: bytes) -> str:
    """What the profile calls the fingerprint of a certificate: the last ten bytes of its SHA-256, with colons."""
    return ":".join(f"{byte:02X}" for byte in hashlib.sha256(der).digest()[-10:])


def pem_fingerprint(pem: str) -> str:
    """The fingerprint of the first certificate in a PEM text; raises ValueError."""
    return fingerprint(binascii.a2b_base64(_first(pem), strict_mode=True))


def _first(pem: str) -> str:
    """The first certificate in a PEM text, which may hold a key and a chain as well, in base64; raises ValueError."""
    found = _CERTIFICATE.search(pem)
    if found is None:
        raise ValueError("there is no certificate in PEM form")
    return "".join(found[1].split())


class Signer:
    """A private key with its certificate, both PEM; RSA or EC."""

    def __init__(self, key_pem: bytes, certificate_pem: str) -> None:
        """Raises ValueError for what is no key, for any other kind of key, and for what is no certificate."""
        key = load_pem_private_key(key_pem, None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError("a key that is neither RSA nor EC cannot sign messages")
        self._key = key
        method = RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else ECDSA_SHA256
        self._info = _INFO % (method, _REFERENCE % (SIGNED_OBJECT, "%s"), _REFERENCE % (_PROTECTION, "%s"))
        self._body = (_BODY % _first(certificate_pem)).encode()  # of a chain: one known VEN takes no more than one
        self.fingerprint = pem_fingerprint(certificate_pem)

    def seal(self, message: Message, now: datetime, nonce: str) -> bytes:
        """The signed body of a message; raises XmlError.

        Every signed part is written in its canonical form once, and that is what is sent.
        """
        signed_object, digested = _again(message) if isinstance(message, OadrResponse) else _written(message)
        protected = _PROTECTED % (written_instant(now), escape(nonce))
        info = self._info % (digested, digest(f"{_PROTECTION_HEAD}{protected}".encode()))
        value = binascii.b2a_base64(sign(self._key, f"{_INFO_HEAD}{info}".encode()), newline=False)
        return self._body % (info.encode(), value, protected.encode(), signed_object)


def _written(message: Message) -> tuple[bytes, str]:
    """The oadrSignedObject of a message in its canonical form, and its digest."""
    written = canonical(signed_object_of(message), None)
    return written, digest(written)


_again = lru_cache(maxsize=1024)(_written)
"""The same for what is said to the same peer again and again."""


@dataclass(slots=True)
class ReplayMemory:
    """The nonces of the last moments. Older messages than `max_age` are refused, so older nonces need not be known.

    Interpretation: the profile wants whole seconds, so a message may seem a second older than it is.
    """

    max_age: timedelta = timedelta(seconds=6)
    max_ahead: timedelta = timedelta(seconds=5)
    _seen: dict[tuple[datetime, str], None] = field(default_factory=dict)
    _swept_at: datetime | None = None
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
        if self._swept_at is None or abs(now - self._swept_at) >= _SWEEP_EVERY:
            self._swept_at = now
            self._seen = {known: None for known in self._seen if known[0] >= now - self.max_age}
        if len(self._seen) >= _MOST_NONCES:
            raise SignatureError("too many messages at once")
        self._seen[at, nonce] = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A signed body that was found right in everything but perhaps its time."""

    signed_object: Element
    sound: Sound
    key: PublicKey
    protection: Covered
    timestamp: str
    nonce: str


def signed_by(payload: Payload) -> str | None:
    """The fingerprint of the certificate in a signature, as it claims; None: there is no signature.

    Raises SignatureError for a signature without a certificate.
    """
    return None if payload.signature is None else _shown(payload.signature)[0]


def verified(payload: Payload, expected: str, memory: ReplayMemory, now: datetime) -> Element:
    """The oadrSignedObject that a signature by the `expected` fingerprint covers; raises SignatureError."""
    found = opened(payload, expected)
    admit(found.timestamp, found.nonce, expected, memory, now)
    return found.signed_object


def opened(payload: Payload, expected: str) -> Opened:
    """What a signature by the `expected` fingerprint covers, whenever it was made; raises SignatureError."""
    if payload.signature is None:
        raise SignatureError("is missing")
    seen, certificate = _shown(payload.signature)
    if seen != expected:
        raise SignatureError(f"is by the certificate {seen}, not by {expected}")
    try:
        key = key_of(certificate)
        sound = verify(payload.root, payload.signature, key)
    except Unsound as error:
        raise SignatureError(f"does not hold: {error}") from error
    others = [one for one in sound.covered if one.element is not payload.signed_object]
    if len(others) != 1 or not _is_property(others[0].element, payload.signature):
        raise SignatureError("does not cover the oadrSignedObject and a ReplayProtect")
    timestamp = (others[0].element.findtext(_TIMESTAMP) or "").strip()
    nonce = (others[0].element.findtext(_NONCE) or "").strip()
    if not timestamp or not nonce or len(nonce) > MOST_NONCE:
        raise SignatureError("has no ReplayProtect with a time and a nonce")
    return Opened(payload.signed_object, sound, key, others[0], timestamp, nonce)


_instant = lru_cache(maxsize=256)(read_instant)  # whole seconds: many messages have the same


def admit(timestamp: str, nonce: str, by: str, memory: ReplayMemory, now: datetime) -> None:
    """Takes a message into the memory of its sender's; raises SignatureError for an old, future or repeated one."""
    try:
        at = _instant(timestamp)
    except ValueError as error:
        raise SignatureError(f"has a time that is none: {error}") from error
    memory.check(at, f"{by} {nonce}", now)


def _is_property(element: Element, signature: Element) -> bool:
    """Whether an element is a part of what a signature says of itself."""
    objects = signature.iterchildren(qualified("ds:Object"))
    return any(element is found or found in element.iterancestors() for found in objects)


def _shown(signature: Element) -> tuple[str, bytes]:
    """The fingerprint of the certificate that a signature carries, and the certificate (DER)."""
    text = signature.findtext(_CARRIED)
    if not text:
        raise SignatureError("carries no certificate")
    if len(text) > _MOST_CHARACTERS:
        raise SignatureError("carries a certificate that is too long")
    return _read(text)


@lru_cache(maxsize=1024)
def _read(text: str) -> tuple[str, bytes]:
    try:
        der = binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError as error:  # binascii.Error is one, and what is not ASCII
        raise SignatureError("carries a certificate that is none") from error
    return fingerprint(der), der
