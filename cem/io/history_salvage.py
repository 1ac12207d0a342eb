"""Saving what can still be read of a history that was set aside."""

import logging
import sqlite3
from collections.abc import Generator
from contextlib import closing
from itertools import islice
from pathlib import Path

from cem.io.database import readable_rows
from cem.io.minute_row import Row

BATCH = 5000
"""Rows saved at a time, between two minutes of the running record."""
Batch = tuple[str, list[tuple[int, int | None, Row]]]
"""Table, and (minute, number of minutes where the table has it, row)."""

_log = logging.getLogger(__name__)


def salvage(damaged: Path) -> Generator[Batch, None, None]:
    """Days, quarters and minutes of a damaged file, in batches; ends quietly where nothing more can be read."""
    saved = 0
    try:
        # the file lies where it was set aside, with its log under the matching name
        with closing(sqlite3.connect(f"{damaged.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            names = {
                column: name
                for column, name in readable_rows(connection, "signal", ("column", "name"))
                if isinstance(column, str) and isinstance(name, str)
            }
            for table in ("day", "m15", "m1"):
                has_count = table != "m1"
                fixed = ("minute", "n") if has_count else ("minute",)
                rows = readable_rows(connection, table, (*fixed, *names))
                while batch := list(islice(rows, BATCH)):
                    kept: list[tuple[int, int | None, Row]] = []
                    for row in batch:
                        minute, count = row[0], row[1] if has_count else None
                        values = zip(names.values(), row[len(fixed) :], strict=True)
                        if isinstance(minute, int) and (count is None or isinstance(count, int)):
                            kept.append((minute, count, {name: v for name, v in values if isinstance(v, int)}))
                    saved += len(kept)
                    yield table, kept
    except sqlite3.Error as error:
        _log.warning("record: %s: no more can be read: %s", damaged.name, error)
    _log.warning("record: %d rows saved from %s", saved, damaged.name)
