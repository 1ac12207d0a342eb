"""history.db: a minute at a time, roll-ups that add up, clocks that jump, disks that refuse."""

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from cem.io.database import open_for_reading
from cem.io.history import HistoryJournal
from cem.io.history_tables import MIGRATIONS
from cem.io.samples import pack, unpack
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import Directive, PriceWindow
from cem.ports import History, Journal
from support.disks import largest_file
from support.records import SITE, START, SyntheticDay, decision, inputs_at

Play = Callable[[HistoryJournal, VirtualClock], Awaitable[None]]


@dataclass(frozen=True)
class Played:
    alarms: tuple[str, ...]
    end: datetime


def play(path: Path, start: datetime, scene: Play) -> Played:
    """Opens the journal on virtual time, plays the scene and closes it."""

    async def main(clock: VirtualClock) -> Played:
        journal = HistoryJournal(path, SITE)
        await journal.open(clock.now())
        await scene(journal, clock)
        await journal.close()
        return Played(journal.alarms, clock.now().wall)

    return run_virtual(main, start)


async def minutes(
    journal: HistoryJournal, clock: VirtualClock, count: int, step_s: float = 5.0, power_w: float = 600.0
) -> None:
    for _ in range(round(count * 60 / step_s)):
        journal.record(inputs_at(clock.now(), {"grid": {"power_w": power_w}}), decision())
        await asyncio.sleep(step_s)


def keys(path: Path, table: str = "m1") -> list[int]:
    with open_for_reading(path) as connection:
        return [minute for (minute,) in connection.execute(f"SELECT minute FROM {table} ORDER BY minute")]


def column(path: Path, name: str, table: str = "m1") -> dict[int, float]:
    with open_for_reading(path) as connection:
        found, scale = connection.execute('SELECT "column", scale FROM signal WHERE name = ?', [name]).fetchone()
        rows = connection.execute(f"SELECT minute, {found} FROM {table} WHERE {found} IS NOT NULL")
        return {minute: value / scale for minute, value in rows}


M0 = int(START.timestamp()) // 60


def test_the_journal_is_the_two_ports(tmp_path: Path) -> None:
    one = HistoryJournal(tmp_path / "history.db", SITE)
    ports: tuple[Journal, History] = (one, one)
    assert ports == (one, one)


@pytest.mark.parametrize(
    ("clock", "hours", "every_s"),
    [
        (datetime(2026, 3, 10, 23, 0, tzinfo=UTC), 24, 5),
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), 23, 30),  # the clock goes forward
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), 25, 30),  # 02:30 comes twice
        (datetime(2028, 2, 28, 23, 0, tzinfo=UTC), 24, 30),  # a leap day
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), 24, 30),  # over the end of the year, in UTC
        (datetime(2038, 1, 18, 23, 0, tzinfo=UTC), 24, 30),  # 2^31 seconds since 1970
    ],
    ids=["plain", "23-hours", "25-hours", "leap-day", "new-year", "2038"],
)
def test_a_synthetic_day_agrees_with_the_counters_within_one_percent(
    tmp_path: Path, clock: datetime, hours: int, every_s: int
) -> None:
    """Every `clock` is a local midnight."""
    path, begins, length_s = tmp_path / "history.db", clock, hours * 3600
    day = SyntheticDay()
    before = (day.import_wh, day.export_wh, day.pv_wh)
    sums = []

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        for second in range(0, length_s, every_s):
            journal.record(inputs_at(clock.now(), day.values(second, every_s)), decision(100.0))
            await asyncio.sleep(every_s)
        sums.append(journal.energy_today(clock.now().wall - timedelta(seconds=1)))
        means = await journal.minute_means("grid.power_w", 0, 2**40)
        assert len(means) == 60 * hours - 1
        await asyncio.sleep(60)
        journal.record(inputs_at(clock.now(), day.values(length_s + 60, 60.0)), decision(100.0))

    assert play(path, begins, scene).alarms == ()
    expected = (day.import_wh - before[0], day.export_wh - before[1], day.pv_wh - before[2])
    (today,) = sums
    assert today.import_wh == pytest.approx(expected[0], rel=0.01)
    assert today.export_wh == pytest.approx(expected[1], rel=0.01)
    assert today.pv_wh == pytest.approx(expected[2], rel=0.01)
    first = int(begins.timestamp()) // 60
    assert keys(path, "day") == [first]
    assert len(keys(path, "m15")) == 4 * hours
    assert column(path, "site.imported_wh", "day")[first] == pytest.approx(expected[0], rel=0.01)
    assert column(path, "site.cost", "day")[first] == pytest.approx(today.cost, rel=0.001)


def test_roll_ups_equal_an_independent_computation_from_the_chunks(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    generator = random.Random(3)

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        counter = 1000.0
        for _ in range(50 * 20):
            counter += generator.random()
            values: dict[str, dict[str, float | str | None]] = {
                "grid": {"power_w": generator.uniform(-5000, 5000), "import_wh": counter},
                "store": {"soc_pct": generator.uniform(0, 100) if generator.random() < 0.5 else None},
            }
            journal.record(inputs_at(clock.now(), values), decision())
            await asyncio.sleep(3.0)

    play(path, START, scene)
    database = Database(path)
    names = {row["id"]: row["name"] for row in database["signal"].rows}
    minutes_by_name: dict[str, dict[int, list[int]]] = {}
    for row in database["raw_chunk"].rows:
        assert zlib.crc32(row["data"]) == row["crc"]
        for signal_id, (_, values) in unpack(row["data"]).items():
            minutes_by_name.setdefault(names[signal_id], {})[row["minute"]] = values
    database.close()
    for name, is_counter in (("grid.power_w", False), ("grid.import_wh", True), ("store.soc_pct", False)):
        scale = 100 if name.endswith("pct") else 10
        raw = minutes_by_name[name]
        one = {minute: values[-1] if is_counter else sum(values) / len(values) for minute, values in raw.items()}
        assert column(path, name) == {minute: round(value) / scale for minute, value in one.items()}
        quarters = column(path, name, "m15")
        assert sorted(quarters) == [M0, M0 + 15, M0 + 30]
        for begin, value in quarters.items():
            inside = [one[minute] for minute in range(begin, begin + 15)]
            expected = inside[-1] if is_counter else sum(inside) / 15
            assert value * scale == pytest.approx(expected, abs=1.01)


def test_a_reading_counts_once_and_a_silent_device_leaves_gaps(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        old = inputs_at(clock.now(), {"store": {"soc_pct": 50.0}}).snapshot.readings["store"]
        for _ in range(36):
            inputs = inputs_at(clock.now(), {"grid": {"power_w": 1.0}})
            journal.record(
                type(inputs)(
                    now=inputs.now,
                    snapshot=type(inputs.snapshot)(inputs.snapshot.mono_s, {**inputs.snapshot.readings, "store": old}),
                ),
                decision(),
            )
            await asyncio.sleep(5.0)

    play(path, START, scene)
    assert column(path, "store.soc_pct") == {M0: 50.0}
    assert list(column(path, "grid.power_w")) == [M0, M0 + 1, M0 + 2]
    with open_for_reading(path) as connection:
        (count,) = connection.execute("SELECT n FROM raw_chunk WHERE minute = ?", [M0]).fetchone()
    assert count == 12 * 4 + 1 + 2  # power, two edges of the band, load; one state of charge; two prices


def test_it_is_kept_whether_a_car_is_plugged_in_but_no_other_text(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        for state in ("A", "B", "C", "F"):
            for _ in range(6):
                journal.record(inputs_at(clock.now(), {"car": {"state": state, "mode": "C"}}), decision())
                await asyncio.sleep(10.0)

    play(path, START, scene)
    assert column(path, "car.plugged") == {M0: 0.0, M0 + 1: 1.0, M0 + 2: 1.0}
    with open_for_reading(path) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM signal")}
    assert not names.intersection({"car.state", "car.mode"})


def test_a_restart_inside_a_minute_merges_both_parts(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def part(journal: HistoryJournal, clock: VirtualClock, power_w: float) -> None:
        for _ in range(15):
            journal.record(inputs_at(clock.now(), {"grid": {"power_w": power_w}}), decision())
            await asyncio.sleep(2.0)

    end = play(path, START, lambda journal, clock: part(journal, clock, 1000.0)).end
    assert column(path, "grid.power_w") == {M0: 1000.0}

    async def rest(journal: HistoryJournal, clock: VirtualClock) -> None:
        await part(journal, clock, 3000.0)
        assert journal.energy_today(clock.now().wall).import_wh == pytest.approx(2000.0 / 60, rel=0.01)

    play(path, end, rest)
    assert column(path, "grid.power_w") == {M0: 2000.0}
    assert column(path, "site.imported_wh")[M0] == pytest.approx(2000.0 / 60, rel=0.01)


def test_prices_of_the_grid_outrank_the_tariff_and_make_the_cost(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    window = PriceWindow(START + timedelta(minutes=1), START + timedelta(minutes=2), 1.0, None, "vtn")

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        for _ in range(90):
            inputs = inputs_at(clock.now(), {"grid": {"power_w": 6000.0}}, Directive(prices=(window,)))
            journal.record(inputs, decision())
            await asyncio.sleep(2.0)

    play(path, START, scene)
    assert column(path, "site.cost") == {M0: 0.03, M0 + 1: 0.1, M0 + 2: 0.03}
    assert column(path, "site.export_price_per_kwh")[M0 + 1] == 0.08


def test_a_small_step_back_pauses_the_record_and_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 5, power_w=100.0)
        clock.step_wall(-timedelta(minutes=3))
        await minutes(journal, clock, 6, power_w=900.0)

    play(path, START, scene)
    power = column(path, "grid.power_w")
    assert [power[M0 + n] for n in range(4)] == [100.0] * 4
    assert sorted(power) == list(range(M0, M0 + 8))
    assert power[M0 + 7] == 900.0


def test_a_large_glitch_forward_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 2)
        clock.step_wall(timedelta(days=365))
        await minutes(journal, clock, 3)
        clock.step_wall(-timedelta(days=365))
        await minutes(journal, clock, 2)

    play(path, START, scene)
    assert keys(path) == list(range(M0, M0 + 7))


def test_minutes_dated_ahead_are_moved_back_when_the_clock_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 2)
        clock.step_wall(timedelta(days=365))
        await minutes(journal, clock, 30)
        clock.step_wall(-timedelta(days=365))
        await minutes(journal, clock, 40)

    alarms = play(path, START, scene).alarms
    assert alarms == ()
    assert set(range(M0, M0 + 72)) - set(keys(path)) <= {M0 + 12}
    assert max(keys(path)) == M0 + 71
    assert keys(path, "m15") == [M0, M0 + 15, M0 + 30, M0 + 45]


def test_a_boot_with_the_clock_days_behind_goes_on_after_the_newest_minute(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def first(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 5, power_w=100.0)

    async def second(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 3, power_w=900.0)
        assert any("behind the record" in alarm for alarm in journal.alarms)
        clock.step_wall(timedelta(days=3, hours=1))
        await minutes(journal, clock, 2, power_w=900.0)

    play(path, START, first)
    play(path, START - timedelta(days=3), second)
    power = column(path, "grid.power_w")
    assert [power[M0 + n] for n in range(5)] == [100.0] * 5
    assert min(keys(path)) == M0
    assert [power[M0 + n] for n in range(5, 8)] == [900.0] * 3


def test_a_full_disk_keeps_rows_in_memory_and_writes_them_later(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 2)
        await journal.minute_means("grid.power_w", 0, 1)
        with largest_file(4096):
            await minutes(journal, clock, 5)
            await journal.minute_means("grid.power_w", 0, 1)
            assert any("Free disk space" in alarm for alarm in journal.alarms)
            assert len(await journal.minute_means("grid.power_w", 0, 2**40)) == 6
        await minutes(journal, clock, 2)
        await journal.minute_means("grid.power_w", 0, 1)
        assert not journal.alarms

    play(path, START, scene)
    assert sorted(column(path, "grid.power_w")) == list(range(M0, M0 + 9))


def test_a_directory_that_is_gone_never_disturbs_a_tick(tmp_path: Path) -> None:
    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 3)
        assert journal.energy_today(clock.now().wall).import_wh == pytest.approx(600.0 * 3 / 60, rel=0.1)

    alarms = play(tmp_path / "gone" / "history.db", START, scene).alarms
    assert len(alarms) == 1


@pytest.mark.parametrize("damage", ["header", "page", "not a database"])
def test_a_damaged_history_is_set_aside_and_the_record_goes_on(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "history.db"

    async def first(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 20)

    end = play(path, START, first).end
    content = bytearray(path.read_bytes())
    if damage == "not a database":
        content = bytearray(b"no database at all" * 3000)
    else:
        start = 0 if damage == "header" else 4096
        content[start : start + 4096] = random.Random(1).randbytes(4096)
    path.write_bytes(content)
    alarms = play(path, end, first).alarms
    assert any("set aside" in alarm for alarm in alarms)
    assert list(tmp_path.glob("history.db.corrupt-*"))
    assert len(keys(path)) >= 20


def test_minutes_and_quarters_of_a_damaged_file_are_saved_into_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def first(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 120)

    async def second(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 6)

    end = play(path, START, first).end
    before = column(path, "grid.power_w"), column(path, "grid.power_w", "m15")
    with open_for_reading(path) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'raw_chunk'").fetchone()
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = random.Random(1).randbytes(4096)
    path.write_bytes(content)
    alarms = play(path, end, second).alarms
    assert any("set aside" in alarm for alarm in alarms)
    assert column(path, "grid.power_w").items() >= before[0].items()
    assert column(path, "grid.power_w", "m15").items() >= before[1].items()
    assert len(keys(path)) == 126


CHILD = """
import asyncio, sys
from datetime import datetime, UTC
from pathlib import Path
from cem.io.history import HistoryJournal
from cem.io.virtual import run_virtual
from support.records import SITE, decision, inputs_at

async def main(clock):
    journal = HistoryJournal(Path(sys.argv[1]), SITE)
    await journal.open(clock.now())
    while True:
        inputs = inputs_at(clock.now(), {"grid": {"power_w": 600.0}})
        journal.record(inputs, decision())
        print(int(inputs.now.wall.timestamp()) // 60, flush=True)
        await asyncio.sleep(10.0)

run_virtual(main, datetime.fromtimestamp(int(sys.argv[2]) * 60 + 1, UTC))
"""


def test_a_kill_loses_at_most_the_running_minute(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    generator = random.Random(11)
    minute = M0
    for _ in range(10):
        command = [sys.executable, "-c", CHILD, str(path), str(minute)]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert child.stdout is not None
        enough = minute + generator.randrange(1, 40)
        for line in child.stdout:
            if int(line) >= enough:
                break
        child.kill()
        rest = child.stdout.read().splitlines()
        last = int(rest[-1]) if rest else enough
        child.stdout.close()
        child.wait()
        # the printed minute was running and the one before it was being written when the process was killed
        assert keys(path)[-1] >= last - 2
        minute = last + 1
    assert keys(path) == sorted(set(keys(path)))


def test_a_reader_sees_committed_minutes_while_the_gateway_runs(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        seen = 0
        for _ in range(10):
            await minutes(journal, clock, 1)
            await journal.minute_means("grid.power_w", 0, 1)
            with open_for_reading(path) as connection:
                with pytest.raises(sqlite3.OperationalError, match="readonly"):
                    connection.execute("DELETE FROM m1")
                (count,) = connection.execute("SELECT count(*) FROM m1").fetchone()
            assert count >= seen
            seen = count
        assert seen == 9

    play(path, START, scene)


def test_an_older_schema_is_brought_up_to_date_once(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    older = Database(path)
    MIGRATIONS.apply(older, stop_before="roll_ups")
    older.close()

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 16)

    first = play(path, START, scene)
    second = play(path, first.end, scene)
    assert first.alarms == second.alarms == ()
    assert keys(path, "m15") == [M0, M0 + 15]


def test_retention_deletes_little_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    async def scene(journal: HistoryJournal, clock: VirtualClock) -> None:
        await minutes(journal, clock, 40)

    play(path, START, scene)
    play(path, START + timedelta(days=8), scene)
    first_day = [minute for minute in keys(path, "raw_chunk") if minute < M0 + 40]
    assert first_day == []
    assert [minute for minute in keys(path) if minute < M0 + 40] == list(range(M0, M0 + 40))
    play(path, START + timedelta(days=500), lambda journal, clock: minutes(journal, clock, 2))
    assert len([minute for minute in keys(path) if minute < M0 + 40]) == 20


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.integers(1, 65_535),
        st.lists(st.tuples(st.integers(0, 59_999), st.integers(-(2**53), 2**53)), min_size=1, max_size=70),
        max_size=8,
    )
)
def test_unpack_is_the_inverse_of_pack(samples: dict[int, list[tuple[int, int]]]) -> None:
    series = {
        signal_id: ([at for at, _ in sorted(pairs)], [value for _, value in sorted(pairs)])
        for signal_id, pairs in samples.items()
    }
    assert unpack(pack(series)) == series


@given(st.binary(max_size=200))
def test_bytes_that_are_no_chunk_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a chunk"):
        unpack(data)
    with pytest.raises(ValueError, match="not a chunk"):
        unpack(zlib.compress(data + b"\x00\x01\x02"))
