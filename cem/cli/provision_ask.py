"""The questions of `cem provision`, asked only where a terminal is there and an answer is missing."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FunctionType
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import click

from cem.commissioning.site import Answers
from cem.commissioning.targets import LinkKind, parse_target
from cem.config.words import did_you_mean

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
    find = answers.find
    modbus, mqtt, ocpp = find.modbus, find.mqtt, find.ocpp
    while not (modbus or mqtt or ocpp or find.gpio):
        modbus = _ask_addresses("Modbus devices (HOST:PORT/UNIT, blanks between, empty for none)", LinkKind.MODBUS_TCP)
        mqtt = _ask_addresses("MQTT brokers (HOST:PORT, blanks between, empty for none)", LinkKind.MQTT)
        ocpp = _ask_addresses("Addresses here at which chargers call in (HOST:PORT, empty for none)", LinkKind.OCPP)
        if not modbus and not mqtt and not ocpp:
            click.echo("at least one address is needed; cem scan 192.0.2.0/24 looks through a network", err=True)
    find = find.model_copy(update={"modbus": modbus, "mqtt": mqtt, "ocpp": ocpp})
    _ask(site, "name", "Name of the home", "Home", str)
    _ask(site, "timezone", "Time zone", system_timezone(), _known_timezone)
    _ask(connection, "phases", "Phases at the connection point", 3, click.IntRange(1, 3))
    _ask(connection, "fuse_a", "Main fuse per phase, A", 35.0, click.FloatRange(1, 100_000))
    _ask(tariff, "base_price_per_kwh", "Price of a bought kWh", 0.34, click.FloatRange(0, 100))
    _ask(tariff, "export_price_per_kwh", "Price of a sold kWh", 0.08, click.FloatRange(-100, 100))
    return replace(answers, site=site | {"connection": connection, "tariff": tariff}, find=find)


def _ask(table: dict[str, Any], key: str, question: str, default: Any, kind: Any) -> None:
    if key not in table:
        convert = kind if isinstance(kind, FunctionType | type) else _finite(kind)
        table[key] = click.prompt(question, default=default, value_proc=convert, err=True)


def _finite(kind: click.types.ParamType[Any]) -> Callable[[Any], Any]:
    """The kind's own check, and no nan: a range does not hold it back."""

    def convert(value: Any) -> Any:
        number = kind.convert(value, None, None)
        if not math.isfinite(number):
            raise click.BadParameter(f"{value!r} is no number.")
        return number

    return convert


def _known_timezone(value: str) -> str:
    """A name of the tz database; raises click.BadParameter, so that it is asked again."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as error:
        hint = did_you_mean(value, available_timezones())
        raise click.BadParameter(f"{value!r} is no time zone; Europe/Berlin is one{hint}.") from error
    return value


def _ask_addresses(question: str, kind: LinkKind) -> tuple[str, ...]:
    """Addresses that can be read; asked again while one of them cannot."""

    def convert(value: str) -> tuple[str, ...]:
        for text in value.split():
            try:
                parse_target(text, kind)
            except ValueError as error:
                raise click.BadParameter(str(error)) from error
        return tuple(value.split())

    found: tuple[str, ...] = click.prompt(question, default="", show_default=False, value_proc=convert, err=True)
    return found
