"""Simulated homes in memory with their brokers, moved on by hand, for tests of the time line and of whole homes."""

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hw_sim.home import load_home
from hw_sim.homefile import Home
from hw_sim.simulation import SimulatedHome

HOMES = Path(__file__).resolve().parents[2] / "hw-sim" / "homes"
SCENARIOS = HOMES.parent / "scenarios"
WINTER = datetime(2026, 1, 15, 6, 0, tzinfo=UTC)
VARIED = ("flat", "hybrid", "two-cars", "heat-pump", "small-fuse", "farm")
"""The six ready-made homes that differ."""


def ready(name: str) -> Home:
    """A ready-made home, with nothing on its time line."""
    return load_home(HOMES / f"{name}.toml").quiet()


def eight_devices() -> Home:
    """The farm with a heat pump: meter, two inverters, two batteries, a charger, a relay and a heat pump."""
    farm, pump = ready("farm"), ready("heat-pump")
    more = {"heat_pump": pump.heat_pump, "device": (*farm.device, pump.find("heat-pump"))}
    return farm.model_copy(update=more)


class World:
    """A home, its devices on the broker, and everything that was said there."""

    def __init__(self, home: Home, start: datetime = WINTER, step_s: float = 1.0) -> None:
        self.sim = SimulatedHome(home, start, step_s=step_s)
        self.step_s = step_s
        self.said: list[tuple[str, bytes, bool]] = []
        self.client = self.sim.broker.client()

    async def begin(self) -> None:
        """Devices and listener connect."""

        def joined(connected: bool) -> None:
            if connected:
                self.client.subscribe("#")

        def heard(topic: str, payload: bytes, retained: bool) -> None:
            self.said.append((topic, payload, retained))

        await self.client.start(heard, joined)
        await self.sim.start()
        await asyncio.sleep(0)

    async def run(self, seconds: float) -> None:
        """Lets time pass."""
        for _ in range(round(seconds / self.step_s)):
            self.sim.step(self.step_s)
            await self.sim.follow()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    def last(self, topic: str) -> Any:
        """The newest JSON value on a topic."""
        return json.loads(next(payload for name, payload, _ in reversed(self.said) if name == topic))

    async def call(self, device: str, method: str, **params: Any) -> dict[str, Any]:
        """One request to a device that speaks RPC; its answer frame."""
        frame = {"id": 7, "src": "tester", "method": method, "params": params}
        self.client.publish(f"{self.sim.serial(device)}/rpc", json.dumps(frame).encode())
        for _ in range(6):
            await asyncio.sleep(0)
        found: dict[str, Any] = self.last("tester/rpc")
        return found

    async def words(self, device: str, address: int, count: int) -> list[int]:
        """Registers of a Modbus device."""
        answer = await self.sim.modbus(device).exchange(1, struct.pack(">BHH", 3, address, count))
        assert answer[:2] == bytes((3, 2 * count)), answer.hex()
        return list(struct.unpack(f">{count}H", answer[2:]))

    async def model(self, device: str, number: int) -> int:
        """The address of a model's first point."""
        address = 40002
        while True:
            found, length = await self.words(device, address, 2)
            if found == number:
                return address + 2
            assert found != 0xFFFF, f"{device} has no model {number}"
            address += 2 + length


def played(
    home: Home, main: Callable[[World], Awaitable[None]], start: datetime = WINTER, step_s: float = 1.0
) -> World:
    """Runs a test's part on a world that has begun."""

    async def whole() -> World:
        world = World(home, start, step_s)
        await world.begin()
        await main(world)
        return world

    return asyncio.run(whole())
