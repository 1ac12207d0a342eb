"""Run in a network namespace of its own: a meter over TCP whose link goes down and comes back, both ends still open.

`python -m support.half_open FOLDER` prints one JSON object: `noticed_s`, `back_s`, `most_sockets` (of ours to the
device at once), `connections` (that the device took), `turned_away` (while its only session was taken).
"""

import asyncio
import fcntl
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cem.driver import DriverContext, Role
from cem.model.setpoint import Health
from cem_drivers.sunspec import DRIVER
from support.driver_devices import sunspec_config
from support.modbus_wire import Registers, common_model, meter_203, sunspec_map
from support.supervised import Supervised, supervised

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
APART = ["unshare", "--map-root-user", "--net"]
ESTABLISHED, SYN_SENT = "01", "02"


def may_be_apart() -> bool:
    """Whether this machine gives a process a network namespace of its own."""
    try:
        return subprocess.run([*APART, "true"], capture_output=True, check=False, timeout=10).returncode == 0
    except FileNotFoundError:
        return False


def loopback(up: bool) -> None:
    """Sets the link of this namespace up or down; what is under way when it goes down is lost without a word."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(handle, SIOCGIFFLAGS, request))[1]
        flags = flags | IFF_UP if up else flags & ~IFF_UP
        fcntl.ioctl(handle, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))


def sockets_to(port: int) -> int:
    """Our ends that talk to that port, or try to."""
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] in {ESTABLISHED, SYN_SENT} for row in rows)


class SingleSession:
    """A device that serves one connection at a time and hangs up on others."""

    def __init__(self, registers: Registers) -> None:
        self.connections = 0
        self.turned_away = 0
        self._registers = registers
        self._busy = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if self._busy:
            self.turned_away += 1
            writer.close()
            return
        self._busy = True
        self.connections += 1
        try:
            while header := await reader.readexactly(7):
                transaction, _, length, unit = struct.unpack(">HHHB", header)
                answer = self._registers.respond(unit, await reader.readexactly(length - 1))
                assert answer is not None
                writer.write(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            self._busy = False
            writer.close()


@contextmanager
def counted(port: int) -> Iterator[list[int]]:
    """The numbers of our sockets to a port, looked at every 10 ms."""
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append(sockets_to(port))
            await asyncio.sleep(0.01)

    looking = asyncio.get_running_loop().create_task(look())
    try:
        yield seen
    finally:
        looking.cancel()


def fresh(meter: Supervised) -> bool:
    """Whether the power was read within the last seconds."""
    return meter.value("grid", "power_w", 2.0) is not None


async def main(folder: Path) -> dict[str, float]:
    """The whole play."""
    loopback(True)
    registers = Registers()
    sunspec_map(registers, [common_model("SN-1"), meter_203(500)])
    device = SingleSession(registers)
    server = await asyncio.start_server(device.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = sunspec_config({"host": "127.0.0.1", "port": port}, Role.GRID)
    async with supervised(DRIVER.device(config, DriverContext(time.monotonic)), config, folder) as meter:
        await meter.until(lambda: fresh(meter), 10.0)
        with counted(port) as seen:
            loopback(False)
            noticed_s = await meter.until(lambda: meter.health is Health.SILENT, 60.0)
            await asyncio.sleep(3.0)  # some attempts into the void
            loopback(True)
            back_s = await meter.until(lambda: fresh(meter) and meter.health is Health.ONLINE, 90.0)
    server.close()
    return {
        "noticed_s": noticed_s,
        "back_s": back_s,
        "most_sockets": max(seen),
        "connections": device.connections,
        "turned_away": device.turned_away,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
