"""Instants. Pure code gets `now` as an argument and never looks at a clock."""

from datetime import datetime

from cem.model.values import value


@value(frozen=True, slots=True)
class Instant:
    """One moment on both clocks.

    `wall` is aware UTC and serves schedules, prices and records; `mono_s` is monotonic seconds and serves
    ages, leases and time-outs. `trusted` is false until the wall clock was synchronised: no schedule runs then.
    """

    wall: datetime
    mono_s: float
    trusted: bool = True

    def __post_init__(self) -> None:
        if self.wall.utcoffset() is None:
            raise ValueError(f"an instant needs an aware time, not {self.wall!r}")
