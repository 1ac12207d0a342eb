"""What else can be moved: runs of switched loads, heat in a store; and what the grid asks for at this moment."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from cem.model.directive import ChargeTarget, Dispatch
from cem.model.envelope import SITE
from cem.model.plan import HeatNeed, HeatStore, LevelGoal, LoadNeed
from cem.model.resource import Resource, Role
from cem.model.site import LoadPolicy, Site
from cem.planning.forecast import load_forecast
from cem.planning.past import QUARTER_S, Course, Past, fills_store, runs_daily

QUARTER_H: Final = QUARTER_S / 3600.0
LITRE_WH_PER_K: Final = 1.163
"""Heat in a litre of water per degree."""
LOSS_PER_H: Final = 0.01
"""Share of the heat above the band's lower end that a store loses: half a degree in a night of 5 K."""
DONE_SHARE: Final = 0.97
"""A run that took so much of its energy is over."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the grid asks for at this moment, beside prices and limits."""

    dispatches: tuple[Dispatch, ...] = ()
    charges: tuple[ChargeTarget, ...] = ()


NOTHING: Final = Asked()


def load_needs(site: Site, now: datetime, past: Past) -> tuple[LoadNeed, ...]:
    """What is left to run of each load that has to run every day; what it took since its last time counts."""
    needs = []
    for resource in site.of(Role.LOAD):
        policy = site.load_policy(resource.id)
        if not runs_daily(policy, resource):
            continue
        profile_w = _profile_w(resource, policy)
        due = _next_time(policy.ready_by, now, site.zone)
        left_w = _left_w(profile_w, _taken_wh(past.apart[resource.id], due - timedelta(days=1), now))
        if not left_w:
            continue
        whole = bool(policy.profile_w)
        begun = whole and len(left_w) < len(profile_w)
        runs_until = now + timedelta(hours=len(left_w) * QUARTER_H)
        needs.append(LoadNeed(resource.id, left_w, runs_until if begun else due, interruptible=not whole))
    return tuple(needs)


def _profile_w(resource: Resource, policy: LoadPolicy) -> tuple[float, ...]:
    """Quarter hours of a whole day's run."""
    if policy.profile_w:
        return policy.profile_w
    rated_w = resource.ratings.max_power_w or 0.0
    return (rated_w,) * math.ceil((policy.daily_wh or 0.0) / (rated_w * QUARTER_H) - 1e-6)


def _next_time(ready_by: time, now: datetime, zone: str) -> datetime:
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=ready_by.hour, minute=ready_by.minute, second=0, microsecond=0)
    return (due if due > local else due + timedelta(days=1)).astimezone(now.tzinfo)


def _taken_wh(course: Course, since: datetime, now: datetime) -> float:
    """Energy since an instant; of the running quarter hour as much as is over."""
    taken = 0.0
    for quarter, mean_w in course.quarters(since.timestamp(), now.timestamp()).items():
        length_s = min(now.timestamp() - quarter * QUARTER_S, QUARTER_S)
        taken += max(mean_w, 0.0) * length_s / 3600.0
    return taken


def _left_w(profile_w: Sequence[float], taken_wh: float) -> tuple[float, ...]:
    """The pieces of a run that are not done yet."""
    left, total_wh = [*profile_w], sum(profile_w) * QUARTER_H
    if taken_wh >= DONE_SHARE * total_wh:
        return ()
    while left and taken_wh >= DONE_SHARE * left[0] * QUARTER_H:
        taken_wh -= left.pop(0) * QUARTER_H
    return tuple(left)


def heat_needs(
    site: Site, temperatures_c: Mapping[str, float], past: Past, edges: Sequence[datetime]
) -> tuple[HeatNeed, ...]:
    """The store of each heat pump of which size, band and temperature are known.

    The house draws on the mean what the machine has made: its power by time of day, times its coefficient.
    """
    needs = []
    for resource in site.of(Role.HEAT_PUMP):
        store = _store(site, resource, temperatures_c.get(resource.id))
        if store is None or not past.apart[resource.id]:
            continue
        drawn_w = load_forecast(past.apart[resource.id], edges, site.zone, default_w=0.0).expected_w
        smooth_w = sum(drawn_w) / len(drawn_w)  # when it ran says little of when the heat is drawn
        needs.append(HeatNeed(store, (smooth_w * store.cop,) * (len(edges) - 1)))
    return tuple(needs)


def _store(site: Site, resource: Resource, temperature_c: float | None) -> HeatStore | None:
    policy, rated_w = site.load_policy(resource.id), resource.ratings.max_power_w
    low_c, high_c, litres = policy.comfort_min_c, policy.comfort_max_c, policy.store_litres
    if temperature_c is None or not fills_store(policy, resource):
        return None
    assert low_c is not None
    assert high_c is not None
    assert litres is not None
    assert rated_w is not None
    per_k = litres * LITRE_WH_PER_K
    stored_wh = min(max(temperature_c - low_c, 0.0), high_c - low_c) * per_k
    return HeatStore(resource.id, stored_wh, (high_c - low_c) * per_k, rated_w, policy.cop, LOSS_PER_H)


def level_goals(site: Site, charges: Iterable[ChargeTarget], now: datetime) -> tuple[LevelGoal, ...]:
    """What batteries are asked to hold: charged at full power from now on, so due as soon as that can be."""
    goals = []
    for battery in site.of(Role.BATTERY):
        target = next((c for c in charges if c.subject in {battery.id, SITE} and c.soc_pct is not None), None)
        if target is not None and target.soc_pct is not None:
            until = now + timedelta(hours=2) if target.until is None else target.until
            goals.append(LevelGoal(battery.id, target.soc_pct, until))
    return tuple(goals)


def band_of(dispatches: Iterable[Dispatch], edges: Sequence[datetime]) -> tuple[float | None, ...]:
    """The power that is asked of the whole connection point, per slot of which it covers the most."""
    asked = next((d for d in dispatches if d.subject == SITE and not d.change), None)
    if asked is None:
        return ()
    middles = (a + (b - a) / 2 for a, b in pairwise(edges))
    return tuple(asked.power_w if asked.until is None or middle < asked.until else None for middle in middles)


def month_peak_w(grid: Course, now: datetime, zone: str) -> float:
    """The highest mean import of a quarter hour in this local month so far."""
    local = now.astimezone(ZoneInfo(zone))
    begin_s = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    return max([0.0, *grid.quarters(begin_s, now.timestamp()).values()])
