"""Blocks of columns and rows, and HiGHS: arrays go straight into the solver, no modelling layer in between."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from highspy import HighsBasis, HighsBasisStatus, HighsModelStatus, HighsStatus, MatrixFormat, ObjSense
from highspy import _Highs as Highs  # type: ignore[attr-defined]  # without callbacks, which cost as much as a run
from numpy.typing import ArrayLike, NDArray

from cem.model.errors import CemError
from cem.model.values import value

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_GIVEN_UP: Final = frozenset({HighsModelStatus.kObjectiveBound, HighsModelStatus.kInfeasible})


class Status:
    """Of a column or row in a basis: at its lower bound, in the basis, at its upper bound."""

    LOWER: Final = 0
    BASIC: Final = 1
    UPPER: Final = 2


_PERTURBATION: Final = "dual_simplex_cost_perturbation_multiplier"
_OPTIONS: Final = (
    ("output_flag", False),
    ("threads", 1),
    ("presolve", "off"),
    ("simplex_dual_edge_weight_strategy", 1),  # Devex: the steepest edge costs more than it saves here
    (_PERTURBATION, 0.03),  # equal prices still differ, and less is to be mended after
)
_STATUS: Final = np.array([HighsBasisStatus.kLower, HighsBasisStatus.kBasic, HighsBasisStatus.kUpper], object)


class SolverFailedError(CemError):
    """The solver ended without a usable solution."""


@value(frozen=True, slots=True, eq=False)
class Answer:
    """Values of all columns and the objective of one linear programme."""

    values: Array
    objective: float


class Blocks:
    """Collects columns and rows in blocks; a block of columns is known by the array of its indices.

    Blocks that are to extend a programme count their columns from `first`, how many that has.
    """

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._columns: list[tuple[Array, Array, Array]] = []
        self._rows: list[tuple[Array, Array]] = []
        self._entries: list[tuple[Index, Index, Array]] = []
        self.columns = first
        self.rows = 0

    def add_columns(self, count: int, lower: ArrayLike, upper: ArrayLike, cost: ArrayLike) -> Index:
        """`count` columns; each of lower, upper and cost is one number or `count` numbers."""
        self._columns.append((_wide(lower, count), _wide(upper, count), _wide(cost, count)))
        first, self.columns = self.columns, self.columns + count
        return np.arange(first, self.columns)

    def fix(self, column: int, held: float) -> None:
        """A column of this block that can only have one value."""
        first = self._first
        for lower, upper, _ in self._columns:
            if column < first + len(lower):
                lower[column - first] = upper[column - first] = held
                return
            first += len(lower)

    def reserve_rows(self, lower: Array, upper: Array) -> Index:
        """Rows without any term yet, one per value."""
        self._rows.append((lower, upper))
        first, self.rows = self.rows, self.rows + len(lower)
        return np.arange(first, self.rows)

    def add_rows(self, lower: ArrayLike, upper: ArrayLike, *terms: tuple[Index, ArrayLike]) -> Index:
        """Rows lower <= sum of coefficient x column <= upper, one per position of the blocks in `terms`."""
        count = len(terms[0][0])
        rows = self.reserve_rows(_wide(lower, count), _wide(upper, count))
        for columns, coefficients in terms:
            self.add_entries(rows, columns, coefficients)
        return rows

    def add_sum(self, lower: float, upper: float, *terms: tuple[Index, ArrayLike]) -> Index:
        """One row over whole blocks of columns."""
        row = self.reserve_rows(np.array([float(lower)]), np.array([float(upper)]))
        for columns, coefficients in terms:
            self.add_entries(np.repeat(row, len(columns)), columns, coefficients)
        return row

    def add_entries(self, rows: Index, columns: Index, coefficients: ArrayLike) -> None:
        """More terms for rows that are already there."""
        self._entries.append((rows, columns, _wide(coefficients, len(rows))))

    def _by_row(self) -> tuple[NDArray[np.int32], NDArray[np.int32], Array]:
        """All terms row by row: where each row starts, columns, coefficients."""
        rows, columns, values = (np.concatenate([entry[i] for entry in self._entries]) for i in range(3))
        order = np.argsort(rows * self.columns + columns, kind="stable")
        starts = np.zeros(self.rows + 1, dtype=np.int32)
        np.cumsum(np.bincount(rows, minlength=self.rows), out=starts[1:])
        return starts, columns[order].astype(np.int32), values[order]

    def extend(self, highs: Any, cost_unit: float) -> None:
        """Adds everything to a programme that has `first` columns."""
        lower, upper = self.bounds
        none = np.zeros(0, np.int32)
        highs.addCols(len(lower), self.costs / cost_unit, lower, upper, 0, none, none, np.zeros(0))
        starts, columns, values = self._by_row()
        lower, upper = (np.concatenate([r[i] for r in self._rows]) for i in range(2))
        highs.addRows(self.rows, lower, upper, len(columns), starts[:-1], columns, values)

    def hand_over(self, highs: Any, cost_unit: float) -> bool:
        """The whole programme, minimised, its costs in multiples of `cost_unit`; whether it was taken.

        As arrays: an object that holds them costs as much as the first hundred pivots.
        """
        starts, columns, values = self._by_row()
        sides = (np.concatenate([r[i] for r in self._rows]) for i in range(2))
        size, kind = (self.columns, self.rows, len(values)), (int(MatrixFormat.kRowwise), int(ObjSense.kMinimize))
        continuous = np.zeros(self.columns, np.int32)
        taken = highs.passModel(
            *size, *kind, 0.0, self.costs / cost_unit, *self.bounds, *sides, starts, columns, values, continuous
        )
        return bool(taken != HighsStatus.kError)

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper bound of every column."""
        columns = self._columns or [(np.zeros(0),) * 3]
        lower, upper = (np.concatenate([column[i] for column in columns]) for i in range(2))
        return lower, upper

    @property
    def costs(self) -> Array:
        """Cost of every column."""
        return np.concatenate([column[2] for column in self._columns or [(np.zeros(0),) * 3]])


def _wide(values: ArrayLike | float, count: int) -> Array:
    """An array of its own; what is one number for all is most of what comes, and far quicker filled than broadcast."""
    if isinstance(values, int | float):
        full = np.empty(count)
        full.fill(values)
        return full
    given = np.array(values, np.float64)
    return given if given.shape == (count,) else np.array(np.broadcast_to(given, count))


@value(frozen=True, slots=True, eq=False)
class Basis:
    """A basis as the solver keeps it."""

    inside: HighsBasis


class Solver:
    """One programme inside HiGHS, its costs in multiples of `cost_unit`, which keeps them near 1.

    Bounds may change between runs; a run then starts from the last basis.
    """

    def __init__(
        self,
        blocks: Blocks,
        cost_unit: float,
        basis: "tuple[NDArray[np.int8], NDArray[np.int8]] | Basis | None" = None,
        *,
        perturbed: bool = True,
    ) -> None:
        self._unit = cost_unit
        self._start = basis
        self._perturbed = perturbed
        self._bounds = blocks.bounds  # of the columns that were there from the begin
        self.runs = 0
        self._highs: Any = Highs()
        for option, chosen in _OPTIONS:
            self._highs.setOptionValue(option, chosen)
        if not perturbed:  # in a small programme what is to be mended after costs more than ties do
            self._highs.setOptionValue(_PERTURBATION, 0.0)
        if not blocks.hand_over(self._highs, cost_unit):
            raise SolverFailedError("the solver refused the problem as malformed; no plan from it, rules instead")
        if isinstance(basis, Basis):
            self.go_on_from(basis)
        elif basis is not None:
            start = HighsBasis()
            start.col_status, start.row_status = (_STATUS[part].tolist() for part in basis)
            start.valid = True
            self._highs.setBasis(start)

    def again(self, blocks: Blocks) -> "Solver":
        """Another one with the same programme as it was handed over, without what extended this one."""
        return Solver(blocks, self._unit, self._start, perturbed=self._perturbed)

    def basis(self) -> "Basis":
        """Where the last optimum stands; a start for a programme of the same shape, and for `again`."""
        self._start = self.standing()
        return self._start

    def standing(self) -> "Basis":
        """Where the last run ended, for `go_on_from`."""
        return Basis(self._highs.getBasis())

    def go_on_from(self, basis: "Basis") -> None:
        """The next run starts from there; the programme has the same shape."""
        self._highs.setBasis(basis.inside)

    @property
    def iterations(self) -> int:
        """Simplex iterations of the last run."""
        return max(int(self._highs.getInfo().simplex_iteration_count), 0)

    def run(self) -> Answer:
        """Solves to proven optimality; raises SolverFailedError when there is no optimum."""
        answer = self.run_below(float("inf"))
        if answer is None:
            raise SolverFailedError("the solver found no way at all; no plan from it, rules instead")
        return answer

    def run_below(self, most: float) -> Answer | None:
        """The optimum, or None where there is none below `most`; raises SolverFailedError for everything else."""
        self.runs += 1
        self._highs.setOptionValue("objective_bound", most / self._unit)
        self._highs.run()
        status = self._highs.getModelStatus()
        if status in {HighsModelStatus.kUnknown, HighsModelStatus.kUnboundedOrInfeasible}:
            self._highs.clearSolver()  # a warm start can end just short of tolerance
            self._highs.run()
            status = self._highs.getModelStatus()
        if status in _GIVEN_UP:
            return None
        if status != HighsModelStatus.kOptimal:
            raise SolverFailedError(f"the solver ended with {status.name}; no plan from it, rules instead")
        objective = self._unit * float(self._highs.getObjectiveValue())
        if objective >= most:
            return None
        return Answer(np.array(self._highs.getSolution().col_value, np.float64), objective)

    def row_duals(self) -> Array:
        """Duals of all rows at the last optimum."""
        return np.array(self._highs.getSolution().row_dual, np.float64) * self._unit

    def reduced_costs(self) -> Array:
        """Of all columns at the last optimum."""
        return np.array(self._highs.getSolution().col_dual, np.float64) * self._unit

    def bound(self, lower: Array, upper: Array, where: NDArray[np.bool_]) -> None:
        """New bounds for some of the columns that were there from the begin: only those that change are told."""
        low, high = self._bounds
        columns = np.flatnonzero(((low != lower) | (high != upper)) & where)
        if columns.size:
            lower, upper = lower[columns], upper[columns]
            low[columns], high[columns] = lower, upper
            self._highs.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def extend(self, more: Callable[[Blocks], None]) -> None:
        """More columns and rows, which `more` puts into blocks; a run then goes on from the last basis."""
        blocks = Blocks(int(self._highs.getNumCol()))
        more(blocks)
        blocks.extend(self._highs, self._unit)
