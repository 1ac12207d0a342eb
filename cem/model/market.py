"""Dynamic tariffs: what a market publishes, and what a house pays and gets by it."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import field
from datetime import datetime, timedelta

from cem.model.directive import PriceWindow
from cem.model.tariff import TARIFF, Tariff
from cem.model.values import value

QUARTER, MINUTE = timedelta(minutes=15), timedelta(minutes=1)


@value(frozen=True, slots=True)
class MarketPrice:
    """What a provider says for [start, end), in the currency of the site: what a bought kWh costs before the site's own
    surcharges, and what a sold one is worth on the market (None: it does not say)."""

    start: datetime
    end: datetime
    import_per_kwh: float
    export_per_kwh: float | None = None


@value(frozen=True, slots=True)
class PriceService:
    """Whom to ask: `[tariff.dynamic]`. `token` is the secret of a file; `url` None: the provider's own address."""

    provider: str  # "awattar", "entsoe", "octopus", "tibber"
    currency: str
    country: str = ""  # awattar
    area: str = ""  # entsoe: EIC code of the bidding zone
    sequence: int = 1  # entsoe: which of several auctions of an area; 1 is the coupled one
    tariff_code: str = ""  # octopus
    export_tariff_code: str = ""
    home: str = ""  # tibber: id; '': the only one
    token: str = field(repr=False, default="")
    url: str | None = None

    @property
    def key(self) -> str:
        """Tells prices of this service from those of another; no secret in it."""
        words = (self.provider, self.currency, self.country, self.area, str(self.sequence))
        return " ".join((*words, self.tariff_code, self.export_tariff_code, self.home, self.url or ""))


@value(frozen=True, slots=True)
class Markup:
    """From the market's price to the house's.

    A bought kWh costs (price + `percent` of its magnitude + `per_kwh` + the grid fee of the time), and `vat_percent` on
    all of it. Interpretation: a surcharge in percent is never a discount, so a negative price counts by its magnitude.
    `grid_fees` is a tariff of its own by time of use (such as module 3 of paragraph 14a EnWG, BNetzA BK8-22/010-A). A
    sold kWh brings the market's price less `export_fee_per_kwh` where `export_at_market`, else the tariff's own.
    """

    grid_fees: Tariff
    per_kwh: float = 0.0
    percent: float = 0.0
    vat_percent: float = 0.0
    export_at_market: bool = False
    export_fee_per_kwh: float = 0.0

    def windows(self, prices: Iterable[MarketPrice]) -> tuple[PriceWindow, ...]:
        """The house's prices, one window per market price, or more where the grid fee changes within one."""
        return tuple(window for price in prices for window in self._windows(price))

    def _windows(self, price: MarketPrice) -> Iterator[PriceWindow]:
        sold = None
        if self.export_at_market and price.export_per_kwh is not None:
            sold = price.export_per_kwh - self.export_fee_per_kwh
        for start, end, fee in self._fees(price.start, price.end):
            net = price.import_per_kwh + abs(price.import_per_kwh) * self.percent / 100 + self.per_kwh + fee
            yield PriceWindow(start, end, net * (1 + self.vat_percent / 100), sold, TARIFF)

    def _fees(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, float]]:
        """The grid fee over [start, end), in pieces of one fee each."""
        periods = self.grid_fees.periods
        if not periods:
            yield start, end, self.grid_fees.base_price_per_kwh
            return
        odd = any(clock.minute % 15 for period in periods for clock in (period.start, period.end))
        step = MINUTE if odd else QUARTER
        begun, fee = start, self.grid_fees.import_price_per_kwh(start)
        at = start + step
        while at < end:
            now = self.grid_fees.import_price_per_kwh(at)
            if now != fee:
                yield begun, at, fee
                begun, fee = at, now
            at += step
        yield begun, end, fee


@value(frozen=True, slots=True)
class DynamicTariff:
    """A dynamic tariff of a site: where its prices come from and what is added to them."""

    service: PriceService
    markup: Markup


def known_until(prices: Iterable[MarketPrice], now: datetime) -> datetime | None:
    """Until when the prices cover without a gap from now on; None: not even now. Oldest first, without overlap."""
    until: datetime | None = None
    for price in prices:
        if price.end <= now:
            continue
        if price.start > (now if until is None else until):
            break
        until = price.end
    return until


def beside(prices: Iterable[MarketPrice], others: Sequence[MarketPrice]) -> Iterator[MarketPrice]:
    """Those prices at whose time none of the others holds; these are in order and without overlap."""
    starts = [other.start for other in others]
    for price in prices:
        at = bisect_right(starts, price.start)
        before = at > 0 and others[at - 1].end > price.start
        after = at < len(others) and others[at].start < price.end
        if not before and not after:
            yield price


def merged(old: Iterable[MarketPrice], new: Sequence[MarketPrice], since: datetime) -> tuple[MarketPrice, ...]:
    """Both together without what ended before `since`; where they overlap the new ones hold."""
    both = (*new, *beside(old, new))
    return tuple(sorted((price for price in both if price.end > since), key=lambda price: price.start))
