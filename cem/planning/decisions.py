"""On/off decisions that the relaxed optimum breaks: fixed by diving, improved by exchange, proven by branching.

Everything is deterministic: what bounds the search are counts of linear programmes, never the clock.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.planning.lp import Answer, Array, Blocks, Index, Solver
from cem.planning.programme import NOISE_KW, Layout, LoadColumns

ROUNDS: Final = 12  # of fixing before a dive is given up
LATE: Final = 3  # rounds after which only what runs already may run
CUTS: Final = 4  # rounds of adding what a linear programme can know of a direction
DIVE_EVERY: Final = 8  # open nodes between two dives
TINY: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Effort:
    """How many linear programmes may be solved to improve, and to prove."""

    exchanges: int
    nodes: int


@dataclass(frozen=True, slots=True)
class Decided:
    """An answer that keeps every on/off rule, the bounds that make it so, and what no such answer can undercut."""

    answer: Answer
    lower: Array
    upper: Array
    bound: float


@dataclass(frozen=True, slots=True)
class _Turn:
    """A decision turned over: what the duals promise of it, and the new bounds of its columns."""

    gain: float
    key: tuple[int, bool]
    bounds: tuple[tuple[int, float, float], ...]


class Decisions:
    """The columns of a programme that may not stand between, and their bounds on the way."""

    def __init__(self, layout: Layout, solver: Solver, blocks: Blocks) -> None:
        self._layout = layout
        self._solver = solver
        self._choices = [choice for load in layout.loads for choice in load.choices]
        groups = [
            *(w.into for w in layout.ways),
            *(w.out for w in layout.ways),
            *(s.columns for s in layout.steady),
            *(c.columns for c in self._choices),
        ]
        self._columns: Index = np.unique(np.concatenate(groups)) if groups else np.arange(0)
        self.lower, self.upper = blocks.bounds
        self._costs = blocks.costs

    # --- what is broken ------------------------------------------------------------------------------------

    def broken(self, values: Array) -> bool:
        """Whether anything stands between."""
        return (
            any(ways.both(values).any() for ways in self._layout.ways)
            or any(_between(values[s.columns], s.least).any() for s in self._layout.steady)
            or any(_split(values[choice.columns]).any() for choice in self._choices)
        )

    def cut(self, answer: Answer) -> Answer:
        """Adds what a linear programme can know of the directions that an optimum breaks; a tighter optimum."""
        for _ in range(CUTS):
            added = False
            for ways in self._layout.ways:
                both = ways.both(answer.values)
                beyond = answer.values[ways.into] / ways.most_in + answer.values[ways.out] / ways.most_out > 1.0 + TINY
                if (both & beyond).any():
                    ways.add_hull(self._solver.add_rows, both & beyond)
                    added = True
            if not added:
                break
            answer = self._solver.run()
        return answer

    # --- bounds --------------------------------------------------------------------------------------------

    def apply(self, lower: Array, upper: Array) -> None:
        """Gives the solver these bounds of all columns (only those that may change are handed over)."""
        self._solver.bound_columns(self._columns, lower[self._columns], upper[self._columns])

    def _settle_ways(self, values: Array, upper: Array, spread: bool) -> None:
        """The stronger of two flows stays; spread: each as often as makes the sum of both come out over time."""
        for ways in self._layout.ways:
            both = ways.both(values)
            into, out = values[ways.into], values[ways.out]
            inward = into / ways.most_in >= out / ways.most_out
            if spread:
                owed = 0.0
                for at in np.flatnonzero(both):
                    owed += float(into[at] / ways.most_in[at] - out[at] / ways.most_out[at])
                    inward[at] = owed >= 0.0
                    owed -= 1.0 if inward[at] else -1.0
            upper[ways.out[both & inward]] = 0.0
            upper[ways.into[both & ~inward]] = 0.0

    def _settle_choices(self, values: Array, lower: Array, upper: Array, cost: Array) -> None:
        """Of the first load that is split, what is most chosen is taken, the cheaper of equals, its pieces in order."""
        for load in self._layout.loads:
            if not any(_split(values[choice.columns]).any() for choice in load.choices):
                continue
            if values[load.missed[0]] > 0.5:  # no room for it
                taken: list[int] = []
            elif len(load.choices) > 1:
                taken = _in_order([values[choice.columns] for choice in load.choices], load)
            else:
                (choice,) = load.choices
                order = np.lexsort((cost[choice.columns], -np.round(values[choice.columns], 6)))
                taken = [int(column) for column in choice.columns[order[: choice.count]]]
            for choice in load.choices:
                upper[choice.columns] = 0.0
            lower[taken] = upper[taken] = 1.0
            return

    def seal(self, decided: Decided) -> None:
        """Gives the solver bounds that leave nothing open, so that no other optimum of the same cost breaks a rule."""
        self.apply(*self._sealed(decided.answer.values, decided.lower, decided.upper))

    def pattern(self, values: Array) -> Array:
        """What is on, what is off and which way everything goes, for `follow`."""
        lower, upper = self._sealed(values, self.lower, self.upper)
        return np.stack([lower[self._columns] > 0.0, upper[self._columns] > 0.0]).astype(np.float64)

    def follow(self, pattern: Array, most: float) -> Decided | None:
        """The optimum with the decisions of an earlier one of the same shape; None where they can't be or cost more."""
        if pattern.shape[1] != len(self._columns):
            return None
        lower, upper = self.lower.copy(), self.upper.copy()
        least = np.zeros(len(lower))
        for steady in self._layout.steady:
            least[steady.columns] = steady.least
        for choice in self._choices:
            least[choice.columns] = 1.0
        on = pattern[0] * (upper[self._columns] >= least[self._columns])
        lower[self._columns] = np.maximum(lower[self._columns], on * least[self._columns])
        upper[self._columns] = np.where(pattern[1] > 0.0, upper[self._columns], lower[self._columns])
        self.apply(lower, upper)
        found = self._solver.run_below(most)
        if found is None or self.broken(found.values):
            return None
        return Decided(found, lower, upper, -np.inf)

    def _sealed(self, values: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
        lower, upper = lower.copy(), upper.copy()
        for steady in self._layout.steady:
            running = values[steady.columns] >= steady.least - NOISE_KW
            lower[steady.columns[running]] = steady.least
            upper[steady.columns[~running]] = 0.0
        for ways in self._layout.ways:
            inward = values[ways.into] >= values[ways.out]
            upper[ways.out[inward]] = 0.0
            upper[ways.into[~inward]] = 0.0
        for choice in self._choices:
            lower[choice.columns] = upper[choice.columns] = np.round(values[choice.columns])
        return lower, upper

    # --- diving --------------------------------------------------------------------------------------------

    def dive(self, start: Answer, lower: Array, upper: Array, tactic: str, most: float) -> Decided | None:
        """Fixes what is broken round by round until nothing is; None where that leads nowhere below `most`.

        Where what was fixed can't be, everything that stands below its least is kept off instead.
        """
        answer = start
        for turn in range(ROUNDS):
            if not self.broken(answer.values):
                return Decided(answer, lower, upper, -np.inf)
            _, reduced = self._solver.duals()
            for way in (tactic, "off"):
                low, high = lower.copy(), upper.copy()
                self._settle_ways(answer.values, high, tactic == "spread")
                self._settle_choices(answer.values, low, high, reduced)
                for steady in self._layout.steady:
                    _settle_steady(steady.columns, steady.least, answer.values, low, high, way, turn)
                self.apply(low, high)
                found = self._solver.run_below(most)
                if found is not None:
                    break
            if found is None:
                return None
            answer, lower, upper = found, low, high
        return None

    def uncross(self, dearest: bool) -> tuple[Array, Array]:
        """Bounds that give each slot in which feeding in pays more than buying costs one direction.

        The direction is that of the optimum at prices without that temptation: both as the dearer of the two, or both
        as the cheaper.
        """
        upper, ways = self.upper.copy(), self._layout.crossed
        into, out = self._costs[ways.into], self._costs[ways.out]
        buy, sell = (np.maximum(into, -out), out) if dearest else (into, np.maximum(-into, out))
        columns = np.concatenate([ways.into, ways.out])
        self._solver.price_columns(columns, np.concatenate([buy, sell]))
        self.apply(self.lower, self.upper)
        values = self._solver.run().values
        inward = values[ways.into] >= values[ways.out]
        upper[ways.out[inward]] = 0.0
        upper[ways.into[~inward]] = 0.0
        self._solver.price_columns(columns, np.concatenate([into, out]))
        return self.lower, upper

    # --- exchange ------------------------------------------------------------------------------------------

    def improve(self, best: Decided, tries: int, enough: float) -> Decided:
        """Turns single decisions over where the duals promise most; keeps what is cheaper."""
        tried: set[tuple[int, bool]] = set()
        while tries > 0 and best.answer.objective - best.bound > enough:
            self.apply(best.lower, best.upper)
            answer = self._solver.run()
            _, reduced = self._solver.duals()
            better = None
            for turn in self._turns(answer.values, reduced, best)[: 4 * tries]:
                if turn.key in tried:
                    continue
                tried.add(turn.key)
                lower, upper = best.lower.copy(), best.upper.copy()
                for column, low, high in turn.bounds:
                    lower[column], upper[column] = low, high
                self.apply(lower, upper)
                tries -= 1
                found = self._solver.run_below(best.answer.objective - enough / 50.0)
                if found is not None and not self.broken(found.values):
                    better = Decided(found, lower, upper, best.bound)
                if better is not None or tries <= 0:
                    break
            if better is None:
                break
            best = better
        return best

    def _turns(self, values: Array, reduced: Array, best: Decided) -> list["_Turn"]:
        """Single decisions to turn over, the most promising first."""
        found = []
        for steady in self._layout.steady:
            now, low, high = values[steady.columns], best.lower[steady.columns], best.upper[steady.columns]
            most = self.upper[steady.columns]
            off = (now <= NOISE_KW) & (high == 0.0) & (most > 0.0)
            weakest = (low > 0.0) & (now <= low + NOISE_KW)
            gain = (
                np.where(off, -reduced[steady.columns], np.where(weakest, reduced[steady.columns], 0.0)) * steady.least
            )
            for at in np.flatnonzero(gain > 0.0):
                column, on = int(steady.columns[at]), bool(off[at])
                turned = (column, steady.least, float(most[at])) if on else (column, 0.0, 0.0)
                found.append(_Turn(float(gain[at]), (column, on), (turned,)))
        for ways in self._layout.ways:
            for shut, open_, most_shut in ((ways.into, ways.out, ways.most_in), (ways.out, ways.into, ways.most_out)):
                gain = np.where(best.upper[shut] == 0.0, -reduced[shut] * most_shut, 0.0)
                for at in np.flatnonzero(gain > TINY):
                    opened, closed = int(shut[at]), int(open_[at])
                    bounds = ((opened, 0.0, float(self.upper[opened])), (closed, 0.0, 0.0))
                    found.append(_Turn(float(gain[at]), (opened, True), bounds))
        found.sort(key=lambda turn: (-turn.gain, turn.key))
        return found

    # --- branching -----------------------------------------------------------------------------------------

    def prove(self, relaxed: Answer, best: Decided | None, nodes: int, enough: float) -> Decided | None:
        """Branches from the relaxed optimum until the best is within `enough` of the bound, or `nodes` are spent."""
        serial, heap = 0, [(relaxed.objective, 0, self.lower, self.upper, relaxed)]
        while heap and nodes > 0:
            bound, _, lower, upper, answer = heapq.heappop(heap)
            if best is not None and bound >= best.answer.objective - enough:
                break
            for low, high in self._branches(answer.values, lower, upper):
                nodes -= 1
                most = np.inf if best is None else best.answer.objective - enough
                self.apply(low, high)
                found = self._solver.run_below(most)
                if found is None:
                    continue
                if not self.broken(found.values):
                    best = Decided(found, low, high, relaxed.objective)
                    continue
                serial += 1
                heapq.heappush(heap, (max(found.objective, bound), serial, low, high, found))
                if serial % DIVE_EVERY == 1:
                    nodes -= 3
                    best = self.dive(found, low, high, "energy", most) or best
        if best is None:
            return None
        open_ones = [entry[0] for entry in heap]
        bound = max(relaxed.objective, min([best.answer.objective - enough, *open_ones]))  # what was cut off is above
        return Decided(best.answer, best.lower, best.upper, bound)

    def _branches(self, values: Array, lower: Array, upper: Array) -> Iterator[tuple[Array, Array]]:
        """Two ways on from what is broken most."""
        worst: tuple[float, Callable[[], list[tuple[Array, Array]]]] | None = None
        for ways in self._layout.ways:
            amount = np.minimum(values[ways.into] / ways.most_in, values[ways.out] / ways.most_out)
            at = int(amount.argmax())
            if ways.both(values)[at] and (worst is None or amount[at] > worst[0]):
                worst = float(amount[at]), _either_way(lower, upper, int(ways.into[at]), int(ways.out[at]))
        for steady in self._layout.steady:
            now = values[steady.columns]
            amount = np.where(_between(now, steady.least), np.minimum(now, steady.least - now) / steady.least, 0.0)
            at = int(amount.argmax())
            if amount[at] > 0.0 and (worst is None or amount[at] > worst[0]):
                worst = float(amount[at]), _on_or_off(lower, upper, int(steady.columns[at]), steady.least)
        for choice in self._choices:
            split = np.minimum(values[choice.columns], 1.0 - values[choice.columns])
            if split.max() > TINY and (worst is None or split.max() >= worst[0]):
                worst = float(split.max()), _either_half(lower, upper, choice.columns, values, choice.count)
        assert worst is not None, "nothing to branch on in an answer that is broken"
        yield from worst[1]()


def _between(values: Array, least: float) -> NDArray[np.bool_]:
    return (values > NOISE_KW) & (values < least - NOISE_KW)


def _split(values: Array) -> NDArray[np.bool_]:
    return (values > TINY) & (values < 1.0 - TINY)


def _in_order(chosen: list[Array], load: LoadColumns) -> list[int]:
    """One column of each piece, none before the one of the piece ahead of it, with the most that is chosen in sum."""
    best, came = chosen[0], []
    for piece in chosen[1:]:
        leading = np.maximum.accumulate(best)
        first = np.maximum.accumulate(np.where(best >= leading, np.arange(len(best)), 0))
        came.append(first)
        best = leading + piece
    at = int(best.argmax())
    places = [at]
    for first in reversed(came):
        at = int(first[at])
        places.append(at)
    places.reverse()
    return [int(choice.columns[place]) for choice, place in zip(load.choices, places, strict=True)]


def _either_way(lower: Array, upper: Array, into: int, out: int) -> Callable[[], list[tuple[Array, Array]]]:
    def branches() -> list[tuple[Array, Array]]:
        first, second = upper.copy(), upper.copy()
        first[into], second[out] = 0.0, 0.0
        return [(lower, first), (lower, second)]

    return branches


def _on_or_off(lower: Array, upper: Array, column: int, least: float) -> Callable[[], list[tuple[Array, Array]]]:
    def branches() -> list[tuple[Array, Array]]:
        on, off = lower.copy(), upper.copy()
        on[column], off[column] = least, 0.0
        return [(on, upper), (lower, off)]

    return branches


def _either_half(
    lower: Array, upper: Array, columns: Index, values: Array, count: int
) -> Callable[[], list[tuple[Array, Array]]]:
    """A start in the earlier half of what is chosen or in the later; of several that run, one on or off."""

    def branches() -> list[tuple[Array, Array]]:
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


def _settle_steady(
    columns: Index, least: float, values: Array, lower: Array, upper: Array, tactic: str, turn: int
) -> None:
    """Turns what stands between on or off.

    "drop" keeps off what is weak first and lets the rest find its place; "energy" turns on the strongest, as many as
    the energy of the weak ones makes; "round" goes by each one's own power; "off" keeps all of
    them off and lets go what was to run.
    """
    now = values[columns]
    weak = _between(now, least)
    if not weak.any():
        return
    on = np.zeros(len(columns), bool)
    if tactic == "off":
        lower[columns] = 0.0
    elif tactic == "spread" and turn < 2:
        owed = 0.0
        for at in np.flatnonzero(weak):
            owed += float(now[at])
            on[at] = owed >= least / 2.0
            owed -= least if on[at] else 0.0
    elif tactic == "energy" or turn >= LATE:
        strongest = np.flatnonzero(weak)[np.argsort(-now[weak], kind="stable")]
        on[strongest[: int(np.round(now[weak].sum() / least))]] = True
    elif tactic == "round":
        on = weak & (now >= least / 2.0)
    else:
        on = weak & (now >= 0.75 * least)
    if turn >= LATE:  # what is turned off must not turn up elsewhere for ever
        upper[columns[now <= NOISE_KW]] = 0.0
        on |= weak & (turn % 2 == 0)
    lower[columns[on]] = least
    upper[columns[weak & ~on]] = 0.0
    if tactic not in {"drop", "off"} or turn >= 2:
        running = now >= least - NOISE_KW
        lower[columns[running]] = np.maximum(lower[columns[running]], least)
