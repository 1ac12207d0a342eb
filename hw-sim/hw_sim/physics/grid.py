"""The public grid at the connection point: whether it is there, its voltage and its frequency."""

from collections.abc import Sequence

from hw_sim.physics.course import Course
from hw_sim.physics.phases import NONE, Phases
from hw_sim.specs import GridSpec


class Grid:
    """The knobs: `lost` (a count of reasons), and the courses of voltage per phase and of frequency."""

    def __init__(self, spec: GridSpec) -> None:
        self.spec = spec
        self.lost = 0
        self.present = True  # in the last step
        self.frequency = Course(spec.frequency_hz)
        self._volts = tuple(Course(spec.voltage_v if spec.phases == 3 or i == 0 else 0.0) for i in range(3))
        self.voltages_v: Phases = (self._volts[0].base, self._volts[1].base, self._volts[2].base)
        self.frequency_hz = spec.frequency_hz

    def courses_of(self, phase: int | None) -> Sequence[Course]:
        """The voltage's courses of one phase, or of all that there are."""
        if phase is not None:
            return (self._volts[phase - 1],)
        return self._volts if self.spec.phases == 3 else self._volts[:1]

    def step(self, elapsed_s: float, flows_w: Phases = NONE, flows_var: Phases = NONE) -> None:
        """Moves on to a time. `flows_w` and `flows_var` are drawn through the feeder, per phase, import positive: they
        lower the voltage by (R P + X Q) / V (the usual approximation for a short line)."""
        one, two, three = [course.move(elapsed_s) for course in self._volts]
        r, x = self.spec.resistance_ohm, self.spec.reactance_ohm
        if r > 0.0 or x > 0.0:
            one, two, three = (
                volts - (r * watts + x * var) / self.spec.voltage_v if volts > 0.0 else volts
                for volts, watts, var in zip((one, two, three), flows_w, flows_var, strict=True)
            )
        hz = self.frequency.move(elapsed_s)
        self.present = not self.lost
        self.voltages_v, self.frequency_hz = (NONE, 0.0) if self.lost else ((one, two, three), hz)
