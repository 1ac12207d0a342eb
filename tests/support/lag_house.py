"""A small house with realistic lags, moved on second by second against the pure decision."""

from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta

from cem.control import Memory, decide
from cem.model.directive import Directive
from cem.model.plan import Plan
from cem.model.reading import Value
from cem.model.resource import Control, Role
from cem.model.setpoint import Decision
from cem.model.site import Site
from cem.model.tick import Inputs
from cem.model.time import Instant
from support.houses import NOON, snapshot


@dataclass(slots=True)
class LagHouse:
    """Batteries follow with a time constant, cars after a dead time; the meter may be turned round, late or seldom.

    Batteries may be read more seldom than it. `unwilling` cars are plugged and never draw.
    """

    site: Site
    load_w: float = 500.0
    pv_w: float = 0.0
    battery_lag_s: float = 2.0
    battery_every_s: int = 1
    car_dead_s: int = 5
    meter_late_s: int = 0
    meter_every_s: int = 1
    meter_sign: float = 1.0
    mono_s: float = 1000.0
    directive: Directive = field(default_factory=Directive)
    plan: Plan | None = None
    unwilling: frozenset[str] = frozenset()
    unplugged: frozenset[str] = frozenset()
    soc_pct: dict[str, float] = field(default_factory=dict)
    powers: dict[str, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    decision: Decision | None = None
    _offers: dict[str, deque[float]] = field(default_factory=dict)
    _meter: deque[float] = field(default_factory=deque)
    _read: dict[str, float] = field(default_factory=dict)  # of the batteries
    _seconds: int = 0

    def grid_w(self) -> float:
        """The true power at the connection point."""
        return self.load_w + self.pv_w + sum(self.powers.values())

    def tick(self) -> Decision:
        """One second: decide on what is measured, then let the devices follow."""
        looks = not self._meter or self._seconds % self.meter_every_s == 0
        self._meter.append(self.grid_w() if looks else self._meter[-1])
        while len(self._meter) > self.meter_late_s + 1:
            self._meter.popleft()
        values: dict[str, dict[str, Value]] = {"grid": {"power_w": self.meter_sign * self._meter[0]}}
        old_s = self._seconds % self.battery_every_s
        if not old_s:
            self._read = dict(self.powers)
        for resource in self.site.resources:
            power = self.powers.get(resource.id, 0.0)
            if resource.role is Role.PV:
                values[resource.id] = {"power_w": self.pv_w}
            elif resource.role is Role.BATTERY:
                read_w = self._read.get(resource.id, 0.0)
                values[resource.id] = {"power_w": read_w, "soc_pct": self.soc_pct.get(resource.id, 50.0)}
            elif resource.role is Role.EV:
                state = "A" if resource.id in self.unplugged else "C" if power > 0 else "B"
                values[resource.id] = {"power_w": power, "state": state}
            elif resource.role is not Role.GRID:
                values[resource.id] = {"power_w": power}
        wall = NOON + timedelta(seconds=self._seconds)
        ages_s = {battery.id: float(old_s) for battery in self.site.of(Role.BATTERY)}
        image = snapshot(values, mono_s=self.mono_s, ages_s=ages_s)
        given = Inputs(Instant(wall, self.mono_s), image, self.directive, self.plan)
        self.decision, self.memory = decide(self.site, given, self.memory)
        self._follow(self.decision)
        self.mono_s += 1.0
        self._seconds += 1
        return self.decision

    def run(self, seconds: int) -> list[Decision]:
        """The decisions of so many seconds."""
        return [self.tick() for _ in range(seconds)]

    def _follow(self, decision: Decision) -> None:
        for setpoint in decision.setpoints:
            key, value = setpoint.resource_id, setpoint.value
            if setpoint.control is Control.BATTERY_SETPOINT_W:
                now = self.powers.get(key, 0.0)
                self.powers[key] = now + ((value or 0.0) - now) * min(1.0, 1.0 / self.battery_lag_s)
            elif setpoint.control is Control.EV_LIMIT_A:
                offers = self._offers.setdefault(key, deque([0.0] * self.car_dead_s))
                offers.append(value or 0.0)
                known = offers.popleft()
                idle = key in self.unwilling or key in self.unplugged
                ratings = self.site.resource(key).ratings
                phases = ratings.phases * ratings.nominal_voltage_v
                self.powers[key] = 0.0 if idle or known < 6.0 else known * phases
