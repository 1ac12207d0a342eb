"""Numbers, times and states in the words of a person; no signs, every number with its unit."""

import textwrap
from collections.abc import Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cem.model.directive import EventSummary, LinkState
from cem.model.event import EventStatus
from cem.model.line import LineCounts
from cem.model.request import RequestKind
from cem.model.resource import Role
from cem.model.setpoint import Health, Mode
from cem.model.status import DomainStatus, EnergyToday, Flow, ResourceStatus, Status

IDLE_W = 10.0
"""Below this a terminal counts as resting: meters and inverters are not quieter."""

MODE = {
    Mode.NORMAL: "normal",
    Mode.LIMITED: "limited by the grid",
    Mode.FALLBACK: "grid link lost",
    Mode.SAFE: "safe state",
    Mode.ISLANDED: "no grid power",
}
HEALTH = {
    Health.STARTING: "starting",
    Health.ONLINE: "online",
    Health.SILENT: "silent",
    Health.WRONG_DEVICE: "wrong device",
    Health.FAULT: "fault",
}
HEALTH_MARK = {Health.STARTING: "○", Health.ONLINE: "●"}
LINK = {
    LinkState.ONLINE: "online",
    LinkState.STALE: "late",
    LinkState.HOLD: "silent, its last word holds",
    LinkState.FALLBACK: "lost, its default limits hold",
    LinkState.RESYNC: "back, catching up",
}
REQUEST = {
    RequestKind.CHARGE_NOW: "charge now",
    RequestKind.SURPLUS_ONLY: "only from surplus",
    RequestKind.HOLD: "keep what is stored",
    RequestKind.PAUSE: "pause",
    RequestKind.CHARGE_BY: "charged by a time",
    RequestKind.RELEASE: "left to its own control",
    RequestKind.RESERVE: "keep a reserve",
    RequestKind.OPT_OUT: "take no part in voluntary events",
    RequestKind.READ_ONLY: "only watch, write nothing",
}
_CAR_STATE = {"A": "no car", "B": "plugged in", "C": "charging", "D": "charging", "E": "fault", "F": "fault"}
_VERBS = {  # role: (power in, power out, at rest)
    Role.GRID: ("importing", "exporting", "no exchange"),
    Role.PV: ("drawing", "making", "no sun"),
    Role.BATTERY: ("charging", "giving", "resting"),
    Role.EV: ("charging", "giving", "not charging"),
    Role.HEAT_PUMP: ("using", "giving", "off"),
    Role.LOAD: ("using", "giving", "off"),
}


def power(power_w: float | None) -> str:
    """The magnitude of a power: 85 W, 4.2 kW, 118 kW, 3.4 MW."""
    if power_w is None:
        return "unknown"
    size = abs(power_w)
    if size < 99.5:
        return f"{size:.0f} W"
    if size < 99_950:
        return f"{size / 1000:.1f} kW"
    return f"{size / 1000:.0f} kW" if size < 999_500 else f"{size / 1e6:.1f} MW"


def energy(energy_wh: float) -> str:
    """The magnitude of an energy."""
    size = abs(energy_wh)
    if size < 999_500:
        return f"{size / 1000:.1f} kWh" if size < 99_950 else f"{size / 1000:.0f} kWh"
    return f"{size / 1e6:.1f} MWh"


def age(age_s: float | None) -> str:
    """How old a reading is."""
    if age_s is None:
        return "never"
    if age_s < 2:
        return "now"
    if age_s < 99.5:
        return f"{age_s:.0f} s"
    return f"{age_s / 60:.0f} min" if age_s < 3570 else f"{age_s / 3600:.0f} h"


def shorten(text: str, width: int) -> str:
    """The text on one line of `width`: whole, else its first clauses, else whole words and an ellipsis."""
    if len(text) <= width:
        return text
    head = text[: width + 1]
    ends = [head.rfind(mark) for mark in (";", ":", ",", " (", " · ")]
    if (end := max(ends)) >= width // 2:
        return text[:end]
    return textwrap.shorten(text, max(width, 2), placeholder=" …")


def local(at: datetime, zone: str) -> datetime:
    """The instant on the site's wall clock; UTC where the zone is not known on this machine."""
    try:
        return at.astimezone(ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        return at


def moment(at: datetime, status: Status) -> str:
    """A time as one would say it: 15:00, tomorrow 07:00, Fri 07:00, 24 Dec 07:00."""
    then, now = local(at, status.zone), local(status.at, status.zone)
    days = (then.date() - now.date()).days
    clock = then.strftime("%H:%M")
    if days == 0:
        return clock
    if abs(days) == 1:
        return f"{'tomorrow' if days == 1 else 'yesterday'} {clock}"
    return then.strftime("%a %H:%M" if abs(days) < 7 else "%d %b %H:%M")


def domain(found: DomainStatus, status: Status) -> str:
    """The gateway's own VTN: 'VTN for the domain below: 2 VENs, 1 event, 40 reports; last heard 12:03; at https://...'."""
    if not found.running:
        return "VTN for the domain below: not running"
    counts = ((found.vens, "VEN"), (found.events, "event"), (found.reports, "report"))
    held = ", ".join(f"{number} {name}{'' if number == 1 else 's'}" for number, name in counts)
    heard = "no VEN heard yet" if found.heard_at is None else f"last heard {moment(found.heard_at, status)}"
    lost = ", ".join(one.name for one in found.members if one.lost)
    return f"VTN for the domain below: {held}; {heard}{f'; lost: {lost}' if lost else ''}; at {found.url}"


def clock_s(status: Status) -> str:
    """The status's own time to the second, on the site's wall clock."""
    return local(status.at, status.zone).strftime("%H:%M:%S")


def span(start: datetime, end: datetime, status: Status) -> str:
    """A stretch of time, the day named once: 'tomorrow 01:00 to 04:00'."""
    same_day = local(start, status.zone).date() == local(end, status.zone).date()
    last = local(end, status.zone).strftime("%H:%M") if same_day else moment(end, status)
    return f"{moment(start, status)} to {last}"


def lasting(since: datetime | None, until: datetime | None, status: Status) -> str:
    """From when to when: 'since 11:30 until 15:00', either part only if known."""
    parts = [f"since {moment(since, status)}" if since else "", f"until {moment(until, status)}" if until else ""]
    return " ".join(part for part in parts if part)


def doing(role: Role, power_w: float | None) -> str:
    """What a terminal does, with how much: 'charging 3.1 kW', 'no sun'."""
    if power_w is None:
        return "unknown"
    into, out, rest = _VERBS[role]
    if abs(power_w) < IDLE_W:
        return rest
    return f"{into if power_w > 0 else out} {power(power_w)}"


def verb(role: Role, power_w: float | None) -> str:
    """The same without the number."""
    if power_w is None:
        return "unknown"
    into, out, rest = _VERBS[role]
    return rest if abs(power_w) < IDLE_W else into if power_w > 0 else out


def resource_words(resource: ResourceStatus) -> str:
    """What one resource does, with state of charge and the car's state where they are known."""
    if resource.role is Role.CONTACTS:
        return ("was " if resource.stale else "") + (resource.state or "no reading yet")
    if resource.power_w is None:
        return "no reading yet"
    parts = [doing(resource.role, resource.power_w)]
    if resource.role is Role.EV and abs(resource.power_w) < IDLE_W and resource.state in _CAR_STATE:
        parts = [_CAR_STATE[resource.state]]
    if resource.soc_pct is not None:
        parts.append(f"{resource.soc_pct:.0f} %")
    return ("was " if resource.stale else "") + " ".join(parts)


def state_words(resource: ResourceStatus) -> str:
    """The resource's own state in words, empty when it tells none."""
    if resource.state is None:
        return ""
    return _CAR_STATE.get(resource.state, resource.state) if resource.role is Role.EV else resource.state


def line(counts: LineCounts) -> str:
    """What a device's line has carried, and what went wrong on it."""
    written = f", {counts.writes} of them to write" if counts.writes else ""
    wrong = [
        (counts.timeouts, "got no answer in time"),
        (counts.late, "came too late"),
        (counts.bad, "got a wrong answer"),
        (counts.errors - counts.timeouts - counts.bad, "ended with the connection"),
        (counts.refused, "were refused"),
        (counts.spared, "were not asked while it was silent"),
    ]
    told = ", ".join(f"{count} {words}" for count, words in wrong if count > 0)
    opened = "once" if counts.opened == 1 else f"{counts.opened} times"
    slow = f"; {counts.slow} took more than half of the time that they had" if counts.slow else ""
    slowest = f"slowest answer {counts.slowest_s * 1000:.0f} ms"
    return f"{counts.requests} questions{written}: {told or 'all answered'}; {slowest}{slow}; connected {opened}"


def resources(status: Status) -> Iterable[ResourceStatus]:
    """All resources of the house, in the devices' order."""
    return (resource for device in status.devices for resource in device.resources)


def has(status: Status, role: Role) -> bool:
    """Whether the house has such a thing."""
    return any(resource.role is role for resource in resources(status))


def charge_level(status: Status, role: Role) -> str:
    """The state of charge of all of a role: '62 %', '40 to 62 %', empty when none is known."""
    known = [
        resource.soc_pct for resource in resources(status) if resource.role is role and resource.soc_pct is not None
    ]
    if not known:
        return ""
    low, high = f"{min(known):.0f}", f"{max(known):.0f}"
    return f"{low} %" if low == high else f"{low} to {high} %"


def flow_sentence(status: Status) -> str:
    """The energy flow in one sentence; what the house does not have is left out."""
    flow: Flow = status.flow
    parts = [f"house {power(flow.load_w)}"]
    if has(status, Role.BATTERY) or flow.battery_w is not None:
        level = charge_level(status, Role.BATTERY)
        parts.append(f"battery {doing(Role.BATTERY, flow.battery_w)}" + (f" ({level})" if level else ""))
    if has(status, Role.EV) or flow.ev_w is not None:
        giving = flow.ev_w is not None and flow.ev_w < -IDLE_W
        parts.append(f"car giving {power(flow.ev_w)}" if giving else f"car {power(flow.ev_w)}")
    parts.append("grid unknown" if flow.grid_w is None else doing(Role.GRID, flow.grid_w))
    sun = f"sun {power(flow.pv_w)} → " if has(status, Role.PV) or flow.pv_w is not None else ""
    return sun + ", ".join(parts)


def price(price_per_kwh: float | None, currency: str) -> str:
    """A price: 0.293 EUR/kWh."""
    return "unknown" if price_per_kwh is None else f"{price_per_kwh:.3f} {currency}/kWh"


def money(cost: float, currency: str) -> str:
    """What was paid or earned."""
    return f"cost {cost:.2f} {currency}" if cost >= 0 else f"earned {-cost:.2f} {currency}"


def today(sums: EnergyToday, currency: str) -> str:
    """The day so far."""
    return (
        f"sun {energy(sums.pv_wh)} · bought {energy(sums.import_wh)} · "
        f"sold {energy(sums.export_wh)} · {money(sums.cost, currency)}"
    )


def event_words(event: EventSummary, status: Status) -> str:
    """One event: who, what, when."""
    running = {EventStatus.ACTIVE: "now, ", EventStatus.COMPLETED: "over, ", EventStatus.CANCELLED: "cancelled, "}
    time = span(event.start, event.end, status) if event.end else f"from {moment(event.start, status)}, open-ended"
    when = running.get(event.status, "") + time
    return f"{event.provider_id}: {event.asks} ({event.name}; {when})"


def until_choices(at: datetime, zone: str) -> list[tuple[str, datetime]]:
    """Sensible ends for an act: (how long in words, or nothing for a time of day; aware instant)."""
    choices = [(f"for {hours} h", at + timedelta(hours=hours)) for hours in (1, 2, 4, 8)]
    morning = local(at, zone).replace(hour=7, minute=0, second=0, microsecond=0)
    if morning <= local(at, zone):
        morning += timedelta(days=1)
    return [*choices, ("", morning)]
