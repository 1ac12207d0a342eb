"""What the wires and the grid may see: fuse, import, export, the guaranteed minimum, the most restrictive limit."""

from collections import deque

from cem.model.envelope import Rank
from cem.model.resource import Resource, Role
from cem.model.setpoint import WriteState
from cem.model.site import GuaranteedMinimum, Site
from cem.simulation.oracle.facts import LOCKED, ChargerFact, SwitchedFact
from cem.simulation.oracle.seen import SAFE_WITHIN_S, TRIED_AGAIN_S, Bounds, Lasting, Seen, Told, Violation, Window

PHASES = ("L1", "L2", "L3")
BANDS = {phase: ((1.1, 60.0, f"{phase}>1.1"), (1.45, 5.0, f"{phase}>1.45")) for phase in PHASES}
"""By how much above the fuse for how long, and the name of that."""
IDLE_W = 100.0
"""What still counts as nothing."""
EACH_CONSUMER_W = 4200.0
"""Paragraph 14a EnWG: what each controllable consumer may always draw (BNetzA BK6-22-300)."""
SIMULTANEITY = {1: 1.0, 2: 0.8, 3: 0.75, 4: 0.7, 5: 0.65, 6: 0.6, 7: 0.55, 8: 0.5}
"""The factor of the same ruling by the number of controllable consumers; 0.45 from nine on."""


class Fuse:
    """I1: no phase above its fuse for longer than the fuse stands.

    Excused while what nobody controls is above by itself, if every controllable consumer on that phase then is at its
    least within 5 s; while the meter lies; while it has been silent for no longer than safe mode may take (F1); and
    while no gateway runs that could do something.
    """

    name = "I1"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._means = [Window(600.0) for _ in range(3)]
        self._over = Lasting()
        self._silent = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Every phase by three measures: ten minutes, one minute, five seconds."""
        fuse_a = self._site.connection.fuse_a
        silent_s = self._silent.for_s("meter", seen.facts.meter == "silent", seen.at_s)
        blind = seen.facts.meter == "silent" and silent_s <= self._bounds.meter_stale_s + SAFE_WITHIN_S
        blind = blind or seen.facts.meter == "lies"
        found = []
        for index, (phase, phase_w) in enumerate(zip(PHASES, seen.facts.phases_w, strict=False)):
            amps = abs(phase_w) / seen.facts.voltage_v
            mean = self._means[index].add(seen.at_s, amps)
            excused = blind or self._excused(seen, index, fuse_a)
            for share, seconds, key in BANDS[phase]:
                lasts = self._over.for_s(key, amps > share * fuse_a and not excused, seen.at_s)
                if self._told.once(key, lasts > seconds + self._bounds.lag_s):
                    found.append(
                        self._broken(seen, f"{phase}: not above {share * fuse_a:.1f} A for {seconds:.0f} s", amps)
                    )
            if excused or not seen.runs:
                self._means[index].clear()
            elif self._told.once(phase, mean is not None and mean > 1.01 * fuse_a):
                assert mean is not None
                found.append(self._broken(seen, f"{phase}: {fuse_a:g} A over ten minutes", mean))
        return found

    def _excused(self, seen: Seen, index: int, fuse_a: float) -> bool:
        facts = seen.facts
        if not seen.runs or seen.runs_for_s() < 15.0:
            return True
        free = facts.phases_w[index]
        at_least, safe = True, facts.meter == "silent"
        for part in facts.movers:
            if not part.obeys or (safe and isinstance(part, SwitchedFact)):
                continue  # safe mode leaves heat pumps and loads in their own hands, a car its smallest current
            phases = part.phases if isinstance(part, ChargerFact) else part.resource.ratings.phases
            share, place = part.power_w / max(1, phases), part.resource.ratings.phase
            free -= share if phases == 3 or index == (place or 1) - 1 else 0.0
            least_a = part.resource.ratings.min_current_a if safe and isinstance(part, ChargerFact) else 0.0
            elsewhere = phases == 1 and place not in {None, index + 1}
            at_least = at_least and (elsewhere or share <= least_a * facts.voltage_v + IDLE_W)
        return abs(free) / facts.voltage_v > fuse_a and at_least

    def _broken(self, seen: Seen, allowed: str, amps: float) -> Violation:
        return Violation(self.name, seen.at_s, allowed, f"{amps:.1f} A", seen.words())


JUMP_W = 100.0
"""What nobody controls jumps when it changes by more than this in one step."""
OWN_HANDS_S = 60.0
"""A heat pump or a load that was let go, or asked for more, for a shorter time starts because of that."""
TICKS = 3.0
"""In so many, and the devices' own time, a jump must have been made up for."""
FOUND_OUT_S = 30.0
"""So long what takes a word and does not follow it may count as following (F13)."""


class _SiteLimit:
    """One side of the connection point against the limits that really hold.

    Excused is a jump of what nobody controls, as far as it reaches, for as long as nobody could have made up for it. A
    meter that has fallen silent does not show it: so long, and no longer than its last word may be acted on (I12),
    nobody could. Nor is it known of a car that does not obey that it will not follow a new limit: until it is found
    out, or must have been (F13), and those that make up for it have had their time, its power is excused.
    """

    name = ""
    side = ""

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._bounds = bounds
        self._meters = [meter.id for meter in site.of(Role.GRID)][:1]
        self._silent_s = float("-inf")  # when the meter was last silent
        self._looked_s: float | None = None
        self._mean = Window(60.0)
        self._told = Told()
        self._limit: float | None = None
        self._uncontrolled_w: float | None = None
        self._jumps: deque[tuple[float, float, float]] = deque()  # when, by how much, and how much of it by themselves
        self._under = Lasting()
        self._heedless = Lasting()
        self._found_out = Lasting()

    def observe(self, seen: Seen) -> list[Violation]:
        """The mean of the last minute that was under one limit throughout."""
        limit = seen.limit_w(self.side)
        jumped_w, own_w = self._jumped_w(seen)
        jumped_w += self._unheeding_w(seen, limit)
        if limit is None or limit != self._limit or _blind(seen):
            self._mean.clear()
        self._limit = limit
        if limit is None or _blind(seen):
            self._told.once(self.side, broken=False)
            return []
        power = self._power_w(seen)
        kept = limit if self._excused(seen, limit, own_w) else max(limit, power - jumped_w)
        # what lies above all that may be taken counts, not the whole of it
        above = limit + max(0.0, power - jumped_w - max(limit, self._most_w(seen)))
        mean = self._mean.add(seen.at_s, min(power, kept, above))
        most = limit + max(50.0, 0.02 * limit)
        if self._told.once(self.side, mean is not None and mean > most):
            seen_w = f"{mean:.0f} W {self.side} over a minute; uncontrolled {seen.facts.uncontrolled_w:.0f} W"
            return [Violation(self.name, seen.at_s, f"{limit:.0f} W", seen_w, seen.words())]
        return []

    def _jumped_w(self, seen: Seen) -> tuple[float, float]:
        """By how much the load or the sun, or what does not obey, has just jumped towards the limit; and of that, by
        how much consumers that obey have, by themselves."""
        sign = 1.0 if self.side == "import" else -1.0
        before, self._uncontrolled_w = self._uncontrolled_w, sign * seen.facts.uncontrolled_w
        own_w = self._left_w(seen)
        rise_w = own_w + max(0.0, self._uncontrolled_w - before if before is not None else 0.0)
        if rise_w > JUMP_W:
            self._jumps.append((seen.at_s, rise_w, own_w))
        passed_s = 0.0 if self._looked_s is None else seen.at_s - self._looked_s
        self._looked_s = seen.at_s
        if self._unseen(seen):
            self._jumps = deque((at_s + passed_s, watts, own_w) for at_s, watts, own_w in self._jumps)
        takes_s = TICKS * self._bounds.step_s + seen.facts.slowest_s
        while self._jumps and seen.at_s - self._jumps[0][0] >= takes_s:
            self._jumps.popleft()
        return sum(watts for _, watts, _ in self._jumps), sum(own_w for _, _, own_w in self._jumps)

    def _unheeding_w(self, seen: Seen, limit: float | None) -> float:
        """What cars take that do not follow, as long as nobody can know that, or make up for it."""
        under_s = self._under.for_s(f"{limit}", limit is not None, seen.at_s)
        follow_s = TICKS * self._bounds.step_s + seen.facts.slowest_s
        outcomes = () if seen.inputs is None else seen.inputs.outcomes
        found_out = {outcome.resource_id for outcome in outcomes if outcome.state is WriteState.NOT_EFFECTIVE}
        taken_w = 0.0
        for car in seen.facts.chargers if self.side == "import" else ():
            key = car.resource.id
            heedless_s = self._heedless.for_s(key, not car.obeys, seen.at_s)
            known_s = self._found_out.for_s(key, key in found_out, seen.at_s)
            hidden = min(under_s, heedless_s) < seen.facts.slowest_s + FOUND_OUT_S + follow_s and known_s < follow_s
            taken_w += car.power_w if hidden and not car.obeys else 0.0
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

    def _left_w(self, seen: Seen) -> float:
        """By how much a consumer has just moved towards the limit by itself, although it obeys."""
        raise NotImplementedError

    def _power_w(self, seen: Seen) -> float:
        raise NotImplementedError

    def _most_w(self, seen: Seen) -> float:
        """What may flow although it is above the limit."""
        del seen
        return float("-inf")

    def _excused(self, seen: Seen, limit: float, own_w: float) -> bool:
        raise NotImplementedError


def _blind(seen: Seen) -> bool:
    """Nobody could know better: no gateway runs, or its meter tells it what is not so."""
    return not seen.runs or seen.facts.meter == "lies"


class ImportLimit(_SiteLimit):
    """I2: the mean import of a minute within the limit, 50 W or 2 % above at most.

    Excused while what nobody controls needs more, and what can be controlled takes nothing or its guaranteed minimum. A
    car that was found not to follow is tried again after five minutes (F13): so long nobody controls it either.
    """

    name = "I2"
    side = "import"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        super().__init__(site, bounds)
        self._minimum_w = guaranteed_w(site)
        self._drew: dict[str, float] = {}
        self._stood: dict[str, tuple[int, float]] = {}  # the state of what is switched, and since when
        self._deaf_s: dict[str, float] = {}  # when each car last did not obey

    def _given_up_w(self, seen: Seen) -> float:
        """What cars take that could be told again, and are not yet."""
        self._deaf_s |= {car.resource.id: seen.at_s for car in seen.facts.chargers if not car.obeys}
        untold = {o.resource_id for o in seen.outcomes if o.state is WriteState.NOT_EFFECTIVE}
        return sum(
            car.power_w for car in seen.facts.chargers
            if car.obeys and car.resource.id in untold
            and seen.at_s - self._deaf_s.get(car.resource.id, float("-inf")) < TRIED_AGAIN_S
        )  # fmt: skip

    def _left_w(self, seen: Seen) -> float:
        """What may have run for a while starts when its own thermostat says so, like any other load."""
        before, switched = self._drew, seen.facts.switched
        self._drew = {part.resource.id: part.power_w for part in switched}
        for part in switched:
            if self._stood.get(part.resource.id, (None, 0.0))[0] != part.state:
                self._stood[part.resource.id] = (part.state, seen.at_s)
        free = [
            part for part in switched
            if part.obeys and part.state > (LOCKED if part.resource.role is Role.HEAT_PUMP else 0)
            and seen.at_s - self._stood[part.resource.id][1] >= OWN_HANDS_S
        ]  # fmt: skip
        rises = [part.power_w - before.get(part.resource.id, part.power_w) for part in free]
        return sum(watts for watts in rises if watts > JUMP_W)

    def _power_w(self, seen: Seen) -> float:
        return seen.facts.grid_w

    def _most_w(self, seen: Seen) -> float:
        """What nobody controls, and the guaranteed minimum on top of it."""
        if not self._minimum_w:
            return float("-inf")
        return seen.facts.uncontrolled_w + self._given_up_w(seen) + self._minimum_w

    def _excused(self, seen: Seen, limit: float, own_w: float) -> bool:
        del limit  # whatever it is: nothing more can be taken away, but for what has just begun by itself
        controlled_w = seen.facts.controlled_import_w - self._given_up_w(seen)
        return controlled_w - own_w <= self._minimum_w + IDLE_W


class ExportLimit(_SiteLimit):
    """I3: likewise for the export; a site that may not export at all never shows 100 W for longer than 5 s.

    Excused while the inverter does not obey, while a roof that nobody can bound gives more by itself, and as long as
    the panels take after a consumer that stopped by itself: a car that is full or leaves, a boiler that is hot; or by
    our word, where an import limit leaves nothing for what it still draws once the panels are closed (device ramp).
    """

    name = "I3"
    side = "export"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        super().__init__(site, bounds)
        self._bounded = frozenset(r.id for r in site.of(Role.PV) if r.controls)
        self._drew: dict[str, tuple[float, int | None]] = {}  # W, and the state of what is switched
        self._grid_w = 0.0  # a step before
        self._over = Lasting()
        self._zero_told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Both measures."""
        found = super().observe(seen)
        limit = seen.limit_w("export", margin_s=0.0)
        over = limit is not None and limit < 50.0 and not _blind(seen) and not self._excused(seen, 0.0, 0.0)
        over = over and -seen.facts.grid_w > 100.0
        lasts = self._over.for_s("zero", over, seen.at_s)
        if self._zero_told.once("zero", lasts > 5.0 + self._bounds.lag_s):
            exported = f"{-seen.facts.grid_w:.0f} W for {lasts:.0f} s"
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
        # a car that follows its offer takes it as a whole
        followed = {
            c.resource.id for c in cars
            if c.state != "A" and c.power_w >= c.offered_a * max(1, c.phases) * volts - JUMP_W
        }  # fmt: skip
        most_w, grid_w = seen.limit_w("import"), self._grid_w
        self._grid_w = seen.facts.grid_w
        early_w = float("inf") if most_w is None else most_w - grid_w  # so far the panels could be closed before it
        return sum(watts for key, watts in less_w.items() if key not in followed or watts > early_w)

    def _power_w(self, seen: Seen) -> float:
        return -seen.facts.grid_w

    def _excused(self, seen: Seen, limit: float, own_w: float) -> bool:
        del own_w
        stubborn = any(not roof.obeys or roof.resource.id not in self._bounded for roof in seen.facts.roofs)
        gives = -sum(r.power_w for r in seen.facts.roofs) > limit
        idle = all(b.power_w > -IDLE_W for b in seen.facts.batteries if b.obeys)
        free = any(not b.obeys and b.power_w < -IDLE_W for b in seen.facts.batteries)
        return free or (stubborn and gives and idle)


def guaranteed_w(site: Site) -> float:
    """What a limit always leaves to the controllable consumers; 0: the site has no such policy."""
    if site.policy.guaranteed_minimum is GuaranteedMinimum.NONE:
        return 0.0
    heat_w = sum(r.ratings.max_power_w or 0.0 for r in site.of(Role.HEAT_PUMP) if r.controls)
    cars = [r for r in site.of(Role.EV) if r.controls and _most_w(r) > EACH_CONSUMER_W]
    stores = [b for b in site.of(Role.BATTERY) if b.controls and site.battery_policy(b.id).grid_charge]
    stores = [b for b in stores if b.ratings.max_charge_w is None or b.ratings.max_charge_w > EACH_CONSUMER_W]
    count = len(cars) + len(stores) + (1 if heat_w > EACH_CONSUMER_W else 0)
    if count == 0:
        return 0.0
    first_w = 0.4 * heat_w if heat_w > 11_000.0 else EACH_CONSUMER_W
    return first_w + (count - 1) * SIMULTANEITY.get(count, 0.45) * EACH_CONSUMER_W


def _most_w(charger: Resource) -> float:
    """What a charging point can give; without a bound where it does not tell."""
    ratings = charger.ratings
    return float("inf") if ratings.max_current_a is None else ratings.max_current_a * 230.0 * ratings.phases


class GuaranteedLeast:
    """I4: under a limit the controllable consumers are still offered what the law guarantees them."""

    name = "I4"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._least_w = guaranteed_w(site)
        self._bounds = bounds
        self._short = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """What those that wait for more are offered, while nothing but the limit holds them back."""
        if not self._least_w:
            return []
        facts = seen.facts
        waiting = [c for c in facts.chargers if c.obeys and c.state in {"B", "C"} and self._held_back(seen, c)]
        offered = sum(c.offered_a * max(1, c.phases) * facts.voltage_v for c in facts.chargers)
        offered += sum(max(0.0, b.power_w) for b in facts.batteries)
        steps = sum(max(1, c.phases) * facts.voltage_v for c in waiting)
        could = sum((c.resource.ratings.max_current_a or 0.0) * max(1, c.phases) * facts.voltage_v for c in waiting)
        # a heat pump that is not locked takes what it wants; a locked one is there as a whole or not at all
        free_w = sum(p.power_w for p in facts.heat_pumps if p.state != LOCKED)
        offered, could = offered + free_w, could + free_w
        wanted = min(self._least_w, could)
        locked = [p for p in facts.heat_pumps if p.well and p.state == LOCKED and self._held_back(seen, p)]
        fits = any(offered + (p.resource.ratings.max_power_w or 0.0) <= self._least_w - IDLE_W for p in locked)
        scant = bool(waiting) and offered < wanted - steps - IDLE_W
        short = (scant or fits) and facts.meter == "ok" and seen.runs_for_s() > 60.0
        wanted = self._least_w if fits else wanted
        lasts = self._short.for_s("short", short, seen.at_s)
        if not self._told.once("short", lasts > self._bounds.min_off_s + self._bounds.settle_s):
            return []
        return [Violation(self.name, seen.at_s, f"at least {wanted:.0f} W", f"{offered:.0f} W offered", seen.words())]

    @staticmethod
    def _held_back(seen: Seen, part: ChargerFact | SwitchedFact) -> bool:
        setpoint = seen.setpoint(part.resource.id)
        return setpoint is not None and setpoint.rank is Rank.OBLIGATION and bool(seen.imports)


class MostRestrictive:
    """I16: the band that was decided is never wider than the strictest of all limits that really hold."""

    name = "I16"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._wide = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Both edges."""
        if seen.decision is None or not seen.runs:
            return []
        band = seen.decision.band
        found = []
        if not seen.facts.grid_there:  # in an island they are suspended
            return []
        for side, edge in (("import", band.max_w), ("export", -band.min_w)):
            limit = seen.limit_w(side)
            wide = limit is not None and edge > limit + 1.0
            lasts = self._wide.for_s(side, wide, seen.at_s)
            if self._told.once(side, wide and lasts >= 2.0 * self._bounds.lag_s):
                found.append(
                    Violation(
                        self.name, seen.at_s, f"{side} at most {limit:.0f} W", f"{edge:.0f} W allowed", seen.words()
                    )
                )
        return found
