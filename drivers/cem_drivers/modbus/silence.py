"""Which units of a shared line are silent, and how long they are left alone. Pure."""

from dataclasses import dataclass

SHARE = 0.1  # of the line's time that one silent unit may cost
LONGEST_S = 30.0


@dataclass(slots=True)
class _Silent:
    times: int = 0
    until_s: float = 0.0


class Silence:
    """Spaces the questions to silent units so that each takes at most a tenth of the line."""

    def __init__(self) -> None:
        self.units: dict[int, _Silent] = {}

    def answered(self, unit: int) -> None:
        """It spoke."""
        self.units.pop(unit, None)

    def silent(self, unit: int, now_s: float, cost_s: float) -> None:
        """It did not answer, and that cost the line so much time."""
        known = self.units.setdefault(unit, _Silent())
        known.times += 1
        if known.times > 1:  # one miss is normal
            known.until_s = now_s + min(cost_s * (1 / SHARE - 1), LONGEST_S)

    def left_s(self, unit: int, now_s: float) -> float:
        """How long it is still left alone."""
        known = self.units.get(unit)
        return 0.0 if known is None else known.until_s - now_s
