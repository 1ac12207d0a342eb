"""What a linear programme can know of slots with many parts: running at its least takes more than there is room for.

In a slot with `room_kw` to spare, one that takes p, nothing or at least m, takes beyond that room at least p - room,
which is at least p (1 - room / m). So does the sum over all of them, and somebody has to make up for it.
"""

import numpy as np

from cem.model.values import value
from cem.planning.lp import Array, Blocks, Index
from cem.planning.parts import Problem
from cem.planning.programme import NOISE_KW, Group, Layout


@value(frozen=True, slots=True, eq=False)
class _Term:
    """Columns of some slots, kW per unit of each, and the least of each where it runs."""

    slots: Index
    columns: Index
    kw: float
    least_kw: float

    def share(self, room_kw: Array) -> Array:
        """How much of what it takes is beyond the room, per unit of each column."""
        return self.kw * np.maximum(1.0 - room_kw[self.slots] / self.least_kw, 0.0)


class Leasts:
    """Adds rows to a programme where a solution breaks them."""

    def __init__(self, problem: Problem, layout: Layout) -> None:
        self._slots = problem.slots
        cars = zip(layout.cars, problem.cars, strict=True)
        stores = zip(layout.stores, problem.stores, strict=True)
        groups = [(columns.power, part.min_kw) for columns, part in cars]
        groups += [(columns.charge, part.min_charge_kw) for columns, part in stores]
        self._terms = [_Term(group.slots, group.columns, 1.0, least) for group, least in groups if least > NOISE_KW]
        for choice in (choice for load in layout.loads for choice in load.choices):
            for piece, kw in enumerate(choice.power_kw):
                if kw > NOISE_KW:
                    self._terms.append(_Term(choice.slots(piece), choice.columns, float(kw), float(kw)))
        givers = [columns.discharge for columns in layout.stores]
        net = problem.load_kw - problem.pv_kw
        self._cases: list[tuple[Array, list[Group]]] = [  # the room, and who makes up for what is beyond it
            (np.where(net < 0.0, -net, np.inf), [layout.imported, layout.import_over, *givers]),
            (np.maximum(problem.import_limit_kw - net, 0.0), [layout.import_over, *givers]),
        ]

    def broken(self, values: Array) -> list[Index]:
        """The slots in which a solution breaks each of the two rows."""
        found = []
        for room, makers in self._cases:
            beyond = -sum((group.over(values, self._slots) for group in makers), np.zeros(self._slots))
            for term in self._terms:
                np.add.at(beyond, term.slots, term.share(room) * values[term.columns])
            found.append(np.flatnonzero(beyond > NOISE_KW))
        return found

    def add(self, blocks: Blocks, broken: list[Index]) -> None:
        """The rows of these slots."""
        for slots, (room, makers) in zip(broken, self._cases, strict=True):
            row_at = np.full(self._slots, -1)
            row_at[slots] = blocks.reserve_rows(np.zeros(len(slots)), np.full(len(slots), np.inf))
            for group in makers:
                rows = row_at[group.slots]
                blocks.add_entries(rows[rows >= 0], group.columns[rows >= 0], 1.0)
            for term in self._terms:
                rows, share = row_at[term.slots], term.share(room)
                there = (rows >= 0) & (share > 0.0)
                blocks.add_entries(rows[there], term.columns[there], -share[there])
