"""Branching, as far as a fixed number of linear programmes goes: proof, and better answers stretch by stretch."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.planning.decisions import TINY, Decided, Decisions, between
from cem.planning.dive import dive
from cem.planning.lp import Answer, Array, Basis, Index

DIVE_EVERY: Final = 8  # open nodes between two dives
STRETCH: Final = 16  # slots that are branched in at once
NODES: Final = 12  # linear programmes for a stretch
LITTLE: Final = 0.1  # of what is enough: what a stretch saves at least

_Bounds = tuple[Array, Array]
# What it can't undercut, a number of its own, bounds, the optimum, and where the solver stood then.
_Open = tuple[float, int, Array, Array, Answer, Basis | None]


def prove(decisions: Decisions, relaxed: Answer, best: Decided | None, nodes: int, enough: float) -> Decided | None:
    """Branches until the best is within `enough` of the bound, or `nodes` are spent; what it found on the way."""
    start = (relaxed.objective, 0, decisions.lower, decisions.upper, relaxed, None)
    best, open_ones, _ = _branched(decisions, start, best, nodes, enough)
    if best is None:
        return None
    bound = max(relaxed.objective, min([best.answer.objective - enough, *open_ones]))  # what was cut off is above
    return replace(best, bound=bound)


def mend(decisions: Decisions, relaxed: Answer, best: Decided, nodes: int, enough: float) -> Decided:
    """Branches in one stretch of the horizon after the other, all else as it is; first where `relaxed` differs most.

    Only in slots in which more than one part can be moved: going over one alone finds its best way; and not in those
    in which feeding in pays more than buying costs, which are gone over by themselves. What a stretch can save at most
    is little beside all that the bound lacks, so that few branches tell.
    """
    contested = decisions.moving > 1.0
    contested[decisions.layout.crossed.slots] = False
    differing = decisions.differing(relaxed.values, best.answer.values) & contested
    for here in _stretches(contested, differing):
        if nodes <= 0 or best.excess <= enough:
            break
        best, spent = _mended(decisions, best, here, min(nodes, NODES), enough * LITTLE)
        nodes -= spent
    return best


def _stretches(contested: NDArray[np.bool_], differing: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """Slots side by side, those first that differ most; no differing slot twice, then all others."""
    every = np.arange(len(contested))
    for slots in (differing, contested & ~differing):
        left = slots.copy()
        while left.any():
            within = np.convolve(left, np.ones(STRETCH))[STRETCH - 1 :]  # how many of those left are in each stretch
            most = np.flatnonzero(within == within.max())
            first = int(most[most < most[0] + STRETCH].mean())
            stretch = (every >= first) & (every < first + STRETCH)
            yield contested & stretch
            left &= ~stretch


def _mended(
    decisions: Decisions, best: Decided, here: NDArray[np.bool_], nodes: int, little: float
) -> tuple[Decided, int]:
    """The best within these slots, all else as it is, where it is better by more than a little; what it took."""
    lower, upper = decisions.opened(best, here)
    relaxed = decisions.relaxed_below(lower, upper, best.answer.objective - little)
    if relaxed is None:
        return best, 1
    if not decisions.broken(relaxed.values):
        return replace(decisions.decided(relaxed, lower, upper), bound=best.bound), 1
    found, _, left = _branched(decisions, (relaxed.objective, 0, lower, upper, relaxed, None), best, nodes, little)
    assert found is not None, "what was there before is found at least"
    return replace(found, bound=best.bound), 1 + nodes - left


def _branched(
    decisions: Decisions, start: _Open, best: Decided | None, nodes: int, enough: float
) -> tuple[Decided | None, list[float], int]:
    """The best that is found, the bounds of what was left open, and the nodes that are left."""
    serial, heap = 0, [start]
    while heap and nodes > 0:
        bound, _, lower, upper, answer, basis = heapq.heappop(heap)
        if best is not None and bound >= best.answer.objective - enough:
            break
        for low, high in _branches(decisions, answer.values, lower, upper):
            nodes -= 1
            most = np.inf if best is None else best.answer.objective - enough
            decisions.go_on_from(basis)
            found = decisions.relaxed_below(low, high, most)
            if found is None:
                continue
            if not decisions.broken(found.values):
                best = decisions.decided(found, low, high)
                continue
            serial += 1
            heapq.heappush(heap, (max(found.objective, bound), serial, low, high, found, decisions.standing()))
            if serial % DIVE_EVERY == 1:
                nodes -= 3
                best = dive(decisions, found, low, high, "energy", most) or best
    return best, [entry[0] for entry in heap], nodes


def _branches(decisions: Decisions, values: Array, lower: Array, upper: Array) -> Iterator[_Bounds]:
    """Two ways on from what is broken most."""
    worst: tuple[float, Callable[[], list[_Bounds]]] | None = None
    for ways in decisions.layout.ways:
        amount = np.minimum(values[ways.into] / ways.most_in, values[ways.out] / ways.most_out)
        at = int(amount.argmax())
        if ways.both(values)[at] and (worst is None or amount[at] > worst[0]):
            worst = float(amount[at]), _either_way(lower, upper, int(ways.into[at]), int(ways.out[at]))
    for steady in decisions.layout.steady:
        now = values[steady.columns]
        amount = np.where(between(now, steady.least), np.minimum(now, steady.least - now) / steady.least, 0.0)
        at = int(amount.argmax())
        if amount[at] > 0.0 and (worst is None or amount[at] > worst[0]):
            worst = float(amount[at]), _on_or_off(lower, upper, int(steady.columns[at]), steady.least)
    for choice in decisions.choices:
        amount = np.minimum(values[choice.columns], 1.0 - values[choice.columns])
        if amount.max() > TINY and (worst is None or amount.max() >= worst[0]):
            worst = float(amount.max()), _either_half(lower, upper, choice.columns, values, choice.count)
    assert worst is not None, "nothing to branch on in an answer that is broken"
    yield from worst[1]()


def _either_way(lower: Array, upper: Array, into: int, out: int) -> Callable[[], list[_Bounds]]:
    def branches() -> list[_Bounds]:
        first, second = upper.copy(), upper.copy()
        first[into], second[out] = 0.0, 0.0
        return [(lower, first), (lower, second)]

    return branches


def _on_or_off(lower: Array, upper: Array, column: int, least: float) -> Callable[[], list[_Bounds]]:
    def branches() -> list[_Bounds]:
        on, off = lower.copy(), upper.copy()
        on[column], off[column] = least, 0.0
        return [(on, upper), (lower, off)]

    return branches


def _either_half(lower: Array, upper: Array, columns: Index, values: Array, count: int) -> Callable[[], list[_Bounds]]:
    """A start in the earlier half of what is chosen or in the later; of several that run, one on or off."""

    def branches() -> list[_Bounds]:
        """The two halves as bounds."""
        if count > 1:
            split = np.minimum(values[columns], 1.0 - values[columns])
            column = int(columns[int(split.argmax())])
            on, off = lower.copy(), upper.copy()
            on[column], off[column] = 1.0, 0.0
            return [(on, upper), (lower, off)]
        mass = np.cumsum(values[columns])
        middle = min(int(np.searchsorted(mass, mass[-1] / 2.0)), len(columns) - 2)
        early, late = upper.copy(), upper.copy()
        early[columns[middle + 1 :]] = 0.0
        late[columns[: middle + 1]] = 0.0
        return [(lower, early), (lower, late)]

    return branches
