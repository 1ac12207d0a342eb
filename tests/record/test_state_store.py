"""state.db: what was acknowledged is there afterwards, whatever happens to the process, the file or the disk."""

import asyncio
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlite_utils import Database

from cem.io import state_store
from cem.io.database import RecordError, open_for_reading, open_for_writing
from cem.io.state_store import MIGRATIONS, SqliteStateStore
from cem.ports import Drop, Json, Put, StateKind
from support.disks import largest_file
from support.records import HandClock

CHILD = """
import asyncio, sys
from pathlib import Path
from cem.io.clock import SystemClock
from cem.io.state_store import SqliteStateStore
from cem.ports import Put, StateKind

async def main(path, first):
    store = SqliteStateStore(Path(path), SystemClock())
    number = int(first)
    while True:
        keys = [f"vtn/{number}", f"vtn/{number}b"]
        await store.commit([Put(StateKind.EVENT, key, {"n": number, "pad": "x" * (number % 700)}) for key in keys])
        print(number, flush=True)
        number += 1

asyncio.run(main(*sys.argv[1:]))
"""


def load_all(path: Path, kind: StateKind = StateKind.EVENT) -> tuple[dict[str, Json], tuple[str, ...]]:
    async def main() -> tuple[dict[str, Json], tuple[str, ...]]:
        store = SqliteStateStore(path, HandClock())
        rows = await store.load(kind)
        await store.close()
        return rows, store.alarms

    return asyncio.run(main())


def fill(path: Path, count: int = 400) -> None:
    async def main() -> None:
        store = SqliteStateStore(path, HandClock())
        for start in range(0, count, 50):
            await store.commit(
                [Put(StateKind.EVENT, f"vtn/{n}", {"n": n, "pad": "y" * 300}) for n in range(start, start + 50)]
            )
        await store.commit([Put(StateKind.LIMIT, "vtn", {"import_limit_w": 4200})])
        await store.close()

    asyncio.run(main())


def test_rows_come_back_oldest_first_and_a_rewrite_keeps_the_place(tmp_path: Path) -> None:
    async def main() -> list[tuple[str, Json]]:
        store = SqliteStateStore(tmp_path / "state.db", HandClock())
        await store.commit([Put(StateKind.LIMIT, key, {"w": index}) for index, key in enumerate("cab")])
        await store.commit([Put(StateKind.LIMIT, "c", [1, None, "ü", True]), Drop(StateKind.LIMIT, "a")])
        await store.commit([Drop(StateKind.LIMIT, "never there")])
        rows = await store.load(StateKind.LIMIT)
        await store.close()
        return list(rows.items())

    assert asyncio.run(main()) == [("c", [1, None, "ü", True]), ("b", {"w": 2})]


def test_a_commit_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    async def main() -> dict[str, Json]:
        store = SqliteStateStore(tmp_path / "state.db", HandClock())
        with pytest.raises(ValueError, match="JSON"):
            await store.commit([Put(StateKind.OFFSET, "a", 1), Put(StateKind.OFFSET, "b", float("nan"))])
        rows = await store.load(StateKind.OFFSET)
        await store.close()
        return rows

    assert asyncio.run(main()) == {}


def test_decisions_are_appended_bounded_and_never_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state_store, "KEPT_DECISIONS", 10)

    async def main() -> dict[str, Json]:
        store = SqliteStateStore(tmp_path / "state.db", HandClock())
        for number in range(25):
            await store.commit([Put(StateKind.DECISION, f"t{number:02}", number)])
        with pytest.raises(ValueError, match="appended"):
            await store.commit([Drop(StateKind.DECISION, "t24")])
        rows = await store.load(StateKind.DECISION)
        await store.close()
        return rows

    assert asyncio.run(main()) == {f"t{number:02}": number for number in range(15, 25)}


def test_the_file_is_in_wal_mode_syncs_fully_and_takes_no_loose_types(tmp_path: Path) -> None:
    database = open_for_writing(tmp_path / "state.db", MIGRATIONS, check=True)
    pragmas = {name: database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    assert all(database.table(kind.value).strict for kind in StateKind)
    with pytest.raises(sqlite3.IntegrityError, match="cannot store"):
        database.execute("INSERT INTO event (key, value, crc) VALUES ('a', '{}', 'no number')")
    database.close()


def test_opening_again_and_opening_an_older_schema_keep_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    older = Database(path)
    MIGRATIONS.apply(older, stop_before="decisions_by_key")
    older.close()
    fill(path, 50)
    for _ in range(2):
        rows, alarms = load_all(path)
        assert len(rows) == 50
        assert alarms == ()
    with open_for_reading(path) as connection:
        applied = connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone()[0]
    assert applied == 8


def test_every_acknowledged_key_survives_a_kill_at_any_instant(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    generator = random.Random(7)
    acknowledged = 0
    for _ in range(30):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(acknowledged)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        enough = acknowledged + generator.randrange(1, 25)
        for line in child.stdout:
            acknowledged = int(line) + 1
            if acknowledged >= enough:
                break
        child.kill()
        rest = child.stdout.read().splitlines()
        acknowledged = int(rest[-1]) + 1 if rest else acknowledged
        child.stdout.close()
        child.wait()
    rows, alarms = load_all(path)
    missing = [n for n in range(acknowledged) if f"vtn/{n}" not in rows or f"vtn/{n}b" not in rows]
    assert missing == []
    assert alarms == ()
    assert acknowledged > 100


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_file_is_set_aside_and_what_is_readable_is_saved(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "state.db"
    fill(path)
    content = bytearray(path.read_bytes())
    generator = random.Random(seed)
    page = generator.randrange(len(StateKind) * 2 + 3, len(content) // 4096 - 2)
    content[page * 4096 : (page + 1) * 4096] = generator.randbytes(4096)
    path.write_bytes(content)
    rows, alarms = load_all(path)
    assert len(alarms) == 1
    assert "set aside" in alarms[0]
    assert len(list(tmp_path.glob("state.db.corrupt-*"))) == 1
    assert 200 < len(rows) < 400
    assert load_all(path, StateKind.LIMIT)[0] == {"vtn": {"import_limit_w": 4200}}
    assert load_all(path)[0] == rows


def test_a_file_that_is_no_database_is_set_aside_and_the_newest_two_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    for _ in range(4):
        path.write_bytes(b"this is no database" * 1000)
        rows, alarms = load_all(path)
        assert rows == {}
        assert len(alarms) == 1
    assert len([found for found in tmp_path.glob("state.db.corrupt-*") if "-wal" not in found.name]) == 2


def test_a_flipped_bit_in_a_value_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    fill(path, 50)
    content = path.read_bytes()
    assert content.count(b'"import_limit_w":4200') == 1
    path.write_bytes(content.replace(b'"import_limit_w":4200', b'"import_limit_w":9200'))
    rows, alarms = load_all(path, StateKind.LIMIT)
    assert rows == {}
    assert "checksum" in alarms[0]


def test_a_truncated_log_loses_its_end_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    database = open_for_writing(path, MIGRATIONS, check=True)
    for number in range(40):
        text = f'{{"n":{number}}}'
        database.execute(
            "INSERT INTO event (key, value, crc) VALUES (?, ?, ?)",
            [str(number), text, state_store._crc(str(number), text)],
        )
    copy = tmp_path / "copy"
    copy.mkdir()
    log = path.with_name("state.db-wal").read_bytes()
    (copy / "state.db").write_bytes(path.read_bytes())
    (copy / "state.db-wal").write_bytes(log[: len(log) - 10_000])
    database.close()
    rows, _ = load_all(copy / "state.db")
    assert 30 < len(rows) < 40
    assert list(rows) == [str(number) for number in range(len(rows))]


def test_a_log_without_its_database_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.with_name("state.db-wal").write_bytes(b"left alone")
    assert load_all(path)[0] == {}
    assert [found.name for found in tmp_path.glob("*.corrupt-*-wal")]


def test_a_full_disk_refuses_holds_the_change_and_writes_it_later(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    async def main() -> None:
        store = SqliteStateStore(path, HandClock())
        await store.commit([Put(StateKind.EVENT, "first", 1)])
        with largest_file(path.stat().st_size + 4096):
            with pytest.raises(RecordError, match="Free disk space"):
                await store.commit([Put(StateKind.EVENT, "big", "z" * 2_000_000)])
            assert "Free disk space" in store.alarms[0]
            assert list(await store.load(StateKind.EVENT)) == ["first", "big"]
        await store.commit([Put(StateKind.EVENT, "last", 3)])
        assert not any(store.alarms)
        await store.close()

    asyncio.run(main())
    assert list(load_all(path)[0]) == ["first", "big", "last"]


def test_a_directory_that_is_not_there_is_an_alarm_and_not_a_crash(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStateStore(tmp_path / "gone" / "state.db", HandClock())
        assert await store.load(StateKind.EVENT) == {}
        with pytest.raises(RecordError):
            await store.commit([Put(StateKind.EVENT, "a", 1)])
        (tmp_path / "gone").mkdir()
        await store.commit([])
        assert await store.load(StateKind.EVENT) == {"a": 1}
        assert store.alarms == ()
        await store.close()

    asyncio.run(main())


def test_a_cancelled_commit_does_not_disturb_the_order(tmp_path: Path) -> None:
    async def main() -> dict[str, Json]:
        store = SqliteStateStore(tmp_path / "state.db", HandClock())
        tasks = [asyncio.ensure_future(store.commit([Put(StateKind.BUDGET, "k", n)])) for n in range(20)]
        await asyncio.sleep(0)
        tasks[10].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        rows = await store.load(StateKind.BUDGET)
        await store.close()
        return rows

    assert asyncio.run(main()) == {"k": 19}
