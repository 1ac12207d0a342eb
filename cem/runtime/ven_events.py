"""Complete listings of a provider's events, bound to our model; what was drawn for them is kept."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import TypeVar

from cem.model.event import GridEvent
from cem.model.provider import Provider
from cem.ports import Clock, StateKind, StateStore
from cem.runtime.ven_client import VtnClient, VtnFailure
from cem.sgcp.bindings.openadr3 import Binding, Fetched, content_of
from cem.sgcp.bindings.openadr3_rooms import Intake
from cem.sgcp.durable import OFFSET, Row, own_rows, row_key
from cem.sgcp.events.store import Difference, Listing
from cem.sgcp.reports.asked import AskedReport, due
from cem.wire.openadr3 import Event, Program, WireError

_LOG = logging.getLogger(__name__)
_PROGRAMS_EVERY = 10
_MOST_OFFSETS = 2000
_MOST_TOLD = 5000
_MOST_LINES = 20
"""Of one kind of change in one listing; the rest is counted."""

T = TypeVar("T", Event, Program)


class EventFetcher:
    """Fetches and binds, the costly part beside the event loop.

    `listed` are the events of the last complete listing as the VTN wrote them, without their intervals.
    """

    def __init__(self, provider: Provider, client: VtnClient, store: StateStore, clock: Clock, random: Random) -> None:
        self._provider = provider
        self._client = client
        self._store = store
        self._clock = clock
        self._binding = Binding(provider, lambda: random.uniform(-1.0, 1.0))
        self._programs: Mapping[str, Program] = {}
        self._listings_until_programs = 0
        self.unread: VtnFailure | None = None  # why the last listing had to do with the programs that were known
        self._contents: Mapping[str, str] = {}  # event id -> what the last complete listing said, as a digest
        self._shares: dict[str, float] = {}
        self._stored_shares: set[str] = set()
        self._told: dict[str, str] = {}  # event id -> what was logged of it last
        self.listed: Sequence[Event] = ()
        self._asking: Mapping[str, tuple[Event, datetime]] = {}  # with when they were first seen

    async def restore(self) -> None:
        """Loads what was drawn: an offset is never drawn twice."""
        rows = own_rows(await self._store.load(StateKind.OFFSET), self._provider.id)
        prefix = row_key(self._provider.id, "")
        for key, value in rows.items():
            if isinstance(value, int | float):
                self._shares[key.removeprefix(prefix)] = min(max(float(value), -1.0), 1.0)
        self._stored_shares = set(self._shares)

    @property
    def program_ids(self) -> tuple[str, ...]:
        """The programs that we see."""
        return tuple(sorted(self._programs))

    def forget_programs(self) -> None:
        """Makes the next listing fetch the programs anew."""
        self._listings_until_programs = 0

    async def listing(self, known: Mapping[str, GridEvent], targets: Sequence[str]) -> Listing:
        """All events that the provider has for us; raises VtnFailure and is then no listing at all.

        `unread` then tells whether the programs, that are asked for after the events, could not be fetched.
        """
        asked_at_s = self._clock.now().mono_s
        intake = Intake()
        events, faults = await self._all(targets, intake)
        if known.keys() - events.keys() - {fault.object_id for fault in faults}:
            # a page that shifts while it is being read, or one that came empty, hides an event: only what is absent
            # twice is gone
            again, more = await self._all(targets, intake)
            events, faults = {**events, **again}, [*faults, *more]
        contents = await asyncio.to_thread(_contents, events)
        await self._fetch_programs(events, contents, targets)
        shares = {event_id: self._shares[row_key(event_id)] for event_id in events if row_key(event_id) in self._shares}
        fetched = Fetched(tuple(events.values()), faults, self._programs, asked_at_s, contents, intake.cut)
        now = self._clock.now().wall
        listing, listed = await asyncio.to_thread(self._bound, fetched, known, shares, now)
        self._shares.update({row_key(event_id): share for event_id, share in shares.items()})
        self.listed, self._contents = listed, contents
        self._asking = {
            event.id: (event, known[event.id].received_at if event.id in known else self._seen(event.id, now))
            for event in events.values()
            if event.report_descriptors and event.id not in intake.cut
        }
        return listing

    def _seen(self, event_id: str, now: datetime) -> datetime:
        return self._asking[event_id][1] if event_id in self._asking else now

    def due(self, since: datetime, until: datetime) -> list[AskedReport]:
        """The reports that the listed events ask for and that fall due in (since, until]."""
        found: list[AskedReport] = []
        for event, first_seen in self._asking.values():
            found += due(event, first_seen, self._shares.get(row_key(event.id), 0.0), since, until)
        return found

    def _bound(
        self, fetched: Fetched, known: Mapping[str, GridEvent], shares: dict[str, float], now: datetime
    ) -> tuple[Listing, tuple[Event, ...]]:
        listing = self._binding.listing(fetched, known, shares, now)
        return listing, tuple(event.model_copy(update={"intervals": ()}) for event in fetched.events)

    async def _all(self, targets: Sequence[str], intake: Intake) -> tuple[dict[str, Event], list[WireError]]:
        queries = _queries(targets)
        listings = [await self._client.every(Event, "/events", query, kept=intake.kept) for query in queries]
        return (
            _united(item for listed in listings for item in listed.items),
            [fault for listed in listings for fault in listed.faults],
        )

    async def _fetch_programs(
        self, events: Mapping[str, Event], contents: Mapping[str, str], targets: Sequence[str]
    ) -> None:
        """The programs, now and then and whenever an event is new or changed: its units may stand there.

        Where they can't be had, events of known programs that bring their units along are none the worse for it.
        """
        self.unread = None
        unknown = any(event.program_id not in self._programs for event in events.values())
        changed = [event_id for event_id, content in contents.items() if self._contents.get(event_id) != content]
        if unknown or changed or self._listings_until_programs <= 0:
            try:
                listings = [await self._client.every(Program, "/programs", query) for query in _queries(targets)]
            except VtnFailure as failure:
                if unknown or not all(events[event_id].payload_descriptors for event_id in changed):
                    raise
                self.unread, self._listings_until_programs = failure, 0
                return
            self._programs = _united(item for listed in listings for item in listed.items)
            self._listings_until_programs = _PROGRAMS_EVERY
        self._listings_until_programs -= 1

    def drawn_rows(self) -> list[Row]:
        """Rows for what was drawn since; an offset stays for a cancelled event, since it may come back."""
        own = row_key(self._provider.id)
        fresh = [key for key in self._shares if key not in self._stored_shares]
        self._stored_shares.update(fresh)
        rows = [Row(OFFSET, f"{own}/{key}", self._shares[key]) for key in fresh]
        listed = {row_key(event.id) for event in self.listed}
        for key in [key for key in self._shares if key not in listed][: max(len(self._shares) - _MOST_OFFSETS, 0)]:
            del self._shares[key]
            self._stored_shares.discard(key)
            rows.append(Row(OFFSET, f"{own}/{key}", None))
        return rows

    def log(self, difference: Difference) -> None:
        """One line per change, once."""
        own = self._provider.id
        for words, events in (
            ("new", difference.new),
            ("changed", difference.changed),
            ("cancelled by the provider", difference.gone),
            ("missed: it ran out before we heard of it; it is not run late", difference.missed),
        ):
            self._tell(words, [(e.id, f"{words} {e.modification}", f"{own}: event {e.name} {words}") for e in events])
        self._tell(
            "not acted on",
            [
                (r.event_id, r.reason, f"{own}: event {r.event_id} is not acted on: {r.reason}")
                for r in difference.rejected
            ],
        )
        older = "came in an older version and is kept as it was"
        self._tell(older, [(key, "older", f"{own}: event {key} {older}") for key in difference.older])

    def _tell(self, kind: str, lines: Iterable[tuple[str, str, str]]) -> None:
        """Logs (event id, state, text) where the state is another than the one told last."""
        fresh = [(event_id, state, text) for event_id, state, text in lines if self._told.get(event_id) != state]
        if len(self._told) + len(fresh) > _MOST_TOLD:
            self._told.clear()
        self._told.update({event_id: state for event_id, state, _ in fresh})
        for _, _, text in fresh[:_MOST_LINES]:
            _LOG.info("%s", text)
        if len(fresh) > _MOST_LINES:
            _LOG.info("%s: %d more events: %s", self._provider.id, len(fresh) - _MOST_LINES, kind)


def _queries(targets: Sequence[str]) -> list[dict[str, str]]:
    """Interpretation: filters narrow, so what is open to all and what each target opens are asked for one by one."""
    return [{}, *({"targets": target} for target in targets)]


def _contents(events: Mapping[str, Event]) -> dict[str, str]:
    return {event_id: content_of(event) for event_id, event in events.items()}


def _united(items: Iterable[T]) -> dict[str, T]:
    """The objects by id; each answer shows only the targets that were asked for (Definition, "Object Privacy")."""
    found: dict[str, T] = {}
    targets: dict[str, set[str]] = {}
    for item in items:
        found[item.id] = item
        targets.setdefault(item.id, set()).update(item.targets)
    return {key: item.model_copy(update={"targets": tuple(sorted(targets[key]))}) for key, item in found.items()}
