"""A heat pump, its store, and the house that takes heat from it."""

import math

from hw_sim.physics.calendar import Calendar
from hw_sim.physics.phases import Phases, spread
from hw_sim.specs import HeatPumpSpec
from hw_sim.truth import HeatPumpTruth

LOCKED, NORMAL, RECOMMENDED, FORCED = 1, 2, 3, 4  # SG-Ready operating states
_WH_PER_LITRE_K = 1.163
_CELLAR_C = 18.0
_ROOM_C = 20.0
_ABOVE_STORE_K = 5.0
_LEAST_LIFT_K = 12.0
_FINEST_S = 30.0
_COLD_K = 5.0  # below comfort: the heating rod helps
_USABLE_C, _FULLY_C = 24.0, 32.0  # between them a cooling store gives less and less
_HOT_WATER = (0, 0, 0, 0, 0, 1, 4, 5, 3, 1, 1, 1, 2, 1, 1, 1, 1, 2, 3, 4, 4, 3, 1, 0)  # weight per local hour
_HOT_WATER_MEAN = sum(_HOT_WATER) / 24.0


def cop_at(spec: HeatPumpSpec, store_c: float, outdoor_c: float) -> float:
    """Coefficient of performance: a share of Carnot's between outdoor air and flow."""
    flow_c = store_c + _ABOVE_STORE_K
    lift_k = max(_LEAST_LIFT_K, flow_c - outdoor_c)
    return min(6.5, max(1.0, spec.cop_share * (flow_c + 273.15) / lift_k))


class HeatPump:
    """The machine keeps its own run and rest times; the knobs are `sg_state` and `extra_draw_w`.

    Locked it finishes its minimum run, then rests; a lock that lasts longer than `lock_longest_s` is ignored until it
    is lifted (SG-Ready: at most two hours). Recommended and forced raise the target; forced may use the heating rod.
    """

    def __init__(self, spec: HeatPumpSpec, calendar: Calendar) -> None:
        self.spec = spec
        self.sg_state = NORMAL
        self.extra_draw_w = 0.0
        self.store_c = spec.store_c
        self.power_w = 0.0
        self.heat_w = 0.0
        self.cop = 0.0
        self.running = False
        self.energy_wh = 0.0
        self.heat_wh = 0.0
        self.drawn_wh = 0.0
        self.lost_wh = 0.0
        self.unmet_wh = 0.0
        self.below_comfort_s = 0.0
        self.starts = 0
        self.switchings = 0
        self.contact_switchings = 0
        self._compressor_w = 0.0
        self._since_change_s = math.inf
        self._locked_s = 0.0
        self._calendar = calendar

    @property
    def capacity_wh_per_k(self) -> float:
        """Of the store."""
        return self.spec.store_litres * _WH_PER_LITRE_K

    @property
    def phases_w(self) -> Phases:
        """The power on each phase."""
        return spread(self.power_w, self.spec.phases, self.spec.phase)

    def _target_c(self) -> float | None:
        """To which the store is to be heated; None: locked."""
        spec = self.spec
        if self.sg_state == LOCKED and self._locked_s <= spec.lock_longest_s:
            return None
        if self.sg_state == FORCED:
            return spec.forced_c
        return spec.recommended_c if self.sg_state == RECOMMENDED else spec.comfort_max_c

    def cop_at(self, outdoor_c: float) -> float:
        """Coefficient of performance now."""
        return cop_at(self.spec, self.store_c, outdoor_c)

    def step(self, dt_s: float, unix_s: float, outdoor_c: float, powered: bool) -> None:
        """Moves on by `dt_s` to `unix_s`; the power holds for the whole step, the store in finer ones."""
        spec = self.spec
        self._locked_s = self._locked_s + dt_s if self.sg_state == LOCKED else 0.0
        target = self._target_c()
        self._switch(target, dt_s, powered)
        wanted = 0.0
        if self.running:
            aim = spec.comfort_max_c if target is None else target
            share = min(1.0, max(0.0, (aim - self.store_c) / spec.hysteresis_c))
            wanted = spec.min_w + (spec.max_w - spec.min_w) * share
        if self.running and spec.response_s > 0.0:
            self._compressor_w += (wanted - self._compressor_w) * -math.expm1(-dt_s / spec.response_s)
        else:
            self._compressor_w = wanted
        self.cop = self.cop_at(outdoor_c) if self.running else 0.0
        heater = spec.heater_w if powered and self._needs_heater(target) else 0.0
        self.power_w = self._compressor_w + heater + (spec.standby_w if powered else 0.0)
        self.heat_w = self._compressor_w * self.cop + heater
        self.energy_wh += self.power_w * dt_s / 3600.0
        self._exchange(dt_s, unix_s, outdoor_c, powered)
        if self.store_c < spec.comfort_min_c:
            self.below_comfort_s += dt_s

    def _needs_heater(self, target_c: float | None) -> bool:
        if target_c is None:
            return False
        forced = self.sg_state == FORCED and self.store_c < self.spec.forced_c
        return forced or self.store_c < self.spec.comfort_min_c - _COLD_K

    def _switch(self, target_c: float | None, dt_s: float, powered: bool) -> None:
        spec = self.spec
        self._since_change_s += dt_s
        if not powered:
            if self.running:
                self._change(running=False)
        elif self.running:
            done = target_c is None or self.store_c >= target_c
            hot = self.store_c >= spec.forced_c + _ABOVE_STORE_K
            if hot or (done and self._since_change_s >= spec.min_run_s):
                self._change(running=False)
        elif target_c is not None and self._since_change_s >= spec.min_rest_s:
            start_below_c = target_c - (1.0 if self.sg_state == FORCED else spec.hysteresis_c)
            if self.store_c < start_below_c:
                self._change(running=True)

    def _change(self, running: bool) -> None:
        self.running = running
        self.starts += int(running)
        self.switchings += 1
        self._since_change_s = 0.0

    def _exchange(self, dt_s: float, unix_s: float, outdoor_c: float, powered: bool) -> None:
        """Heat into the store, out of it, and lost; in steps that stay small against its time constants."""
        parts = max(1, math.ceil(dt_s / _FINEST_S))
        hours = dt_s / parts / 3600.0
        wanted_w = self._wanted_w(unix_s, outdoor_c) if powered else 0.0  # pumps need power
        heat = self.heat_w * hours
        for _ in range(parts):
            there = min(1.0, max(0.0, (self.store_c - _USABLE_C) / (_FULLY_C - _USABLE_C)))
            drawn = wanted_w * there * hours
            lost = self.spec.loss_w_per_k * (self.store_c - _CELLAR_C) * hours
            self.heat_wh += heat
            self.drawn_wh += drawn
            self.unmet_wh += wanted_w * hours - drawn
            self.lost_wh += lost
            self.store_c += (heat - drawn - lost) / self.capacity_wh_per_k

    def _wanted_w(self, unix_s: float, outdoor_c: float) -> float:
        spec = self.spec
        heating = spec.house_w_per_k * (_ROOM_C - outdoor_c) if outdoor_c < spec.heating_limit_c else 0.0
        _, second = self._calendar.day_and_second(unix_s)
        tap = spec.hot_water_wh_per_day / 24.0 * _HOT_WATER[int(second / 3600.0) % 24] / _HOT_WATER_MEAN
        return heating + tap + self.extra_draw_w

    def truth(self) -> HeatPumpTruth:
        """What is the case now."""
        return HeatPumpTruth(
            self.power_w,
            self.phases_w,
            self.sg_state,
            self.running,
            self.heat_w,
            self.cop,
            self.store_c,
            self.spec.comfort_min_c,
            self.spec.comfort_max_c,
            self.below_comfort_s,
            self.energy_wh,
            self.heat_wh,
            self.drawn_wh,
            self.lost_wh,
            self.unmet_wh,
            self.starts,
            self.switchings,
            self.contact_switchings,
        )
