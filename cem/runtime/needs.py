"""What the plugged cars still need: the owner's word first, else the site file's standing goals."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from cem.control.memory import ChargerMemory
from cem.control.tuning import EV_SATED_S
from cem.model.plan import EvNeed
from cem.model.reading import Snapshot
from cem.model.request import RequestKind, UserRequest
from cem.model.site import ChargeGoal, Site
from cem.model.time import Instant
from cem.planning.habits import LEAD, Habit

PLUGGED = frozenset({"B", "C", "D"})
SOON = timedelta(minutes=15)
"""A time that is nearer is taken for this one."""
BEYOND_WH = 2000.0
"""What a car that has taken more than ever may still take."""


def sated(chargers: Mapping[str, ChargerMemory], now_s: float) -> frozenset[str]:
    """The plugged cars that were offered current and have not drawn since, for so long that nobody plans for them."""
    return frozenset(
        resource_id
        for resource_id, car in chargers.items()
        if car.idle_since_s is not None and now_s - car.idle_since_s >= EV_SATED_S
    )


def ev_needs(
    site: Site,
    snapshot: Snapshot,
    requests: Iterable[UserRequest],
    now: Instant,
    stale_s: float,
    sated: frozenset[str] = frozenset(),
    habits: Mapping[str, Habit] = MappingProxyType({}),
) -> tuple[EvNeed, ...]:
    """One need per plugged car that wants something by a time; a `sated` one only what its owner asked for by name.

    A car of which nothing was said but that it is to be learnt wants what it usually takes by the time at which it
    usually leaves, and what it may take beyond that at whatever time is cheap.

    A standing goal of a sated car still makes it charge at full power when it would get late else: the control sees to
    that without the plan.
    """
    asked = {r.resource_id: r for r in requests if r.kind is RequestKind.CHARGE_BY and r.in_force(now.wall)}
    goals = {goal.resource_id: goal for goal in site.goals}
    needs = []
    for resource_id in dict.fromkeys([*asked, *goals, *habits]):
        if snapshot.text(resource_id, "state", stale_s) not in PLUGGED:
            continue
        request = asked.get(resource_id)
        if request is not None:
            energy_wh, due = _asked_wh(site, request, snapshot, stale_s), request.ready_at
        elif resource_id in sated:
            continue
        elif resource_id not in goals:
            needs.append(_usual(resource_id, habits[resource_id], now.wall))
            continue
        else:
            goal = goals[resource_id]
            energy_wh, due = _goal_wh(site, goal, snapshot, stale_s), next_time(goal, now.wall, site.zone)
        if energy_wh > 0:
            needs.append(EvNeed(resource_id, energy_wh, due))
    return tuple(needs)


def _usual(resource_id: str, habit: Habit, now: datetime) -> EvNeed:
    missing_wh = habit.takes_wh - habit.taken_wh
    if missing_wh > 0.0:
        return EvNeed(resource_id, missing_wh, max(habit.leaves_at - LEAD, now + SOON), usual=True)
    beyond_wh = max(habit.most_wh - habit.taken_wh, BEYOND_WH)
    return EvNeed(resource_id, beyond_wh, None, usual=True)


def _asked_wh(site: Site, request: UserRequest, snapshot: Snapshot, stale_s: float) -> float:
    """What is missing of what was asked for; a session that began since counts from its begin."""
    if request.energy_wh is None:
        return _to_level_wh(site, request.resource_id, request.target_soc_pct, snapshot, stale_s)
    counted = snapshot.number(request.resource_id, "session_wh", stale_s) or 0.0
    begun = request.session_from_wh or 0.0
    charged = counted - begun if counted >= begun else counted
    return max(0.0, request.energy_wh - charged)


def _goal_wh(site: Site, goal: ChargeGoal, snapshot: Snapshot, stale_s: float) -> float:
    if goal.energy_wh is None:
        return _to_level_wh(site, goal.resource_id, goal.soc_pct, snapshot, stale_s)
    return max(0.0, goal.energy_wh - (snapshot.number(goal.resource_id, "session_wh", stale_s) or 0.0))


def _to_level_wh(site: Site, resource_id: str, target_pct: float | None, snapshot: Snapshot, stale_s: float) -> float:
    """From the car's own level to the wanted one; 0 where car or site file do not tell enough to know."""
    level_pct = snapshot.number(resource_id, "soc_pct", stale_s)
    capacity_wh = site.resource(resource_id).ratings.capacity_wh
    if target_pct is None or level_pct is None or capacity_wh is None:
        return 0.0
    return max(0.0, (target_pct - level_pct) / 100.0 * capacity_wh)


def next_time(goal: ChargeGoal, now: datetime, zone: str) -> datetime:
    """The next time that the goal's local time of day comes round."""
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=goal.ready_by.hour, minute=goal.ready_by.minute, second=0, microsecond=0)
    if due <= local:
        due += timedelta(days=1)
    return due.astimezone(now.tzinfo)
