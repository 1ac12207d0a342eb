"""An authority of our own for tests: keys and certificates, good and bad, as files."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from cem.wire.openadr2b.signature import pem_fingerprint

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Identity:
    """A key and its certificate."""

    key: Path
    certificate: Path

    @property
    def fingerprint(self) -> str:
        """As OpenADR 2.0b has it."""
        return pem_fingerprint(self.certificate.read_text())


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = _builder(self._name, self._name, self._key, -1, 30).add_extension(usage, critical=True)
        basic = x509.BasicConstraints(ca=True, path_length=0)
        certificate = builder.add_extension(basic, critical=True).sign(self._key, hashes.SHA256())
        self.certificate = folder / f"{name}.pem"
        self.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        kind: str = "ec",
        *,
        days: tuple[float, float] = (-1, 10),
        hosts: tuple[str, ...] = ("localhost",),
    ) -> Identity:
        """A certificate for a name, 127.0.0.1 and hosts, valid between two days from now."""
        key: Key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        names = x509.SubjectAlternativeName(
            [x509.IPAddress(ip_address("127.0.0.1")), *(x509.DNSName(host) for host in hosts)]
        )
        builder = _builder(_name(name), self._name, key, *days).add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        found = Identity(self._folder / f"{name}.key", self._folder / f"{name}.pem")
        found.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        found.key.chmod(0o600)
        found.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        return found

    def revoke(self, *revoked: Identity, path: Path | None = None, days: tuple[float, float] = (-1, 10)) -> Path:
        """The list of revoked certificates as from now on, put in place at once."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(now + timedelta(days=days[0])).next_update(now + timedelta(days=days[1]))
        for identity in revoked:
            certificate = x509.load_pem_x509_certificate(identity.certificate.read_bytes())
            one = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(one.revocation_date(now).build())
        found = path or self._folder / "revoked.pem"
        draft = found.with_suffix(".new")
        draft.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        return draft.replace(found)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, since: float, until: float) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=since))
        .not_valid_after(now + timedelta(days=until))
    )
