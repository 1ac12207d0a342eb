"""The planner's task: builds the problem from the record and the grid's word, and hands it to the worker."""

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import partial

from cem.model.directive import Directive
from cem.model.errors import CemError
from cem.model.plan import Plan, PlanRequest
from cem.model.reading import Snapshot
from cem.model.request import UserRequest
from cem.model.resource import Resource, Role
from cem.model.site import Site
from cem.model.time import Instant
from cem.model.values import replace
from cem.planning.flexible import Asked
from cem.planning.habits import Habit, habit_of
from cem.planning.past import Past
from cem.planning.request import build_request
from cem.planning.rules import rules_plan
from cem.ports import Clock, History, Planner
from cem.runtime.board import Board
from cem.runtime.forecast_book import ForecastBook
from cem.runtime.needs import PLUGGED, ev_needs
from cem.runtime.plan_book import PlanBook
from cem.runtime.waiting import Signal

log = logging.getLogger(__name__)

SETTLE_S = 2.0  # several changes that come together make one plan
VALUES_S = 120.0  # a state of charge older than this is no base for a plan
FIRST_RETRY_S = 5.0  # after a failure; doubles up to the usual interval


class PlannerTask:
    """Keeps `plan` fresh: on a schedule, and soon after `replan`."""

    def __init__(
        self,
        site: Site,
        planner: Planner,
        history: History,
        board: Board,
        clock: Clock,
        directive: Callable[[Instant], Directive],
        requests: Callable[[], Sequence[UserRequest]] = tuple,
        *,
        every_s: float = 900.0,
        timeout_s: float = 20.0,
        on_plan: Callable[[], None] = lambda: None,
        forecasts: ForecastBook | None = None,
        book: PlanBook | None = None,
    ) -> None:
        self._site = site
        self._planner = planner
        self._history = history
        self._board = board
        self._clock = clock
        self._directive = directive
        self._requests = requests
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._on_plan = on_plan
        self._forecasts = forecasts
        self._book = book
        self._wanted = Signal()
        self._past = Past(site)
        self._told = ""
        self._failures = 0
        self._unknown = 0  # plans in a row that had to do without a battery's level, as right after a start
        self._plugged: frozenset[str] = frozenset()
        self._sated: frozenset[str] = frozenset()
        self.plan: Plan | None = None
        self.trouble = ""

    def replan(self) -> None:
        """Something changed that the plan depends on."""
        self._wanted.set()

    def note(self, snapshot: Snapshot, sated: frozenset[str] = frozenset()) -> None:
        """Takes the readings of a tick, and the cars that want nothing: one that came, left or changed its mind makes a
        new plan.
        """
        cars = self._site.of(Role.EV)
        plugged = frozenset(car.id for car in cars if snapshot.text(car.id, "state", VALUES_S) in PLUGGED)
        if plugged != self._plugged or sated != self._sated:
            self._plugged, self._sated = plugged, sated
            self.replan()

    async def run(self) -> None:
        """Until cancelled. A late, infeasible or crashed solver costs nothing but the age of the plan."""
        while True:
            await self._make()
            await self._pause()

    async def _pause(self) -> None:
        now_s = self._clock.now().mono_s
        due_s = (math.floor(now_s / self._every_s) + 1) * self._every_s + 1.0
        within_s = min(due_s - now_s, self._every_s)
        if self._failures or self._unknown:
            tries = max(self._failures, self._unknown)
            within_s = min(self._every_s, FIRST_RETRY_S * 2 ** min(tries - 1, 10))
        if await self._wanted.wait(within_s):
            await asyncio.sleep(SETTLE_S)
        self._wanted.clear()

    async def _make(self) -> None:
        try:
            await self._try()
        except Exception as error:  # noqa: BLE001 - advice may fail in any way without stopping what it advises
            self._failed(f"the planner failed: {error!r}", error)

    async def _try(self) -> None:
        now, plugged = self._clock.now(), tuple(sorted(self._plugged))
        snapshot = self._board.freeze(now.mono_s)
        soc = _fresh(snapshot, self._site.of(Role.BATTERY), "soc_pct")
        self._unknown = self._unknown + 1 if len(soc) < len(self._site.of(Role.BATTERY)) else 0
        directive = self._directive(now)
        await self._look_back(now.wall)
        if self._forecasts is not None:
            await self._forecasts.turn(now.wall, self._past)
        habits = await asyncio.get_running_loop().run_in_executor(None, self._habits, plugged, now.wall)
        problem = partial(
            build_request,
            now.wall,
            self._site,
            soc,
            ev_needs(self._site, snapshot, self._requests(), now, VALUES_S, self._sated, habits),
            self._past,
            directive.prices,
            directive.limits,
            directive.weights,
            temperatures_c=_fresh(snapshot, self._site.of(Role.HEAT_PUMP), "temperature_c"),
            asked=Asked(directive.dispatches, directive.charges),
        )
        request = await asyncio.get_running_loop().run_in_executor(None, problem)
        if self._book is not None:
            await self._book.turn(request)
        try:
            plan = await self._solved(request)
        except (CemError, TimeoutError, OSError) as error:
            self._failed(str(error) or "the solver took too long")
            if self.plan is None or now.wall >= self.plan.expires_at:
                self.plan = replace(rules_plan(request), plugged=plugged)
            return
        if self.trouble:
            log.info("planner: works again")
        self.trouble = self._told = ""
        self._failures = 0
        self.plan = plan = replace(plan, plugged=plugged)
        if self._book is not None:
            disturbed = bool(directive.dispatches or directive.charges or directive.limits or self._requests())
            self._book.take(request, plan, disturbed=disturbed)
        self._on_plan()

    def _habits(self, plugged: Collection[str], now: datetime) -> dict[str, Habit]:
        """What is expected of each plugged car that is to be learnt and of which enough is known."""
        found = (
            (resource_id, habit_of(car.plugged, car.power, now, self._site.zone))
            for resource_id in self._site.learnt_cars
            if resource_id in plugged
            for car in (self._past.cars[resource_id],)
        )
        return {resource_id: habit for resource_id, habit in found if habit is not None}

    async def _solved(self, request: PlanRequest) -> Plan:
        """The planner's plan; that of the rules where they have proved better at this house."""
        if self._book is not None and self._book.verdict.rules:
            return rules_plan(request, reasons=(self._book.verdict.words,))
        async with asyncio.timeout(self._timeout_s + 5):
            return await self._planner.solve(request)

    def _failed(self, detail: str, unforeseen: BaseException | None = None) -> None:
        self._failures += 1
        self.trouble = f"no new plan: {detail}"
        if not self._told:
            words = "planner: %s; the last plan holds until it expires, then rules"
            log.warning(words, detail, exc_info=unforeseen)
        self._told = detail

    async def _look_back(self, now: datetime) -> None:
        until_s = int(now.timestamp())
        since_s = self._past.since_s(until_s)
        self._past.take(
            {signal: await self._history.minute_means(signal, since_s, until_s) for signal in self._past.signals}
        )


def _fresh(snapshot: Snapshot, resources: Iterable[Resource], point: str) -> dict[str, float]:
    """A point of those that tell it."""
    found = ((one.id, snapshot.number(one.id, point, VALUES_S)) for one in resources)
    return {resource_id: value for resource_id, value in found if value is not None}
