"""The car at the charging point: IEC 61851-1 states, plug-in times, battery."""

from collections import deque
from typing import Literal

from hw_sim.physics.calendar import Calendar
from hw_sim.physics.phases import Phases, spread
from hw_sim.specs import EvSpec, TripSpec
from hw_sim.truth import EvTruth

MIN_CURRENT_A = 6.0  # IEC 61851-1, table A.8: no smaller current can be signalled
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TAPER_PCT = 5.0

PilotState = Literal["A", "B", "C"]


class PlugTimes:
    """When the car leaves and comes, from local times."""

    def __init__(self, trips: tuple[TripSpec, ...], calendar: Calendar) -> None:
        self._trips = trips
        self._calendar = calendar

    def between(self, since_unix_s: float, until_unix_s: float) -> list[tuple[float, bool, float]]:
        """(Unix second, plugged afterwards, energy used on the way) in the half-open time (since, until], in order."""
        if not self._trips:
            return []
        found = []
        first = self._calendar.day_and_second(since_unix_s)[0] - 1
        last = self._calendar.day_and_second(until_unix_s)[0]
        for day in range(first, last + 1):
            weekday = _DAYS[(day + 3) % 7]  # 1970-01-01 was a Thursday
            for trip in self._trips:
                if weekday not in trip.days:
                    continue
                leave = self._calendar.unix_s(day, trip.leave)
                come = self._calendar.unix_s(day if trip.come > trip.leave else day + 1, trip.come)
                found.append((leave, False, 0.0))
                found.append((come, True, trip.energy_wh))
        return sorted(event for event in found if since_unix_s < event[0] <= until_unix_s)


class ChargingPoint:
    """Car, cable and contactor. The charger sets `offered_a` and `offered_phases`; the car does the rest.

    `offered_a` below 6 A means: no current offered. The car starts `wake_s` after the first offer and follows a
    changed offer `follow_s` later. `power_w` is positive: the car only takes. A current below the car's own minimum
    makes it stop.
    """

    def __init__(self, spec: EvSpec, calendar: Calendar) -> None:
        self.spec = spec
        self.offered_a = 0.0
        self.offered_phases: int = spec.phases
        self.state: PilotState = "B" if spec.plugged_at_start else "A"
        self.soc_wh = spec.capacity_wh * spec.soc_pct / 100.0
        self.current_a = 0.0
        self.power_w = 0.0
        self.session_wh = 0.0
        self.energy_wh = 0.0
        self.contactor_closures = 0
        self.contactor_switchings = 0
        self.target_pct = spec.target_soc_pct  # of this stay
        self.plug_ins = 1 if spec.plugged_at_start else 0
        self._times = PlugTimes(spec.trip, calendar)
        self._next_look_s = 0.0
        self._events: deque[tuple[float, bool, float]] = deque()
        self._awake_s = 0.0
        self._known_a = 0.0
        self._changes: deque[tuple[float, float]] = deque()

    @property
    def plugged(self) -> bool:
        """Whether a car is connected."""
        return self.state != "A"

    @property
    def contactor(self) -> bool:
        """Whether the contactor is closed."""
        return self.state == "C"

    @property
    def phases(self) -> int:
        """Phases that carry current when charging."""
        return min(self.offered_phases, self.spec.car_phases)

    @property
    def soc_pct(self) -> float:
        """The car's state of charge in percent."""
        return 100.0 * self.soc_wh / self.spec.capacity_wh

    @property
    def missing_wh(self) -> float:
        """What its battery still wants."""
        return max(0.0, self.spec.capacity_wh * self.target_pct / 100.0 - self.soc_wh)

    @property
    def full(self) -> bool:
        """Whether the car wants no more."""
        return self.missing_wh <= 1e-6

    @property
    def phases_w(self) -> Phases:
        """The power on each phase."""
        return spread(self.power_w, self.phases, self.spec.phase)

    def plug(self, used_wh: float = 0.0, soc_pct: float | None = None, wants_wh: float | None = None) -> None:
        """The car comes, having used `used_wh` since it left, or with `soc_pct`; it wants `wants_wh`, or its usual."""
        if self.plugged:
            return
        capacity = self.spec.capacity_wh
        self.soc_wh = max(0.0, self.soc_wh - used_wh) if soc_pct is None else capacity * soc_pct / 100.0
        self.target_pct = self.spec.target_soc_pct
        if wants_wh is not None:
            self.target_pct = min(100.0, 100.0 * (self.soc_wh + wants_wh) / capacity)
        self.state = "B"
        self.session_wh = 0.0
        self.plug_ins += 1

    def unplug(self) -> None:
        """The car leaves."""
        self._open("A")

    def _open(self, state: PilotState) -> None:
        self.contactor_switchings += int(self.state == "C")
        self.state = state
        self._rest()

    def _rest(self) -> None:
        self.current_a = 0.0
        self.power_w = 0.0
        self._awake_s = 0.0
        self._known_a = 0.0
        self._changes.clear()

    def _drive(self, dt_s: float, unix_s: float) -> None:
        if unix_s >= self._next_look_s:
            since = max(unix_s - dt_s, self._next_look_s)
            self._next_look_s = unix_s + 86400.0
            self._events.extend(self._times.between(since, self._next_look_s))
        while self._events and self._events[0][0] <= unix_s:
            _, comes, used_wh = self._events.popleft()
            if comes:
                self.plug(used_wh)
            else:
                self.unplug()

    def _follow(self, offered_a: float, unix_s: float) -> float:
        """The offer as the car has taken it in."""
        last = self._changes[-1][1] if self._changes else self._known_a
        if offered_a != last:
            self._changes.append((unix_s + self.spec.follow_s, offered_a))
        while self._changes and self._changes[0][0] <= unix_s + 1e-9:
            self._known_a = self._changes.popleft()[1]
        return self._known_a

    def step(self, dt_s: float, unix_s: float, voltages_v: Phases) -> None:
        """Moves on by `dt_s` to `unix_s`; the voltages are between phase and neutral, zero in the dark."""
        self._drive(dt_s, unix_s)
        if self.state == "A":
            return
        voltage_v = sum(voltages_v) / 3.0 if self.phases == 3 else voltages_v[self.spec.phase - 1]
        if voltage_v <= 0.0:
            self._open("B")
            return
        offered = self.offered_a if self.offered_a >= max(MIN_CURRENT_A, self.spec.car_min_a) else 0.0
        if self.state == "B":
            self._wait(dt_s, offered)
        if self.state == "C":
            self._charge(dt_s, unix_s, offered, voltage_v)

    def _wait(self, dt_s: float, offered_a: float) -> None:
        if offered_a == 0.0 or self.full:
            self._awake_s = 0.0
            return
        self._awake_s += dt_s
        if self._awake_s + 1e-9 >= self.spec.wake_s:
            self.state = "C"
            self.contactor_closures += 1
            self.contactor_switchings += 1
            self._known_a = offered_a
            self._changes.clear()

    def _charge(self, dt_s: float, unix_s: float, offered_a: float, voltage_v: float) -> None:
        known = self._follow(offered_a, unix_s)
        spec = self.spec
        if known < max(MIN_CURRENT_A, spec.car_min_a) or self.full:
            self._open("B")
            return
        hours = dt_s / 3600.0
        room_wh = self.missing_wh
        current = min(known, float(spec.car_max_a))
        if spec.ramp_a_per_s is not None:
            current = min(current, max(MIN_CURRENT_A, self.current_a + spec.ramp_a_per_s * dt_s))
        taper_wh = spec.capacity_wh * _TAPER_PCT / 100.0
        if room_wh < taper_wh:
            current = min(current, max(MIN_CURRENT_A, current * room_wh / taper_wh))
        power = self.phases * voltage_v * current
        if power * hours * spec.efficiency > room_wh:
            power = room_wh / spec.efficiency / hours
            current = power / (self.phases * voltage_v)
        self.current_a = current
        self.power_w = power
        self.soc_wh += power * hours * spec.efficiency
        self.session_wh += power * hours
        self.energy_wh += power * hours

    def truth(self) -> EvTruth:
        """What is the case now."""
        return EvTruth(
            self.power_w,
            self.phases_w,
            self.state,
            self.plugged,
            self.plugged and not self.full,
            self.missing_wh,
            self.soc_pct,
            self.current_a,
            self.offered_a,
            self.phases,
            self.energy_wh,
            self.session_wh,
            self.contactor_closures,
            self.contactor_switchings,
            self.plug_ins,
        )
