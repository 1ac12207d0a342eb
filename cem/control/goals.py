"""What a car still lacks of what was asked for: the owner's word with its time first, else the site file's goal."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from cem.control.bounds import act_on
from cem.control.picture import ChargerPicture
from cem.control.scene import Scene
from cem.model.request import RequestKind, UserRequest
from cem.model.site import ChargeGoal
from cem.model.values import value


@value(frozen=True, slots=True)
class Goal:
    """What is missing by `due`, Wh; None: car or site file do not tell enough to know."""

    missing_wh: float | None
    due: datetime
    source: str


def goal_of(scene: Scene, charger: ChargerPicture) -> Goal | None:
    """The goal that counts for a car now; None: nobody asked for anything."""
    resource_id = charger.resource.id
    asked = act_on(scene.inputs.requests, resource_id, scene.now)
    if asked is not None and asked.kind is RequestKind.CHARGE_BY:
        return Goal(_asked_wh(asked, charger), asked.ready_at or asked.until, asked.by)
    for standing in scene.site.goals:
        if standing.resource_id == resource_id:
            return Goal(_standing_wh(standing, charger), next_due(standing, scene.now, scene.site.zone), "goal")
    return None


def _asked_wh(asked: UserRequest, charger: ChargerPicture) -> float | None:
    """A session that began since it was asked counts from its begin."""
    if asked.energy_wh is None:
        return _to_level_wh(asked.target_soc_pct, charger)
    counted, begun = charger.session_wh or 0.0, asked.session_from_wh or 0.0
    return max(0.0, asked.energy_wh - (counted - begun if counted >= begun else counted))


def _standing_wh(goal: ChargeGoal, charger: ChargerPicture) -> float | None:
    if goal.energy_wh is None:
        return _to_level_wh(goal.soc_pct, charger)
    return max(0.0, goal.energy_wh - (charger.session_wh or 0.0))


def _to_level_wh(level_pct: float | None, charger: ChargerPicture) -> float | None:
    capacity_wh = charger.resource.ratings.capacity_wh
    if level_pct is None or charger.soc_pct is None or capacity_wh is None:
        return None
    return max(0.0, level_pct - charger.soc_pct) / 100.0 * capacity_wh


def next_due(goal: ChargeGoal, now: datetime, zone: str) -> datetime:
    """The next time that the goal's local time of day comes round."""
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=goal.ready_by.hour, minute=goal.ready_by.minute, second=0, microsecond=0)
    if due <= local:
        due += timedelta(days=1)
    return due
