"""The log of the grid side, kept in state.db: compared after each tick, written when something changed."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from sqlite3 import Error as DiskError

from cem.model.directive import Directive, GridPresence
from cem.model.errors import CemError
from cem.model.grid_log import GridEntry, entry_of, entry_row
from cem.model.request import UserRequest
from cem.model.tick import Inputs
from cem.ports import Drop, Put, StateKind, StateStore
from cem.sgcp.grid_log import GridView, between, resumed, view

log = logging.getLogger(__name__)

KEPT = 20_000
"""Entries; two years of a house with a dozen events a day."""
WAITING = 1000  # entries; the disk may stall, memory may not grow


class GridLog:
    """Compares what the grid side says with the former tick; `run` writes what changed."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._view = GridView()
        self._seen: tuple[Directive | None, Sequence[UserRequest], Sequence[str], GridPresence | None]
        self._seen = (None, (), (), None)
        self._keys: deque[str] = deque()
        self._same_instant = ("", 0)
        self._queue: asyncio.Queue[GridEntry] = asyncio.Queue(WAITING)

    async def restore(self) -> None:
        """What held when the former run ended; without its rows everything that holds counts as new."""
        entries = []
        try:
            rows = await self._store.load(StateKind.GRID_LOG)
            for key, row in rows.items():
                self._keys.append(key)
                entries.append(entry_of(row))
        except (CemError, DiskError, OSError, ValueError) as error:
            log.warning("log of the grid side: %s; what holds now is noted as new", error)
        self._view = resumed(entries)

    def note(self, inputs: Inputs, grid: GridPresence) -> None:
        """Queues entries for what changed; never waits, and looks closer only when there is something new.

        `grid` is what was decided about the voltage: the directive alone seldom knows.
        """
        directive, requests = inputs.directive, inputs.requests
        changing = [r.id for r in requests if r.in_force(inputs.now.wall)]
        seen = (directive, requests, changing, grid)
        if directive is self._seen[0] and seen[1:] == self._seen[1:]:
            return
        self._seen = seen
        after = view(directive, grid, requests, self._view, inputs.now.wall)
        entries = between(self._view, after, inputs.now.wall)
        self._view = after
        for entry in entries:
            if self._queue.full():
                log.warning("log of the grid side: the disk is too slow, %s of %s is lost", entry.kind, entry.source)
                continue
            self._queue.put_nowait(entry)

    async def run(self) -> None:
        """Until cancelled: one commit for all that waits, the oldest entries dropped."""
        while True:
            entries = [await self._queue.get()]
            while not self._queue.empty():
                entries.append(self._queue.get_nowait())
            changes: list[Put | Drop] = []
            for entry in entries:
                key = self._new_key(entry)
                changes.append(Put(StateKind.GRID_LOG, key, {**entry_row(entry)}))
                self._keys.append(key)
            while len(self._keys) > KEPT:
                changes.append(Drop(StateKind.GRID_LOG, self._keys.popleft()))
            try:
                await self._store.commit(changes)
            except (CemError, DiskError, OSError) as error:
                log.warning("log of the grid side: %s; %d entries may be lost", error, len(entries))

    def _new_key(self, entry: GridEntry) -> str:
        stem = entry.at.isoformat()
        number = self._same_instant[1] + 1 if stem == self._same_instant[0] else 0
        self._same_instant = (stem, number)
        return f"{stem}#{number:03d}"
