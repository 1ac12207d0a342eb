"""What providers of dynamic tariffs answer, to prices: recorded examples, time changes, and what is refused."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from cem.io.tariffs.awattar import awattar_prices
from cem.io.tariffs.entsoe import entsoe_prices
from cem.io.tariffs.octopus import octopus_rates, product_of
from cem.io.tariffs.tibber import tibber_prices
from cem.model.errors import GridError
from cem.model.market import MarketPrice
from cem.ports import HttpAnswer
from support.market import (
    awattar_day,
    awattar_row,
    entsoe_acknowledgement,
    entsoe_document,
    entsoe_series,
    octopus_rate,
    said,
    tibber_home,
    tibber_homes,
    utc,
)

QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
DAY = ("2026-09-24T22:00Z", "2026-09-25T22:00Z")


def test_awattars_published_example_is_read() -> None:
    """The example of aWATTar's market data in its API description (apis.io, "aWATTar Market Data Example")."""
    body = {
        "object": "list",
        "data": [
            {"start_timestamp": 1428591600000, "end_timestamp": 1428595200000, "marketprice": 42.09, "unit": "Eur/MWh"},
            {"start_timestamp": 1428595200000, "end_timestamp": 1428598800000, "marketprice": 38.50, "unit": "Eur/MWh"},
            {"start_timestamp": 1428598800000, "end_timestamp": 1428602400000, "marketprice": -5.12, "unit": "Eur/MWh"},
        ],
    }
    first, _, third = awattar_prices(said(body))
    assert (first.start, first.end) == (utc("2015-04-09T15:00"), utc("2015-04-09T16:00"))
    assert first.import_per_kwh == first.export_per_kwh == pytest.approx(0.04209)
    assert third.import_per_kwh == pytest.approx(-0.00512)


def test_octopus_published_example_is_read() -> None:
    """The example of standard unit rates in Octopus' API description (apis.io): newest first, one of them negative."""
    body = {
        "count": 3,
        "next": None,
        "previous": None,
        "results": [
            octopus_rate("2026-05-25T22:30:00Z", "2026-05-25T23:00:00Z", 14.1),
            octopus_rate("2026-05-25T22:00:00Z", "2026-05-25T22:30:00Z", 12.2),
            octopus_rate("2026-05-25T13:00:00Z", "2026-05-25T13:30:00Z", -3.0),
        ],
    }
    rates = octopus_rates(said(body), utc("2026-05-25T00:00"), utc("2026-05-26T00:00"))
    assert list(rates) == [utc("2026-05-25T13:00"), utc("2026-05-25T22:00"), utc("2026-05-25T22:30")]
    until, price = rates[utc("2026-05-25T13:00")]
    assert until == utc("2026-05-25T13:30")
    assert price == pytest.approx(-0.03)


def test_an_octopus_rate_without_an_end_holds_for_as_long_as_was_asked() -> None:
    body = {
        "results": [
            octopus_rate("2026-05-01T00:00:00+01:00", None, 20.0, "DIRECT_DEBIT"),
            octopus_rate("2026-05-01T00:00:00+01:00", None, 22.0, "NON_DIRECT_DEBIT"),
        ]
    }
    rates = octopus_rates(said(body), utc("2026-05-25T00:00"), utc("2026-05-25T01:15"))
    assert [(end - start, price) for start, (end, price) in rates.items()] == [
        (timedelta(minutes=30), 0.2),
        (timedelta(minutes=30), 0.2),
        (timedelta(minutes=15), 0.2),
    ]


def test_the_product_is_a_part_of_the_tariff_code() -> None:
    """Octopus' guide: tariff E-1R-VAR-20-09-22-N; products AGILE-24-10-01 and AGILE-OUTGOING-19-05-13."""
    assert product_of("E-1R-VAR-20-09-22-N") == "VAR-20-09-22"
    assert product_of("E-1R-AGILE-OUTGOING-19-05-13-C") == "AGILE-OUTGOING-19-05-13"


def test_tibbers_published_example_is_read() -> None:
    """The price of Tibber's example (apis.io, "Tibber Current Price Example"): total 1.2418 of which energy 0.7843."""
    home = tibber_home([("2026-05-25T14:00:00+02:00", 1.2418, 0.7843)])
    (price,) = tibber_prices(said(tibber_homes(home)), "NOK")
    assert price == MarketPrice(utc("2026-05-25T12:00"), utc("2026-05-25T13:00"), 1.2418, 0.7843)


def test_tibber_prices_by_the_quarter_of_an_hour_hold_for_one() -> None:
    starts = ["2026-05-25T23:30:00+02:00", "2026-05-25T23:45:00+02:00"]
    home = tibber_home([(s, 1.0, 0.5) for s in starts], [("2026-05-26T00:00:00+02:00", 2.0, 1.5)])
    prices = tibber_prices(said(tibber_homes({"id": "x", "currentSubscription": None}, home)), "NOK")
    assert [p.end - p.start for p in prices] == [QUARTER] * 3
    assert prices[-1].import_per_kwh == 2.0


def test_tomorrow_may_not_be_there_yet() -> None:
    body = tibber_homes(tibber_home([("2026-05-25T14:00:00+02:00", 1.0, 0.5)]))
    body["data"]["viewer"]["homes"][0]["currentSubscription"]["priceInfo"]["tomorrow"] = None  # type: ignore[index]
    assert len(tibber_prices(said(body), "NOK")) == 1


def test_the_coupled_auction_is_taken_wherever_it_stands_in_the_document() -> None:
    """A recorded answer for DE-LU (25 September 2026): the first series is of the other auction, sequence 2."""
    document = entsoe_document(
        [
            entsoe_series(*DAY, {1: 192.55}, sequence=2),
            entsoe_series(*DAY, {1: 196.99, 2: 184.40, 3: 175.79, 4: 170.59}, sequence=1),
        ]
    )
    prices = entsoe_prices(said(document), "EUR")
    assert len(prices) == 96
    assert [p.import_per_kwh for p in prices[:5]] == pytest.approx([0.19699, 0.1844, 0.17579, 0.17059, 0.17059])
    assert entsoe_prices(said(document), "EUR", 2)[0].import_per_kwh == pytest.approx(0.19255)
    only_other = entsoe_document([entsoe_series(*DAY, {1: 192.55}, sequence=2)])
    with pytest.raises(GridError, match="only sequence 2 is published"):
        entsoe_prices(said(only_other), "EUR")


def test_a_position_that_is_left_out_repeats_the_one_before_in_a_curve_of_variable_blocks_alone() -> None:
    """As recorded in June 2024: 0 at position 53, nothing at 54, -16.75 at 55."""
    points = {53: 0, 55: -16.75}
    repeated = entsoe_prices(said(entsoe_document([entsoe_series(*DAY, points)])), "EUR")
    fixed = entsoe_prices(said(entsoe_document([entsoe_series(*DAY, points, curve="A01")])), "EUR")
    start = utc("2026-09-24T22:00")
    assert [(p.start - start) // QUARTER + 1 for p in repeated] == list(range(53, 97))
    assert [p.import_per_kwh for p in repeated[:3]] == [0, 0, -0.01675]
    assert [(p.start - start) // QUARTER + 1 for p in fixed] == [53, 55]


def test_where_hours_and_quarters_are_both_published_the_quarters_hold() -> None:
    document = entsoe_document(
        [
            entsoe_series(*DAY, {1: 100, 2: 50}, resolution="PT60M", sequence=None),
            entsoe_series("2026-09-24T22:00Z", "2026-09-24T23:00Z", {1: 90, 2: 95, 3: 105, 4: 110}, sequence=None),
        ]
    )
    prices = entsoe_prices(said(document), "EUR")
    assert [p.end - p.start for p in prices] == [QUARTER] * 4 + [HOUR] * 23
    assert prices[0].import_per_kwh == pytest.approx(0.09)


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-03-28T23:00Z", "2026-03-29T22:00Z", 23),
        ("2026-03-29T22:00Z", "2026-03-30T22:00Z", 24),
        ("2026-10-24T22:00Z", "2026-10-25T23:00Z", 25),
    ],
)
def test_days_of_23_and_25_hours_are_whole(start: str, end: str, hours: int) -> None:
    for resolution, a_day in (("PT60M", hours), ("PT15M", hours * 4)):
        points = {position: position for position in range(1, a_day + 1)}
        prices = entsoe_prices(said(entsoe_document([entsoe_series(start, end, points, resolution=resolution)])), "EUR")
        assert len(prices) == a_day
        assert prices[-1].end - prices[0].start == timedelta(hours=hours)
        assert all(a.end == b.start for a, b in pairwise(prices))
    begin = prices[0].start
    assert len(awattar_prices(said(awattar_day(begin, range(hours))))) == hours


def test_nothing_published_yet_is_no_fault_but_a_refusal_is_one() -> None:
    nothing = entsoe_acknowledgement("999", "No matching data found for Data item Day-ahead Prices [12.1.D]")
    assert entsoe_prices(said(nothing), "EUR") == ()
    assert entsoe_prices(said(nothing, 400), "EUR") == ()
    with pytest.raises(GridError, match="Delivered time interval is not valid"):
        entsoe_prices(said(entsoe_acknowledgement("100", "Delivered time interval is not valid"), 400), "EUR")
    assert awattar_prices(said({"object": "list", "data": []})) == ()


BEGIN = utc("2026-01-01T00:00")
Read = Callable[[HttpAnswer], object]


def _entsoe(answer: HttpAnswer) -> object:
    return entsoe_prices(answer, "EUR")


def _tibber(answer: HttpAnswer) -> object:
    return tibber_prices(answer, "NOK")


def _octopus(answer: HttpAnswer) -> object:
    return octopus_rates(answer, BEGIN, BEGIN + timedelta(days=2))


def _rows(*rows: object) -> HttpAnswer:
    return said({"data": list(rows)})


def _series(points: dict[int, object], start: str = DAY[0], end: str = DAY[1], **more: object) -> HttpAnswer:
    return said(entsoe_document([entsoe_series(start, end, points, **more)]))  # type: ignore[arg-type]


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>'


@pytest.mark.parametrize(
    ("read", "answer", "words"),
    [
        (awattar_prices, said(b"<html>"), "not JSON"),
        (awattar_prices, said(b"[" * 100_000), "not JSON"),
        (awattar_prices, said(b'{"data": [{"marketprice": NaN}]}'), "not JSON"),
        (awattar_prices, said([]), "not an object"),
        (awattar_prices, said({}), "data is not a list"),
        (awattar_prices, said({"data": [1]}), "not an object"),
        (awattar_prices, said({"data": [{}] * 2001}), "at most 2000"),
        (awattar_prices, said({}, 429), "status 429"),
        (awattar_prices, _rows(awattar_row(BEGIN, "7")), "no number"),
        (awattar_prices, _rows(awattar_row(BEGIN, True)), "no number"),
        (awattar_prices, _rows(awattar_row(BEGIN, 1e9)), "is no price"),
        (awattar_prices, _rows(awattar_row(BEGIN, 10**400)), "no number"),
        (awattar_prices, _rows(awattar_row(BEGIN, 7, unit="ct/kWh")), "ct/kWh"),
        (awattar_prices, _rows(awattar_row(BEGIN, 7, minutes=0)), "holds until"),
        (awattar_prices, _rows(awattar_row(BEGIN, 7, minutes=60 * 48)), "holds until"),
        (awattar_prices, _rows(awattar_row(BEGIN, 7) | {"start_timestamp": 1e14 * 9}), "no instant"),
        (awattar_prices, _rows(awattar_row(BEGIN, 7), awattar_row(BEGIN, 8)), "two prices"),
        (awattar_prices, _rows(awattar_row(BEGIN, 7), awattar_row(BEGIN + QUARTER, 7)), "two prices"),
        (_tibber, said({"errors": [{"message": "invalid token"}]}), "invalid token"),
        (_tibber, said({"errors": {"a": 1}}), "errors is not a list"),
        (_tibber, said({}, 401), "token is not accepted"),
        (_tibber, said(tibber_homes()), "no home with a contract"),
        (_tibber, said(tibber_homes(tibber_home([], home="a"), tibber_home([], home="b"))), "2 homes"),
        (_tibber, said(tibber_homes(tibber_home([("2026-05-25T14:00:00+02:00", 1, 1)], currency="SEK"))), "in SEK"),
        (_tibber, said(tibber_homes(tibber_home([("2026-05-25T14:00:00", 1, 1)]))), "no instant"),
        (
            _tibber,
            said(tibber_homes(tibber_home([(f"2026-05-25T14:0{m}:00Z", 1, 1) for m in (0, 7)]))),
            "420 s apart",
        ),
        (
            _tibber,
            said(tibber_homes(tibber_home([("2026-05-25T14:00:00Z", 1, 1), ("2026-05-25T14:00:00Z", 2, 1)]))),
            "two prices",
        ),
        (_octopus, said({"results": [octopus_rate("2026-01-01T02:00Z", "2026-01-01T01:00Z", 1)]}), "ends before"),
        (
            _octopus,
            said({"results": [octopus_rate("2026-01-01T00:00Z", None, p) for p in (1, 2)]}),
            "two prices",
        ),
        (_octopus, said({"results": [octopus_rate("0001-01-01T00:00+23:00", None, 1)]}), "no instant"),
        (_entsoe, said("<a><b></a>"), "not XML"),
        (_entsoe, said(""), "not XML"),
        (_entsoe, said('<?xml version="1.0" encoding="nonsense"?><a/>'), "not XML"),
        (_entsoe, said(BOMB), "document type"),
        (_entsoe, said("<a>" * 50 + "</a>" * 50), "too deep"),
        (_entsoe, said("<a>" + "<b/>" * 30_000 + "</a>"), "too big"),
        (_entsoe, said("<a/>"), "no document of day-ahead prices"),
        (_entsoe, said(entsoe_document([], kind="A25")), "no document of day-ahead prices"),
        (_entsoe, said("", 401), "token is not accepted"),
        (_entsoe, _series({1: "NaN"}), "is no price"),
        (_entsoe, _series({1: "inf"}), "is no price"),
        (_entsoe, _series({1: ""}), "without position or price"),
        (_entsoe, _series({0: 1}), "position 0"),
        (_entsoe, _series({97: 1}), "position 97 in a period of 96"),
        (_entsoe, _series({1: 1}, resolution="PT1S"), "PT1S"),
        (_entsoe, _series({1: 1}, end="2026-09-25T22:07Z"), "in steps of"),
        (_entsoe, _series({1: 1}, end="2046-09-25T22:00Z"), "in steps of"),
        (_entsoe, _series({1: 1}, start="2026-09-24T22:00"), "no instant"),
        (_entsoe, _series({1: 1}, currency="PLN"), "in 'PLN'"),
        (_entsoe, _series({1: 1}, unit="KWH"), "KWH"),
        (_entsoe, _series({1: 1}, curve="A05"), "A05"),
        (
            _entsoe,
            said(entsoe_document([entsoe_series(*DAY, {1: 1}), entsoe_series(*DAY, {1: 2})])),
            "two prices",
        ),
    ],
)
def test_what_is_no_such_answer_is_refused_whole(read: Read, answer: HttpAnswer, words: str) -> None:
    with pytest.raises(GridError, match=words):
        read(answer)


def test_the_same_price_twice_counts_once() -> None:
    assert len(awattar_prices(_rows(awattar_row(BEGIN, 7), awattar_row(BEGIN, 7)))) == 1
    same = [entsoe_series(*DAY, {1: 1})] * 2
    assert len(entsoe_prices(said(entsoe_document(same)), "EUR")) == 96
