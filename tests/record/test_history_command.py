"""`cem history`: reads the record of a gateway, and says so when there is none."""

import asyncio
import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from cem.cli.history import history, instant
from cem.io.history import HistoryJournal
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock, run_virtual
from cem.ports import Json, Put, StateKind
from support.records import SITE, HandClock, SyntheticDay, decision, inputs_at

FIRST = datetime(2026, 3, 27, 23, 0, tzinfo=UTC)  # local midnight in winter; two days later the clocks change


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record of two days and a half, one tick a minute, with decisions and an event."""
    folder = tmp_path_factory.mktemp("record")

    async def main(clock: VirtualClock) -> None:
        journal = HistoryJournal(folder / "history.db", SITE)
        await journal.open(clock.now())
        day = SyntheticDay()
        for second in range(0, 60 * 3600, 60):
            journal.record(inputs_at(clock.now(), day.values(second % 86_400, 60.0)), decision())
            await asyncio.sleep(60)
        await journal.close()

    async def state() -> None:
        store = SqliteStateStore(folder / "state.db", HandClock())
        for hour in range(5):
            key = (FIRST + timedelta(hours=hour)).isoformat()
            reason: Json = {"resource": "store", "reason": "cheap [night]", "source": "plan"}
            await store.commit(
                [Put(StateKind.DECISION, key, {"mode": "normal", "headline": f"Hour {hour}", "setpoints": [reason]})]
            )
        interval: Json = [(FIRST + timedelta(hours=2)).isoformat(), None, {"import_limit_w": 4200.0}]
        event: Json = {"provider": "vtn", "name": "Dimming", "intervals": [interval]}
        await store.commit([Put(StateKind.EVENT, "vtn/1", event)])
        spent: Json = {"cost": 1.5, "import_wh": 5000.0, "export_wh": 0.0, "pv_wh": 1200.0}
        planned: Json = {
            "day": "2026-03-28",
            "by": "plan",
            "promised": None,
            "came": spent,
            "rules_cost": 1.75,
            "counts": False,
        }
        await store.commit([Put(StateKind.PLAN_DAY, "2026-03-28", planned)])
        await store.close()

    run_virtual(main, FIRST)
    asyncio.run(state())
    return folder


def ask(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(history, ["--record", str(folder), *arguments])


def test_days_are_local_and_know_when_the_clocks_change(folder: Path) -> None:
    result = ask(folder, "--from", "2026-03-28", "--to", "2026-03-30", "--json")
    assert result.exit_code == 0, result.output
    energy = json.loads(result.stdout)["energy"]
    assert [(row["start"], row["minutes"]) for row in energy] == [
        ("2026-03-28T00:00:00+01:00", 1440),
        ("2026-03-29T00:00:00+01:00", 1380),
        ("2026-03-30T00:00:00+02:00", 780),
    ]
    assert energy[1]["end"] == "2026-03-30T00:00:00+02:00"


def test_hours_add_up_to_the_day(folder: Path) -> None:
    hours = json.loads(ask(folder, "--from", "2026-03-28", "--to", "2026-03-28", "--json").stdout)["energy"]
    days = json.loads(ask(folder, "--from", "2026-03-28", "--to", "2026-03-28", "--by", "day", "--json").stdout)[
        "energy"
    ]
    assert len(hours) == 24
    for part in ("import_wh", "export_wh", "pv_wh", "cost"):
        assert sum(row[part] for row in hours) == pytest.approx(days[0][part], abs=2.0)
    assert days[0]["pv_wh"] == pytest.approx(6000 * 24 / 3.14159, rel=0.01)


def test_a_time_that_begins_within_a_quarter_misses_nothing(folder: Path) -> None:
    result = ask(folder, "--from", "2026-03-28T10:07", "--to", "2026-03-28T11:53", "--json")
    assert [row["minutes"] for row in json.loads(result.stdout)["energy"]] == [53, 53]


def test_csv_is_energy_with_a_head_and_a_line_per_hour(folder: Path) -> None:
    result = ask(folder, "--from", "2026-03-28", "--to", "2026-03-28", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert len(rows) == 24
    assert float(rows[12]["pv_wh"]) > 5000


def test_the_table_shows_energy_decisions_and_events(folder: Path) -> None:
    result = ask(folder, "--from", "2026-03-28", "--to", "2026-03-28")
    assert result.exit_code == 0, result.output
    for words in ("bought kWh", "together", "Hour 4", "cheap [night]", "Dimming", "import at most 4.2 kW", "100 %"):
        assert words in result.stdout


def test_decisions_are_those_of_the_time_asked_for(folder: Path) -> None:
    result = ask(folder, "--from", "2026-03-28T01:00", "--to", "2026-03-28T03:00", "--show", "decisions", "--json")
    shown = json.loads(result.stdout)
    assert [row["headline"] for row in shown["decisions"]] == ["Hour 1", "Hour 2"]
    assert "energy" not in shown


def test_what_plans_promised_and_what_came_is_shown_by_day(folder: Path) -> None:
    asked = ("--from", "2026-03-28", "--to", "2026-03-29", "--show", "plans")
    row = json.loads(ask(folder, *asked, "--json").stdout)["plans"][0]
    assert (row["day"], row["came"]["cost"], row["rules_cost"]) == ("2026-03-28", 1.5, 1.75)
    lines = list(csv.reader(io.StringIO(ask(folder, *asked, "--format", "csv").stdout)))
    assert lines[1] == ["2026-03-28", "", "1.50", "1.75", "", "5.00", "", "0.00", "", "1.20", "plan, not judged"]
    assert "1.50" in ask(folder, *asked).stdout
    assert ask(folder, "--from", "2026-03-29", "--to", "2026-03-29", "--show", "plans").exit_code == 1


def test_no_record_and_nothing_recorded_are_exit_code_one(tmp_path: Path, folder: Path) -> None:
    missing = CliRunner().invoke(history, ["--record", str(tmp_path)])
    assert missing.exit_code == 1
    assert "was the gateway ever started" in str(missing.exception) + missing.output
    empty = ask(folder, "--from", "2020-01-01", "--to", "2020-01-02", "--show", "energy")
    assert empty.exit_code == 1
    assert "nothing is recorded" in empty.stderr


def test_wrong_times_are_wrong_use(folder: Path) -> None:
    wrong = ask(folder, "--from", "some day")
    assert wrong.exit_code == 2
    assert "today, yesterday or '7 days'" in wrong.stderr
    assert ask(folder, "--from", "999999 days").exit_code == 2
    assert ask(folder, "--from", "2026-03-28", "--to", "2026-03-27").exit_code == 2


@pytest.mark.parametrize(
    ("text", "is_end", "at"),
    [
        ("today", False, "2026-03-30T00:00:00+02:00"),
        ("Yesterday", False, "2026-03-29T00:00:00+01:00"),
        ("yesterday", True, "2026-03-30T00:00:00+02:00"),
        ("1 day", False, "2026-03-29T00:00:00+01:00"),
        ("7 days ago", False, "2026-03-23T00:00:00+01:00"),
        ("0 days", True, "2026-03-31T00:00:00+02:00"),
    ],
)
def test_a_day_can_be_named_in_words(text: str, is_end: bool, at: str) -> None:
    found = instant(text, ZoneInfo("Europe/Berlin"), date(2026, 3, 30), is_end=is_end)
    assert found.isoformat() == at


def test_the_folder_comes_from_the_site_file(folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text(f'[store]\nfolder = "{folder}"\n', encoding="utf-8")
    result = CliRunner().invoke(
        history, ["--config", str(site), "--from", "2026-03-28", "--to", "2026-03-28", "--json"]
    )
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["energy"]) == 24
