"""House law 12: what was recorded is decided again in the same way, and a changed decision is seen."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cem.cli.main import main
from cem.control import Memory, decide
from cem.io.frozen_json import decode, encode
from cem.io.journal_file import JournalUnreadable, chunks
from cem.io.journal_ticks import TickDecoder, TickEncoder, essence
from cem.model.reading import Reading
from cem.model.setpoint import Decision
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.simulation.grid import GridSide, Order, Signal
from cem.simulation.harness import Bench
from cem.simulation.plant import open_home
from cem.simulation.replay import redecide, replay

HOME = Path(__file__).resolve().parents[2] / "hw-sim" / "homes" / "demo.toml"
MORNING = datetime(2026, 6, 15, 8, 0, tzinfo=UTC)
TICKS = 1500


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some time of a morning with a limit of the grid in it."""
    path = tmp_path_factory.mktemp("replay") / "morning.cemj"
    order = Order(Signal.IMPORT_LIMIT_W, (4200.0,), 400.0, 300.0, "limits", ahead_s=100.0)
    with Bench(open_home(HOME), seed=4, start=MORNING, record=path, grids=[GridSide(orders=(order,))]) as bench:
        bench.advance(TICKS)
    return path


def test_replaying_a_recorded_time_gives_identical_decisions(journal: Path) -> None:
    found = replay(journal)
    assert found.ticks >= TICKS
    assert found.differences == []


def test_a_changed_decision_shows_where_it_differs(journal: Path) -> None:
    def bolder(site: Site, inputs: Inputs, memory: Memory) -> tuple[Decision, Memory]:
        decision, after = decide(site, inputs, memory)
        bolder_ones = tuple(
            dataclasses.replace(s, value=s.value + 1) if s.value is not None else s for s in decision.setpoints
        )
        return dataclasses.replace(decision, setpoints=bolder_ones), after

    found = replay(journal, bolder)
    assert found.differing > TICKS / 2
    assert {one.what.split()[0] for one in found.differences} == {"setpoint"}


def test_the_command_says_what_differs_by_its_exit_code(journal: Path, tmp_path: Path) -> None:
    same = CliRunner().invoke(main, ["replay", str(journal), "--json"])
    assert same.exit_code == 0
    assert json.loads(same.stdout)["differing"] == 0
    nothing = CliRunner().invoke(main, ["replay", str(tmp_path / "none.cemj")])
    assert nothing.exit_code == 1


def test_every_input_survives_the_journal_exactly(journal: Path) -> None:
    seen: list[tuple[Inputs, Memory, Decision]] = []

    def keep(site: Site, inputs: Inputs, memory: Memory) -> tuple[Decision, Memory]:
        decision, after = decide(site, inputs, memory)
        seen.append((inputs, memory, decision))
        return decision, after

    for _ in zip(range(90), redecide(journal, keep), strict=False):
        pass
    again = json.loads(json.dumps(TickEncoder().chunk(list(seen))))
    for (inputs, _, decision), recorded in zip(seen, TickDecoder().ticks(again), strict=True):
        assert recorded.inputs == inputs
        assert recorded.decided == essence(decision)
    assert decode(Memory, again["memory"]) == seen[0][1]


def test_every_field_of_a_reading_is_kept() -> None:
    assert [field.name for field in dataclasses.fields(Reading)] == ["resource_id", "point", "value", "taken_at_s"]


def test_a_torn_end_loses_only_what_is_torn(journal: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.cemj"
    torn.write_bytes(journal.read_bytes()[:-7])
    whole, left = list(chunks(journal)), list(chunks(torn))
    assert left == whole[:-1]
    assert replay(torn).differing == 0


def test_another_file_is_refused_in_words(tmp_path: Path) -> None:
    other = tmp_path / "other.cemj"
    other.write_bytes(b"SQLite format 3\0")
    with pytest.raises(JournalUnreadable, match="is no replay journal"):
        list(chunks(other))


def test_an_unknown_field_of_a_newer_version_is_passed_over() -> None:
    reading: dict[str, Any] = encode(Reading("pv", "power_w", -1.5, 12.0))
    assert decode(Reading, reading | {"quality": "good"}) == Reading("pv", "power_w", -1.5, 12.0)
