"""From start to death: failsafe, first command, hand-back, autonomy, recovery, and the owner's promise."""

from collections.abc import Mapping, Sequence

from cem.model.envelope import Rank
from cem.model.resource import Control, Resource
from cem.model.setpoint import Health, WriteState
from cem.model.site import Site
from cem.ports import ControlSpec
from cem.simulation.oracle.data import releases
from cem.simulation.oracle.excuses import Excuse
from cem.simulation.oracle.facts import BatteryFact, ChargerFact, Facts
from cem.simulation.oracle.seen import Bounds, Lasting, Seen, Told, Violation, Write
from cem.simulation.oracle.wires import Block, amps_told, forces_on, storage_share

HANDED_S = 5.0
"""I22: handed back within (10 s at the latest is what a service manager gives)."""
YOUNG_S = 5.0
"""I21: a fresh measurement is younger; what moves has moved on since."""
FIRST_WORDS_S = 10.0
"""After a start, and a lag more: until then a gateway may have had no word for a device."""
WATCHED_EVERY_S = 10.0
"""How often the status is looked at: making it costs more than everything else here."""


class Failsafe:
    """I14: without a gateway every device with a timer of its own is back in its own control in time.

    A device that hangs is no device without a gateway: its timer stands still with it, and counts when it goes on.
    """

    name = "I14"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._specs: dict[tuple[str, Control], ControlSpec] = {}
        self._looked_at: dict[str, Sequence[ControlSpec]] = {}  # of each device, as they were last looked at
        self._hung_s: dict[str, float] = {}  # when each device was last seen to hang
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """What devices still hold by the time that their timers must have run out."""
        for device_id, specs in seen.specs.items():
            if specs is not self._looked_at.get(device_id):  # a device tells its controls whenever it is reached anew
                self._looked_at[device_id] = specs
                self._specs.update({(spec.resource_id, spec.control): spec for spec in specs})
        self._hung_s |= dict.fromkeys(seen.facts.hung, seen.at_s)
        if seen.runs or seen.died_s is None:
            return []
        found = []
        own_s = {b.resource.id: b.timeout_s for b in seen.facts.batteries}
        held: list[tuple[Resource, Control, float | None]] = []
        held += [(b.resource, Control.BATTERY_SETPOINT_W, b.held_w) for b in seen.facts.batteries]
        held += [(r.resource, Control.PV_LIMIT_W, r.limit_w) for r in seen.facts.roofs]
        held += [(p.resource, Control.HEAT_PUMP_SG_READY, p.held) for p in seen.facts.heat_pumps]
        held += [(load.resource, Control.LOAD_ON, load.held) for load in seen.facts.loads]
        for resource, control, value in held:
            resource_id = resource.id
            dead_s = seen.at_s - max(seen.died_s, self._hung_s.get(resource.device_id, seen.died_s))
            spec = self._specs.get((resource_id, control))
            if spec is None or spec.device_timeout_s is None:
                continue
            due_s = (own_s.get(resource_id) or self._bounds.watchdog_s) + 20.0 + self._bounds.step_s
            if self._told.once(resource_id, value is not None and dead_s > due_s):
                allowed = f"{resource_id}: by itself {due_s:.0f} s after the gateway's end"
                unit = "" if control in {Control.HEAT_PUMP_SG_READY, Control.LOAD_ON} else " W"
                found.append(Violation(self.name, seen.at_s, allowed, f"still {value:.0f}{unit} held"))
        return found


class Bumpless:
    """I21: nothing is written before a fresh measurement; the first command is no larger than what flows already.

    The first command is what goes over the wire first after a start, whatever follows within the same second. Where no
    car is nothing flows: there a first command offers no more than before, or gives the charger back to itself, as it
    stands whenever no car is there; and one for a car that comes later is none of a start. What stands still when it is
    told its first (F2) has had it.
    """

    name = "I21"
    MEASURED = Excuse("I21", "a battery moves a little while it is measured and told", "none: 2 % and 25 W")
    MOVES = Excuse("I21", "a battery that moves is told what was measured a step before", "F1: younger than 5 s")
    STANDS_STILL = Excuse("I21", "a battery that stands still tells what it moved before", "F2")
    CAME = Excuse("I21", "a car came before the first command to its charger", "I21 is of a start", "A")
    FREED = Excuse("I21", "a charger that was just handed back is on its way to its own offer", "I22", "A")
    GIVEN_BACK = Excuse("I21", "a charger without a car is given back to itself", "I21 is of power; I22", "A")

    def __init__(self, site: Site, bounds: Bounds, blocks: Mapping[str, tuple[Block, ...]]) -> None:
        del site
        self._bounds = bounds
        self._freed_s: dict[str, float] = {}  # when a gateway that ended handed a charger back
        self._storage = {d: block for d, own in blocks.items() for block in own if block.model == 124}
        self._started_s: float | None = None
        self._before: Facts | None = None  # a step before
        self._former: Facts | None = None  # two steps before
        self._present: dict[str, float] = {}  # then, W of a battery, A that a charger offers
        self._drawn: dict[str, float] = {}  # then, A, by a car
        self._first: set[str] = set()
        self._empty: set[str] = set()  # charging points at which no car was since the start

    def observe(self, seen: Seen) -> list[Violation]:
        """The first write to each battery and charging point after a start."""
        if seen.started_s != self._started_s:
            self._started_s = seen.started_s
            self._first = {b.resource.id for b in seen.facts.batteries} | {c.resource.id for c in seen.facts.chargers}
            self._empty = set()
        found = []
        if seen.runs and self._first:
            self._recall()
            for battery in seen.facts.batteries:
                found += self._battery(seen, battery)
            for charger in seen.facts.chargers:
                found += self._charger(seen, charger)
        self._former, self._before = self._before, seen.facts
        return found

    def _recall(self) -> None:
        """What was present a step before."""
        if self._before is not None:
            self._present = {b.resource.id: b.power_w for b in self._before.batteries}
            self._present |= {c.resource.id: c.offered_a for c in self._before.chargers}
            self._drawn = {c.resource.id: c.current_a for c in self._before.chargers}

    def _battery(self, seen: Seen, battery: BatteryFact) -> list[Violation]:
        key, ratings, device = battery.resource.id, battery.resource.ratings, battery.resource.device_id
        block = self._storage.get(device)
        mine = [w for w in seen.writes if w.device_id == device and not w.by_topic and not w.former]
        shares = [s for write in mine if block and (s := storage_share(block, write.words)) is not None]
        powers = [share * ((ratings.max_charge_w if share > 0 else ratings.max_discharge_w) or 0.0) for share in shares]
        powers += [write.held_w for write in mine if write.held_w is not None]
        if key not in self._first:
            return []
        # told what it does anyway: that needed no message, or one that what hangs does not take or does not show
        took = (key, Control.BATTERY_SETPOINT_W) in seen.effective
        present = self._present.get(key, battery.power_w)
        unheard = bool(mine) and device in seen.facts.hung and abs(_asked_w(seen, key)) <= 1.02 * abs(present) + 25.0
        if powers or took or unheard:
            self._first.discard(key)
        if not powers:
            return []
        told = powers[0]
        found = []
        tells = None if seen.inputs is None else seen.inputs.snapshot.number(key, "power_w", float("inf"))
        if device in seen.facts.hung and abs(present) + 1.0 < abs(told) <= abs(tells or 0.0) + 1.0:
            seen.excused.take(self.STANDS_STILL, seen.at_s, abs(told) - abs(present))
        elif abs(told) > 1.02 * abs(present) + 25.0 and self._moved(seen, key, told):
            seen.excused.take(self.MOVES, seen.at_s, abs(told) - abs(present))
        elif abs(told) > 1.02 * abs(present) + 25.0:
            allowed = f"{key}: first command within the present {present:.0f} W"
            found.append(Violation(self.name, seen.at_s, allowed, f"{told:.0f} W", seen.words(key)))
        elif abs(told) > abs(present) + 1.0:
            seen.excused.take(self.MEASURED, seen.at_s, abs(told) - abs(present))
        if seen.inputs is None or seen.inputs.snapshot.reading(key, "power_w") is None:
            found.append(
                Violation(self.name, seen.at_s, f"{key}: measured before written", f"{told:.0f} W written", "")
            )
        return found

    def _moved(self, seen: Seen, key: str, told: float) -> bool:
        """Whether a battery was told what it really moved when it was measured: then, and not just now."""
        age_s = None if seen.inputs is None else seen.inputs.snapshot.age_s(key, "power_w")
        if self._former is None or age_s is None or not 0.0 < age_s < YOUNG_S:
            return False
        return any(b.resource.id == key and abs(told) <= abs(b.power_w) + 1.0 for b in self._former.batteries)

    def _charger(self, seen: Seen, charger: ChargerFact) -> list[Violation]:
        key = charger.resource.id
        empty = charger.state == "A"
        if empty:
            self._empty.add(key)
        own = [w for w in seen.writes if w.device_id == charger.resource.device_id]
        if any(write.former and self._frees(write, charger) for write in own):
            self._freed_s[key] = seen.at_s
        mine = [write for write in own if not write.former]
        told = next((amps for write in mine if write.by_topic and (amps := amps_told(write.what)) is not None), None)
        if told is None and any(forces_on(write.what) for write in mine):
            told = charger.offered_a
        told = next((write.offered_a for write in mine if write.offered_a is not None), told)
        if key not in self._first:
            return []
        if told is None:
            # told what it does anyway: that needed no message; or a box that stands still was told, and shows nothing
            if self._holds(seen, charger) or (mine and charger.resource.device_id in seen.facts.hung):
                self._first.discard(key)
            return []
        self._first.discard(key)
        # a car goes on drawing for seconds after its pilot has said less: that is its present power
        present = max(self._present.get(key, charger.offered_a), self._drawn.get(key, 0.0))
        if told <= present + 0.5:
            return []
        if key in self._empty and not empty:
            seen.excused.take(self.CAME, seen.at_s, told - present)
            return []
        if seen.at_s - self._freed_s.get(key, float("-inf")) <= self._bounds.lag_s:
            seen.excused.take(self.FREED, seen.at_s, told - present)
            return []
        setpoint = seen.setpoint(key)
        if empty and setpoint is not None and setpoint.value is None and charger.held_a is None:
            seen.excused.take(self.GIVEN_BACK, seen.at_s, told - present)
            return []
        allowed = f"{key}: first command at most the present {present:.1f} A"
        return [Violation(self.name, seen.at_s, allowed, f"{told:g} A", seen.words(key))]

    @staticmethod
    def _frees(write: Write, charger: ChargerFact) -> bool:
        """Whether a charger steers itself after it: it was let go, or told no less than the most that it may offer."""
        whole_a = charger.resource.ratings.max_current_a or float("inf")
        unbound = write.offered_a is not None and write.offered_a >= whole_a
        return unbound or releases(write) or forces_on(write.what)

    @staticmethod
    def _holds(seen: Seen, charger: ChargerFact) -> bool:
        """Whether the charger really does what the gateway has told it since its start."""
        told = {WriteState.ACCEPTED, WriteState.EFFECTIVE}
        return any(
            o.resource_id == charger.resource.id and o.control is Control.EV_LIMIT_A and o.state in told
            and o.value == charger.offered_a for o in seen.outcomes
        )  # fmt: skip


def _asked_w(seen: Seen, key: str) -> float:
    """What was first asked of a battery in this step; all there is, where nothing was."""
    asked = [s.value for one in seen.decisions for s in one.setpoints if s.resource_id == key and s.value is not None]
    return asked[0] if asked else float("inf")


class HandBack:
    """I22: after an orderly end every device that can be reached steers itself, within five seconds.

    A battery that no register hands back, only its own time-out, stands still until that has run out. Excused is what a
    killed gateway left to one that was stopped in its first seconds, before it had a word for that device: there
    the timers (I14) and `cem release`, which the service manager starts after every stop, do it.
    """

    name = "I22"
    WAITS = Excuse("I22", "only a battery's own time-out hands it back", "I22 by the maker's registers; I14", "s")
    YOUNG = Excuse("I22", "what a killed gateway left, to one that had no word yet", "I14 and cem release", "s")
    DEAF = Excuse("I22", "a device does not obey, or only just does", "F7, F11", "s")

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._started_s: float | None = None
        self._spoken: set[str] = set()  # the devices that the present, or last, gateway has written to
        self._ran_s = 0.0
        self._unheard: set[str] = set()  # the charging points and roofs that could not hear the last stop
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """What batteries, inverters, contacts and chargers still hold."""
        if seen.runs:
            if seen.started_s != self._started_s:
                self._started_s, self._spoken = seen.started_s, set()
            self._spoken.update([write.device_id for write in seen.writes if not write.former])
            self._ran_s = seen.runs_for_s()
        if seen.runs or not seen.handed_back or seen.died_s is None or seen.at_s - seen.died_s <= HANDED_S:
            self._told = Told()
            return []
        dead_s = seen.at_s - seen.died_s
        facts = seen.facts
        # most chargers have no timer, nor have some inverters: who did not hear the stop stays as it was until somebody
        # tells it anew; where there is one it is judged by it (I14)
        if dead_s <= HANDED_S + self._bounds.step_s:
            self._unheard = {c.resource.id for c in facts.chargers if not c.obeys}
            self._unheard |= {roof.resource.id for roof in facts.roofs if not roof.obeys}
        held: list[tuple[Resource, float | None, str, bool]] = []
        held += [(b.resource, b.held_w, " W", b.obeys) for b in facts.batteries]
        held += [(r.resource, r.limit_w, " W", r.obeys and r.resource.id not in self._unheard) for r in facts.roofs]
        held += [(s.resource, s.held, "", s.well) for s in facts.switched]
        held += [(c.resource, c.held_a, " A", c.obeys and c.resource.id not in self._unheard) for c in facts.chargers]
        waiting = {b.resource.id for b in facts.batteries if _waits(b, dead_s)}
        found = []
        for own, value, unit, obeys in held:
            excuse = None
            if not obeys:
                excuse = self.DEAF
            elif own.id in waiting:
                excuse = self.WAITS
            elif self._ran_s < FIRST_WORDS_S + self._bounds.lag_s and own.device_id not in self._spoken:
                excuse = self.YOUNG
            if value is not None and excuse is not None:
                seen.excused.take(excuse, seen.at_s, dead_s)
            if self._told.once(own.id, value is not None and excuse is None):
                allowed = f"{own.id}: by itself after the stop"
                found.append(Violation(self.name, seen.at_s, allowed, f"still {value:.0f}{unit} held"))
        return found


def _waits(battery: BatteryFact, dead_s: float) -> bool:
    """Whether a battery is handed back as far as its registers go, and its own time-out does the rest."""
    still = battery.held_w is not None and abs(battery.held_w) < 1.0
    return still and battery.lets_go_s is not None and dead_s <= battery.lets_go_s + HANDED_S


class Autonomy:
    """I23: without a trusted clock no schedule runs, neither a plan's nor a price's, over restarts too."""

    name = "I23"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._lasts = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Whose decisions are taken while the clock is not to be trusted."""
        setpoints = () if seen.trusted or seen.decision is None else seen.decision.setpoints
        planned = [setpoint for setpoint in setpoints if setpoint.source == "plan"]
        wrong = bool(planned) and seen.runs
        if not self._told.once("plan", self._lasts.for_s("plan", wrong, seen.at_s) > self._bounds.lag_s):
            return []
        return [Violation(self.name, seen.at_s, "no schedule without a trusted clock", planned[0].reason, seen.words())]


class Recovery:
    """I24: two minutes after the last fault everything runs as before; nothing stays latched.

    What a device did not follow is tried again every five minutes, and may take as long.
    """

    name = "I24"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._well_s: float | None = None
        self._run_s: float | None = None
        self._looked_s = 0.0
        self._hurt: frozenset[str] = frozenset()
        self._device = {resource.id: resource.device_id for resource in site.resources}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Health, mode and writes, as the status has them."""
        self._hurt |= seen.facts.unwell
        disturbed = bool(seen.facts.unwell) or seen.started_s != self._run_s or not seen.runs
        self._run_s = seen.started_s
        if disturbed or self._well_s is None:
            self._well_s = seen.at_s
            return []
        well_s = seen.at_s - self._well_s
        if well_s < 120.0 + self._bounds.step_s or seen.at_s - self._looked_s < WATCHED_EVERY_S:
            return []
        self._looked_s = seen.at_s
        found = []
        states = seen.inputs.devices if seen.inputs is not None else {}
        for device_id, state in states.items():
            if self._told.once(device_id, state.health is not Health.ONLINE):
                what = f"{state.health}: {state.detail}"
                found.append(
                    Violation(self.name, seen.at_s, f"{device_id}: online 120 s after the last fault", what, "")
                )
        if self._told.once("mode", seen.safe):
            found.append(Violation(self.name, seen.at_s, "no safe mode 120 s after the last fault", seen.words(), ""))
        lost = {WriteState.REFUSED, WriteState.NOT_EFFECTIVE, WriteState.CONTESTED}
        for outcome in seen.outcomes:
            setpoint = seen.setpoint(outcome.resource_id)
            owners = setpoint is not None and setpoint.rank is Rank.USER  # who may ask for what the device forbids
            latched = (
                outcome.state in lost
                and not owners
                and well_s > 400.0
                and self._device[outcome.resource_id] in self._hurt
            )
            if self._told.once(f"{outcome.resource_id} {outcome.control}", latched):
                allowed = f"{outcome.resource_id}: followed again 400 s after the last fault"
                what = f"{outcome.state}: {outcome.detail}"
                found.append(Violation(self.name, seen.at_s, allowed, what, seen.words(outcome.resource_id)))
        return found


class Promise:
    """I30: nothing protective is silent: a minute after safe mode began there is cause, effect and what to do."""

    name = "I30"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._lasts = Lasting()
        self._looked_s = 0.0
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """The alarms of the status, while the house is in safe mode."""
        lasts = self._lasts.for_s("safe", seen.safe and seen.runs_for_s() > 60.0, seen.at_s)
        if lasts < 60.0:
            self._told.once("silent", broken=False)
            return []
        if seen.at_s - self._looked_s < WATCHED_EVERY_S:
            return []
        self._looked_s = seen.at_s
        status = seen.status()
        alarms = status.alarms if status is not None else ()
        said = any(alarm.cause and alarm.effect and alarm.advice for alarm in alarms)
        if not self._told.once("silent", not said):
            return []
        what = "; ".join(alarm.cause or "no cause" for alarm in alarms) or "no alarm at all"
        return [
            Violation(self.name, seen.at_s, "cause, effect and advice within 60 s of safe mode", what, seen.words())
        ]
