"""Keeps the plan honest: what each day's plan promised and what came, kept in the record, and what follows from it."""

import logging
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from cem.model.plan import Plan, PlanRequest
from cem.model.resource import Role
from cem.model.site import Site
from cem.planning.honesty import QUARTER_S, Came, Day, Score, Verdict, alike_in, judged, promise_of, score_of
from cem.ports import Drop, History, Json, Put, StateKind, StateStore

log = logging.getLogger(__name__)

KEPT_DAYS = 400


class PlanBook:
    """Takes every plan with its request; at the first one of a new local day the day before is settled."""

    def __init__(self, site: Site, history: History, store: StateStore) -> None:
        self._site = site
        self._zone = ZoneInfo(site.zone)
        self._batteries = site.of(Role.BATTERY)
        self._history = history
        self._store = store
        self._rows: dict[str, Score] | None = None
        self._day: date | None = None
        self._promise: Day | None = None
        self._by = "plan"
        self._quiet = True
        self._begin_pct: Mapping[str, float] = {}
        self._prices: dict[int, tuple[float, float]] = {}
        self._alike: dict[tuple[str, int], bool] = {}
        self.verdict = Verdict()

    async def open(self) -> None:
        """Takes up what is kept; harmless when it is done already."""
        if self._rows is None:
            rows = await self._store.load(StateKind.PLAN_DAY)
            self._rows = {key: score for key in sorted(rows) if (score := _score(rows[key])) is not None}
            self.verdict = judged(self._rows.values())

    async def turn(self, request: PlanRequest) -> None:
        """Before a plan is made: settles the day that is over, if one is."""
        await self.open()
        day = request.edges[0].astimezone(self._zone).date()
        if day == self._day:
            return
        if self._day is not None and day == self._day + timedelta(days=1):
            await self._settle(self._day, request)
        self._day, self._promise, self._quiet = day, None, True
        self._by = "rules" if self.verdict.rules else "plan"
        self._begin_pct = dict(request.soc_pct)
        self._prices, self._alike = {}, {}

    def take(self, request: PlanRequest, plan: Plan, *, disturbed: bool) -> None:
        """A plan that is followed from now on. `disturbed`: grid or owner ask for something of their own."""
        day = request.edges[0].astimezone(self._zone).date()
        begin, end = self._begin(day), self._begin(day + timedelta(days=1))
        if self._promise is None:
            self._promise = promise_of(request, plan, begin, end)
        self._quiet = self._quiet and not disturbed
        if plan.status == "rules":
            self._by = "rules"
        prices = zip(request.import_price_per_kwh, request.export_price_per_kwh, strict=True)
        for at, pair in zip(request.edges, prices, strict=False):  # what is planned now may be priced anew later
            if at < end:
                quarter = int(at.timestamp())
                self._prices[quarter - quarter % QUARTER_S] = pair
        first_s = int(request.edges[0].timestamp())
        for (key, quarter), same in alike_in(plan, [r.id for r in self._batteries]).items():
            begun = quarter < first_s and not self._alike.get((key, quarter), True)  # by the plan before this one
            self._alike[key, quarter] = same and not begun

    def _begin(self, day: date) -> datetime:
        return datetime.combine(day, time(0), self._zone)

    async def _settle(self, day: date, request: PlanRequest) -> None:
        """Writes the score of a day that is over."""
        since_s, until_s = (int(self._begin(d).timestamp()) for d in (day, day + timedelta(days=1)))
        meter = next(iter(self._site.of(Role.GRID)), None)
        if meter is None or self._rows is None:
            return
        grid = await self._history.minute_means(f"{meter.id}.power_w", since_s, until_s)
        powers: dict[str, dict[int, float]] = {}
        for resource in self._site.resources:
            if resource.role in {Role.PV, Role.BATTERY, Role.EV}:
                minutes = await self._history.minute_means(f"{resource.id}.power_w", since_s, until_s)
                powers[resource.id] = _quarters(minutes)
        levels = {
            key: (self._begin_pct[key], request.soc_pct[key]) for key in self._begin_pct.keys() & request.soc_pct.keys()
        }
        prices = {quarter: pair for quarter, pair in self._prices.items() if since_s <= quarter < until_s}
        alike = {r.id: {at for (key, at), same in self._alike.items() if same and key == r.id} for r in self._batteries}
        came = Came(prices, dict(grid), powers, levels, alike)
        score = score_of(self._site, day, self._by, self._promise, came, counts=self._quiet)
        if score is None:
            return
        self._rows[day.isoformat()] = score
        old = [*self._rows][:-KEPT_DAYS]
        for key in old:
            del self._rows[key]
        changes = [Put(StateKind.PLAN_DAY, day.isoformat(), _row(score, self._site.tariff.currency))]
        await self._store.commit([*changes, *(Drop(StateKind.PLAN_DAY, key) for key in old)])
        before, self.verdict = self.verdict, judged(self._rows.values())
        if self.verdict.rules and not before.rules:
            log.warning("planner: %s", self.verdict.words)
        elif before.rules and not self.verdict.rules:
            log.info("planner: the plan is tried again")


def _quarters(minutes: list[tuple[int, float]]) -> dict[int, float]:
    """Means of quarter hours."""
    sums: dict[int, tuple[float, int]] = {}
    for at, watts in minutes:
        total, count = sums.get(at - at % QUARTER_S, (0.0, 0))
        sums[at - at % QUARTER_S] = (total + watts, count + 1)
    return {quarter: total / count for quarter, (total, count) in sums.items()}


def _row(score: Score, currency: str) -> dict[str, Json]:
    return {
        "day": score.day.isoformat(),
        "by": score.by,
        "currency": currency,
        "promised": None if score.promised is None else _day_row(score.promised),
        "came": _day_row(score.came),
        "rules_cost": round(score.rules_cost, 4),
        "counts": score.counts,
    }


def _day_row(day: Day) -> dict[str, Json]:
    return {
        "cost": round(day.cost, 4),
        "import_wh": round(day.import_wh, 1),
        "export_wh": round(day.export_wh, 1),
        "pv_wh": round(day.pv_wh, 1),
    }


def _score(row: Json) -> Score | None:
    """A kept row; None where another version wrote something else."""
    try:
        return _read(row)
    except (KeyError, TypeError, ValueError):
        return None


def _read(row: Any) -> Score:
    promised = None if row["promised"] is None else Day(**row["promised"])
    day = date.fromisoformat(row["day"])
    return Score(day, row["by"], promised, Day(**row["came"]), float(row["rules_cost"]), bool(row["counts"]))
