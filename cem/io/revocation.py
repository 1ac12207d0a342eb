"""Certificates that their authorities took back: lists in a PEM file (RFC 5280, section 5), read again when it changes.

A connection outlives the list of the moment at which it began, and TLS resumes sessions without looking at certificates
again. So a server asks here at every request.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from cem.io.fresh import Fresh

_BLOCK = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Lists:
    """The lists that an authority of ours signed, by its name."""

    by_issuer: dict[x509.Name, x509.CertificateRevocationList]


class RevocationLists:
    """Whether a certificate still counts. A list that is out of date, or none at all, speaks for nobody."""

    def __init__(self, lists: Path, authorities: Path, now: Callable[[], datetime]) -> None:
        """Raises OSError and ValueError for files that can't be used."""
        self._now = now
        self._path = lists
        self._fresh = Fresh(lambda: _read(lists, authorities), (lists, authorities))

    def refusal(self, certificate: bytes) -> str:
        """Why a certificate (DER) does not count any longer, in words; empty where it does."""
        try:
            shown = x509.load_der_x509_certificate(certificate)
            issuer = shown.issuer
        except ValueError:  # TLS is less particular
            return "the certificate cannot be read"
        found = self._fresh().by_issuer.get(issuer)
        if found is None:
            return f"{self._path} has no list of the authority that issued the certificate"
        until = found.next_update_utc
        if until is not None and until < self._now():
            return f"the list of revoked certificates in {self._path} is out of date since {until:%Y-%m-%d %H:%M} UTC"
        if found.get_revoked_certificate_by_serial_number(shown.serial_number) is not None:
            return "the certificate was revoked by its authority"
        return ""


def read_lists(path: Path) -> list[x509.CertificateRevocationList]:
    """All lists of a PEM file; raises OSError and ValueError."""
    blocks = _BLOCK.findall(path.read_bytes())
    if not blocks:
        raise ValueError(f"{path} has no list of revoked certificates in PEM form")
    return [x509.load_pem_x509_crl(block) for block in blocks]


def _read(lists: Path, authorities: Path) -> _Lists:
    known = x509.load_pem_x509_certificates(authorities.read_bytes())
    found: dict[x509.Name, x509.CertificateRevocationList] = {}
    for one in read_lists(lists):
        if not any(_is_by(one, authority) for authority in known):
            raise ValueError(f"{lists} has a list by {one.issuer.rfc4514_string()} that no authority here signed")
        held = found.get(one.issuer)
        if held is None or held.last_update_utc < one.last_update_utc:
            found[one.issuer] = one
    return _Lists(found)


def _is_by(one: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    if one.issuer != authority.subject:
        return False
    try:
        return one.is_signature_valid(authority.public_key())  # type: ignore[arg-type] # a kind that can't sign: TypeError
    except (TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
