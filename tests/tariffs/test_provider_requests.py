"""What is asked of each provider, and where its token goes."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from cem.io.tariffs import PROVIDERS, price_source
from cem.model.errors import GridError
from cem.model.market import MarketPrice, PriceService
from cem.ports import HttpAnswer
from support.market import (
    awattar_day,
    entsoe_document,
    entsoe_series,
    octopus_rate,
    said,
    tibber_home,
    tibber_homes,
    utc,
)

START, END = utc("2026-01-05T23:00"), utc("2026-01-06T23:00")
TOKEN = "t0k&en"


class Peer:
    """An `Http` that answers one thing after the other and keeps what it was asked."""

    def __init__(self, *answers: HttpAnswer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Mapping[str, str], bytes | None]] = []
        self.closed = False

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One exchange."""
        self.asked.append((method, url, headers or {}, body))
        return self.answers.pop(0)

    async def close(self) -> None:
        """Closes."""
        self.closed = True


def ask(service: PriceService, peer: Peer) -> Sequence[MarketPrice]:
    async def whole() -> Sequence[MarketPrice]:
        source = price_source(service, peer)
        prices = await source.prices(START, END)
        await source.close()
        return prices

    return asyncio.run(whole())


def test_awattar_is_asked_for_a_time_in_milliseconds() -> None:
    peer = Peer(said(awattar_day(START - timedelta(hours=1), range(30))))
    prices = ask(PriceService("awattar", "EUR", country="AT"), peer)
    assert [p.import_per_kwh for p in prices] == pytest.approx([n / 1000 for n in range(1, 25)])
    assert peer.asked == [
        ("GET", "https://api.awattar.at/v1/marketdata?start=1767654000000&end=1767740400000", {}, None)
    ]
    assert peer.closed


def test_entsoe_is_asked_for_an_area_with_its_token() -> None:
    peer = Peer(said(entsoe_document([entsoe_series("2026-01-05T23:00Z", "2026-01-06T23:00Z", {1: 5})])))
    area = "10YAT-APG------L"
    assert len(ask(PriceService("entsoe", "EUR", area=area, token=TOKEN), peer)) == 96
    ((method, url, _, _),) = peer.asked
    assert method == "GET"
    assert url == (
        f"https://web-api.tp.entsoe.eu/api?documentType=A44&in_Domain={area}&out_Domain={area}"
        "&periodStart=202601052300&periodEnd=202601062300&securityToken=t0k%26en"
    )


def test_tibber_is_asked_with_its_token_in_the_header_alone() -> None:
    peer = Peer(said(tibber_homes(tibber_home([("2026-01-06T00:00:00+01:00", 1.0, 0.5)]))))
    (price,) = ask(PriceService("tibber", "NOK", token=TOKEN), peer)
    assert (price.import_per_kwh, price.export_per_kwh) == (1.0, 0.5)
    ((method, url, headers, body),) = peer.asked
    assert (method, url) == ("POST", "https://api.tibber.com/v1-beta/gql")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert body is not None
    query = json.loads(body)["query"]
    assert "priceInfo(resolution: QUARTER_HOURLY)" in query
    assert query.count("{") == query.count("}")


def test_octopus_is_asked_for_what_is_bought_and_what_is_sold() -> None:
    bought = said({"results": [octopus_rate("2026-01-05T23:00:00Z", "2026-01-05T23:30:00Z", 20.0)]})
    sold = said({"results": [octopus_rate("2026-01-05T23:00:00Z", "2026-01-05T23:30:00Z", 9.0)]})
    peer = Peer(bought, sold)
    service = PriceService(
        "octopus", "GBP", tariff_code="E-1R-AGILE-24-10-01-C", export_tariff_code="E-1R-AGILE-OUTGOING-19-05-13-C"
    )
    (price,) = ask(service, peer)
    assert (price.import_per_kwh, price.export_per_kwh) == pytest.approx((0.2, 0.09))
    base = "https://api.octopus.energy/v1/products"
    query = "standard-unit-rates/?page_size=1500&period_from=2026-01-05T23:00:00Z&period_to=2026-01-06T23:00:00Z"
    assert [url for _, url, _, _ in peer.asked] == [
        f"{base}/AGILE-24-10-01/electricity-tariffs/E-1R-AGILE-24-10-01-C/{query}",
        f"{base}/AGILE-OUTGOING-19-05-13/electricity-tariffs/E-1R-AGILE-OUTGOING-19-05-13-C/{query}",
    ]


def test_a_tariff_that_octopus_does_not_know_is_named() -> None:
    with pytest.raises(GridError, match="no tariff E-1R-X-C of product X"):
        ask(PriceService("octopus", "GBP", tariff_code="E-1R-X-C"), Peer(said({}, 404)))


@pytest.mark.parametrize("provider", ["awattar", "octopus"])
def test_a_currency_that_is_not_the_providers_is_refused_before_anything_is_asked(provider: str) -> None:
    peer = Peer()
    with pytest.raises(GridError, match="the site counts in SEK"):
        ask(PriceService(provider, "SEK", country="DE", tariff_code="E-1R-X-C"), peer)
    assert peer.asked == []


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_another_address_of_the_same_service_is_asked_instead(provider: str) -> None:
    peer = Peer(HttpAnswer(500, {}, b""))
    service = PriceService(
        provider,
        "GBP" if provider == "octopus" else "EUR",
        country="DE",
        tariff_code="E-1R-X-C",
        token=TOKEN,
        url="http://127.0.0.1:1",
    )
    with pytest.raises(GridError, match="status 500"):
        ask(service, peer)
    assert peer.asked[0][1].startswith("http://127.0.0.1:1")
