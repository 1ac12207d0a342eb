"""Keeps how good each day's forecasts were, in the record."""

import asyncio
import dataclasses
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from cem.model.site import Site
from cem.planning.forecast_score import ForecastScore, PowerScore, score_of
from cem.planning.past import Past
from cem.planning.request import pv_rating_w
from cem.ports import Drop, Json, Put, StateKind, StateStore

KEPT_DAYS = 400


class ForecastBook:
    """At the first plan of a new local day the forecasts of the day before are judged."""

    def __init__(self, site: Site, store: StateStore) -> None:
        self._site = site
        self._store = store
        self._seen: date | None = None

    async def turn(self, now: datetime, past: Past) -> None:
        """Before a plan is made. A day that is judged already, or was hardly recorded, is left as it is."""
        today = now.astimezone(ZoneInfo(self._site.zone)).date()
        if today == self._seen:
            return
        self._seen, day = today, today - timedelta(days=1)
        kept = await self._store.load(StateKind.FORECAST_DAY)
        if day.isoformat() in kept:
            return
        loop, zone = asyncio.get_running_loop(), self._site.zone
        rating_w, place = pv_rating_w(self._site), self._site.place
        score = await loop.run_in_executor(None, score_of, past, day, zone, rating_w, place)
        if score.load is None and score.sun is None:
            return
        old = sorted(kept)[: max(len(kept) + 1 - KEPT_DAYS, 0)]
        row = Put(StateKind.FORECAST_DAY, day.isoformat(), _row(score))
        await self._store.commit([row, *(Drop(StateKind.FORECAST_DAY, key) for key in old)])


def _row(score: ForecastScore) -> dict[str, Json]:
    return {"day": score.day.isoformat(), "load": _power_row(score.load), "sun": _power_row(score.sun)}


def _power_row(score: PowerScore | None) -> dict[str, Json] | None:
    if score is None:
        return None
    return {
        name: None if value is None else round(value, 3 if name == "in_band" else 1)
        for name, value in dataclasses.asdict(score).items()
    }
