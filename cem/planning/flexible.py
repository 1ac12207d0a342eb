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
from cem.model.site import LoadPolicy, LoadRun, Site
from cem.planning.forecast import STEP_S, History, load_forecast

QUARTER_H: Final = STEP_S / 3600.0
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


def load_needs(site: Site, now: datetime, history: Mapping[str, History]) -> tuple[LoadNeed, ...]:
    """What is left to run of each load that has to run every day; what it took since its last time counts."""
    needs = []
    for resource in site.of(Role.LOAD):
        policy = site.load_policy(resource.id)
        profile_w = _profile_w(resource, policy)
        if not profile_w:
            continue
        due = _next_time(policy.ready_by, now, site.zone)
        taken_wh = _taken_wh(history.get(f"{resource.id}.power_w", ()), due - timedelta(days=1), now)
        left_w = _left_w(profile_w, taken_wh)
        if not left_w:
            continue
        whole = bool(policy.profile_w)
        begun = whole and len(left_w) < len(profile_w)
        runs_until = now + timedelta(hours=len(left_w) * QUARTER_H)
        needs.append(LoadNeed(resource.id, left_w, runs_until if begun else due, interruptible=not whole))
    return tuple(needs)


def planned_loads(site: Site) -> frozenset[str]:
    """The loads that are planned, and so are no part of the forecast of the rest."""
    return frozenset(r.id for r in site.of(Role.LOAD) if _profile_w(r, site.load_policy(r.id)))


def _profile_w(resource: Resource, policy: LoadPolicy) -> tuple[float, ...]:
    """Quarter hours of a whole day's run; nothing of a load that is not planned."""
    if policy.runs is not LoadRun.ON_SURPLUS:
        return ()
    if policy.profile_w:
        return policy.profile_w
    rated_w = resource.ratings.max_power_w
    if policy.daily_wh is None or not rated_w:
        return ()
    return (rated_w,) * math.ceil(policy.daily_wh / (rated_w * QUARTER_H) - 1e-6)


def _next_time(ready_by: time, now: datetime, zone: str) -> datetime:
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=ready_by.hour, minute=ready_by.minute, second=0, microsecond=0)
    return (due if due > local else due + timedelta(days=1)).astimezone(now.tzinfo)


def _taken_wh(history: History, since: datetime, now: datetime) -> float:
    """Energy of the quarter hours (or minutes) since an instant; the last one so far."""
    since_s, now_s = since.timestamp(), now.timestamp()
    taken, ends_s = 0.0, now_s
    for start_s, mean_w in reversed(history):
        if start_s < since_s:
            break
        length_s = min(ends_s - start_s, STEP_S)  # a gap in the record is no energy
        taken += max(mean_w, 0.0) * length_s / 3600.0
        ends_s = start_s
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
    site: Site, temperatures_c: Mapping[str, float], history: Mapping[str, History], edges: Sequence[datetime]
) -> tuple[HeatNeed, ...]:
    """The store of each heat pump of which size, band and temperature are known.

    The house draws on the mean what the machine has made: its power by time of day, times its coefficient.
    """
    needs = []
    for resource in site.of(Role.HEAT_PUMP):
        store = _store(site, resource, temperatures_c.get(resource.id))
        past = history.get(f"{resource.id}.power_w", ())
        if store is None or not past:
            continue
        drawn_w = load_forecast(past, edges, site.zone, default_w=0.0)
        smooth_w = sum(drawn_w) / len(drawn_w)  # when it ran says little of when the heat is drawn
        needs.append(HeatNeed(store, (smooth_w * store.cop,) * (len(edges) - 1)))
    return tuple(needs)


def _store(site: Site, resource: Resource, temperature_c: float | None) -> HeatStore | None:
    policy, rated_w = site.load_policy(resource.id), resource.ratings.max_power_w
    low_c, high_c, litres = policy.comfort_min_c, policy.comfort_max_c, policy.store_litres
    if temperature_c is None or low_c is None or high_c is None or litres is None or not rated_w:
        return None
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


def month_peak_w(grid: History, now: datetime, zone: str) -> float:
    """The highest mean import of a quarter hour in this local month so far."""
    local = now.astimezone(ZoneInfo(zone))
    begin_s = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()
    return max((mean_w for start_s, mean_w in grid if start_s >= begin_s), default=0.0)
