"""One device's view of its link: unit, time-out and the device's own way of taking writes."""

from collections.abc import Hashable, Sequence

from cem.driver import DriverContext, Refused
from cem_drivers.modbus.link import DEFAULT_TIMEOUT_S, MAX_TIMEOUT_S, Link
from cem_drivers.modbus.pdu import ILLEGAL_FUNCTION, Function
from cem_drivers.modbus.registry import LinkRegistry
from cem_drivers.modbus.transport import InMemory, PymodbusTcp
from cem_drivers.table import Key, LinkTable, number, table_faults, text

BUS_KEYS = (
    Key("kind", str, choices=("tcp",)),
    Key("host", str, required=True),
    Key("port", int, low=1, high=65535),
    Key("unit", int, low=0, high=255),
    Key("timeout_s", float, low=0.1, high=MAX_TIMEOUT_S),
)
"""The keys of a link table that belong to the bus; a driver adds its own."""

DEFAULT_PORT = 502
_LINKS = LinkRegistry()


class Bus:
    """Reads and writes one unit. Close it when done; the link goes with its last user."""

    def __init__(self, link: Link, unit: int, timeout_s: float) -> None:
        self.link = link
        self.unit = unit
        self.timeout_s = timeout_s
        self._only_one = False  # the device refused function 16 once

    @property
    def name(self) -> str:
        """Address and unit as errors show them."""
        return f"{self.link.name} unit {self.unit}"

    @property
    def generation(self) -> int:
        """Changes whenever the connection was lost."""
        return self.link.generation

    async def read(self, address: int, count: int, function: Function = Function.READ_HOLDING) -> bytes:
        """`count` registers as bytes, most significant first. Raises NoAnswer, BadAnswer, Refused."""
        return await self.link.read(self.unit, address, count, self.timeout_s, function)

    async def write(self, address: int, registers: Sequence[int]) -> None:
        """Writes neighbouring registers, in one request unless the device knows function 6 only.

        Raises Refused; raises NoAnswer when nothing is known about what the device did: read back, don't repeat.
        """
        if not self._only_one:
            try:
                await self.link.write(self.unit, address, registers, self.timeout_s)
            except Refused as error:
                if error.code != ILLEGAL_FUNCTION:
                    raise
                self._only_one = True
            else:
                return
        for offset, register in enumerate(registers):
            await self.link.write_one(self.unit, address + offset, register, self.timeout_s)

    def close(self) -> None:
        """Gives the link back."""
        _LINKS.drop(self.link)


def bus_faults(link: LinkTable, extra: Sequence[Key] = ()) -> list[str]:
    """Everything wrong with a link table, offline, each with its path."""
    return table_faults(link, (*BUS_KEYS, *extra))


def open_bus(link: LinkTable, context: DriverContext) -> Bus:
    """The bus for a checked link table, sharing the link with every other device at the address. Touches no wire."""
    host = text(link, "host", "")
    port = int(number(link, "port", DEFAULT_PORT))
    name = f"{host}:{port}"
    ports = context.pdu

    def make() -> Link:
        transport = PymodbusTcp(host, port) if ports is None else InMemory(ports(link))
        return Link(name, transport, context.monotonic)

    key: Hashable = ("tcp", host, port, ports)
    taken = _LINKS.take(key, make)
    return Bus(taken, int(number(link, "unit", 1)), number(link, "timeout_s", DEFAULT_TIMEOUT_S))
