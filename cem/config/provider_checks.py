"""Cross-checks of the [[provider]] tables."""

import ssl
import stat
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cem.config.build import host_and_port
from cem.config.draft import Draft
from cem.config.schema import ProviderTable
from cem.config.words import duplicates, fault, shown
from cem.io.revocation import read_lists
from cem.model.provider import BY_MDNS, Notify

LARGEST_SECRET = 4096
"""Bytes; a secret file that is bigger is some other file."""


def provider_id_twice(draft: Draft) -> Iterator[str]:
    """Provider ids are unique."""
    ids = ((f"provider[{index}].id", provider.id) for index, provider in draft.providers.items())
    yield from duplicates(ids, "every provider needs an id of its own")


def same_ven_twice(draft: Draft) -> Iterator[str]:
    """One VEN name at one VTN is one enrolment."""
    vens = ((f"provider[{i}].ven_name", f"{p.ven_name} at {p.url.rstrip('/')}") for i, p in draft.providers.items())
    yield from duplicates(vens, "one [[provider]] per VEN and VTN")


def programme_twice(draft: Draft) -> Iterator[str]:
    """A programme is either mandatory or not."""
    for index, provider in draft.providers.items():
        names = ((f"provider[{index}].programme[{i}].name", item.name) for i, item in enumerate(provider.programme))
        yield from duplicates(names, "one [[provider.programme]] per name")


def url_unusable(draft: Draft) -> Iterator[str]:
    """A VTN's address is an http or https URL; plain http only where it does not leave the machine, or by consent."""
    for index, provider in draft.providers.items():
        sure = draft.sure(f"provider[{index}].allow_plain_http")
        what = "client_secret" if provider.binding == "openadr3" else "messages"
        advice = f"{what} would travel in clear; use https, or set allow_plain_http = true on a network you trust"
        plain = None if provider.allow_plain_http or not sure else advice
        if provider.url.startswith(BY_MDNS):
            yield from _announced(draft, index, provider)
        elif problem := url_problem(provider.url, plain):
            yield fault(f"provider[{index}].url", *problem)


def _announced(draft: Draft, index: int, provider: ProviderTable) -> Iterator[str]:
    """A VTN that is looked for by its name: certified by somebody whom the site knows, as no name there is its own."""
    path = f"provider[{index}].url"
    if provider.binding != "openadr3":
        yield fault(path, shown(provider.url), "https://host[:port]/path is needed with OpenADR 2.0b")
    elif len(provider.url.removeprefix(BY_MDNS).encode()) > 63:
        yield fault(path, shown(provider.url), "a name that is announced has 63 bytes at most")
    sure = draft.sure(f"provider[{index}].ca_file", f"provider[{index}].allow_plain_http")
    if sure and provider.ca_file is None and not provider.allow_plain_http:
        allowed = "name the authority of its certificate in ca_file; no public one certifies local names"
        yield fault(path, f"{shown(provider.url)}, without a ca_file", allowed)


def url_problem(url: str, plain: str | None) -> tuple[str, str] | None:
    """(what was seen, what is allowed) about an address, or None. `plain`: what is wrong with http to another machine;
    None: nothing."""
    try:
        parts = urlsplit(url)
        host, scheme, _ = parts.hostname, parts.scheme, parts.port
    except ValueError as error:
        return shown(url), f"not a URL: {error}"
    if scheme not in {"http", "https"} or not host:
        return shown(url), "https://host[:port]/path is needed"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "user, query or fragment in the URL", "https://host[:port]/path alone is needed"
    if plain is not None and scheme != "https" and not is_loopback(host):
        return f"plain http to {host}", plain
    return None


def credentials_lacking(draft: Draft) -> Iterator[str]:
    """OpenADR 3.1 needs a client's name and secret; a 2.0b VEN signs with the key of its certificate."""
    for index, provider in draft.providers.items():
        if provider.binding == "openadr3":
            for key in ("client_id", "client_secret_file"):
                if not getattr(provider, key) and draft.sure(f"provider[{index}].{key}"):
                    yield fault(f"provider[{index}].{key}", "missing", "a value is needed with OpenADR 3.1")
            for key in ("vtn_fingerprint", "vtn_next_fingerprint", "legacy_suites"):
                if getattr(provider, key):
                    yield fault(f"provider[{index}].{key}", "set", "it belongs to OpenADR 2.0b alone")
        elif provider.vtn_fingerprint and not provider.client_certificate_file:
            allowed = "client_certificate_file and client_key_file are needed to sign"
            yield fault(f"provider[{index}].vtn_fingerprint", "no certificate of our own", allowed)


def secret_file_unusable(draft: Draft) -> Iterator[str]:
    """The secret is in a file of its own that nobody else can read."""
    for index, provider in draft.providers.items():
        if provider.client_secret_file and (problem := secret_problem(draft.folder, provider.client_secret_file)):
            yield fault(f"provider[{index}].client_secret_file", *problem)


def secret_problem(folder: Path, name: str) -> tuple[str, str] | None:
    """(what was seen, what is allowed) about one secret file, or None."""
    path = (folder / name).absolute()
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"{path} is not a file", "a file with the secret in it is needed"
        if status.st_mode & 0o077:
            return f"{path} is open to others (mode {status.st_mode & 0o777:04o})", f"0600 is needed: chmod 600 {path}"
        if not 0 < status.st_size <= LARGEST_SECRET:
            return f"{path} has {status.st_size} bytes", f"1 to {LARGEST_SECRET} bytes are needed"
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return f"{path} is not UTF-8 text", "the secret as text is needed"
    except OSError as error:
        return f"{path}: {error.strerror}", "a file with the secret in it, readable by this user alone, is needed"
    return None


def files_unusable(draft: Draft) -> Iterator[str]:
    """Certificates are there, each with its key, and no key is open to others."""
    for index, provider in draft.providers.items():
        path = f"provider[{index}]"
        for certificate, key in (
            ("client_certificate_file", "client_key_file"),
            ("callback_certificate_file", "callback_key_file"),
        ):
            if (getattr(provider, certificate) is None) is not (getattr(provider, key) is None):
                yield fault(
                    f"{path}.{certificate}",
                    "one of certificate and key",
                    f"{certificate} and {key} are needed together",
                )
            yield from not_a_pair(
                draft, f"{path}.{certificate}", getattr(provider, certificate), getattr(provider, key)
            )
        for name in ("ca_file", "client_certificate_file", "callback_certificate_file"):
            yield from unreadable(draft, f"{path}.{name}", getattr(provider, name), private=False)
        for name in ("client_key_file", "callback_key_file"):
            yield from unreadable(draft, f"{path}.{name}", getattr(provider, name), private=True)


def not_a_pair(draft: Draft, path: str, certificate: str | None, key: str | None) -> Iterator[str]:
    """A certificate that OpenSSL takes with its key; what is not there is told elsewhere."""
    if certificate is None or key is None:
        return
    certificate_file, key_file = (draft.folder / certificate).absolute(), (draft.folder / key).absolute()
    if not (certificate_file.is_file() and key_file.is_file()):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate_file, key_file)
    except OSError as error:
        seen = f"{certificate_file} and {key_file}: {error.strerror or error}"
        yield fault(path, seen, "a certificate and its own key are needed")


def unreadable(draft: Draft, path: str, name: str | None, *, private: bool) -> Iterator[str]:
    """A PEM file that is not there or, with a key in it, open to others; authorities that OpenSSL does not take."""
    if name is None:
        return
    file = (draft.folder / name).absolute()
    try:
        status = file.stat()
    except OSError as error:
        yield fault(path, f"{file}: {error.strerror}", "a file in PEM form is needed")
        return
    if not stat.S_ISREG(status.st_mode):
        yield fault(path, f"{file} is not a file", "a file in PEM form is needed")
    elif private and status.st_mode & 0o077:
        yield fault(path, f"{file} is open to others (mode {status.st_mode & 0o777:04o})", f"0600: chmod 600 {file}")
    elif path.endswith("ca_file"):
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:
            yield fault(
                path, f"{file}: {error.strerror or error}", "certificates of authorities in PEM form are needed"
            )


def unreadable_lists(draft: Draft, path: str, name: str) -> Iterator[str]:
    """Lists of revoked certificates that can't be read."""
    file = (draft.folder / name).absolute()
    try:
        read_lists(file)
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else None
        yield fault(path, f"{file}: {words or error}", "lists of revoked certificates (PEM) are needed")


def listens_here(text: str) -> bool:
    """Whether host:port is reached from this machine alone."""
    try:
        return is_loopback(host_and_port(text)[0])
    except ValueError:
        return True  # told elsewhere


def callback_unusable(draft: Draft) -> Iterator[str]:
    """A callback needs the address that the provider calls and the socket that is listened on."""
    for index, provider in draft.providers.items():
        path = f"provider[{index}]"
        if (provider.callback_url is None) is not (provider.callback_listen is None):
            yield fault(
                f"{path}.callback_url", "one of url and listen", "callback_url and callback_listen are needed together"
            )
        if provider.notify is Notify.WEBHOOK and provider.callback_url is None:
            yield fault(
                f"{path}.notify", shown(provider.notify.value), "callback_url and callback_listen are needed for it"
            )
        if provider.callback_url is not None:
            parts = urlsplit(provider.callback_url)
            plain = parts.scheme == "http" and (provider.allow_plain_http or is_loopback(parts.hostname or ""))
            if not parts.hostname or parts.query or not (parts.scheme == "https" or plain):
                yield fault(f"{path}.callback_url", shown(provider.callback_url), "https://host[:port]/path is needed")
        if provider.callback_listen is not None:
            try:
                host_and_port(provider.callback_listen)
            except ValueError as error:
                yield fault(f"{path}.callback_listen", shown(provider.callback_listen), f"{error} is needed")


def shed_levels_unusable(draft: Draft) -> Iterator[str]:
    """Each of the three levels leaves no more than the one before."""
    for index, provider in draft.providers.items():
        levels_w = provider.shed_import_w
        if levels_w is not None and (len(levels_w) != 3 or list(levels_w) != sorted(levels_w, reverse=True)):
            allowed = "three powers in W, for levels 1, 2 and 3, none above the one before"
            yield fault(f"provider[{index}].shed_import_w", f"{list(levels_w)} seen", allowed)


def stale_before_second_poll(draft: Draft) -> Iterator[str]:
    """A link is not stale before a second poll could have succeeded."""
    for index, provider in draft.providers.items():
        sure = draft.sure(f"provider[{index}].poll_s")
        if sure and provider.stale_s is not None and provider.stale_s < 2 * provider.poll_s:
            yield fault(
                f"provider[{index}].stale_s", shown(provider.stale_s), f"at least two polls ({2 * provider.poll_s:g} s)"
            )


def default_limit_above_fuse(draft: Draft) -> Iterator[str]:
    """A fallback limit above the fuse would be none."""
    if (connection := draft.connection) is None or not draft.sure("connection.nominal_voltage_v"):
        return
    fuse_w = connection.fuse_a * connection.phases * connection.nominal_voltage_v
    for index, provider in draft.providers.items():
        for key in ("default_import_limit_w", "default_export_limit_w"):
            limit_w = getattr(provider, key)
            if limit_w is not None and limit_w > fuse_w:
                yield fault(f"provider[{index}].{key}", shown(limit_w), f"at most the fuse's {fuse_w:g} W")


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host does not leave this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


PROVIDER_CHECKS: tuple[Callable[[Draft], Iterator[str]], ...] = (
    provider_id_twice,
    same_ven_twice,
    programme_twice,
    url_unusable,
    credentials_lacking,
    secret_file_unusable,
    files_unusable,
    callback_unusable,
    shed_levels_unusable,
    stale_before_second_poll,
    default_limit_above_fuse,
)
