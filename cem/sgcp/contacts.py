"""Limits that the grid operator signals by wire: ripple-control receivers and control boxes. Pure.

A source of limits like a provider, but no energy service with messages: what holds is what its contacts show now.
Each contact is an obligation; several at once, or contradicting ones, all hold, so the most restrictive binds. A
contact that can't be read counts as signalled: an unknown grid signal never means "no limit".

Interpretation: a share of the installed power (paragraph 9 EEG) bounds what flows into the grid at the connection
point; what the house uses itself is free.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from cem.model.directive import EventSummary, LimitWindow, LinkState, LinkStatus
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.event import EventInterval, EventStatus, GridEvent, SignalKind
from cem.model.resource import FEED_IN_PCT, Contact
from cem.sgcp.words import kilowatts

PROGRAMME = "contacts"
"""What stands in the record where an event of a provider names its programme."""


@dataclass(frozen=True, slots=True)
class ContactSource:
    """One receiver or box by its resource's id, and what each wired contact imposes, a magnitude in W."""

    id: str
    limits_w: Mapping[Contact, float]


@dataclass(frozen=True, slots=True)
class ContactState:
    """What the contacts of one source show: True while signalled, None where a contact can't be read.

    `since`: of each contact, when it began to show that. `read_at`: the minute in which all were read last.
    """

    source: ContactSource
    shows: Mapping[Contact, bool | None]
    since: Mapping[Contact, datetime]
    read_at: datetime | None = None
    detail: str = ""  # why a contact can't be read
    advice: str = ""

    @property
    def holding(self) -> tuple[Contact, ...]:
        """The contacts whose limit is in force, the most restrictive of each side first."""
        return tuple(contact for contact in Contact if contact in self.shows and self.shows[contact] is not False)

    @property
    def unread(self) -> tuple[Contact, ...]:
        """The contacts that can't be read."""
        return tuple(contact for contact in self.holding if self.shows[contact] is None)


def label(contact: Contact) -> str:
    """As it stands on the box: 'W3'."""
    return contact.value.upper()


def asks(source: ContactSource, contact: Contact) -> str:
    """What a contact asks for, in words."""
    limit_w = source.limits_w[contact]
    if contact is Contact.W4:
        return f"import at most {kilowatts(limit_w)}, the guaranteed minimum"
    return f"export at most {kilowatts(limit_w)}, {FEED_IN_PCT[contact]:.0f} % of the installed power"


def envelopes(state: ContactState) -> Iterator[Envelope]:
    """One obligation for each contact in force."""
    for contact in state.holding:
        limit_w = state.source.limits_w[contact]
        imports = contact is Contact.W4
        why = f"contact {label(contact)}"
        why += " can't be read, so it counts as signalled" if state.shows[contact] is None else ""
        yield Envelope(
            SITE,
            min_w=None if imports else -limit_w,
            max_w=limit_w if imports else None,
            rank=Rank.OBLIGATION,
            source=state.source.id,
            reason=f"{asks(state.source, contact)}, for {state.source.id} ({why})",
        )


def windows(state: ContactState, now: datetime) -> Iterator[LimitWindow]:
    """The same for the plan; nobody says when they end."""
    for contact in state.holding:
        limit_w = state.source.limits_w[contact]
        imported, exported = (limit_w, None) if contact is Contact.W4 else (None, limit_w)
        yield LimitWindow(now, None, imported, exported, state.source.id)


def link(state: ContactState) -> LinkStatus:
    """Whether the contacts can be read; while one can't, its limit is the fallback."""
    unread = state.unread
    found = LinkState.FALLBACK if unread else LinkState.ONLINE
    since = max((state.since[contact] for contact in unread or state.shows), default=state.read_at)
    assert since is not None
    detail = ""
    if unread:
        names = ", ".join(label(contact) for contact in unread)
        detail = f"{names} can't be read and so count as signalled; {state.detail}"
    return LinkStatus(state.source.id, found, since, state.read_at, detail, state.advice if unread else "")


def summaries(state: ContactState) -> Iterator[EventSummary]:
    """What is signalled now, as events for a person."""
    for contact in state.holding:
        if state.shows[contact]:
            yield EventSummary(
                contact.value,
                state.source.id,
                f"contact {label(contact)}",
                EventStatus.ACTIVE,
                state.since[contact],
                None,
                asks(state.source, contact),
            )


def signalled(source: ContactSource, contact: Contact, start: datetime, end: datetime | None) -> GridEvent:
    """One signal of the past or present as the record keeps it."""
    kind = SignalKind.IMPORT_LIMIT_W if contact is Contact.W4 else SignalKind.EXPORT_LIMIT_W
    interval = EventInterval(start, end, MappingProxyType({kind: source.limits_w[contact]}))
    return GridEvent(
        id=contact.value,
        provider_id=source.id,
        name=f"contact {label(contact)}",
        programme_id=PROGRAMME,
        modification="",
        priority=0,
        mandatory=True,
        intervals=(interval,),
        received_at=start,
    )
