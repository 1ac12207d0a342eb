"""What jumps towards a limit of the connection point by itself, as long as nobody can have made up for it."""

from collections import deque
from dataclasses import dataclass, replace

from cem.simulation.oracle.facts import Facts, RoofFact
from cem.simulation.oracle.seen import Seen

JUMP_W = 100.0
"""What nobody controls jumps when it changes by more than this in one step."""


@dataclass(frozen=True, slots=True)
class _Jump:
    """What moved towards a limit within one step although nobody told it to; W, and what the house stood at before."""

    at_s: float
    house_w: float  # of it by the load and the sun
    part_w: float  # by what does not obey
    own_w: float  # by consumers that obey, by themselves
    stood_w: float


class Jumps:
    """The jumps towards one side's limit that nobody can have made up for yet.

    What jumped and fell back meanwhile counts no longer: of the load and the sun no more than they now are above their
    lowest since. That a device no longer obeys is no jump, only what it then does; and what a roof gives or takes back
    because of its limit is not the sun.
    """

    def __init__(self, sign: float) -> None:
        self._sign = sign
        self._before: Facts | None = None
        self._house_w: float | None = None
        self._jumps: deque[_Jump] = deque()
        self._lows: deque[tuple[float, float]] = deque()  # when the house stood at what
        self._looked_s: float | None = None

    def add(self, seen: Seen, own_w: float) -> None:
        """Takes one step, in which consumers that obey moved towards the limit by `own_w`."""
        facts, sign, before = seen.facts, self._sign, self._before or seen.facts
        house_w = sign * (facts.load_w + facts.roofs_w)
        moved_w = sign * facts.load_w - sign * before.load_w
        for roof, former in zip(facts.roofs, before.roofs, strict=True):
            moved_w += _rise_w(sign, roof, former)
        part_w = 0.0
        for part, was in zip(facts.movers, before.movers, strict=True):
            if not part.obeys:
                part_w += max(0.0, sign * part.power_w - sign * was.power_w)
        rise_w = max(0.0, moved_w) + part_w + own_w
        if rise_w > JUMP_W and self._house_w is not None:
            self._jumps.append(_Jump(seen.at_s, max(0.0, moved_w), part_w, own_w, self._house_w))
        self._before, self._house_w = facts, house_w

    def forget(self, seen: Seen, takes_s: float, *, unseen: bool) -> None:
        """Drops what can have been made up for within `takes_s`; time in which it is `unseen` does not count."""
        passed_s = 0.0 if self._looked_s is None else seen.at_s - self._looked_s
        self._looked_s = seen.at_s
        if unseen:
            self._jumps = deque(replace(jump, at_s=jump.at_s + passed_s) for jump in self._jumps)
        while self._jumps and seen.at_s - self._jumps[0].at_s >= takes_s:
            self._jumps.popleft()

    @property
    def watts(self) -> float:
        """All that is still excused."""
        if not self._jumps or self._house_w is None:
            return 0.0
        risen_w = self._house_w - min(jump.stood_w for jump in self._jumps)
        house_w = min(sum(jump.house_w for jump in self._jumps), max(0.0, risen_w))
        return house_w + sum(jump.part_w + jump.own_w for jump in self._jumps)

    @property
    def own_w(self) -> float:
        """Of that, what consumers that obey began by themselves."""
        return sum(jump.own_w for jump in self._jumps)


def _rise_w(sign: float, roof: RoofFact, before: RoofFact) -> float:
    """By how much a roof moved towards the limit, as far as the sun, and not its bound, has let it."""
    moved_w = sign * roof.power_w - sign * before.power_w
    if moved_w <= 0.0:
        return moved_w
    free_w, free_before_w = _free_w(sign, roof), _free_w(sign, before)
    return min(moved_w, max(0.0, free_w - free_before_w))


def _free_w(sign: float, roof: RoofFact) -> float:
    """What it would give without its bound, towards the limit."""
    return -sign * roof.available_w if roof.obeys else sign * roof.power_w
