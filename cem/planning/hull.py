"""What a linear programme can know of one slot in which not every mixture of two ways can be: the hull of all ways.

In a slot each store gives or takes, each car charges at nothing or at its least and above, and what goes through the
meter costs by a curve that bends the wrong way where feeding in pays more than buying costs. The hull of all that is
mixed of corners: every part at an end of what it may do, but for one that brings the meter to a bend of the curve.
"""

from functools import cache
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cem.model.values import lazy, value
from cem.planning.lp import Array, Blocks, Index
from cem.planning.parts import Problem
from cem.planning.programme import NOISE_KW, Group, Layout, LoadColumns
from cem.planning.slot_cost import slot_cost

PARTS: Final = 3  # more of them in one slot have too many corners
NONE: Final = -1


@value(frozen=True, slots=True, eq=False)
class _Part:
    """kW per slot that a store, a car or a load may take: from `low` to 0, and from `least` to `high`."""

    low: Array
    least: Array
    high: Array
    into: Index  # the column of what is taken, NONE where there is none
    out: Index  # and of what is given
    load: LoadColumns | None = None  # whose choices make up what is taken, in place of a column

    @property
    def ends(self) -> tuple[Array, NDArray[np.bool_]]:
        """4 ends x slots of what it may do, and which of them are any."""
        zero = np.zeros(len(self.low))
        there = (self.low < 0.0, zero == 0.0, (self.least > 0.0) & (self.least < self.high), self.high > 0.0)
        return np.array([self.low, zero, self.least, self.high]), np.array(there)

    def inside(self, slots: Index, power: Array) -> NDArray[np.bool_]:
        """Whether a power is one that it may take, and no end."""
        low, least, high = (side[slots, None] for side in (self.low, self.least, self.high))
        giving, taking = (low < power) & (power < 0.0), (np.maximum(least, 0.0) < power) & (power < high)
        return np.asarray(giving | taking)


class Hulls:
    """Adds the hull of single slots to a programme, of each slot once; `moving` parts can be moved in each."""

    def __init__(self, problem: Problem, layout: Layout, costs: Array) -> None:
        self._problem, self._layout, self._costs = problem, layout, costs.copy()
        for bought in (layout.imported, layout.import_over):  # the curve is one of money
            self._costs[bought.columns] -= layout.haste[bought.slots]
        self._parts = _parts(problem, layout)
        self.moving: Array = np.sum([part.high > part.low for part in self._parts], axis=0, dtype=np.float64)
        self._open = self.moving <= PARTS
        self._crossed: Index | None = np.flatnonzero(problem.export_price > problem.import_price)
        net = problem.load_kw - problem.pv_kw
        bends = [-net, problem.import_limit_kw - net, -problem.export_limit_kw - net]
        self._bends = np.stack([*bends, *(bend - problem.pv_kw for bend in bends if problem.curtailable)], axis=1)

    def broken(self, values: Array) -> Index:
        """The slots that a solution breaks and whose hull is not in the programme yet.

        With the first ones come all in which feeding in pays more than buying costs: they break sooner or later.
        """
        layout, slots = self._layout, self._problem.slots
        broken = np.minimum(layout.imported.over(values, slots), layout.exported.over(values, slots)) > NOISE_KW
        for part in self._parts:
            into, out = _at(values, part.into), _at(values, part.out)
            if part.load is not None:
                into = part.load.power_kw(values, slots)
            broken |= np.minimum(into, out) > NOISE_KW
            broken |= (into > NOISE_KW) & (into < part.least - NOISE_KW)
        if self._crossed is not None and broken.any():
            broken[self._crossed], self._crossed = True, None
        return np.flatnonzero(broken & self._open)

    def add(self, blocks: Blocks, slots: Index) -> None:
        """The hull of each of these slots: a mixture of its corners, in what each part does and in what it costs."""
        self._open[slots] = False
        row_of, corners = self._corners(slots)
        slot_of = slots[row_of]
        mixed = blocks.add_columns(len(row_of), 0.0, np.inf, 0.0)
        ones = np.ones(len(slots))
        blocks.add_entries(blocks.reserve_rows(ones, ones)[row_of], mixed, 1.0)
        for part, power in zip(self._parts, corners, strict=True):
            for columns, flow in ((part.into, np.maximum(power, 0.0)), (part.out, np.maximum(-power, 0.0))):
                there = columns[slots] != NONE
                rows = np.full(len(slots), NONE)
                nothing = np.zeros(int(there.sum()))
                rows[there] = blocks.reserve_rows(nothing, nothing)
                blocks.add_entries(rows[there], columns[slots][there], -1.0)
                mine = (rows[row_of] != NONE) & (flow > 0.0)
                blocks.add_entries(rows[row_of][mine], mixed[mine], flow[mine])
            if part.load is not None:
                self._add_run(blocks, slots, part.load, (row_of, mixed, power))
        unit = self._problem.price_scale * self._problem.hours
        rows = blocks.reserve_rows(np.zeros(len(slots)), np.full(len(slots), np.inf))
        blocks.add_entries(
            rows[row_of], mixed, -slot_cost(self._problem, slot_of, corners.sum(axis=0))[0] / unit[slot_of]
        )
        row_at = np.full(self._problem.slots, NONE)
        row_at[slots] = rows
        layout = self._layout
        for group in (layout.imported, layout.exported, layout.import_over, layout.export_over):
            here = row_at[group.slots] != NONE
            columns = group.columns[here]
            blocks.add_entries(row_at[group.slots[here]], columns, self._costs[columns] / unit[group.slots[here]])

    def _add_run(self, blocks: Blocks, slots: Index, load: LoadColumns, mixture: tuple[Index, Index, Array]) -> None:
        """What a load takes in each of these slots; the mixture: of each column its slot's position, itself, its kW."""
        row_of, mixed, power = mixture
        nothing = np.zeros(len(slots))
        rows, row_at = blocks.reserve_rows(nothing, nothing), np.full(self._problem.slots, NONE)
        row_at[slots] = rows
        blocks.add_entries(rows[row_of], mixed, power)
        for choice in load.choices:
            for piece, kw in enumerate(choice.power_kw):
                at = row_at[choice.slots(piece)]
                blocks.add_entries(at[at != NONE], choice.columns[at != NONE], -float(kw))

    @lazy
    def _ends(self) -> tuple[Array, NDArray[np.bool_]]:
        """Of all parts: part x end x slot."""
        ends = [part.ends for part in self._parts]
        return np.array([power for power, _ in ends]), np.array([there for _, there in ends])

    def _corners(self, slots: Index) -> tuple[Index, Array]:
        """Corners side by side, with the position of each one's slot; one row per part."""
        power, there = self._ends[0][:, :, slots], self._ends[1][:, :, slots]
        kinds = [tuple(np.flatnonzero(one.any(axis=1)).tolist()) for one in there]  # the ends of any of these slots
        corner, good = _combined(power, there, kinds)
        at, rows = good.nonzero()
        found = [(rows, corner[:, at, rows])]
        bends = self._bends[slots]
        for free, part in enumerate(self._parts):  # one part brings the meter to a bend, all others stand at an end
            corner, good = _combined(power, there, [*kinds[:free], (0,), *kinds[free + 1 :]], free)
            values = bends - corner.sum(axis=0)[:, :, None]
            at, rows, bend = (part.inside(slots, values) & good[:, :, None]).nonzero()
            corners = corner[:, at, rows]
            corners[free] = values[at, rows, bend]
            found.append((rows, corners))
        return np.concatenate([rows for rows, _ in found]), np.concatenate([corners for _, corners in found], axis=1)


def _combined(
    power: Array, there: NDArray[np.bool_], kinds: list[tuple[int, ...]], free: int = NONE
) -> tuple[Array, NDArray[np.bool_]]:
    """Every combination of ends, in every slot: kW by part, combination and slot, and which of them are any.

    The part in place `free` stands at nothing, and does not matter.
    """
    parts, ends = _combinations(tuple(kinds))
    corner, good = power[parts, ends], there[parts, ends]
    if free != NONE:
        corner[free], good[free] = 0.0, True
    return corner, np.asarray(good.all(axis=0))


@cache
def _combinations(kinds: tuple[tuple[int, ...], ...]) -> tuple[Index, Index]:
    """The parts below each other, and of each combination the end of each part."""
    return np.arange(len(kinds))[:, None], np.array(list(product(*kinds))).T


def _parts(problem: Problem, layout: Layout) -> tuple[_Part, ...]:
    slots = problem.slots
    nothing, nowhere = np.zeros(slots), np.full(slots, NONE)
    found = []
    for store, columns in zip(problem.stores, layout.stores, strict=True):
        into, out = _places(columns.charge, slots), _places(columns.discharge, slots)
        high = np.where(into != NONE, store.max_charge_kw, 0.0)
        low = np.where(out != NONE, -store.max_discharge_kw, 0.0)
        found.append(_Part(low, np.full(slots, store.min_charge_kw), high, into, out))
    for car, power in zip(problem.cars, layout.cars, strict=True):
        least = np.full(slots, car.min_kw)
        found.append(_Part(nothing, least, car.max_kw, _places(power.power, slots), nowhere))
    for load, runs in zip(problem.loads, layout.loads, strict=True):
        takes = load.profile_kw[load.profile_kw > 0.0]
        least, high = np.zeros(slots), np.zeros(slots)
        if takes.size:
            least[load.first : load.end], high[load.first : load.end] = takes.min(), takes.max()
        found.append(_Part(nothing, least, high, nowhere, nowhere, runs))
    return tuple(found)


def _places(group: Group, slots: int) -> Index:
    """The column of each slot."""
    places = np.full(slots, NONE)
    places[group.slots] = group.columns
    return places


def _at(values: Array, places: Index) -> Array:
    """The value of each slot's column, 0 where there is none."""
    return np.where(places == NONE, 0.0, values[places])
