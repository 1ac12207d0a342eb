"""What each member of a domain gets of a limit or a dispatch of the connection point above. Pure, linear in power.

Interpretation (IEC TS 62746-3 leaves open how a domain divides): by need first, by declared capability where there is
not enough for all needs, and nobody is told more than there is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

GROWTH = 0.1
"""So much more than it takes now, as a share of that, a member needs to be able to grow."""
SPARE = 0.05
"""And as a share of the most that it declares."""


@dataclass(frozen=True, slots=True)
class Member:
    """One that draws through the connection point, in one direction: a sub-VEN, or the house itself. Magnitudes in W.

    One that does not `follow` (lost, opted out, or fixed by nature) is told nothing and counts with what it takes, or
    where that is not known with the most that it declares.
    """

    name: str
    most_w: float | None = None  # what it declares; None: nothing
    takes_w: float | None = None  # now, or when it was last heard; None: not known
    follows: bool = True

    @property
    def counted_w(self) -> float:
        """What has to be reckoned with where it can't be told anything."""
        return (self.most_w or 0.0) if self.takes_w is None else self.takes_w

    @property
    def need_w(self) -> float | None:
        """What it is to have before anybody has more than he needs; None: as much as its weight."""
        if self.takes_w is None:
            return self.most_w
        grown_w = self.takes_w * (1 + GROWTH) + SPARE * (self.most_w or self.takes_w)
        return grown_w if self.most_w is None else min(grown_w, max(self.most_w, self.takes_w))


def room_w(limit_w: float, members: Iterable[Member]) -> float:
    """What is left of a limit for those who follow."""
    return max(limit_w - sum(sorted(m.counted_w for m in members if not m.follows)), 0.0)


def split_limit(limit_w: float, members: Sequence[Member]) -> dict[str, float]:
    """The share of each member that follows; together they are what the others leave of the limit, never more.

    Needs are met first, weighted by capability where they can't be met in full; then up to capability; what is left
    goes by capability too, as a household may draw more than its devices declare.
    """
    followers = sorted((m for m in members if m.follows), key=lambda m: m.name)
    left_w = room_w(limit_w, members)
    weights = _weights(followers)
    needs = {m.name: weights[m.name] if (need := m.need_w) is None else need for m in followers}
    shares = filled(left_w, needs, weights)
    more = {m.name: max(weights[m.name] - shares[m.name], 0.0) for m in followers}
    second = filled(max(left_w - sum(shares.values()), 0.0), more, weights)
    shares = {name: shares[name] + second[name] for name in shares}
    left_w = max(left_w - sum(shares.values()), 0.0)
    total = sum(weights.values())
    return {name: share + (left_w * weights[name] / total if total else 0.0) for name, share in shares.items()}


def split_power(power_w: float, members: Sequence[Member]) -> dict[str, float]:
    """The share of each follower of a power asked of all together, in the direction of the members' magnitudes.

    Nobody is asked for more than it declares; who declares nothing is taken for a mean one.
    """
    followers = sorted((m for m in members if m.follows), key=lambda m: m.name)
    weights = _weights(followers)
    wants = {m.name: weights[m.name] if m.most_w is None else m.most_w for m in followers}
    return filled(room_w(power_w, members), wants, weights)


def filled(amount_w: float, wants: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """An amount over wants so that, by weight, nobody has more than another whose want is not met (max-min fair)."""
    found: dict[str, float] = {}
    waiting = sorted(wants, key=lambda name: (_full_at(wants[name], weights[name]), name))
    total = sum(weights[name] for name in waiting)
    for name in waiting:
        fair_w = amount_w * weights[name] / total if total > 0 else 0.0
        found[name] = min(wants[name], fair_w, amount_w)
        amount_w -= found[name]
        total -= weights[name]
    return found


def _full_at(want_w: float, weight: float) -> float:
    return want_w / weight if weight > 0 else 0.0


def _weights(members: Sequence[Member]) -> dict[str, float]:
    """The capability of each; one that declares nothing counts as the mean of the others, all alike if none does."""
    declared = [m.most_w for m in members if m.most_w is not None]
    taken = [m.takes_w for m in members if m.takes_w is not None]
    usual = fmean(declared) if declared else max(taken, default=0.0)
    weights = {m.name: usual if m.most_w is None else m.most_w for m in members}
    if any(weights.values()):
        return weights
    return dict.fromkeys(weights, 1.0)
