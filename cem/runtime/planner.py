"""The planner's task: builds the problem from the record and the grid's word, and hands it to the worker."""

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from cem.model.directive import Directive
from cem.model.errors import CemError
from cem.model.plan import EvNeed, Plan
from cem.model.reading import Snapshot
from cem.model.resource import Role
from cem.model.site import ChargeGoal, Site
from cem.model.time import Instant
from cem.planning.request import build_request
from cem.planning.rules import rules_plan
from cem.ports import Clock, History, Planner
from cem.runtime.board import Board
from cem.runtime.waiting import signalled

log = logging.getLogger(__name__)

HISTORY_S = 28 * 86400  # weekends are learnt apart from working days
SETTLE_S = 2.0  # several changes that come together make one plan
VALUES_S = 120.0  # a state of charge older than this is no base for a plan


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
        *,
        every_s: float = 900.0,
        timeout_s: float = 20.0,
        on_plan: Callable[[], None] = lambda: None,
    ) -> None:
        self._site = site
        self._planner = planner
        self._history = history
        self._board = board
        self._clock = clock
        self._directive = directive
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._on_plan = on_plan
        self._wanted = asyncio.Event()
        self._told = ""
        self.plan: Plan | None = None
        self.trouble = ""

    def replan(self) -> None:
        """Something changed that the plan depends on."""
        self._wanted.set()

    async def run(self) -> None:
        """Until cancelled. A late, infeasible or crashed solver costs nothing but the age of the plan."""
        while True:
            await self._make()
            await self._pause()

    async def _pause(self) -> None:
        now_s = self._clock.now().mono_s
        due_s = (math.floor(now_s / self._every_s) + 1) * self._every_s + 1.0
        within_s = min(due_s - now_s, self._every_s) if self.plan else 5.0
        if await signalled(self._wanted, within_s):
            await asyncio.sleep(SETTLE_S)
        self._wanted.clear()

    async def _make(self) -> None:
        now = self._clock.now()
        snapshot = self._board.freeze(now.mono_s)
        soc = {
            resource.id: value
            for resource in self._site.of(Role.BATTERY)
            if (value := snapshot.number(resource.id, "soc_pct", VALUES_S)) is not None
        }
        directive = self._directive(now)
        history = await self._past(now.wall)
        problem = partial(
            build_request,
            now.wall,
            self._site,
            soc,
            self._needs(snapshot, now),
            history,
            directive.prices,
            directive.limits,
        )
        request = await asyncio.get_running_loop().run_in_executor(None, problem)
        try:
            async with asyncio.timeout(self._timeout_s + 5):
                plan = await self._planner.solve(request)
        except (CemError, TimeoutError, OSError) as error:
            self._failed(str(error) or "the solver took too long")
            if self.plan is None or now.wall >= self.plan.expires_at:
                self.plan = rules_plan(request)
            return
        if self.trouble:
            log.info("planner: works again")
        self.trouble = self._told = ""
        self.plan = plan
        self._on_plan()

    def _failed(self, detail: str) -> None:
        self.trouble = f"no new plan: {detail}"
        if not self._told:
            log.warning("planner: %s; the last plan holds until it expires, then rules", detail)
        self._told = detail

    async def _past(self, now: datetime) -> dict[str, list[tuple[int, float]]]:
        until = int(now.timestamp())
        past: dict[str, list[tuple[int, float]]] = {}
        for resource in self._site.resources:
            signal = f"{resource.id}.power_w"
            past[signal] = await self._history.minute_means(signal, until - HISTORY_S, until)
        return past

    def _needs(self, snapshot: Snapshot, now: Instant) -> tuple[EvNeed, ...]:
        needs = []
        for goal in self._site.goals:
            state = snapshot.text(goal.resource_id, "state", VALUES_S)
            if state not in {"B", "C", "D"}:
                continue
            missing = self._missing_wh(goal, snapshot)
            if missing > 0:
                needs.append(EvNeed(goal.resource_id, missing, _next(goal, now.wall, self._site.zone)))
        return tuple(needs)

    @staticmethod
    def _missing_wh(goal: ChargeGoal, snapshot: Snapshot) -> float:
        charged = snapshot.number(goal.resource_id, "session_wh", VALUES_S) or 0.0
        return max(0.0, (goal.energy_wh or 0.0) - charged)


def _next(goal: ChargeGoal, now: datetime, zone: str) -> datetime:
    """The next time that the goal's local time of day comes round."""
    local = now.astimezone(ZoneInfo(zone))
    due = local.replace(hour=goal.ready_by.hour, minute=goal.ready_by.minute, second=0, microsecond=0)
    if due <= local:
        due += timedelta(days=1)
    return due.astimezone(now.tzinfo)
