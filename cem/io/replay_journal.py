"""The replay journal (house, law 12): every tick's inputs and decision, so that it can be decided again.

The tick only hands its frozen values over; a thread of its own encodes and writes them, a minute at a time. What the
disk refuses is let go: control and history do not depend on it.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from cem.io.frozen_json import encode
from cem.io.journal_file import Kind, append, forget_old, name_at, packed
from cem.io.journal_ticks import TickEncoder
from cem.model.setpoint import Decision
from cem.model.site import Site
from cem.model.tick import Inputs

REPLAY_FOLDER = "journal"
"""In the store's folder."""
MOST_TICKS = 600
"""Of one chunk, however short the ticks are."""
CHUNK_S = 60.0
WAITING = 5
"""Chunks that may wait for a slow disk."""

Tick = tuple[Inputs, object, Decision]
_log = logging.getLogger(__name__)


class ReplayJournal:
    """Keeps ticks in hourly files of a folder for a day, or (`single`) all in one file."""

    def __init__(self, path: Path, site: Site, *, single: bool = False) -> None:
        self._path = path
        self._site = site
        self._single = single
        self._ticks: list[Tick] = []
        self._began_s = 0.0
        self._encoder = TickEncoder()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="cem-replay")
        self._under_way: set[asyncio.Future[None]] = set()
        self._told = ""

    @property
    def alarms(self) -> tuple[str, ...]:
        """What a person should know: empty when all is well."""
        return (self._told,) if self._told else ()

    def take(self, inputs: Inputs, memory: object, decision: Decision) -> None:
        """Takes a tick in with the memory that stood before it; never blocks, never raises for the disk's sake."""
        ticks = self._ticks
        if ticks and (inputs.now.mono_s - self._began_s >= CHUNK_S or len(ticks) >= MOST_TICKS):
            self._hand_over()
            ticks = self._ticks
        if not ticks:
            self._began_s = inputs.now.mono_s
        ticks.append((inputs, memory, decision))

    async def close(self) -> None:
        """Writes what is left."""
        if self._ticks:
            self._hand_over()
        if self._under_way:
            await asyncio.wait(self._under_way)
        self._executor.shutdown(wait=False)

    def _hand_over(self) -> None:
        ticks, self._ticks = self._ticks, []
        if len(self._under_way) >= WAITING:
            self._refused("the disk is too slow; minutes of it are lost")
            return
        written = asyncio.get_running_loop().run_in_executor(self._executor, self._write, ticks)
        self._under_way.add(written)
        written.add_done_callback(self._written)

    def _written(self, written: "asyncio.Future[None]") -> None:
        self._under_way.discard(written)
        error = None if written.cancelled() else written.exception()
        if error is None:
            self._told = ""
        elif isinstance(error, OSError):
            self._refused(str(error.strerror or error))
        else:
            _log.error("replay journal: a minute could not be encoded", exc_info=error)

    def _refused(self, why: str) -> None:
        text = f"replay journal: can't be written ({why}); control and history go on without it. Check the disk"
        if text != self._told:
            _log.warning("%s", text)
        self._told = text

    def _write(self, ticks: list[Tick]) -> None:
        at: datetime = ticks[0][0].now.wall
        path = self._path if self._single else self._path / name_at(at)
        path.parent.mkdir(parents=True, exist_ok=True)
        chunk = packed(Kind.TICKS, self._encoder.chunk(ticks))
        if not path.exists():
            chunk = packed(Kind.SITE, encode(self._site)) + chunk
            if not self._single:
                forget_old(self._path, at)
        append(path, chunk)
