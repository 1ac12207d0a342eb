"""Rows of the connection point to disk, and back."""

import logging
import sqlite3
from collections.abc import Sequence

from cem.model.errors import CemError
from cem.ports import Drop, Put, StateKind, StateStore
from cem.sgcp.durable import Row

_LOG = logging.getLogger(__name__)


async def commit(store: StateStore, rows: Sequence[Row], provider_id: str) -> bool:
    """Commits rows, all or nothing; false, and logged, where the disk failed: control goes on from memory."""
    changes = [
        Drop(StateKind(row.kind), row.key) if row.value is None else Put(StateKind(row.kind), row.key, row.value)
        for row in rows
    ]
    try:
        await store.commit(changes)
    except (OSError, sqlite3.Error, CemError) as fault:
        _LOG.error(
            "%s: %d changes could not be written to disk (%s); they count in memory until the next start. "
            "Check the storage.",
            provider_id,
            len(changes),
            fault,
        )
        return False
    return True
