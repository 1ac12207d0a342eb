"""Every bound that is not the grid's own: fuse, contract, ratings, reserve, the owner's acts."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from cem.control import words
from cem.control.picture import Picture
from cem.control.tuning import RESERVE_HYSTERESIS_PCT
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Role
from cem.model.site import BatteryPolicy, Site
from cem.model.tick import Inputs
from cem.model.values import replace

FUSE, CONTRACT = "fuse", "contract"
STANDING = frozenset({FUSE, CONTRACT})
"""The sources of what always holds."""


def site_envelopes(site: Site) -> tuple[Envelope, ...]:
    """What the fuse and the contract allow at the connection point."""
    connection = site.connection
    fuse = connection.fuse_w
    envelopes = [Envelope(SITE, -fuse, fuse, Rank.SAFETY, FUSE, f"main fuse {connection.fuse_a:g} A")]
    if connection.import_limit_w is not None:
        reason = f"contract: import at most {words.power(connection.import_limit_w)}"
        envelopes.append(Envelope(SITE, None, connection.import_limit_w, Rank.OBLIGATION, CONTRACT, reason))
    if connection.export_limit_w is not None:
        reason = f"contract: export at most {words.power(connection.export_limit_w)}"
        envelopes.append(Envelope(SITE, -connection.export_limit_w, None, Rank.OBLIGATION, CONTRACT, reason))
    return tuple(envelopes)


def with_owners_reserves(site: Site, inputs: Inputs) -> Site:
    """The site with the reserves that the owner asked for in place of the site file's."""
    if not inputs.requests:
        return site
    asked = {
        request.resource_id: request.target_soc_pct
        for request in reversed(in_force(inputs.requests, inputs.now.wall))
        if request.kind is RequestKind.RESERVE and request.target_soc_pct is not None
    }
    if not asked:
        return site
    policies = [
        replace(
            site.battery_policy(resource.id),
            reserve_pct=asked.get(resource.id, site.battery_policy(resource.id).reserve_pct),
        )
        for resource in site.of(Role.BATTERY)
    ]
    wanted, known = tuple(policies), site.once(_reserved)
    if wanted not in known:
        known.clear()
        known[wanted] = replace(site, batteries=wanted)
    return known[wanted]


def _reserved(_site: Site) -> dict[tuple[BatteryPolicy, ...], Site]:
    """The site as it was last asked for with other reserves: they hold for hours."""
    return {}


def released(requests: Sequence[UserRequest], resource_id: str, now: datetime) -> UserRequest | None:
    """The owner's act that leaves a battery to its own control, if the newest of its acts is one."""
    act = act_on(requests, resource_id, now)
    return act if act is not None and act.kind is RequestKind.RELEASE else None


def locked_reserves(site: Site, picture: Picture, locked: frozenset[str]) -> frozenset[str]:
    """The batteries that may not discharge: at their reserve, until clearly above it again.

    A battery that can't be read keeps its lock.
    """
    seen = {battery.resource.id for battery in picture.batteries}
    result = {battery_id for battery_id in locked if battery_id not in seen}
    for battery in picture.batteries:
        reserve = site.battery_policy(battery.resource.id).reserve_pct
        clear = reserve + RESERVE_HYSTERESIS_PCT
        if battery.soc_pct <= reserve or (battery.resource.id in locked and battery.soc_pct <= clear):
            result.add(battery.resource.id)
    return frozenset(result)


def battery_envelopes(site: Site, picture: Picture, locked: frozenset[str]) -> list[Envelope]:
    """What each battery accepts and gives now, and its reserve."""
    envelopes: list[Envelope] = []
    for battery in picture.batteries:
        resource = battery.resource
        envelopes.append(
            Envelope(
                resource.id,
                -battery.max_discharge_w,
                battery.max_charge_w,
                Rank.SAFETY,
                resource.id,
                _ability(battery.max_charge_w, battery.max_discharge_w),
            )
        )
        if resource.id in locked:
            reserve = site.battery_policy(resource.id).reserve_pct
            envelopes.append(
                Envelope(resource.id, 0.0, None, Rank.SAFETY, "reserve", f"keeps its reserve of {reserve:g} %")
            )
    return envelopes


@lru_cache(maxsize=256)
def _ability(charge_w: float, discharge_w: float) -> str:
    return f"takes at most {words.power(charge_w)} and gives at most {words.power(discharge_w)} now"


def user_envelopes(requests: Sequence[UserRequest], now: datetime) -> list[Envelope]:
    """The owner's acts that narrow: holding what a battery stores, pausing a car."""
    envelopes: list[Envelope] = []
    if not requests:
        return envelopes
    for resource_id in sorted({request.resource_id for request in requests}):
        act = act_on(requests, resource_id, now)
        if act is not None and act.kind is RequestKind.HOLD:
            envelopes.append(Envelope(resource_id, 0.0, None, Rank.USER, act.by, "held by the owner", act.until))
        elif act is not None and act.kind is RequestKind.PAUSE:
            envelopes.append(Envelope(resource_id, None, 0.0, Rank.USER, act.by, "paused by the owner", act.until))
    return envelopes


def act_on(requests: Sequence[UserRequest], resource_id: str, now: datetime) -> UserRequest | None:
    """What the owner wants of a resource now: the newest of the acts that steer it; older ones do not count under it.

    A reserve is none of them: it stands beside what steers the battery.
    """
    if not requests:
        return None
    own = (r for r in in_force(requests, now) if r.resource_id == resource_id and r.kind is not RequestKind.RESERVE)
    return next(own, None)


def in_force(requests: Iterable[UserRequest], now: datetime) -> Sequence[UserRequest]:
    """The requests that have not ended, the newest first."""
    return sorted((r for r in requests if now < r.until), key=lambda r: r.made_at, reverse=True)
