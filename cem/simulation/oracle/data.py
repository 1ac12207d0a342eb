"""Decisions and writes: nothing on stale data, nothing fed by a timer, armed first, allowed, and in their budgets."""

from collections.abc import Mapping

from cem.model.resource import Control, Role
from cem.model.setpoint import Setpoint
from cem.model.site import Site
from cem.ports import ControlSpec, Storage
from cem.simulation.oracle.excuses import Excuse
from cem.simulation.oracle.seen import SAFE_WITHIN_S, Bounds, Lasting, Seen, Told, Violation, Write
from cem.simulation.oracle.wires import (
    MAY_WRITE,
    RATE_TIMER,
    STORAGE_MODE,
    WMAX_LIM_ON,
    WMAX_LIM_TIMER,
    Block,
    releases_call,
    stray,
    switched,
    wears,
)

CYCLE_SAYS_S = 15.0
"""After so long without a completed tick no device may be fed any more: lease and one poll."""
DAY_S = 86400.0
NORMAL = 2.0
"""SG Ready: a heat pump heats as it needs."""
WORN = frozenset({Storage.FLASH, Storage.UNKNOWN})


class FreshData:
    """I12: what is decided on a meter or a device that has been silent for too long is the safe value, or less.

    Judged by the ages in the decision's own inputs, and by how long the plant's device has truly been silent.
    """

    name = "I12"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._meters = [r.id for r in site.of(Role.GRID)][:1]
        self._others = [r.id for r in site.resources if r.role is not Role.GRID]
        self._before: dict[tuple[str, Control], float] = {}
        self._lasts = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Each set point of a new decision."""
        if seen.decision is None or seen.inputs is None or not seen.runs:
            self._before.clear()
            return []
        old = self._too_old(seen)
        found = []
        silent = self._lasts.for_s("not safe", seen.facts.meter == "silent" and not seen.safe, seen.at_s)
        if self._told.once("not safe", silent > self._bounds.meter_stale_s + SAFE_WITHIN_S + self._bounds.lag_s):
            what = f"{seen.decision.mode} mode with a meter that has been silent for {silent:.0f} s"
            found.append(Violation(self.name, seen.at_s, f"safe mode within {SAFE_WITHIN_S:g} s", what, seen.words()))
        for setpoint in seen.decision.setpoints:
            why = old.get("") or old.get(setpoint.resource_id)
            if why is not None or self._told.open:
                key = f"{setpoint.resource_id} {setpoint.control}"
                if self._told.once(key, why is not None and not self._less(setpoint)):
                    what = f"{key} = {setpoint.value}, {why}"
                    allowed = "its safe value, or no more than before"
                    found.append(Violation(self.name, seen.at_s, allowed, what, setpoint.reason))
            if setpoint.value is not None:
                self._before[setpoint.resource_id, setpoint.control] = setpoint.value
        return found

    def _too_old(self, seen: Seen) -> dict[str, str]:
        """What is too old by resource id ("": the meter, on which everything depends), in words."""
        assert seen.inputs is not None
        old = {}
        silent = self._lasts.for_s("meter", seen.facts.meter == "silent", seen.at_s)
        for meter in self._meters:
            age = seen.inputs.snapshot.age_s(meter, "power_w")
            age = float("inf") if age is None else age
            if max(age, silent - 2 * self._bounds.step_s) > self._bounds.meter_stale_s + 1e-6:
                old[""] = f"the meter is {min(age, 9999):.0f} s old and has been silent for {silent:.0f} s"
        for resource_id in self._others:
            age = seen.inputs.snapshot.age_s(resource_id, "power_w")
            if age is not None and age > self._bounds.device_stale_s + 1e-6:
                old[resource_id] = f"it is {age:.0f} s old"
        return old

    def _less(self, setpoint: Setpoint) -> bool:
        value = setpoint.value
        if value is None or value == 0.0:
            return True
        before = self._before.get((setpoint.resource_id, setpoint.control))
        if setpoint.control is Control.PV_LIMIT_W:
            return True  # a bound on generation is the safe side of its own control
        if setpoint.control is Control.HEAT_PUMP_SG_READY and value <= NORMAL:
            return True  # a heat pump in its own hands
        if (
            setpoint.control is Control.EV_LIMIT_A
            and value <= self._site.resource(setpoint.resource_id).ratings.min_current_a
        ):
            return True
        return before is not None and abs(value) <= abs(before) and value * before >= 0


class Feeding:
    """I13: a device's timer is only fed by completed ticks, and often enough while it shall hold what it was told."""

    name = "I13"
    LAG = Excuse("I13", "a timer is fed up to two ticks late", "I13: half of the timer; the tick's grain", "s")

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._tick: object = None
        self._ticked_s = 0.0
        self._written_s: dict[str, float] = {}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Writes after the last tick, and gaps between writes."""
        if seen.decision is not self._tick or not seen.runs:
            self._tick, self._ticked_s = seen.decision, seen.at_s
        found = []
        late = seen.at_s - self._ticked_s > CYCLE_SAYS_S + self._bounds.lag_s
        for write in seen.writes:
            self._written_s[write.device_id] = write.at_s
            if self._told.once(f"{write.device_id} fed", late and not releases(write)):
                allowed = f"{write.device_id}: no write {CYCLE_SAYS_S:g} s after the last completed tick"
                what = f"a write {seen.at_s - self._ticked_s:.0f} s after it"
                found.append(Violation(self.name, seen.at_s, allowed, what, seen.words()))
        if not seen.runs or seen.at_s - self._ticked_s > self._bounds.lag_s:
            return found
        holding = {b.resource.id for b in seen.facts.batteries if b.held_w is not None and b.obeys}
        holding |= {s.resource.id for s in seen.facts.switched if s.held is not None and s.well}
        for device_id, specs in seen.specs.items():
            for spec in specs:
                if spec.resource_id in holding and spec.device_timeout_s is not None:
                    found += self._gap(seen, device_id, spec, spec.device_timeout_s)
        return found

    def _gap(self, seen: Seen, device_id: str, spec: ControlSpec, timeout_s: float) -> list[Violation]:
        setpoint = seen.setpoint(spec.resource_id, spec.control)
        if setpoint is None or setpoint.value is None or (spec.resource_id, spec.control) not in seen.effective:
            return []
        gap = seen.at_s - max(self._written_s.get(device_id, seen.at_s), seen.started_s or 0.0)
        most = timeout_s / 2 + 2.0 * self._bounds.step_s + 2.0
        if timeout_s / 2 < gap <= most:
            seen.excused.take(self.LAG, seen.at_s, gap - timeout_s / 2)
        if not self._told.once(f"{device_id} gap", gap > most):
            return []
        allowed = f"{device_id}: fed every {most:.0f} s"
        return [Violation(self.name, seen.at_s, allowed, f"nothing for {gap:.0f} s", seen.words(spec.resource_id))]


def releases(write: Write) -> bool:
    """Whether it hands something back: registers all 0, the charger's own mode, a contact for good, a profile's end."""
    if write.by_topic:
        if releases_call(write.what):
            return True
        contact = switched(write.what)
        return write.what.endswith(b"frc/set 0") if contact is None else "toggle_after" not in contact
    return write.hands_back if write.profiled else not any(write.words.values())


class ArmedFirst:
    """I15: no value is put in force before the device's own timer was written. That it was read back does not show."""

    name = "I15"
    MASTERS: Mapping[int, tuple[int, int]] = {123: (WMAX_LIM_ON, WMAX_LIM_TIMER), 124: (STORAGE_MODE, RATE_TIMER)}

    def __init__(self, site: Site, bounds: Bounds, blocks: Mapping[str, tuple[Block, ...]]) -> None:
        del site
        self._bounds = bounds
        self._blocks = blocks
        self._armed: set[tuple[str, int]] = set()
        self._started_s: float | None = None

    def observe(self, seen: Seen) -> list[Violation]:
        """Switches against timers, in the order in which they were written."""
        if seen.started_s != self._started_s:
            self._started_s = seen.started_s
            self._armed.clear()
        mine = (write for write in seen.writes if not write.by_topic and not write.former)
        return [found for write in mine for found in self._write(seen, write)]

    def _write(self, seen: Seen, write: Write) -> list[Violation]:
        words, found = write.words, []
        for block in self._blocks.get(write.device_id, ()):
            if block.model not in self.MASTERS:
                continue
            switch, timer = self.MASTERS[block.model]
            key = (write.device_id, block.model)
            if words.get(block.address + timer, 0) not in {0, 0xFFFF}:
                self._armed.add(key)
            if words.get(block.address + switch, 0) and key not in self._armed:
                allowed = f"{write.device_id}: timer of model {block.model} first"
                found.append(Violation(self.name, seen.at_s, allowed, "put in force without it", seen.words()))
        return found


class AllowList:
    """I29: only registers, topics and settings that are meant to be written are, and a charging profile has an end."""

    name = "I29"

    def __init__(self, blocks: Mapping[str, tuple[Block, ...]], owned: Mapping[str, frozenset[int]]) -> None:
        self._allowed = {
            device: frozenset(block.address + offset for block in own for offset in MAY_WRITE.get(block.model, ()))
            for device, own in blocks.items()
            if own
        }
        self._allowed |= owned
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Every write."""
        found = []
        for write in seen.writes:
            if write.by_topic:
                words = stray(write.what)
                wrong = [] if words is None else [words]
            else:
                own = self._allowed.get(write.device_id)
                wrong = [] if own is None else [str(a) for a in write.words if a not in own]
            found += [
                Violation(self.name, seen.at_s, f"{write.device_id}: its own list", what, seen.words())
                for what in wrong
                if self._told.once(f"{write.device_id} {what}", broken=True)
            ]
        return found


class Resources:
    """I28 as far as it shows: ticks within 250 ms (99 of 100), hardly any above a second, and flash written no more
    often than it may be.

    What other processes of the machine take meanwhile does not count. That the machine itself stands still can't be
    told from a tick that does: twice in a run, or in one tick of a thousand, it may. Nothing of it is counted as
    excused: a run's account is the same on every machine.
    """

    name = "I28"
    LONGEST_MS, MOST_MS = 250.0, 1000.0
    LEAST_TICKS = 100
    STANDS_STILL, STANDS_STILL_SHARE = 2, 0.001

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site, bounds
        self._long = self._still = self._ticks = 0
        self._days: dict[str, list[float]] = {}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Ticks and writes."""
        ticked = bool(seen.decisions)  # no tick while no gateway runs
        self._ticks += ticked
        self._long += ticked and seen.tick_ms > self.LONGEST_MS
        found = []
        self._still += ticked and seen.tick_ms > self.MOST_MS
        if self._told.once("a tick", self._still > max(self.STANDS_STILL, self.STANDS_STILL_SHARE * self._ticks)):
            what = f"{self._still} of {self._ticks}, the last of {seen.tick_ms:.0f} ms"
            found.append(Violation(self.name, seen.at_s, f"no ticks above {self.MOST_MS:g} ms", what, ""))
        if self._told.once("ticks", self._ticks >= self.LEAST_TICKS and self._long > self._ticks / 100):
            what = f"{self._long} of {self._ticks} were longer"
            found.append(Violation(self.name, seen.at_s, f"99 ticks of 100 within {self.LONGEST_MS:g} ms", what, ""))
        for write in seen.writes:
            budget = self._budget(seen, write.device_id)
            if budget is None or (write.by_topic and not wears(write.what)):
                continue
            day = self._days[write.device_id] = [
                *(at for at in self._days.get(write.device_id, []) if at > write.at_s - DAY_S),
                write.at_s,
            ]
            if self._told.once(f"{write.device_id} wear", len(day) > budget):
                allowed = f"{write.device_id}: {budget} writes a day"
                found.append(Violation(self.name, seen.at_s, allowed, f"{len(day)}", seen.words()))
        return found

    @staticmethod
    def _budget(seen: Seen, device_id: str) -> int | None:
        """The messages a day that a device's storage stands: two for each write of a control, on and value."""
        budgets = [
            20 if spec.storage in WORN else spec.daily_budget
            for spec in seen.specs.get(device_id, ())
            if spec.storage in WORN or spec.daily_budget is not None
        ]
        return 2 * sum(b for b in budgets if b is not None) if budgets else None
