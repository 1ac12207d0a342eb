"""The plan's promises are kept in the record, and what they say is acted on."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cem.model.plan import PlanRequest
from cem.model.resource import Resource, Role
from cem.model.site import ElectricalConnection, Site
from cem.model.tariff import Tariff
from cem.planning.solve import solve
from cem.ports import StateKind
from cem.runtime.plan_book import PlanBook
from cem.simulation.memory import MemoryStore
from support.planning import BATTERY, CAR, PV, problem

MIDNIGHT = datetime(2026, 1, 15, tzinfo=UTC)
SITE = Site(
    name="house",
    zone="UTC",
    connection=ElectricalConnection(),
    tariff=Tariff("UTC", "EUR", 0.30, 0.08),
    resources=(Resource("meter", Role.GRID, "meter", "Meter"), BATTERY, PV, CAR),
)


class _Record:
    """A house that takes 1 kW, and a battery that does `battery_w`."""

    def __init__(self, battery_w: float = 0.0) -> None:
        self.battery_w = battery_w

    async def minute_means(self, signal: str, since_s: int, until_s: int) -> list[tuple[int, float]]:
        watts = {"meter.power_w": 1000.0 + self.battery_w, "battery.power_w": self.battery_w}.get(signal, 0.0)
        return [(at, watts) for at in range(since_s, until_s, 60)]


def _request(day: int, hour: float = 0.0) -> PlanRequest:
    return problem(104, load_w=1000.0, soc_pct=50.0, start=MIDNIGHT + timedelta(days=day, hours=hour))


async def _days(book: PlanBook, first: int, count: int, *, disturbed: bool = False) -> None:
    for day in range(first, first + count):
        for hour in (0.0, 12.0):
            request = _request(day, hour)
            await book.turn(request)
            book.take(request, solve(request), disturbed=disturbed)


def test_each_day_is_settled_when_the_next_one_begins() -> None:
    store = MemoryStore()
    book = PlanBook(SITE, _Record(), store)
    asyncio.run(_days(book, 0, 2))
    rows = asyncio.run(store.load(StateKind.PLAN_DAY))
    assert [*rows] == ["2026-01-15"]
    row = rows["2026-01-15"]
    assert isinstance(row, dict)
    assert (row["by"], row["counts"], row["currency"]) == ("plan", True, "EUR")
    promised, came = row["promised"], row["came"]
    assert isinstance(promised, dict)
    assert isinstance(came, dict)
    assert came["cost"] == pytest.approx(24 * 0.30)
    assert came["import_wh"] == pytest.approx(24000.0)
    assert promised["cost"] == pytest.approx(24 * 0.30, rel=0.05)  # what is stored at the begin would be used


def test_a_plan_that_wastes_gives_way_to_the_rules_and_comes_back() -> None:
    """A battery that charges from the grid all day at one price only loses."""
    store, record = MemoryStore(), _Record(2000.0)
    book = PlanBook(SITE, record, store)
    asyncio.run(_days(book, 0, 8))
    assert book.verdict.rules
    assert "the rules are used until" in book.verdict.words
    again = PlanBook(SITE, record, store)
    asyncio.run(again.open())
    assert again.verdict == book.verdict  # a restart forgets nothing
    record.battery_w = 0.0
    asyncio.run(_days(book, 8, 8))
    assert not book.verdict.rules


def test_days_on_which_grid_or_owner_ask_for_something_are_not_judged() -> None:
    store = MemoryStore()
    book = PlanBook(SITE, _Record(2000.0), store)
    asyncio.run(_days(book, 0, 9, disturbed=True))
    assert not book.verdict.rules
    assert len(asyncio.run(store.load(StateKind.PLAN_DAY))) == 8


def test_a_day_after_a_gap_is_not_settled_by_what_is_not_known() -> None:
    store = MemoryStore()
    book = PlanBook(replace(SITE, name="gap"), _Record(), store)
    asyncio.run(_days(book, 0, 1))
    asyncio.run(_days(book, 3, 1))
    assert asyncio.run(store.load(StateKind.PLAN_DAY)) == {}
