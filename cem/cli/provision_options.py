"""The options of `cem provision` and the answers that they make."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from cem.cli.broker_options import given_login
from cem.commissioning.site import Answers, FindTable

F = TypeVar("F", bound=Callable[..., Any])

SITE_KEYS = ("name", "timezone", "currency")
CONNECTION_KEYS = ("phases", "fuse_a", "import_limit_w", "export_limit_w")
PRICES = {"price": "base_price_per_kwh", "export_price": "export_price_per_kwh"}

_SITE_OPTIONS = (
    click.option("--name", help="Name of the home."),
    click.option("--timezone", help="Such as Europe/Berlin; the machine's own where left out."),
    click.option("--currency", help="Three letters, EUR where left out."),
    click.option("--phases", type=click.IntRange(1, 3), help="Phases at the connection point."),
    click.option("--fuse-a", type=float, help="Main fuse per phase, A."),
    click.option("--import-limit-w", type=float, help="Contract limit of the import, W."),
    click.option("--export-limit-w", type=float, help="Contract limit of the export, W."),
    click.option("--price", type=float, help="Price of a bought kWh."),
    click.option("--export-price", type=float, help="Price of a sold kWh."),
    click.option("--store", help="Folder of the record; /var/lib/cem where left out."),
    click.option("--socket", help="Socket of the local API; /run/cem/cem.sock where left out."),
)
_PROVIDER_OPTIONS = (
    click.option("--provider", "provider_url", help="URL of the grid operator's VTN."),
    click.option("--provider-id", default="utility", show_default=True, help="What it is called here."),
    click.option("--ven-name", help="This home's name at the VTN."),
    click.option("--client-id", help="As enrolled at the VTN."),
    click.option("--client-secret-file", type=click.Path(path_type=Path), help="File with the secret, mode 0600."),
    click.option("--default-import-limit-w", type=float, help="What holds without a link, W."),
    click.option("--programme", "programmes", multiple=True, help="NAME, or NAME:mandatory; repeatable."),
)


def site_options(command: F) -> F:
    """Adds the options about the home and its provider."""
    for option in reversed((*_SITE_OPTIONS, *_PROVIDER_OPTIONS)):
        command = option(command)
    return command


def with_options(answers: Answers, options: dict[str, Any], folder: Path) -> Answers:
    """The answers with what was given on the command line laid over them. `folder` is the site file's.

    Raises click.UsageError when options about the provider are incomplete.
    """
    site = dict(answers.site)
    site |= {key: options[key] for key in SITE_KEYS if options[key] is not None}
    _lay(site, "connection", {key: options[key] for key in CONNECTION_KEYS})
    _lay(site, "tariff", {key: options[name] for name, key in PRICES.items()})
    _lay(site, "store", {"folder": options["store"]})
    _lay(site, "api", {"socket": options["socket"]})
    if options["provider_url"] is not None:
        site["provider"] = [*site.get("provider", []), _provider(options, folder)]
    elif any(options[key] for key in ("ven_name", "client_id", "client_secret_file", "programmes")):
        raise click.UsageError("--ven-name, --client-id, --client-secret-file and --programme need --provider URL")
    find = answers.find
    find = FindTable(
        modbus=(*find.modbus, *options["modbus"]),
        mqtt=(*find.mqtt, *options["mqtt"]),
        serial=(*find.serial, *options["serial"]),
        gpio=(*find.gpio, *options["gpio"]),
        try_contacts=(*find.try_contacts, *options["try_contact"]),
        ocpp=(*find.ocpp, *options["ocpp"]),
        grid=options["grid"] or find.grid,
        read_only=(*find.read_only, *options["read_only"]),
        max_power_w=find.max_power_w | dict(map(_power, options["max_power"])),
        broker=find.broker.model_copy(update=given_login(options)),
    )
    return replace(answers, site=site, find=find)


def _power(text: str) -> tuple[str, float]:
    """SERIAL=W in two; raises click.UsageError for anything else."""
    name, equals, watts = text.rpartition("=")
    try:
        power_w = float(watts)
    except ValueError:
        power_w = 0.0
    if not (equals and name and math.isfinite(power_w) and power_w > 0):
        raise click.UsageError(f"--max-power {text!r}: SERIAL=W is meant, such as shellyplus1pm-a8032ab636ec=2000")
    return name, power_w


def _lay(site: dict[str, Any], key: str, values: dict[str, Any]) -> None:
    given = {name: value for name, value in values.items() if value is not None}
    if given:
        site[key] = {**site.get(key, {}), **given}


def _provider(options: dict[str, Any], folder: Path) -> dict[str, Any]:
    needed = ("ven_name", "client_id", "client_secret_file")
    lost = [f"--{key.replace('_', '-')}" for key in needed if options[key] is None]
    if lost:
        raise click.UsageError(f"--provider also needs {', '.join(lost)}")
    secret: Path = options["client_secret_file"].absolute()
    table: dict[str, Any] = {
        "id": options["provider_id"],
        "url": options["provider_url"],
        "ven_name": options["ven_name"],
        "client_id": options["client_id"],
        "client_secret_file": secret.name if secret.parent == folder.absolute() else str(secret),
    }
    if options["default_import_limit_w"] is not None:
        table["default_import_limit_w"] = options["default_import_limit_w"]
    if options["programmes"]:
        table["programme"] = [_programme(text) for text in options["programmes"]]
    return table


def _programme(text: str) -> dict[str, Any]:
    name, colon, kind = text.rpartition(":")
    if colon and kind in {"mandatory", "voluntary"}:
        return {"name": name, "mandatory": kind == "mandatory"}
    return {"name": text}
