"""aWATTar: day-ahead prices of EPEX Spot for Germany and Austria, public and without a key.

Source: aWATTar's description of its data feed (www.awattar.at/services/api, www.awattar.de/services/api), "Market
data": GET /v1/marketdata with `start` and `end` in milliseconds since 1970; `data` has start_timestamp, end_timestamp,
marketprice and unit "Eur/MWh", without taxes and fees; fair use is 100 requests a day.
"""

import asyncio
from datetime import UTC, datetime

from cem.io.tariffs.answers import checked, json_object, list_of, number, object_of, within
from cem.model.errors import GridError
from cem.model.market import MarketPrice, PriceService
from cem.ports import Http, HttpAnswer

ADDRESSES = {"AT": "https://api.awattar.at", "DE": "https://api.awattar.de"}
WHO = "aWATTar"


def awattar_prices(answer: HttpAnswer) -> tuple[MarketPrice, ...]:
    """The prices of an answer; GridError for what is none."""
    found = []
    for item in list_of(WHO, json_object(WHO, answer).get("data"), "data"):
        row = object_of(WHO, item, "an item of data")
        if str(row.get("unit")).lower() != "eur/mwh":
            raise GridError(f"{WHO}: prices in {str(row.get('unit'))[:20]!r}; Eur/MWh is understood")
        per_kwh = number(WHO, row.get("marketprice"), "marketprice") / 1000
        start, end = (_instant(row.get(key), key) for key in ("start_timestamp", "end_timestamp"))
        found.append(MarketPrice(start, end, per_kwh, per_kwh))
    return checked(WHO, found)


def _instant(found: object, what: str) -> datetime:
    try:
        return datetime.fromtimestamp(number(WHO, found, what) / 1000, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise GridError(f"{WHO}: {what} is no instant") from error


class AwattarPrices:
    """`cem.ports.PriceSource` for aWATTar."""

    def __init__(self, service: PriceService, http: Http) -> None:
        self._service = service
        self._http = http

    async def prices(self, start: datetime, end: datetime) -> tuple[MarketPrice, ...]:
        """What is published for [start, end)."""
        if self._service.currency != "EUR":
            raise GridError(f"{WHO}: its prices are in EUR, the site counts in {self._service.currency}")
        base = self._service.url or ADDRESSES[self._service.country]
        query = f"start={int(start.timestamp() * 1000)}&end={int(end.timestamp() * 1000)}"
        answer = await self._http.request("GET", f"{base.rstrip('/')}/v1/marketdata?{query}")
        return within(await asyncio.to_thread(awattar_prices, answer), start, end)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()
