"""What the commands for the owner's acts share: times, energies and levels as people write them, acts in words."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import click

from cem.model.envelope import SITE
from cem.model.request import UserRequest
from cem.model.status import ResourceStatus, Status

USUAL = timedelta(hours=12)
"""How long an act holds where no end is given."""
_CLOCK = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$")
_SPAN = re.compile(r"^(\d+(?:\.\d+)?)\s*(h|min)$")
_ENERGY = re.compile(r"^(\d+(?:\.\d+)?)\s*(kwh|wh)?$", re.IGNORECASE)
_LEVEL = re.compile(r"^(\d+(?:\.\d+)?)\s*%?$")


def moment(text: str, status: Status) -> datetime:
    """The next 18:00 of the house's clock, 2 h or 90 min from now, or an ISO 8601 time; raises BadParameter."""
    zone = ZoneInfo(status.zone)
    now = status.at.astimezone(zone)
    if match := _CLOCK.match(text):
        at = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
        return (at if at > now else at + timedelta(days=1)).astimezone(UTC)
    if match := _SPAN.match(text):
        span = timedelta(hours=float(match[1])) if match[2] == "h" else timedelta(minutes=float(match[1]))
        return status.at + span
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"'{text}' is no time; write 18:00, 2h, 90min or 2026-06-15T18:00") from error
    return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)


def energy_wh(text: str) -> float:
    """20kWh, 20 (kWh) or 500Wh in Wh; raises BadParameter."""
    match = _ENERGY.match(text)
    if match is None:
        raise click.BadParameter(f"'{text}' is no energy; write 20kWh")
    return float(match[1]) * (1.0 if (match[2] or "kwh").lower() == "wh" else 1000.0)


def level_pct(text: str) -> float:
    """40% or 40; raises BadParameter."""
    match = _LEVEL.match(text)
    if match is None or float(match[1]) > 100:
        raise click.BadParameter(f"'{text}' is no level; write 40%")
    return float(match[1])


def resource_named(text: str, status: Status) -> ResourceStatus:
    """The resource of that id or role, where the role has only one; raises BadParameter."""
    found = [resource for device in status.devices for resource in device.resources]
    own = [resource for resource in found if resource.id == text] or [r for r in found if r.role.value == text]
    if len(own) == 1:
        return own[0]
    known = ", ".join(resource.id for resource in found) or "none"
    raise click.BadParameter(f"'{text}' is {'not one thing' if own else 'not known'} in this house; known: {known}")


def in_words(act: UserRequest, status: Status) -> str:
    """'Car: charged by a time, 20.0 kWh by 07:00, until 07:00 (asked by owner)'."""
    from cem.dashboard import words

    names = {resource.id: resource.name for resource in words.resources(status)}
    parts = [words.REQUEST[act.kind]]
    if act.event_id is not None:
        parts[0] = f"take no part in event {act.event_id}"
    if act.energy_wh is not None:
        parts.append(f"{act.energy_wh / 1000:.1f} kWh more")
    if act.target_soc_pct is not None:
        parts.append(f"{act.target_soc_pct:.0f} %")
    if act.ready_at is not None:
        parts.append(f"by {words.moment(act.ready_at, status)}")
    if act.since is not None:
        parts.append(f"from {words.moment(act.since, status)}")
    subject = "the house" if act.resource_id == SITE else names.get(act.resource_id, act.resource_id)
    return f"{subject}: {', '.join(parts)}, until {words.moment(act.until, status)} (asked by {act.by})"
