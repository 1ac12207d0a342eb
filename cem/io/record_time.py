"""Which minute of the record a tick belongs to, when the wall clock jumps. The keys of one run never go back.

* Wall clock behind the record by at most `PAUSE_S` (a small correction): the record pauses until the wall clock has
  passed the newest minute. Nothing written is touched; the pause is a gap.
* A jump of more than `PAUSE_S`, either way: the record first goes on by the monotonic clock. A jump forward that still
  stands after `SETTLE_S` is followed. When the clock later comes back, the minutes written since are moved back
  to where they belong. Any other large step back is never followed: the record stays on its own time and says so.
* A start with a clock behind the newest minute (a boot without network) by more than `PAUSE_S`, or a clock that is
  not trusted: the record goes on after its newest minute by the monotonic clock, until the wall clock is ahead of it.
"""

from dataclasses import dataclass

from cem.model.time import Instant

PAUSE_S = 7200.0
SETTLE_S = 600.0
FORGET_S = 86_400.0
"""A forward jump that stood this long was right; a step back then is not its undoing."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Minutes from `first` on were dated `by` minutes too late."""

    first: int
    by: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tick belongs: no minute while the record pauses."""

    minute: int | None
    at_ms: int
    shift: Shift | None = None


class RecordTime:
    """Gives each tick its minute. `newest` is the newest minute that the file holds."""

    def __init__(self, newest: int | None) -> None:
        self._newest = newest
        self._offset_s: float | None = None  # record's time minus monotonic time
        self._jump_since_s: float | None = None
        self._forward: tuple[int, float] | None = None  # first minute after a followed jump, and the offset before it
        self._behind_s = 0.0

    @property
    def ahead_s(self) -> float:
        """By how much the record runs ahead of the wall clock for good; 0 when it does not."""
        return self._behind_s if self._behind_s > PAUSE_S else 0.0

    def place(self, now: Instant) -> Place:
        """The place of a tick; call it once per tick, in order."""
        wall_s = now.wall.timestamp()
        raw_s = wall_s - now.mono_s
        shift = None
        if self._offset_s is None:
            self._offset_s = self._first_offset(now, wall_s)
        drift_s = raw_s - self._offset_s
        self._behind_s = max(0.0, -drift_s)
        if abs(drift_s) <= PAUSE_S and (drift_s >= 0 or now.trusted):
            self._offset_s = raw_s
            self._jump_since_s = None
        elif self._jump_since_s is None:
            self._jump_since_s = now.mono_s
        elif now.mono_s - self._jump_since_s >= SETTLE_S:
            shift = self._follow(now.mono_s, raw_s, drift_s)
        record_s = now.mono_s + self._offset_s
        minute = int(record_s // 60)
        if self._newest is not None and minute < self._newest:
            return Place(None, 0, shift)
        self._newest = minute
        return Place(minute, int(record_s % 60 * 1000), shift)

    def _first_offset(self, now: Instant, wall_s: float) -> float:
        if self._newest is None:
            return wall_s - now.mono_s
        behind_s = self._newest * 60 - wall_s
        if behind_s <= 0 or (now.trusted and behind_s <= PAUSE_S):
            return wall_s - now.mono_s
        return (self._newest + 1) * 60 - now.mono_s

    def _follow(self, mono_s: float, raw_s: float, drift_s: float) -> Shift | None:
        assert self._offset_s is not None
        if drift_s > 0:
            self._forward = (int((mono_s + raw_s) // 60), self._offset_s)
            self._offset_s = raw_s
            self._jump_since_s = None
            return None
        if self._forward is None or abs(raw_s - self._forward[1]) > PAUSE_S:
            return None
        if mono_s + self._offset_s - self._forward[0] * 60 > FORGET_S:
            return None
        shift = Shift(self._forward[0], round(-drift_s / 60))
        self._forward = None
        self._jump_since_s = None
        self._behind_s = 0.0
        self._offset_s = raw_s
        if self._newest is not None:
            self._newest -= shift.by
        return shift
