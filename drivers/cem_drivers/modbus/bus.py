"""One device's view of its link: unit, time-out and the device's own way of taking writes."""

from collections.abc import Coroutine, Hashable, Sequence
from typing import Any

from cem.driver import DriverContext, LineCounts, Refused
from cem_drivers.modbus.link import Link
from cem_drivers.modbus.pdu import ILLEGAL_FUNCTION, Function
from cem_drivers.modbus.registry import LinkRegistry
from cem_drivers.modbus.table import proxy_of, timeout_of, wire_of
from cem_drivers.modbus.transport import InMemory
from cem_drivers.table import LinkTable, number

_LINKS = LinkRegistry()


class Bus:
    """Reads and writes one unit. Close it when done; the link goes with its last user."""

    def __init__(self, link: Link, unit: int, timeout_s: float) -> None:
        self.link = link
        self.unit = unit
        self.timeout_s = timeout_s
        self.insist = False  # True: asks even after silence, as a scan must
        self._only_one = False  # the device refused function 16 once
        self._closed = False

    @property
    def name(self) -> str:
        """Address and unit as errors show them."""
        return f"{self.link.name} unit {self.unit}"

    @property
    def generation(self) -> int:
        """Changes whenever the connection was lost."""
        return self.link.generation

    def read(self, address: int, count: int, function: Function = Function.READ_HOLDING) -> Coroutine[Any, Any, bytes]:
        """`count` registers as bytes, most significant first. Raises NoAnswer, BadAnswer, Refused."""
        return self.link.read(self.unit, address, count, self.timeout_s, function, self.insist)

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
        """Gives the link back; harmless when repeated."""
        if not self._closed:
            self._closed = True
            _LINKS.drop(self.link, self.unit)


def open_bus(link: LinkTable, context: DriverContext) -> Bus:
    """The bus for a checked link table, sharing the link with every other device at the address.

    Touches no wire. Raises NoAnswer where another device uses the same link with other settings.
    """
    wire = wire_of(link)
    ports = context.pdu
    unit = int(number(link, "unit", 1))

    def make() -> Link:
        return Link(wire.name, wire.make() if ports is None else InMemory(ports(link)), context.monotonic)

    key: Hashable = (wire.key, ports)
    taken = _LINKS.take(key, wire.settings, unit, make)
    proxy = proxy_of(link)
    if proxy is not None:
        _LINKS.serve_second(taken, *proxy)
    return Bus(taken, unit, timeout_of(link))


def link_statistics() -> dict[str, LineCounts]:
    """The counters of every link in use in the running loop, by the link's name."""
    return {link.name: link.statistics for link in _LINKS.links()}
