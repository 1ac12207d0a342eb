"""The house as one virtual resource, and each device by itself: power band, energy, duration and ramp. Pure.

It is made of the same parts as the reports of what is available (`flexibility.py`), so that a provider reads there
what stands here.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cem.model.envelope import SITE, Band
from cem.model.flexibility import Flexibility
from cem.model.plan import Plan
from cem.model.reading import Snapshot
from cem.model.resource import Control, Ratings, Resource, Role
from cem.model.site import Group, Site
from cem.sgcp.domain.house import able
from cem.sgcp.reports.flexibility import Part, total

HELD_S = 900.0
"""For how long a power of the band can be held: a settlement period."""


def flexibilities(
    site: Site, snapshot: Snapshot, band: Band, plan: Plan | None, now: datetime
) -> tuple[Flexibility, ...]:
    """The house first, then the groups, then each device that is steered."""
    stale_s = site.connection.device_stale_s
    parts = [_part(site, resource, snapshot, stale_s) for resource in site.resources if _takes_part(resource)]
    slot = None if plan is None else plan.slot_at(now)
    meters = site.of(Role.GRID)
    grid_w = snapshot.number(meters[0].id, "power_w", site.connection.meter_stale_s) if meters else None
    ramp = site.policy.ramp_w_per_s
    whole = _of(SITE, grid_w, parts, ramp, None if slot is None else slot.grid_w, band)
    planned = {} if slot is None else dict(slot.power_w)
    groups = [
        _of(
            group.id, total(p.power_w for p in own), own, ramp, total(planned.get(name) for name in group.members), None
        )
        for group in site.groups
        if (own := [part for part in parts if part.resource.id in group.members])
    ]
    return (whole, *groups, *_each(parts, ramp, planned))


def group_resource(site: Site, group: Group) -> Resource:
    """A group as providers see it: one resource that takes and gives at most what its members do together."""
    each = [able(site.resource(name)) for name in group.members]
    ratings = Ratings(
        max_charge_w=sum(one.import_w for one in each), max_generation_w=sum(one.export_w for one in each)
    )
    return Resource(group.id, Role.LOAD, "", group.name, ratings)


def _each(parts: Sequence[Part], ramp: float | None, planned_w: dict[str, float]) -> Iterator[Flexibility]:
    for part in parts:
        if part.resource.controls:
            name = part.resource.id
            own_ramp = ramp if part.resource.role is Role.BATTERY else None
            yield _of(name, part.power_w, [part], own_ramp, planned_w.get(name), None)


def _of(
    subject: str,
    power_w: float | None,
    parts: Sequence[Part],
    ramp: float | None,
    planned_w: float | None,
    band: Band | None,
) -> Flexibility:
    hours = HELD_S / 3600
    less_w, more_w = _sum(p.up_w(hours) for p in parts), _sum(p.down_w(hours) for p in parts)
    least_w = None if power_w is None or less_w is None else power_w - less_w
    most_w = None if power_w is None or more_w is None else power_w + more_w
    if band is not None:
        least_w, most_w = (None if edge_w is None else band.clamp(edge_w) for edge_w in (least_w, most_w))
    stores = [part for part in parts if part.resource.role is Role.BATTERY]
    gives_wh, takes_wh = _sum(part.stored_wh for part in stores), _sum(part.room_wh for part in stores)
    gives_w = _sum(part.resource.ratings.max_discharge_w for part in stores)
    takes_w = _sum(part.resource.ratings.max_charge_w for part in stores)
    return Flexibility(
        subject,
        power_w,
        least_w,
        most_w,
        HELD_S,
        gives_wh,
        takes_wh,
        _lasts_s(gives_wh, gives_w),
        _lasts_s(takes_wh, takes_w),
        ramp,
        planned_w,
    )


def _lasts_s(energy_wh: float | None, power_w: float | None) -> float | None:
    return None if energy_wh is None or not power_w else energy_wh / power_w * 3600


def _sum(values: Iterator[float | None]) -> float | None:
    """Of nothing it is zero: a house without a battery stores nothing."""
    found = list(values)
    return total(found) if found else 0.0


def _takes_part(resource: Resource) -> bool:
    return resource.role not in (Role.GRID, Role.CONTACTS)


def _part(site: Site, resource: Resource, snapshot: Snapshot, stale_s: float) -> Part:
    battery = Control.BATTERY_SETPOINT_W in resource.controls
    reserve_pct = site.battery_policy(resource.id).reserve_pct if battery else 0.0
    power_w = snapshot.number(resource.id, "power_w", stale_s)
    return Part(resource, power_w, snapshot.number(resource.id, "soc_pct", stale_s), reserve_pct)
