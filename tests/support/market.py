"""Recorded and made answers of price providers."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from cem.model.errors import GridError
from cem.ports import Clock, HttpAnswer

BERLIN = ZoneInfo("Europe/Berlin")
PUBLICATION = "urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3"
ACKNOWLEDGEMENT = "urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0"


def said(body: object, status: int = 200) -> HttpAnswer:
    """An answer with a JSON body, or with these bytes or this text."""
    if isinstance(body, str):
        body = body.encode()
    return HttpAnswer(status, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


def utc(text: str) -> datetime:
    """An instant such as 2026-03-29T01:00, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def awattar_row(start: datetime, price: object, minutes: int = 60, unit: str = "Eur/MWh") -> dict[str, object]:
    """An item of aWATTar's `data`."""
    first = int(start.timestamp() * 1000)
    return {
        "start_timestamp": first,
        "end_timestamp": first + minutes * 60_000,
        "marketprice": price,
        "unit": unit,
    }


def awattar_day(start: datetime, prices: Iterable[float]) -> dict[str, object]:
    """aWATTar's answer with a price for each hour from `start` on."""
    rows = [awattar_row(start + timedelta(hours=number), price) for number, price in enumerate(prices)]
    return {"object": "list", "data": rows}


def entsoe_series(
    start: str,
    end: str,
    points: Mapping[int, object],
    *,
    resolution: str = "PT15M",
    curve: str = "A03",
    sequence: int | None = 1,
    currency: str = "EUR",
    unit: str = "MWH",
) -> str:
    """A TimeSeries of an A44 document, with the elements in the order of the platform's own answers."""
    place = ""
    if sequence is not None:
        name = "classificationSequence_AttributeInstanceComponent.position"
        place = f"<{name}>{sequence}</{name}>"
    listed = "".join(
        f"<Point><position>{position}</position><price.amount>{price}</price.amount></Point>"
        for position, price in points.items()
    )
    return (
        f"<TimeSeries><mRID>1</mRID><auction.type>A01</auction.type><businessType>A62</businessType>"
        f'<in_Domain.mRID codingScheme="A01">10Y1001A1001A82H</in_Domain.mRID>'
        f'<out_Domain.mRID codingScheme="A01">10Y1001A1001A82H</out_Domain.mRID>'
        f"<contract_MarketAgreement.type>A01</contract_MarketAgreement.type>"
        f"<currency_Unit.name>{currency}</currency_Unit.name>"
        f"<price_Measure_Unit.name>{unit}</price_Measure_Unit.name>{place}<curveType>{curve}</curveType>"
        f"<Period><timeInterval><start>{start}</start><end>{end}</end></timeInterval>"
        f"<resolution>{resolution}</resolution>{listed}</Period></TimeSeries>"
    )


def entsoe_document(series: Sequence[str], kind: str = "A44") -> str:
    """A Publication_MarketDocument."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Publication_MarketDocument xmlns="{PUBLICATION}">'
        f"<mRID>8116828a4635487daf7c7d3dea2b624b</mRID><revisionNumber>1</revisionNumber><type>{kind}</type>"
        f"<period.timeInterval><start>2024-10-09T22:00Z</start><end>2024-10-10T22:00Z</end></period.timeInterval>"
        f"{''.join(series)}</Publication_MarketDocument>"
    )


def entsoe_acknowledgement(code: str, text: str) -> str:
    """An Acknowledgement_MarketDocument."""
    return (
        f'<Acknowledgement_MarketDocument xmlns="{ACKNOWLEDGEMENT}"><mRID>1</mRID>'
        f"<Reason><code>{code}</code><text>{text}</text></Reason></Acknowledgement_MarketDocument>"
    )


def tibber_homes(*homes: Mapping[str, object]) -> dict[str, object]:
    """Tibber's answer with these homes."""
    return {"data": {"viewer": {"homes": list(homes)}}}


def tibber_home(
    today: Sequence[tuple[str, float, float]],
    tomorrow: Sequence[tuple[str, float, float]] = (),
    *,
    home: str = "96a14971-525a-4420-aae9-e5aedaa129ff",
    currency: str = "NOK",
) -> dict[str, object]:
    """A home with (startsAt, total, energy) of each price."""

    def rows(prices: Sequence[tuple[str, float, float]]) -> list[dict[str, object]]:
        return [
            {"total": total, "energy": energy, "tax": total - energy, "startsAt": start, "currency": currency}
            for start, total, energy in prices
        ]

    info = {"today": rows(today), "tomorrow": rows(tomorrow)}
    return {"id": home, "currentSubscription": {"priceInfo": info}}


def octopus_rate(start: str, end: str | None, pence: object, method: str | None = None) -> dict[str, object]:
    """An item of Octopus' `results`."""
    row = {"value_exc_vat": 0.0, "value_inc_vat": pence, "valid_from": start, "valid_to": end}
    return row | {"payment_method": method}


class MarketHttp:
    """An `Http` that serves aWATTar's data feed: `days` are prices by the hour, each published at 12:50 (Berlin) of the
    day before; `down` refuses, `late` is how much later, `hushed` are the hours of each day that are left out."""

    def __init__(self, clock: Clock, days: Mapping[date, Sequence[float]]) -> None:
        self.down = False
        self.late = timedelta(0)
        self.hushed: frozenset[int] = frozenset()
        self.asked: list[datetime] = []
        self._clock = clock
        self._days = days

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One exchange."""
        del headers, body
        now = self._clock.now().wall
        self.asked.append(now)
        if self.down:
            raise GridError(f"{method} {url.partition('?')[0]}: no connection: unreachable")
        rows: list[object] = []
        for day, prices in self._days.items():
            begin = datetime.combine(day, time(0), BERLIN)
            if now >= datetime.combine(day - timedelta(days=1), time(12, 50), BERLIN) + self.late:
                hours = awattar_day(begin.astimezone(UTC), prices)["data"]
                assert isinstance(hours, list)
                rows += [row for number, row in enumerate(hours) if number not in self.hushed]
        return said({"object": "list", "data": rows})

    async def close(self) -> None:
        """Nothing to close."""
