"""The time line: what begins and ends when, in order, as seconds since the start."""

import heapq
from collections.abc import Sequence
from datetime import UTC, datetime, time
from itertools import count

from hw_sim.happenings import FAULTS, EventSpec, FaultSpec
from hw_sim.physics.calendar import Calendar

Spec = EventSpec | FaultSpec
_EARLY_S = 1e-6


class Timeline:
    """All occurrences of events and faults. `take` gives what has begun or ended, with a number for each occurrence."""

    def __init__(self, specs: Sequence[Spec], start: datetime, calendar: Calendar) -> None:
        self._start_unix_s = start.timestamp()
        self._calendar = calendar
        self._order = count()
        self._numbers = count(1)
        self._due: list[tuple[float, int, Spec, int, int]] = []  # (s, order, spec, number or 0 to begin, times left)
        for spec in specs:
            self._plan(self._first_s(spec), spec, spec.times)
        self.next_s = self._due[0][0] if self._due else float("inf")

    def _plan(self, at_s: float, spec: Spec, left: int, number: int = 0) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), spec, number, left))

    def _first_s(self, spec: Spec) -> float:
        if spec.at_s is not None:
            return spec.at_s
        if isinstance(spec.at, time):
            return self._next_clock_s(spec.at, 0.0)
        assert spec.at is not None
        aware = spec.at if spec.at.tzinfo is not None else spec.at.replace(tzinfo=self._calendar.zone)
        return aware.astimezone(UTC).timestamp() - self._start_unix_s

    def _next_clock_s(self, at: time, since_s: float) -> float:
        """The first such time of day at or after `since_s`."""
        day, _ = self._calendar.day_and_second(self._start_unix_s + since_s)
        found = self._calendar.unix_s(day, at) - self._start_unix_s
        return found if found >= since_s - _EARLY_S else self._calendar.unix_s(day + 1, at) - self._start_unix_s

    def take(self, now_s: float) -> list[tuple[Spec, int, bool]]:
        """What came up to now: (spec, number of the occurrence, whether it begins), in order."""
        if now_s + _EARLY_S < self.next_s:
            return []
        taken: list[tuple[Spec, int, bool]] = []
        while self._due and self._due[0][0] <= now_s + _EARLY_S:
            at_s, _, spec, number, left = heapq.heappop(self._due)
            if number:
                taken.append((spec, number, False))
            else:
                number = next(self._numbers)
                taken.append((spec, number, True))
                self._go_on(at_s, spec, number, left)
        self.next_s = self._due[0][0] if self._due else float("inf")
        return taken

    def _go_on(self, at_s: float, spec: Spec, number: int, left: int) -> None:
        """Plans the end of what has begun, and its next coming."""
        lasts_s = spec.for_s
        if lasts_s is None and isinstance(spec, FaultSpec):
            lasts_s = FAULTS[spec.kind].usual_s
        if lasts_s is not None:
            self._plan(at_s + lasts_s, spec, 0, number)
        if left > 1 and spec.repeat_s is not None:
            self._plan(at_s + spec.repeat_s, spec, left - 1)
        elif spec.daily and isinstance(spec.at, time):
            self._plan(self._next_clock_s(spec.at, at_s + 3600.0), spec, spec.times)
