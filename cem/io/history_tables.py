"""The tables of history.db and one minute's transaction. Blocks; runs in the thread that owns the connection.

`raw_chunk` holds a minute of samples in one compressed row, `m1` one integer per signal and minute, `m15` and `day`
their roll-ups. `minute` is minutes since 1970-01-01T00:00Z everywhere; a day is a day of local time.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlite_utils import Database, Migrations

from cem.io.day_sums import day_span
from cem.io.minute_row import Row, RowMaker
from cem.io.samples import CHUNK_FORMAT, Fold, ScaledSeries, pack, scale_of, unpack

RAW_MINUTES = 7 * 1440
M1_MINUTES = 400 * 1440
DELETED_PER_MINUTE = 10
"""Rows that one minute's retention may delete: a clock that jumped far ahead can't empty the record."""
SIGNAL_LIMIT = 1000

MIGRATIONS = Migrations("history")


@MIGRATIONS()
def chunks_and_minutes(database: Database) -> None:
    """Columns of signals are added to m1, m15 and day as the signals appear."""
    for statement in (
        "CREATE TABLE raw_chunk (minute INTEGER PRIMARY KEY, fmt INTEGER NOT NULL, n INTEGER NOT NULL, "
        "data BLOB NOT NULL, crc INTEGER NOT NULL) STRICT",
        'CREATE TABLE signal (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, "column" TEXT NOT NULL, '
        "scale REAL NOT NULL, unit TEXT NOT NULL, fold TEXT NOT NULL, valid_from INTEGER NOT NULL) STRICT",
        "CREATE TABLE m1 (minute INTEGER PRIMARY KEY) STRICT",
        "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    ):
        database.execute(statement)


@MIGRATIONS()
def roll_ups(database: Database) -> None:
    """`n` is the number of minutes that were there."""
    database.execute("CREATE TABLE m15 (minute INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT")
    database.execute("CREATE TABLE day (minute INTEGER PRIMARY KEY, n INTEGER NOT NULL) STRICT")


@dataclass(frozen=True, slots=True)
class Signal:
    """One column: value = stored / scale."""

    id: int
    column: str
    scale: float
    fold: Fold


class HistoryTables:
    """Reads and writes the tables. Raises sqlite3.Error."""

    def __init__(self, database: Database, rows: RowMaker, zone: ZoneInfo) -> None:
        self._database = database
        self._rows = rows
        self._zone = zone
        self._signals: dict[str, Signal] = {}

    def load_signals(self) -> None:
        """Reads the signals again; needed after opening and after a transaction that was rolled back."""
        rows = self._database.execute('SELECT id, name, "column", scale, fold FROM signal')
        self._signals = {name: Signal(id_, column, scale, Fold(fold)) for id_, name, column, scale, fold in rows}

    def close(self) -> None:
        """Closes the connection."""
        self._database.close()

    @property
    def database(self) -> Database:
        """The connection."""
        return self._database

    def newest(self) -> int | None:
        """The newest minute, None in an empty file."""
        (minute,) = self._database.execute("SELECT max(minute) FROM m1").fetchone()
        return int(minute) if minute is not None else None

    def note_setting(self, name: str, value: str) -> None:
        """Keeps a word that readers of the file need; written only when it changed."""
        self._database.execute(
            "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value "
            "WHERE value <> excluded.value",
            [name, value],
        )

    def store(self, minute: int, series: Mapping[str, ScaledSeries], late: Sequence[tuple[int, Row]]) -> Row:
        """One transaction: rows that could not be written before, the minute, roll-ups, retention. Gives the row.

        Samples that the file already holds of this minute (a restart in mid-minute) are merged in.
        """
        with self._database.atomic():
            for late_minute, row in late:
                self._put_row(late_minute, row)
            merged = self._merged(minute, series)
            row = self._rows.row(merged)
            if merged:
                self._put_chunk(minute, merged)
            self._put_row(minute, row)
            self._forget(minute)
        return row

    def means(self, name: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        """(minute's start in Unix seconds, value) with since <= start < until; [] for an unknown signal."""
        signal = self._signals.get(name)
        if signal is None:
            return []
        rows = self._database.execute(
            f'SELECT minute, "{signal.column}" FROM m1 WHERE minute >= ? AND minute < ? '  # noqa: S608 - our own column
            f'AND "{signal.column}" IS NOT NULL ORDER BY minute',
            [-(-since_s // 60), -(-until_s // 60)],
        )
        return [(minute * 60, value / signal.scale) for minute, value in rows]

    def rows_of(self, names: Sequence[str], since: int, until: int) -> Iterator[tuple[int, Row]]:
        """The minutes of [since, until) with the values of these signals."""
        known = [name for name in names if name in self._signals]
        if not known:
            return
        columns = ", ".join(f'"{self._signals[name].column}"' for name in known)
        query = f"SELECT minute, {columns} FROM m1 WHERE minute >= ? AND minute < ? ORDER BY minute"  # noqa: S608
        for minute, *values in self._database.execute(query, [since, until]):
            yield minute, {name: value for name, value in zip(known, values, strict=True) if value is not None}

    def shift(self, first: int, by: int) -> None:
        """Moves the minutes from `first` on back by `by`; where a minute is taken already, the row stays."""
        with self._database.atomic():
            for table in ("m1", "raw_chunk"):
                # by way of negative keys, so that a row never meets one that is still to be moved
                self._database.execute(f"UPDATE {table} SET minute = -minute WHERE minute >= ?", [first])  # noqa: S608
                self._database.execute(f"UPDATE OR IGNORE {table} SET minute = -minute - ? WHERE minute < 0", [by])  # noqa: S608
                self._database.execute(f"UPDATE {table} SET minute = -minute WHERE minute < 0")  # noqa: S608
            (last,) = self._database.execute("SELECT max(minute) FROM m1").fetchone()
            for table, begin in (("m15", first - by - 15), ("day", first - by - 1440)):
                self._database.execute(f"DELETE FROM {table} WHERE minute >= ?", [begin])  # noqa: S608
            moved = self._database.execute("SELECT minute FROM m1 WHERE minute >= ?", [first - by - 1440]).fetchall()
            for table in ("m15", "day"):
                for begin, end in sorted({self._span(table, minute) for (minute,) in moved}):
                    if last is not None and end <= last:
                        self._roll_up(table, begin, end)

    def restore(self, table: str, rows: Sequence[tuple[int, int | None, Row]]) -> None:
        """Puts back rows of `m1`, `m15` or `day` that were saved from a damaged file; what is there already stays."""
        with self._database.atomic():
            for minute, count, row in rows:
                self._add_columns(row, minute)
                known = {self._signals[name].column: value for name, value in row.items() if name in self._signals}
                fixed = {"minute": minute} if count is None else {"minute": minute, "n": count}
                columns = ", ".join(f'"{column}"' for column in (*fixed, *known))
                marks = ", ".join("?" * (len(fixed) + len(known)))
                self._database.execute(
                    f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})",  # noqa: S608 - our own names
                    [*fixed.values(), *known.values()],
                )

    # --- parts of a minute's transaction -------------------------------------------------------------------

    def _merged(self, minute: int, series: Mapping[str, ScaledSeries]) -> dict[str, ScaledSeries]:
        found = self._database.execute("SELECT data, crc FROM raw_chunk WHERE minute = ?", [minute]).fetchone()
        merged = dict(series)
        if found is None or zlib.crc32(found[0]) != found[1]:
            return merged
        names = {signal.id: name for name, signal in self._signals.items()}
        for signal_id, (times, values) in unpack(found[0]).items():
            name = names[signal_id]
            more_times, more_values = series.get(name, ([], []))
            pairs = sorted(zip(times + more_times, values + more_values, strict=True))
            merged[name] = ([at for at, _ in pairs], [value for _, value in pairs])
        return merged

    def _put_chunk(self, minute: int, series: Mapping[str, ScaledSeries]) -> None:
        self._add_columns(series, minute)
        data = pack({self._signals[name].id: one for name, one in series.items() if name in self._signals})
        count = sum(len(times) for times, _ in series.values())
        self._database.execute(
            "INSERT OR REPLACE INTO raw_chunk VALUES (?, ?, ?, ?, ?)",
            [minute, CHUNK_FORMAT, count, data, zlib.crc32(data)],
        )

    def _put_row(self, minute: int, row: Row) -> None:
        self._add_columns(row, minute)
        known = {self._signals[name].column: value for name, value in row.items() if name in self._signals}
        columns = "".join(f', "{column}"' for column in known)
        updates = ", ".join(f'"{column}" = excluded."{column}"' for column in known)
        conflict = f"DO UPDATE SET {updates}" if updates else "DO NOTHING"
        (before,) = self._database.execute("SELECT max(minute) FROM m1 WHERE minute < ?", [minute]).fetchone()
        self._database.execute(
            f"INSERT INTO m1 (minute{columns}) VALUES (?{', ?' * len(known)}) ON CONFLICT (minute) {conflict}",  # noqa: S608
            [minute, *known.values()],
        )
        if before is not None:
            for table in ("m15", "day"):
                begin, end = self._span(table, before)
                if minute >= end:
                    self._roll_up(table, begin, end)

    def _add_columns(self, names: Iterable[str], minute: int) -> None:
        for name in names:
            if name in self._signals or len(self._signals) >= SIGNAL_LIMIT:
                continue
            scale = scale_of(name)
            (last,) = self._database.execute("SELECT coalesce(max(id), 0) FROM signal").fetchone()
            signal = Signal(last + 1, f"s{last + 1}", scale.per_unit, scale.fold)
            self._database.execute(
                "INSERT INTO signal VALUES (?, ?, ?, ?, ?, ?, ?)",
                [signal.id, name, signal.column, signal.scale, scale.unit, signal.fold.value, minute],
            )
            for table in ("m1", "m15", "day"):
                self._database.execute(f'ALTER TABLE {table} ADD COLUMN "{signal.column}" INTEGER')
            self._signals[name] = signal

    def _span(self, table: str, minute: int) -> tuple[int, int]:
        """[begin, end) of the quarter of an hour or local day that a minute belongs to."""
        if table == "m15":
            return minute - minute % 15, minute - minute % 15 + 15
        local = datetime.fromtimestamp(minute * 60, UTC).astimezone(self._zone)
        return day_span(local, self._zone)

    def _roll_up(self, table: str, begin: int, end: int) -> None:
        columns, folds = [], []
        for signal in self._signals.values():
            column = f'"{signal.column}"'
            columns.append(column)
            if signal.fold is Fold.SUM:
                folds.append(f"sum({column})")
            elif signal.fold is Fold.MEAN:
                folds.append(f"CAST(round(avg({column})) AS INTEGER)")
            else:
                folds.append(
                    f"(SELECT {column} FROM m1 WHERE minute >= :begin AND minute < :end AND {column} IS NOT NULL "  # noqa: S608
                    "ORDER BY minute DESC LIMIT 1)"
                )
        self._database.execute(
            f"INSERT OR REPLACE INTO {table} ({', '.join(['minute', 'n', *columns])}) "  # noqa: S608
            f"SELECT {', '.join([':begin', 'count(*)', *folds])} FROM m1 WHERE minute >= :begin AND minute < :end",
            {"begin": begin, "end": end},
        )

    def _forget(self, minute: int) -> None:
        for table, kept in (("raw_chunk", RAW_MINUTES), ("m1", M1_MINUTES)):
            self._delete_oldest(table, minute - kept, DELETED_PER_MINUTE)

    def make_room(self, chunks: int) -> None:
        """Deletes the oldest raw chunks; their pages are used again, so the file stops growing."""
        self._delete_oldest("raw_chunk", 2**62, chunks)

    def _delete_oldest(self, table: str, before: int, count: int) -> None:
        self._database.execute(
            f"DELETE FROM {table} WHERE minute IN "  # noqa: S608
            f"(SELECT minute FROM {table} WHERE minute < ? ORDER BY minute LIMIT ?)",
            [before, count],
        )
