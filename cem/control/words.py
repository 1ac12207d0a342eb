"""Sentences for people: powers, times, bounds."""

from datetime import datetime
from zoneinfo import ZoneInfo

from cem.model.envelope import Envelope


def power(power_w: float) -> str:
    """A magnitude in W or kW: '850 W', '4.2 kW'."""
    magnitude = abs(power_w)
    return f"{magnitude:.0f} W" if magnitude < 1000 else f"{magnitude / 1000:.1f} kW"


def until(at: datetime | None, zone: str, now: datetime) -> str:
    """' until 14:05', with the date when that is another day; '' for an open end."""
    if at is None:
        return ""
    local = at.astimezone(ZoneInfo(zone))
    same_day = local.date() == now.astimezone(ZoneInfo(zone)).date()
    return f" until {local:%H:%M}" if same_day else f" until {local:%d %b %H:%M}"


def bound(envelope: Envelope, zone: str, now: datetime) -> str:
    """Who bounds what: 'import limit 4.2 kW of utility until 14:05'."""
    return f"{envelope.reason}{until(envelope.until, zone, now)}"


def clock(at: datetime, zone: str) -> str:
    """Local time of day: '02:15'."""
    return f"{at.astimezone(ZoneInfo(zone)):%H:%M}"


def duration(seconds: float) -> str:
    """'45 s', '3 min 20 s', '10 min'."""
    minutes, rest = divmod(round(seconds), 60)
    parts = [f"{minutes} min"] * (minutes > 0) + [f"{rest} s"] * (rest > 0 or minutes == 0)
    return " ".join(parts)


def hours(amount_h: float) -> str:
    """'40 min', '3.5 h'."""
    return f"{amount_h * 60:.0f} min" if amount_h < 1 else f"{min(amount_h, 999):.1f} h"
