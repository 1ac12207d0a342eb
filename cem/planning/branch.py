"""Proof: branching from the relaxed optimum, as far as a fixed number of linear programmes goes."""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np

from cem.planning.decisions import TINY, Decided, Decisions, between
from cem.planning.dive import dive
from cem.planning.lp import Answer, Array, Index

DIVE_EVERY: Final = 8  # open nodes between two dives

_Bounds = tuple[Array, Array]


def prove(decisions: Decisions, relaxed: Answer, best: Decided | None, nodes: int, enough: float) -> Decided | None:
    """Branches until the best is within `enough` of the bound, or `nodes` are spent; what it found on the way."""
    serial, heap = 0, [(relaxed.objective, 0, decisions.lower, decisions.upper, relaxed)]
    while heap and nodes > 0:
        bound, _, lower, upper, answer = heapq.heappop(heap)
        if best is not None and bound >= best.answer.objective - enough:
            break
        for low, high in _branches(decisions, answer.values, lower, upper):
            nodes -= 1
            most = np.inf if best is None else best.answer.objective - enough
            found = decisions.relaxed_below(low, high, most)
            if found is None:
                continue
            if not decisions.broken(found.values):
                best = decisions.decided(found, low, high)
                continue
            serial += 1
            heapq.heappush(heap, (max(found.objective, bound), serial, low, high, found))
            if serial % DIVE_EVERY == 1:
                nodes -= 3
                best = dive(decisions, found, low, high, "energy", most) or best
    if best is None:
        return None
    open_ones = [entry[0] for entry in heap]
    bound = max(relaxed.objective, min([best.answer.objective - enough, *open_ones]))  # what was cut off is above
    return replace(best, bound=bound)


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
