"""The VTN's objects on disk: SQLite, one transaction per request, on the platter before the answer goes out."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from sqlite_utils import Database

from cem.model.errors import CemError

_SCHEMA_VERSION = 1


class StoreError(CemError):
    """The disk or the database did not take a change; nothing of it was stored."""


class ObjectChange(Protocol):
    """One object as it shall be; `body` None removes it."""

    @property
    def kind(self) -> str:
        """The object's type."""

    @property
    def id(self) -> str:
        """The object's id, unique in its type."""

    @property
    def body(self) -> Mapping[str, Any] | None:
        """JSON values."""


class ObjectStore:
    """One table of (kind, id, body). Not safe to be called by two threads at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, directory: Path | None) -> "ObjectStore":
        """Opens or makes `objects.db` in a directory, or in memory without one; raises StoreError."""
        try:
            if directory is not None:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = ":memory:" if directory is None else str(directory / "objects.db")
            connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            database = Database(connection, execute_plugins=False)
            _migrate(database, path)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"object store in {directory}: {error}; check the directory and the disk") from error
        return cls(database)

    def load(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """All objects as (kind, id, body), in order of creation; raises StoreError."""
        try:
            rows = list(self._database["object"].rows_where(order_by="rowid"))
            return [(row["kind"], row["id"], json.loads(row["body"])) for row in rows]
        except (sqlite3.Error, ValueError) as error:
            raise StoreError(f"object store: not readable ({error}); restore objects.db from a backup") from error

    def commit(self, changes: Sequence[ObjectChange]) -> None:
        """All or nothing; durable when it returns. Raises StoreError."""
        if not changes:
            return
        try:
            with self._database.atomic() as database:
                for change in changes:
                    _write(database, change)
        except sqlite3.Error as error:
            raise StoreError(f"object store: {error}; nothing was stored. Check the disk's space and health") from error

    def close(self) -> None:
        """Closes the file."""
        self._database.close()


def _migrate(database: Database, path: str) -> None:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > _SCHEMA_VERSION:
        raise StoreError(f"{path} has schema {version}, this program knows {_SCHEMA_VERSION}; use a newer program")
    with database.atomic():
        database.table("object").create(
            {"kind": str, "id": str, "body": str},
            pk=("kind", "id"),
            not_null={"kind", "id", "body"},
            if_not_exists=True,
            strict=True,
        )
        database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def _write(database: Database, change: ObjectChange) -> None:
    if change.body is None:
        database.execute("DELETE FROM object WHERE kind = ? AND id = ?", [change.kind, change.id])
        return
    text = json.dumps(change.body, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    database.execute(
        "INSERT INTO object (kind, id, body) VALUES (?, ?, ?) "
        "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",  # keeps the row and with it the order
        [change.kind, change.id, text],
    )
