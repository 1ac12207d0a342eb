"""What a resource, or the house as one virtual resource, can do other than what it does: one form for all sizes."""

from cem.model.values import value


@value(frozen=True, slots=True)
class Flexibility:
    """The flexibility of `subject` (SITE is the connection point) at a moment; W, import positive; None: not known.

    `least_w` to `most_w` is the band of powers that can be held for `held_s`, within every limit in force. Energies are
    of its storage: what it can give down to the owner's reserve, and what it can still take. `gives_for_s` and
    `takes_for_s` say how long that storage lasts at its full power; None where nothing is stored, which sets no end.
    """

    subject: str
    power_w: float | None
    least_w: float | None
    most_w: float | None
    held_s: float
    gives_wh: float | None
    takes_wh: float | None
    gives_for_s: float | None
    takes_for_s: float | None
    ramp_w_per_s: float | None  # None: as fast as the devices follow
    planned_w: float | None = None  # what the plan expects of it now
