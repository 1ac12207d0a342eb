"""What the main fuse has to cool down from: a step above it is paid back by a little less than it carries.

Where ticks are long nothing follows a step for so long that its mean of ten minutes would be above the fuse before any
of it is paid back; so a little is kept ahead there.
"""

from cem.control.tuning import FUSE_COOLS_S, FUSE_KEPT_SHARE, FUSE_STEP_SHARE, FUSE_STEP_TICKS, FUSE_STEPS_SHARE

MEAN_S = 600.0
LONG_S = 5.0
"""Between two ticks; what a step makes in shorter ones is less than what can be measured."""
LONGEST_S = 60.0
"""Between two looks; what flowed over a longer one is not known."""


def warmed(before: tuple[float, ...], phases_a: tuple[float, ...] | None, fuse_a: float, s: float) -> tuple[float, ...]:
    """Ampere seconds above the fuse, by phase, that were not yet as far below it; `phases_a` flow for `s`."""
    if phases_a is None or not 0.0 < s <= LONGEST_S:
        return before
    if not before and max(map(abs, phases_a), default=0.0) <= fuse_a:
        return before
    most = FUSE_KEPT_SHARE * fuse_a * FUSE_COOLS_S
    known = before if len(before) == len(phases_a) else (0.0,) * len(phases_a)
    now = tuple([min(max(0.0, c + (abs(a) - fuse_a) * s), most) for c, a in zip(known, phases_a, strict=True)])
    return now if any(now) else ()


def kept_a(heat: tuple[float, ...], phase: int) -> float:
    """So much less than the fuse may flow on a phase, counted from 0, until it has cooled down."""
    return heat[phase] / FUSE_COOLS_S if phase < len(heat) else 0.0


def ahead_a(fuse_a: float, every_s: float) -> float:
    """So much less than the fuse may flow where ticks are so far apart, for the step that may come."""
    if every_s < LONG_S:
        return 0.0
    return min(FUSE_STEP_SHARE * FUSE_STEP_TICKS * every_s / MEAN_S, FUSE_STEPS_SHARE) * fuse_a
