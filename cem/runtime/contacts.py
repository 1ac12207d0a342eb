"""Watches the grid operator's contacts: from their readings to the connection point, the log and the record."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from sqlite3 import Error as DiskError
from types import MappingProxyType

from cem.control.guarantee import MINIMUM_W, guaranteed_w
from cem.model.directive import Directive
from cem.model.errors import CemError
from cem.model.resource import FEED_IN_PCT, Contact, Resource, Role
from cem.model.setpoint import Health
from cem.model.site import Site
from cem.model.time import Instant
from cem.ports import Clock, Drop, Json, Put, StateKind, StateStore
from cem.runtime.board import Board
from cem.sgcp.contacts import PROGRAMME, ContactSource, ContactState, asks, label, signalled
from cem.sgcp.durable import own_rows, row_key
from cem.sgcp.events.rows import event_of, event_row
from cem.sgcp.point import ConnectionPoint

log = logging.getLogger(__name__)

KEPT = timedelta(days=365)
"""So long a signal that is over stays in the record."""
WAITING = 200  # rows; the disk may stall, memory may not grow
NOT_READ_YET = ("they were not read yet", "Check the device of the contacts.")


def source_of(site: Site, resource: Resource) -> ContactSource:
    """What each contact of a resource imposes here: a share of the installed power, or the guaranteed minimum.

    That of the transfer switch imposes nothing: it says whether there is a grid (control/presence.py).
    """
    installed_w = resource.ratings.max_generation_w
    if installed_w is None:
        installed_w = sum(roof.ratings.max_generation_w or 0.0 for roof in site.of(Role.PV))
    limits: dict[Contact, float] = {
        contact: max(guaranteed_w(site), MINIMUM_W)
        if contact is Contact.W4
        else installed_w * FEED_IN_PCT[contact] / 100.0
        for contact in Contact
        if contact in resource.contacts and contact is not Contact.ISLAND
    }
    return ContactSource(resource.id, MappingProxyType(limits))


class ContactWatch:
    """Every resource of the role contacts. `directive` is the connection point's with what they show now."""

    def __init__(
        self,
        site: Site,
        point: ConnectionPoint,
        board: Board,
        store: StateStore,
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        self._site = site
        self._point = point
        self._board = board
        self._store = store
        self._clock = clock
        self._on_change = on_change
        sources = [(resource, source_of(site, resource)) for resource in site.of(Role.CONTACTS)]
        self._sources = [(resource, source) for resource, source in sources if source.limits_w]
        self._states: dict[str, ContactState] = {}
        self._since: dict[tuple[str, Contact], datetime] = {}  # of signals that the record knows as going on
        self._rows: asyncio.Queue[Put] = asyncio.Queue(WAITING)
        board.watch([resource.id for resource, _ in self._sources], self._noticed)

    async def restore(self) -> None:
        """Learns since when a contact signals, if it did before this start; forgets what is long over."""
        rows = await self._store.load(StateKind.EVENT) if self._sources else {}
        old: list[Put | Drop] = []
        for _, source in self._sources:
            for key, row in own_rows(rows, source.id).items():
                try:
                    event = event_of(row)
                    contact = Contact(event.id)
                except ValueError as fault:
                    log.warning("%s: %s (row %s)", source.id, fault, key)
                    continue
                interval = event.intervals[0]
                if interval.end is None and contact in source.limits_w and event.programme_id == PROGRAMME:
                    self._since[source.id, contact] = interval.start
                elif interval.end is not None and interval.end < self._clock.now().wall - KEPT:
                    old.append(Drop(StateKind.EVENT, key))
        if old:
            await self._store.commit(old)

    def directive(self, now: Instant) -> Directive:
        """What the grid says at this moment, by message and by wire."""
        self._look(now)
        return self._point.directive(now)

    async def run(self) -> None:
        """Until cancelled: writes what was signalled into the record."""
        while True:
            rows = [await self._rows.get()]
            while not self._rows.empty():
                rows.append(self._rows.get_nowait())
            try:
                await self._store.commit(rows)
            except (CemError, DiskError, OSError) as error:
                log.warning("contacts: %s; %d rows may be lost", error, len(rows))

    def _noticed(self) -> None:
        """A reading of a contact is another than before."""
        if self._look(self._clock.now()):
            self._on_change()

    def _look(self, now: Instant) -> bool:
        """Takes in what the contacts show; whether anything changed."""
        changed = False
        for resource, source in self._sources:
            shows = {contact: self._shown(resource, contact, now) for contact in source.limits_w}
            known = self._states.get(source.id)
            if known is None or known.shows != shows:
                changed = True
                for contact, shown in shows.items():
                    if known is None or known.shows[contact] is not shown:
                        self._changed(source, contact, None if known is None else known.shows[contact], shown, now)
            self._states[source.id] = self._state(source, shows, known, now)
        if self._sources:
            self._point.contacts(tuple(self._states[source.id] for _, source in self._sources))
        return changed

    def _shown(self, resource: Resource, contact: Contact, now: Instant) -> bool | None:
        reading = self._board.reading(resource.id, contact.value)
        if reading is None or not isinstance(reading.value, float | int):
            return None
        fresh = now.mono_s - reading.taken_at_s <= self._site.connection.device_stale_s
        return bool(reading.value) if fresh else None

    def _state(
        self, source: ContactSource, shows: Mapping[Contact, bool | None], known: ContactState | None, now: Instant
    ) -> ContactState:
        since = {
            contact: known.since[contact]
            if known is not None and known.shows[contact] is shown
            else self._since.get((source.id, contact), now.wall)
            if shown
            else now.wall
            for contact, shown in shows.items()
        }
        unread = any(shown is None for shown in shows.values())
        read_at = known.read_at if unread and known is not None else now.wall.replace(second=0, microsecond=0)
        detail, advice = self._why(source, shows) if unread else ("", "")
        return ContactState(source, MappingProxyType(dict(shows)), MappingProxyType(since), read_at, detail, advice)

    def _why(self, source: ContactSource, shows: Mapping[Contact, bool | None]) -> tuple[str, str]:
        device = self._board.health(self._site.resource(source.id).device_id)
        if device.health in {Health.ONLINE, Health.STARTING} and any(shown is not None for shown in shows.values()):
            return "a contact finds no rest", "Check its wires and terminals."
        return (device.detail, device.advice) if device.detail else NOT_READ_YET

    def _changed(
        self, source: ContactSource, contact: Contact, before: bool | None, shown: bool | None, now: Instant
    ) -> None:
        """Logs and records one change of one contact."""
        what, name = asks(source, contact), label(contact)
        if shown is None:
            if before is not None:
                log.warning("%s: contact %s can't be read: it counts as signalled: %s", source.id, name, what)
            return
        key = (source.id, contact)
        if shown:
            log.info("%s: contact %s signals: %s", source.id, name, what)
            if key not in self._since:
                self._since[key] = now.wall
                self._record(source, contact, now.wall, None)
            return
        begun = self._since.pop(key, None)
        if begun is not None:
            log.info("%s: contact %s signals no more", source.id, name)
            self._record(source, contact, begun, now.wall)

    def _record(self, source: ContactSource, contact: Contact, start: datetime, end: datetime | None) -> None:
        row: Json = event_row(signalled(source, contact, start, end))
        if self._rows.full():
            log.warning("%s: the disk is late; contact %s is not recorded", source.id, label(contact))
            return
        self._rows.put_nowait(Put(StateKind.EVENT, row_key(source.id, contact.value, start.isoformat()), row))
