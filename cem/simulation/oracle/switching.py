"""Contactors, ramps and cars: what wears out, and what a car may be told."""

from cem.model.envelope import Rank
from cem.model.resource import Control
from cem.model.setpoint import Setpoint
from cem.model.site import Site
from cem.simulation.oracle.facts import ChargerFact
from cem.simulation.oracle.seen import Bounds, Seen, Told, Violation

DAY_S = 86400.0
LEAST_A = 6.0
"""IEC 61851-1: no smaller current can be signalled."""


class _Contactor:
    """What the judge remembers of one contactor, whatever happens to the gateway."""

    def __init__(self) -> None:
        self.closed = False
        self.since_s: float | None = None  # None: in this session it has not been switched yet
        self.plugged = False
        self.plug_ins = 0
        self.disturbed_s = float("-inf")  # when the device last did not obey
        self.closings: list[float] = []
        self.told_off: Rank | None = None  # by what rank it was last told to open
        self.was_told: float | None = None


class Switching:
    """I8: minimum times on and off, and at most 24 closings a day, over restarts of the gateway.

    Excused: protective opening (fuse, reserve, a limit, safe mode), the owner's own word, a car that comes, leaves or
    is full, and a device that does not obey.
    """

    name = "I8"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._contactors: dict[str, _Contactor] = {}

    def observe(self, seen: Seen) -> list[Violation]:
        """Every opening and closing."""
        return [found for charger in seen.facts.chargers for found in self._charger(seen, charger)]

    def _charger(self, seen: Seen, charger: ChargerFact) -> list[Violation]:
        mine = self._contactors.setdefault(charger.resource.id, _Contactor())
        if not charger.obeys:
            mine.disturbed_s = seen.at_s
        self._listen(seen, charger, mine)
        plugged, closed = charger.state != "A", charger.state == "C"
        another = charger.plug_ins != mine.plug_ins
        mine.plug_ins = charger.plug_ins
        if not plugged or not mine.plugged or another:  # a session begins or is over: what was before does not count
            mine.plugged, mine.closed, mine.since_s = plugged, closed, seen.at_s if closed else None
            return []
        if closed == mine.closed:
            return []
        held = None if mine.since_s is None else seen.at_s - mine.since_s
        mine.closed, mine.since_s = closed, seen.at_s
        if closed:
            return self._closed(seen, charger, mine, held)
        return self._opened(seen, charger, mine, held)

    @staticmethod
    def _listen(seen: Seen, charger: ChargerFact, mine: _Contactor) -> None:
        """Remembers why it was told to open: the car takes seconds, and by then the words may be others."""
        setpoint = seen.setpoint(charger.resource.id)
        value = setpoint.value if setpoint is not None else None
        if setpoint is not None and value == 0.0 and mine.was_told != 0.0:
            mine.told_off = Rank.SAFETY if seen.safe else setpoint.rank
        mine.was_told = value

    def _closed(self, seen: Seen, charger: ChargerFact, mine: _Contactor, held: float | None) -> list[Violation]:
        mine.closings = [*(at for at in mine.closings if at > seen.at_s - DAY_S), seen.at_s]
        found = []
        if len(mine.closings) > self._bounds.operations_per_day:
            allowed = f"{charger.resource.id}: {self._bounds.operations_per_day} closings a day"
            found.append(self._broken(seen, charger, allowed, f"{len(mine.closings)}"))
        early = held is not None and held < self._bounds.min_off_s - self._bounds.lag_s
        if early and not self._excused(seen, charger, mine, open_to_protection=False):
            found.append(
                self._broken(
                    seen, charger, f"{charger.resource.id}: off for {self._bounds.min_off_s:g} s", f"{held:.0f} s"
                )
            )
        return found

    def _opened(self, seen: Seen, charger: ChargerFact, mine: _Contactor, held: float | None) -> list[Violation]:
        early = held is not None and held < self._bounds.min_on_s - self._bounds.lag_s
        full = charger.offered_a >= LEAST_A  # the charger offers on: the car itself has stopped
        if not early or full or self._excused(seen, charger, mine, open_to_protection=True):
            return []
        return [
            self._broken(seen, charger, f"{charger.resource.id}: on for {self._bounds.min_on_s:g} s", f"{held:.0f} s")
        ]

    @staticmethod
    def _excused(seen: Seen, charger: ChargerFact, mine: _Contactor, *, open_to_protection: bool) -> bool:
        setpoint = seen.setpoint(charger.resource.id)
        if seen.at_s - mine.disturbed_s < 60.0 or not seen.runs or setpoint is None or setpoint.value is None:
            return True  # whatever switches now, it is not the gateway
        if not open_to_protection:
            return setpoint.rank is Rank.USER
        return mine.told_off is not None and mine.told_off <= Rank.USER

    def _broken(self, seen: Seen, charger: ChargerFact, allowed: str, what: str) -> Violation:
        return Violation(self.name, seen.at_s, allowed, what, seen.words(charger.resource.id))


class Ramp:
    """I9: where the site asks for a ramp, a battery is not told to move faster, protection excepted."""

    name = "I9"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        self._ramp = site.policy.ramp_w_per_s
        self._bounds = bounds
        self._before: dict[str, tuple[float, float]] = {}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """Each new set point of a battery against the former one."""
        found: list[Violation] = []
        if self._ramp is None or seen.decision is None or seen.inputs is None or not seen.runs:
            self._before.clear()
            return found
        now_s = seen.inputs.now.mono_s
        for setpoint in seen.decision.setpoints:
            if setpoint.control is not Control.BATTERY_SETPOINT_W or setpoint.value is None:
                continue
            before = self._before.get(setpoint.resource_id)
            self._before[setpoint.resource_id] = (now_s, setpoint.value)
            if before is None or now_s <= before[0] or setpoint.rank <= Rank.OBLIGATION or seen.safe:
                continue
            moved, most = abs(setpoint.value - before[1]), self._ramp * (now_s - before[0])
            if self._told.once(setpoint.resource_id, moved > 1.1 * most + 25.0):
                allowed = f"{setpoint.resource_id}: {most:.0f} W in {now_s - before[0]:.1f} s"
                words = seen.words(setpoint.resource_id)
                found.append(Violation(self.name, seen.at_s, allowed, f"{moved:.0f} W", words))
        return found


class Car:
    """I10: a current is 0 or between 6 A and the charger's largest; never a step up while no car is there."""

    name = "I10"

    def __init__(self, site: Site, bounds: Bounds) -> None:
        del site
        self._bounds = bounds
        self._before: dict[str, float] = {}
        self._away_s: dict[str, float] = {}
        self._told = Told()

    def observe(self, seen: Seen) -> list[Violation]:
        """The pilot's true current, and what was decided."""
        found = []
        for charger in seen.facts.chargers:
            key, amps = charger.resource.id, charger.offered_a
            most = charger.resource.ratings.max_current_a or float("inf")
            fits = amps == 0.0 or LEAST_A <= amps <= most
            setpoint = seen.setpoint(key, Control.EV_LIMIT_A)
            words = seen.words(key)
            if self._told.once(f"{key} offer", not fits):
                found.append(Violation(self.name, seen.at_s, f"{key}: 0 or 6 to {most:g} A", f"{amps:g} A", words))
            value = setpoint.value if setpoint is not None else None
            if self._told.once(f"{key} decided", value is not None and not (value == 0.0 or LEAST_A <= value <= most)):
                found.append(
                    Violation(self.name, seen.at_s, f"{key}: 0 or 6 to {most:g} A", f"{value:g} A told", words)
                )
            if self._told.once(f"{key} away", self._stepped_up(seen, charger, setpoint)):
                found.append(Violation(self.name, seen.at_s, f"{key}: no step up without a car", f"{value} A", words))
        return found

    def _stepped_up(self, seen: Seen, charger: ChargerFact, setpoint: Setpoint | None) -> bool:
        """Whether a higher current was told although the car had been gone for longer than anybody takes to notice."""
        key = charger.resource.id
        if charger.state != "A" or not charger.obeys:
            self._away_s.pop(key, None)
        away = seen.at_s - self._away_s.setdefault(key, seen.at_s) if charger.state == "A" else 0.0
        value = setpoint.value if setpoint is not None else None
        before = self._before.get(key)
        if value is not None:
            self._before[key] = value
        return away > 2 * self._bounds.lag_s and value is not None and before is not None and value > before
