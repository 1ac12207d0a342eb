"""The battery system at its AC terminal: charging positive."""

import math
from dataclasses import dataclass

from hw_sim.home import BatterySpec


@dataclass(frozen=True, slots=True)
class Band:
    """What the power may be, as the remote control set it; None on a side: the rating. Charging positive."""

    lower_w: float | None = None
    upper_w: float | None = None


FREE = Band()


class Battery:
    """Inside the band it follows its own meter towards zero grid power; with no band that is all it does.

    Interpretation: where a band contradicts itself (lower above upper), the upper side holds.
    """

    def __init__(self, spec: BatterySpec) -> None:
        self.spec = spec
        self.band = FREE
        self.reserve_pct = 0.0  # not discharged below by anyone
        self.grid_charge = spec.grid_charge
        self.soc_wh = spec.capacity_wh * spec.soc_pct / 100.0
        self.power_w = 0.0
        self.charged_wh = 0.0  # at the terminal
        self.discharged_wh = 0.0

    @property
    def soc_pct(self) -> float:
        """State of charge in percent of the capacity."""
        return 100.0 * self.soc_wh / self.spec.capacity_wh

    def _floor_wh(self) -> float:
        return self.spec.capacity_wh * max(self.spec.min_soc_pct, self.reserve_pct) / 100.0

    def _ceiling_wh(self) -> float:
        return self.spec.capacity_wh * self.spec.max_soc_pct / 100.0

    def _taper(self, room_wh: float) -> float:
        width_wh = self.spec.capacity_wh * self.spec.taper_pct / 100.0
        if room_wh <= 0.0:
            return 0.0
        return 1.0 if room_wh >= width_wh else max(0.05, room_wh / width_wh)

    def max_charge_w(self) -> float:
        """What it accepts now, a magnitude."""
        return self.spec.max_charge_w * self._taper(self._ceiling_wh() - self.soc_wh)

    def max_discharge_w(self) -> float:
        """What it can give now, a magnitude."""
        return self.spec.max_discharge_w * self._taper(self.soc_wh - self._floor_wh())

    def step(self, dt_s: float, others_w: float) -> None:
        """Moves on by `dt_s`. `others_w` is what its own meter shows for the rest of the house, import positive."""
        spec = self.spec
        upper = spec.max_charge_w if self.band.upper_w is None else self.band.upper_w
        lower = -spec.max_discharge_w if self.band.lower_w is None else self.band.lower_w
        target = min(max(-others_w, lower), upper)
        if not self.grid_charge:
            target = min(target, max(0.0, -others_w))
        power = target
        if spec.response_s > 0.0:
            power = self.power_w + (target - self.power_w) * -math.expm1(-dt_s / spec.response_s)
            if abs(target - power) < 0.5:
                power = target
        power = min(max(power, -self.max_discharge_w()), self.max_charge_w())
        self._book(power, dt_s)

    def _book(self, power_w: float, dt_s: float) -> None:
        """Bounds the power by what fits into the step and books the energy."""
        hours = dt_s / 3600.0
        if power_w > 0.0:
            room_wh = max(0.0, self._ceiling_wh() - self.soc_wh)
            power_w = min(power_w, room_wh / self.spec.charge_efficiency / hours)
            self.soc_wh += power_w * hours * self.spec.charge_efficiency
            self.charged_wh += power_w * hours
        elif power_w < 0.0:
            room_wh = max(0.0, self.soc_wh - self._floor_wh())
            power_w = max(power_w, -room_wh * self.spec.discharge_efficiency / hours)
            self.soc_wh += power_w * hours / self.spec.discharge_efficiency
            self.discharged_wh -= power_w * hours
        self.power_w = power_w
