"""Tibber: the prices of a customer's own contract, with taxes, over GraphQL.

Source: Tibber's developer pages (developer.tibber.com/docs/guides/calling-api and /docs/reference): POST to
https://api.tibber.com/v1-beta/gql with the customer's token as bearer; Subscription.priceInfo(resolution) has `today`
and `tomorrow` (empty until about 13:00) of Price: total (energy and tax), energy, startsAt, currency. A price holds for
the resolution that was asked for; where a home still has hourly ones, for an hour: the step between them says which.
"""

import asyncio
import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from cem.io.tariffs.answers import checked, instant, json_object, list_of, number, object_of, within
from cem.model.errors import GridError
from cem.model.market import MarketPrice, PriceService
from cem.ports import Http, HttpAnswer

ADDRESS = "https://api.tibber.com/v1-beta/gql"
WHO = "Tibber"
STEPS = (timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=1))
PRICE = "{ total energy startsAt currency }"
QUERY = (
    "{ viewer { homes { id currentSubscription { priceInfo(resolution: QUARTER_HOURLY) "
    f"{{ today {PRICE} tomorrow {PRICE} }} }} }} }} }}"
)


def tibber_prices(answer: HttpAnswer, currency: str, home: str = "") -> tuple[MarketPrice, ...]:
    """The prices of one home ('': the only one with a contract); GridError for what is none."""
    body = json_object(WHO, answer)
    if body.get("errors"):
        first = object_of(WHO, list_of(WHO, body["errors"], "errors")[0], "an error")
        raise GridError(f"{WHO}: refuses: {str(first.get('message'))[:120]!r}; check token_file")
    viewer = object_of(WHO, object_of(WHO, body.get("data"), "data").get("viewer"), "viewer")
    info = _price_info(list_of(WHO, viewer.get("homes"), "homes"), home)
    rows: dict[datetime, tuple[float, float]] = {}
    for day in ("today", "tomorrow"):
        for item in list_of(WHO, info.get(day) or [], day):
            row = object_of(WHO, item, f"an item of {day}")
            if row.get("currency") != currency:
                raise GridError(f"{WHO}: prices in {str(row.get('currency'))[:8]}, the site counts in {currency}")
            start = instant(WHO, row.get("startsAt"), "startsAt")
            prices = number(WHO, row.get("total"), "total"), number(WHO, row.get("energy"), "energy")
            if rows.setdefault(start, prices) != prices:
                raise GridError(f"{WHO}: two prices at {start:%Y-%m-%d %H:%M} UTC; the answer is not used")
    step = _step(sorted(rows))
    return checked(WHO, (MarketPrice(start, start + step, *prices) for start, prices in rows.items()))


def _step(starts: list[datetime]) -> timedelta:
    """The least distance between two prices; one alone is for an hour."""
    step = min((b - a for a, b in pairwise(starts)), default=STEPS[-1])
    if step not in STEPS:
        raise GridError(f"{WHO}: prices {step.total_seconds():g} s apart; {STEPS[0]} to {STEPS[-1]} are understood")
    return step


def _price_info(homes: list[Any], home: str) -> dict[str, Any]:
    found = []
    for item in homes:
        one = object_of(WHO, item, "a home")
        contract = one.get("currentSubscription")
        if contract is not None and home in ("", one.get("id")):
            found.append(object_of(WHO, contract, "currentSubscription").get("priceInfo"))
    if len(found) != 1:
        what = f"{len(found)} homes with a contract" if found else "no home with a contract"
        raise GridError(f"{WHO}: {what} {'of that id' if home else 'for this token'}; check `home` in [tariff.dynamic]")
    return dict(object_of(WHO, found[0], "priceInfo"))


class TibberPrices:
    """`cem.ports.PriceSource` for Tibber."""

    def __init__(self, service: PriceService, http: Http) -> None:
        self._service = service
        self._http = http

    async def prices(self, start: datetime, end: datetime) -> tuple[MarketPrice, ...]:
        """What is published for [start, end)."""
        headers = {"Authorization": f"Bearer {self._service.token}", "Content-Type": "application/json"}
        body = json.dumps({"query": QUERY}).encode()
        answer = await self._http.request("POST", self._service.url or ADDRESS, headers=headers, body=body)
        service = self._service
        return within(await asyncio.to_thread(tibber_prices, answer, service.currency, service.home), start, end)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()
