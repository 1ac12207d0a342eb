"""The oracle: every invariant at every step of a bench, against the plant's true state."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cem.config.sitefile import SiteFile
from cem.model.status import Status
from cem.model.values import replace
from cem.simulation.harness import Bench, Step
from cem.simulation.oracle.boxes import BoxTruth
from cem.simulation.oracle.contactors import Switching
from cem.simulation.oracle.data import AllowList, ArmedFirst, Feeding, FreshData, Resources
from cem.simulation.oracle.electrical import Fuse, GuaranteedLeast, MostRestrictive
from cem.simulation.oracle.excuses import Excused
from cem.simulation.oracle.facts import FactSource
from cem.simulation.oracle.grid import GridTruth
from cem.simulation.oracle.life import Autonomy, Bumpless, Failsafe, HandBack, Promise, Recovery
from cem.simulation.oracle.limits import ExportLimit, ImportLimit
from cem.simulation.oracle.returning import Return
from cem.simulation.oracle.seen import Bounds, Invariant, Seen, Violation, Write
from cem.simulation.oracle.storage import DeviceEnvelope, NoHunting, OneDirection, Reserve
from cem.simulation.oracle.switching import Car, Ramp, Spread
from cem.simulation.oracle.wires import Block, blocks, written
from cem.simulation.plant import has_registers

PLAIN = (
    Fuse, ImportLimit, ExportLimit, GuaranteedLeast, Reserve, DeviceEnvelope, OneDirection, Switching, Ramp, Spread,
    Return, Car, NoHunting, FreshData, Feeding, Failsafe, MostRestrictive, HandBack, Autonomy, Recovery, Resources,
    Promise,
)  # fmt: skip
"""The invariants that need nothing but the site and its bounds."""
WIRED = (Bumpless, ArmedFirst)
"""Those that also need the register maps."""
INVARIANTS = tuple(sorted({made.name for made in (*PLAIN, *WIRED, AllowList)}, key=lambda name: int(name[1:])))
"""The names of all."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A write whose meaning is not known yet: its place among the writes, and what the device was told before it, and
    how many registers it had taken by then."""

    index: int
    told: dict[str, tuple[float | None, float | None]]
    taken: int


class Oracle:
    """Judges one bench from the moment it is made until the bench ends.

        bench = Bench(home)
        oracle = Oracle(bench)
        bench.advance(3600)
        for violation in oracle.violations: ...

    It takes the bench's `on_step` (calling on whoever was there before) and listens on its wires; the gateway never
    notices it. `leave_out` names invariants that are not judged. `also` are further watchers, such as `twins.Trace`.
    """

    def __init__(
        self,
        bench: Bench,
        *,
        leave_out: Sequence[str] = (),
        also: Sequence[Invariant] = (),
        bounds: Bounds | None = None,
    ) -> None:
        self.violations: list[Violation] = []
        self.excused = Excused(bench.step_s)
        self.steps = 0
        self._bench = bench
        self._plant = bench.plant
        bounds = bounds or Bounds.of(bench.site_file.site, bench.step_s)
        self._facts = FactSource(bench.site_file, bench.plant, bench.wire, bounds.lag_s)
        self._devices = _simulated(bench.site_file, self._facts)
        site = bench.site_file.site
        providers = {provider.id: provider for provider in bench.site_file.providers}
        self._grid = GridTruth(site, {key: (providers[key], vtn) for key, vtn in bench.grids.items()}, bench.step_s)
        self._boxes = BoxTruth(site, bench.plant.home)
        maps = {device: self._blocks(simulated) for simulated, device in self._devices.items()}
        self._registers = frozenset(simulated for simulated in self._devices if has_registers(self._plant, simulated))
        owned = {device: own for sim, device in self._devices.items() if (own := self._plant.owned(sim)) is not None}
        self._profiled = frozenset(sim for sim, device in self._devices.items() if device in owned)
        self._open: dict[str, _Open] = {}  # by such a device its last write, until it is known what it meant
        judges: list[Invariant] = [make(site, bounds) for make in PLAIN]
        judges += [make(site, bounds, maps) for make in WIRED]
        judges.append(AllowList(maps, owned))
        self._judges = [*(judge for judge in judges if judge.name not in leave_out), *also]
        self._writes: list[Write] = []
        self._writers: list[object] = []  # the gateway of each
        self._gateway: object = None
        self._started_s: float | None = None
        self._died_s: float | None = None
        self._boots = bench.boots
        self._handed_back = False
        self._next_on_write, bench.wire.on_write = bench.wire.on_write, self._wrote
        self._next_on_step, bench.on_step = bench.on_step, self._step

    def stopping(self) -> None:
        """The gateway's next end will be an orderly one: its devices must be handed back.

        Not by one that was started since the last step: it has had no word for any of them.
        """
        self._handed_back = self._bench.gateway is self._gateway

    def _blocks(self, simulated: str) -> tuple[Block, ...]:
        try:
            return blocks(self._plant.modbus(simulated).bank)
        except KeyError:
            return ()

    def _wrote(self, simulated: str, what: bytes) -> None:
        if self._next_on_write is not None:
            self._next_on_write(simulated, what)
        self._conclude(simulated)
        device = self._devices.get(simulated, simulated)
        self._writers.append(self._bench.gateway)
        self._writes.append(Write(self._plant.house.elapsed_s, device, what, simulated not in self._registers))
        if simulated in self._profiled:
            self._open[simulated] = _Open(len(self._writes) - 1, self._told(simulated), self._taken(simulated))

    def _conclude(self, simulated: str) -> None:
        """What a device with a profile has made of the last write: its registers mean what only it knows."""
        last = self._open.pop(simulated, None)
        if last is None:
            return
        write, told = self._writes[last.index], self._told(simulated)
        if self._taken(simulated) == last.taken:  # refused, or it never arrived
            self._writes[last.index] = replace(write, profiled=True)
            return
        words = written(write.what)
        holds = [hold for hold in self._plant.fronts[simulated].holds().values() if hold.remote]
        # arming a time-out is no word on what to do, nor is a word to another part of the device, unless it does
        # something else after it
        told_apart = self._plant.telling(simulated)
        new = [
            word
            for plant, word in told.items()
            if holds and (word != last.told.get(plant) or not told_apart.get(plant, frozenset()).isdisjoint(words))
        ]
        held_w = next((watts for watts, _ in new if watts is not None), None)
        offered_a = next((amps for _, amps in new if amps is not None), None)
        self._writes[last.index] = replace(
            write, profiled=True, hands_back=not holds, held_w=held_w, offered_a=offered_a
        )

    def _told(self, simulated: str) -> dict[str, tuple[float | None, float | None]]:
        """The power (W, charging positive) and the current that each part of such a device is bound to now."""
        return {plant: (hold.upper_w, hold.offered_a) for plant, hold in self._plant.fronts[simulated].holds().items()}

    def _taken(self, simulated: str) -> int:
        """How many registers it has taken so far."""
        return sum(self._plant.fronts[simulated].writes.values())

    def _step(self, step: Step) -> None:
        if self._next_on_step is not None:
            self._next_on_step(step)
        self.observe(step)

    def observe(self, step: Step) -> list[Violation]:
        """Judges one step; what is newly broken. Called by the bench itself."""
        facts = self._facts.read(step.truth)
        at_s = facts.at_s
        self._follow_gateway(at_s)
        now = self._bench.clock.now()
        for simulated in list(self._open):
            self._conclude(simulated)
        gateway = self._bench.gateway
        pairs = zip(self._writes, self._writers, strict=True)
        # what is written while none runs is what one that is being stopped hands back
        writes = tuple(replace(write, former=True) if by is None or by is not gateway else write for write, by in pairs)
        self._writes, self._writers = [], []

        def limits(side: str) -> Any:
            wired = self._boxes.limits(side, step.truth)
            return self._grid.limits(side, at_s, now.wall, trusted=now.trusted, started_s=self._started_s, wired=wired)

        def decided_under_w(side: str) -> float | None:
            if step.inputs is None:
                return None
            then, wired = step.inputs.now, self._boxes.limits(side, step.truth)
            strictest_w = self._grid.strictest_w(side, then.wall, trusted=then.trusted)
            return min([strictest_w, *(limit_w for _, limit_w in wired)])

        seen = Seen(
            at_s,
            facts,
            step.inputs,
            step.decision,
            now.mono_s,
            self._started_s,
            self._died_s,
            self._handed_back,
            now.trusted,
            limits("import"),
            limits("export"),
            writes,
            gateway.board.outcomes() if gateway is not None else (),
            {task.config.id: task.controls for task in gateway.devices} if gateway is not None else {},
            self._status(),
            gateway.loop.health.last_own_ms if gateway is not None else 0.0,
            step.decisions,
            decided_under_w,
            self.excused,
        )
        found = [violation for judge in self._judges for violation in judge.observe(seen)]
        self.violations += found
        self.steps += 1
        return found

    def _follow_gateway(self, at_s: float) -> None:
        gateway = self._bench.gateway
        if gateway is self._gateway:
            return
        if self._gateway is not None:
            self._died_s = at_s
        if gateway is not None:
            self._started_s = at_s
            self._handed_back = False
            self._grid.restarted(at_s, self._died_s, rebooted=self._bench.boots != self._boots)
            self._boots = self._bench.boots
        else:
            self._started_s = None
        self._gateway = gateway

    def _status(self) -> Callable[[], Status | None]:
        bench = self._bench
        return lambda: bench.status() if bench.gateway is not None and bench.gateway.loop.last is not None else None


def _simulated(site_file: SiteFile, facts: FactSource) -> dict[str, str]:
    """The site file's device by the id of the simulated one."""
    found = {facts.simulated(device.id): device.id for device in site_file.devices}
    return {simulated: device for simulated, device in found.items() if simulated is not None}
