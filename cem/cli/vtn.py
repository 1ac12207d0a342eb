"""`cem vtn`: a VTN for a domain below, or for trying things, and the orders to a running one."""

import asyncio
import json
import logging
import os
import secrets
import signal
import ssl
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import click

from cem.cli.vtn_orders import event, json_option, program, report, ven
from cem.io.clock import SystemClock
from cem.io.http_server import HttpServer
from cem.io.object_store import ObjectStore, StoreError
from cem.sgcp.vtn.handler import BASE_PATH, Vtn, VtnConfig
from cem.sgcp.vtn.objects import Objects
from cem.sgcp.vtn.tokens import Client, Role


@click.group(invoke_without_command=True)
@click.pass_context
def vtn(ctx: click.Context) -> None:
    """A VTN of OpenADR 3.1.0: run one, and give it orders. Alone, it is `cem vtn serve`.

    Example: cem vtn serve --port 8081 --data /var/lib/cem-vtn --client-file clients.txt
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(serve)


for _group in (program, event, report, ven):
    vtn.add_command(_group)


def _client(text: str) -> Client:
    client_id, _, rest = text.partition(":")
    secret, _, role = rest.rpartition(":")
    if not client_id or not secret or role not in set(Role):
        raise click.BadParameter("write a client as ID:SECRET:ROLE with the role bl or ven")
    return Client(client_id, secret, Role(role))


def _read_clients(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Client, ...]:
    return tuple(_client(text) for text in texts)


@dataclass(frozen=True, slots=True)
class _Listen:
    host: str
    port: int
    tls: ssl.SSLContext | None
    public_url: str
    port_file: Path | None
    as_json: bool


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
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Clients, one ID:SECRET:ROLE a line; other users of the machine can't see them as they see --client.",
)
@click.option("--public-url", default="", help="scheme://host[:port] as clients reach it, where that differs.")
@click.option(
    "--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate chain, PEM."
)
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its key, PEM.")
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
    port_file: Path | None,
    as_json: bool,
) -> None:
    """Runs a VTN and prints its base URL once it listens. Without clients, two are made up and noted on stderr.

    Example: cem vtn serve --port 8081 --data /var/lib/cem-vtn --client utility:s3cret:bl --client home:s3cret2:ven
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    listen = _Listen(host, port, _tls(tls_cert, tls_key), public_url.rstrip("/"), port_file, as_json)
    known = (*clients, *_from_file(client_file)) or _made_up()
    repeated = {client.id for client in known if sum(other.id == client.id for other in known) > 1}
    if repeated:
        raise click.UsageError(f"client {min(repeated)!r} is given twice")
    if data is None:
        click.echo("note: no --data; all objects are lost when this ends", err=True)
    try:
        store = ObjectStore.open(data)
        try:
            asyncio.run(_serve(listen, store, known))
        finally:
            store.close()
    except (StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if cert is None and key is None:
        return None
    if cert is None:
        raise click.UsageError("--tls-key needs --tls-cert")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (ssl.SSLError, OSError) as error:
        raise click.ClickException(f"{cert}: {error}; give a PEM chain and its key") from error
    return context


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


async def _serve(listen: _Listen, store: ObjectStore, clients: tuple[Client, ...]) -> None:
    clock = SystemClock()
    config = VtnConfig(
        clients=clients,
        new_id=lambda: uuid.uuid4().hex,
        new_token=lambda: secrets.token_urlsafe(32),
        public_url=listen.public_url,
    )
    handler = Vtn(config, Objects(store.load()))
    server = HttpServer(handler, store.commit, lambda: clock.now().wall, tls=listen.tls)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    port = await server.start(listen.host, listen.port)
    try:
        _announce(listen, port)
        await ended.wait()
    finally:
        await server.stop()


def _announce(listen: _Listen, port: int) -> None:
    host = f"[{listen.host}]" if ":" in listen.host else listen.host
    url = f"{'https' if listen.tls else 'http'}://{host}:{port}{BASE_PATH}"
    if listen.tls is None and listen.host not in ("127.0.0.1", "::1", "localhost"):
        click.echo("note: OpenADR 3 demands TLS beyond this machine; give --tls-cert and --tls-key", err=True)
    if listen.port_file is not None:
        draft = listen.port_file.with_name(listen.port_file.name + ".new")
        draft.write_text(f"{port}\n", encoding="ascii")
        os.replace(draft, listen.port_file)
    click.echo(json.dumps({"url": url, "port": port}) if listen.as_json else url)
    sys.stdout.flush()
