"""A market for simulations: one recorded day of prices that repeats, each day published at 12:55 of the day before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cem.io.tariffs.awattar import awattar_prices
from cem.model.directive import PriceWindow
from cem.model.errors import GridError
from cem.model.market import MarketPrice, Markup, PriceService
from cem.ports import Clock, HttpAnswer

ZONE = ZoneInfo("Europe/Berlin")
PUBLISHED = time(12, 55)
LARGEST = 1 << 20
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RecordedDay:
    """Prices per kWh by the time of day, in minutes after midnight in the market's zone, `step` apart."""

    by_minute: Mapping[int, float]
    step: timedelta

    def price(self, at: datetime) -> float:
        """The price at an instant; on a day of 25 hours one hour comes twice, on one of 23 one is left out."""
        local = at.astimezone(ZONE)
        return self.by_minute[local.hour * 60 + local.minute]


def recorded_day(path: Path) -> RecordedDay:
    """The day of a file as aWATTar's data feed answers it; raises GridError for what is no whole day of prices."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise GridError(f"{path}: {error.strerror}; a recorded day of prices is needed") from error
    if len(content) > LARGEST:
        raise GridError(f"{path}: more than {LARGEST} bytes; this is no recorded day of prices")
    try:
        prices = awattar_prices(HttpAnswer(200, {}, content))
    except GridError as error:
        raise GridError(f"{path}: {error}") from error
    steps = {price.end - price.start for price in prices}
    found: dict[int, float] = {}
    for price in prices:
        local = price.start.astimezone(ZONE)
        found.setdefault(local.hour * 60 + local.minute, price.import_per_kwh)
    step = min(steps, default=DAY)
    minutes = step // timedelta(minutes=1)
    if len(steps) != 1 or not minutes or 60 % minutes or set(found) != set(range(0, 24 * 60, minutes)):
        raise GridError(f"{path}: {len(prices)} prices; all of one whole day by the hour or quarter are needed")
    return RecordedDay(found, step)


class RecordedMarket:
    """`cem.ports.PriceSource` for a simulated gateway; without a day there is no market."""

    def __init__(self, service: PriceService, day: RecordedDay | None, clock: Clock) -> None:
        self._service = service
        self._day = day
        self._clock = clock

    async def prices(self, start: datetime, end: datetime) -> tuple[MarketPrice, ...]:
        """What is published for [start, end), from the beginning of its hour on."""
        day = self._day
        if day is None:
            raise GridError(f"{self._service.provider}: there is no market in this simulation")
        now = self._clock.now().wall
        today = now.astimezone(ZONE)
        days = 2 if today.time() >= PUBLISHED else 1
        known = datetime.combine(today.date() + days * DAY, time(0), ZONE).astimezone(UTC)
        at, found = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0), []
        while at < min(end, known):
            price = day.price(at)
            found.append(MarketPrice(at, at + day.step, price, price))
            at += day.step
        return tuple(found)

    async def close(self) -> None:
        """Nothing to close."""


class Contract:
    """What a kWh costs by a dynamic tariff at any instant, from the recorded day itself."""

    def __init__(self, markup: Markup, day: RecordedDay) -> None:
        self._markup = markup
        self._day = day
        self._windows: tuple[PriceWindow, ...] = ()

    def price(self, at: datetime) -> PriceWindow:
        """The window of an aware instant."""
        known = _covering(self._windows, at)
        if known is not None:
            return known
        minutes = self._day.step // timedelta(minutes=1)
        start = at.astimezone(UTC).replace(minute=at.minute // minutes * minutes, second=0, microsecond=0)
        price = self._day.price(start)
        self._windows = self._markup.windows([MarketPrice(start, start + self._day.step, price, price)])
        found = _covering(self._windows, at)
        assert found is not None
        return found


def _covering(windows: Iterable[PriceWindow], at: datetime) -> PriceWindow | None:
    return next((window for window in windows if window.start <= at and (window.end is None or at < window.end)), None)
