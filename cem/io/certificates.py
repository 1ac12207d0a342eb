"""What certificates in PEM files say: whose they are, and until when they hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from cem.wire.openadr2b.signature import fingerprint

SOON = timedelta(days=30)
"""So long before its end a certificate is to be renewed."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. `fingerprint` is that of OpenADR 2.0b; `hosts` are the names and addresses that it is for."""

    file: Path
    name: str
    issuer: str
    kind: str  # ec, rsa or other
    fingerprint: str
    valid_from: datetime
    valid_until: datetime
    hosts: tuple[str, ...]

    def state(self, now: datetime) -> str:
        """In a word or two: valid, renew soon, expired, not valid yet."""
        if now < self.valid_from:
            return "not valid yet"
        if now >= self.valid_until:
            return "expired"
        return "renew soon" if now + SOON >= self.valid_until else "valid"

    def days_left(self, now: datetime) -> int:
        """Whole days until its end, negative after it."""
        return (self.valid_until - now) // timedelta(days=1)


def read_certificate(file: Path) -> Certificate:
    """The first certificate of a file; raises OSError, and ValueError where there is none."""
    try:
        found = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file} has no certificate in PEM form") from error
    key = found.public_key()
    kind = (
        "ec" if isinstance(key, ec.EllipticCurvePublicKey) else "rsa" if isinstance(key, rsa.RSAPublicKey) else "other"
    )
    return Certificate(
        file,
        _common_name(found.subject),
        _common_name(found.issuer),
        kind,
        fingerprint(found.public_bytes(Encoding.DER)),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        tuple(_hosts(found)),
    )


def is_pair(certificate: Path, key: Path) -> bool:
    """Whether a certificate is that of a key; raises OSError and ValueError for files that are neither."""
    shown = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    own = load_pem_private_key(key.read_bytes(), None).public_key()
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return shown.public_bytes(*form) == own.public_bytes(*form)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else name.rfc4514_string()


def _hosts(certificate: x509.Certificate) -> Sequence[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]
