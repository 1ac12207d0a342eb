"""The Smart Grid Connection Point: all providers' services and the grid operator's contacts, folded to one directive.

Pure: time is an argument.

Two steps for what arrives: `difference` says what a complete listing would change and which rows must be on disk
first; `apply` makes it count.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cem.model.directive import Directive, LinkState
from cem.model.event import GridEvent, SignalKind
from cem.model.provider import Provider
from cem.model.resource import Resource
from cem.model.time import Instant
from cem.sgcp import contacts
from cem.sgcp.contacts import ContactState
from cem.sgcp.durable import Json, Row
from cem.sgcp.events.arbitration import DIRECT, LIMITING
from cem.sgcp.events.store import Difference, Listing
from cem.sgcp.events.timeline import interval_at
from cem.sgcp.folding import Folding
from cem.sgcp.link import supervision
from cem.sgcp.opt.cut import OptOut, remaining
from cem.sgcp.service import Service, restored


@dataclass(frozen=True, slots=True)
class _Made:
    directive: Directive
    at: Instant
    until: datetime | None
    until_s: float | None

    def holds(self, now: Instant) -> bool:
        """Whether nothing can have changed by time since it was made; a clock that was set means making it anew."""
        if now.trusted != self.at.trusted:
            return False
        drift_s = (now.wall - self.at.wall).total_seconds() - (now.mono_s - self.at.mono_s)
        if abs(drift_s) > 1.0:
            return False
        in_wall = self.until is None or now.wall < self.until
        return in_wall and (self.until_s is None or now.mono_s < self.until_s)


@dataclass(frozen=True, slots=True)
class Followed:
    """What becomes of an event at an instant: what it asks for as far as it is followed."""

    opted_out: bool = False
    moves: bool = False  # it bounds or moves power
    asked_w: float | None = None  # the power that it asks for
    level: int | None = None  # of load shedding; None: there is no such event


class ConnectionPoint:
    """The logical access point to the grid: one service per provider, each replaceable while the others go on."""

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        resources: frozenset[str] = frozenset(),
        groups: Mapping[str, Sequence[Resource]] | None = None,
        currency: str | None = None,
        zone: str = "UTC",
        boot: str = "",
    ) -> None:
        """`resources`: ids that a provider may dispatch; `groups`: names for several of them together.

        `currency`: the tariff's (None: any); `zone`: for words; `boot`: names this start of the machine, '' where
        nobody can tell.
        """
        self._boot = boot
        self._providers = {provider.id: provider for provider in providers}
        self._services: dict[str, Service] = {}
        self._folding = Folding(resources, currency, zone, groups)
        self._outs: tuple[OptOut, ...] = ()
        self._contacts: tuple[ContactState, ...] = ()
        self._made: _Made | None = None

    def restore(
        self, provider_id: str, events: Mapping[str, Json], limits: Mapping[str, Json], now: Instant
    ) -> list[str]:
        """Takes in what was stored for a provider; a sentence for every row that could not be read."""
        service, faults = restored(self._providers[provider_id], events, limits, now, self._boot)
        self._put(service)
        return faults

    def service(self, provider_id: str, now: Instant) -> Service:
        """The service of a provider at `now`; KeyError if the site file knows none of that id."""
        found = self._services.get(provider_id)
        if found is None:
            found, _ = restored(self._providers[provider_id], {}, {}, now, self._boot)
        service = found.advanced(now)
        self._put(service)
        return service

    def difference(self, provider_id: str, listing: Listing, now: Instant) -> tuple[Difference, list[Row]]:
        """What a complete listing changes, and the rows that must be on disk before `apply`."""
        return self.service(provider_id, now).difference(listing, now.wall, trusted=now.trusted)

    def apply(self, provider_id: str, difference: Difference, now: Instant) -> bool:
        """Makes a difference count; whether the accepted events changed."""
        service = self.service(provider_id, now)
        self._put(service.after(difference, now.wall))
        return not difference.is_empty

    def answered(self, provider_id: str, now: Instant) -> LinkState:
        """An authenticated success at `now`; RESYNC asks for a whole resynchronisation."""
        return self._relink(provider_id, now, supervision.answered(self.service(provider_id, now).link, now))

    def failed(self, provider_id: str, now: Instant, detail: str, advice: str) -> LinkState:
        """A failure in words: what was seen, and what can be done about it."""
        link = self.service(provider_id, now).link
        return self._relink(provider_id, now, supervision.failed(link, now, detail, advice))

    def synchronised(self, provider_id: str, now: Instant) -> LinkState:
        """Every step of a resynchronisation is done."""
        return self._relink(provider_id, now, supervision.synchronised(self.service(provider_id, now).link, now))

    def reports_queued(self, provider_id: str, count: int, now: Instant) -> None:
        """How many report intervals wait for delivery."""
        self._put(replace(self.service(provider_id, now), reports_queued=count))

    def limit_row(self, provider_id: str, now: Instant) -> Row:
        """The row that keeps a provider's last contact and strictest limits over a restart."""
        return self.service(provider_id, now).limit_row()

    def opt_out(self, outs: Sequence[OptOut]) -> None:
        """What the owner does not take part in, from now on; it replaces what was said before."""
        if tuple(outs) != self._outs:
            self._outs, self._made = tuple(outs), None

    @property
    def outs(self) -> tuple[OptOut, ...]:
        """What the owner does not take part in."""
        return self._outs

    def opted_out(self, event: GridEvent) -> bool:
        """Whether the owner leaves an event out, or any of its time."""
        return remaining([event], self._outs) != [event]

    def followed(self, provider_id: str, event_id: str, at: datetime, now: Instant) -> Followed:
        """What becomes of an event at an instant."""
        event = self.events(provider_id, now).get(event_id)
        if event is None:
            return Followed()
        out = any(out.concerns(event) and out.since <= at < out.until for out in self._outs)
        interval = interval_at(event, at)
        signals = {} if interval is None else interval.signals
        moves = any(kind in (*DIRECT, *LIMITING) for kind in signals)
        if out:
            return Followed(opted_out=True, moves=moves, level=0)
        level = signals.get(SignalKind.LOAD_SHED_LEVEL, 0.0)
        return Followed(moves=moves, asked_w=signals.get(SignalKind.DISPATCH_W), level=int(level))

    def limits_of_others(
        self, provider_id: str, start: datetime, end: datetime, now: Instant
    ) -> dict[SignalKind, float]:
        """The strictest import and export limit of other providers' events in force at a time in [start, end), W."""
        found: dict[SignalKind, float] = {}
        for other in self._providers:
            events = remaining(self.events(other, now).values(), self._outs) if other != provider_id else ()
            intervals = (i for event in events if not event.test for i in event.intervals)
            for interval in intervals:
                if interval.start < end and (interval.end is None or interval.end > start):
                    for kind in LIMITING:
                        if (limit_w := interval.signals.get(kind)) is not None:
                            found[kind] = min(limit_w, found.get(kind, limit_w))
        return found

    def contacts(self, states: Sequence[ContactState]) -> None:
        """What the grid operator's contacts show, from now on; it replaces what they showed before."""
        if tuple(states) != self._contacts:
            self._contacts, self._made = tuple(states), None

    def events(self, provider_id: str, now: Instant) -> Mapping[str, GridEvent]:
        """The accepted events of a provider by id."""
        return self.service(provider_id, now).store.events

    def directive(self, now: Instant) -> Directive:
        """Everything that the grid side says at `now`. Cheap: made anew only when something changed or a time came."""
        if self._made is not None and self._made.holds(now):
            return self._made.directive
        services = [self.service(provider_id, now) for provider_id in self._providers]
        directive = self._with_contacts(self._folding.directive(services, now, self._outs), now.wall)
        deadlines = [supervision.next_deadline_s(service.link, service.provider) for service in services]
        ahead = [deadline for deadline in deadlines if deadline is not None and deadline > now.mono_s]
        until_s = min(ahead, default=None)
        until = directive.next_change_at
        if until_s is not None:
            by_link = now.wall + timedelta(seconds=until_s - now.mono_s)
            directive = replace(directive, next_change_at=by_link if until is None else min(until, by_link))
        self._made = _Made(directive, now, until, until_s)
        return directive

    def _with_contacts(self, directive: Directive, now: datetime) -> Directive:
        if not self._contacts:
            return directive
        states = self._contacts
        return replace(
            directive,
            envelopes=(*directive.envelopes, *(e for state in states for e in contacts.envelopes(state))),
            limits=(*directive.limits, *(w for state in states for w in contacts.windows(state, now))),
            links=(*directive.links, *(contacts.link(state) for state in states)),
            events=(*directive.events, *(s for state in states for s in contacts.summaries(state))),
        )

    def _relink(self, provider_id: str, now: Instant, link: supervision.Link) -> LinkState:
        self._put(replace(self._services[provider_id], link=link).advanced(now))
        return self._services[provider_id].link.state

    def _put(self, service: Service) -> None:
        if self._services.get(service.provider.id) != service:
            self._services[service.provider.id] = service
            self._made = None
