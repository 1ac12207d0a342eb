"""The bench: a simulated home and the real gateway on one virtual clock, moved on step by step from plain code.

    with Bench(open_home(path), start=...) as bench:
        for step in bench.steps(3600):          # one per plant step
            step.truth.grid_w                   # what is really the case, from the plant
            step.decision, step.inputs          # the last tick before this step of the plant
            bench.status()                      # what the gateway shows
        bench.kill(); bench.restart()           # as kill -9 and a start of the service

Within each step of the plant the order is: the plant moves (at second x.95), the devices are read (x+1.00), the tick
decides (x+1.35) and the device tasks write; so the truth of step k+1 shows what was decided on the truth of step k.
Nothing here waits in real time, and the same arguments give the same run. The loop belongs to the bench: it is used
from code that runs in no event loop itself, such as a rule of a stateful property test.
"""

import asyncio
import math
import random
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from cem.app import Gateway, World
from cem.config.sitefile import SiteFile
from cem.io.plan_worker import InlinePlanner
from cem.io.replay_journal import ReplayJournal
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock, VirtualEventLoop
from cem.model.plan import Plan, PlanRequest
from cem.model.setpoint import Decision
from cem.model.status import Status
from cem.model.tick import Inputs
from cem.planning.solve import solve
from cem.ports import StateStore
from cem.simulation.grid import GridSide, MemoryVtn
from cem.simulation.market import RecordedDays, RecordedMarket
from cem.simulation.memory import CountingWatchdog, MemoryStore, MinuteMemory, Overheard
from cem.simulation.plant import Home, SimulatedHome, Truth, Wire
from cem.simulation.site import answers_for, drivers, site_of

MIDSUMMER = datetime(2026, 6, 15, 0, 0, tzinfo=UTC)
LEAD_S = 0.05
"""The plant moves this long before the common beat of the device polls, so that every poll sees the new step."""
ANSWER_S = 1.0
"""So late the gateway answers what changes in a brisk house, as it does at its usual tick of a second."""
AFTER_S = 0.001
"""A step is looked at this long after the plant made it."""

T = TypeVar("T")


class GatewayEnded(RuntimeError):  # noqa: N818 - what happened
    """The gateway's task ended although nobody stopped it; the cause is attached."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the plant, and the last tick before it. `decision` is None while no gateway runs.

    `decisions` are all of them since the step before: news of the grid or the owner makes ticks between the beats.
    """

    truth: Truth
    inputs: Inputs | None
    decision: Decision | None
    decisions: tuple[Decision, ...] = ()
    length_s: float = 1.0


class Bench:
    """A home, its gateway and their clock. Close it, or use it as a context manager.

    `site` defaults to what provisioning makes of the home. With a `folder` the gateway's state is the real state.db in
    it, without one a store in memory that outlives `kill`. `planner` is who makes the plans, where any are made. Each
    of `grids` becomes a VTN in memory, found under its id in `grids`. `record` is the file of a replay journal to be
    written. A site with a dynamic tariff asks the `market`, whoever it names, or nobody. `on_step` is called at the end
    of each step of the plant, whoever moves the bench. A `brisk` house changes at the end of each step and stays as it
    is until the next, so that long steps do not make the gateway late; `on_step` is called twice a step then.
    """

    def __init__(
        self,
        home: Home,
        *,
        start: datetime | None = None,
        seed: int | None = None,
        site: SiteFile | None = None,
        step_s: float = 1.0,
        brisk: bool = False,
        tick_s: float | None = None,
        folder: Path | None = None,
        plan: bool = True,
        planner: Callable[[PlanRequest], Plan] | None = None,
        grids: Sequence[GridSide] = (),
        record: Path | None = None,
        market: RecordedDays | None = None,
        on_step: Callable[[Step], None] | None = None,
    ) -> None:
        self.home = home
        self.step_s = step_s
        self._answer_s = ANSWER_S if brisk else None
        site = site or site_of(home, answers_for(home), tick_s=tick_s if tick_s is not None else step_s)
        providers = tuple(side.provider() for side in grids)
        spread = {provider.id: provider.spread_s for provider in providers if provider.spread_s is not None}
        policy = replace(site.site.policy, spread_by=spread)
        self.site_file = replace(site, site=replace(site.site, policy=policy), providers=providers)
        self.start = start or home.begins_at() or MIDSUMMER
        self.on_step = on_step
        self.store: StateStore = MemoryStore()
        self.watchdog = CountingWatchdog()
        self.past = MinuteMemory(self.site_file.site)
        self._heard = Overheard(self.past)
        self._decisions: tuple[Decision, ...] = ()  # since the step before
        self.gateway: Gateway | None = None
        self._elapsed_s, self._length_s = 0.0, step_s
        self.paused_s = 0.0  # how long it has stood still in all
        self._seed = seed
        self._folder = folder
        self._plan = plan
        self._planner = solve if planner is None else planner
        self._record = record
        self.market = market
        self._boots = 0
        # back-off and jitter, the same in each run
        self._random = random.Random(home.seed if seed is None else seed)  # noqa: S311
        self._runner = asyncio.Runner(loop_factory=VirtualEventLoop)
        loop = self._runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        self._loop = loop
        self._tasks: list[asyncio.Task[None]] = []
        self._begin(grids)

    def _begin(self, grids: Sequence[GridSide]) -> None:
        self._runner.run(asyncio.sleep(self._to_beat_s() - LEAD_S))
        self.clock = VirtualClock(self._loop, self.start)
        self.plant = SimulatedHome(
            self.home,
            self.start,
            seed=self._seed,
            step_s=self.step_s,
            answer_s=self._answer_s,
            after_step=self._stepped,
        )
        self.wire = Wire(self.plant, self.clock)
        self._at_s = self._loop.time() + AFTER_S
        self.grids = {side.id: MemoryVtn(side, self.clock) for side in grids}
        self._spawn(self.plant.run())
        for vtn in self.grids.values():
            self._spawn(vtn.operate(self.start))
        self.restart()

    def _to_beat_s(self) -> float:
        """To the second beat from now: the first may be too near."""
        now_s = self._loop.time()
        return (math.floor(now_s / self.step_s) + 2) * self.step_s - now_s

    # --- life of the gateway -------------------------------------------------------------------------------

    def restart(self, *, rebooted: bool = False) -> None:
        """Starts a gateway (a new one after `kill` or `stop`) on what the store kept; `rebooted`: with its machine."""
        assert self.gateway is None
        self._boots += rebooted
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self.store = SqliteStateStore(self._folder / "state.db", self.clock)
        world = World(
            clock=self.clock,
            store=self.store,
            journal=self._heard,
            history=self.past,
            planner=InlinePlanner(self._planner, self.site_file.plan.timeout_s) if self._plan else None,
            http=lambda provider: self.grids[provider.id],
            watchdog=self.watchdog,
            drivers=drivers(),
            context=self.wire.context(),
            today=self.past.energy_today,
            disk_troubles=tuple,
            local_api=False,
            recorder=ReplayJournal(self._record, self.site_file.site, single=True) if self._record else None,
            chance=self._random,
            boot=f"boot {self._boots}",
            prices=lambda service: RecordedMarket(service, self.market, self.clock),
        )

        async def build() -> Gateway:
            return Gateway(self.site_file, world)

        self.gateway = self._runner.run(build())
        self._running_gateway = self._spawn(self.gateway.run())

    def kill(self) -> None:
        """Ends the gateway at once: nothing is handed back, nothing more is written to a device."""
        assert self.gateway is not None
        self.gateway = None
        self._end(self._running_gateway)

    def stop(self) -> None:
        """An orderly end, as by SIGTERM: every device handed back."""
        assert self.gateway is not None
        self.gateway.stop()
        running, self.gateway = self._running_gateway, None
        self.run(_finished(running))
        self._tasks.remove(running)

    # --- time ----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """The wall clock of the house, aware UTC."""
        return self.clock.now().wall

    def truth(self) -> Truth:
        """What is really the case."""
        return self.plant.truth()

    def status(self) -> Status:
        """What the gateway shows; RuntimeError before its first tick and while none runs."""
        if self.gateway is None:
            raise RuntimeError("no gateway runs")
        return self.gateway.status()

    def advance(self, seconds: float) -> None:
        """Lets so much time pass. Raises GatewayEnded when the gateway fails on the way."""
        self._at_s += seconds
        self.run(self._until(self._at_s))

    def pause(self, seconds: float) -> None:
        """The process stands still for so long (SIGSTOP, a paused machine): time passes, and nothing of it runs.

        All that fell due meanwhile is due at once when it goes on; the plant makes up for it in one long step.
        """
        self._at_s += seconds
        self.paused_s += seconds
        self._loop.advance(seconds)

    def steps(self, seconds: float) -> Iterator[Step]:
        """Lets time pass one step of the plant at a time, and gives each."""
        for _ in range(round(seconds / self.step_s)):
            self.advance(self.step_s)
            yield self._step()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the house's loop, such as `bench.gateway.requests.add(...)`; time passes as it needs."""
        return self._runner.run(work)

    async def _until(self, due_s: float) -> None:
        sleeper = asyncio.create_task(asyncio.sleep(max(0.0, due_s - self._loop.time())))
        await asyncio.wait({sleeper, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        if not sleeper.done():
            sleeper.cancel()
            broken = next(task for task in self._tasks if task.done())
            raise GatewayEnded("the gateway or the plant ended by itself") from broken.exception()

    def _step(self) -> Step:
        last = self.gateway.loop.last if self.gateway is not None else None
        return Step(
            self.plant.truth(),
            last.inputs if last is not None else None,
            last.decision if last is not None else None,
            self._decisions,
            self._length_s,
        )

    def _stepped(self) -> None:
        self._decisions = self._heard.taken()
        elapsed_s = self.plant.house.elapsed_s
        self._elapsed_s, self._length_s = elapsed_s, elapsed_s - self._elapsed_s
        if self.on_step is not None:
            self.on_step(self._step())

    # --- end -----------------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.append(task)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        self._tasks.remove(task)
        self.run(_finished(task))

    def close(self) -> None:
        """Ends everything."""
        for task in tuple(self._tasks):
            self._end(task)
        self.gateway = None
        self._runner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _finished(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])
