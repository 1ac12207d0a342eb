"""From the market's prices to the house's: surcharges, grid fees, taxes, what is sold; and until when they hold."""

from datetime import datetime, time, timedelta

import pytest

from cem.model.market import MarketPrice, Markup, PriceService, known_until, merged
from cem.model.tariff import ALL_DAYS, Tariff, TariffPeriod
from support.market import utc

HOUR = timedelta(hours=1)
NO_FEES = Tariff("Europe/Berlin", "EUR", 0.0, 0.0)


def hours(start: datetime, *prices: float) -> tuple[MarketPrice, ...]:
    return tuple(MarketPrice(start + n * HOUR, start + (n + 1) * HOUR, price, price) for n, price in enumerate(prices))


@pytest.mark.parametrize(
    ("markup", "market", "paid"),
    [
        (Markup(NO_FEES), 0.1, 0.1),
        (Markup(NO_FEES, per_kwh=0.02), 0.1, 0.12),
        (Markup(NO_FEES, percent=3), 0.1, 0.103),
        (Markup(NO_FEES, percent=3), -0.1, -0.097),  # a surcharge is never a discount
        (Markup(NO_FEES, vat_percent=19), 0.1, 0.119),
        (Markup(NO_FEES, vat_percent=19), -0.1, -0.119),
        (Markup(Tariff("UTC", "EUR", 0.08, 0.0), 0.02, 3, 19), 0.1, (0.103 + 0.02 + 0.08) * 1.19),
    ],
)
def test_a_bought_kwh_costs_the_market_price_and_what_comes_on_top(markup: Markup, market: float, paid: float) -> None:
    (window,) = markup.windows(hours(utc("2026-01-01T00:00"), market))
    assert window.import_price_per_kwh == pytest.approx(paid)
    assert window.export_price_per_kwh is None
    assert window.source == "tariff"


def test_a_sold_kwh_brings_the_market_price_less_a_fee_where_it_is_sold_there() -> None:
    markup = Markup(NO_FEES, per_kwh=0.1, vat_percent=19, export_at_market=True, export_fee_per_kwh=0.01)
    known, unknown = markup.windows(
        (*hours(utc("2026-01-01T00:00"), -0.02), MarketPrice(utc("2026-01-01T01:00"), utc("2026-01-01T02:00"), 0.2))
    )
    assert known.export_price_per_kwh == pytest.approx(-0.03)
    assert unknown.export_price_per_kwh is None


def test_grid_fees_by_time_of_use_cut_a_price_where_they_change() -> None:
    """High from 17:30 to 20:00 in winter months, low at night, in local time."""
    high = TariffPeriod(time(17, 30), time(20), 0.12, months=frozenset({1, 2, 3, 10, 11, 12}))
    low = TariffPeriod(time(22), time(6), 0.01)
    markup = Markup(Tariff("Europe/Berlin", "EUR", 0.08, 0.0, (high, low)))
    winter = markup.windows(hours(utc("2026-01-05T16:00"), 0.1, 0.1))
    starts = ["2026-01-05T16:00", "2026-01-05T16:30", "2026-01-05T17:00"]
    assert [w.start for w in winter] == [utc(start) for start in starts]
    assert [w.import_price_per_kwh for w in winter] == pytest.approx([0.18, 0.22, 0.22])
    assert [w.end for w in winter] == [utc("2026-01-05T16:30"), utc("2026-01-05T17:00"), utc("2026-01-05T18:00")]
    summer = markup.windows(hours(utc("2026-07-05T15:00"), 0.1, 0.1))
    assert [w.import_price_per_kwh for w in summer] == pytest.approx([0.18, 0.18])


def test_a_fee_that_changes_at_an_odd_minute_is_followed_to_the_minute() -> None:
    markup = Markup(Tariff("UTC", "EUR", 0.0, 0.0, (TariffPeriod(time(1, 7), time(1, 9), 1.0),)))
    windows = markup.windows(hours(utc("2026-01-01T01:00"), 0.0))
    assert [(w.start.minute, w.import_price_per_kwh) for w in windows] == [(0, 0.0), (7, 1.0), (9, 0.0)]


def test_grid_fees_follow_the_clock_on_the_wall_over_its_change() -> None:
    """On 29 March 2026 Berlin has no hour from two to three."""
    night = TariffPeriod(time(1), time(4), 1.0)
    markup = Markup(Tariff("Europe/Berlin", "EUR", 0.0, 0.0, (night,)))
    windows = markup.windows(hours(utc("2026-03-28T23:00"), *[0.0] * 23))
    assert sum(window.import_price_per_kwh or 0.0 for window in windows) == 2.0


def test_a_period_over_midnight_belongs_to_the_month_in_which_it_begins() -> None:
    period = TariffPeriod(time(22), time(6), 1.0, ALL_DAYS, frozenset({1}))
    assert period.covers(datetime(2026, 1, 31, 23))  # noqa: DTZ001 - local times
    assert period.covers(datetime(2026, 2, 1, 5, 59))  # noqa: DTZ001
    assert not period.covers(datetime(2026, 1, 1, 5))  # noqa: DTZ001
    assert not period.covers(datetime(2026, 2, 1, 23))  # noqa: DTZ001


def test_prices_are_known_until_the_first_gap() -> None:
    first, second, third = hours(utc("2026-01-01T00:00"), 1, 2, 3)
    now = utc("2026-01-01T00:30")
    assert known_until((first, second, third), now) == third.end
    assert known_until((first, third), now) == first.end
    assert known_until((second, third), now) is None
    assert known_until((), now) is None
    assert known_until((first,), first.end) is None


def test_newer_prices_hold_where_both_are_known() -> None:
    start = utc("2026-01-01T00:00")
    old = hours(start, 1, 1, 1, 1)
    quarter = MarketPrice(start + 2 * HOUR, start + 2 * HOUR + HOUR / 4, 9)
    both = merged(old, (quarter,), start + HOUR)
    assert [(p.start, p.import_per_kwh) for p in both] == [
        (start + HOUR, 1),
        (start + 2 * HOUR, 9),
        (start + 3 * HOUR, 1),
    ]


def test_the_token_is_in_no_representation_and_no_key() -> None:
    service = PriceService("tibber", "NOK", token="hush-hush")
    assert "hush" not in repr(service) + service.key
