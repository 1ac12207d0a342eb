"""The forecasts of a day judged when it is over, and kept."""

import asyncio
import json
import math
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cem.cli.history import history
from cem.io.history import HistoryJournal
from cem.io.state_store import SqliteStateStore
from cem.planning.forecast_score import day_edges, score_of
from cem.planning.past import Past
from cem.ports import StateKind
from cem.runtime.forecast_book import ForecastBook
from support.records import SITE, HandClock

ZONE = "Europe/Berlin"
UTC_SITE = replace(SITE, zone="UTC")


def known(days: int, until: datetime, factor: float = 1.0) -> Past:
    """A house of one habit, whose last day before `until` was `factor` times as large; a value every quarter hour."""
    past, end_s = Past(UTC_SITE), int(until.timestamp())
    load, sun = [], []
    for at in range(end_s - 86400 * days, end_s, 900):
        hour, today = at % 86400 / 3600.0, factor if at >= end_s - 86400 else 1.0
        load.append((at, today * (300.0 + 200.0 * math.cos(hour / 24 * 2 * math.pi))))
        sun.append((at, today * max(4000.0 * math.sin((hour - 6) / 12 * math.pi), 0.0)))
    past.load.extend(load)
    past.generation.extend(sun)
    return past


def test_a_house_of_habit_is_forecast_without_an_error() -> None:
    score = score_of(known(15, datetime(2026, 6, 11, tzinfo=UTC)), date(2026, 6, 10), "UTC", None)
    assert score.load is not None
    assert score.sun is not None
    assert score.load.error_w == pytest.approx(0.0, abs=1.0)
    assert score.load.came_wh == pytest.approx(24 * 300.0, rel=0.01)
    assert score.sun.in_band == 1.0
    assert score.sun.before_error_w == pytest.approx(0.0, abs=1.0)


def test_a_day_unlike_those_before_is_out_of_the_band_and_its_error_told() -> None:
    score = score_of(known(15, datetime(2026, 6, 11, tzinfo=UTC), 2.0), date(2026, 6, 10), "UTC", None)
    assert score.load is not None
    assert score.load.error_w == pytest.approx(300.0, rel=0.05)
    assert score.load.before_error_w == pytest.approx(300.0, rel=0.05)
    assert score.load.in_band < 0.1
    assert score.load.expected_wh == pytest.approx(score.load.came_wh / 2.0, rel=0.05)


def test_the_day_itself_is_not_looked_at_in_its_forecast() -> None:
    plain, other = (
        score_of(known(15, datetime(2026, 6, 11, tzinfo=UTC), f), date(2026, 6, 10), "UTC", None) for f in (1.0, 3.0)
    )
    assert plain.load is not None
    assert other.load is not None
    assert plain.load.expected_wh == other.load.expected_wh


def test_a_day_that_was_hardly_recorded_is_not_judged() -> None:
    score = score_of(known(15, datetime(2026, 6, 10, 12, tzinfo=UTC)), date(2026, 6, 10), "UTC", None)
    assert score.load is None
    assert score.sun is None


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-28", 96), ("2026-03-29", 92), ("2026-10-25", 100)])
def test_a_day_has_the_quarters_of_its_local_clock(day: str, quarters: int) -> None:
    edges = day_edges(date.fromisoformat(day), ZONE)
    assert len(edges) - 1 == quarters
    assert edges[0].astimezone(UTC).hour in {22, 23}


def test_scores_are_kept_once_a_day_and_shown_by_the_history(tmp_path: Path) -> None:
    midnight = datetime(2026, 6, 11, 0, 5, tzinfo=UTC)

    async def main() -> None:
        journal = HistoryJournal(tmp_path / "history.db", UTC_SITE)
        await journal.open(HandClock().now())
        await journal.close()
        store = SqliteStateStore(tmp_path / "state.db", HandClock())
        book = ForecastBook(UTC_SITE, store)
        await book.turn(midnight, known(15, midnight.replace(minute=0), 2.0))
        await book.turn(midnight + timedelta(hours=1), known(15, midnight.replace(minute=0)))
        await ForecastBook(UTC_SITE, store).turn(midnight + timedelta(hours=2), known(15, midnight.replace(minute=0)))
        rows = await store.load(StateKind.FORECAST_DAY)
        assert list(rows) == ["2026-06-10"]
        await store.close()

    asyncio.run(main())
    shown = CliRunner().invoke(
        history, ["--record", str(tmp_path), "--from", "2026-06-10", "--show", "forecasts", "--json"]
    )
    found = json.loads(shown.stdout)["forecasts"][0]
    assert found["day"] == "2026-06-10"
    assert found["load"]["error_w"] == pytest.approx(300.0, rel=0.05)
    table = CliRunner().invoke(
        history, ["--record", str(tmp_path), "--from", "2026-06-10", "--show", "forecasts", "--format", "csv"]
    )
    assert table.stdout.splitlines()[1].startswith("2026-06-10,load,7.20,14.40,300,300,")
    none = CliRunner().invoke(history, ["--record", str(tmp_path), "--from", "2026-06-12", "--show", "forecasts"])
    assert none.exit_code == 1
