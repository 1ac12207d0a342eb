"""Cross-checks of the [vtn] table."""

from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from cem.config.build import host_and_port
from cem.config.draft import Draft
from cem.config.provider_checks import (
    is_loopback,
    listens_here,
    not_a_pair,
    secret_problem,
    unreadable,
    unreadable_lists,
)
from cem.config.words import duplicates, fault, shown
from cem.sgcp.vtn.tokens import GATEWAY


def nobody_enters(draft: Draft) -> Iterator[str]:
    """A VTN is there for somebody."""
    if draft.vtn is not None and not (draft.vtn.client or draft.vtn.ven_2b) and draft.sure("vtn.client", "vtn.ven_2b"):
        yield fault("vtn.client", "missing", "every [vtn] needs a [[vtn.client]] or a [[vtn.ven_2b]]")


def client_twice(draft: Draft) -> Iterator[str]:
    """A client has one secret and one role, and is not the gateway itself; a VEN of 2.0b is a client too."""
    if draft.vtn is None:
        return
    ids = [(f"vtn.client[{index}].id", client.id) for index, client in enumerate(draft.vtn.client)]
    ids += [(f"vtn.ven_2b[{index}].id", ven.id) for index, ven in enumerate(draft.vtn.ven_2b)]
    yield from duplicates(ids, "every client needs an id of its own")
    for path, name in ids:
        if name == GATEWAY:
            yield fault(path, shown(name), "this name is the gateway's own; choose another")


def client_secret_unusable(draft: Draft) -> Iterator[str]:
    """Each secret is in a file of its own that nobody else can read."""
    for index, client in enumerate(draft.vtn.client if draft.vtn is not None else ()):
        if problem := secret_problem(draft.folder, client.secret_file):
            yield fault(f"vtn.client[{index}].secret_file", *problem)


def listen_unusable(draft: Draft) -> Iterator[str]:
    """The socket is an address of this machine and a port that nothing else of ours listens on."""
    if draft.vtn is None or not draft.sure("vtn.listen"):
        return
    try:
        host, port = host_and_port(draft.vtn.listen)
        address = ip_address(host)
    except ValueError:
        yield fault(
            "vtn.listen", shown(draft.vtn.listen), "address:port is needed, such as 0.0.0.0:8443 or 127.0.0.1:8081"
        )
        return
    for index, provider in draft.providers.items():
        if provider.callback_listen is not None and provider.callback_listen.rpartition(":")[2] == str(port):
            taken = f"another port than that of provider[{index}].callback_listen is needed"
            yield fault("vtn.listen", shown(draft.vtn.listen), taken)
    sure = draft.sure("vtn.certificate_file", "vtn.key_file", "vtn.allow_plain_http")
    if draft.vtn.certificate_file is None and not draft.vtn.allow_plain_http and sure and not address.is_loopback:
        yield fault(
            "vtn.listen",
            f"{host} without a certificate",
            "secrets would travel in clear; name certificate_file and key_file, listen on 127.0.0.1, or set "
            "allow_plain_http = true on a network you trust",
        )


def vtn_files_unusable(draft: Draft) -> Iterator[str]:
    """The certificate comes with its key; authorities can be read."""
    if draft.vtn is None:
        return
    certificate, key = draft.vtn.certificate_file, draft.vtn.key_file
    if (certificate is None) is not (key is None):
        both = "certificate_file and key_file are needed together"
        yield fault("vtn.certificate_file", "one of certificate and key", both)
    yield from not_a_pair(draft, "vtn.certificate_file", certificate, key)
    yield from unreadable(draft, "vtn.certificate_file", certificate, private=False)
    yield from unreadable(draft, "vtn.key_file", key, private=True)
    yield from unreadable(draft, "vtn.callback_ca_file", draft.vtn.callback_ca_file, private=False)


def vens_2b_unusable(draft: Draft) -> Iterator[str]:
    """A VEN of 2.0b is known by its certificate, and by its name alone on this machine; signatures have a key."""
    if draft.vtn is None:
        return
    own = draft.vtn
    sure = draft.sure("vtn.client_ca_file", "vtn.certificate_file", "vtn.listen")
    for index, ven in enumerate(own.ven_2b):
        if not draft.sure(f"vtn.ven_2b[{index}].fingerprint") or not sure:
            continue
        if ven.fingerprint is not None and own.client_ca_file is None:
            allowed = "vtn.client_ca_file is needed, else no client shows a certificate"
            yield fault(f"vtn.ven_2b[{index}].fingerprint", shown(ven.fingerprint), allowed)
        elif ven.fingerprint is None and not listens_here(own.listen):
            allowed = "the ten bytes that `cem ven list` prints are needed, or listen on 127.0.0.1"
            yield fault(f"vtn.ven_2b[{index}].fingerprint", "missing", allowed)
    for key in ("client_ca_file", "sign_2b"):
        if getattr(own, key) and sure and (own.certificate_file is None or own.client_ca_file is None):
            yield fault(
                f"vtn.{key}", shown(getattr(own, key)), "it needs certificate_file, key_file and client_ca_file"
            )
    yield from unreadable(draft, "vtn.client_ca_file", own.client_ca_file, private=False)
    if own.crl_file is not None:
        if own.client_ca_file is None and sure:
            allowed = "the authorities that signed the lists in crl_file are needed"
            yield fault("vtn.client_ca_file", "missing", allowed)
        yield from unreadable_lists(draft, "vtn.crl_file", own.crl_file)


def addresses_unusable(draft: Draft) -> Iterator[str]:
    """What clients are told and what may be called back are addresses."""
    if draft.vtn is None:
        return
    if draft.vtn.public_url is not None and draft.sure("vtn.public_url"):
        parts = urlsplit(draft.vtn.public_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
            yield fault("vtn.public_url", shown(draft.vtn.public_url), "https://host[:port] alone is needed")
    for index, text in enumerate(draft.vtn.callback_networks):
        try:
            ip_network(text)
        except ValueError as error:
            yield fault(f"vtn.callback_networks[{index}]", shown(text), f"{error}; write it like 192.168.178.0/24")


def broker_unusable(draft: Draft) -> Iterator[str]:
    """The broker's address is mqtts, or mqtt on this machine or by consent; logging in by token needs our own user."""
    broker = None if draft.vtn is None else draft.vtn.broker
    if draft.vtn is None or broker is None:
        return
    uris = [
        ("vtn.broker.uri", broker.uri),
        *((f"vtn.broker.public_uris[{i}]", u) for i, u in enumerate(broker.public_uris)),
    ]
    for path, uri in uris:
        try:
            parts = urlsplit(uri)
            host, scheme, _ = parts.hostname, parts.scheme, parts.port
        except ValueError:
            parts, host, scheme = urlsplit(""), None, ""
        if scheme not in {"mqtt", "mqtts"} or not host or parts.path not in {"", "/"}:
            yield fault(path, shown(uri), "mqtts://host[:port] is needed, or mqtt://host[:port]")
        elif scheme == "mqtt" and not is_loopback(host) and not draft.vtn.allow_plain_http:
            allowed = (
                "tokens and notifications would travel in clear; use mqtts, or set allow_plain_http = true in [vtn]"
            )
            yield fault(path, f"plain mqtt to {host}", allowed)
    if broker.login == "token" and (broker.user is None or broker.password_file is None):
        allowed = "user and password_file of our own are needed to keep the clients' accounts"
        yield fault("vtn.broker.login", shown(broker.login), allowed)
    if broker.password_file is not None and (problem := secret_problem(draft.folder, broker.password_file)):
        yield fault("vtn.broker.password_file", *problem)
    yield from unreadable(draft, "vtn.broker.ca_file", broker.ca_file, private=False)


VTN_CHECKS: tuple[Callable[[Draft], Iterator[str]], ...] = (
    nobody_enters,
    client_twice,
    client_secret_unusable,
    listen_unusable,
    vtn_files_unusable,
    vens_2b_unusable,
    addresses_unusable,
    broker_unusable,
)
