"""`cem ven`: keys and certificates by which a provider of OpenADR 2.0b knows this gateway."""

import json
from pathlib import Path
from typing import Literal, cast

import click

from cem.io.clock import SystemClock
from cem.io.enrolment import make_authority, make_key, make_request, sign_request
from cem.wire.openadr2b.signature import pem_fingerprint

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def ven() -> None:
    """Keys and certificates for OpenADR 2.0b: a request for the provider, or a domain of one's own.

    Example: cem ven enrol house-1 --folder /etc/cem
    """


@ven.command("enrol")
@click.argument("name")
@click.option("--folder", type=_FOLDER, default=Path(), show_default=True, help="Where the files are made.")
@click.option("--key", "kind", type=click.Choice(["ec", "rsa"]), default="ec", show_default=True, help="Kind of key.")
@click.option("--host", "hosts", multiple=True, help="A name or address of a server, for a VTN; repeatable.")
@_json
def enrol(name: str, folder: Path, kind: str, hosts: tuple[str, ...], as_json: bool) -> None:
    """Makes a key and a request for a certificate. The request goes to the provider, the key stays here.

    Example: cem ven enrol house-1 --folder /etc/cem --key rsa
    """
    key, request = folder / f"{name}.key", folder / f"{name}.csr"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        make_request(request, make_key(key, cast(Literal["ec", "rsa"], kind)), name, hosts)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{error}; nothing is overwritten") from error
    _say({"key": str(key), "request": str(request)}, as_json)


@ven.command("authority")
@click.argument("folder", type=_FOLDER)
@click.option("--name", default="cem domain", show_default=True, help="What the authority is called.")
@_json
def authority(folder: Path, name: str, as_json: bool) -> None:
    """Makes an authority for a domain of one's own. Its key never leaves the folder.

    Example: cem ven authority /etc/cem/authority
    """
    try:
        certificate = make_authority(folder, name, SystemClock().now().wall)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{error}; nothing is overwritten") from error
    _say({"authority": str(certificate)}, as_json)


@ven.command("sign")
@click.argument("request", type=_FILE)
@click.option("--authority", "folder", type=_FOLDER, required=True, help="Folder of the authority.")
@click.option("--days", type=click.IntRange(1, 3650), default=730, show_default=True, help="How long it is valid.")
@_json
def sign(request: Path, folder: Path, days: int, as_json: bool) -> None:
    """Answers a request with a certificate beside it, and tells its fingerprint.

    Example: cem ven sign house-1.csr --authority /etc/cem/authority
    """
    certificate = request.with_suffix(".pem")
    try:
        sign_request(request, folder, certificate, SystemClock().now().wall, days)
    except OSError as error:
        raise click.ClickException(f"{error}; nothing is overwritten") from error
    _say({"certificate": str(certificate), "fingerprint": pem_fingerprint(certificate.read_text())}, as_json)


def _say(found: dict[str, str], as_json: bool) -> None:
    click.echo(json.dumps(found) if as_json else "\n".join(f"{key}: {value}" for key, value in found.items()))
