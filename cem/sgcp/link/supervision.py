"""The state of the link to one provider: a table, and a pure function that walks it on the monotonic clock.

A lost link is no outage: what was accepted runs to its end, and then the default limit holds, never "no limit".
Sources: OpenADR 3 User Guide 8.10.1 (extended communications interruption: the schedule, then the subscription),
EEBUS LPC (a limit lost with its heartbeat is replaced by the failsafe limit until a heartbeat and a new limit came),
CSIP-AUS (default control after communications loss, in force after a restart before any network).
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from cem.model.directive import LinkState
from cem.model.provider import Provider
from cem.model.time import Instant


class Cause(StrEnum):
    """What moves a link from one state to another."""

    ANSWER = "answer"  # an authenticated success
    FIRST_ANSWER = "first_answer"  # the first of a run whose former run had not lost the link
    SILENCE = "silence"  # the last success is older than stale_s
    LONG_SILENCE = "long_silence"  # older than twice that
    NOTHING_SCHEDULED = "nothing_scheduled"  # for longer than the programme allows, or direct control without an end
    SCHEDULED = "scheduled"  # the stored schedule covers the moment again
    SYNCHRONISED = "synchronised"  # every step of the resynchronisation is done
    FAILURE = "failure"  # a step of it failed
    EARLY_FAILURE = "early_failure"  # a step of the first one failed, and the link is not lost yet


S = LinkState
TRANSITIONS: dict[tuple[LinkState, Cause], LinkState] = {
    (S.ONLINE, Cause.ANSWER): S.ONLINE,
    (S.ONLINE, Cause.SILENCE): S.STALE,  # alarm and faster probing; what holds is unchanged
    (S.STALE, Cause.ANSWER): S.ONLINE,
    (S.STALE, Cause.FIRST_ANSWER): S.RESYNC,  # what held goes on; everything is asked for anew all the same
    (S.STALE, Cause.LONG_SILENCE): S.HOLD,  # the stored schedule exactly; no new promises
    (S.HOLD, Cause.NOTHING_SCHEDULED): S.FALLBACK,  # User Guide 8.10.1; EEBUS LPC failsafe state
    (S.FALLBACK, Cause.SCHEDULED): S.HOLD,  # CSIP-AUS: a stored control still runs at its time
    (S.HOLD, Cause.ANSWER): S.RESYNC,
    (S.FALLBACK, Cause.ANSWER): S.RESYNC,  # EEBUS LPC: the heartbeat alone does not end the failsafe limit
    (S.RESYNC, Cause.SYNCHRONISED): S.ONLINE,
    (S.RESYNC, Cause.FAILURE): S.HOLD,  # and on to FALLBACK at once where that held before
    (S.RESYNC, Cause.EARLY_FAILURE): S.STALE,
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the stored events say about this moment, as far as the link needs to know."""

    covered: bool  # an event asks for something now (a mandatory programme: a limit on every side that has a default)
    endless: bool  # direct control without an end, or one so long that it counts as that, is in force


@dataclass(frozen=True, slots=True)
class Link:
    """One provider's link. Times `..._s` are monotonic. `falls_back` is what holds while the state is RESYNC."""

    state: LinkState
    since: Instant
    last_success: Instant | None = None
    lost_s: float | None = None  # when HOLD began
    uncovered_s: float | None = None  # since when nothing is scheduled, while lost
    falls_back: bool = False
    detail: str = ""
    advice: str = ""
    met: bool = False  # the provider has answered in this run
    failing: bool = True  # the last turn failed, or there was none yet
    resumes: bool = False  # a former run had not lost it, and in this one nothing was fetched yet
    missed: bool = False  # and has failed to since, or before the start; False: a default holds for this start alone

    @property
    def holds_default(self) -> bool:
        """Whether the default limit holds and prices and dispatch are dropped."""
        return self.state is S.FALLBACK or (self.state is S.RESYNC and self.falls_back)


def resumed(provider: Provider, now: Instant, last_success: Instant) -> Link:
    """The link after a restart of the gateway alone, out of a run that had not lost it: as if it were stale just now.

    So the default limit waits for as long as it would after a moment of silence, and what is stored holds.
    """
    heard = Instant(last_success.wall, now.mono_s - provider.stale_after_s(), now.trusted)
    return Link(S.STALE, now, heard, detail="started; no contact yet", resumes=True)


def started(stored: bool, now: Instant, last_success: Instant | None = None, *, missed: bool = False) -> Link:
    """The link after a start: HOLD where a schedule is stored and the clock can be trusted, else FALLBACK.

    `missed`: it was lost already when the former run ended.
    """
    hold = stored and now.trusted
    return Link(
        S.HOLD if hold else S.FALLBACK,
        now,
        last_success,
        lost_s=now.mono_s,
        uncovered_s=None if hold else now.mono_s,
        falls_back=not hold,
        detail="started; no contact yet",
        missed=missed,
    )


def answered(link: Link, now: Instant) -> Link:
    """After an authenticated success. From HOLD and FALLBACK on, only the whole resynchronisation leads back."""
    if link.resumes:  # its age goes on until all is fetched
        moved = _moved(link, TRANSITIONS.get((link.state, Cause.FIRST_ANSWER), link.state), now)
        return replace(moved, met=True, detail="the provider answers; asking for everything anew", advice="")
    if link.state is S.RESYNC:
        return replace(link, last_success=now, met=True)
    state = TRANSITIONS[link.state, Cause.ANSWER]
    link = replace(link, last_success=now, met=True, failing=False)
    if state is S.RESYNC:
        detail = "the provider answers again; asking for everything anew"
        return replace(_moved(link, state, now), falls_back=link.state is S.FALLBACK, detail=detail, advice="")
    return replace(_moved(link, state, now), detail="connected", advice="", lost_s=None, uncovered_s=None)


def failed(link: Link, now: Instant, detail: str, advice: str) -> Link:
    """After a failure: only the words change, the state follows from silence; a resynchronisation is over."""
    link = replace(link, detail=detail, advice=advice, failing=True, missed=True)
    if link.state is not S.RESYNC:
        return link
    if link.resumes:
        return _moved(link, TRANSITIONS[S.RESYNC, Cause.EARLY_FAILURE], now)
    return _moved(link, S.FALLBACK if link.falls_back else TRANSITIONS[S.RESYNC, Cause.FAILURE], now)


def synchronised(link: Link, now: Instant) -> Link:
    """Every step is done: credentials, registration, a full fetch, the difference on disk."""
    if link.state is not S.RESYNC:
        return link
    moved = _moved(link, TRANSITIONS[S.RESYNC, Cause.SYNCHRONISED], now)
    calm = replace(moved, lost_s=None, uncovered_s=None, failing=False, resumes=False, missed=False)
    return replace(calm, last_success=now, detail="connected", advice="")


def advanced(link: Link, provider: Provider, schedule: Schedule, now: Instant) -> Link:
    """The link at `now` by time and schedule alone."""
    stale_s = provider.stale_after_s()
    age = now.mono_s - link.last_success.mono_s if link.last_success is not None else 2 * stale_s
    if link.resumes and link.state is S.RESYNC:
        if age < 2 * stale_s:
            return link
        link = replace(link, resumes=False, lost_s=now.mono_s - age + 2 * stale_s)
    if link.state in (S.ONLINE, S.STALE):
        if link.state is S.ONLINE and age >= stale_s:
            link = replace(_moved(link, TRANSITIONS[link.state, Cause.SILENCE], now), missed=True)
        if link.state is S.STALE and age >= 2 * stale_s:
            lost_s = now.mono_s - age + 2 * stale_s
            lost = replace(link, lost_s=lost_s, resumes=False)
            link = _moved(lost, TRANSITIONS[link.state, Cause.LONG_SILENCE], now)
    return _covered(link, provider, schedule, now) if link.state in (S.HOLD, S.FALLBACK, S.RESYNC) else link


def _covered(link: Link, provider: Provider, schedule: Schedule, now: Instant) -> Link:
    if schedule.covered and now.trusted:
        uncovered = None
    else:
        uncovered = now.mono_s if link.uncovered_s is None else link.uncovered_s
    link = replace(link, uncovered_s=uncovered)
    default = not now.trusted or _endless_for_too_long(link, provider, schedule, now)
    if uncovered is not None:
        default = default or provider.mandatory or now.mono_s - uncovered >= provider.fallback_voluntary_s
        default = default or link.holds_default  # once fallen back, only the schedule leads out of it
    if link.state is S.RESYNC:
        return replace(link, falls_back=default)
    if default and link.state is S.HOLD:
        return replace(_moved(link, TRANSITIONS[link.state, Cause.NOTHING_SCHEDULED], now), falls_back=True)
    if not default and link.state is S.FALLBACK:
        return replace(_moved(link, TRANSITIONS[link.state, Cause.SCHEDULED], now), falls_back=False)
    return link


def _endless_for_too_long(link: Link, provider: Provider, schedule: Schedule, now: Instant) -> bool:
    lost_s = now.mono_s if link.lost_s is None else link.lost_s
    return schedule.endless and now.mono_s - lost_s >= provider.fallback_open_ended_s


def next_deadline_s(link: Link, provider: Provider) -> float | None:
    """The monotonic time at which the link next changes by time alone; None where only other things move it."""
    stale_s = provider.stale_after_s()
    if link.resumes and link.last_success is not None:
        return link.last_success.mono_s + 2 * stale_s
    if link.state in (S.ONLINE, S.STALE) and link.last_success is not None:
        return link.last_success.mono_s + (stale_s if link.state is S.ONLINE else 2 * stale_s)
    ends = []
    if link.lost_s is not None and not link.met and link.last_success is not None:
        ends.append(link.lost_s + 2 * stale_s)  # from then on it counts as lost
    if link.state is S.HOLD:
        ends += [] if link.lost_s is None else [link.lost_s + provider.fallback_open_ended_s]
        if link.uncovered_s is not None:
            ends.append(link.uncovered_s + provider.fallback_voluntary_s)
    return min(ends, default=None)


def awaited(link: Link, provider: Provider, now: Instant) -> bool:
    """Whether a link that is not up yet since the start is no lost one: it never was up, or not long ago.

    A provider that was heard in a former run is lost once it was silent for so long as loses a link that is up.
    """
    if link.met:
        return False
    since_s = now.mono_s if link.lost_s is None else link.lost_s
    return link.last_success is None or now.mono_s - since_s < 2 * provider.stale_after_s()


def _moved(link: Link, state: LinkState, now: Instant) -> Link:
    return link if state is link.state else replace(link, state=state, since=now)
