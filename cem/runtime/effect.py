"""Whether what a device was told shows where it is measured, and for how long it has not."""

from dataclasses import dataclass

from cem.ports import ControlSpec
from cem.runtime.write_rules import effective

NEVER_S = float("-inf")


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
        if self.short_since_s is None:
            self.short_since_s = max(self.words[-1][0], self.well_at_s)
        return False

    def short_for_s(self, now_s: float) -> float:
        """For how long it has not followed."""
        return 0.0 if self.short_since_s is None else now_s - self.short_since_s
