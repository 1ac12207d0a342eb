"""state.db: what must not be lost once it was acknowledged. One table per kind, one transaction per commit."""

import asyncio
import json
import logging
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database, Migrations

from cem.io.database import (
    FileAlarms,
    RecordError,
    boot_id,
    has_orphan_log,
    is_corrupt,
    open_copy,
    open_for_writing,
    quarantine,
    readable_rows,
)
from cem.ports import Clock, Drop, Json, Put, StateKind

KEPT_DECISIONS = 100_000
"""Rows of the decision table that are kept, the newest."""
UNSAVED_LIMIT = 10_000
"""Changes held in memory while the disk refuses; beyond it the oldest decisions are let go."""

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")
MIGRATIONS = Migrations("state")


def _one_more_table(database: Database, kind: StateKind) -> None:
    database.execute(
        f'CREATE TABLE IF NOT EXISTS "{kind.value}" (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, '
        "value TEXT NOT NULL, crc INTEGER NOT NULL) STRICT"
    )


@MIGRATIONS()
def one_table_per_kind(database: Database) -> None:
    """`value` is JSON, parsed again when read; `crc` is the CRC-32 of key and value, so that a flipped bit is found.

    There is no CHECK with json_valid, because trusted_schema=OFF forbids that function in a schema.
    """
    for kind in StateKind:
        unique = "" if kind is StateKind.DECISION else " UNIQUE"
        database.execute(
            f'CREATE TABLE "{kind.value}" (id INTEGER PRIMARY KEY, key TEXT NOT NULL{unique}, '
            "value TEXT NOT NULL, crc INTEGER NOT NULL) STRICT"
        )


@MIGRATIONS()
def decisions_by_key(database: Database) -> None:
    """Decisions are looked up by their time, which their key begins with."""
    database.execute("CREATE INDEX decision_key ON decision (key)")


@MIGRATIONS()
def values_of_drivers(database: Database) -> None:
    """A file of a former version has no table for what drivers keep."""
    _one_more_table(database, StateKind.DRIVER)


@MIGRATIONS()
def prices_of_a_tariff(database: Database) -> None:
    """A file of a former version has no table for the prices of a dynamic tariff."""
    _one_more_table(database, StateKind.TARIFF)


@MIGRATIONS()
def settled_events(database: Database) -> None:
    """A file of a former version has no table for settled events."""
    _one_more_table(database, StateKind.SETTLEMENT)


@MIGRATIONS()
def log_of_the_grid_side(database: Database) -> None:
    """A file of a former version has no table for what happened between grid and house."""
    _one_more_table(database, StateKind.GRID_LOG)


@MIGRATIONS()
def days_of_forecasts(database: Database) -> None:
    """A file of a former version has no table for how good forecasts were."""
    _one_more_table(database, StateKind.FORECAST_DAY)


@MIGRATIONS()
def days_of_plans(database: Database) -> None:
    """A file of a former version has no table for what plans promised."""
    _one_more_table(database, StateKind.PLAN_DAY)


@dataclass(frozen=True, slots=True)
class _Change:
    """One row as it is written; without a text it is removed."""

    kind: StateKind
    key: str
    text: str | None


class SqliteStateStore:
    """Implements ports.StateStore with one thread that owns the connection, so the order of commits is kept.

    `commit` raises RecordError when the disk refuses (full, read-only, gone): the changes then count in `load`, are
    written with the next commit that succeeds, and must not be acknowledged to the outside.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="cem-state")
        self._database: Database | None = None
        self._unsaved: dict[tuple[StateKind, str], _Change] = {}
        self._last_rows: dict[StateKind, dict[str, Json]] = {}  # what could be read where the file can't be opened
        self._alarms = FileAlarms(path.name)

    @property
    def alarms(self) -> tuple[str, ...]:
        """What a person should know about this file: cause, effect, what to do; empty when all is well."""
        return self._alarms.texts

    async def load(self, kind: StateKind) -> dict[str, Json]:
        """All rows of a kind by key, oldest first; rows whose checksum is wrong are left out and named in `alarms`."""
        at = self._clock.now().wall
        return await self._in_thread(lambda: self._load(kind, at))

    async def commit(self, changes: Sequence[Put | Drop]) -> None:
        """All or nothing; on disk when it returns. Raises RecordError when the disk refuses."""
        for change in changes:
            if isinstance(change, Drop) and change.kind is StateKind.DECISION:
                raise ValueError("decisions are only ever appended")
        at = self._clock.now().wall
        rows = [_change(change) for change in changes]
        await self._in_thread(lambda: self._commit(rows, at))

    async def close(self) -> None:
        """Finishes what is under way and closes the file."""
        await self._in_thread(self._close)
        self._executor.shutdown(wait=False)

    async def _in_thread(self, job: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, job)

    # --- in the thread -------------------------------------------------------------------------------------

    def _load(self, kind: StateKind, at: datetime) -> dict[str, Json]:
        try:
            rows = self._with_sound_file(at, lambda database: self._checked(database.execute(_select(kind)), kind))
        except (sqlite3.Error, OSError) as error:
            self._refuse(error)
            rows = dict(self._last_rows.get(kind, {}))
        for change in self._unsaved.values():
            if change.kind is not kind:
                continue
            if change.text is None:
                rows.pop(change.key, None)
            else:
                rows[change.key] = json.loads(change.text)
        return rows

    def _commit(self, changes: Sequence[_Change], at: datetime) -> None:
        try:
            self._with_sound_file(at, lambda database: _write(database, (*self._unsaved.values(), *changes)))
        except (sqlite3.Error, OSError) as error:
            self._hold(changes)
            raise RecordError(self._refuse(error)) from error
        self._unsaved.clear()
        self._alarms.recover()

    def _with_sound_file(self, at: datetime, job: Callable[[Database], _Result]) -> _Result:
        """Runs a job on the open file; a file that proves damaged is replaced by a new one first."""
        try:
            return job(self._opened(at))
        except sqlite3.Error as error:
            if not is_corrupt(error):
                raise
            self._set_aside(at, error)
        database = self._opened(at)
        _write(database, tuple(self._unsaved.values()))
        self._unsaved.clear()
        return job(database)

    def _opened(self, at: datetime) -> Database:
        if self._database is None:
            try:
                if has_orphan_log(self._path):
                    quarantine(self._path, at, boot_id())
                self._database = open_for_writing(self._path, MIGRATIONS, check=True)
            except sqlite3.Error as error:
                if not is_corrupt(error):
                    self._read_what_is_there()
                raise
        return self._database

    def _set_aside(self, at: datetime, cause: sqlite3.Error) -> None:
        """Quarantines the file; every row that can still be read waits in memory for the new one."""
        if self._database is not None:
            self._database.close()
            self._database = None
        saved = self._salvage()
        damaged = quarantine(self._path, at, boot_id())
        self._unsaved = saved | self._unsaved
        self._alarms.add(
            f"{self._path.name}: damaged ({cause}); set aside as {damaged.name}, {len(saved)} rows saved. "
            "Grid events are fetched again from their providers; check the owner's requests, and the storage medium"
        )

    def _salvage(self) -> dict[tuple[StateKind, str], _Change]:
        saved: list[_Change] = []
        try:
            with open_copy(self._path) as connection:
                for kind in StateKind:
                    intact = [
                        (row_id, _Change(kind, key, text))
                        for row_id, key, text, crc in readable_rows(
                            connection, kind.value, ("id", "key", "value", "crc")
                        )
                        if isinstance(row_id, int) and isinstance(key, str) and isinstance(text, str)
                        if _crc(key, text) == crc
                    ]
                    saved += [change for _, change in sorted(intact, key=lambda row: row[0])]
        except (sqlite3.Error, OSError) as error:
            _log.warning("record: no more rows could be read from %s: %s", self._path.name, error)
        return {(change.kind, change.key): change for change in saved}

    def _read_what_is_there(self) -> None:
        """Reads the rows of a file that can't be opened for writing (a read-only file system)."""
        if self._last_rows or not self._path.exists():
            return
        try:
            with open_copy(self._path) as connection:
                for kind in StateKind:
                    self._last_rows[kind] = self._checked(connection.execute(_select(kind)), kind)
        except (sqlite3.Error, OSError) as error:
            _log.warning("record: %s can't be read either: %s", self._path.name, error)

    def _checked(self, rows: sqlite3.Cursor, kind: StateKind) -> dict[str, Json]:
        intact: dict[str, Json] = {}
        for key, value, crc in rows:
            if _crc(key, value) == crc:
                intact[key] = json.loads(value)
                continue
            self._alarms.add(
                f"{self._path.name}: a row of {kind.value} fails its checksum and is not used. Check the storage medium"
            )
        return intact

    def _hold(self, changes: Sequence[_Change]) -> None:
        for change in changes:
            self._unsaved[(change.kind, change.key)] = change
        decisions = [at for at in self._unsaved if at[0] is StateKind.DECISION]
        for at in decisions[: max(0, len(self._unsaved) - UNSAVED_LIMIT)]:
            del self._unsaved[at]

    def _refuse(self, error: Exception) -> str:
        return self._alarms.refuse(
            f"{self._path.name}: can't be written ({error}); the control goes on from memory, nothing new is "
            "acknowledged to the grid. Free disk space or replace the storage medium"
        )

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _select(kind: StateKind) -> str:
    return f'SELECT key, value, crc FROM "{kind.value}" ORDER BY id'  # noqa: S608 - a fixed set of names


def _change(change: Put | Drop) -> _Change:
    """Raises ValueError or TypeError for what is not JSON, NaN included."""
    if isinstance(change, Drop):
        return _Change(change.kind, change.key, None)
    text = json.dumps(change.value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _Change(change.kind, change.key, text)


def _write(database: Database, changes: Sequence[_Change]) -> None:
    with database.atomic():
        for change in changes:
            table = change.kind.value
            if change.text is None:
                database.execute(f'DELETE FROM "{table}" WHERE key = ?', [change.key])  # noqa: S608
                continue
            insert = f'INSERT INTO "{table}" (key, value, crc) VALUES (?, ?, ?)'  # noqa: S608
            if change.kind is not StateKind.DECISION:
                insert += " ON CONFLICT (key) DO UPDATE SET value = excluded.value, crc = excluded.crc"
            database.execute(insert, [change.key, change.text, _crc(change.key, change.text)])
        if any(change.kind is StateKind.DECISION for change in changes):
            database.execute("DELETE FROM decision WHERE id <= (SELECT max(id) FROM decision) - ?", [KEPT_DECISIONS])


def _crc(key: str, text: str) -> int:
    return zlib.crc32(text.encode(), zlib.crc32(key.encode()))
