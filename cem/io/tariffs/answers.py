"""What every provider's answer must stand: a bounded number of finite prices, in order, one at a time."""

import json
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cem.model.errors import GridError
from cem.model.market import MarketPrice
from cem.ports import HttpAnswer

HIGHEST_PER_KWH = 100.0
"""Either sign, in any currency; the harmonised maximum of the coupled market is some 5 EUR."""
MOST_PRICES = 2000
"""Of one answer: ten days of quarter hours are 960."""
LONGEST = timedelta(hours=25)


def checked(who: str, prices: Iterable[MarketPrice]) -> tuple[MarketPrice, ...]:
    """The prices in order, each once; GridError for what can't be a price, or two of them at one time."""
    ordered = sorted(prices, key=lambda price: price.start)
    if len(ordered) > MOST_PRICES:
        raise GridError(f"{who}: {len(ordered)} prices in one answer; at most {MOST_PRICES} are taken")
    found: list[MarketPrice] = []
    for price in ordered:
        when = f"{price.start:%Y-%m-%d %H:%M} UTC"
        for amount in (price.import_per_kwh, price.export_per_kwh):
            if amount is not None and not (math.isfinite(amount) and abs(amount) <= HIGHEST_PER_KWH):
                raise GridError(f"{who}: {amount:g} per kWh at {when} is no price")
        if not timedelta(0) < price.end - price.start <= LONGEST:
            raise GridError(f"{who}: a price at {when} that holds until {price.end:%Y-%m-%d %H:%M} UTC")
        if found and price == found[-1]:
            continue
        if found and price.start < found[-1].end:
            raise GridError(f"{who}: two prices at {when}; the answer is not used")
        found.append(price)
    return tuple(found)


def json_object(who: str, answer: HttpAnswer) -> Mapping[str, Any]:
    """The object of a JSON answer with status 200; GridError with the cause in words for everything else."""
    refuse(who, answer)
    try:
        found = json.loads(answer.body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise GridError(f"{who}: an answer that is not JSON: {type(error).__name__}") from error
    return object_of(who, found, "the answer")


def refuse(who: str, answer: HttpAnswer) -> None:
    """GridError for an answer whose status is not 200."""
    if answer.status in (401, 403):
        raise GridError(f"{who}: status {answer.status}: the token is not accepted; check token_file")
    if answer.status != 200:
        raise GridError(f"{who}: status {answer.status}")


def object_of(who: str, found: object, what: str) -> Mapping[str, Any]:
    """An object of an answer; GridError where it is none."""
    if not isinstance(found, dict):
        raise GridError(f"{who}: {what} is not an object")
    return found


def list_of(who: str, found: object, what: str) -> list[Any]:
    """A list of an answer; GridError where it is none, or too long."""
    if not isinstance(found, list):
        raise GridError(f"{who}: {what} is not a list")
    if len(found) > MOST_PRICES:
        raise GridError(f"{who}: {what} has {len(found)} items; at most {MOST_PRICES} are taken")
    return found


def number(who: str, found: object, what: str) -> float:
    """A finite number of an answer."""
    if isinstance(found, bool) or not isinstance(found, int | float) or not -1e15 < found < 1e15:
        raise GridError(f"{who}: {what} is no number")
    return float(found)


def instant(who: str, found: object, what: str) -> datetime:
    """An instant of an answer in UTC: ISO 8601 with its offset."""
    try:
        at = datetime.fromisoformat(found) if isinstance(found, str) and len(found) <= 40 else None
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        at = None
    raise GridError(f"{who}: {what} is no instant with its offset")


def within(prices: Iterable[MarketPrice], start: datetime, end: datetime) -> tuple[MarketPrice, ...]:
    """Those that have a part in [start, end)."""
    return tuple(price for price in prices if price.end > start and price.start < end)


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")
