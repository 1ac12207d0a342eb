"""The on/off decisions of a programme: what of a solution breaks them, and the bounds that settle them.

Once the programme learns what can be known of broken slots (`hull.py`), for bounds and first answers, there is a plain
one beside it, quicker where all decisions are settled, which the answer's duals come from.
"""

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.model.values import lazy, value
from cem.planning.hull import Hulls
from cem.planning.least import Leasts
from cem.planning.lp import Answer, Array, Basis, Blocks, Index, Solver
from cem.planning.parts import Problem
from cem.planning.pattern import Pattern, followed, pattern_of
from cem.planning.programme import NOISE_KW, Group, Layout
from cem.planning.slot_cost import slot_cost

CUTS: Final = 4  # rounds of adding what a linear programme can know of broken slots
REST: Final = 2  # broken slots, at most, that are left to the first answers once what is known of others is added
TINY: Final = 1e-6
SMALL: Final = 64  # slots of a programme, at most, that begins anew from a basis as quickly as it goes on


@value(frozen=True, slots=True, eq=False)
class Decided:
    """An answer that keeps every on/off rule, the bounds that make it so, and what no such answer can undercut.

    `row_duals`: of the programme that the answer comes from, within these bounds; None where a plainer one tells more.
    """

    answer: Answer
    lower: Array
    upper: Array
    bound: float = -np.inf
    row_duals: Array | None = None

    @property
    def excess(self) -> float:
        """By how much the answer is above what none can undercut."""
        return self.answer.objective - self.bound


class Decisions:
    """The columns of a programme that may not stand between, and the programme solved within bounds of them."""

    def __init__(self, problem: Problem, layout: Layout, solver: Solver, blocks: Blocks) -> None:
        self.problem = problem
        self.layout = layout
        self.choices = [choice for load in layout.loads for choice in load.choices]
        self.lower, self.upper = blocks.bounds
        self.costs = blocks.costs
        self._where = np.zeros(len(self.lower), bool)  # what may not stand between; all else keeps its bounds
        for ways in layout.ways:
            self._where[ways.into] = self._where[ways.out] = True
        for columns in (*(steady.columns for steady in layout.steady), *(choice.columns for choice in self.choices)):
            self._where[columns] = True
        self._blocks = blocks
        self._tight = solver
        self._plain: Solver | None = solver  # None: to be made of the blocks

    @lazy
    def _hulls(self) -> Hulls:
        return Hulls(self.problem, self.layout, self.costs)

    @lazy
    def _leasts(self) -> Leasts:
        return Leasts(self.problem, self.layout)

    # --- what is broken ------------------------------------------------------------------------------------

    def broken(self, values: Array) -> bool:
        """Whether anything stands between."""
        return (
            any(np.count_nonzero(ways.both(values)) for ways in self.layout.ways)
            or any(np.count_nonzero(between(values[s.columns], s.least)) for s in self.layout.steady)
            or any(np.count_nonzero(split(values[choice.columns])) for choice in self.choices)
        )

    def broken_count(self, values: Array) -> int:
        """How many columns stand between."""
        ways = sum(int(ways.both(values).sum()) for ways in self.layout.ways)
        steady = sum(int(between(values[s.columns], s.least).sum()) for s in self.layout.steady)
        return ways + steady + sum(int(split(values[choice.columns]).any()) for choice in self.choices)

    def differing(self, one: Array, other: Array) -> NDArray[np.bool_]:
        """The slots in which two solutions go different ways, or only one of them runs."""
        found = np.zeros(self.problem.slots, bool)
        for ways in self.layout.ways:
            for into, out in ((ways.into, ways.out), (ways.out, ways.into)):
                found[ways.slots[np.minimum(one[into], other[out]) > NOISE_KW]] = True
        for steady in self.layout.steady:
            running = (one[steady.columns] > NOISE_KW) != (other[steady.columns] > NOISE_KW)
            found[steady.slots[running | between(one[steady.columns], steady.least)]] = True
        return found

    @property
    def moving(self) -> Array:
        """How many parts can be moved in each slot."""
        return self._hulls.moving

    def cut(self, answer: Answer) -> Answer:
        """Adds what a linear programme can know of the slots that an optimum breaks; a tighter optimum."""
        for turn in range(CUTS):
            slots = self._hulls.broken(answer.values)
            beyond = [ways.beyond(answer.values) for ways in self.layout.ways]
            least = self._leasts.broken(answer.values)
            new = slots.size + sum(int(where.sum()) for where in beyond) + sum(rows.size for rows in least)
            if new <= (REST if turn else 0):
                break
            if self._plain is self._tight:
                self._plain = None
            self._tight.extend(partial(self._cut, slots, beyond, least))
            answer = self.relaxed(self.lower, self.upper)
        return answer

    def _cut(self, slots: Index, beyond: list[NDArray[np.bool_]], least: list[Index], blocks: Blocks) -> None:
        if slots.size:
            self._hulls.add(blocks, slots)
        for ways, where in zip(self.layout.ways, beyond, strict=True):
            ways.add_hull(blocks.add_rows, where)
        self._leasts.add(blocks, least)

    # --- solved within bounds ------------------------------------------------------------------------------

    def relaxed(self, lower: Array, upper: Array) -> Answer:
        """The optimum of the programme that knows most, whatever it breaks; raises SolverFailedError without one."""
        self._tight.bound(lower, upper, self._where)
        return self._tight.run()

    def relaxed_below(self, lower: Array, upper: Array, most: float) -> Answer | None:
        """The same, or None where there is none below `most`."""
        self._tight.bound(lower, upper, self._where)
        return self._tight.run_below(most)

    def standing(self) -> Basis | None:
        """Where the last run of the programme that knows most ended; None where starting from there does not pay."""
        return self._tight.standing() if self.problem.slots <= SMALL else None

    def go_on_from(self, basis: Basis | None) -> None:
        """Its next run starts from there."""
        if basis is not None:
            self._tight.go_on_from(basis)

    @property
    def _settled(self) -> Solver:
        if self._plain is None:
            self._plain = self._tight.again(self._blocks)
        return self._plain

    def settled_below(self, lower: Array, upper: Array, most: float) -> Decided | None:
        """The optimum within bounds that settle every decision; None where it breaks one or is not below `most`."""
        self._settled.bound(lower, upper, self._where)
        found = self._settled.run_below(most)
        if found is None or self.broken(found.values):
            return None
        return Decided(found, lower, upper, row_duals=self._settled.row_duals())

    def decided(self, found: Answer, lower: Array, upper: Array) -> Decided:
        """The last optimum of the programme that knows most, within its bounds, where it breaks nothing."""
        only = self._plain is None or self._plain is self._tight
        return Decided(found, lower, upper, row_duals=self._tight.row_duals() if only else None)

    def settled(self, decided: Decided) -> Answer:
        """The optimum within a decided answer's bounds, to go on from."""
        self._settled.bound(decided.lower, decided.upper, self._where)
        return self._settled.run()

    def seal(self, decided: Decided) -> tuple[Answer, Array]:
        """The decided answer with nothing left open, and the duals of all rows.

        Where its values are within the narrower bounds already, it is their optimum too, with the same duals. The
        programme that knows most, where the plain one was not needed, has the same ones: with nothing open what it
        knows besides binds nothing.
        """
        lower, upper = self.sealed(decided)
        values = decided.answer.values[: len(lower)]  # without what the programme knows besides
        if decided.row_duals is not None and np.all((values >= lower - TINY) & (values <= upper + TINY)):
            return decided.answer, decided.row_duals
        solver = self._plain or self._tight
        solver.bound(lower, upper, self._where)
        return solver.run(), solver.row_duals()

    def row_duals(self) -> Array:
        """Duals of the rows at the last optimum of the relaxed programme."""
        return self._tight.row_duals()

    def reduced_costs(self, settled: bool = False) -> Array:
        """Of the columns at the last optimum of the relaxed programme, or the settled one."""
        return (self._settled if settled else self._tight).reduced_costs()

    # --- bounds --------------------------------------------------------------------------------------------

    def sealed(self, decided: Decided) -> tuple[Array, Array]:
        """Bounds that leave no decision of an answer open."""
        values, lower, upper = decided.answer.values, decided.lower.copy(), decided.upper.copy()
        for steady in self.layout.steady:
            running = values[steady.columns] >= steady.least - NOISE_KW
            lower[steady.columns[running]] = steady.least
            upper[steady.columns[~running]] = 0.0
        for ways in self.layout.ways:
            inward = values[ways.into] >= values[ways.out]
            upper[ways.out[inward]] = 0.0
            upper[ways.into[~inward]] = 0.0
        for choice in self.choices:
            lower[choice.columns] = upper[choice.columns] = np.round(values[choice.columns])
        return lower, upper

    def settled_bounds(self, decided: Decided) -> tuple[Array, Array]:
        """The same, but what runs may run with any power again."""
        lower, upper = self.sealed(decided)
        for steady in self.layout.steady:
            running = steady.columns[lower[steady.columns] >= steady.least - NOISE_KW]
            upper[running] = self.upper[running]
        return lower, upper

    def opened(self, decided: Decided, slots: NDArray[np.bool_]) -> tuple[Array, Array]:
        """The same, but everything in these slots is open (a load's run is none of one slot)."""
        lower, upper = self.settled_bounds(decided)
        for ways in self.layout.ways:
            here = slots[ways.slots]
            for columns in (ways.into[here], ways.out[here]):
                lower[columns], upper[columns] = self.lower[columns], self.upper[columns]
        for steady in self.layout.steady:
            columns = steady.columns[slots[steady.slots]]
            lower[columns], upper[columns] = self.lower[columns], self.upper[columns]
        return lower, upper

    def settle(self, lower: Array, upper: Array, group: Group, on: NDArray[np.bool_], least: float = 0.0) -> None:
        """Sets bounds of columns: on in these slots, at `least` and above, else off."""
        here = on[group.slots]
        lower[group.columns] = np.where(here, least if least > NOISE_KW else 0.0, 0.0)
        upper[group.columns] = np.where(here, self.upper[group.columns], 0.0)

    def settle_meter(self, upper: Array, taken_kw: Array) -> None:
        """Sets the way through the meter, where one has to be chosen, by what everything movable takes together."""
        crossed = self.layout.crossed
        if crossed.slots.size:
            buying = slot_cost(self.problem, crossed.slots, taken_kw[crossed.slots])[1] >= 0.0
            upper[crossed.into] = np.where(buying, self.upper[crossed.into], 0.0)
            upper[crossed.out] = np.where(buying, 0.0, self.upper[crossed.out])

    def pattern(self, answer: Answer) -> Pattern:
        """What is on, what is off and which way everything goes, for `follow`."""
        return pattern_of(self.layout, self.problem.slots, answer.values)

    def follow(self, pattern: Pattern, relaxed: Answer) -> Decided | None:
        """The optimum with the decisions of an earlier one, and as the relaxed one leans where it had none to make.

        None where they can't be.
        """
        lower, upper = followed(pattern, self.layout, (self.lower, self.upper), relaxed.values)
        return self.settled_below(lower, upper, np.inf)


def between(values: Array, least: float) -> NDArray[np.bool_]:
    """Which of the values are neither nothing nor at least so much."""
    return (values > NOISE_KW) & (values < least - NOISE_KW)


def split(values: Array) -> NDArray[np.bool_]:
    """Which of the shares are neither 0 nor 1."""
    return (values > TINY) & (values < 1.0 - TINY)
