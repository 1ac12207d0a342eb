"""A dynamic tariff over days of simulated time: asked when it is out, kept over outages and restarts, then given up."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from cem.control.prices import Prices, prices_now
from cem.io.tariffs.awattar import AwattarPrices
from cem.io.virtual import VirtualClock, VirtualEventLoop
from cem.model.directive import Directive, PriceWindow
from cem.model.market import DynamicTariff, Markup, PriceService
from cem.model.reading import Snapshot
from cem.model.site import ElectricalConnection, Site
from cem.model.tariff import Tariff
from cem.model.tick import Inputs
from cem.model.time import Instant
from cem.planning.past import Past
from cem.planning.request import build_request
from cem.ports import Put, StateKind
from cem.runtime.tariff import TariffTask
from cem.simulation.memory import MemoryStore
from support.market import BERLIN, MarketHttp

STATIC = Tariff("Europe/Berlin", "EUR", 0.34, 0.08)
SITE = Site("Home", "Europe/Berlin", ElectricalConnection(), STATIC, ())
SERVICE = PriceService("awattar", "EUR", country="DE")
DYNAMIC = DynamicTariff(SERVICE, Markup(Tariff("Europe/Berlin", "EUR", 0.0, 0.0), per_kwh=0.1))
MONDAY = date(2026, 1, 5)
DAYS = {MONDAY + timedelta(days=n): [100.0 * (n + 1) + hour for hour in range(24)] for n in range(2)}
HOUR_S = 3600.0


class Grid:
    """A grid side that says what a test lets it say."""

    def __init__(self) -> None:
        self.said = Directive()

    def directive(self, now: Instant) -> Directive:
        """At this moment."""
        del now
        return self.said


class House:
    """A tariff task with its market on a virtual clock that starts at a local time of Monday."""

    def __init__(self, hour: int, minute: int = 0, store: MemoryStore | None = None) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualEventLoop)
        self.clock = VirtualClock(loop, datetime(2026, 1, 5, hour, minute, tzinfo=BERLIN))
        self.http = MarketHttp(self.clock, DAYS)
        self.store = store or MemoryStore()
        self.grid = Grid()
        self.changes = 0
        self.task = self.tariff()
        self.running = loop.create_task(self.task.run())

    def tariff(self, dynamic: DynamicTariff = DYNAMIC) -> TariffTask:
        source = AwattarPrices(dynamic.service, self.http)
        chance = random.Random(1)
        return TariffTask(SITE, dynamic, source, self.grid, self.store, self.clock, chance, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def price(self, task: TariffTask | None = None) -> float:
        now = self.clock.now()
        return (task or self.task).directive(now).prices_at(now.wall, STATIC)[0]

    async def until(self, hour: float) -> None:
        """Lets time pass until so many hours after Monday's midnight, local."""
        at = datetime(2026, 1, 5, tzinfo=BERLIN) + timedelta(hours=hour)
        await asyncio.sleep((at - self.clock.now().wall).total_seconds())


def play(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        await scene()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        runner.run(whole())


def test_tomorrow_is_asked_for_once_it_is_usually_out_and_not_before() -> None:
    async def scene() -> None:
        house = House(9)
        await house.until(12.9)
        assert len(house.http.asked) == 1
        assert house.price() == pytest.approx(0.112 + 0.1)
        await house.until(14)
        assert len(house.http.asked) == 2
        asked = house.http.asked[1].astimezone(BERLIN)
        assert asked >= datetime(2026, 1, 5, 13, tzinfo=BERLIN)
        assert house.changes == 2
        await house.until(25.5)
        assert house.price() == pytest.approx(0.201 + 0.1)
        assert len(house.http.asked) == 2

    play(scene)


def test_prices_that_come_late_are_asked_for_again_with_growing_pauses() -> None:
    async def scene() -> None:
        house = House(12)
        house.http.late = timedelta(hours=4)
        await house.until(16.8)
        asked = [at for at in house.http.asked if at.astimezone(BERLIN).hour >= 13]
        pauses = [(b - a).total_seconds() for a, b in pairwise(asked)]
        assert 5 <= len(pauses) <= 14
        assert all(pause <= 1800 * 1.25 for pause in pauses)
        assert "not published all of it yet" in house.task.status(house.clock.now().wall).detail
        assert house.task.trouble(house.clock.now().wall) == ""
        await house.until(18)
        assert house.task.status(house.clock.now().wall).known_until == datetime(2026, 1, 7, tzinfo=BERLIN)

    play(scene)


def test_an_outage_costs_nothing_until_the_prices_end_and_then_the_sites_own_tariff_holds() -> None:
    async def scene() -> None:
        house = House(12)
        await house.until(12.5)
        house.http.down = True
        await house.until(23.9)
        assert house.price() == pytest.approx(0.123 + 0.1)
        assert house.task.trouble(house.clock.now().wall) == ""
        await house.until(24.1)
        assert house.price() == 0.34
        status = house.task.status(house.clock.now().wall)
        assert (status.known, status.known_until) == (False, None)
        assert "no connection: unreachable" in house.task.trouble(house.clock.now().wall)
        house.http.down = False
        await house.until(25)
        assert house.price() == pytest.approx(0.201 + 0.1)
        assert house.task.trouble(house.clock.now().wall) == ""

    play(scene)


def test_a_restart_in_an_outage_knows_the_prices_of_before() -> None:
    async def scene() -> None:
        house = House(14)
        await house.until(14.5)
        house.http.down = True
        anew = house.tariff()
        await anew.restore()
        assert house.price(anew) == house.price() == pytest.approx(0.114 + 0.1)
        known = anew.status(house.clock.now().wall)
        assert known.known_until == datetime(2026, 1, 7, tzinfo=BERLIN)
        assert known.detail == "prices of awattar are known until Wed 07 Jan 00:00"

    play(scene)


def test_another_surcharge_counts_at_once_and_another_market_starts_from_nothing() -> None:
    async def scene() -> None:
        house = House(14)
        await house.until(14.5)
        dearer = house.tariff(DynamicTariff(SERVICE, Markup(DYNAMIC.markup.grid_fees, per_kwh=0.2)))
        austria = house.tariff(DynamicTariff(PriceService("awattar", "EUR", country="AT"), DYNAMIC.markup))
        await dearer.restore()
        await austria.restore()
        assert house.price(dearer) == pytest.approx(0.114 + 0.2)
        assert house.price(austria) == 0.34

    play(scene)


@pytest.mark.parametrize(
    "row",
    [
        None,
        [],
        {},
        {"service": SERVICE.key, "prices": 1},
        {"service": SERVICE.key, "prices": [[1]]},
        {"service": SERVICE.key, "prices": [["2026-01-05T14:00", "2026-01-05T15:00", 1, 1]]},
        {"service": SERVICE.key, "prices": [["2026-01-05T15:00Z", "2026-01-05T14:00Z", 1, 1]]},
        {"service": SERVICE.key, "prices": [["2026-01-05T13:00Z", "2026-01-05T14:00Z", "x", 1]]},
    ],
)
def test_a_stored_row_that_is_none_is_passed_over(row: Any) -> None:
    async def scene() -> None:
        house = House(14)
        house.http.down = True
        await house.store.commit([Put(StateKind.TARIFF, "prices", row)])
        anew = house.tariff()
        await anew.restore()
        assert house.price(anew) == 0.34

    play(scene)


def test_hours_that_are_missing_cost_what_the_sites_own_tariff_says() -> None:
    async def scene() -> None:
        house = House(9)
        house.http.hushed = frozenset(range(1, 24, 2))
        await house.until(10.5)
        assert house.price() == pytest.approx(0.110 + 0.1)
        await house.until(11.5)
        assert house.price() == 0.34
        await house.until(12.5)
        assert house.price() == pytest.approx(0.112 + 0.1)

    play(scene)


def test_a_price_of_a_grid_event_overrides_the_tariffs_and_the_tariff_is_no_event() -> None:
    async def scene() -> None:
        house = House(9)
        await house.until(9.5)
        now = house.clock.now()

        def seen() -> Prices:
            return prices_now(SITE, Inputs(now, Snapshot(now.mono_s, {}), house.task.directive(now)))

        assert seen().import_per_kwh == pytest.approx(0.209)
        assert (seen().export_per_kwh, seen().source, seen().until) == (0.08, "tariff", None)
        event = PriceWindow(now.wall, now.wall + timedelta(hours=1), 0.9, None, "utility")
        house.grid.said = Directive(prices=(event,))
        assert seen() == Prices(0.9, 0.08, "utility", event.end)
        assert house.task.directive(now) is house.task.directive(now)

    play(scene)


def test_the_plan_sees_every_known_price_and_expects_the_day_before_again() -> None:
    async def scene() -> None:
        house = House(9)
        await house.until(9.5)
        now = house.clock.now()
        request = build_request(now.wall, SITE, {}, [], Past(SITE), house.task.planned(now).prices, [])
        by_start = dict(zip(request.edges, request.import_price_per_kwh, strict=False))
        evening = datetime(2026, 1, 5, 20, 15, tzinfo=BERLIN)
        morning = datetime(2026, 1, 6, 8, 15, tzinfo=BERLIN)
        assert by_start[evening] == pytest.approx(0.120 + 0.1)
        assert by_start[morning] == pytest.approx(0.108 + 0.1)  # not yet published
        event = PriceWindow(evening, evening + timedelta(minutes=15), 0.9, None, "utility")
        house.grid.said = Directive(prices=(event,))
        request = build_request(now.wall, SITE, {}, [], Past(SITE), house.task.planned(now).prices, [])
        assert dict(zip(request.edges, request.import_price_per_kwh, strict=False))[evening] == 0.9

    play(scene)


def test_a_clock_that_is_not_set_asks_for_nothing() -> None:
    async def scene() -> None:
        house = House(9)
        house.clock.trusted = False
        await house.until(11)
        assert house.http.asked == []
        house.clock.trusted = True
        await house.until(11.1)
        assert len(house.http.asked) == 1

    play(scene)
