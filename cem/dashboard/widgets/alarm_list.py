"""What a person should do, worst first; what the day brought, when there is nothing to do."""

import textwrap

from textual.content import Content

from cem.dashboard import notices, palette, words
from cem.dashboard.view import View
from cem.dashboard.widgets.panel import TONE_STYLE, Panel
from cem.model.event import EventStatus
from cem.model.status import Alarm, Status


class AlarmList(Panel):
    """Two lines per alarm: what happened, and what to do."""

    def draw(self, view: View) -> Content:
        """As many alarms as fit, then the owner's acts, the next event and the day."""
        status = view.status
        if status is None:
            return Content("")
        width, height = max(20, self.size.width), max(1, self.size.height)
        found = notices.alarms(status)
        shown = found[: max(1, height // 2)]
        rest = f"   {len(found) - len(shown)} more: press a" if len(found) > len(shown) else ""
        self.border_title = _title(found, view) + rest
        rows = [row for alarm in shown for row in alarm_rows(alarm, 0)] + calm_rows(status)
        return Content("\n").join(row.truncate(width, ellipsis=True) for row in rows[:height])


def _title(found: list[Alarm], view: View) -> str:
    if view.gone:
        return "Last known"
    if not found:
        return "Nothing needs you"
    quiet = notices.severity(found[0]) is notices.Tone.NOTE
    return f"{'Worth knowing' if quiet else 'Alarms'}: {len(found)}"


def alarm_rows(alarm: Alarm, width: int) -> list[Content]:
    """Cause and effect, then what to do; wrapped to `width`, or one line each where that is 0."""
    tone = notices.severity(alarm)
    rows = []
    for first, text, style in (
        (f"{notices.MARK[tone]} ", f"{alarm.cause}: {alarm.effect}", TONE_STYLE[tone]),
        ("  → ", alarm.advice, palette.PLAIN),
    ):
        lines = textwrap.wrap(text, width - len(first)) if width else [text]
        rows.append(Content.styled(first + ("\n" + " " * len(first)).join(lines), style))
    return rows


def calm_rows(status: Status) -> list[Content]:
    """The day, the tariff, the owner's acts and the grid's events; one line each."""
    rows = [Content.assemble(("today ", palette.MUTED), words.today(status.today, status.currency))]
    if status.tariff is not None:
        rows.append(Content.assemble(("tariff ", palette.MUTED), status.tariff.detail))
    if status.domain is not None:
        rows.append(Content.styled(words.domain(status.domain, status), palette.MUTED))
    roles = {resource.id: resource.name for resource in words.resources(status)}
    for act in status.requests:
        name = roles.get(act.resource_id, act.resource_id)
        text = f"{name}: {words.REQUEST[act.kind]} until {words.moment(act.until, status)} ({act.by})"
        rows.append(Content.assemble(("asked ", palette.MUTED), text))
    coming = [e for e in status.events if e.status in {EventStatus.NEAR, EventStatus.FAR, EventStatus.ACTIVE}]
    return rows + [
        Content.assemble(("event ", palette.MUTED), words.event_words(event, status))
        for event in sorted(coming, key=lambda one: one.start)
    ]
