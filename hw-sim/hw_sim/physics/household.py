"""The household's load: base, daily profile, appliances."""

import math
from bisect import bisect_right

from hw_sim.physics.calendar import Calendar
from hw_sim.physics.noise import SlowNoise, draws
from hw_sim.physics.phases import NONE, Phases
from hw_sim.physics.recording import Recording
from hw_sim.specs import ApplianceSpec, LoadSpec

# Share of a mean day per local hour, mean 1: low at night, a morning hump, a high evening.
_SHAPE = (
    0.42, 0.38, 0.36, 0.36, 0.40, 0.55, 0.95, 1.25, 1.15, 1.00, 0.95, 1.10,
    1.25, 1.10, 0.95, 0.95, 1.10, 1.50, 1.85, 1.95, 1.75, 1.35, 0.85, 0.52,
)  # fmt: skip
_MEAN = sum(_SHAPE) / 24.0


class Appliance:
    """Pulses of one appliance, drawn per local day."""

    def __init__(self, spec: ApplianceSpec, seed: int, calendar: Calendar) -> None:
        self.spec = spec
        self._seed = seed
        self._calendar = calendar
        self._starts: dict[int, list[float]] = {}

    def _of_day(self, day: int) -> list[float]:
        found = self._starts.get(day)
        if found is None:
            if len(self._starts) > 3:
                self._starts.clear()
            since = self._calendar.unix_s(day, self.spec.since)
            until = self._calendar.unix_s(day, self.spec.until)
            source = draws(self._seed, "appliance", self.spec.name, day)
            span = max(0.0, until - since)
            found = sorted(since + span * source.random() for _ in range(self.spec.per_day))
            self._starts[day] = found
        return found

    def power_w(self, unix_s: float, day: int) -> float:
        """Its power at a time; one that is on is not switched on twice."""
        for which in (day, day - 1):
            starts = self._of_day(which)
            begun = bisect_right(starts, unix_s)
            if begun and unix_s < starts[begun - 1] + self.spec.duration_s:
                return self.spec.power_w
        return 0.0


class Household:
    """The load of the house without its controllable devices. `wanted_w` is what it takes if it is served.

    The knobs are `extra_w`, a constant on top over all phases, and `steps_w`, one on each phase.
    """

    def __init__(self, spec: LoadSpec, calendar: Calendar, seed: int, phases: int = 3) -> None:
        self.spec = spec
        self.extra_w = spec.extra_w
        self.steps_w = [0.0, 0.0, 0.0]
        self.wanted_w = 0.0
        self.power_w = 0.0
        self.phases_w: Phases = NONE
        self.energy_wh = 0.0
        self.unserved_wh = 0.0
        one, two, three = spec.phase_pct or (100.0 / 3.0, 100.0 / 3.0, 100.0 / 3.0)
        self._shares: Phases = (one / 100.0, two / 100.0, three / 100.0) if phases == 3 else (1.0, 0.0, 0.0)
        self._calendar = calendar
        self._noise = SlowNoise(seed, "load", memory_s=900.0)
        self._recorded = None if spec.recorded is None else Recording(spec.recorded)
        self._appliances = [Appliance(one, seed, calendar) for one in spec.appliance]

    def _common_w(self, unix_s: float, second: float) -> float:
        """What base and profile take, or what was recorded in their place."""
        wobble = math.exp(self.spec.noise_pct / 100.0 * self._noise.at(unix_s)) if self.spec.noise_pct else 1.0
        if self._recorded is not None:
            return max(0.0, self._recorded.mean(unix_s)) * wobble
        hour = second / 3600.0
        k = int(hour)
        share = hour - k
        shape = (_SHAPE[k % 24] * (1.0 - share) + _SHAPE[(k + 1) % 24] * share) / _MEAN
        return self.spec.base_w + self.spec.profile_w * shape * wobble

    def step(self, unix_s: float) -> None:
        """Moves on to `unix_s`."""
        day, second = self._calendar.day_and_second(unix_s)
        common = self.extra_w + self._common_w(unix_s, second)
        one, two, three = self.steps_w
        for appliance in self._appliances:
            power = appliance.power_w(unix_s, day)
            if power == 0.0:
                continue
            if appliance.spec.phase is None:
                common += power
            elif appliance.spec.phase == 1:
                one += power
            elif appliance.spec.phase == 2:
                two += power
            else:
                three += power
        a, b, c = self._shares
        self.phases_w = (a * common + one, b * common + two, c * common + three)
        self.wanted_w = self.power_w = common + one + two + three

    def shed(self, missing_w: float) -> None:
        """So much of it is not served; what it takes never turns negative by that."""
        if self.power_w <= 0.0:
            return
        share = max(0.0, self.power_w - missing_w) / self.power_w
        self.power_w *= share
        one, two, three = self.phases_w
        self.phases_w = (one * share, two * share, three * share)

    def book(self, dt_s: float) -> None:
        """Counts the step's energies."""
        hours = dt_s / 3600.0
        self.energy_wh += self.power_w * hours
        self.unserved_wh += max(0.0, self.wanted_w - self.power_w) * hours
