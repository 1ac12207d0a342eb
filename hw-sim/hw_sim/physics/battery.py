"""One battery system at its AC terminal: charging positive."""

import math
from dataclasses import dataclass

from hw_sim.physics.phases import spread
from hw_sim.specs import BatterySpec
from hw_sim.truth import BatteryTruth

_INDOORS_C = 18.0
_CELL_S = 4.0 * 3600.0  # time constant of the cells' temperature
_WARMING_C = 6.0  # at full power
_OPENS_PCT = 2.0  # above the floor, to carry the house again


@dataclass(frozen=True, slots=True)
class Band:
    """What the power may be, as the remote control set it; None on a side: the rating. Charging positive."""

    lower_w: float | None = None
    upper_w: float | None = None

    @property
    def fixed(self) -> bool:
        """Whether it leaves nothing to follow."""
        return self.lower_w is not None and self.upper_w is not None and self.lower_w >= self.upper_w


FREE = Band()


class Battery:
    """Inside the band it follows its own meter towards zero grid power; with no band that is all it does.

    Interpretation: where a band contradicts itself (lower above upper), the upper side holds. The other knobs:
    `reserve_pct`, `grid_charge`, `refuses_charge` and `refuses_discharge` (the battery's own management says no).
    """

    def __init__(self, spec: BatterySpec) -> None:
        self.spec = spec
        self.band = FREE
        self.reserve_pct = 0.0  # not discharged below by anyone but an island
        self.grid_charge = spec.grid_charge
        self.refuses_charge = False
        self.refuses_discharge = False
        self.soc_wh = spec.capacity_wh * spec.soc_pct / 100.0
        self.power_w = 0.0
        self.forming = False
        self.cell_c = _INDOORS_C
        self.charged_wh = 0.0  # at the terminal
        self.discharged_wh = 0.0
        self.drift_pct = 0.0
        self._ceiling_wh = spec.capacity_wh * spec.max_soc_pct / 100.0
        self._taper_wh = spec.capacity_wh * spec.taper_pct / 100.0

    @property
    def soc_pct(self) -> float:
        """State of charge in percent of the capacity."""
        return 100.0 * self.soc_wh / self.spec.capacity_wh

    @property
    def shown_soc_pct(self) -> float:
        """What its management believes the state of charge to be."""
        return min(100.0, max(0.0, self.soc_pct + self.drift_pct))

    def _floor_wh(self) -> float:
        reserve = 0.0 if self.forming else self.reserve_pct
        return self.spec.capacity_wh * max(self.spec.min_soc_pct, reserve) / 100.0

    def _taper(self, room_wh: float) -> float:
        if room_wh <= 0.0:
            return 0.0
        return 1.0 if room_wh >= self._taper_wh else max(0.05, room_wh / self._taper_wh)

    def max_charge_w(self) -> float:
        """What it accepts now, a magnitude."""
        coldest = self.spec.min_charge_c
        if self.refuses_charge or (coldest is not None and self.cell_c < coldest):
            return 0.0
        return self.spec.max_charge_w * self._taper(self._ceiling_wh - self.soc_wh)

    def max_discharge_w(self) -> float:
        """What it can give now, a magnitude."""
        if self.refuses_discharge:
            return 0.0
        return self.spec.max_discharge_w * self._taper(self.soc_wh - self._floor_wh())

    def can_form(self, again: bool) -> bool:
        """Whether it could carry the house; `again`: after a collapse it wants some charge first."""
        if not self.spec.forms_grid or self.refuses_discharge:
            return False
        return self.soc_pct > self.spec.min_soc_pct + (_OPENS_PCT if again else 0.0)

    def settle(self, outdoor_c: float) -> None:
        """Its cells have the temperature of where it stands."""
        self.cell_c = outdoor_c if self.spec.outdoors else _INDOORS_C

    def step(self, dt_s: float, others_w: float, outdoor_c: float, room_w: float | None = None) -> None:
        """Moves on by `dt_s`. `others_w` is what its own meter shows for the rest of the house, import positive;
        `room_w` what an inverter that it shares still lets out, a magnitude."""
        spec = self.spec
        upper = spec.max_charge_w if self.band.upper_w is None else self.band.upper_w
        lower = -spec.max_discharge_w if self.band.lower_w is None else self.band.lower_w
        target = min(max(-others_w, lower), upper)
        if not self.grid_charge:
            target = min(target, max(0.0, -others_w))
        power = self._towards(target, dt_s)
        give_w = self.max_discharge_w()
        if room_w is not None:
            give_w = min(give_w, room_w)
        self._book(min(max(power, -give_w), self.max_charge_w()), dt_s, self._floor_wh())
        self._warm(dt_s, outdoor_c)

    def _towards(self, target_w: float, dt_s: float) -> float:
        spec, power = self.spec, target_w
        if spec.response_s > 0.0:
            power = self.power_w + (target_w - self.power_w) * -math.expm1(-dt_s / spec.response_s)
            if abs(target_w - power) < 0.5:
                power = target_w
        if spec.ramp_w_per_s is not None:
            reach = spec.ramp_w_per_s * dt_s
            power = min(max(power, self.power_w - reach), self.power_w + reach)
        return power

    def carry(self, dt_s: float, need_w: float, outdoor_c: float) -> float:
        """Forms the island: gives `need_w` (takes it where negative) and says what it could not.

        For a moment it may give more than its rating and go below its floor, down to nothing; whether that may go on
        is the island's business.
        """
        self._book(min(-need_w, self.max_charge_w()), dt_s, 0.0)
        self._warm(dt_s, outdoor_c)
        return need_w + self.power_w

    def rest(self, dt_s: float, outdoor_c: float) -> None:
        """No voltage: nothing flows."""
        self.power_w = 0.0
        self._warm(dt_s, outdoor_c)

    def _book(self, power_w: float, dt_s: float, floor_wh: float) -> None:
        """Bounds the power by what fits into the step and books the energy."""
        hours = dt_s / 3600.0
        if power_w > 0.0:
            room_wh = max(0.0, self._ceiling_wh - self.soc_wh)
            power_w = min(power_w, room_wh / self.spec.charge_efficiency / hours)
            self.soc_wh += power_w * hours * self.spec.charge_efficiency
            self.charged_wh += power_w * hours
        elif power_w < 0.0:
            room_wh = max(0.0, self.soc_wh - floor_wh)
            power_w = max(power_w, -room_wh * self.spec.discharge_efficiency / hours)
            self.soc_wh += power_w * hours / self.spec.discharge_efficiency
            self.discharged_wh -= power_w * hours
        self.power_w = power_w
        if self.spec.soc_drift_pct_per_h:
            at_end = self.soc_wh >= self._ceiling_wh - 1e-6 or self.soc_pct <= self.spec.min_soc_pct + 1e-6
            self.drift_pct = 0.0 if at_end else self.drift_pct + self.spec.soc_drift_pct_per_h * hours

    def _warm(self, dt_s: float, outdoor_c: float) -> None:
        around = outdoor_c if self.spec.outdoors else _INDOORS_C
        goal = around + _WARMING_C * abs(self.power_w) / self.spec.max_charge_w
        self.cell_c += (goal - self.cell_c) * -math.expm1(-dt_s / _CELL_S)

    def truth(self) -> BatteryTruth:
        """What is the case now."""
        return BatteryTruth(
            self.power_w,
            spread(self.power_w, self.spec.phases, self.spec.phase),
            self.soc_wh,
            self.soc_pct,
            self.band.lower_w,
            self.band.upper_w,
            self.max_charge_w(),
            self.max_discharge_w(),
            self.reserve_pct,
            self.grid_charge,
            self.cell_c,
            self.forming,
            self.charged_wh,
            self.discharged_wh,
        )
