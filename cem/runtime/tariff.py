"""A dynamic tariff: fetched, kept over restarts and outages, and added to what the grid says."""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from random import Random
from sqlite3 import Error as DiskError
from typing import Protocol
from zoneinfo import ZoneInfo

from cem.model.directive import Directive, PriceWindow
from cem.model.errors import CemError
from cem.model.market import DynamicTariff, MarketPrice, Markup, known_until, merged
from cem.model.site import Site
from cem.model.status import TariffStatus
from cem.model.time import Instant
from cem.model.values import replace
from cem.ports import Clock, Json, PriceSource, Put, StateKind, StateStore

log = logging.getLogger(__name__)

MARKET_ZONE = ZoneInfo("Europe/Berlin")
"""A day of the market is one of central European time, that of Octopus' Agile too (23:00 to 23:00 in London)."""
PUBLISHED = {"octopus": time(17)}
"""When tomorrow's prices are usually out, in that zone; Octopus says by 16:00 in London."""
USUALLY_PUBLISHED = time(13)
SPREAD_S = 600.0  # each house asks so much later, by chance
KEPT = timedelta(hours=48)
DAY = timedelta(days=1)
FETCH_S = 60.0
FIRST_RETRY_S, LONGEST_RETRY_S = 60.0, 1800.0
LOOK_S = 900.0  # a wall clock that was set is noticed
CLOCK_S = 30.0
KEY = "prices"


class GridSide(Protocol):
    """What the grid says by message and by wire."""

    def directive(self, now: Instant) -> Directive:
        """At this moment."""


class TariffTask:
    """Keeps the prices of a dynamic tariff. `directive` is the grid's, with the price of now behind its events.

    Where no price is known for now, nothing is added: the site's own tariff holds, and the status says so.
    """

    def __init__(
        self,
        site: Site,
        tariff: DynamicTariff,
        source: PriceSource,
        grid: GridSide,
        store: StateStore,
        clock: Clock,
        chance: Random,
        on_change: Callable[[], None],
    ) -> None:
        self._site = site
        self._tariff = tariff
        self._source = source
        self._grid = grid
        self._store = store
        self._clock = clock
        self._chance = chance
        self._on_change = on_change
        self._after_s = SPREAD_S * site.chance("tariff")
        self._prices: tuple[MarketPrice, ...] = ()
        self._windows: tuple[PriceWindow, ...] = ()
        self._expected: tuple[PriceWindow, ...] = ()  # beyond them
        self._starts: list[datetime] = []
        self._joined: tuple[Directive, PriceWindow, Directive] | None = None  # what was told last, and of what
        self._tries = 0  # in a row without all that should be known
        self._trouble = ""

    async def restore(self) -> None:
        """Takes the prices that were known before this start."""
        row = (await self._store.load(StateKind.TARIFF)).get(KEY)
        if row is None:
            return
        try:
            service, prices = _prices_of(row)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            log.warning("tariff: the stored prices can't be read (%r); they are fetched anew", error)
            return
        if service == self._tariff.service.key:
            await self._take(prices)

    def directive(self, now: Instant) -> Directive:
        """What the grid says at this moment, and the tariff's price of now behind it."""
        said = self._grid.directive(now)
        window = self._window(now.wall)
        if window is None:
            return said
        if self._joined is None or said is not self._joined[0] or window is not self._joined[1]:
            self._joined = (said, window, replace(said, prices=(*said.prices, window)))
        return self._joined[2]

    def planned(self, now: Instant) -> Directive:
        """The same with every price that is known from now on, for the plan.

        Beyond them, as long as there is one for now, a price is expected to be that of the day before at the same time.
        """
        said = self._grid.directive(now)
        return replace(said, prices=(*said.prices, *self._ahead(now.wall)))

    def _ahead(self, now: datetime) -> tuple[PriceWindow, ...]:
        known = tuple(window for window in self._windows if window.end is None or window.end > now)
        return known if known_until(self._prices, now) is None else known + self._expected

    def _window(self, now: datetime) -> PriceWindow | None:
        at = bisect_right(self._starts, now) - 1
        if at < 0:
            return None
        window = self._windows[at]
        return window if window.end is None or now < window.end else None

    def status(self, now: datetime) -> TariffStatus:
        """Where the price of now comes from, until when prices are known, and what is wrong."""
        who = self._tariff.service.provider
        until = known_until(self._prices, now)
        if until is not None:
            local = until.astimezone(ZoneInfo(self._site.zone))
            late = f"; no news: {self._trouble}" if self._trouble else ""
            return TariffStatus(who, True, until, f"prices of {who} are known until {local:%a %d %b %H:%M}{late}")
        why = self._trouble or "not asked yet"
        return TariffStatus(who, False, None, f"no price of {who} is known for now: {why}")

    def trouble(self, now: datetime) -> str:
        """What a person should know: no price for now although it was asked for; '' when all is well."""
        return self.status(now).detail if self._trouble and known_until(self._prices, now) is None else ""

    async def run(self) -> None:
        """Until cancelled: asks when something new should be out, and again, with growing pauses, until it is."""
        while True:
            pause_s = await self._once()
            await asyncio.sleep(pause_s)

    async def _once(self) -> float:
        """Asks if it is time to; how long to wait then, in seconds."""
        now = self._clock.now()
        if not now.trusted:
            return CLOCK_S
        wanted = self._wanted_until(now.wall)
        if self._knows(now.wall, wanted):
            self._tries, self._trouble = 0, ""
            return LOOK_S
        await self._fetch(now.wall, wanted)
        if self._knows(now.wall, wanted):
            if self._tries:
                log.info("tariff: prices of %s are complete again", self._tariff.service.provider)
            self._tries, self._trouble = 0, ""
            return LOOK_S
        self._tries += 1
        pause_s = min(LONGEST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._tries - 1, 10))
        return pause_s * (0.75 + 0.5 * self._chance.random())

    def _knows(self, now: datetime, wanted: datetime) -> bool:
        until = known_until(self._prices, now)
        return until is not None and until >= wanted

    def _wanted_until(self, now: datetime) -> datetime:
        """The end of today's market day; of tomorrow's once its prices are usually out."""
        today = now.astimezone(MARKET_ZONE).date()
        out_at = datetime.combine(today, PUBLISHED.get(self._tariff.service.provider, USUALLY_PUBLISHED), MARKET_ZONE)
        days = 2 if now >= out_at + timedelta(seconds=self._after_s) else 1
        return datetime.combine(today + days * DAY, time(0), MARKET_ZONE).astimezone(UTC)

    async def _fetch(self, now: datetime, wanted: datetime) -> None:
        who = self._tariff.service.provider
        begin = datetime.combine(now.astimezone(MARKET_ZONE).date(), time(0), MARKET_ZONE).astimezone(UTC)
        try:
            async with asyncio.timeout(FETCH_S):
                found = await self._source.prices(begin, wanted)
        except TimeoutError:
            self._failed(f"no answer within {FETCH_S:g} s")
            return
        except CemError as error:
            self._failed(str(error))
            return
        prices = merged(self._prices, found, now - KEPT)
        changed = prices != self._prices
        if changed:
            await self._take(prices)
            log.info("tariff: %s", self.status(now).detail)
            self._on_change()
            await self._keep(now)
        if not self._knows(now, wanted):
            self._failed(f"{who} has not published all of it yet" if found else f"{who} has published nothing yet")

    def _failed(self, why: str) -> None:
        if why != self._trouble:
            log.warning("tariff: %s; what is known holds until it ends, then the site's own tariff", why)
        self._trouble = why

    async def _take(self, prices: tuple[MarketPrice, ...]) -> None:
        """Days of grid fees that change by the minute take a while: not in the tick's thread."""
        windows, expected = await asyncio.to_thread(_worked_out, self._tariff.markup, prices)
        self._prices, self._windows, self._expected = prices, windows, expected
        self._starts = [window.start for window in windows]

    async def _keep(self, now: datetime) -> None:
        rows: list[Json] = [
            [price.start.isoformat(), price.end.isoformat(), price.import_per_kwh, price.export_per_kwh]
            for price in self._prices
        ]
        row: Json = {"service": self._tariff.service.key, "fetched_at": now.isoformat(), "prices": rows}
        try:
            await self._store.commit([Put(StateKind.TARIFF, KEY, row)])
        except (CemError, DiskError, OSError) as error:
            log.warning("tariff: %s; the prices are in memory alone", error)

    async def close(self) -> None:
        """Closes the connections."""
        await self._source.close()


def _worked_out(
    markup: Markup, prices: tuple[MarketPrice, ...]
) -> tuple[tuple[PriceWindow, ...], tuple[PriceWindow, ...]]:
    """The house's prices, and those that are expected beyond them: of the day before, at the same time."""
    last = max((price.end for price in prices), default=None)
    again = (replace(price, start=price.start + DAY, end=price.end + DAY) for price in prices)
    return markup.windows(prices), markup.windows(price for price in again if last is not None and price.start >= last)


def _prices_of(row: Json) -> tuple[str, tuple[MarketPrice, ...]]:
    """The service and its prices out of a stored row."""
    if not isinstance(row, dict) or not isinstance(row["prices"], list):
        raise ValueError("not a row of prices")
    prices = tuple(_price_of(item) for item in row["prices"])
    if any(one.start >= one.end or one.start.tzinfo is None for one in prices):
        raise ValueError("a price without a time")
    return str(row["service"]), prices


def _price_of(item: Json) -> MarketPrice:
    if not isinstance(item, list):
        raise ValueError("not a price")
    start, end, bought, sold = item
    sells = None if sold is None else float(str(sold))
    return MarketPrice(datetime.fromisoformat(str(start)), datetime.fromisoformat(str(end)), float(str(bought)), sells)
