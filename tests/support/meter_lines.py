"""Lines of meters for tests: real terminals and sockets that say what a test wants, and homes in virtual time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cem.driver import Device, DriverContext, Role, StreamPort
from cem_drivers.serial import DRIVER
from hw_sim.devices.line_meter import LineMeter
from hw_sim.home import parse_home
from hw_sim.lines import LineEndpoint, MemoryLine, PtyLineEndpoint, TcpLineEndpoint
from hw_sim.simulation import SimulatedHome
from support.driver_cases import MemoryStream
from support.driver_devices import serial_config
from support.sim_homes import HOUSE, NOON, PV

Link = Mapping[str, str | int | float | bool]
REAL = DriverContext(time.monotonic)


@dataclass
class Speaking:
    """A real line. `says` is what is said again and again, every `every_s`."""

    line: MemoryLine
    end: LineEndpoint
    link: Link
    says: bytes = b""
    every_s: float = 0.02
    piece: int = 5000

    async def run(self) -> None:
        """Speaks until it is cancelled."""
        while True:
            for at in range(0, len(self.says), self.piece):
                self.line.say(self.says[at : at + self.piece])
                await asyncio.sleep(0)
            await asyncio.sleep(self.every_s)


@asynccontextmanager
async def pty_line(folder: Path, says: bytes) -> AsyncIterator[Speaking]:
    """A pseudo terminal under a name that survives unplugging."""
    line, path = MemoryLine(), folder / "usb-meter"
    async with _speaking(Speaking(line, PtyLineEndpoint(line, path), {"device": str(path)}, says)) as one:
        yield one


@asynccontextmanager
async def tcp_line(says: bytes) -> AsyncIterator[Speaking]:
    """A serial server on a free port."""
    line = MemoryLine()
    end = TcpLineEndpoint(line, "127.0.0.1", 0)
    async with _speaking(Speaking(line, end, {"host": "127.0.0.1"}, says)) as one:
        one.link = {"host": "127.0.0.1", "port": end.port}
        yield one


@asynccontextmanager
async def _speaking(one: Speaking) -> AsyncIterator[Speaking]:
    await one.end.start()
    running = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        running.cancel()
        await asyncio.wait([running])
        await one.end.stop()


def meter(link: Link, profile: str, serial: str | None = None, role: Role = Role.GRID) -> Device:
    """The driver's device on a real line."""
    config = serial_config(link, role, profile, serial)
    assert DRIVER.faults(config) == []
    return DRIVER.device(config, REAL)


def metered_home(kind: str = "sml.meter", every_s: float = 1.0) -> SimulatedHome:
    """A house with a roof and one meter that speaks by itself."""
    device = f'[[device]]\nid = "meter"\nkind = "{kind}"\nreport_every_s = {every_s}\n'
    return SimulatedHome(parse_home(HOUSE + PV + device, "test"), NOON)


def memory_context(home: SimulatedHome, monotonic: Callable[[], float]) -> DriverContext:
    """The line of the home's meter in memory."""

    def streams(_link: Link) -> StreamPort:
        front = home.fronts["meter"]
        assert isinstance(front, LineMeter)
        return MemoryStream(front, at_once=False)

    return DriverContext(monotonic, streams=streams)
