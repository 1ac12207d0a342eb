"""Whether what a device was told shows where it is measured, and for how long it has not."""

from dataclasses import dataclass

from cem.ports import ControlSpec
from cem.runtime.write_rules import effective, short_of

NEVER_S = float("-inf")
STILL_W = 100.0
"""So many watts away from what it shows a battery is told before it counts that this has not changed at all."""
STILL_FINE_W, STEPS = 40.0, 4
"""And so many of one whose last changes, so many, were smaller, where it is told less than it shows: what shows less
may be at its own limit. Never less than two of those changes."""


@dataclass(slots=True)
class Effect:
    """One control. A measurement is held against all that the device may have been doing: what it was told last before
    the look ahead of it, and since; times are monotonic.

    So a device whose words change with each look is not blamed for being on its way, and one that is measured seldom is
    found out by its first measurement after the word.
    """

    words: tuple[tuple[float, float], ...] = ()  # when it was told what, the newest last
    looked_at_s: float = NEVER_S
    well_at_s: float = NEVER_S  # when it was last measured as told, or could not be looked at
    short_since_s: float | None = None  # it does not follow, since then
    short_at: tuple[float, float] = (0.0, 0.0)  # what it was told then, and what it showed
    again: bool = False  # it shall be told the same once more before it is given up

    def told(self, value: float, at_s: float) -> None:
        """The device took a word."""
        if not self.words or self.words[-1][1] != value:
            self.words = (*self.words, (at_s, value))

    def unseen(self, at_s: float, *, forget: bool = False) -> None:
        """Nothing can be said now; `forget`: nor of what was before."""
        self.words, self.looked_at_s, self.well_at_s = self.words[-1:], at_s, at_s
        if forget:
            self.short_since_s, self.again = None, False

    def shows(self, spec: ControlSpec, measured: float, taken_at_s: float, now_s: float) -> bool:
        """Takes one look at a measurement; whether it shows what was told."""
        since_s, self.looked_at_s = taken_at_s - (now_s - self.looked_at_s), now_s
        if len(self.words) > 1:
            ended = sum(later_s < since_s for later_s, _ in self.words[1:])
            self.words = self.words[ended:]
        values = [value for _, value in self.words]
        told = (values[0], values[0]) if len(values) == 1 else (min(values), max(values))
        if effective(spec, told, measured):
            self.short_since_s, self.well_at_s, self.again = None, taken_at_s, False
            return True
        word = self.words[-1][1]
        if self.short_since_s is None:
            self.short_since_s, self.short_at = max(self.words[-1][0], self.well_at_s), (word, measured)
        elif self._moves_on(spec, measured):  # a slow one, on its way to what moves on before it
            self.short_since_s, self.short_at = taken_at_s, (word, measured)
        return False

    def _moves_on(self, spec: ControlSpec, measured: float) -> bool:
        """Whether it has come nearer to what it was told then; not to what it is told now, which may follow it."""
        word, showed = self.short_at
        return abs(word - showed) - abs(word - measured) > short_of(spec, word)

    def short_for_s(self, now_s: float) -> float:
        """For how long it has not followed."""
        return 0.0 if self.short_since_s is None else now_s - self.short_since_s


@dataclass(slots=True)
class Shown:
    """What is measured where the effect of one control must show, and since when it has been the very same; times are
    monotonic."""

    value: float | None = None
    since_s: float = NEVER_S
    told_then: float | None = None  # what was in force when that value came
    steps: tuple[float, ...] = ()  # by how much it changed the last times
    apart_s: float | None = None  # since when something else has been told, and it shows this all the same

    def take(self, value: float | None, told: float | None, now_s: float) -> float:
        """Takes a measurement, while `told` is in force. For how long the former value had stood, where this is another
        one; 0 where it is the same, or there is none."""
        before, self.value = self.value, value
        if value is None or value == before:
            return 0.0
        if before is not None:
            self.steps = (*self.steps[1 - STEPS :], abs(value - before))
        stood_s, self.since_s = now_s - self.since_s, now_s
        self.told_then, self.apart_s = told, None
        return stood_s

    def still_for_s(self, told: float | None, now_s: float) -> float:
        """For how long a power has been the very same while another is told: within what counts as following, which is
        wide for a large battery, nothing else would ever find that out."""
        value = self.value
        if value is None or abs(value) <= STILL_W or told is None or self.told_then is None:
            self.apart_s = None
            return 0.0
        fine = told * value < value * value and len(self.steps) == STEPS
        far_w = min(STILL_W, max(STILL_FINE_W, 2.0 * max(self.steps))) if fine else STILL_W
        if min(abs(told - value), abs(told - self.told_then)) <= far_w:
            self.apart_s = None
        elif self.apart_s is None:
            self.apart_s = now_s
        return 0.0 if self.apart_s is None else now_s - self.apart_s
