"""What a plan promised and what came, by day; and whether the plan is better than the rules at this house.

Each day is settled three ways: what the first plan of the day promised, what came, and what the rules would have cost
on the load and sun that came. The rules' day is reckoned on means of quarter hours, with the cars' charging as it was:
every battery takes what the sun leaves and covers what the house lacks, never a car. Where the plan asked a battery for
just that, it does what it did, as far as it holds as much; it loses what it lost on that day. Means know nothing of
what is bought and sold within a quarter hour, and a reckoned battery is better than a real one: so the day as it was is
reckoned alike, and what the rules would have cost is what came, and the difference of the two reckonings. What is in
the batteries at the end against the begin counts at the price of the day's cheapest hour. Days on which the grid or the
owner asked for something are shown, but not judged.

When over SURE_DAYS judged days in a row what came costs more than the rules by more than WORSE_SHARE of what the rules
would have paid (and LEAST a day), the rules are used. The way back: after so many days the plan is tried again, and if
it fails again after twice as many, up to LONGEST_DAYS.
"""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from cem.model.plan import IntentKind, Plan, PlanRequest
from cem.model.resource import Resource, Role
from cem.model.site import Site

SURE_DAYS: Final = 7
WORSE_SHARE: Final = 0.02
LEAST: Final = 0.03
"""In the tariff's currency, a day: where the rules alone were followed (four months of simulated homes) a week's own
reckoning was off by up to 0.15."""
LONGEST_DAYS: Final = 28
LATE: Final = timedelta(minutes=20)
"""A plan that is made later is no plan of the whole day."""
EFFICIENCY: Final = 0.95  # of charging and of discharging each, where a day does not tell it
LOSSY: Final = 0.8  # a battery loses no more than that: else its level was set anew
TELLS: Final = 0.2  # times its capacity: so much must have gone in on a day that tells its losses
EDGE: Final = (
    0.03  # of its capacity: so near to full, or to its reserve, a battery may have done less than it was asked
)
QUARTER_S: Final = 900
ENOUGH: Final = 0.95  # of a day must have been recorded

Means = Mapping[int, float]
"""W by the begin of a quarter hour in Unix seconds."""


@dataclass(frozen=True, slots=True)
class Day:
    """Energies in Wh; `cost` in the tariff's currency, with what is in the batteries at the end against the begin."""

    cost: float
    import_wh: float
    export_wh: float
    pv_wh: float


@dataclass(frozen=True, slots=True)
class Score:
    """One local day. `by`: whose plan was followed. `rules_cost`: what the rules would have cost on what came."""

    day: date
    by: str  # "plan" or "rules"
    promised: Day | None
    came: Day
    rules_cost: float
    counts: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the rules are to be used, until which day, and why in words."""

    rules: bool = False
    until: date | None = None
    words: str = ""


def promise_of(request: PlanRequest, plan: Plan, begin: datetime, end: datetime) -> Day | None:
    """What a plan expects of a day [begin, end); None of one that was made too late in it, or does not see its end."""
    if not begin <= request.edges[0] <= begin + LATE or request.edges[-1] < end or plan.status == "rules":
        return None
    cost = import_wh = export_wh = pv_wh = 0.0
    prices = zip(request.import_price_per_kwh, request.export_price_per_kwh, strict=True)
    last: Mapping[str, float] = {}
    for slot, (buy, sell) in zip(plan.slots, prices, strict=True):
        if slot.end > end:
            break
        hours = (slot.end - slot.start) / timedelta(hours=1)
        grid_wh = (slot.grid_w or 0.0) * hours
        cost += grid_wh / 1000.0 * (buy if grid_wh > 0 else sell)
        import_wh += max(grid_wh, 0.0)
        export_wh += max(-grid_wh, 0.0)
        pv_wh -= (slot.pv_w or 0.0) * hours
        last = slot.soc_pct
    levels = {key: (request.soc_pct[key], last[key]) for key in request.soc_pct.keys() & last.keys()}
    batteries = [r for r in request.resources if r.role is Role.BATTERY]
    stored = sum(_stored_kwh(r.ratings.capacity_wh, levels.get(r.id)) for r in batteries)
    within = [price for price, at in zip(request.import_price_per_kwh, request.edges, strict=False) if at < end]
    return Day(cost - stored * refill_price(within), import_wh, export_wh, pv_wh)


def refill_price(prices: Sequence[float]) -> float:
    """What it costs to have a kWh in the battery: the mean of the cheapest hour, with the loss of charging."""
    cheapest = sorted(prices)[: min(4, len(prices))]
    return max(sum(cheapest) / len(cheapest), 0.0) / EFFICIENCY if cheapest else 0.0


def _stored_kwh(capacity_wh: float | None, levels: tuple[float, float] | None) -> float:
    if capacity_wh is None or levels is None:
        return 0.0
    return (levels[1] - levels[0]) / 100.0 * capacity_wh / 1000.0


@dataclass(frozen=True, slots=True)
class Came:
    """What was recorded of a day: prices and powers by quarter hour, and each battery's level at the begin and end.

    `alike`: the quarter hours in which the plan asked a battery for what the rules ask for too.
    """

    prices: Mapping[int, tuple[float, float]]
    grid_w: Means  # the connection point, import positive; of minutes or quarters
    powers_w: Mapping[str, Means]  # of the devices, by resource
    levels_pct: Mapping[str, tuple[float, float]]
    alike: Mapping[str, Set[int]] = field(default_factory=dict)


def alike_in(plan: Plan, batteries: Iterable[str]) -> dict[tuple[str, int], bool]:
    """By battery and quarter hour, whether a plan asks for what the rules ask for too, in all of what it sees of it."""
    found: dict[tuple[str, int], bool] = {}
    for key in batteries:
        for slot in plan.slots:
            intent = slot.intents.get(key)
            same = intent is not None and intent.kind is IntentKind.SELF_CONSUME
            first_s, last_s = int(slot.start.timestamp()), int(slot.end.timestamp()) - 1
            for quarter in range(first_s - first_s % QUARTER_S, last_s + 1, QUARTER_S):
                found[key, quarter] = found.get((key, quarter), True) and same
    return found


def score_of(site: Site, day: date, by: str, promised: Day | None, came: Came, *, counts: bool) -> Score | None:
    """The day settled; None where too little of it was recorded."""
    quarters = sorted(came.prices)
    known = [q for q in quarters if _grid_w(came, q) is not None]
    if len(known) < ENOUGH * 96:
        return None
    batteries = [r for r in site.of(Role.BATTERY) if r.id in came.levels_pct]
    refill = refill_price([came.prices[q][0] for q in quarters])
    stored = sum(_stored_kwh(r.ratings.capacity_wh, came.levels_pct[r.id]) for r in batteries)
    cost, import_wh, export_wh = _metered(came)
    sun_wh = -sum(came.powers_w.get(r.id, {}).get(q, 0.0) * 0.25 for r in site.of(Role.PV) for q in known)
    real = Day(cost - stored * refill, import_wh, export_wh, sun_wh)
    stores = [_store(r, came, site) for r in batteries if r.ratings.capacity_wh]
    by_rule = _reckoned(site, came, known, stores, refill, by_rule=True)
    by_rule -= _reckoned(site, came, known, stores, refill, by_rule=False)
    return Score(day, by, promised, real, real.cost + by_rule, counts)


def _grid_w(came: Came, quarter: int) -> float | None:
    minutes = [w for at in range(quarter, quarter + QUARTER_S, 60) if (w := came.grid_w.get(at)) is not None]
    return sum(minutes) / len(minutes) if minutes else None


@dataclass(frozen=True, slots=True)
class _Store:
    """A battery as it was on a day: Wh at the begin and at the least; its losses one way; its limits in W.

    `ran_wh`: what it held at the begin of each quarter hour.
    """

    key: str
    capacity_wh: float
    begin_wh: float
    floor_wh: float
    efficiency: float
    most_in_w: float
    most_out_w: float
    ran_w: Means
    ran_wh: Mapping[int, float]
    alike: Set[int]

    def after(self, stored_wh: float, power_w: float) -> float:
        """Wh a quarter hour later; what goes beyond what it holds is lost."""
        moved_wh = max(power_w, 0.0) * self.efficiency - max(-power_w, 0.0) / self.efficiency
        return min(max(stored_wh + moved_wh * 0.25, 0.0), self.capacity_wh)

    def by_rule(self, quarter: int, net_w: float, car_w: float, stored_wh: float) -> float:
        """W into it that follow the meter: it takes a surplus, and covers what is no car's."""
        into, out = max(-net_w, 0.0), max(net_w - car_w, 0.0)
        if quarter in self.alike and self._as_it_ran(quarter, stored_wh):
            ran_w = self.ran_w.get(quarter, 0.0)
            into, out = max(ran_w, 0.0), max(-ran_w, 0.0)
        into = min(into, self.most_in_w, max(self.capacity_wh - stored_wh, 0.0) / self.efficiency / 0.25)
        out = min(out, self.most_out_w, max(stored_wh - self.floor_wh, 0.0) * self.efficiency / 0.25)
        return into - out

    def _as_it_ran(self, quarter: int, stored_wh: float) -> bool:
        """Whether it would have done what it did: not so where it was full or empty, and would not have been."""
        held_wh, near_wh = self.ran_wh.get(quarter, self.begin_wh), EDGE * self.capacity_wh
        between = self.floor_wh + near_wh <= held_wh <= self.capacity_wh - near_wh
        return between or abs(held_wh - stored_wh) <= near_wh


def _store(battery: Resource, came: Came, site: Site) -> _Store:
    """What a day tells of a battery: the losses that lead from its first level to its last, what it held between."""
    ratings, ran_w = battery.ratings, came.powers_w.get(battery.id, {})
    capacity_wh = ratings.capacity_wh or 0.0
    begin_wh, end_wh = (capacity_wh * pct / 100.0 for pct in came.levels_pct[battery.id])
    into_wh = sum(max(watts, 0.0) for watts in ran_w.values()) * 0.25
    out_wh = sum(max(-watts, 0.0) for watts in ran_w.values()) * 0.25
    efficiency = EFFICIENCY
    if into_wh >= TELLS * capacity_wh:  # into * e - out / e is what it gained
        gained_wh = end_wh - begin_wh
        told = (gained_wh + math.sqrt(gained_wh**2 + 4.0 * into_wh * out_wh)) / (2.0 * into_wh)
        efficiency = told if LOSSY <= told <= 1.0 else EFFICIENCY
    ran_wh, stored_wh = {}, begin_wh
    for quarter, watts in sorted(ran_w.items()):
        ran_wh[quarter] = stored_wh
        stored_wh += (max(watts, 0.0) * efficiency - max(-watts, 0.0) / efficiency) * 0.25
    return _Store(
        battery.id,
        capacity_wh,
        begin_wh,
        min(capacity_wh * site.battery_policy(battery.id).reserve_pct / 100.0, begin_wh),
        efficiency,
        ratings.max_charge_w or capacity_wh / 2.0,
        ratings.max_discharge_w or capacity_wh / 2.0,
        ran_w,
        ran_wh,
        came.alike.get(battery.id, frozenset()),
    )


def _metered(came: Came) -> tuple[float, float, float]:
    """Cost, and Wh bought and sold, minute by minute."""
    cost = import_wh = export_wh = 0.0
    for at, watts in came.grid_w.items():
        prices = came.prices.get(at - at % QUARTER_S)
        if prices is None:
            continue
        wh = watts / 60.0
        cost += wh / 1000.0 * (prices[0] if wh > 0 else prices[1])
        import_wh += max(wh, 0.0)
        export_wh += max(-wh, 0.0)
    return cost, import_wh, export_wh


def _reckoned(
    site: Site, came: Came, quarters: Sequence[int], stores: Sequence[_Store], refill: float, *, by_rule: bool
) -> float:
    """What the day cost on means of quarter hours, with batteries as they ran, or that follow the meter."""
    stored, cost = {store.key: store.begin_wh for store in stores}, 0.0
    for quarter in quarters:
        ran = {r.id: came.powers_w.get(r.id, {}).get(quarter, 0.0) for r in site.of(Role.BATTERY)}
        net_w = (_grid_w(came, quarter) or 0.0) - sum(ran.values())
        car_w = sum(came.powers_w.get(r.id, {}).get(quarter, 0.0) for r in site.of(Role.EV))
        for store in stores:
            power_w = ran[store.key]
            if by_rule:
                power_w = store.by_rule(quarter, net_w, max(car_w, 0.0), stored[store.key])
            stored[store.key] = store.after(stored[store.key], power_w)
            net_w += power_w
        buy, sell = came.prices[quarter]
        cost += net_w / 4000.0 * (buy if net_w > 0 else sell)
    return cost - sum(stored[store.key] - store.begin_wh for store in stores) / 1000.0 * refill


def judged(scores: Iterable[Score]) -> Verdict:
    """The verdict after these days, oldest first."""
    window: list[Score] = []
    held, hold, until = 0, SURE_DAYS, None
    words = ""
    for score in scores:
        if until is not None:
            held += 1
            if held >= hold:
                until, hold, window = None, min(2 * hold, LONGEST_DAYS), []
            continue
        if not score.counts:
            continue
        window = [*window, score][-SURE_DAYS:]
        if len(window) < SURE_DAYS:
            continue
        came, rules = sum(s.came.cost for s in window), sum(s.rules_cost for s in window)
        if came - rules > max(WORSE_SHARE * abs(rules), LEAST * SURE_DAYS):
            held, until = 0, score.day + timedelta(days=hold + 1)
            words = (
                f"over the last {SURE_DAYS} days the plan cost {came:.2f} where the rules would have cost {rules:.2f}: "
                f"the rules are used until {until:%d %b}, then the plan is tried again"
            )
        elif rules - came > LEAST * SURE_DAYS:
            hold = SURE_DAYS
    return Verdict() if until is None else Verdict(True, until, words)
