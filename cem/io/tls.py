"""TLS of the grid's sessions: both ends show certificates; modern, and the two suites of OpenADR 2.0b on request.

Interpretation: the profile names ECDHE-ECDSA-AES128-SHA256 and AES128-SHA256 with TLS 1.2. They are old, so they are an
option, and come after the modern ones where they are on.
"""

import ssl
from pathlib import Path

_MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"
_LEGACY = "ECDHE-ECDSA-AES128-SHA256:AES128-SHA256"


def client_context(
    certificate: Path | None, key: Path | None, authorities: Path | None, *, legacy_suites: bool = False
) -> ssl.SSLContext:
    """A client that shows a certificate and believes these authorities, or the system's where none is named.

    Raises OSError and ssl.SSLError for files that cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authorities)
    return _with(context, certificate, key, legacy_suites=legacy_suites)


def pinning_context(
    certificate: Path | None, key: Path | None, authorities: Path, *, legacy_suites: bool = False
) -> ssl.SSLContext:
    """A client to peers whose certificate is known beforehand: it is compared by who connects, its names are not.

    Raises as `client_context` does.
    """
    context = client_context(certificate, key, authorities, legacy_suites=legacy_suites)
    context.check_hostname = False
    return context


def server_context(
    certificate: Path, key: Path | None, authorities: Path | None, *, legacy_suites: bool = False
) -> ssl.SSLContext:
    """A server; raises as `client_context` does.

    With `authorities` it asks clients for a certificate of theirs, and lets in those too that show none (clients of
    OpenADR 3.1 have tokens): what needs a certificate must look for it.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authorities)
    context.verify_mode = ssl.CERT_NONE if authorities is None else ssl.CERT_OPTIONAL
    return _with(context, certificate, key, legacy_suites=legacy_suites)


def _with(
    context: ssl.SSLContext, certificate: Path | None, key: Path | None, *, legacy_suites: bool
) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{_MODERN}:{_LEGACY}" if legacy_suites else _MODERN)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
