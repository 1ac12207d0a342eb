"""`cem scan`: what is out there."""

import asyncio
import json
import sys
import time
from ipaddress import IPv4Network

import click

from cem.cli.commissioning_text import model_lines, sighting_json, sighting_lines
from cem.commissioning.discover import PROBE_TIMEOUT_S, discover
from cem.commissioning.sweep import network_of, sweep
from cem.commissioning.targets import Link, parse_target
from cem.config.drivers import load_drivers
from cem.ports import DriverContext


@click.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option(
    "--timeout",
    "timeout_s",
    default=PROBE_TIMEOUT_S,
    show_default=True,
    type=click.FloatRange(0.2, 10),
    help="Patience for one answer, s.",
)
@click.option(
    "--values",
    is_flag=True,
    help="Every value that a device tells: of the models that it describes itself by, or of its profile.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def scan(addresses: tuple[str, ...], timeout_s: float, values: bool, as_json: bool) -> None:
    """Shows what answers at ADDRESS: HOST:PORT, with /UNIT, /1,200 or /1-4 for Modbus units; nothing is written.
    Without a unit each kind of device is looked for at the one that it is delivered with.

    A network such as 192.0.2.0/24 is looked through for Modbus at ports 502 and 1502, and MQTT at port 1883.

    Other links: rtu-tcp://HOST:PORT/UNIT, tls://HOST:PORT/UNIT, and rtu:DEVICE@BAUD/UNIT with E or O behind the baud
    rate for a parity bit. Many devices can't be told from others by what they say: =PROFILE behind an address says
    what is there, such as 192.0.2.41:502=keba.p30. What hangs on this board's own pins can't be found:
    gpio:WIRE=PIN,... names it, and its serial number comes back.

    ocpp://HOST:PORT is an address of this machine, such as ocpp://0.0.0.0:8887: EV chargers that call in there within
    24 s are told, and none is written.

    Ends with 0 when something was found, else with 1.

    Example: cem scan 192.0.2.40:502/1-3 mqtt://192.0.2.10:1883
    """
    links: list[Link] = []
    networks: list[IPv4Network] = []
    for text in addresses:
        try:
            network = network_of(text)
            links += parse_target(text) if network is None else []
            networks += [network] if network else []
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="ADDRESS") from error
    links += [link for network in networks for link in _inhabited(network, timeout_s)]
    context = DriverContext(time.monotonic)
    sightings = asyncio.run(discover(links, load_drivers(), context, timeout_s=timeout_s))
    if as_json:
        click.echo(json.dumps([sighting_json(sighting) for sighting in sightings], indent=2))
    else:
        for sighting in sightings:
            for line in sighting_lines(sighting):
                click.echo(line)
            for line in (line for found in sighting.found for line in model_lines(found, values)):
                click.echo(line)
    if not any(sighting.found for sighting in sightings):
        click.echo("nothing found: check power, cable, address, unit, and whether Modbus, MQTT or OCPP is on", err=True)
        sys.exit(1)


def _inhabited(network: IPv4Network, timeout_s: float) -> list[Link]:
    """What takes a connection in a network; says on stderr what is looked for, and when there is nothing."""
    hosts = sum(1 for _ in network.hosts())
    click.echo(f"{network}: a network; looking at ports 502, 1502 and 1883 of its {hosts} hosts", err=True)
    links = asyncio.run(sweep(network, timeout_s))
    if not links:
        click.echo(f"{network}: no host takes a connection at port 502 or 1502 (Modbus) or 1883 (MQTT)", err=True)
    return links
