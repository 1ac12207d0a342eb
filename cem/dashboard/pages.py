"""The texts of the pages: each subject in full, in words."""

import textwrap

from textual.content import Content

from cem.dashboard import notices, palette, strip_art, words
from cem.dashboard.widgets.alarm_list import alarm_rows
from cem.model.plan import Intent, Slot
from cem.model.setpoint import Health
from cem.model.status import ResourceStatus, Status

_KEY_W = 12


def _row(key: str, text: str, width: int, style: str = "") -> Content:
    """A key and its text, wrapped under itself."""
    indent = 4 + _KEY_W
    lines = textwrap.wrap(text, max(20, width - indent)) or [""]
    return Content.assemble((f"    {key:<{_KEY_W}}", palette.MUTED), (f"\n{' ' * indent}".join(lines), style))


def _line(first: str, text: str, width: int, style: str = "") -> Content:
    """A text that hangs behind its first characters."""
    hang = " " * len(first)
    return Content.styled("\n".join(textwrap.wrap(text, width, initial_indent=first, subsequent_indent=hang)), style)


def _join(rows: list[Content]) -> Content:
    return Content("\n").join(rows)


def devices(status: Status, width: int) -> Content:
    """Every device with health, what each resource does, what was set, why, and what happens without us."""
    rows: list[Content] = []
    for device in status.devices:
        well = device.health in {Health.ONLINE, Health.STARTING}
        style = palette.GOOD if device.health is Health.ONLINE else palette.MUTED if well else palette.ALARM
        mark = words.HEALTH_MARK.get(device.health, "✖")
        since = words.moment(device.since, status)
        rows.append(
            Content.assemble(
                (f"{mark} ", style), (device.name, "bold"), (f"  {words.HEALTH[device.health]} since {since}", style)
            )
        )
        if device.detail:
            rows.append(_row("seen", device.detail, width))
        if device.advice:
            rows.append(_row("do", device.advice, width, f"{palette.WARNING} bold"))
        for resource in device.resources:
            rows.extend(_resource(resource, width))
        if device.if_i_die:
            rows.append(_row("without us", device.if_i_die, width))
        if device.line is not None:
            rows.append(_row("line", f"{device.line.name}: {words.line(device.line)}", width))
        rows.append(Content(""))
    return _join(rows)


def _resource(resource: ResourceStatus, width: int) -> list[Content]:
    old = words.age(resource.age_s)
    when = "never read" if resource.age_s is None else "just now" if old == "now" else f"{old} ago"
    rows = [_row(resource.name[: _KEY_W - 1], f"{words.resource_words(resource)} ({when})", width, "bold")]
    if state := words.state_words(resource):
        rows.append(_row("state", state, width))
    if resource.setpoint:
        rows.append(_row("set to", resource.setpoint + (f": {resource.outcome}" if resource.outcome else ""), width))
    if resource.reason:
        rows.append(_row("why", resource.reason, width))
    return rows


def limits(status: Status, width: int) -> Content:
    """Every limit, link and event."""
    rows = [Content.styled("Limits at the grid connection", "bold")]
    for limit in status.limits:
        style = (
            f"{palette.WARNING} bold"
            if limit.binding and notices.passing(limit)
            else "bold"
            if limit.binding
            else palette.MUTED
        )
        rows.append(_line(f"  {'▶' if limit.binding else ' '} ", notices.limit_words(limit, status), width, style))
    rows += [] if status.limits else [Content.styled("    none", palette.MUTED)]
    rows += [Content.styled("    ▶ is the one that counts on its side", palette.MUTED), Content("")]
    rows.append(Content.styled("Links to the grid's providers", "bold"))
    for link in status.links:
        rows.append(_line("    ", notices.link_words(link, status), width))
        if link.advice:
            rows.append(_line("      → ", link.advice, width))
    rows += [] if status.links else [Content.styled("    none", palette.MUTED)]
    rows += [Content(""), Content.styled("Events", "bold")]
    rows += [_line("    ", words.event_words(event, status), width) for event in status.events]
    rows += [] if status.events else [Content.styled("    none", palette.MUTED)]
    return _join(rows)


def alarms(status: Status, width: int) -> Content:
    """Every alarm with what to do; the health of the gateway below."""
    rows: list[Content] = []
    for alarm in notices.alarms(status):
        rows += [*alarm_rows(alarm, width), _row("since", words.moment(alarm.since, status), width), Content("")]
    if not status.alarms:
        rows += [Content("Nothing needs you."), Content("")]
    tick = status.tick
    rows += [
        Content.styled("The gateway", "bold"),
        _row("version", status.version, width),
        _row("running", f"since {words.moment(tick.started_at, status)}, {tick.count} decisions", width),
        _row("decides in", f"{tick.last_ms:.0f} ms, {tick.worst_ms:.0f} ms at worst", width),
        _row(
            "clock",
            "set" if status.time_trusted else "not set yet",
            width,
            "" if status.time_trusted else palette.WARNING,
        ),
        _row("today", words.today(status.today, status.currency), width),
    ]
    return _join(rows)


def plan(status: Status, width: int) -> Content:
    """The strip, the planner's reasons, and what each stretch of the day brings."""
    found = status.plan
    if found is None:
        return strip_art.draw(status, width, 12)
    rows = [strip_art.draw(status, width, 12), Content.styled(strip_art.legend(status), palette.MUTED), Content("")]
    cost = f", {words.money(found.cost, status.currency)} over the horizon" if found.cost is not None else ""
    solved = f", solved in {found.solve_s:.1f} s" if found.solve_s is not None else ""
    until = words.moment(found.expires_at, status)
    rows.append(
        _row("made", f"{words.moment(found.made_at, status)}, good until {until}: {found.status}{cost}{solved}", width)
    )
    rows += [_row("why", reason, width) for reason in found.reasons]
    names = {resource.id: resource.name for resource in words.resources(status)}
    rows.append(Content(""))
    rows.extend(_stretches(status, found.slots, names))
    return _join(rows)


def _stretches(status: Status, slots: tuple[Slot, ...], names: dict[str, str]) -> list[Content]:
    """One line per stretch of equal intents."""
    rows: list[Content] = []
    start = None
    for slot, following in zip(slots, (*slots[1:], None), strict=True):
        start = start or slot
        if following is not None and dict(following.intents) == dict(start.intents):
            continue
        text = ", ".join(f"{names.get(key, key)} {_intent(intent)}" for key, intent in start.intents.items())
        span = words.span(start.start, slot.end, status)
        rows.append(Content.assemble((f"    {span:<26}", palette.MUTED), text or "nothing planned"))
        start = None
    return rows


def _intent(intent: Intent) -> str:
    word = strip_art.INTENT[intent.kind][2]
    target = f" to {intent.target_soc_pct:.0f} %" if intent.target_soc_pct is not None else ""
    most = f", at most {words.power(intent.max_w)}" if intent.max_w is not None else ""
    return word + target + most


def help_text(_status: Status, _width: int) -> Content:
    """What the screen shows and which keys there are."""
    keys = [
        ("d", "every device: what it does, why, and what it does without the gateway"),
        ("p", "the plan for the next hours and why it is so"),
        ("l", "limits, links to the grid's providers, events"),
        ("a", "alarms and what to do about each; the gateway's own health"),
        ("o", "ask for something: charge now, keep the battery; every act has an end"),
        ("Esc", "back"),
        ("q", "leave; the gateway goes on"),
    ]
    rows = [Content.assemble((f"    {key:<6}", "bold"), text) for key, text in keys]
    return _join(
        [
            *rows,
            Content(""),
            Content("    Arrows point the way the energy goes; a thick line carries 1 kW or more."),
            Content("    ● answers   ○ starting   ✖ silent or faulty; the time behind it is the reading's age."),
            Content("    · note   ! warning   ‼ alarm"),
            Content(""),
            Content("    If this screen ends or breaks, nothing in the house changes."),
        ]
    )
