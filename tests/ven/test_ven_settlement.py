"""An event that is over is settled, kept, shown and reported, once, whatever the link does."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from cem.cli.main import main as cem
from cem.io.history import HistoryJournal
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.directive import LinkState
from cem.model.plan import Slot
from cem.model.provider import Programme
from cem.ports import Put, StateKind
from cem.runtime.ven_settlement import Books
from cem.sgcp.reports.outlook import Outlook
from support.houses import house
from support.records import HandClock
from support.rogue_vtn import PROGRAM, Home, RogueVtn, dimming
from support.ven_world import T0, MemoryStore, utility


class House:
    """Satisfies cem.ports.History: 4 kW on every day, 2.5 kW from T0 on."""

    async def minute_means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        """The means."""
        assert signal == "grid.power_w"
        begun = T0.timestamp()
        return [(at, 2500.0 if at >= begun else 4000.0) for at in range(since_s, until_s, 60)]


BOOKS = Books(House(), "grid.power_w", ZoneInfo("UTC"), "EUR")


def settlements(vtn: RogueVtn) -> list[dict[str, Any]]:
    """The settlement reports that the VTN holds."""
    return [report for report in vtn.reports.values() if report["reportName"].startswith("settlement")]


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_event_is_settled_once_after_its_end_and_sent_when_the_link_is_back(cancelled: bool) -> None:
    async def main(clock: VirtualClock) -> None:
        period = {"start": "2026-01-15T12:00:00Z", "duration": "PT10M"}
        vtn = RogueVtn([PROGRAM], [dimming(3.0, intervalPeriod=period)])
        await vtn.start()
        programmes = (Programme("dimming", mandatory=True, incentive_per_kwh=0.5),)
        provider = utility(url=vtn.url, poll_s=10.0, stale_s=30.0, programmes=programmes, reconnect_jitter_s=0.0)
        home = Home(provider, clock, books=BOOKS)
        try:
            await home.start()
            await home.until(LinkState.ONLINE, 30)
            await asyncio.sleep(240)
            if cancelled:
                vtn.events.clear()
                await asyncio.sleep(60)
            else:
                await vtn.stop()  # over the end of the event
                await asyncio.sleep(600)
                assert [row["sent"] for row in rows(home.store)] == [False]
                await home.stop()
                await home.start()
                await vtn.start()
            await home.until_true(lambda: len(settlements(vtn)) == 1, 200)
            part = rows(home.store)[0]["parts"][0]
            assert part["verdict"] == "met"
            assert part["baseline_w"] == pytest.approx(4000.0)
            length_h = 1 / 6 if not cancelled else pytest.approx(250 / 3600, abs=40 / 3600)
            assert part["shed_wh"] / 1500.0 == length_h
            assert part["incentive"] == pytest.approx(part["shed_wh"] / 1000 * 0.5, abs=1e-3)
            await home.stop()
            await home.start()
            await asyncio.sleep(120)
            assert len(settlements(vtn)) == 1
            assert [row["sent"] for row in rows(home.store)] == [True]
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)


def test_an_event_that_was_over_when_it_was_heard_of_by_a_clock_that_is_not_trusted_is_not_settled() -> None:
    async def main(clock: VirtualClock) -> None:
        period = {"start": "2026-01-15T10:00:00Z", "duration": "PT10M"}
        vtn = RogueVtn([PROGRAM], [dimming(3.0, intervalPeriod=period)])
        await vtn.start()
        home = Home(utility(url=vtn.url, poll_s=10.0, reconnect_jitter_s=0.0), clock, books=BOOKS)
        try:
            clock.trusted = False
            await home.start()
            await home.until(LinkState.ONLINE, 30)
            await asyncio.sleep(30)
            clock.trusted = True
            await asyncio.sleep(600)
            assert [*home.point.events(home.provider.id, clock.now())]  # it is kept: the clock might be set back
            assert not home.store.rows.get(StateKind.SETTLEMENT)
            assert settlements(vtn) == []
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)


def rows(store: MemoryStore) -> list[Any]:
    """The settlements on disk."""
    return [json.loads(text) for text in store.rows[StateKind.SETTLEMENT].values()]


def test_the_history_command_shows_what_was_settled(tmp_path: Path) -> None:
    part = {
        "start": T0.isoformat(),
        "end": (T0 + timedelta(hours=1)).isoformat(),
        "asks": "import_limit_w",
        "asked_w": 3000.0,
        "baseline_w": 4000.0,
        "delivered_w": 2500.0,
        "verdict": "met",
        "shed_wh": 1500.0,
        "incentive": 0.75,
    }
    row: Any = {"provider": "utility", "event": "e", "name": "dim", "currency": "EUR", "parts": [part]}

    async def stored() -> None:
        store = SqliteStateStore(tmp_path / "state.db", HandClock())
        await store.commit([Put(StateKind.SETTLEMENT, "utility/e", row)])
        await store.close()
        history = HistoryJournal(tmp_path / "history.db", house())
        await history.open(HandClock().now())
        await history.close()

    asyncio.run(stored())
    words = ["history", "--record", str(tmp_path), "--from", "2026-01-15", "--to", "2026-01-15"]
    shown = CliRunner().invoke(cem, [*words, "--show", "settlements", "--format", "csv"])
    assert shown.output.splitlines()[1].endswith("utility: dim,3.00,4.00,2.50,met,1.50,0.75 EUR")
    found = json.loads(CliRunner().invoke(cem, [*words, "--show", "settlements", "--json"]).output)
    assert found["settlements"] == [row]


def test_reports_that_an_event_asks_for_are_made_once_and_survive_a_lost_link() -> None:
    async def main(clock: VirtualClock) -> None:
        intervals = [{"id": n, "payloads": [{"type": "IMPORT_CAPACITY_LIMIT", "values": [3.0]}]} for n in (5, 6)]
        asked = {"payloadType": "USAGE", "startInterval": 0, "numIntervals": 1, "frequency": 1, "repeat": -1}
        state = {"payloadType": "OPERATING_STATE"}
        body = dimming(
            3.0,
            intervalPeriod={"start": "2026-01-15T12:05:00Z", "duration": "PT10M"},
            intervals=intervals,
            reportDescriptors=[asked, state],
        )
        vtn = RogueVtn([PROGRAM], [body])
        await vtn.start()
        provider = utility(url=vtn.url, poll_s=10.0, stale_s=30.0, reconnect_jitter_s=0.0)
        home = Home(provider, clock, books=BOOKS)
        try:
            await home.start()
            await home.until_true(lambda: len(asked_for(vtn)) == 1, 1200)
            await vtn.stop()
            await asyncio.sleep(720)
            await home.stop()
            await home.start()
            await vtn.start()
            await home.until_true(lambda: len(asked_for(vtn)) == 3, 600)
            await asyncio.sleep(300)
            found = [
                [(i["id"], [p["type"] for p in i["payloads"]]) for i in report["resources"][0]["intervals"]]
                for report in asked_for(vtn)
            ]
            usage = ["USAGE", "DATA_QUALITY"]
            states = ["OPERATING_STATE", "DATA_QUALITY"]
            assert sorted(found) == [[(5, states), (6, states)], [(5, usage)], [(6, usage)]]
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)


def asked_for(vtn: RogueVtn) -> list[dict[str, Any]]:
    """The reports by descriptor that the VTN holds."""
    return [report for report in vtn.reports.values() if report["reportName"].startswith("asked")]


def test_a_rolling_forecast_comes_from_the_plan_as_each_interval_begins() -> None:
    slots = tuple(
        Slot(T0 + timedelta(minutes=15 * n), T0 + timedelta(minutes=15 * (n + 1)), grid_w=1000.0 * n) for n in range(3)
    )
    asked = {"payloadType": "USAGE_FORECAST", "startInterval": 0, "numIntervals": 4, "frequency": 1, "repeat": -1}
    body = dimming(3.0, intervals=[], intervalPeriod={"start": "2023-02-10T00:00:00Z", "duration": "PT15M"})

    async def main(clock: VirtualClock) -> None:
        vtn = RogueVtn([PROGRAM], [{**body, "reportDescriptors": [asked]}])
        await vtn.start()
        books = replace(BOOKS, outlook=lambda: Outlook((), slots))
        home = Home(utility(url=vtn.url, poll_s=10.0, stale_s=30.0, reconnect_jitter_s=0.0), clock, books=books)
        try:
            await home.start()
            await home.until_true(lambda: len(asked_for(vtn)) == 1, 1200)
            (report,) = asked_for(vtn)
            assert report["payloadDescriptors"][0] == {
                "objectType": "REPORT_PAYLOAD_DESCRIPTOR",
                "payloadType": "USAGE_FORECAST",
                "readingType": "FORECAST",
                "units": "KWH",
            }
            (site,) = report["resources"]
            told = [{p["type"]: p["values"][0] for p in one["payloads"]} for one in site["intervals"]]
            measured = round(2.5 * 2 / 60, 6)  # of two minutes; in the rest of the first interval nothing is expected
            known = [{"USAGE_FORECAST": energy, "DATA_QUALITY": "OK"} for energy in (measured, 0.25, 0.5)]
            assert site["intervals"][0]["intervalPeriod"]["start"] == "2026-01-15T12:00:00Z"
            assert told == [*known, {"DATA_QUALITY": "MISSING"}]
        finally:
            await home.stop()
            await vtn.stop()

    run_virtual(main, T0)
