"""The part of the control's memory that outlives a restart: last switching times and locks, in state.db."""

import logging
from dataclasses import replace
from sqlite3 import Error as DiskError

from cem.control.memory import Memory
from cem.control.memory_json import from_json, lasting, locked_on, to_json
from cem.model.errors import CemError
from cem.model.time import Instant
from cem.ports import Put, StateKind, StateStore
from cem.runtime.waiting import Signal

log = logging.getLogger(__name__)

ROW = "control"
RETRY_S = 3600.0


class MemoryKeeper:
    """Compares the memory after each tick with what was kept; `run` writes it when it changed.

    `boot` names this start of the machine, '' where nobody can tell. Another one than the former run's is taken as an
    outage: a house whose power came back looks like that.
    """

    def __init__(self, store: StateStore, boot: str = "") -> None:
        self._store = store
        self._boot = boot
        self._kept: tuple[object, ...] = ()
        self._row: Put | None = None
        self._news = Signal()

    async def restore(self, now: Instant) -> Memory:
        """The memory of the former run; an empty one where there is none or the disk does not answer."""
        try:
            rows = await self._store.load(StateKind.SWITCH)
        except (CemError, DiskError, OSError) as error:
            log.warning("switching times of the former run: %s; minimum times count from now", error)
            return Memory()
        row = rows.get(ROW)
        memory = from_json(row, now)
        former, passed_s = "", None
        if isinstance(row, dict):
            former, wrote_s = str(row.get("boot", "")), row.get("mono_s")
            if former == self._boot and isinstance(wrote_s, int | float) and wrote_s <= now.mono_s:
                passed_s = now.mono_s - wrote_s
        memory = locked_on(memory, passed_s)
        if self._boot and former and former != self._boot:
            log.info("this machine was started anew: big loads come back one after the other, as after an outage")
            return replace(memory, grid_back_at_s=now.mono_s, grid_back=now.wall.isoformat(timespec="seconds"))
        self._kept = lasting(memory)
        return memory

    def note(self, memory: Memory, now: Instant) -> None:
        """Takes the memory after a tick; never waits."""
        present = lasting(memory)
        if present != self._kept:
            self._kept = present
            self._row = Put(StateKind.SWITCH, ROW, to_json(memory, now) | {"boot": self._boot, "mono_s": now.mono_s})
            self._news.set()

    async def run(self) -> None:
        """Until cancelled: the newest state is written as soon as it differs."""
        while True:
            await self._news.wait(RETRY_S)
            self._news.clear()
            row, self._row = self._row, None
            if row is None:
                continue
            try:
                await self._store.commit([row])
            except (CemError, DiskError, OSError) as error:
                log.warning("switching times: %s; a restart now would count minimum times anew", error)
