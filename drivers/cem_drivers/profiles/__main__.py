"""`python -m cem_drivers.profiles`: checks profile files, and prints the table of what ships."""

import sys
from pathlib import Path

import click

from cem_drivers.mqtt.profile import parse_profile as parse_mqtt
from cem_drivers.ocpp.profile import parse_profile as parse_ocpp
from cem_drivers.profiled.catalogue import parse_profile as parse_modbus
from cem_drivers.profiles.store import MODBUS, MQTT, OCPP, SERIAL, family_of
from cem_drivers.profiles.table import table
from cem_drivers.serial.profile import parse_profile as parse_serial

PARSERS = {MODBUS: parse_modbus, MQTT: parse_mqtt, OCPP: parse_ocpp, SERIAL: parse_serial}


@click.group()
def main() -> None:
    """Device profiles: data that turns registers and topics into readings and controls."""


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> None:
    """Says everything that is wrong with FILES, golden cases included; exit code 1 if anything is."""
    wrong = 0
    for file in files:
        faults = _faults(file)
        wrong += bool(faults)
        for fault in faults:
            click.echo(f"{file}: {fault}")
        if not faults:
            click.echo(f"{file}: fine")
    sys.exit(1 if wrong else 0)


@main.command("table")
def show() -> None:
    """Prints the table of the profiles that ship, as it stands in the README of the drivers."""
    click.echo(table())


def _faults(file: Path) -> list[str]:
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [f"can't be read: {error}"]
    profile, faults = PARSERS[family_of(source)](source)
    if profile is not None and profile.id != file.name.removesuffix(".toml"):
        faults = [f"id: {profile.id!r}, but the file is named {file.name!r}; they must be the same"]
    return faults


if __name__ == "__main__":
    main()
