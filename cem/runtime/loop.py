"""The control loop: freeze, decide, post, record, kick (house, 'One tick')."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from cem.control import Memory, decide
from cem.model.directive import Directive
from cem.model.envelope import SITE
from cem.model.plan import Plan
from cem.model.request import UserRequest
from cem.model.resource import Role
from cem.model.setpoint import Decision, Setpoint
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.model.time import Instant
from cem.ports import Clock, Journal, TickRecorder, Watchdog
from cem.runtime.board import Board
from cem.runtime.device import DeviceTask
from cem.runtime.own_time import OwnTime
from cem.runtime.waiting import Signal

log = logging.getLogger(__name__)

PHASE = 0.35  # of a tick, after the common beat of the device polls, so that fresh values are decided on
LEASE_TICKS = 3  # a set point outlives at least so many ticks, however coarse they are
STOOD_STILL_TICKS = 3.0  # a tick that comes so late would be decided on what was read before the pause
TASK_ALIVE_S = 90.0  # longer than any back-off of a device task


class GridSide(Protocol):
    """The connection point as the loop sees it."""

    def directive(self, now: Instant) -> Directive:
        """What the grid says at this moment."""


class GridSession(Protocol):
    """A session that reports on what was measured."""

    def sample(self, now: Instant, powers_w: Mapping[str, float | None]) -> None:
        """Takes the powers of this tick; never blocks."""


@dataclass(slots=True)
class TickHealth:
    """How the loop is doing; the clock here is the machine's, since it measures our own work."""

    count: int = 0
    last_ms: float = 0.0
    last_own_ms: float = 0.0  # without waiting for a processor
    worst_ms: float = 0.0
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ticked:
    """The last tick, for the status."""

    inputs: Inputs
    decision: Decision
    before: Memory

    def explained(self, site: Site) -> Decision:
        """The same decision with every term that narrowed it."""
        return decide(site, self.inputs, self.before, explained=True)[0]


class ControlLoop:
    """Runs the tick; owns the decision's memory and nothing else."""

    def __init__(
        self,
        site: Site,
        board: Board,
        clock: Clock,
        grid: GridSide,
        journal: Journal,
        watchdog: Watchdog,
        *,
        devices: Sequence[DeviceTask],
        sessions: Sequence[GridSession],
        plan: Callable[[], Plan | None],
        requests: Callable[[], tuple[UserRequest, ...]],
        on_decision: Callable[[Ticked], None] = lambda ticked: None,
        recorder: TickRecorder | None = None,
        tick_s: float = 1.0,
    ) -> None:
        self._site = site
        self._board = board
        self._clock = clock
        self._grid = grid
        self._journal = journal
        self._watchdog = watchdog
        self._devices = devices
        self._sessions = sessions
        self._plan = plan
        self._requests = requests
        self._on_decision = on_decision
        self._recorder = recorder
        self._tick_s = tick_s
        self._least_lease_s = LEASE_TICKS * tick_s
        self._wake = Signal()
        self._own_time = OwnTime()
        self._owner = {resource.id: task for task in devices for resource in task.config.resources}
        self._measured = tuple(
            resource.id for resource in site.resources if resource.role not in {Role.GRID, Role.CONTACTS}
        )
        self.memory = Memory()
        self.health = TickHealth()
        self.last: Ticked | None = None

    def wake(self) -> None:
        """A tick at once: the grid's directive or the owner's will has changed."""
        self._wake.set()

    async def run(self) -> None:
        """Ticks until cancelled. An exception here is not contained: the process ends and the devices fall back."""
        with self._own_time.told():
            while True:
                self.tick()
                await self._next()

    async def _next(self) -> None:
        now_s = self._clock.now().mono_s
        due_s = (math.floor(now_s / self._tick_s - PHASE + 1e-6) + 1 + PHASE) * self._tick_s
        await self._wake.wait(due_s - now_s)
        self._wake.clear()
        late_s = self._clock.now().mono_s - due_s
        if late_s > STOOD_STILL_TICKS * self._tick_s:
            log.warning(
                "the process stood still for %.0f s; the devices are read anew before anything is decided", late_s
            )
            await self._next()

    def tick(self) -> Decision:
        """One whole tick; never waits for anything."""
        own_s = self._own_time.now_s()
        began = time.perf_counter()
        now = self._clock.now()
        inputs = Inputs(
            now,
            self._board.freeze(now.mono_s),
            self._grid.directive(now),
            self._plan(),
            self._board.devices(),
            self._board.outcomes(),
            self._requests(),
        )
        before = self.memory
        decision, self.memory = decide(self._site, inputs, before)
        self._post(decision.setpoints, now)
        self._journal.record(inputs, decision)
        if self._recorder is not None:
            self._recorder.take(inputs, before, decision)
        self._report(inputs)
        self.last = Ticked(inputs, decision, before)
        self._on_decision(self.last)
        if all(now.mono_s - task.alive_at_s <= TASK_ALIVE_S for task in self._devices):
            self._watchdog.kick()
        own_ms = (self._own_time.now_s() - own_s) * 1000
        self._measure(now, (time.perf_counter() - began) * 1000, own_ms)
        return decision

    def _post(self, setpoints: Sequence[Setpoint], now: Instant) -> None:
        by_task: dict[DeviceTask, list[Setpoint]] = {}
        for setpoint in setpoints:
            by_task.setdefault(self._owner[setpoint.resource_id], []).append(setpoint)
        for task, mail in by_task.items():
            task.post(mail, now.mono_s, self._least_lease_s)

    def _report(self, inputs: Inputs) -> None:
        if not self._sessions:
            return
        connection = self._site.connection
        powers: dict[str, float | None] = {
            resource_id: inputs.snapshot.number(resource_id, "power_w", connection.device_stale_s)
            for resource_id in self._measured
        }
        meters = self._site.of(Role.GRID)
        powers[SITE] = inputs.snapshot.number(meters[0].id, "power_w", connection.meter_stale_s) if meters else None
        frozen = MappingProxyType(powers)
        for session in self._sessions:
            session.sample(inputs.now, frozen)

    def _measure(self, now: Instant, took_ms: float, own_ms: float) -> None:
        health = self.health
        health.count += 1
        health.last_ms, health.last_own_ms = took_ms, own_ms
        health.worst_ms = max(health.worst_ms, took_ms)
        if health.started_at is None:
            health.started_at = now.wall
