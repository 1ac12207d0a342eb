"""TLS of the grid's sessions: both ends show certificates; modern, and the two suites of OpenADR 2.0b on request.

Interpretation: the profile names ECDHE-ECDSA-AES128-SHA256 and AES128-SHA256 with TLS 1.2. They are old, so they are an
option, and come after the modern ones where they are on.
"""

import ssl
from pathlib import Path

from cem.io.fresh import Fresh

_MODERN = "ECDHE+AESGCM:ECDHE+CHACHA20"
_LEGACY = "ECDHE-ECDSA-AES128-SHA256:AES128-SHA256"


def client_context(
    certificate: Path | None,
    key: Path | None,
    authorities: Path | None,
    *,
    legacy_suites: bool = False,
    revoked: Path | None = None,
) -> ssl.SSLContext:
    """A client that shows a certificate and believes these authorities, or the system's where none is named.

    With `revoked` (lists in PEM form) a server must show a certificate that is not on its authority's list; a list that
    is missing or out of date speaks for nobody. Raises OSError and ssl.SSLError for files that cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authorities)
    if revoked is not None:
        context.load_verify_locations(cafile=revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return _with(context, certificate, key, legacy_suites=legacy_suites)


def fresh_client_context(
    certificate: Path | None,
    key: Path | None,
    authorities: Path | None,
    *,
    legacy_suites: bool = False,
    revoked: Path | None = None,
) -> Fresh[ssl.SSLContext]:
    """The same, made anew once one of the files changed."""
    files = [file for file in (certificate, key, authorities, revoked) if file is not None]
    return Fresh(
        lambda: client_context(certificate, key, authorities, legacy_suites=legacy_suites, revoked=revoked), files
    )


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
    certificate: Path,
    key: Path | None,
    authorities: Path | None,
    *,
    legacy_suites: bool = False,
    required: bool = False,
) -> ssl.SSLContext:
    """A server; raises as `client_context` does. Once a file changed, the next handshake is with what it says then.

    With `authorities` it asks clients for a certificate of theirs. Unless that is `required` it lets in those too that
    show none (clients of OpenADR 3.1 have tokens): what needs a certificate must look for it.
    """

    def made() -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authorities)
        context.verify_mode = ssl.CERT_NONE
        if authorities is not None:
            context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        return _with(context, certificate, key, legacy_suites=legacy_suites)

    fresh = Fresh(made, [file for file in (certificate, key, authorities) if file is not None])
    first = fresh()

    def at_handshake(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        now = fresh()
        if now is not first:
            connection.context = now

    first.sni_callback = at_handshake
    return first


def _with(
    context: ssl.SSLContext, certificate: Path | None, key: Path | None, *, legacy_suites: bool
) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(f"{_MODERN}:{_LEGACY}" if legacy_suites else _MODERN)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context
