"""The questions of `cem provision`, asked only where a terminal is there and an answer is missing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cem.commissioning.site import Answers, FindTable
from cem.commissioning.targets import parse_target

LOCALTIME = Path("/etc/localtime")


def system_timezone() -> str:
    """The machine's own time zone, UTC where it has none."""
    parts = LOCALTIME.resolve().parts
    return "/".join(parts[parts.index("zoneinfo") + 1 :]) if "zoneinfo" in parts else "UTC"


def ask_missing(answers: Answers) -> Answers:
    """The answers, completed by asking; click.Abort when the person gives up."""
    site = dict(answers.site)
    connection = dict(site.get("connection", {}))
    tariff = dict(site.get("tariff", {}))
    _ask(site, "name", "Name of the home", "Home", str)
    _ask(site, "timezone", "Time zone", system_timezone(), str)
    _ask(connection, "phases", "Phases at the connection point", 3, click.IntRange(1, 3))
    _ask(connection, "fuse_a", "Main fuse per phase, A", 35.0, click.FloatRange(1))
    _ask(tariff, "base_price_per_kwh", "Price of a bought kWh", 0.34, click.FloatRange(0))
    _ask(tariff, "export_price_per_kwh", "Price of a sold kWh", 0.08, float)
    find = answers.find
    if not find.modbus and not find.mqtt:
        find = FindTable(
            modbus=tuple(_ask_addresses("Modbus devices (HOST:PORT/UNIT, blanks between, empty for none)")),
            mqtt=tuple(_ask_addresses("MQTT brokers (HOST:PORT, blanks between, empty for none)")),
            grid=find.grid,
            read_only=find.read_only,
        )
    return replace(answers, site=site | {"connection": connection, "tariff": tariff}, find=find)


def _ask(table: dict[str, Any], key: str, question: str, default: Any, kind: Any) -> None:
    if key not in table:
        table[key] = click.prompt(question, default=default, type=kind, err=True)


def _ask_addresses(question: str) -> Iterator[str]:
    for text in click.prompt(question, default="", show_default=False, err=True).split():
        try:
            parse_target(text)
        except ValueError as error:
            click.echo(f"{error}; left out", err=True)
        else:
            yield text
