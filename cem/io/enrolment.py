"""Keys, requests for certificates, and, for a domain of its own, an authority that answers them. PEM files.

Nothing is ever overwritten: a key that is gone cannot be made again.
"""

import os
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from cem.io.certificates import is_pair, read_certificate
from cem.model.errors import GridError

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
AUTHORITY = "authority"
_BACKDATED = timedelta(hours=1)  # clocks of small devices


def make_key(path: Path, kind: Literal["ec", "rsa"]) -> PrivateKey:
    """A new key in a file that nobody else can read; raises OSError where the file is there already."""
    key: PrivateKey = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return key


def make_request(path: Path, key: PrivateKey, name: str, hosts: tuple[str, ...] = ()) -> None:
    """A request for a certificate of a name; raises OSError where the file is there already."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(name))
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    _write(path, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), 0o644)


def place(folder: Path, name: str, now: datetime) -> tuple[Path, Path]:
    """Puts a renewed key and certificate, NAME.next.key and NAME.next.pem, in the place of those in use.

    Those that were in use stay beside them with the day in their names; gives these two. Raises OSError, and GridError
    where the new two are no pair or the certificate does not hold now.
    """
    new_key, new_certificate = folder / f"{name}.next.key", folder / f"{name}.next.pem"
    try:
        if not is_pair(new_certificate, new_key):
            raise GridError(f"{new_certificate} is not the certificate of {new_key}")
        renewed = read_certificate(new_certificate)
    except ValueError as error:
        raise GridError(f"{new_certificate} or {new_key} can't be read: {error}") from error
    if not renewed.valid_from <= now < renewed.valid_until:
        raise GridError(f"{new_certificate} is {renewed.state(now)}; nothing was changed")
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    kept = folder / f"{name}.{stamp}.key", folder / f"{name}.{stamp}.pem"
    for old, new, keep in ((f"{name}.key", new_key, kept[0]), (f"{name}.pem", new_certificate, kept[1])):
        os.link(folder / old, keep)
        os.replace(new, folder / old)
    (folder / f"{name}.next.csr").unlink(missing_ok=True)
    return kept


def make_authority(folder: Path, name: str, now: datetime, days: int = 3650) -> Path:
    """A new authority in a folder, valid from `now` (aware) on; its certificate.

    Raises OSError where one is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = make_key(folder / f"{AUTHORITY}.key", "ec")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = (
        _builder(_name(name), _name(name), key, key, now, days)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
    )
    path = folder / f"{AUTHORITY}.pem"
    _write(path, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), 0o644)
    return path


def sign_request(request: Path, authority: Path, certificate: Path, now: datetime, days: int = 730) -> None:
    """Answers a request with a certificate that is valid from `now` (aware) on.

    Raises OSError for files and GridError for a request or an authority that is none.
    """
    try:
        asked = x509.load_pem_x509_csr(request.read_bytes())
        issuer = x509.load_pem_x509_certificate((authority / f"{AUTHORITY}.pem").read_bytes())
        key = load_pem_private_key((authority / f"{AUTHORITY}.key").read_bytes(), None)
    except ValueError as error:
        raise GridError(f"{request} or the authority in {authority} can't be read: {error}") from error
    if not asked.is_signature_valid:
        raise GridError(f"{request} is not signed with the key that it names; ask for a new one")
    asks = asked.public_key()
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise GridError(f"the authority in {authority} has no key of ours")
    if not isinstance(asks, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise GridError(f"{request} has a key that is neither EC nor RSA")
    builder = _builder(asked.subject, issuer.subject, asks, key, now, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    names = [e.value for e in asked.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
    if names:
        builder = builder.add_extension(names[0], critical=False)
    _write(certificate, builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM), 0o644)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public: PrivateKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    authority: PrivateKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    key = public.public_key() if isinstance(public, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) else public
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _write(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
