"""history.db: what was measured and decided, a minute at a time. At most the last 60 s may be lost.

The control's tick only appends to a minute in memory; a thread of its own writes each finished minute in one
transaction. When the disk refuses, the rows of up to 24 hours wait in memory and the control notices nothing.
"""

import asyncio
import json
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from cem.io.database import FileAlarms, boot_id, check_pages, has_orphan_log, is_corrupt, open_for_writing, quarantine
from cem.io.day_sums import DaySums
from cem.io.history_salvage import Batch, salvage
from cem.io.history_tables import MIGRATIONS, HistoryTables
from cem.io.minute_row import EnergySums, Row, RowMaker, energy_of
from cem.io.record_time import RecordTime, Shift
from cem.io.samples import (
    COST,
    EXPORT_PRICE,
    EXPORTED,
    GENERATED,
    IMPORT_PRICE,
    IMPORTED,
    MinuteSamples,
    SampleIntake,
    scale_of,
)
from cem.model.setpoint import Decision
from cem.model.site import Site
from cem.model.status import EnergyToday
from cem.model.tick import Inputs
from cem.model.time import Instant

WAITING_ROWS = 24 * 60
"""Rows kept in memory while the disk refuses."""
WAITING_MINUTES = 30
"""Finished minutes that may wait for a slow disk; beyond it their samples are let go."""
KEPT_FREE = 50 * 1024 * 1024
"""Bytes left free on the file system: below it the oldest raw samples make room for new ones."""

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class HistoryJournal:
    """Implements ports.Journal and ports.History. `open` once before the first `record`, in the same event loop."""

    def __init__(self, path: Path, site: Site) -> None:
        self._path = path
        self._site = site
        self._zone = ZoneInfo(site.zone)
        self._rows = RowMaker(site)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="cem-history")
        self._alarms = FileAlarms(path.name)
        self._tables: HistoryTables | None = None
        self._waiting: deque[tuple[int, Row]] = deque(maxlen=WAITING_ROWS)
        self._salvage: Generator[Batch, None, None] | None = None
        # the rest belongs to the event loop
        self._time = RecordTime(None)
        self._intake = SampleIntake()
        self._minute: MinuteSamples | None = None
        self._at = datetime.fromtimestamp(0, UTC)
        self._under_way: set[asyncio.Future[tuple[int, EnergySums]]] = set()
        self._today = DaySums(self._zone)

    @property
    def alarms(self) -> tuple[str, ...]:
        """What a person should know about this file: cause, effect, what to do; empty when all is well."""
        ahead_s = self._time.ahead_s
        if not ahead_s:
            return self._alarms.texts
        return (
            *self._alarms.texts,
            f"{self._path.name}: the system's clock is {ahead_s / 3600:.1f} h behind the record; the record goes on "
            "after its newest minute. Check the system's time",
        )

    async def open(self, now: Instant) -> None:
        """Opens the file and reads today's sums; the check of its pages follows in the background. Never raises."""
        self._at = now.wall
        begin, end = self._today.start(now.wall)
        newest, minutes = await self._in_thread(lambda: self._start(now.wall, begin, end))
        self._time = RecordTime(newest)
        for minute, sums in minutes.items():
            self._today.count(minute, sums, replace=True)
        checked = asyncio.get_running_loop().run_in_executor(self._executor, self._check, now.wall)
        checked.add_done_callback(_log_failure)

    def record(self, inputs: Inputs, decision: Decision) -> None:
        """Takes a tick in; never blocks, never raises for the disk's sake."""
        self._at = inputs.now.wall
        place = self._time.place(inputs.now)
        if place.shift is not None:
            self._shift(place.shift)
        if place.minute is None:
            self._hand_over()
            return
        if self._minute is None or self._minute.minute != place.minute:
            self._hand_over()
            self._minute = MinuteSamples(place.minute)
            self._today.turn(place.minute)
            self._add_prices(inputs, place.at_ms)
        self._intake.take(self._minute, place.at_ms, inputs.snapshot, decision)

    async def minute_means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        """(minute's start in Unix seconds, mean) of one signal 'resource.point', oldest first, gaps left out."""
        return await self._in_thread(lambda: self._means(signal, since_s, until_s))

    def energy_today(self, now: datetime) -> EnergyToday:
        """The sums of the local day of `now`, the running minute included; cheap."""
        self._today.turn(int(now.timestamp() // 60))
        sums = self._today.total
        if self._minute is not None and self._today.span[0] <= self._minute.minute:
            sums = sums.plus(self._rows.energy(self._minute.named(self._rows.energy_names)))
        return EnergyToday(sums.import_wh, sums.export_wh, sums.pv_wh, sums.cost)

    async def close(self) -> None:
        """Writes what is left; the rest of the minute joins it when the gateway is back within the same minute."""
        self._hand_over()
        if self._under_way:
            await asyncio.wait(self._under_way)
        await self._in_thread(self._close)
        self._executor.shutdown(wait=False)

    # --- in the event loop ---------------------------------------------------------------------------------

    async def _in_thread(self, job: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    def _hand_over(self) -> None:
        samples, self._minute = self._minute, None
        if samples is None or not samples.series:
            return
        energy = self._rows.energy(samples.named(self._rows.energy_names))
        self._today.count(samples.minute, energy, replace=False)
        at = self._at
        if len(self._under_way) >= WAITING_MINUTES:
            self._alarms.add(
                f"{self._path.name}: the disk is more than {WAITING_MINUTES} minutes late; minutes of the record are "
                "lost, the control goes on. Replace the storage medium"
            )
            return
        stored = asyncio.get_running_loop().run_in_executor(self._executor, self._store, samples, at)
        self._under_way.add(stored)
        stored.add_done_callback(self._stored)

    def _stored(self, stored: "asyncio.Future[tuple[int, EnergySums]]") -> None:
        self._under_way.discard(stored)
        if _log_failure(stored):
            return
        minute, sums = stored.result()
        self._today.count(minute, sums, replace=True)

    def _add_prices(self, inputs: Inputs, at_ms: int) -> None:
        assert self._minute is not None
        import_price, export_price = inputs.directive.prices_at(inputs.now.wall, self._site.tariff)
        for name, price in ((IMPORT_PRICE, import_price), (EXPORT_PRICE, export_price)):
            resource_id, _, point = name.partition(".")
            self._intake.add(self._minute, at_ms, resource_id, point, price)

    def _shift(self, shift: Shift) -> None:
        self._hand_over()
        shifted = asyncio.get_running_loop().run_in_executor(self._executor, self._move, shift, self._at)
        shifted.add_done_callback(_log_failure)

    # --- in the thread -------------------------------------------------------------------------------------

    def _start(self, at: datetime, begin: int, end: int) -> tuple[int | None, dict[int, EnergySums]]:
        names = (IMPORTED, EXPORTED, GENERATED, COST)

        def read(tables: HistoryTables) -> tuple[int | None, dict[int, EnergySums]]:
            return tables.newest(), {m: energy_of(row) for m, row in tables.rows_of(names, begin, end)}

        return self._with_sound_file(at, read) or (None, {})

    def _check(self, at: datetime) -> None:
        self._with_sound_file(at, lambda tables: check_pages(tables.database.conn))

    def _move(self, shift: Shift, at: datetime) -> None:
        moved = [(minute - shift.by if minute >= shift.first else minute, row) for minute, row in self._waiting]
        self._waiting = deque(moved, WAITING_ROWS)
        self._with_sound_file(at, lambda tables: tables.shift(shift.first, shift.by))

    def _store(self, samples: MinuteSamples, at: datetime) -> tuple[int, EnergySums]:
        series = samples.named()

        def write(tables: HistoryTables) -> Row:
            if self._is_tight():
                tables.make_room(2)
            return tables.store(samples.minute, series, tuple(self._waiting))

        row = self._with_sound_file(at, write)
        if row is None:
            row = self._rows.row(series)
            self._waiting.append((samples.minute, row))
        else:
            self._waiting.clear()
            self._alarms.recover()
            self._save_a_batch(at)
        return samples.minute, energy_of(row)

    def _save_a_batch(self, at: datetime) -> None:
        """One batch from a damaged file, each minute, so that the running record never waits long."""
        if self._salvage is None:
            return
        batch = next(self._salvage, None)
        if batch is None:
            self._salvage = None
            return
        table, rows = batch
        self._with_sound_file(at, lambda tables: tables.restore(table, rows))

    def _means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        stored = self._with_sound_file(self._at, lambda tables: tables.means(signal, since_s, until_s)) or []
        scale = scale_of(signal).per_unit
        waiting = [(m * 60, row[signal] / scale) for m, row in self._waiting if signal in row]
        return [*stored, *(pair for pair in waiting if since_s <= pair[0] < until_s)]

    def _with_sound_file(self, at: datetime, job: Callable[[HistoryTables], _Result]) -> _Result | None:
        """Runs a job on the open file, in a new one if it proves damaged; None when the disk refuses."""
        for _ in range(2):
            try:
                return job(self._opened(at))
            except sqlite3.Error as error:
                cause: Exception = error
                if self._tables is not None:
                    self._reload_signals()
                if is_corrupt(error) and self._set_aside(at, error):
                    continue
            except OSError as error:
                cause = error
            break
        self._alarms.refuse(
            f"{self._path.name}: can't be written ({cause}); the control goes on, rows of up to 24 h wait in memory. "
            "Free disk space or replace the storage medium"
        )
        return None

    def _opened(self, at: datetime) -> HistoryTables:
        if self._tables is None:
            if has_orphan_log(self._path):
                quarantine(self._path, at, boot_id())
            tables = HistoryTables(open_for_writing(self._path, MIGRATIONS, check=False), self._rows, self._zone)
            try:
                tables.load_signals()
                tables.note_setting("zone", self._site.zone)
                tables.note_setting("currency", self._site.tariff.currency)
                tables.note_setting("site", self._site.name)
                tables.note_setting("roles", json.dumps({r.id: r.role.value for r in self._site.resources}))
            except sqlite3.Error:
                tables.close()
                raise
            self._tables = tables
        return self._tables

    def _reload_signals(self) -> None:
        """A column that was added in a transaction that failed is not there."""
        assert self._tables is not None
        try:
            self._tables.load_signals()
        except sqlite3.Error:  # the file is opened anew with the next minute
            self._close()

    def _set_aside(self, at: datetime, cause: sqlite3.Error) -> bool:
        self._close()
        try:
            damaged = quarantine(self._path, at, boot_id())
        except OSError as error:
            _log.error("record: %s is damaged and can't be set aside: %s", self._path.name, error)
            return False
        self._alarms.add(
            f"{self._path.name}: damaged ({cause}); set aside as {damaged.name}, the record goes on in a new file and "
            "what can be read of the old one is copied into it. The control is not affected; check the storage medium"
        )
        self._salvage = salvage(damaged)
        return True

    def _is_tight(self) -> bool:
        status = os.statvfs(self._path.parent)
        return status.f_bavail * status.f_frsize < KEPT_FREE

    def _close(self) -> None:
        if self._salvage is not None:
            self._salvage.close()
            self._salvage = None
        if self._tables is not None:
            self._tables.close()
            self._tables = None


def _log_failure(done: "asyncio.Future[_Result]") -> bool:
    """Whether a job of the thread failed by a fault of ours; it is logged, never swallowed."""
    if done.cancelled():
        return True
    error = done.exception()
    if error is not None:
        _log.error("record: a job of the history failed; its minute is lost, the control goes on", exc_info=error)
    return error is not None
