"""Opening SQLite files so that a power cut, a full disk or a corrupt page is survived.

Both files of the record use WAL with synchronous=FULL: a commit is on the medium when it returns. A file that fails
its check is set aside together with its log and the record goes on in a new one. Everything here blocks; it
runs in the thread that owns the connection.
"""

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database, Migrations

from cem.model.errors import CemError

KEPT_QUARANTINES = 2
"""Corrupt files kept for an inspection; older ones are removed."""
BUSY_TIMEOUT_MS = 5000
JOURNAL_SIZE_LIMIT = 8 * 1024 * 1024
_COMPANIONS = ("-wal", "-shm")
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS}


_log = logging.getLogger(__name__)


class RecordError(CemError):
    """The record could not be written; the change is held in memory only and is tried again."""


class FileAlarms:
    """What is wrong with one file of the record: damage stays until the restart, a refusing disk until it recovers.

    Each text is logged once, when it appears.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lasting: list[str] = []
        self._refusal: str | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All that holds now."""
        return (*self._lasting, *([self._refusal] if self._refusal else []))

    def add(self, text: str) -> None:
        """Something that stays true."""
        if text not in self._lasting:
            self._lasting.append(text)
            _log.error("record: %s", text)

    def refuse(self, text: str) -> str:
        """The disk refuses; gives the text back."""
        if text != self._refusal:
            self._refusal = text
            _log.error("record: %s", text)
        return text

    def recover(self) -> None:
        """The disk takes writes again."""
        if self._refusal is not None:
            _log.warning("record: %s takes writes again", self._name)
            self._refusal = None


def boot_id() -> str:
    """The first eight characters of the kernel's identifier of this boot; 'unknown' where it does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return "unknown"


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether an error says that the file itself is damaged, unlike a disk that is full or refuses to write."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF in _CORRUPT or code in _UNREADABLE)


def open_for_writing(path: Path, migrations: Migrations, *, check: bool) -> Database:
    """Opens or makes a database and brings its schema up to date.

    `check` runs SQLite's quick check first. Raises sqlite3.Error; `is_corrupt` tells damage from a disk that refuses.
    """
    is_new = not path.exists()
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "trusted_schema = OFF",
            "auto_vacuum = NONE",
            "journal_mode = WAL",
            "synchronous = FULL",
            "wal_autocheckpoint = 1000",
            f"journal_size_limit = {JOURNAL_SIZE_LIMIT}",
            "foreign_keys = ON",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        if check:
            check_pages(connection)
        database = Database(connection, execute_plugins=False)
        migrations.apply(database)
    except BaseException:
        connection.close()
        raise
    if is_new:
        _sync_directory(path.parent)
    return database


def check_pages(connection: sqlite3.Connection) -> None:
    """Raises sqlite3.DatabaseError with the code of a corrupt file when the quick check finds damage."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        error = sqlite3.DatabaseError(f"quick check: {verdict}")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


@contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection that sees what is committed while the gateway runs; raises sqlite3.Error."""
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        yield connection


@contextmanager
def open_copy(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a copy of a database and its log, for a file that can't be opened where it lies.

    Raises OSError when it can't be copied, sqlite3.Error when the copy can't be opened.
    """
    with tempfile.TemporaryDirectory(prefix="cem-record-") as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        log = path.with_name(path.name + "-wal")
        if log.exists():
            shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
        with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            yield connection


def quarantine(path: Path, at: datetime, boot: str) -> Path:
    """Renames a damaged database with its log and index; gives the new name of the database.

    The database goes first: interrupted in between, the log alone is left and is set aside at the next start,
    while a database without its log would look healthy and miss what was acknowledged. Raises OSError.
    """
    stamp = at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    base = f"{path.name}.corrupt-{stamp}-{boot}"
    target = path.with_name(base)
    number = 1
    while any(target.with_name(target.name + suffix).exists() for suffix in ("", *_COMPANIONS)):
        number += 1
        target = path.with_name(f"{base}-{number}")
    for suffix in ("", *_COMPANIONS):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    _remove_old_quarantines(path, target)
    _sync_directory(path.parent)
    return target


def has_orphan_log(path: Path) -> bool:
    """Whether a log lies there without its database: a quarantine was interrupted."""
    return not path.exists() and path.with_name(path.name + "-wal").exists()


def readable_rows(connection: sqlite3.Connection, table: str, columns: Iterable[str]) -> Iterator[tuple[object, ...]]:
    """Rows of a damaged table as far as they can be read: from the front, then from the back, so not in order."""
    names = ", ".join(f'"{column}"' for column in columns)
    seen: set[object] = set()
    for direction in ("ASC", "DESC"):
        query = f'SELECT rowid, {names} FROM "{table}" ORDER BY rowid {direction}'  # noqa: S608 - our own names
        try:
            for row in connection.execute(query):
                if row[0] in seen:
                    break
                seen.add(row[0])
                yield row[1:]
            else:
                return
        except sqlite3.Error:  # the damaged page: go on from the other end
            continue


def _remove_old_quarantines(path: Path, newest: Path) -> None:
    others = [
        found
        for found in path.parent.glob(f"{path.name}.corrupt-*")
        if not found.name.endswith(_COMPANIONS) and found != newest
    ]
    others.sort(key=lambda found: found.stat().st_mtime, reverse=True)
    for old in others[KEPT_QUARANTINES - 1 :]:
        for suffix in ("", *_COMPANIONS):
            old.with_name(old.name + suffix).unlink(missing_ok=True)


def _sync_directory(folder: Path) -> None:
    """Makes new names in a directory survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
