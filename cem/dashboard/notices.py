"""What a person should notice, worst first: limits, links, clock, alarms. Shared by the screen and `cem status`."""

from dataclasses import dataclass
from enum import StrEnum

from cem.dashboard import words
from cem.model.directive import GridPresence, LinkState, LinkStatus
from cem.model.setpoint import Mode
from cem.model.status import Alarm, LimitStatus, Status


class Tone(StrEnum):
    """How loudly a line speaks; each output has its own colours for it."""

    CALM = "calm"
    NOTE = "note"
    WARNING = "warning"
    ALARM = "alarm"


MARK = {Tone.CALM: " ", Tone.NOTE: "·", Tone.WARNING: "!", Tone.ALARM: "‼"}
"""The same in monochrome."""

MODE_TONE = {
    Mode.NORMAL: Tone.CALM,
    Mode.LIMITED: Tone.NOTE,
    Mode.FALLBACK: Tone.WARNING,
    Mode.SAFE: Tone.ALARM,
    Mode.ISLANDED: Tone.ALARM,
}
_SEVERITY = {"info": Tone.NOTE, "warning": Tone.WARNING, "alarm": Tone.ALARM}
_LOUD = [Tone.ALARM, Tone.WARNING, Tone.NOTE, Tone.CALM]


@dataclass(frozen=True, slots=True)
class Notice:
    """One line and how loudly it speaks."""

    tone: Tone
    text: str


def severity(alarm: Alarm) -> Tone:
    """The tone of an alarm; an unknown severity is never taken lightly."""
    return _SEVERITY.get(alarm.severity, Tone.ALARM)


def alarms(status: Status) -> list[Alarm]:
    """The alarms, worst first, the newest first among equals."""
    newest_first = sorted(status.alarms, key=lambda alarm: alarm.since, reverse=True)
    return sorted(newest_first, key=lambda alarm: _LOUD.index(severity(alarm)))


def limit_words(limit: LimitStatus, status: Status) -> str:
    """What is allowed, who says so, from when to when, and why."""
    span = words.lasting(limit.since, limit.until, status)
    what, why = f"{limit.side} at most {words.power(limit.limit_w)}", limit.reason.removeprefix(f"{limit.source}: ")
    parts = [what, limit.source, span, "" if why == what else why]
    return " · ".join(part for part in parts if part)


def link_words(link: LinkStatus, status: Status) -> str:
    """How the link stands, since when, and what happened."""
    heard = f"last word {words.moment(link.last_success_at, status)}" if link.last_success_at else "never heard"
    queued = f"{link.reports_queued} reports wait" if link.reports_queued else ""
    parts = [f"{link.provider_id}: {words.LINK[link.state]} since {words.moment(link.since, status)}", heard, queued]
    return " · ".join(part for part in (*parts, link.detail) if part)


def passing(limit: LimitStatus) -> bool:
    """Whether a limit came and will go, unlike fuse and contract."""
    return limit.since is not None or limit.until is not None


def banner(status: Status) -> list[Notice]:
    """The lines on top: what is out of the ordinary, else one calm line that says what bounds the house."""
    lines: list[Notice] = []
    if status.grid is GridPresence.ISLANDED:
        lines.append(Notice(Tone.ALARM, "no grid power: the house runs on its own"))
    binding = [limit for limit in status.limits if limit.binding]
    loud = [limit for limit in binding if passing(limit)]
    if status.mode is Mode.LIMITED and not loud:
        loud = binding
    lost = [link for link in status.links if link.state is not LinkState.ONLINE]
    limit_tone = Tone.WARNING if status.mode is Mode.FALLBACK else Tone.NOTE
    lines += [Notice(limit_tone, limit_words(limit, status)) for limit in loud]
    for link in lost:
        back = link.state in {LinkState.RESYNC, LinkState.STALE}
        lines.append(Notice(Tone.NOTE if back else Tone.WARNING, link_words(link, status)))
    if not status.time_trusted:
        lines.append(Notice(Tone.WARNING, "the clock is not set yet: schedules and events wait for the time"))
    if status.read_only:
        lines.append(Notice(Tone.NOTE, "watching only: nothing is steered"))
    return lines or [Notice(Tone.CALM, _quiet(binding, status))]


def _quiet(binding: list[LimitStatus], status: Status) -> str:
    bounds = " · ".join(f"{one.side} up to {words.power(one.limit_w)} ({one.source})" for one in binding)
    links = ", ".join(link.provider_id for link in status.links)
    return " · ".join(part for part in (bounds, f"{links} online" if links else "") if part) or "no grid limits"


def gone(status: Status | None, why: str) -> list[Notice]:
    """What to say while the gateway does not answer."""
    if status is None:
        return [Notice(Tone.ALARM, "no gateway"), Notice(Tone.CALM, why)]
    return [
        Notice(
            Tone.ALARM,
            f"gateway not answering since {words.clock_s(status)}; the devices are under their own control",
        ),
        Notice(Tone.CALM, f"This screen comes back by itself. {why}."),
    ]
