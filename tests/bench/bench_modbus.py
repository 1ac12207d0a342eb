"""What the device side costs: twenty simulated devices on links of their own, 100 registers each, once a second.

Run: .venv/bin/python tests/bench/bench_modbus.py. The devices run in a process of their own, so that only the gateway's
side is counted.
"""

import asyncio
import logging
import multiprocessing
import struct
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

sys.path.insert(0, str(Path(__file__).parents[1]))

from cem.driver import Control, ControlSpec, DeviceConfig, DriverContext, Identity, Reading, Resource, Role
from cem.io.clock import SystemClock
from cem.model.errors import CemError, NoAnswer
from cem.ports import Json, StateKind
from cem.runtime.board import Board
from cem.runtime.device import DeviceTask
from cem_drivers.modbus import Bus, open_bus
from cem_drivers.sunspec.decode import Reader
from cem_drivers.sunspec.definition import definition
from hw_sim.late_gateway import LateGateway, Lateness

DEVICES, REGISTERS = 20, 100
READS = 3000
DECODED = 103
LIVE, DEAD = (1, 2, 3), 9  # units of a line that is shared
LINE_S = 20.0


def words() -> bytes:
    """An inverter's model, then anything: 100 registers."""
    head = struct.pack(">HH", DECODED, 50)
    body = [(at * 7) % 3000 for at in range(REGISTERS - 2)]
    for at in (4, 11, 13, 15, 17, 19, 21, 24, 26, 30, 35):  # scale factors
        body[at] = 0
    return head + struct.pack(f">{REGISTERS - 2}H", *body)


async def serve(ready: Connection) -> None:
    """Twenty servers that answer every read with the same registers; the ones told to die keep silent."""
    dead: set[int] = set()
    content = bytes((3, 2 * REGISTERS)) + words()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("sockname")[1]
        try:
            while True:
                head = await reader.readexactly(12)
                if port not in dead:
                    writer.write(head[:4] + struct.pack(">HB", len(content) + 1, head[6]) + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.transport.abort()

    servers = [await asyncio.start_server(client, "127.0.0.1", 0) for _ in range(DEVICES)]
    ready.send([server.sockets[0].getsockname()[1] for server in servers])
    loop = asyncio.get_running_loop()
    loop.add_reader(ready.fileno(), lambda: dead.update(ready.recv()))
    await asyncio.Event().wait()


def serve_in_process(ready: Connection) -> None:
    """The other process."""
    asyncio.run(serve(ready))


class NoStore:
    """Nothing is written in this benchmark."""

    async def load(self, kind: StateKind) -> dict[str, Json]:
        """Empty."""
        return {}

    async def commit(self, changes: Sequence[object]) -> None:
        """Would be a fault."""
        raise CemError(f"nothing is to be written, not {changes}")

    async def close(self) -> None:
        """Nothing to do."""


@dataclass
class Polled:
    """A device that reads 100 registers, decodes the model among them and says how late it was asked."""

    config: DeviceConfig
    context: DriverContext
    late_s: list[float] = field(default_factory=list)
    bus: Bus | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return self.config.id

    async def open(self) -> Identity:
        """Takes the link."""
        known = definition(DECODED)
        assert known is not None
        self.reader = Reader(known, 50)
        self.bus = open_bus(self.config.link, self.context)
        await self.bus.read(0, REGISTERS)
        return Identity("Bench", "Inverter", self.id)

    def controls(self) -> Sequence[ControlSpec]:
        """None."""
        return ()

    async def poll(self) -> Sequence[Reading]:
        """Due on the full second."""
        now_s = self.context.monotonic()
        self.late_s.append(now_s % self.config.poll_s)
        assert self.bus is not None
        values = self.reader.values(await self.bus.read(0, REGISTERS))
        return [Reading(self.config.resources[0].id, "power_w", values["W"], now_s)]

    async def write(self, resource_id: str, control: Control, value: float) -> None:
        """Never."""

    async def read_back(self, resource_id: str, control: Control) -> float | None:
        """Nothing."""
        return None

    async def release(self, resource_id: str, control: Control) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Gives the link back."""
        bus, self.bus = self.bus, None
        if bus is not None:
            bus.close()


async def house(ports: Sequence[int], seconds: float) -> tuple[float, dict[int, list[float]]]:
    """All devices for so long; the share of a core taken, and how late each poll was, by port."""
    clock = SystemClock()
    context = DriverContext(lambda: clock.now().mono_s)
    board = Board()
    devices: dict[int, Polled] = {}
    tasks: list[DeviceTask] = []
    for port in ports:
        name = f"d{port}"
        resource = Resource(name, Role.PV, name, name, controls=frozenset())
        link: dict[str, str | int | float | bool] = {"host": "127.0.0.1", "port": port, "timeout_s": 1.0}
        config = DeviceConfig(name, name, "bench", link, (resource,), serial=name)
        devices[port] = Polled(config, context)
        tasks.append(DeviceTask(config, devices[port], board, NoStore(), clock, read_only=True))
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(task.run())
        await asyncio.sleep(1.5)  # opened
        for device in devices.values():
            device.late_s.clear()
        spent, began = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        share = (time.process_time() - spent) / (time.monotonic() - began)
        late = {port: list(device.late_s) for port, device in devices.items()}
        for task in tasks:
            task.stop()
    return share, late


async def bare(port: int) -> float:
    """CPU seconds of one read by pymodbus alone."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()
    spent = time.process_time()
    for _ in range(READS):
        answer = await client.read_holding_registers(0, count=REGISTERS)
        assert len(answer.registers) == REGISTERS
    spent = time.process_time() - spent
    client.close()
    return spent / READS


async def guarded(port: int) -> float:
    """CPU seconds of one read over the guarded link, the model decoded to values."""
    known = definition(DECODED)
    assert known is not None
    reader = Reader(known, 50)
    bus = open_bus({"host": "127.0.0.1", "port": port}, DriverContext(time.monotonic))
    await bus.read(0, REGISTERS)
    spent = time.process_time()
    for _ in range(READS):
        values = reader.values(await bus.read(0, REGISTERS))
        assert "W" in values
    spent = time.process_time() - spent
    bus.close()
    return spent / READS


async def shared(units: Sequence[int]) -> tuple[int, int]:
    """Reads answered on a shared RTU line whose live units take 10 ms an answer: each is asked as fast as it goes,
    and each is asked four times a second."""
    gateway = LateGateway(lambda _unit, _address: 1, dict.fromkeys(LIVE, Lateness(prompt_s=0.01)))
    await gateway.start()
    context = DriverContext(time.monotonic)

    async def line(period_s: float) -> int:
        buses = [
            open_bus({"kind": "rtu-tcp", "host": "127.0.0.1", "port": gateway.port, "unit": unit}, context)
            for unit in units
        ]
        end_s = time.monotonic() + LINE_S
        counts = await asyncio.gather(*(answered(bus, period_s, end_s) for bus in buses))
        for bus in buses:
            bus.close()
        return sum(counts)

    found = await line(0.0), await line(0.25)
    await gateway.stop()
    return found


async def answered(bus: Bus, period_s: float, end_s: float) -> int:
    """How many reads of a unit were answered until then; what is late is not made up for."""
    count, due_s = 0, time.monotonic()
    while due_s < end_s:
        await asyncio.sleep(due_s - time.monotonic())
        try:
            await bus.read(1, 1)
            count += 1
        except NoAnswer:
            await asyncio.sleep(0.02)
        due_s = max(due_s + period_s, time.monotonic())
    return count


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    return sorted(values)[min(int(share * len(values)), len(values) - 1)]


def main() -> None:
    """Measures and prints the table."""
    logging.disable(logging.WARNING)
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_in_process, args=(theirs,), daemon=True)
    process.start()
    ports: list[int] = ours.recv()
    pairs = [(asyncio.run(bare(ports[0])), asyncio.run(guarded(ports[0]))) for _ in range(3)]
    alone, link = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    share, _ = asyncio.run(house(ports, 20.0))
    ours.send(ports[:2])
    _, late = asyncio.run(house(ports, 30.0))
    fast, paced = asyncio.run(shared(LIVE))
    beside_fast, beside_paced = asyncio.run(shared((*LIVE, DEAD)))
    healthy = [value for port in ports[2:] for value in late[port]]
    rows = (
        ("device side, 20 devices, 100 registers a second each", f"{100 * share:.2f} % of a core", "3 %"),
        ("CPU per read, pymodbus alone", f"{1e6 * alone:.0f} us", ""),
        ("CPU per read, guarded and decoded", f"{1e6 * link:.0f} us, {link / alone:.2f} times", "1.3 times"),
        ("poll past its due time, p99, 2 of 20 devices dead", f"{1000 * percentile(healthy, 0.99):.1f} ms", "100 ms"),
        ("polls of healthy devices in 30 s (18 devices)", f"{len(healthy)}", "540"),
        ("rate on an RTU line beside a dead unit, as fast as it goes", f"{100 * beside_fast / fast:.0f} %", "80 %"),
        ("the same, four reads a second of each unit", f"{100 * beside_paced / paced:.0f} %", "80 %"),
    )
    print("| what | measured | bar |\n| --- | --- | --- |")  # noqa: T201
    for row in rows:
        print(f"| {' | '.join(row)} |")  # noqa: T201
    process.terminate()


if __name__ == "__main__":
    main()
