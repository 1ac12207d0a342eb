"""Sharing what is there: several limits at once, minimums, classes, and fairness among equals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cem.model.values import value

TINY = 1e-9


@value(frozen=True, slots=True)
class Claim:
    """What one consumer would like, in steps of its own unit (amperes, or 1 for what is only on or off).

    `use` says what one unit takes from each pool; a negative use asks that no more than so much is missing there. A
    pool in `drains` is emptied by it but does not bound it. A claim with `held` gets its least before all others (its
    contactor may not open yet), also where the pools that it `overdraws` have too little; they bound what goes beyond.
    """

    id: str
    rank: tuple[float, ...]  # class and priority; the smaller comes first, equals share
    turn: tuple[float, ...]  # among equals, whose minimum is tried first
    least: float
    most: float
    use: Mapping[str, float]
    drains: frozenset[str] = frozenset()
    held: bool = False
    overdraws: frozenset[str] = frozenset()
    entry: float = 0.0  # so much must be there before it gets its least (hysteresis)

    def bounded_by(self) -> list[str]:
        """The pools that bound it."""
        return [pool for pool, use in self.use.items() if use > 0.0 and pool not in self.drains]


@dataclass(slots=True)
class Share:
    """What a claim got: 0, or between its least and its most; `bound_by` names the pool that bounded it."""

    level: float = 0.0
    bound_by: str | None = None


@dataclass(slots=True)
class Pools:
    """What is left of each limit."""

    room: dict[str, float] = field(default_factory=dict)

    def take(self, claim: Claim, units: float) -> None:
        """Books `units` of a claim."""
        for pool, use in claim.use.items():
            self.room[pool] -= use * units

    def short(self, claim: Claim, units: float, but: frozenset[str] = frozenset()) -> str | None:
        """The first pool that has not so much left, or None; those in `but` are not looked at."""
        for pool, use in claim.use.items():
            short = self.room[pool] + TINY * abs(use) < use * units
            if short and use != 0.0 and pool not in claim.drains and pool not in but:
                return pool
        return None


def share(claims: Iterable[Claim], pools: Pools) -> dict[str, Share]:
    """Shares the pools, whole units only. The result depends on what the claims are, never on their order in the list.

    First come the minimums that are held, then class by class: minimums in turn as long as they fit, then everybody's
    level rises alike until a pool is empty or a claim has its most.
    """
    ordered = sorted(claims, key=lambda claim: (claim.rank, claim.turn, claim.id))
    shares = {claim.id: Share() for claim in ordered}
    for claim in ordered:
        if claim.held and claim.most > 0.0:
            _admit(claim, shares[claim.id], pools, claim.overdraws)
    start = 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end].rank == ordered[start].rank:
            end += 1
        group = ordered[start:end]
        served = []
        for claim in group:
            got = shares[claim.id]
            if got.level == 0.0 and claim.most > 0.0:
                _admit(claim, got, pools)
            if got.level > 0.0:
                served.append(claim)
        _rise(served, shares, pools)
        start = end
    return shares


def _admit(claim: Claim, got: Share, pools: Pools, but: frozenset[str] = frozenset()) -> None:
    if claim.most + TINY < claim.least:
        return
    got.bound_by = pools.short(claim, max(claim.least, claim.entry), but)
    if got.bound_by is None:
        pools.take(claim, claim.least)
        got.level = claim.least


def _rise(group: Sequence[Claim], shares: dict[str, Share], pools: Pools) -> None:
    """Raises equals by the same amount at a time; a claim that meets an empty pool stops, the others go on."""
    active = [claim for claim in group if claim.most - shares[claim.id].level > TINY]
    if not active:
        return
    level = {claim.id: shares[claim.id].level for claim in group}
    room = dict(pools.room)
    while active:
        load: dict[str, float] = {}
        for claim in active:
            for pool, use in claim.use.items():
                load[pool] = load.get(pool, 0.0) + use
        bounded_by = {claim.id: claim.bounded_by() for claim in active}
        bounding = {pool for bounds in bounded_by.values() for pool in bounds}
        steps = [claim.most - level[claim.id] for claim in active]
        step = min(steps + [max(0.0, room[pool]) / load[pool] for pool in bounding])
        for claim in active:
            level[claim.id] += step
        for pool, total in load.items():
            room[pool] -= total * step
        empty = {pool for pool in bounding if room[pool] <= TINY * max(1.0, load[pool])}
        still = [
            claim
            for claim in active
            if claim.most - level[claim.id] > TINY * max(1.0, claim.most) and empty.isdisjoint(bounded_by[claim.id])
        ]
        if len(still) == len(active):
            break
        active = still
    _whole(group, level, shares, pools)


def _whole(group: Sequence[Claim], level: Mapping[str, float], shares: dict[str, Share], pools: Pools) -> None:
    """Whole units, and then what the rounding left, one unit each in turn."""
    for claim in group:
        whole = float(int(level[claim.id] - claim.least + 1e-6)) + claim.least
        pools.take(claim, whole - shares[claim.id].level)
        shares[claim.id].level = whole
    hungry = list(group)
    while hungry:
        still = []
        for claim in hungry:
            got = shares[claim.id]
            if got.level + 1.0 > claim.most + TINY:
                continue
            got.bound_by = pools.short(claim, 1.0)
            if got.bound_by is None:
                pools.take(claim, 1.0)
                got.level += 1.0
                still.append(claim)
        hungry = still
