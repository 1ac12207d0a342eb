"""`cem vtn`: a VTN for a domain below, or for trying things, and the orders to a running one."""

import asyncio
import json
import logging
import os
import re
import secrets
import signal
import ssl
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import click

from cem.cli.vtn_2b import report_end, report_offers, report_request, ven_dismiss, ven_reregister, ven_state
from cem.cli.vtn_event import event
from cem.cli.vtn_peers import report, subscription, ven
from cem.cli.vtn_print import json_option
from cem.cli.vtn_program import program
from cem.io.callback_guard import Network
from cem.io.clock import SystemClock
from cem.io.mqtt_publisher import Broker
from cem.io.object_store import StoreError
from cem.io.revocation import RevocationLists
from cem.io.tls import pinning_context, server_context
from cem.model.errors import GridError
from cem.sgcp.vtn.tokens import Client, Role
from cem.sgcp.vtn.topics import MqttLogin, MqttOffer
from cem.sgcp.vtn2b.parties import Admitted
from cem.vtn_app import RunningVtn, VtnSettings, running_vtn
from cem.wire.openadr2b.signature import Signer


@click.group(invoke_without_command=True)
@click.pass_context
def vtn(ctx: click.Context) -> None:
    """A VTN of OpenADR 3.1.0 (and 2.0b): run one, and give it orders. Alone, it is `cem vtn serve`.

    Example: cem vtn serve --port 8081 --data /var/lib/cem-vtn --client-file clients.txt
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(serve)


for _group in (program, event, report, ven, subscription):
    vtn.add_command(_group)
for _command in (ven_state, ven_reregister, ven_dismiss):
    ven.add_command(_command)
for _command in (report_offers, report_request, report_end):
    report.add_command(_command)


def _client(text: str) -> Client:
    client_id, _, rest = text.partition(":")
    secret, _, role = rest.rpartition(":")
    if not client_id or not secret or role not in set(Role):
        raise click.BadParameter("write a client as ID:SECRET:ROLE with the role bl or ven")
    return Client(client_id, secret, Role(role))


def _read_clients(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Client, ...]:
    return tuple(_client(text) for text in texts)


def _read_vens(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Admitted, ...]:
    found = []
    for text in texts:
        ven_id, _, rest = text.partition("=")
        name, _, fingerprint = rest.partition("=")
        if _ID.fullmatch(ven_id) is None or not name or (fingerprint and _FINGERPRINT.fullmatch(fingerprint) is None):
            raise click.BadParameter(
                "write a VEN as ID=NAME or ID=NAME=93:4C:... with the ten bytes of its certificate"
            )
        found.append(Admitted(ven_id, name, fingerprint or None))
    return tuple(found)


def _read_networks(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write it like 192.168.178.0/24") from error


def _read_broker(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    if text is not None:
        try:
            Broker(text).host_and_port()
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
    return text


_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FINGERPRINT = re.compile(r"([0-9A-F]{2}:){9}[0-9A-F]{2}")
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@vtn.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option(
    "--data", type=click.Path(file_okay=False, path_type=Path), help="Where objects are kept; else in memory."
)
@click.option(
    "--client", "clients", callback=_read_clients, multiple=True, help="ID:SECRET:ROLE; repeatable. Role: bl or ven."
)
@click.option(
    "--client-file",
    type=_FILE,
    help="Clients, one ID:SECRET:ROLE a line; other users of the machine can't see them as they see --client.",
)
@click.option("--public-url", default="", help="scheme://host[:port] as clients reach it, where that differs.")
@click.option("--tls-cert", type=_FILE, help="Certificate chain, PEM.")
@click.option("--tls-key", type=_FILE, help="Its key, PEM.")
@click.option(
    "--ven-2b",
    "vens_2b",
    callback=_read_vens,
    multiple=True,
    help="Admits a VEN of OpenADR 2.0b: ID=NAME, or ID=NAME=FINGERPRINT of its certificate; repeatable.",
)
@click.option("--client-ca", type=_FILE, help="Authorities of the VENs' certificates, PEM; asks clients for theirs.")
@click.option("--crl", type=_FILE, help="Their lists of revoked certificates, PEM; read again when the file changes.")
@click.option("--sign-2b", is_flag=True, help="Messages of OpenADR 2.0b are signed both ways, with --tls-key.")
@click.option("--legacy-suites", is_flag=True, help="Permits the two old cipher suites of OpenADR 2.0b too.")
@click.option(
    "--webhook-network",
    "networks",
    callback=_read_networks,
    multiple=True,
    help="Callbacks, and VENs of 2.0b that are posted to, may lie in this network although it is not public, and use "
    "plain http; such as 192.168.178.0/24.",
)
@click.option("--webhook-ca", type=_FILE, help="Authorities of the callbacks' certificates, PEM; else the system's.")
@click.option(
    "--mqtt", "mqtt_uri", callback=_read_broker, help="Broker for notifications: mqtts://host[:port] or mqtt://..."
)
@click.option("--mqtt-public", "mqtt_public", multiple=True, help="The broker as clients reach it, if that differs.")
@click.option("--mqtt-user", help="Our own user at the broker.")
@click.option("--mqtt-password-file", type=_FILE, help="Our password, in the first line.")
@click.option("--mqtt-ca", type=_FILE, help="Authority of the broker's certificate, PEM; else the system's.")
@click.option(
    "--mqtt-login",
    type=click.Choice(["anonymous", "token"]),
    default="anonymous",
    show_default=True,
    help="How clients log in at the broker: not at all, or with their id and their bearer token.",
)
@click.option("--mqtt-prefix", default="openadr3", show_default=True, help="What all topics begin with.")
@click.option("--mdns", "mdns_name", help="Announce the VTN in the local network under this name.")
@click.option(
    "--port-file", type=click.Path(dir_okay=False, path_type=Path), help="Write the port here once listening."
)
@json_option
def serve(
    host: str,
    port: int,
    data: Path | None,
    clients: tuple[Client, ...],
    client_file: Path | None,
    public_url: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    vens_2b: tuple[Admitted, ...],
    client_ca: Path | None,
    crl: Path | None,
    sign_2b: bool,
    legacy_suites: bool,
    networks: tuple[Network, ...],
    webhook_ca: Path | None,
    mqtt_uri: str | None,
    mqtt_public: tuple[str, ...],
    mqtt_user: str | None,
    mqtt_password_file: Path | None,
    mqtt_ca: Path | None,
    mqtt_login: str,
    mqtt_prefix: str,
    mdns_name: str | None,
    port_file: Path | None,
    as_json: bool,
) -> None:
    """Runs a VTN and prints its base URL once it listens. Without clients, two are made up and noted on stderr.

    Example: cem vtn serve --port 8081 --data /var/lib/cem-vtn --client utility:s3cret:bl --client home:s3cret2:ven
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    known = (*clients, *_from_file(client_file)) or _made_up()
    repeated = {client.id for client in known if sum(other.id == client.id for other in known) > 1}
    if repeated:
        raise click.UsageError(f"client {min(repeated)!r} is given twice")
    if data is None:
        click.echo("note: no --data; all objects are lost when this ends", err=True)
    login = MqttLogin.ANONYMOUS if mqtt_login == "anonymous" else MqttLogin.OAUTH2_BEARER_TOKEN
    settings = VtnSettings(
        known,
        host,
        port,
        data,
        _tls(tls_cert, tls_key, client_ca, legacy_suites),
        public_url.rstrip("/"),
        networks,
        _trusting(webhook_ca),
        None if mqtt_uri is None else Broker(mqtt_uri, mqtt_user, mqtt_password_file, mqtt_ca),
        None if mqtt_uri is None else MqttOffer(mqtt_public or (mqtt_uri,), login, mqtt_prefix),
        mdns_name,
        vens_2b,
        _signer(tls_cert, tls_key) if sign_2b else None,
        None if client_ca is None else _pushing(tls_cert, tls_key, client_ca, legacy_suites),
        refusal=_refusal(crl, client_ca),
    )
    if client_ca is not None and tls_cert is None:
        raise click.UsageError("--client-ca needs --tls-cert and --tls-key")
    if client_ca is None and (sign_2b or any(ven.fingerprint for ven in vens_2b)):
        raise click.UsageError("fingerprints and --sign-2b need --client-ca, else no client shows a certificate")
    if any(ven.fingerprint is None for ven in vens_2b):
        click.echo("note: a VEN without a fingerprint is believed by its name alone; on this machine only", err=True)
    if mqtt_uri is not None and login is MqttLogin.ANONYMOUS:
        click.echo("note: without --mqtt-login token everybody who reaches the broker can read everything", err=True)
    try:
        asyncio.run(_serve(settings, port_file, as_json))
    except (StoreError, GridError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _refusal(crl: Path | None, client_ca: Path | None) -> Callable[[bytes], str] | None:
    if crl is None:
        return None
    if client_ca is None:
        raise click.UsageError("--crl needs --client-ca, the authorities that signed the lists")
    clock = SystemClock()
    try:
        return RevocationLists(crl, client_ca, lambda: clock.now().wall).refusal
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _signer(cert: Path | None, key: Path | None) -> Signer:
    if cert is None:
        raise click.UsageError("--sign-2b needs --tls-cert and --tls-key")
    try:
        return Signer((key or cert).read_bytes(), cert.read_text())
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{key or cert}: {error}") from error


def _tls(
    cert: Path | None, key: Path | None, client_ca: Path | None = None, legacy_suites: bool = False
) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None:
        raise click.UsageError("--tls-key needs --tls-cert")
    try:
        context = server_context(cert, key, client_ca, legacy_suites=legacy_suites)
    except (ssl.SSLError, OSError) as error:
        raise click.ClickException(f"{cert}: {error}; give a PEM chain and its key") from error
    return context


def _pushing(cert: Path | None, key: Path | None, client_ca: Path, legacy_suites: bool) -> ssl.SSLContext:
    """To VENs that messages are posted to: the certificate that was admitted counts, whatever name is in it."""
    try:
        return pinning_context(cert, key, client_ca, legacy_suites=legacy_suites)
    except (ssl.SSLError, OSError) as error:
        raise click.ClickException(f"{client_ca}: {error}; give certificates and keys in PEM") from error


def _trusting(authorities: Path | None) -> ssl.SSLContext | None:
    if authorities is None:
        return None
    try:
        return ssl.create_default_context(cafile=authorities)
    except (ssl.SSLError, OSError) as error:
        raise click.ClickException(f"{authorities}: {error}; give the authorities' certificates in PEM") from error


def _from_file(path: Path | None) -> tuple[Client, ...]:
    if path is None:
        return ()
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    try:
        return tuple(_client(line) for line in lines if line and not line.startswith("#"))
    except click.BadParameter as error:
        raise click.UsageError(f"{path}: {error.message}") from error


def _made_up() -> tuple[Client, ...]:
    clients = tuple(Client(role.value, secrets.token_urlsafe(24), role) for role in Role)
    for client in clients:
        click.echo(f"note: client {client.id} (role {client.role}), secret {client.secret}", err=True)
    return clients


async def _serve(settings: VtnSettings, port_file: Path | None, as_json: bool) -> None:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with running_vtn(settings) as running:
        _tell(settings, running, port_file, as_json)
        await ended.wait()


def _tell(settings: VtnSettings, running: RunningVtn, port_file: Path | None, as_json: bool) -> None:
    if settings.tls is None and settings.host not in ("127.0.0.1", "::1", "localhost"):
        click.echo("note: OpenADR 3 demands TLS beyond this machine; give --tls-cert and --tls-key", err=True)
    if port_file is not None:
        draft = port_file.with_name(port_file.name + ".new")
        draft.write_text(f"{running.port}\n", encoding="ascii")
        os.replace(draft, port_file)
    click.echo(json.dumps({"url": running.url, "port": running.port}) if as_json else running.url)
    sys.stdout.flush()
