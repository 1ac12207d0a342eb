"""`cem override`, `cem opt`, `cem why` from the outside: what people type, against a real local API."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cem.cli.main import main
from cem.cli.why import term_words
from cem.io.journal_file import SUFFIX
from cem.model.directive import EventSummary
from cem.model.envelope import Rank
from cem.model.event import EventStatus
from cem.model.request import RequestKind, UserRequest
from cem.model.setpoint import Narrowing
from cem.simulation.harness import Bench
from cem.simulation.plant import open_home
from support.gateways import Gateway, gateway
from support.statuses import NOON, normal

HOME = Path(__file__).resolve().parents[2] / "hw-sim" / "homes" / "demo.toml"
PEAK = EventSummary("e-17", "utility", "evening-peak", EventStatus.FAR, NOON, NOON + timedelta(hours=3), "less")


def _typed(folder: Path, *lines: str, prepare: Callable[[Gateway], None] | None = None) -> tuple[list[Result], Gateway]:
    """The answers to commands typed one after the other, and what stands behind the API then."""

    async def run() -> tuple[list[Result], Gateway]:
        async with gateway(folder / "api", replace(normal(), events=(PEAK,))) as found:
            if prepare is not None:
                prepare(found)
            results = []
            for line in lines:
                found.status = replace(found.status, requests=tuple(found.asked.values()))
                words = [*line.split(), "--socket", str(found.path)]
                results.append(await asyncio.to_thread(CliRunner().invoke, main, words))
            return results, found

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("line", "kind", "hours"),
    [
        ("override car charge-now --until 2h", RequestKind.CHARGE_NOW, 2.0),
        ("override car sun-only", RequestKind.SURPLUS_ONLY, 12.0),
        ("override battery hold --until 90min", RequestKind.HOLD, 1.5),
        ("override battery release --until 1h", RequestKind.RELEASE, 1.0),
        ("override battery reserve 40% --until 3h", RequestKind.RESERVE, 3.0),
        ("override read-only on --until 1h", RequestKind.READ_ONLY, 1.0),
        ("opt out evening-peak", RequestKind.OPT_OUT, 3.0),
        ("opt out --to 4h", RequestKind.OPT_OUT, 4.0),
    ],
)
def test_an_act_is_asked_with_its_end(tmp_path: Path, line: str, kind: RequestKind, hours: float) -> None:
    (result,), found = _typed(tmp_path, line)
    assert result.exit_code == 0, result.output
    (act,) = found.asked.values()
    assert (act.kind, act.until) == (kind, NOON + timedelta(hours=hours))
    assert act.id in result.stdout
    if kind is RequestKind.RESERVE:
        assert act.target_soc_pct == 40.0
    if line.endswith("evening-peak"):
        assert act.event_id == "e-17"


def test_a_car_can_be_wanted_ready_by_a_time_of_day(tmp_path: Path) -> None:
    (result,), found = _typed(tmp_path, "override car --ready 07:00 --energy 20kWh --json")
    assert result.exit_code == 0, result.output
    (act,) = found.asked.values()
    assert act.kind is RequestKind.CHARGE_BY
    assert act.energy_wh == 20_000.0
    assert act.ready_at == act.until
    assert timedelta(0) < act.until - NOON <= timedelta(days=1)
    assert json.loads(result.stdout)[0]["kind"] == "charge_by"


@pytest.mark.parametrize(
    "line",
    [
        "override car fly",
        "override car",
        "override car --ready 07:00",
        "override car charge-now --until yesterday",
        "override battery reserve",
        "override battery reserve 140%",
        "override kettle charge-now",
        "override",
        "opt out",
        "opt out no-such-event",
        "opt in e-17",
    ],
)
def test_what_makes_no_sense_is_wrong_use_and_asks_nothing(tmp_path: Path, line: str) -> None:
    (result,), found = _typed(tmp_path, line)
    assert result.exit_code == 2
    assert not found.asked


def test_a_refusal_is_the_gateways_own_sentence(tmp_path: Path) -> None:
    def duty(found: Gateway) -> None:
        found.refuses = "event evening-peak is an obligation: nobody can opt out of it"

    (result,), found = _typed(tmp_path, "opt out evening-peak", prepare=duty)
    assert result.exit_code == 1
    assert "obligation" in result.output
    assert not found.asked


def test_acts_are_listed_and_ended(tmp_path: Path) -> None:
    results, found = _typed(
        tmp_path,
        "override car pause",
        "opt out evening-peak",
        "override list",
        "opt list",
        "opt in e-17",
        "override end all",
        "override list",
    )
    assert [result.exit_code for result in results] == [0] * 7
    assert len(results[2].stdout.splitlines()) == 2
    assert "evening" in results[3].stdout or "e-17" in results[3].stdout
    assert results[6].stdout == ""
    assert not found.asked


def test_an_owners_request_says_who_and_until_when(tmp_path: Path) -> None:
    def asked(found: Gateway) -> None:
        until = NOON + timedelta(hours=1)
        found.asked["a1"] = UserRequest("a1", "battery", RequestKind.HOLD, until, NOON, "anna")

    (result,), _ = _typed(tmp_path, "override list", prepare=asked)
    assert "anna" in result.stdout
    assert "a1" in result.stdout


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record folder of ten minutes from 06:00 UTC, the journal of the last of them only."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "journal").mkdir()
    start = datetime(2026, 6, 15, 6, 0, tzinfo=UTC)
    record = folder / "journal" / f"20260615T06{SUFFIX}"
    with Bench(open_home(HOME), seed=4, start=start, folder=folder, record=record) as bench:
        bench.advance(600)
    return folder


def _why(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["why", *words, "--record", str(folder)])


def test_why_tells_what_the_journal_knows_with_what_was_seen(recorded: Path) -> None:
    result = _why(recorded, "battery", "--at", "2026-06-15T06:05:00+00:00", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["origin"] == "replay journal"
    (why,) = found["whys"]
    assert (why["resource_id"], why["control"]) == ("battery", "battery.setpoint_w")
    assert why["rank"] in {"safety", "obligation", "user", "programme", "plan"}
    assert why["reason"]
    ages = {(seen["resource_id"], seen["point"]): seen["age_s"] for seen in why["inputs"]}
    assert 0.0 <= ages["grid", "power_w"] <= 2.0
    words = _why(recorded, "--at", "2026-06-15T06:05:00+00:00").stdout
    assert "why: " in words
    assert "whose word: " in words


@pytest.mark.parametrize(
    ("term", "said"),
    [
        (("site", "max", 7000.0, "W", "utility", "import at most 7 kW for utility (event peak)"),
         "utility: import at most 7 kW for utility (event peak)"),
        (("site", "min", -10000.0, "W", "contract", "contract: export at most 10.0 kW"),
         "contract: export at most 10.0 kW"),
        (("site", "min", -24000.0, "W", "fuse", "main fuse 35 A"), "fuse: export at most 24.0 kW (main fuse 35 A)"),
        (("site", "asked", 9000.0, "W", "shop", "shop: take 9 kW until 04:17 (event wind)"),
         "shop asks: take 9 kW until 04:17 (event wind)"),
        (("L2", "max", 35.0, "A", "fuse", "main fuse 35 A on phase L2"),
         "fuse: at most 35 A on L2 (main fuse 35 A on phase L2)"),
        (("battery", "min", -5000.0, "W", "battery", "gives at most 5.0 kW now"),
         "battery: at most 5.0 kW given for battery (gives at most 5.0 kW now)"),
        (("battery", "min", 1200.0, "W", "owner", "asked by owner"),
         "owner: at least 1.2 kW taken for battery (asked by owner)"),
    ],
)  # fmt: skip
def test_every_term_is_said_in_a_persons_words(term: tuple[str, str, float, str, str, str], said: str) -> None:
    subject, side, value, unit, source, reason = term
    assert term_words(Narrowing(subject, side, value, unit, Rank.OBLIGATION, source, reason)) == said


def test_why_falls_back_on_the_decision_log(recorded: Path) -> None:
    for path in (recorded / "journal").iterdir():
        path.rename(recorded / path.name)
    try:
        result = _why(recorded, "battery", "--at", "2026-06-15T06:05:00+00:00", "--json")
    finally:
        for path in recorded.glob(f"*{SUFFIX}"):
            path.rename(recorded / "journal" / path.name)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["origin"] == "decision log"
    assert found["whys"][0]["reason"]


def test_why_says_when_nothing_is_known(recorded: Path) -> None:
    assert _why(recorded, "--at", "2025-01-01T00:00").exit_code == 1
    assert _why(recorded, "toaster", "--at", "2026-06-15T06:05:00+00:00").exit_code == 2
