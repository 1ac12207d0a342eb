"""A market for simulations: recorded days of prices that repeat, each day published at 12:55 of the day before."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
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
class RecordedDays:
    """Prices per kWh of days from `first` on, by minutes after midnight in the market's zone, `step` apart."""

    first: date
    by_minute: tuple[Mapping[int, float], ...]
    step: timedelta

    def price(self, at: datetime) -> float:
        """The price at an instant; on a day of 25 hours one hour comes twice, on one of 23 one is left out."""
        local = at.astimezone(ZONE)
        day = self.by_minute[(local.date() - self.first).days % len(self.by_minute)]
        return day[local.hour * 60 + local.minute]


def recorded_days(path: Path) -> RecordedDays:
    """The days of a file as aWATTar's data feed answers it; raises GridError for what is not made of whole days.

    An hour that the clock leaves out in spring has the price of the one before, for the days on which it is there.
    """
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
    days: dict[date, dict[int, float]] = {}
    for price in prices:
        local = price.start.astimezone(ZONE)
        days.setdefault(local.date(), {}).setdefault(local.hour * 60 + local.minute, price.import_per_kwh)
    step = min(steps, default=DAY)
    minutes = step // timedelta(minutes=1)
    whole = set(range(0, 24 * 60, minutes)) if minutes and len(steps) == 1 and not 60 % minutes else None
    dates = sorted(days)
    for day, known in days.items() if whole else ():
        for minute in _left_out(day, minutes):  # another day's turn may have that hour
            known[minute] = known.get(minute - minutes, next(iter(known.values())))
    if (
        whole is None
        or any(set(day) != whole for day in days.values())
        or dates[-1] - dates[0] != (len(days) - 1) * DAY
    ):
        raise GridError(f"{path}: {len(prices)} prices; all of whole days by the hour or quarter are needed")
    return RecordedDays(dates[0], tuple(days[one] for one in dates), step)


def _left_out(day: date, step: int) -> list[int]:
    """The minutes after midnight, `step` apart, that the clock on the wall leaves out on a day of 23 hours."""
    walls = (datetime.combine(day, time(minute // 60, minute % 60)) for minute in range(0, 24 * 60, step))
    return [
        wall.hour * 60 + wall.minute
        for wall in walls
        if wall.replace(tzinfo=ZONE).astimezone(UTC).astimezone(ZONE).replace(tzinfo=None) != wall
    ]


class RecordedMarket:
    """`cem.ports.PriceSource` for a simulated gateway; without days there is no market."""

    def __init__(self, service: PriceService, days: RecordedDays | None, clock: Clock) -> None:
        self._service = service
        self._days = days
        self._clock = clock

    async def prices(self, start: datetime, end: datetime) -> tuple[MarketPrice, ...]:
        """What is published for [start, end), from the beginning of its hour on."""
        days = self._days
        if days is None:
            raise GridError(f"{self._service.provider}: there is no market in this simulation")
        now = self._clock.now().wall
        today = now.astimezone(ZONE)
        ahead = 2 if today.time() >= PUBLISHED else 1
        known = datetime.combine(today.date() + ahead * DAY, time(0), ZONE).astimezone(UTC)
        at, found = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0), []
        while at < min(end, known):
            price = days.price(at)
            found.append(MarketPrice(at, at + days.step, price, price))
            at += days.step
        return tuple(found)

    async def close(self) -> None:
        """Nothing to close."""


class Contract:
    """What a kWh costs by a dynamic tariff at any instant, from the recorded days themselves."""

    def __init__(self, markup: Markup, days: RecordedDays) -> None:
        self._markup = markup
        self._days = days
        self._windows: tuple[PriceWindow, ...] = ()

    def price(self, at: datetime) -> PriceWindow:
        """The window of an aware instant."""
        known = _covering(self._windows, at)
        if known is not None:
            return known
        minutes = self._days.step // timedelta(minutes=1)
        start = at.astimezone(UTC).replace(minute=at.minute // minutes * minutes, second=0, microsecond=0)
        price = self._days.price(start)
        self._windows = self._markup.windows([MarketPrice(start, start + self._days.step, price, price)])
        found = _covering(self._windows, at)
        assert found is not None
        return found


def _covering(windows: Iterable[PriceWindow], at: datetime) -> PriceWindow | None:
    return next((window for window in windows if window.start <= at and (window.end is None or at < window.end)), None)
