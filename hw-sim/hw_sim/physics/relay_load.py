"""A load behind a relay."""

from hw_sim.physics.phases import spread
from hw_sim.specs import RelayLoadSpec
from hw_sim.truth import RelayTruth


class RelayLoad:
    """Takes its power while the relay is on and, if it has a daily need, while some of that is still open.

    `on` is the knob. A need that has been open for a day is lost and counted as unmet.
    """

    def __init__(self, spec: RelayLoadSpec) -> None:
        self.spec = spec
        self.on = spec.on_at_start
        self.power_w = 0.0
        self.energy_wh = 0.0
        self.unmet_wh = 0.0
        self.open_wh = 0.5 * (spec.daily_wh or 0.0)
        self.switchings = 0
        self._was_on = self.on

    @property
    def wanting(self) -> bool:
        """Whether it would take power if it were on."""
        return self.spec.daily_wh is None or self.open_wh > 0.0

    def step(self, dt_s: float, powered: bool) -> None:
        """Moves on by `dt_s`."""
        hours = dt_s / 3600.0
        if self.on != self._was_on:
            self._was_on = self.on
            self.switchings += 1
        power = self.spec.power_w if self.on and powered else 0.0
        daily = self.spec.daily_wh
        if daily is not None:
            power = min(power, self.open_wh / hours)
            self.open_wh += daily * hours / 24.0 - power * hours
            self.unmet_wh += max(0.0, self.open_wh - daily)
            self.open_wh = min(max(self.open_wh, 0.0), daily)
        self.power_w = power
        self.energy_wh += power * hours

    def truth(self) -> RelayTruth:
        """What is the case now."""
        phases = spread(self.power_w, self.spec.phases, self.spec.phase)
        return RelayTruth(self.power_w, phases, self.on, self.wanting, self.energy_wh, self.unmet_wh, self.switchings)
