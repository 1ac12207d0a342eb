"""The events that count as accepted, and what a complete listing changes about them. Pure values.

A listing is the provider's whole truth at the moment it was asked for (3.1: all pages, HTTP 200). The store orders
listings by that moment, so a repeated or late one changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from cem.model.event import GridEvent

BELIEVED_AFTER_S = 60.0
"""Interpretation: a version with an earlier time of change is a late answer (a replica, a cache) at first. One that
every listing of a minute shows is what the provider holds: its clock was set back, or it was restored."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """An event that is not acted on. `keep` false: it is none of ours, an earlier version goes as well."""

    event_id: str
    reason: str
    keep: bool = True
    limits: bool = False  # it carries a limit of a mandatory programme: the default limit must stand in


@dataclass(frozen=True, slots=True)
class Listing:
    """All events that a provider has for us, `asked_at_s` on the monotonic clock when the first page was asked for."""

    events: tuple[GridEvent, ...]
    asked_at_s: float
    rejected: tuple[Rejection, ...] = ()
    complete: bool = True  # false: something in it could not be told apart, so absence means nothing


@dataclass(frozen=True, slots=True)
class Difference:
    """What a listing changes. `renewed` are the same orders seen further into the future (looping events)."""

    new: tuple[GridEvent, ...] = ()
    changed: tuple[GridEvent, ...] = ()
    renewed: tuple[GridEvent, ...] = ()
    gone: tuple[GridEvent, ...] = ()
    same: tuple[str, ...] = ()
    older: tuple[str, ...] = ()  # an earlier modification than the one held: ignored
    missed: tuple[GridEvent, ...] = ()  # ran out before we heard of it: logged, never run late
    rejected: tuple[Rejection, ...] = ()
    behind: Mapping[str, tuple[str, float]] = field(default_factory=lambda: MappingProxyType({}))
    asked_at_s: float = float("-inf")
    stale: bool = False  # the listing is not newer than the last one applied: nothing changes

    @property
    def is_empty(self) -> bool:
        """Whether the accepted events stay as they are."""
        return not (self.new or self.changed or self.renewed or self.gone)


@dataclass(frozen=True, slots=True)
class EventStore:
    """The accepted events of one provider by id, immutable."""

    events: Mapping[str, GridEvent] = field(default_factory=lambda: MappingProxyType({}))
    rejected: tuple[Rejection, ...] = ()
    behind: Mapping[str, tuple[str, float]] = field(default_factory=lambda: MappingProxyType({}))
    """Events whose listed version is earlier than ours: which one, and when it was first listed."""
    asked_at_s: float = float("-inf")

    def difference(
        self, listing: Listing, now: datetime, heard_until: datetime | None, *, trusted: bool = True
    ) -> Difference:
        """What `listing` changes; `heard_until` is the last contact, what ended before it was not missed.

        By a clock that is not `trusted` nothing is over: it may be set back to what then counts.
        """
        if listing.asked_at_s <= self.asked_at_s:
            return Difference(stale=True, asked_at_s=self.asked_at_s)
        found: dict[str, list[GridEvent]] = {kind: [] for kind in ("new", "changed", "renewed", "missed")}
        same: list[str] = []
        behind: dict[str, tuple[str, float]] = {}
        listed: set[str] = set()
        for event in _newest_of_each(listing.events):
            listed.add(event.id)
            kind = self._kind(event, now if trusted else None, heard_until)
            if kind == "older":
                behind[event.id] = self._behind(event, listing.asked_at_s)
                kind = "older" if listing.asked_at_s - behind[event.id][1] < BELIEVED_AFTER_S else "changed"
            if kind in found:
                found[kind].append(event)
            elif event.id in self.events:
                same.append(event.id)
        kept = listed | {r.event_id for r in listing.rejected if r.keep}
        left_out = {r.event_id for r in listing.rejected if not r.keep}
        gone = tuple(
            event
            for event_id, event in self.events.items()
            if event_id in left_out or (listing.complete and event_id not in kept)
        )
        return Difference(
            new=tuple(found["new"]),
            changed=tuple(found["changed"]),
            renewed=tuple(found["renewed"]),
            gone=gone,
            same=tuple(same),
            older=tuple(event_id for event_id in behind if all(e.id != event_id for e in found["changed"])),
            behind=MappingProxyType(behind),
            missed=tuple(found["missed"]),
            rejected=listing.rejected,
            asked_at_s=listing.asked_at_s,
        )

    def _kind(self, event: GridEvent, now: datetime | None, heard_until: datetime | None) -> str:
        held = self.events.get(event.id)
        if held is None:
            end = event_end(event)
            if end is None or now is None or end > now:
                return "new"
            return "missed" if heard_until is not None and end > heard_until else "past"
        if held.modification == event.modification:
            return "renewed" if _reaches_further(event, held) else "same"
        before, since = modified_at(held.modification), modified_at(event.modification)
        return "older" if before and since and since < before else "changed"

    def _behind(self, event: GridEvent, asked_at_s: float) -> tuple[str, float]:
        known = self.behind.get(event.id)
        return known if known is not None and known[0] == event.modification else (event.modification, asked_at_s)

    def after(self, difference: Difference) -> "EventStore":
        """The store once the difference is on disk."""
        if difference.stale:
            return self
        events = dict(self.events)
        for event in difference.gone:
            events.pop(event.id, None)
        for event in (*difference.new, *difference.changed, *difference.renewed):
            events[event.id] = event
        ordered = dict(sorted(events.items()))
        return replace(
            self,
            events=MappingProxyType(ordered),
            rejected=difference.rejected,
            behind=difference.behind,
            asked_at_s=difference.asked_at_s,
        )


def event_start(event: GridEvent) -> datetime | None:
    """When the first interval begins; None for an event without any (cancelled by its provider)."""
    return event.intervals[0].start if event.intervals else None


def event_end(event: GridEvent) -> datetime | None:
    """When the last interval ends; None while it is open. An event without intervals ended when it came."""
    return event.intervals[-1].end if event.intervals else event.received_at


def modified_at(modification: str) -> str:
    """The part of a modification that orders versions: the provider's time, comparable as text, or ''."""
    return modification.partition("#")[0]


def _reaches_further(event: GridEvent, held: GridEvent) -> bool:
    if not event.intervals or not held.intervals:
        return False
    new_end, held_end = event.intervals[-1].end, held.intervals[-1].end
    return new_end is not None and held_end is not None and new_end > held_end


def _newest_of_each(events: tuple[GridEvent, ...]) -> list[GridEvent]:
    """One event per id (a page may repeat what moved to it), the newest modification; in order of id."""
    newest: dict[str, GridEvent] = {}
    for event in events:
        held = newest.get(event.id)
        if held is None or event.modification > held.modification:
            newest[event.id] = event
    return [newest[event_id] for event_id in sorted(newest)]
