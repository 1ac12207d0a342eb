"""Powers on the three phases."""

from hw_sim.truth import NONE, Phases

__all__ = ["NONE", "Phases", "spread"]


def spread(power_w: float, phases: int, phase: int) -> Phases:
    """A power evenly on all three phases, or all of it on `phase`."""
    if phases == 3:
        third = power_w / 3.0
        return third, third, third
    return (
        power_w if phase == 1 else 0.0,
        power_w if phase == 2 else 0.0,
        power_w if phase == 3 else 0.0,
    )
