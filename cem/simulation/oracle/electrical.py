"""What the wires may carry, and what is guaranteed: fuse, guaranteed minimum, the most restrictive limit."""

from collections.abc import Sequence

from cem.model.envelope import Rank
from cem.model.resource import Resource, Role
from cem.model.site import GuaranteedMinimum, Site
from cem.simulation.oracle.excuses import Breaches, Excuse
from cem.simulation.oracle.facts import LOCKED, BatteryFact, ChargerFact, Facts, SwitchedFact
from cem.simulation.oracle.seen import SAFE_WITHIN_S, Bounds, Lasting, Seen, Told, Violation, Window

PHASES = ("L1", "L2", "L3")
BANDS = {phase: ((1.1, 60.0, f"{phase}>1.1"), (1.45, 5.0, f"{phase}>1.45")) for phase in PHASES}
"""By how much above the fuse for how long, and the name of that."""
IDLE_W = 100.0
"""What still counts as nothing."""
EACH_CONSUMER_W = 4200.0
"""Paragraph 14a EnWG: what each controllable consumer may always draw (BNetzA BK6-22-300)."""
SIMULTANEITY = {1: 1.0, 2: 0.8, 3: 0.75, 4: 0.7, 5: 0.65, 6: 0.6, 7: 0.55, 8: 0.5}
"""The factor of the same ruling by the number of controllable consumers; 0.45 from nine on."""


Mover = BatteryFact | ChargerFact | SwitchedFact


def _phases(part: Mover) -> int:
    """On how many phases it draws now."""
    return part.phases if isinstance(part, ChargerFact) else part.resource.ratings.phases


def _steered(facts: Facts) -> list[Mover]:
    """What can be made to take more or less: safe mode leaves heat pumps and loads in their own hands."""
    safe = facts.meter == "silent"
    return [part for part in facts.movers if part.obeys and not (safe and isinstance(part, SwitchedFact))]


def _free_w(facts: Facts, steered: Sequence[Mover]) -> list[float]:
    """What flows on each phase without those."""
    free_w = [*facts.phases_w]
    for part in steered:
        phases = _phases(part)
        share_w, place = part.power_w / max(1, phases), (part.resource.ratings.phase or 1) - 1
        if phases == 3:
            free_w = [watts - share_w for watts in free_w]
        elif place < len(free_w):
            free_w[place] -= share_w
    return free_w


def _at_least(facts: Facts, steered: Sequence[Mover], index: int) -> bool:
    """Whether each of them takes nothing on that phase; in safe mode a car has its smallest current."""
    for part in steered:
        ratings, phases = part.resource.ratings, _phases(part)
        elsewhere = phases == 1 and ratings.phase not in {None, index + 1}
        least_a = ratings.min_current_a if facts.meter == "silent" and isinstance(part, ChargerFact) else 0.0
        if not elsewhere and part.power_w / max(1, phases) > least_a * facts.voltage_v + IDLE_W:
            return False
    return True


class Fuse:
    """I1: no phase above its fuse for longer than the fuse stands.

    Excused while what nobody controls is above by itself, if every controllable consumer on that phase then is at its
    least within 5 s (the lag of long ticks); while the meter lies; while it has been silent for no longer than safe
    mode may take (F1); and while no gateway runs that could do something. A step that is excused counts in the mean of
    ten minutes as one at the fuse, and what is drawn breaks that mean only while something that could take less on that
    phase still takes more than its least: what raised it before has been answered.
    """

    name = "I1"
    ABOVE = Excuse("I1", "what nobody controls is above the fuse, and the rest at its least", "I1, unless", "A")
    LIES = Excuse("I1", "the meter tells what is not so", "F2 to F6, F15, F16", "A")
    SILENT = Excuse("I1", "the meter has just fallen silent", "F1: safe mode within 60 s", "A")
    START = Excuse("I1", "no gateway runs, or only just", "reliability paper, watchdog chain: a start of 8 s", "A")
    ROUND = Excuse("I1", "a mean of ten minutes is less than 1 % above the fuse", "none", "A")
    ANSWERED = Excuse("I1", "a mean of ten minutes is above the fuse, and the rest at its least", "I1, unless", "A")
    LAG = Excuse("I1", "three ticks and the devices' own delay", "bars: a step in the load", "A")
    STARTS_S = 15.0

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._site = site
        self._bounds = bounds
        self._means = [Window(600.0) for _ in range(3)]
        self._over = Breaches()
        self._silent = Lasting()
        self._alone = Lasting()
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Every phase by three measures: ten minutes, one minute, five seconds."""
        fuse_a = self._site.connection.fuse_a
        blind = self._blind(seen)
        steered = _steered(seen.facts)
        free_w = _free_w(seen.facts, steered)
        found = []
        for index, (phase, phase_w) in enumerate(zip(PHASES, seen.facts.phases_w, strict=False)):
            amps = abs(phase_w) / seen.facts.voltage_v
            excuse = blind or self._excuse(seen, index, free_w[index], steered)
            for share, seconds, key in BANDS[phase]:
                above_a, lasts = amps - share * fuse_a, False
                if above_a > 0.0:
                    lasts = self._over.broken(
                        key, seen.at_s, seconds, seen.excused,
                        excuse=excuse, grace=self.LAG, grace_s=self._bounds.lag_s, amount=above_a,
                    )  # fmt: skip
                else:
                    self._over.end(key)
                if self._told.once(key, lasts):
                    found.append(
                        self._broken(seen, f"{phase}: not above {share * fuse_a:.1f} A for {seconds:.0f} s", amps)
                    )
            mean = self._means[index].add(seen.at_s, min(amps, fuse_a) if excuse is not None else amps)
            if mean is not None and fuse_a < mean <= 1.01 * fuse_a:
                seen.excused.take(self.ROUND, seen.at_s, mean - fuse_a)
            if mean is not None and self._told.once(phase, self._mean_broken(seen, index, mean, steered)):
                found.append(self._broken(seen, f"{phase}: {fuse_a:g} A over ten minutes", mean))
        return found

    def _mean_broken(self, seen: Seen, index: int, mean: float, steered: Sequence[Mover]) -> bool:
        fuse_a = self._site.connection.fuse_a
        if mean <= 1.01 * fuse_a:
            return False
        if seen.facts.phases_w[index] > 0.0 and _at_least(seen.facts, steered, index):
            seen.excused.take(self.ANSWERED, seen.at_s, mean - fuse_a)
            return False
        return True

    def _blind(self, seen: Seen) -> Excuse | None:
        """Why nobody could know better, whatever the phase."""
        silent_s = self._silent.for_s("meter", seen.facts.meter == "silent", seen.at_s)
        if not seen.runs or seen.runs_for_s() < self.STARTS_S:
            return self.START
        if seen.facts.meter == "lies":
            return self.LIES
        silent = seen.facts.meter == "silent" and silent_s <= self._bounds.meter_stale_s + SAFE_WITHIN_S
        return self.SILENT if silent else None

    def _excuse(self, seen: Seen, index: int, free_w: float, steered: Sequence[Mover]) -> Excuse | None:
        alone = abs(free_w) / seen.facts.voltage_v > self._site.connection.fuse_a
        alone_s = self._alone.for_s(PHASES[index], alone, seen.at_s)
        if alone and (alone_s < self._bounds.lag_s or _at_least(seen.facts, steered, index)):
            return self.ABOVE
        return None

    def _broken(self, seen: Seen, allowed: str, amps: float) -> Violation:
        return Violation(self.name, seen.at_s, allowed, f"{amps:.1f} A", seen.words())


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
    LAG = Excuse("I16", "a limit is decided on up to three ticks late", "bars: 3 ticks")

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
            if wide and lasts < self._bounds.lag_s:
                seen.excused.take(self.LAG, seen.at_s, edge - (limit or 0.0))
            if self._told.once(side, wide and lasts >= self._bounds.lag_s):
                found.append(
                    Violation(
                        self.name, seen.at_s, f"{side} at most {limit:.0f} W", f"{edge:.0f} W allowed", seen.words()
                    )
                )
        return found
