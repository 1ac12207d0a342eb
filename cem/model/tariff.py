"""Prices that the house itself knows: the contract's tariff, expanded in local time."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from cem.model.values import value

TARIFF = "tariff"
"""The source of the contract's own prices, fixed or dynamic."""
ALL_DAYS = frozenset(range(7))
ALL_MONTHS = frozenset(range(1, 13))


@value(frozen=True, slots=True)
class TariffPeriod:
    """From `start` to `end` local time on the given weekdays (0 = Monday) of the given months (1 = January); an end of
    00:00 is midnight."""

    start: time
    end: time
    import_price_per_kwh: float
    weekdays: frozenset[int] = ALL_DAYS
    months: frozenset[int] = ALL_MONTHS

    def covers(self, local: datetime) -> bool:
        """Whether a local time falls into the period; a period may run over midnight (its day is where it began)."""
        clock = local.time()
        if self.start < self.end or self.end == time(0):
            return self.start <= clock and (clock < self.end or self.end == time(0)) and self._begins_on(local)
        if clock >= self.start:
            return self._begins_on(local)
        return clock < self.end and self._begins_on(local - timedelta(days=1))

    def _begins_on(self, day: datetime) -> bool:
        return day.weekday() in self.weekdays and day.month in self.months


@value(frozen=True, slots=True)
class Tariff:
    """A time-of-use tariff; `base_price_per_kwh` holds where no period covers."""

    zone: str
    currency: str
    base_price_per_kwh: float
    export_price_per_kwh: float
    periods: tuple[TariffPeriod, ...] = ()
    peak_price_per_kw: float = 0.0  # of the highest mean import of a quarter hour in each month
    ghg_price_per_t: float = 0.0  # what a tonne of greenhouse gas weighs for the owner
    load_shape_per_kwh: float = 0.1  # what it weighs to consume where a load shape does not want it

    def weight_per_kwh(self, ghg_g_per_kwh: float | None, load_shape: float | None) -> float:
        """What is added to the import price for decisions (OpenADR 3.1 Definition, "local price"); on no bill."""
        ghg = 0.0 if ghg_g_per_kwh is None else ghg_g_per_kwh * self.ghg_price_per_t / 1e6
        return ghg + (0.0 if load_shape is None else (1.0 - load_shape) * self.load_shape_per_kwh)

    def import_price_per_kwh(self, at: datetime) -> float:
        """The contract's import price at an aware instant."""
        local = at.astimezone(ZoneInfo(self.zone))
        for period in self.periods:
            if period.covers(local):
                return period.import_price_per_kwh
        return self.base_price_per_kwh
