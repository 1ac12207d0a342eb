"""The session with one OpenADR 3.1 VTN, as a VEN: registers, follows the events, supervises the link, reports."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from random import Random

from cem.model.directive import LinkState
from cem.model.event import GridEvent
from cem.model.provider import Provider
from cem.model.resource import Resource, Role
from cem.model.time import Instant
from cem.ports import Clock, Http, StateStore
from cem.runtime.ven_asked import AskedReports
from cem.runtime.ven_client import Locate, VtnClient, VtnFailure
from cem.runtime.ven_events import EventFetcher
from cem.runtime.ven_link import VenLink
from cem.runtime.ven_notices import Ears, Notices
from cem.runtime.ven_registration import Registration
from cem.runtime.ven_reports import UsageReports
from cem.runtime.ven_rows import commit
from cem.runtime.ven_settlement import EVERY_S, Books, Settlements
from cem.runtime.waiting import Signal
from cem.sgcp.domain.usage import BELOW
from cem.sgcp.point import ConnectionPoint, Followed
from cem.sgcp.reports.flexibility import total
from cem.sgcp.reports.usage import Usage

_LOG = logging.getLogger(__name__)
_BACKLOG_PAUSE_S = 1.0
_BELOW = Resource(BELOW, Role.LOAD, "", "the domain below")
UPKEEP_S = 300.0
"""How often, at most, it is looked whether our ven, its targets and our subscription are still as they were."""
_BETWEEN_HINTS_S = 0.2
"""Notifications may come by the thousand; a fetch answers all that came before it."""


class VenSession:
    """One provider's session. `wake` is called when the directive changed and the control loop should not wait.

    `resources` are what is registered with the provider and reported one by one; the site is always reported.
    `ears` are what notifications are listened for with, `books` what events are settled by; None: they are not.
    `locate` finds the VTN where the site file does not say where it is. A `domain_below` is one resource more; what it
    used is given to `aggregated`. Each of the `groups` is a resource with the names of its members.
    """

    def __init__(
        self,
        provider: Provider,
        http: Http,
        point: ConnectionPoint,
        store: StateStore,
        clock: Clock,
        random: Random,
        wake: Callable[[], None],
        *,
        resources: Sequence[Resource] = (),
        ears: Ears | None = None,
        books: Books | None = None,
        locate: Locate | None = None,
        domain_below: bool = False,
        groups: Sequence[tuple[Resource, Sequence[str]]] = (),
    ) -> None:
        self._provider = provider
        self._point = point
        self._store = store
        self._clock = clock
        self._random = random
        self._wake = wake
        self._client = VtnClient(provider, http, clock, locate)
        self._groups = groups
        whole = (*resources, *(group for group, _ in groups))
        registered = (*whole, _BELOW) if domain_below else whole
        self._registration = Registration(provider, self._client, store, registered)
        self._events = EventFetcher(provider, self._client, store, clock, random)
        self._reports = UsageReports(provider, self._client, store, [resource.id for resource in whole])
        self._hint = Signal()
        self._begun_s = 0.0  # of the turn that runs or ran last
        self._upkeep_at_s = float("inf")
        self._noticed: tuple[str, ...] = ()  # the programs that we listen for
        self._notices = Notices(provider, self._client, ears or Ears(), self._hint.set)
        self._settlements = None
        if books is not None:
            self._settlements = Settlements(
                provider,
                self._client,
                store,
                books,
                lambda stretch: point.limits_of_others(provider.id, stretch.start, stretch.end, clock.now()),
            )
        self._asked = None
        if books is not None and self._settlements is not None:
            self._asked = AskedReports(
                provider, self._client, store, books, self._settlements, resources, self._followed
            )
        self._closed = asyncio.Event()
        self._restored = False
        self._was_online = False
        self._link = VenLink(provider, point, store, clock, random, wake, self._online)

    async def restore(self) -> None:
        """Takes in what was stored: limits are in force from here on, before any contact."""
        now = self._clock.now()
        await self._link.restore(now)
        await self._events.restore()
        await self._registration.restore()
        await self._reports.restore(now)
        if self._settlements is not None:
            await self._settlements.restore()
        if self._asked is not None:
            await self._asked.restore()
        self._point.reports_queued(self._provider.id, len(self._reports), now)
        self._restored = True

    def power_was_cut(self) -> None:
        """The power of this house came back, and with it perhaps that of all its neighbours; said before `run`."""
        self._link.power_was_cut()

    def sample(self, now: Instant, powers_w: Mapping[str, float | None]) -> None:
        """The powers of a tick by resource id, key "site" for the meter; W, import positive, None: not known."""
        together = {group.id: total(powers_w.get(name) for name in members) for group, members in self._groups}
        if self._reports.sample(now, {**powers_w, **together}):
            self._closed.set()

    @property
    def report_interval_s(self) -> float:
        """The length of the intervals that are reported."""
        return self._provider.report_interval_s

    def aggregated(self, usages: Sequence[Usage]) -> None:
        """What the domain below used together in whole intervals; one that was missing may come again with its sum."""
        if usages:
            self._reports.add(usages)
            self._closed.set()

    async def run(self) -> None:
        """Follows the provider until cancelled. Failures of the link never leave it."""
        if not self._restored:
            await self.restore()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name=f"{self._provider.id} events")
                tasks.create_task(self._deliver(), name=f"{self._provider.id} reports")
                if self._settlements is not None and self._asked is not None:
                    books = self._account(self._settlements, self._asked)
                    tasks.create_task(books, name=f"{self._provider.id} settlements")
        finally:
            await self._notices.close()

    # --- the link and the events -------------------------------------------------------------------------------

    async def _follow(self) -> None:
        await self._link.follow(self._heeding, self._rest)

    async def _heeding(self) -> None:
        """A turn; what is notified from here on asks for another."""
        self._begun_s = self._clock.now().mono_s
        self._hint.clear()
        await self._turn()

    async def _rest(self) -> None:
        """Until the next poll, or a notification."""
        if await self._hint.wait(self._provider.poll_s):
            await asyncio.sleep(max(0.0, self._begun_s + _BETWEEN_HINTS_S - self._clock.now().mono_s))

    async def _turn(self) -> None:
        if self._link.must_resynchronise:
            await self._resynchronise()
        else:
            await self._fetch()
            if await self._link.answered() is LinkState.RESYNC:
                await self._resynchronise()
            elif self._clock.now().mono_s >= self._upkeep_at_s:
                await self._keep_up()
            elif self._events.program_ids != self._noticed:
                await self._listen()

    async def _keep_up(self) -> None:
        """What a provider may change or lose while the link is good: a ven, targets that it grants, a subscription."""
        self._look_again_later()
        before = self._registration.targets
        await self._registration.ensure()
        if self._registration.targets != before:
            await self._fetch()
        await self._listen()

    def _look_again_later(self) -> None:
        self._upkeep_at_s = self._clock.now().mono_s + self._random.uniform(0.5, 1.0) * UPKEEP_S

    async def _listen(self) -> None:
        self._noticed = self._events.program_ids
        await self._notices.ensure(self._registration.ven_id, self._noticed, self._registration.targets)

    async def _resynchronise(self) -> None:
        """Credentials, registration, full fetch, difference; until all of it is done what held goes on holding."""
        self._client.forget_token()
        await self._registration.probe()
        await self._link.answered()
        if self._was_online and self._provider.reconnect_jitter_s > 0:
            await asyncio.sleep(self._random.uniform(0.0, self._provider.reconnect_jitter_s))
        await self._registration.ensure()
        self._events.forget_programs()
        await self._fetch()
        await self._listen()
        self._look_again_later()
        self._was_online = True
        await self._link.synchronised()
        self._closed.set()

    async def _fetch(self) -> None:
        own = self._provider.id
        known = self._point.events(own, self._clock.now())
        listing = await self._events.listing(known, self._registration.targets)
        now = self._clock.now()
        service = self._point.service(own, now)
        difference, rows = await asyncio.to_thread(service.difference, listing, now.wall, trusted=now.trusted)
        rows += self._events.drawn_rows()
        if rows:
            await commit(self._store, rows, own)
        changed = self._point.apply(own, difference, now)
        self._events.log(difference)
        if changed:
            self._wake()
        if self._events.unread is not None:
            raise self._events.unread

    def _online(self) -> None:
        if len(self._reports):
            self._closed.set()

    # --- reports -----------------------------------------------------------------------------------------------

    async def _deliver(self) -> None:
        """Live data first, then the backlog from its oldest end, one report at a time."""
        tries = 0
        while True:
            await self._closed.wait()
            self._closed.clear()
            delay_s = 0.0
            if self._link.state is LinkState.ONLINE:
                try:
                    more = await self._reports.deliver_window(self._clock.now, self._events.listed, self._accepted())
                except VtnFailure as fault:
                    tries += 1
                    if tries == 1:
                        _LOG.warning("%s; the report is kept and sent again. %s", fault.detail, fault.advice)
                    delay_s = max(self._link.backoff_s(tries), self._link.away_s(fault))
                    self._closed.set()
                else:
                    tries = 0
                    if more:
                        self._closed.set()
                        delay_s = _BACKLOG_PAUSE_S
            await self._reports.keep(self._clock.now())
            self._point.reports_queued(self._provider.id, len(self._reports), self._clock.now())
            if delay_s:
                await asyncio.sleep(delay_s)

    async def _account(self, settlements: Settlements, asked: AskedReports) -> None:
        """Events that are over and reports that are due, as soon as the record of them is there."""
        told, rest_until_s = False, float("-inf")
        while True:
            now = self._clock.now()
            if now.trusted:
                await settlements.settle(self._accepted(), now.wall)
                await asked.make(self._events.due, self._events.listed, now.wall)
            if self._link.state is LinkState.ONLINE and now.mono_s >= rest_until_s:
                try:
                    await settlements.send()
                    await asked.send()
                    told = False
                except VtnFailure as fault:
                    rest_until_s = now.mono_s + self._link.away_s(fault)
                    if not told:
                        _LOG.warning(
                            "%s; what was settled or asked for is kept and sent again. %s", fault.detail, fault.advice
                        )
                    told = True
            await asyncio.sleep(EVERY_S)

    def _followed(self, event_id: str, at: datetime) -> Followed:
        return self._point.followed(self._provider.id, event_id, at, self._clock.now())

    def _accepted(self) -> Mapping[str, GridEvent]:
        return self._point.events(self._provider.id, self._clock.now())
