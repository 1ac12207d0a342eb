"""The VTN at work: one request after the other through the pure VTN, the disk, and then whoever must hear of it."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import ParamSpec, Protocol, TypeVar

from cem.sgcp.vtn.handler import Figures, Outcome, Vtn
from cem.sgcp.vtn.notices import News
from cem.sgcp.vtn.objects import Change, Objects
from cem.sgcp.vtn.writes import Callback
from cem.wire.http import HttpRequest, HttpResponse
from cem.wire.openadr3 import ObjectType

_log = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")
GaveUp = Callable[[str, str, str], None]
"""Called with a subscription's id, its callback and the reason."""


class Callbacks(Protocol):
    """The way to the callbacks of subscriptions."""

    async def prove(self, url: str, bearer_token: str | None) -> str | None:
        """Asks a callback for its echo; None when it was right, else what is wrong with it, in words."""

    def call(self, subscription_id: str, url: str, bearer_token: str | None, body: bytes) -> None:
        """Has a notification posted, in its turn; never waits."""

    def forget(self, subscription_id: str) -> None:
        """Drops what waits for a subscription that is gone."""

    def on_giving_up(self, gave_up: GaveUp) -> None:
        """Who is to be told when a callback was given up."""


class Publisher(Protocol):
    """The way to the broker."""

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Has notifications published, topic and payload each; never waits."""


class Accounts(Protocol):
    """The clients' accounts at the broker."""

    async def admit(self, client_id: str, token: str, lifetime_s: float) -> None:
        """Lets a client in with its token until that expires."""


class VtnService:
    """Carries out requests. Commits and answers in the order in which requests come; needs a running loop.

    What a client hears of is stored already; a notification that was not sent when the process ends is lost, as
    a hint may be: the objects are the truth.
    """

    def __init__(
        self,
        vtn: Vtn,
        commit: Callable[[Sequence[Change]], None],
        now: Callable[[], datetime],
        callbacks: Callbacks,
        publisher: Publisher | None = None,
        accounts: Accounts | None = None,
        programs_changed: Callable[[], None] | None = None,
    ) -> None:
        """`programs_changed` is called in the loop after a change of a program; `on_change` sets who hears of all."""
        self._vtn = vtn
        self._commit = commit
        self._now = now
        self._callbacks = callbacks
        self._publisher = publisher
        self._accounts = accounts
        self._programs_changed = programs_changed
        self._changed: Callable[[], None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vtn")
        self._last: threading.Event | None = None  # the end of what was begun last; the thread does one after the other
        self._marking: set[asyncio.Future[News]] = set()
        callbacks.on_giving_up(self._gave_up)

    async def exchange(self, request: HttpRequest) -> HttpResponse:
        """The answer to a request. What the disk refuses is raised, and nothing was changed then."""
        outcome, news = await self._in_turn(self._carry_out, request, {})
        if outcome.unproven:
            faults = await asyncio.gather(*(self._callbacks.prove(c.url, c.bearer_token) for c in outcome.unproven))
            proofs = dict(zip(outcome.unproven, faults, strict=True))
            outcome, news = await self._in_turn(self._carry_out, request, proofs)
        if outcome.issued is not None and self._accounts is not None:
            issued = outcome.issued
            await self._accounts.admit(issued.client_id, issued.token, issued.lifetime_s)
        for change in outcome.changes:
            if change.kind == ObjectType.SUBSCRIPTION and change.body is None:
                self._callbacks.forget(change.id)
        self._tell(news)
        if self._programs_changed is not None and any(one.kind == ObjectType.PROGRAM for one in outcome.changes):
            self._programs_changed()
        self._tell_changed(outcome.changes)
        return outcome.answer

    async def carry_out(self, work: Callable[[], tuple[T, tuple[Change, ...]]], *, quick: bool = False) -> T:
        """Has work done in its turn between requests; its changes are stored, and told to whoever must hear of them.

        `quick` work of a millisecond is done at once, without a thread, where it is nobody else's turn.
        """

        def done() -> tuple[T, tuple[Change, ...], News]:
            found, changes = work()
            return found, changes, self._store(changes)

        if self._last is not None and self._last.is_set():
            self._last = None
        if quick and self._last is None:
            found, changes = work()
            if not changes:
                return found
            news = await self._in_thread(self._store, changes)
        else:
            found, changes, news = await self._in_thread(done)
        self._tell(news)
        self._tell_changed(changes)
        return found

    def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Has work done after what is under way, away from the loop."""
        ended = threading.Event()

        def doing() -> T:
            try:
                return work(*args, **kwargs)
            finally:
                ended.set()

        done = asyncio.get_running_loop().run_in_executor(self._thread, doing)
        self._last = ended
        return done

    def on_change(self, changed: Callable[[], None]) -> None:
        """Who is called in the loop after anything changed."""
        self._changed = changed

    def business(self, request: HttpRequest) -> None:
        """Raises RefusedRequest where a request is not one of the business logic, with a token of its own."""
        self._vtn.demand_business(request, self._now())

    async def program_names(self) -> tuple[str, ...]:
        """The names of the programs that every client may see."""
        return await self._in_thread(self._vtn.program_names)

    async def figures(self) -> Figures:
        """What there is now."""
        return await self._in_thread(self._vtn.figures)

    async def look(self, read: Callable[[Objects, Mapping[str, datetime]], T]) -> T:
        """What a reading makes of the objects and of when each client was last heard, between requests."""
        return await self._in_thread(self._vtn.look, read)

    async def close(self) -> None:
        """Lets the request under way finish."""
        await asyncio.to_thread(self._thread.shutdown)

    async def _in_turn(
        self,
        work: Callable[[HttpRequest, dict[Callback, str | None]], tuple[Outcome, News]],
        request: HttpRequest,
        proofs: dict[Callback, str | None],
    ) -> tuple[Outcome, News]:
        return await self._in_thread(work, request, proofs)

    def _carry_out(self, request: HttpRequest, proofs: dict[Callback, str | None]) -> tuple[Outcome, News]:
        outcome = self._vtn.respond(request, self._now(), proofs)
        return outcome, self._store(outcome.changes)

    def _store(self, changes: tuple[Change, ...]) -> News:
        if not changes:
            return News()
        self._commit(changes)
        return self._vtn.apply(changes)

    def _tell_changed(self, changes: tuple[Change, ...]) -> None:
        if changes and self._changed is not None:
            self._changed()

    def _tell(self, news: News) -> None:
        for call in news.calls:
            self._callbacks.call(call.subscription_id, call.callback_url, call.bearer_token, call.body)
        if self._publisher is not None and news.publications:
            self._publisher.publish([(one.topic, one.payload) for one in news.publications])

    def _gave_up(self, subscription_id: str, url: str, reason: str) -> None:
        """Marks the subscription, so that its owner and the business logic can see it, over a restart too."""

        def mark() -> News:
            return self._store(self._vtn.give_up(subscription_id, url, reason, self._now()))

        marking = self._in_thread(mark)
        self._marking.add(marking)
        marking.add_done_callback(self._marked)

    def _marked(self, marking: asyncio.Future[News]) -> None:
        self._marking.discard(marking)
        if marking.cancelled():
            return
        error = marking.exception()
        if error is not None:
            _log.error("a callback that was given up could not be marked in its subscription: %s", error)
            return
        self._tell(marking.result())
