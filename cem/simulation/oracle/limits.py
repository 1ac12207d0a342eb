"""The connection point's limits of import and export against what really flows."""

import math
from collections import deque

from cem.model.resource import Role
from cem.model.setpoint import WriteState
from cem.model.site import Site
from cem.simulation.oracle.electrical import IDLE_W, guaranteed_w
from cem.simulation.oracle.excuses import Breaches, Excuse
from cem.simulation.oracle.facts import LOCKED, BatteryFact, ChargerFact, SwitchedFact
from cem.simulation.oracle.jumps import JUMP_W, Jumps
from cem.simulation.oracle.seen import Bounds, Lasting, Seen, Told, Violation, Window

OWN_HANDS_S = 60.0
"""A heat pump or a load that was let go, or asked for more, or a car that was offered something, for a shorter time
starts because of that."""
TICKS = 3.0
"""In so many, and the devices' own time, a jump must have been made up for."""
TRIED_AGAIN_S = 300.0
"""What does not follow is tried again so often (F13)."""
FOUND_OUT_S = 30.0
"""So long what takes a word and does not follow it may count as following (F13)."""
LOCKS_S = 10.0
"""A heat pump that is locked stops within so long, or finishes its least run first."""


class _SiteLimit:
    """One side of the connection point against the limits that really hold.

    Excused is a jump of what nobody controls, as far as it reaches, for as long as nobody could have made up for it. A
    meter that has fallen silent does not show it: so long, and no longer than its last word may be acted on (I12),
    nobody could; where that word was not true (F2), what can be controlled has its time to follow from then on. Nor is
    it known of a car that does not obey that it will not follow a new limit: until it is found out, or must have been
    (F13), and those that make up for it have had their time, its power is excused. So is what a heat pump takes that
    was just locked and finishes its run.

    Nor does a car follow at once that was offered less: where nothing else is left, what it still takes is excused.

    The mean is that of what flows above the limit of each moment, so that a new limit does not begin a new minute.
    """

    name = ""
    side = ""
    JUMP: Excuse
    HEEDLESS: Excuse
    NOTHING_LEFT: Excuse
    ABOVE: Excuse

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._bounds = bounds
        self._meters = [meter.id for meter in site.of(Role.GRID)][:1]
        self._silent_s = float("-inf")  # when the meter was last silent
        self._lied_s = float("-inf")  # when it last told what is not so
        self._mean, self._plain_mean = Window(60.0), Window(60.0)
        self._let_pass: deque[tuple[float, Excuse, float]] = deque()  # when, why, and how many W
        self._told = Told()
        self._limit: float | None = None
        self._ended_w = 0.0  # the last limit that was due
        self._between = (0.0, float("-inf"))  # a looser one under which the gateway decided since, and until when
        self._started_s: float | None = None  # when the gateway of the step before was started
        self._jumps = Jumps(1.0 if self.side == "import" else -1.0)
        self._under_w: float | None = None
        self._under_s = 0.0  # since when under that limit
        self._heedless = Lasting()
        self._found_out = Lasting()

    def observe(self, seen: Seen) -> list[Violation]:
        """The mean of the last minute."""
        limit = self._limit = self._limit_w(seen)
        self._jumps.add(seen, self._left_w(seen))
        takes_s = TICKS * self._bounds.step_s + seen.facts.slowest_s
        self._jumps.forget(seen, takes_s, unseen=self._unseen(seen))
        heedless_w = self._unheeding_w(seen, limit)
        if limit is None or self._blind(seen):
            self._limit = None
            for window in (self._mean, self._plain_mean):
                window.clear()
            self._let_pass.clear()
            self._told.once(self.side, broken=False)
            return []
        power = self._power_w(seen)
        above, excuse = self._above_w(seen, power, limit, heedless_w)
        mean = self._mean.add(seen.at_s, above)
        plain = self._plain_mean.add(seen.at_s, power - limit)
        most = max(50.0, 0.02 * limit)
        broken = mean is not None and mean > most
        self._count(seen, None if excuse is None else (excuse, power - limit - above), plain, most, broken=broken)
        if self._told.once(self.side, broken):
            flowed = f"{limit + (mean or 0.0):.0f} W {self.side} over a minute"
            what = f"{flowed}; uncontrolled {seen.facts.uncontrolled_w:.0f} W"
            return [Violation(self.name, seen.at_s, f"{limit:.0f} W", what, seen.words())]
        return []

    def _limit_w(self, seen: Seen) -> float | None:
        """What must be kept to; between a limit that ended and another that is not due yet, the looser of the two, and
        what held for a moment in between, in which the gateway decided, until that could be followed again."""
        limit = seen.limit_w(self.side)
        if limit is not None:
            self._ended_w = limit
        same, self._started_s = seen.started_s == self._started_s, seen.started_s
        if limit is not None or self._limit is None or not same or self._blind(seen):
            return limit
        coming = seen.limit_w(self.side, margin_s=float("-inf"))
        between_w = seen.decided_under_w(self.side)
        if coming is None or between_w == math.inf:
            return None
        if between_w:
            follow_s = TICKS * self._bounds.step_s + seen.facts.slowest_s
            self._between = (between_w, seen.at_s + follow_s)
        held_w, until_s = self._between
        return max(self._ended_w, coming, held_w if seen.at_s <= until_s else 0.0)

    def _above_w(self, seen: Seen, power: float, limit: float, heedless_w: float) -> tuple[float, Excuse | None]:
        """What flows above the limit and counts, negative where it is kept to; and why the rest does not count."""
        if power <= limit:
            return power - limit, None
        if (excuse := self._nothing_left(seen, self._jumps.own_w + self._following_w(seen))) is not None:
            return 0.0, excuse
        # what lies above all that may flow counts, not the whole of it; a jump is part of what nobody controls
        jumped_w, more_w = self._jumps.watts + heedless_w, self._most_w(seen) - limit
        above = max(0.0, power - limit - max(jumped_w, more_w))
        if above == power - limit:
            return above, None
        if more_w >= jumped_w:
            return above, self.ABOVE
        return above, self.HEEDLESS if heedless_w > self._jumps.watts else self.JUMP

    def _count(
        self, seen: Seen, let: tuple[Excuse, float] | None, plain: float | None, most: float, *, broken: bool
    ) -> None:
        """Counts a minute that only excuses make one within the limit, for the one that did most in it."""
        if let is not None:
            self._let_pass.append((seen.at_s, *let))
        while self._let_pass and self._let_pass[0][0] <= seen.at_s - 60.0:
            self._let_pass.popleft()
        if plain is None or plain <= most or broken:
            return
        shares: dict[Excuse, float] = {}
        for _, excuse, watts in self._let_pass:
            shares[excuse] = shares.get(excuse, 0.0) + watts
        seen.excused.take(max(shares, key=lambda one: shares[one]), seen.at_s, plain)

    def _unheeding_w(self, seen: Seen, limit: float | None) -> float:
        """What cars and locked heat pumps take that do not follow, as long as nobody can know or make up for it."""
        if limit != self._under_w:
            self._under_w, self._under_s = limit, seen.at_s
        under_s = seen.at_s - self._under_s
        follow_s = TICKS * self._bounds.step_s + seen.facts.slowest_s
        if self.side != "import":
            return 0.0
        outcomes = () if seen.inputs is None else seen.inputs.outcomes
        found_out = {outcome.resource_id for outcome in outcomes if outcome.state is WriteState.NOT_EFFECTIVE}
        taken_w = 0.0
        for car in seen.facts.chargers:
            key = car.resource.id
            heedless_s = self._heedless.for_s(key, not car.obeys, seen.at_s)
            known_s = self._found_out.for_s(key, key in found_out, seen.at_s)
            hidden = min(under_s, heedless_s) < seen.facts.slowest_s + FOUND_OUT_S + follow_s and known_s < follow_s
            taken_w += car.power_w if hidden and not car.obeys else 0.0
        for pump in (part for part in seen.facts.switched if part.resource.role is Role.HEAT_PUMP):
            runs_on = pump.state == LOCKED and pump.well and pump.power_w > IDLE_W
            locked_s = self._heedless.for_s(pump.resource.id, runs_on, seen.at_s)
            taken_w += pump.power_w if runs_on and locked_s < LOCKS_S + follow_s else 0.0
        return taken_w

    def _unseen(self, seen: Seen) -> bool:
        """Whether the last word of a meter that fell silent is old, but not too old to be decided on."""
        if seen.facts.meter == "silent":
            self._silent_s = seen.at_s
        stale_s = self._bounds.meter_stale_s
        if seen.inputs is None or seen.at_s - self._silent_s > stale_s:
            return False
        ages = [age for meter in self._meters if (age := seen.inputs.snapshot.age_s(meter, "power_w")) is not None]
        return any(2.0 * self._bounds.step_s < age <= stale_s for age in ages)

    def _following_w(self, seen: Seen) -> float:
        """What cars still take beyond what they are offered by now: seconds pass until they follow."""
        if self.side != "import":
            return 0.0
        volts = seen.facts.voltage_v
        return sum([
            max(0.0, car.power_w - car.offered_a * max(1, car.phases) * volts)
            for car in seen.facts.chargers if car.obeys
        ])  # fmt: skip

    def _blind(self, seen: Seen) -> bool:
        """Nobody could know better: no gateway runs, or its meter tells it what is not so, or told it a moment ago."""
        if seen.facts.meter == "lies":
            self._lied_s = seen.at_s
        follow_s = TICKS * self._bounds.step_s + seen.facts.slowest_s
        stands_s = self._bounds.meter_stale_s + follow_s
        silent = seen.facts.meter == "silent"
        last_word = silent and not seen.safe and seen.at_s - self._lied_s <= stands_s
        follows = not silent and seen.at_s - self._lied_s <= follow_s
        return not seen.runs or seen.facts.meter == "lies" or last_word or follows

    def _left_w(self, seen: Seen) -> float:
        """By how much a consumer has just moved towards the limit by itself, although it obeys."""
        raise NotImplementedError

    def _power_w(self, seen: Seen) -> float:
        raise NotImplementedError

    def _most_w(self, seen: Seen) -> float:
        """What may flow although it is above the limit."""
        raise NotImplementedError

    def _nothing_left(self, seen: Seen, own_w: float) -> Excuse | None:
        """Why nothing more can be done, but for what has just begun by itself."""
        raise NotImplementedError


JUMPED = "what nobody controls has just jumped"
JUMP_SOURCE = "bars: a step in the load, 3 ticks and the device's own delay"


class ImportLimit(_SiteLimit):
    """I2: the mean import of a minute within the limit, 50 W or 2 % above at most.

    Excused while what nobody controls needs more, and what can be controlled takes nothing or its guaranteed minimum.
    """

    name = "I2"
    side = "import"
    JUMP = Excuse("I2", JUMPED, JUMP_SOURCE)
    HEEDLESS = Excuse(
        "I2", "a car or a locked heat pump does not follow, and nobody can know that yet", "F13: found out after 30 s"
    )
    NOTHING_LEFT = Excuse("I2", "what can be controlled takes nothing, or what is guaranteed", "I2, unless; I4")
    GIVEN_UP = Excuse("I2", "who did not follow obeys again, and was not tried again yet", "F13: tried each 5 min")
    ABOVE = Excuse("I2", "what nobody controls and what is guaranteed need more", "I2, unless; I4")

    def __init__(self, site: Site, bounds: Bounds) -> None:
        super().__init__(site, bounds)
        self._minimum_w = guaranteed_w(site)
        self._drew: dict[str, float] = {}
        self._deaf_s: dict[str, float] = {}  # when each last did not obey
        self._tried_s: dict[str, float] = {}  # until when it was waited for its being tried again
        self._stood: dict[str, tuple[int, float]] = {}  # the state of what is switched, and since when
        self._cars: dict[str, ChargerFact] = {}  # a step before
        self._declines = Lasting()  # each car that takes nothing of an offer that stands
        self._woke_s: dict[str, float] = {}

    def _left_w(self, seen: Seen) -> float:
        """What begins by itself, like any other load."""
        return self._switched_on_w(seen) + sum([self._woken_w(seen, car) for car in seen.facts.chargers])

    def _woken_w(self, seen: Seen, car: ChargerFact) -> float:
        """A car that has taken nothing of an offer for a while takes it."""
        key, before = car.resource.id, self._cars.get(car.resource.id, car)
        self._cars[key] = car
        obeys, stands = before.obeys and car.obeys, 0.0 < car.offered_a <= before.offered_a and car.state != "A"
        if stands and car.power_w > JUMP_W and self._declines.for_s(key, stands, seen.at_s) >= OWN_HANDS_S:
            self._woke_s[key] = seen.at_s
        declines = stands and car.plug_ins == before.plug_ins and car.power_w <= JUMP_W
        self._declines.for_s(key, declines, seen.at_s)
        wakes = stands and seen.at_s - self._woke_s.get(key, float("-inf")) <= seen.facts.slowest_s
        return max(0.0, car.power_w - before.power_w) if wakes and obeys else 0.0

    def _switched_on_w(self, seen: Seen) -> float:
        """What may have run for a while starts when its own thermostat says so."""
        before, switched = self._drew, seen.facts.switched
        self._drew = {part.resource.id: part.power_w for part in switched}
        for part in switched:
            if self._stood.get(part.resource.id, (None, 0.0))[0] != part.state:
                self._stood[part.resource.id] = (part.state, seen.at_s)
        free = [
            part for part in switched
            if part.obeys and part.may_run
            and seen.at_s - self._stood[part.resource.id][1] >= OWN_HANDS_S
        ]  # fmt: skip
        rises = [part.power_w - before.get(part.resource.id, part.power_w) for part in free]
        return sum([watts for watts in rises if watts > JUMP_W])

    def _power_w(self, seen: Seen) -> float:
        return seen.facts.grid_w

    def _most_w(self, seen: Seen) -> float:
        """What nobody controls, and the guaranteed minimum on top of it; without one what is left when nothing that can
        be controlled takes anything."""
        if not self._minimum_w:
            return seen.facts.grid_w - seen.facts.controlled_import_w + self._given_up_w(seen)
        return seen.facts.uncontrolled_w + self._given_up_w(seen) + self._minimum_w

    def _nothing_left(self, seen: Seen, own_w: float) -> Excuse | None:
        left_w = seen.facts.controlled_import_w - own_w - self._minimum_w - IDLE_W
        given_up_w = self._given_up_w(seen)
        return self.NOTHING_LEFT if left_w <= 0.0 else self.GIVEN_UP if left_w <= given_up_w else None

    def _given_up_w(self, seen: Seen) -> float:
        """What those take that obey again and were found out not to follow: they are tried again within 5 min (F13)."""
        given_up = seen.ineffective
        follow_s = TICKS * self._bounds.step_s + seen.facts.slowest_s
        taken_w = 0.0
        facts = seen.facts
        parts: tuple[ChargerFact | BatteryFact | SwitchedFact, ...] = (
            *facts.chargers, *facts.batteries, *facts.switched,
        )  # fmt: skip
        for part in parts:
            key = part.resource.id
            if not part.obeys:
                self._deaf_s[key] = seen.at_s
            elif key in given_up and seen.at_s - self._deaf_s.get(key, float("-inf")) < TRIED_AGAIN_S:
                self._tried_s[key] = seen.at_s
            tried = part.obeys and seen.at_s - self._tried_s.get(key, float("-inf")) < follow_s
            taken_w += max(0.0, part.power_w) if tried else 0.0
        return taken_w


class ExportLimit(_SiteLimit):
    """I3: likewise for the export; a site that may not export at all never shows 100 W for longer than 5 s.

    Excused is what roofs that nobody can bound, or that do not obey, give beyond what the house takes, and as long as
    the panels take after a consumer that stopped by itself: a car that is full or leaves, a boiler that is hot; or by
    our word, where an import limit leaves nothing for what it still draws once the panels are closed (device ramp).
    """

    name = "I3"
    side = "export"
    JUMP = Excuse("I3", JUMPED, JUMP_SOURCE)
    NOTHING_LEFT = Excuse("I3", "nothing gives that could give less", "I3: likewise, unless")
    ABOVE = Excuse("I3", "what nobody can bound gives more than the house takes", "I3: likewise, unless")
    RAMP = Excuse("I3", "the devices' ramp, three ticks and their own delay", "I3, device ramp")

    def __init__(self, site: Site, bounds: Bounds) -> None:
        super().__init__(site, bounds)
        self._bounded = frozenset(r.id for r in site.of(Role.PV) if r.controls)
        self._drew: dict[str, tuple[float, int | None]] = {}  # W, and the state of what is switched
        self._grid_w = 0.0  # a step before
        self._over = Breaches()
        self._zero_told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Both measures."""
        found = super().observe(seen)
        limit = self._limit
        if limit is None or limit >= 50.0 or self._blind(seen):
            over_w, excuse = 0.0, None
        else:
            over_w = -seen.facts.grid_w - IDLE_W
            excuse = self.ABOVE if 0.0 < over_w <= max(0.0, self._most_w(seen)) else None
        lasts = False
        if over_w > 0.0:
            lasts = self._over.broken(
                "zero", seen.at_s, 5.0, seen.excused,
                excuse=excuse, grace=self.RAMP, grace_s=self._bounds.lag_s, amount=over_w,
            )  # fmt: skip
        else:
            self._over.end("zero")
        if self._zero_told.once("zero", lasts):
            exported = f"{-seen.facts.grid_w:.0f} W"
            found.append(Violation(self.name, seen.at_s, "no export above 100 W for 5 s", exported, seen.words()))
        return found

    def _left_w(self, seen: Seen) -> float:
        before, volts = self._drew, seen.facts.voltage_v
        cars, switched = seen.facts.chargers, seen.facts.switched
        self._drew = {c.resource.id: (c.power_w, None) for c in cars} | {
            s.resource.id: (s.power_w, s.state) for s in switched
        }
        less_w = {
            key: before[key][0] - power_w for key, (power_w, state) in self._drew.items()
            if key in before and state == before[key][1] and before[key][0] - power_w > JUMP_W
        }  # fmt: skip
        most_w, grid_w = seen.limit_w("import", margin_s=float("-inf")), self._grid_w  # kept to as soon as it is known
        self._grid_w = seen.facts.grid_w
        if not less_w:
            return 0.0
        # a car that follows its offer takes it as a whole
        followed = {
            c.resource.id for c in cars
            if c.state != "A" and c.power_w >= c.offered_a * max(1, c.phases) * volts - JUMP_W
        }  # fmt: skip
        early_w = float("inf") if most_w is None else max(0.0, most_w - grid_w)
        told_w = sum([watts for key, watts in less_w.items() if key in followed])
        by_itself_w = sum([watts for key, watts in less_w.items() if key not in followed])
        return by_itself_w + max(0.0, told_w - early_w)  # so far the panels could be closed before it

    def _power_w(self, seen: Seen) -> float:
        return -seen.facts.grid_w

    def _most_w(self, seen: Seen) -> float:
        """What nobody can make less: of roofs without a bound and of what does not obey, beyond all that is taken."""
        facts = seen.facts
        roofs = [roof for roof in facts.roofs if not roof.obeys or roof.resource.id not in self._bounded]
        taken_w = facts.load_w + sum(part.power_w for part in facts.movers if part.power_w > 0.0 or not part.obeys)
        return -sum(roof.power_w for roof in roofs) - taken_w

    def _nothing_left(self, seen: Seen, own_w: float) -> Excuse | None:
        del own_w
        given_w = sum(-b.power_w for b in seen.facts.batteries if b.obeys and b.power_w < 0.0)
        bounded = [r for r in seen.facts.roofs if r.obeys and r.resource.id in self._bounded]
        return self.NOTHING_LEFT if given_w - sum(roof.power_w for roof in bounded) <= IDLE_W else None
