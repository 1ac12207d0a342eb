"""ENTSO-E's Transparency Platform: day-ahead prices of every European bidding zone.

Source: ENTSO-E, Transparency Platform RESTful API user guide, 4.2.10 "Day Ahead Prices [12.1.D]": documentType A44,
in_Domain and out_Domain the same zone, periodStart and periodEnd as yyyyMMddHHmm in UTC, securityToken; the answer is a
Publication_MarketDocument (IEC 62325-451-3), or an Acknowledgement_MarketDocument with reason 999 where there is
nothing yet. Curve types: ENTSO-E code list: A01 fixed blocks, A03 variable blocks, where a position that is left out
repeats the one before. Where an area has several auctions, classificationSequence tells them apart; 1 is the coupled
one (the platform's own note on DE-LU and AT), and the order in the document means nothing.
"""

import asyncio
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from cem.io.tariffs.answers import MOST_PRICES, checked, instant, refuse, within
from cem.io.tariffs.xml_tree import Node, xml_tree
from cem.model.errors import GridError
from cem.model.market import MarketPrice, PriceService, beside
from cem.ports import Http, HttpAnswer

ADDRESS = "https://web-api.tp.entsoe.eu/api"
WHO = "ENTSO-E"
NO_DATA = "999"
STEPS = {
    "PT15M": timedelta(minutes=15),
    "PT30M": timedelta(minutes=30),
    "PT60M": timedelta(hours=1),
    "PT1H": timedelta(hours=1),
}
SEQUENCE = "classificationSequence_AttributeInstanceComponent.position"


def entsoe_prices(answer: HttpAnswer, currency: str, sequence: int = 1) -> tuple[MarketPrice, ...]:
    """The prices of one auction; () where there are none yet; GridError for what is no such answer.

    Where an auction is published in two resolutions, the finer one holds.
    """
    if answer.status not in (200, 400):  # 400 comes with an acknowledgement that says why
        refuse(WHO, answer)
    root = xml_tree(WHO, answer.body)
    if root.name == "Acknowledgement_MarketDocument":
        reason = root.first("Reason") or Node("")
        if reason.text_of("code") == NO_DATA:
            return ()
        raise GridError(f"{WHO}: refuses: {reason.text_of('text')[:120]!r}")
    if root.name != "Publication_MarketDocument" or root.text_of("type") != "A44" or answer.status != 200:
        raise GridError(f"{WHO}: an answer that is no document of day-ahead prices")
    by_step: dict[timedelta, list[MarketPrice]] = {}
    others: set[str] = set()
    for series in root.all("TimeSeries"):
        place = series.text_of(SEQUENCE)
        if place and place != str(sequence):
            others.add(place[:8])
            continue
        for step, price in _series(series, currency):
            by_step.setdefault(step, []).append(price)
    if not by_step and others:
        raise GridError(f"{WHO}: only sequence {', '.join(sorted(others))} is published yet, not {sequence}")
    taken: tuple[MarketPrice, ...] = ()
    for _, prices in sorted(by_step.items()):
        taken = checked(WHO, (*taken, *beside(checked(WHO, prices), taken)))
    return taken


def _series(series: Node, currency: str) -> Iterator[tuple[timedelta, MarketPrice]]:
    unit, money = series.text_of("price_Measure_Unit.name"), series.text_of("currency_Unit.name")
    if unit != "MWH":
        raise GridError(f"{WHO}: prices per {unit[:8]!r}; MWH is understood")
    if money != currency:
        raise GridError(f"{WHO}: prices in {money[:8]!r}, the site counts in {currency}")
    curve = series.text_of("curveType") or "A01"
    if curve not in ("A01", "A03"):
        raise GridError(f"{WHO}: curve type {curve[:8]!r}; A01 and A03 are understood")
    for period in series.all("Period"):
        yield from _period(period, repeats=curve == "A03")


def _period(period: Node, *, repeats: bool) -> Iterator[tuple[timedelta, MarketPrice]]:
    interval = period.first("timeInterval") or Node("")
    start, end = (instant(WHO, interval.text_of(side), f"the {side} of a period") for side in ("start", "end"))
    step = STEPS.get(period.text_of("resolution"))
    if step is None:
        raise GridError(f"{WHO}: resolution {period.text_of('resolution')[:12]!r}; {', '.join(STEPS)} are understood")
    count, rest = divmod(end - start, step)
    if rest or not 0 < count <= MOST_PRICES:
        raise GridError(f"{WHO}: a period from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC in steps of {step}")
    points: dict[int, float] = {}
    for point in period.all("Point"):
        position, per_kwh = _point(point)
        if not 1 <= position <= count:
            raise GridError(f"{WHO}: position {position} in a period of {count}")
        if points.setdefault(position, per_kwh) != per_kwh:
            raise GridError(f"{WHO}: two prices at position {position}; the answer is not used")
    last: float | None = None
    for position in range(1, count + 1):
        last = points.get(position, last if repeats else None)
        if last is not None:
            at = start + (position - 1) * step
            yield step, MarketPrice(at, at + step, last, last)


def _point(point: Node) -> tuple[int, float]:
    try:
        position, amount = int(point.text_of("position")), float(point.text_of("price.amount"))
    except ValueError as error:
        raise GridError(f"{WHO}: a point without position or price") from error
    if not math.isfinite(amount):
        raise GridError(f"{WHO}: {amount:g} at position {position} is no price")
    return position, amount / 1000


class EntsoePrices:
    """`cem.ports.PriceSource` for ENTSO-E."""

    def __init__(self, service: PriceService, http: Http) -> None:
        self._service = service
        self._http = http

    async def prices(self, start: datetime, end: datetime) -> tuple[MarketPrice, ...]:
        """What is published for [start, end)."""
        service = self._service
        since, until = (at.astimezone(UTC).strftime("%Y%m%d%H%M") for at in (start, end))
        query = f"documentType=A44&in_Domain={service.area}&out_Domain={service.area}"
        query += f"&periodStart={since}&periodEnd={until}&securityToken={quote(service.token, safe='')}"
        answer = await self._http.request("GET", f"{service.url or ADDRESS}?{query}")
        found = await asyncio.to_thread(entsoe_prices, answer, service.currency, service.sequence)
        return within(found, start, end)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()
