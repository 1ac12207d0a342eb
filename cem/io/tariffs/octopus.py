"""Octopus Energy (Great Britain): half-hourly unit rates of Agile, with VAT; Agile Outgoing for what is sold.

Source: Octopus' developer pages (developer.octopus.energy/rest/guides/endpoints, "Products", "Tariff charges"): GET
/v1/products/<product>/electricity-tariffs/<tariff>/standard-unit-rates/ with period_from, period_to and page_size, no
key; `results`, newest first, have value_inc_vat in pence, valid_from, valid_to (null: until further notice) and
payment_method (null, DIRECT_DEBIT, NON_DIRECT_DEBIT).
"""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from cem.io.tariffs.answers import checked, instant, json_object, list_of, number, object_of, within
from cem.model.errors import GridError
from cem.model.market import MarketPrice, PriceService
from cem.ports import Http, HttpAnswer

ADDRESS = "https://api.octopus.energy"
WHO = "Octopus"
PAGE = 1500  # the most that it gives at once: two days have 100
HALF_HOUR = timedelta(minutes=30)


def octopus_rates(answer: HttpAnswer, start: datetime, end: datetime) -> dict[datetime, tuple[datetime, float]]:
    """Start to (end, GBP per kWh with VAT) of the rates in [start, end), cut to whole half hours; GridError for what is
    none. A rate for those who pay otherwise than by direct debit is passed over."""
    found = []
    for item in list_of(WHO, json_object(WHO, answer).get("results"), "results"):
        row = object_of(WHO, item, "an item of results")
        if row.get("payment_method") not in (None, "DIRECT_DEBIT"):
            continue
        per_kwh = number(WHO, row.get("value_inc_vat"), "value_inc_vat") / 100
        since = instant(WHO, row.get("valid_from"), "valid_from")
        ends = row.get("valid_to")
        until = end if ends is None else instant(WHO, ends, "valid_to")
        if until <= since and ends is not None:
            raise GridError(f"{WHO}: a rate from {since:%Y-%m-%d %H:%M} that ends before it begins")
        at, until = max(since, start), min(until, end)
        while at < until:
            following = min(until, at + HALF_HOUR)
            found.append(MarketPrice(at, following, per_kwh))
            at = following
    return {price.start: (price.end, price.import_per_kwh) for price in checked(WHO, found)}


def product_of(tariff_code: str) -> str:
    """The product of a tariff: E-1R-AGILE-24-10-01-C is AGILE-24-10-01 with one rate, in region C."""
    return "-".join(tariff_code.split("-")[2:-1])


class OctopusPrices:
    """`cem.ports.PriceSource` for Octopus."""

    def __init__(self, service: PriceService, http: Http) -> None:
        self._service = service
        self._http = http

    async def prices(self, start: datetime, end: datetime) -> tuple[MarketPrice, ...]:
        """What is published for [start, end)."""
        service = self._service
        if service.currency != "GBP":
            raise GridError(f"{WHO}: its prices are in GBP, the site counts in {service.currency}")
        bought = await self._rates(service.tariff_code, start, end)
        sold: dict[datetime, tuple[datetime, float]] = {}
        if service.export_tariff_code:
            sold = await self._rates(service.export_tariff_code, start, end)
        prices = (
            MarketPrice(at, until, per_kwh, sold[at][1] if at in sold and sold[at][0] == until else None)
            for at, (until, per_kwh) in bought.items()
        )
        return within(checked(WHO, prices), start, end)

    async def _rates(self, tariff: str, start: datetime, end: datetime) -> dict[datetime, tuple[datetime, float]]:
        product = product_of(tariff)
        base = (self._service.url or ADDRESS).rstrip("/")
        path = f"/v1/products/{quote(product, safe='')}/electricity-tariffs/{quote(tariff, safe='')}"
        since, until = (at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (start, end))
        query = f"page_size={PAGE}&period_from={since}&period_to={until}"
        answer = await self._http.request("GET", f"{base}{path}/standard-unit-rates/?{query}")
        if answer.status == 404:
            raise GridError(f"{WHO}: knows no tariff {tariff} of product {product}; check [tariff.dynamic]")
        return await asyncio.to_thread(octopus_rates, answer, start, end)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()
