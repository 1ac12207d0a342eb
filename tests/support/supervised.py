"""One real device under its real task: what the gateway makes of a wire that a test spoils."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cem.io.clock import SystemClock
from cem.io.state_store import SqliteStateStore
from cem.model.reading import Value
from cem.model.setpoint import Health
from cem.ports import Clock, Device, DeviceConfig
from cem.runtime.board import Board
from cem.runtime.device import DeviceTask


@dataclass(frozen=True)
class Supervised:
    """A running device task and its board."""

    board: Board
    task: DeviceTask
    clock: Clock

    @property
    def health(self) -> Health:
        """How the device stands."""
        return self.board.health(self.task.config.id).health

    def value(self, resource_id: str, point: str, max_age_s: float = 1e9) -> Value:
        """The newest value of a point if it is fresh enough."""
        return self.board.freeze(self.clock.now().mono_s).number(resource_id, point, max_age_s)

    async def until(self, holds: Callable[[], bool], within_s: float) -> float:
        """Waits until something holds and gives how long it took; fails when it does not in time."""
        began_s = self.clock.now().mono_s
        while not holds():
            assert self.clock.now().mono_s - began_s < within_s, self.board.devices()
            await asyncio.sleep(0.02)
        return self.clock.now().mono_s - began_s


@asynccontextmanager
async def supervised(
    device: Device, config: DeviceConfig, folder: Path, clock: Clock | None = None
) -> AsyncIterator[Supervised]:
    """The device's task runs until the end of the block; a task that ended by itself fails the test.

    In real time, unless a `clock` is given.
    """
    clock, board = clock or SystemClock(), Board()
    store = SqliteStateStore(folder / "state.db", clock)
    task = DeviceTask(config, device, board, store, clock, read_only=False)
    running = asyncio.create_task(task.run())
    try:
        yield Supervised(board, task, clock)
        assert not running.done(), "the task ended by itself"
    finally:
        task.stop()
        await asyncio.wait_for(running, 20)
        await store.close()
