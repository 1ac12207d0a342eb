"""The runtime's device tasks over the simulated home in memory, on virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cem.config.drivers import load_drivers
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock
from cem.model.envelope import Rank
from cem.model.resource import Control
from cem.model.setpoint import Health, Outcome, Setpoint
from cem.runtime.board import Board
from cem.runtime.device import DeviceTask
from hw_sim.simulation import SimulatedHome
from support.virtual_home import context, demo_devices, demo_home


@dataclass(frozen=True)
class Bench:
    """The simulated home, the board, and one running task per device."""

    home: SimulatedHome
    board: Board
    clock: VirtualClock
    tasks: dict[str, DeviceTask]

    def ask(self, resource_id: str, control: Control, value: float | None, lease_s: float = 10.0) -> None:
        """Posts one set point to the device that has the resource."""
        setpoint = Setpoint(resource_id, control, value, lease_s, Rank.PLAN, "test", "because")
        task = next(t for t in self.tasks.values() if any(r.id == resource_id for r in t.config.resources))
        task.post([setpoint], self.clock.now().mono_s)

    async def keep_asking(self, resource_id: str, control: Control, value: float, for_s: int) -> None:
        """Renews the lease each second, as the loop does."""
        for _ in range(for_s):
            self.ask(resource_id, control, value)
            await asyncio.sleep(1)

    def outcome(self, resource_id: str) -> Outcome:
        """What became of the resource's last set point."""
        return next(o for o in self.board.outcomes() if o.resource_id == resource_id)

    async def until_health(self, device_id: str, health: Health, within_s: float = 120.0) -> float:
        """Waits for a device's health and gives how long it took; fails after `within_s`."""
        began = self.clock.now().mono_s
        while self.board.health(device_id).health is not health:
            assert self.clock.now().mono_s - began < within_s, self.board.devices()
            await asyncio.sleep(0.5)
        return self.clock.now().mono_s - began


@asynccontextmanager
async def running(clock: VirtualClock, folder: Path, *, read_only: bool = False) -> AsyncIterator[Bench]:
    """The demo home with its four device tasks, all online."""
    home = demo_home(clock)
    drivers, links = load_drivers(), context(home, clock)
    store = SqliteStateStore(folder / "state.db", clock)
    board = Board()
    tasks = {
        config.id: DeviceTask(
            config, drivers[config.driver].device(config, links), board, store, clock, read_only=read_only
        )
        for config in demo_devices(home)
    }
    async with asyncio.TaskGroup() as group:
        world = group.create_task(home.run())
        running_tasks = [group.create_task(task.run()) for task in tasks.values()]
        bench = Bench(home, board, clock, tasks)
        for device_id in tasks:
            await bench.until_health(device_id, Health.ONLINE)
        yield bench
        for task in tasks.values():
            task.stop()
        await asyncio.wait(running_tasks)
        world.cancel()
    await store.close()
