"""`cem ven`: keys and certificates by which a provider of OpenADR 2.0b knows this gateway."""

import json
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Literal, cast

import click

from cem.cli.gateway_socket import DEFAULT_SITE
from cem.cli.vtn_print import plain
from cem.io.certificates import Certificate, read_certificate
from cem.io.clock import SystemClock
from cem.io.enrolment import make_authority, make_key, make_request, place, sign_request
from cem.model.errors import GridError
from cem.wire.openadr2b.signature import pem_fingerprint

_FOLDER = click.Path(file_okay=False, path_type=Path)
_DIRECTORY = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_SITE = click.Path(dir_okay=False, path_type=Path)
_json = click.option("--json", "as_json", is_flag=True, help="As JSON.")


@click.group()
def ven() -> None:
    """Keys and certificates for OpenADR 2.0b: a request for the provider, or a domain of one's own; and their end.

    Example: cem ven enrol house-1 --folder /etc/cem
    """


def _read_name(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    if not text.strip() or text.startswith(".") or set(text) & set("/\\\0"):
        raise click.BadParameter(f"{text!r}: it names files in the folder, so it has no / in it and no dot before it")
    return text


def _words(error: Exception) -> str:
    """What went wrong, with the file where there is one."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@ven.command("enrol")
@click.argument("name", callback=_read_name)
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
        raise click.ClickException(f"{_words(error)}; nothing is overwritten") from error
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
        raise click.ClickException(f"{_words(error)}; nothing is overwritten") from error
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
        raise click.ClickException(f"{_words(error)}; nothing is overwritten") from error
    _say({"certificate": str(certificate), "fingerprint": pem_fingerprint(certificate.read_text())}, as_json)


@ven.command("list")
@click.option("--folder", type=_DIRECTORY, help="Every certificate in a folder. [default: those of the site file]")
@click.option("--config", type=_SITE, default=DEFAULT_SITE, show_default=True, envvar="CEM_CONFIG", help="Site file.")
@_json
def list_(folder: Path | None, config: Path, as_json: bool) -> None:
    """Certificates with their fingerprints, and until when they hold. Exit status 1 where one is to be renewed.

    Example: cem ven list --folder /etc/cem
    """
    now = SystemClock().now().wall
    files = sorted(folder.glob("*.pem")) if folder is not None else _of_providers(config)
    found = []
    for file in files:
        try:
            found.append(read_certificate(file))
        except ValueError:
            continue  # a list of revoked ones, a key: other things in PEM form
        except OSError as error:
            raise click.ClickException(f"{file}: {error.strerror or error}") from error
    if as_json:
        click.echo(json.dumps([_row(one, now) for one in found], indent=2))
    for one in () if as_json else found:
        until = f"{one.state(now)}, until {one.valid_until:%Y-%m-%d} ({one.days_left(now)} days)"
        click.echo(plain(f"{one.file}  {one.name}  by {one.issuer}  {one.kind}  {one.fingerprint}  {until}"))
    if not found:
        click.echo("none", err=True)
    if any(one.state(now) != "valid" for one in found):
        click.echo("note: renew with cem ven rotate NAME, before the end", err=True)
        raise SystemExit(1)


@ven.command("rotate")
@click.argument("name", callback=_read_name)
@click.option("--folder", type=_DIRECTORY, default=Path(), show_default=True, help="Where key and certificate are.")
@click.option("--authority", type=_DIRECTORY, help="Folder of an authority of one's own: it answers at once.")
@click.option("--days", type=click.IntRange(1, 3650), default=730, show_default=True, help="How long it is valid then.")
@_json
def rotate(name: str, folder: Path, authority: Path | None, days: int, as_json: bool) -> None:
    """Renews a key and its certificate in two steps; what is in use stays in use until the new one is there.

    First it makes NAME.next.key and a request, NAME.next.csr, of the same kind and for the same hosts. Put the answer
    beside them as NAME.next.pem, tell the provider the new fingerprint, and call it again: the new ones take the place
    of the old ones, which are kept with the day in their names. A running gateway takes them by itself.

    Example: cem ven rotate house-1 --folder /etc/cem
    """
    now = SystemClock().now().wall
    key, request, answer = (folder / f"{name}.next.{end}" for end in ("key", "csr", "pem"))
    try:
        if not key.exists():
            held = read_certificate(folder / f"{name}.pem")
            kind: Literal["ec", "rsa"] = "rsa" if held.kind == "rsa" else "ec"
            make_request(request, make_key(key, kind), held.name, held.hosts)
        if authority is not None and not answer.exists():
            sign_request(request, authority, answer, now, days)
        if not answer.exists():
            _say({"key": str(key), "request": str(request), "awaited": str(answer)}, as_json)
            return
        old_key, old_certificate = place(folder, name, now)
    except (OSError, ValueError, GridError) as error:
        raise click.ClickException(f"{_words(error)}; what was in use stays in use") from error
    certificate = folder / f"{name}.pem"
    found = {"certificate": str(certificate), "fingerprint": pem_fingerprint(certificate.read_text())}
    _say({**found, "old_key": str(old_key), "old_certificate": str(old_certificate)}, as_json)


def _row(one: Certificate, now: datetime) -> dict[str, str | int]:
    return {
        "file": str(one.file),
        "name": one.name,
        "issuer": one.issuer,
        "key": one.kind,
        "fingerprint": one.fingerprint,
        "valid_until": one.valid_until.isoformat(),
        "days_left": one.days_left(now),
        "state": one.state(now),
    }


def _of_providers(config: Path) -> list[Path]:
    """The certificates that providers and VENs of a site file are met with, their authorities' too."""
    try:
        written = tomllib.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"can't read the site file {config}: {error}; name a --folder") from error
    providers = written.get("provider", [])
    keys = ("client_certificate_file", "callback_certificate_file", "ca_file")
    named = [table[key] for table in providers if isinstance(table, dict) for key in keys if key in table]
    domain = written.get("vtn", {})
    if isinstance(domain, dict):
        named += [domain[key] for key in ("certificate_file", "client_ca_file") if key in domain]
    return [config.parent / name for name in dict.fromkeys(named) if isinstance(name, str)]


def _say(found: dict[str, str], as_json: bool) -> None:
    click.echo(json.dumps(found) if as_json else "\n".join(f"{key}: {value}" for key, value in found.items()))
