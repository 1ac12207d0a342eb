"""Cross-checks of the [vtn] table."""

from collections.abc import Callable, Iterator
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from cem.config.build import host_and_port
from cem.config.draft import Draft
from cem.config.provider_checks import is_loopback, not_a_pair, secret_problem, unreadable
from cem.config.words import duplicates, fault, shown
from cem.sgcp.vtn.tokens import GATEWAY


def client_twice(draft: Draft) -> Iterator[str]:
    """A client has one secret and one role, and is not the gateway itself."""
    if draft.vtn is None:
        return
    ids = [(f"vtn.client[{index}].id", client.id) for index, client in enumerate(draft.vtn.client)]
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
    yield from unreadable(draft, "vtn.client_ca_file", draft.vtn.client_ca_file, private=False)


def vens_2b_unusable(draft: Draft) -> Iterator[str]:
    """A VEN of 2.0b is known by its certificate, or by its name where nobody but this machine reaches the VTN."""
    if draft.vtn is None or not draft.vtn.ven_2b:
        return
    vens = list(enumerate(draft.vtn.ven_2b))
    yield from duplicates([(f"vtn.ven_2b[{n}].id", one.id) for n, one in vens], "every VEN needs an id of its own")
    yield from duplicates([(f"vtn.ven_2b[{n}].name", one.name) for n, one in vens], "every VEN needs a name of its own")
    clients = {client.id for client in draft.vtn.client} | {GATEWAY}
    for number, one in vens:
        path = f"vtn.ven_2b[{number}]"
        if one.id in clients:
            yield fault(f"{path}.id", shown(one.id), "a client of 3.1 has this id; choose another")
        if one.fingerprint is None and not draft.vtn.listen.startswith(("127.", "[::1]")):
            yield fault(f"{path}.fingerprint", "none", "needed where the VTN listens beyond 127.0.0.1")
        if one.fingerprint is not None and (draft.vtn.client_ca_file is None or draft.vtn.certificate_file is None):
            needed = "client_ca_file and certificate_file are needed, else no VEN shows a certificate"
            yield fault(f"{path}.fingerprint", shown(one.fingerprint), needed)


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
    client_twice,
    client_secret_unusable,
    listen_unusable,
    vtn_files_unusable,
    vens_2b_unusable,
    addresses_unusable,
    broker_unusable,
)
