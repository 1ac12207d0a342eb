"""One provider's link as its session lives it: what each success and failure makes of it, told once, kept on disk."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from random import Random

from cem.model.directive import LinkState
from cem.model.provider import Provider
from cem.model.time import Instant
from cem.ports import Clock, StateKind, StateStore
from cem.runtime.ven_client import VtnFailure
from cem.runtime.ven_rows import commit
from cem.sgcp.durable import own_rows
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.service import CONTACT_STORED_EVERY_S

_LOG = logging.getLogger(__name__)
LOST = (LinkState.HOLD, LinkState.FALLBACK, LinkState.RESYNC)
_FIRST_RETRY_S = 2.0


class VenLink:
    """The link of one provider. `wake` is called when its state changed, `online` whenever it came to be online."""

    def __init__(
        self,
        provider: Provider,
        point: ConnectionPoint,
        store: StateStore,
        clock: Clock,
        random: Random,
        wake: Callable[[], None],
        online: Callable[[], None],
    ) -> None:
        self._provider = provider
        self._point = point
        self._store = store
        self._clock = clock
        self._random = random
        self._wake = wake
        self._online = online
        self._told: LinkState | None = None
        self._stored: tuple[LinkState, bool] | None = None  # the state, and whether the last turn failed
        self._words = ""
        self._contact_stored_s = float("-inf")
        self._first_within_s = 0.0

    def power_was_cut(self) -> None:
        """This start is that of many houses at once: the first contact waits by chance, up to a poll.

        So a provider whose gateways all come back in the same second sees them no denser than they poll.
        """
        self._first_within_s = self._provider.poll_s

    @property
    def state(self) -> LinkState:
        """The state at this moment."""
        return self._point.service(self._provider.id, self._clock.now()).link.state

    async def restore(self, now: Instant) -> None:
        """Takes in the stored events and limits. From here on the disk knows of no good link until one is."""
        own = self._provider.id
        events = own_rows(await self._store.load(StateKind.EVENT), own)
        limits = own_rows(await self._store.load(StateKind.LIMIT), own)
        for fault in self._point.restore(own, events, limits, now):
            _LOG.warning("%s", fault)
        await commit(self._store, [self._point.limit_row(own, now)], own)

    @property
    def must_resynchronise(self) -> bool:
        """Whether everything is to be fetched anew: it was lost, or nothing was fetched in this run yet."""
        link = self._point.service(self._provider.id, self._clock.now()).link
        return link.state in LOST or link.resumes

    async def follow(
        self,
        turn: Callable[[], Awaitable[None]],
        rest: Callable[[], Awaitable[None]],
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """One turn after the other until cancelled, `rest` between them; after a failure it makes a `pause` of so many
        seconds with jitter, ever longer."""
        tries = 0
        if self._first_within_s:
            await asyncio.sleep(self._random.uniform(0.0, self._first_within_s))
        while True:
            try:
                await turn()
            except VtnFailure as fault:
                tries += 1
                await self.failed(fault)
                await pause(max(self.backoff_s(tries), self.away_s(fault)))
            else:
                tries = 0
                self._words = ""
                await rest()

    async def answered(self) -> LinkState:
        """Notes an authenticated success."""
        state = self._point.answered(self._provider.id, self._clock.now())
        await self._settled(state)
        return state

    async def synchronised(self) -> None:
        """Notes that every step of a resynchronisation is done."""
        await self._settled(self._point.synchronised(self._provider.id, self._clock.now()))

    async def failed(self, fault: VtnFailure) -> None:
        """Notes a failure; where the link is shown its provider is named already."""
        own = self._provider.id
        state = self._point.failed(own, self._clock.now(), fault.detail.removeprefix(f"{own}: "), fault.advice)
        if fault.detail != self._words:
            self._words = fault.detail
            _LOG.warning("%s; link %s. %s", fault.detail, state, fault.advice)
        await self._settled(state)

    def backoff_s(self, tries: int) -> float:
        """Full jitter: uniform up to a bound that doubles, so that many gateways never come at once."""
        first_s = min(_FIRST_RETRY_S, self._provider.poll_s)
        bound_s = min(self._provider.retry_max_s, first_s * 2 ** min(tries, 20))
        return self._random.uniform(first_s / 4, bound_s)

    def away_s(self, fault: VtnFailure) -> float:
        """How long the provider wants us to stay away (0: it did not say), and by chance up to a poll longer.

        What it says, it says to all its gateways: they would come back in the same second where it names a date.
        """
        if fault.wait_s <= 0.0:
            return 0.0
        return fault.wait_s + self._random.uniform(0.0, min(self._provider.poll_s, self._provider.retry_max_s))

    async def _settled(self, state: LinkState) -> None:
        """Notes a change of state: in the log, on disk, and for the control loop."""
        now = self._clock.now()
        if state is not self._told:
            _LOG.info("%s: link %s", self._provider.id, state)
            self._wake()
            if state is LinkState.ONLINE:
                self._online()
        due = state is LinkState.ONLINE and now.mono_s - self._contact_stored_s >= CONTACT_STORED_EVERY_S
        stands = (state, self._point.service(self._provider.id, now).link.failing)
        if due or (stands != self._stored and state is not LinkState.RESYNC):
            self._stored, self._contact_stored_s = stands, now.mono_s
            await commit(self._store, [self._point.limit_row(self._provider.id, now)], self._provider.id)
        self._told = state
