"""`cem scan`: what is out there."""

import asyncio
import json
import sys
import time
from ipaddress import IPv4Network
from typing import Any

import click

from cem.cli.broker_options import broker_options, given_login
from cem.cli.commissioning_text import advice_lines, model_lines, service_json, sighting_json, sighting_lines
from cem.commissioning.discover import PROBE_TIMEOUT_S, discover
from cem.commissioning.services import KNOWN, in_words
from cem.commissioning.sweep import network_of, sweep
from cem.commissioning.targets import BrokerLogin, Link, parse_target
from cem.config.drivers import load_drivers
from cem.io.mdns_services import Announced, announced
from cem.ports import DriverContext

MDNS = "mdns"
"""Stands for everything that is announced in the network."""


@click.command()
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS...")
@click.option(
    "--timeout",
    "timeout_s",
    default=PROBE_TIMEOUT_S,
    show_default=True,
    type=click.FloatRange(0.2, 10),
    help="Patience for one answer, s; a Modbus device never has more than in operation (1 s, or its timeout_s).",
)
@broker_options
@click.option("--interface", "interfaces", multiple=True, metavar="IP", help="Network card for mdns, by its address.")
@click.option(
    "--values",
    is_flag=True,
    help="Every value that a device tells: of the models that it describes itself by, or of its profile.",
)
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
def scan(
    addresses: tuple[str, ...],
    timeout_s: float,
    interfaces: tuple[str, ...],
    values: bool,
    as_json: bool,
    **login: Any,
) -> None:
    """Shows what answers at ADDRESS: HOST:PORT, with /UNIT, /1,200 or /1-4 for Modbus units; nothing is written.
    Without a unit each kind of device is looked for at the one that it is delivered with.

    A network such as 192.0.2.0/24 is looked through for Modbus at ports 502 and 1502, and MQTT at port 1883. The
    word mdns in place of an address lists what devices announce of themselves in the network: brokers, Shelly,
    ESPHome, VTNs.

    Other links: rtu-tcp://HOST:PORT/UNIT, tls://HOST:PORT/UNIT, and rtu:DEVICE@BAUD/UNIT with E or O behind the baud
    rate for a parity bit. Meters that speak by themselves (P1, SML, IEC 62056-21 mode D) are listened to at
    serial:DEVICE, serial-tcp://HOST:PORT, or `serial` for every serial port of this machine: up to 12 s a baud rate.

    Many devices can't be told from others by what they say: =PROFILE behind an address says what is there, such as
    192.0.2.41:502=keba.p30. What hangs on this board's own pins can't be found: gpio:WIRE=PIN,... names it, and its
    serial number comes back.

    ocpp://HOST:PORT is an address of this machine, such as ocpp://0.0.0.0:8887: EV chargers that call in there within
    24 s are told, and none is written.

    Ends with 0 when something was found, else with 1.

    Example: cem scan 192.0.2.40:502/1-3 mqtt://192.0.2.10:1883
    """
    links: list[Link] = []
    networks: list[IPv4Network] = []
    around = MDNS in addresses
    for text in (text for text in addresses if text != MDNS):
        try:
            network = network_of(text)
            links += parse_target(text) if network is None else []
            networks += [network] if network else []
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="ADDRESS") from error
    links += [link for network in networks for link in _inhabited(network, timeout_s)]
    links = [BrokerLogin(**given_login(login)).of(link) for link in links]
    context = DriverContext(time.monotonic)
    services = _announced(timeout_s, interfaces) if around else []
    sightings = asyncio.run(discover(links, load_drivers(), context, timeout_s=timeout_s))
    if as_json:
        seen = [*(sighting_json(sighting) for sighting in sightings), *(service_json(service) for service in services)]
        click.echo(json.dumps(seen, indent=2))
    else:
        for service in services:
            click.echo(in_words(service))
        for sighting in sightings:
            for line in sighting_lines(sighting):
                click.echo(line)
            for line in (
                line for found in sighting.found for line in (*advice_lines(found), *model_lines(found, values))
            ):
                click.echo(line)
    if not services and not any(sighting.found for sighting in sightings):
        hint = "" if sightings else "; this machine has no serial port" if "serial" in addresses else ""
        click.echo(
            f"nothing found: check power, cable, address, unit, and whether Modbus, MQTT or OCPP is on{hint}", err=True
        )
        sys.exit(1)


def _announced(timeout_s: float, interfaces: tuple[str, ...]) -> list[Announced]:
    """What is announced by mDNS; says on stderr when nothing is, or why nothing can be heard."""
    try:
        services = asyncio.run(announced(KNOWN, timeout_s, interfaces))
    except OSError as error:
        click.echo(f"mDNS: nothing can be heard in this network: {error}", err=True)
        return []
    if not services:
        click.echo(
            "mDNS: nothing announced that this gateway knows; it does not pass from one network to another", err=True
        )
    return services


def _inhabited(network: IPv4Network, timeout_s: float) -> list[Link]:
    """What takes a connection in a network; says on stderr what is looked for, and when there is nothing."""
    hosts = sum(1 for _ in network.hosts())
    click.echo(f"{network}: a network; looking at ports 502, 1502 and 1883 of its {hosts} hosts", err=True)
    links = asyncio.run(sweep(network, timeout_s))
    if not links:
        click.echo(f"{network}: no host takes a connection at port 502 or 1502 (Modbus) or 1883 (MQTT)", err=True)
    return links
