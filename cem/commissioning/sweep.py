"""Looks through a small network for whatever takes a connection at the ports of Modbus and MQTT."""

import asyncio
import re
from collections.abc import Mapping
from ipaddress import IPv4Network

from cem.commissioning.knock import connects
from cem.commissioning.targets import INVERTERS_PORT, MODBUS_PORT, MQTT_PORT, Link, LinkKind

WIDEST_PREFIX = 24
NARROWEST_PREFIX = 30
AT_ONCE = 64
"""Connections at a time: a home's router survives that."""
PORTS: Mapping[int, LinkKind] = {
    MODBUS_PORT: LinkKind.MODBUS_TCP,
    INVERTERS_PORT: LinkKind.MODBUS_TCP,
    MQTT_PORT: LinkKind.MQTT,
}

_NETWORK = re.compile(r"^(\d{1,3}(?:\.\d{1,3}){3})/(\d{1,2})$")


def network_of(text: str) -> IPv4Network | None:
    """The network that is meant by such as 192.168.1.0/24; None for the address of a device.

    A.B.C.D/N with bits behind the prefix is a unit at a host. Raises ValueError with a sentence for a network that is
    too large to be looked through.
    """
    match = _NETWORK.match(text.strip())
    if match is None or int(match[2]) > NARROWEST_PREFIX:
        return None
    try:
        network = IPv4Network(text.strip())
    except ValueError:
        return None
    if network.prefixlen < WIDEST_PREFIX:
        raise ValueError(
            f"{text} is a network of {network.num_addresses} addresses; at most 256 (/{WIDEST_PREFIX}) are looked "
            f"through at once: give the part with the devices, such as {network.network_address}/{WIDEST_PREFIX}, "
            "or one device as HOST:PORT/UNIT"
        )
    return network


async def sweep(network: IPv4Network, timeout_s: float, ports: Mapping[int, LinkKind] = PORTS) -> list[Link]:
    """A link for every host and port that takes a connection, in the order of the hosts.

    No unit is named: each driver looks where its devices are delivered to answer.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def is_open(host: str, port: int) -> bool:
        async with turns:
            return await connects(host, port, timeout_s) is None

    places = [(str(host), port) for host in network.hosts() for port in ports]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(is_open(host, port)) for host, port in places]
    found: list[Link] = []
    for (host, port), task in zip(places, tasks, strict=True):
        if task.result():
            found.append({"kind": ports[port].value, "host": host, "port": port})
    return found
