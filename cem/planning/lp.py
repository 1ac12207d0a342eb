"""Blocks of columns and rows, and HiGHS: arrays go straight into the solver, no modelling layer in between."""

from dataclasses import dataclass, replace
from typing import Final

import highspy
import numpy as np
from highspy import HighsLp, HighsModelStatus, HighsStatus, HighsVarType, MatrixFormat
from numpy.typing import ArrayLike, NDArray

from cem.model.errors import CemError

Array = NDArray[np.float64]
Index = NDArray[np.int64]

MIP_TIME_S: Final = 2.0


class SolverFailedError(CemError):
    """The solver ended without a usable solution."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Values of all columns, duals of all rows, the objective and a proven lower bound of it."""

    values: Array
    duals: Array
    objective: float
    bound: float


class Blocks:
    """Collects columns and rows in blocks; a block of columns is known by the array of its indices."""

    def __init__(self) -> None:
        self._columns: list[tuple[Array, Array, Array]] = []
        self._rows: list[tuple[Array, Array]] = []
        self._entries: list[tuple[Index, Index, Array]] = []
        self.columns = 0
        self.rows = 0

    def add_columns(self, count: int, lower: ArrayLike, upper: ArrayLike, cost: ArrayLike) -> Index:
        """`count` columns; each of lower, upper and cost is one number or `count` numbers."""
        lows, highs, costs = (np.array(np.broadcast_to(np.asarray(v, np.float64), count)) for v in (lower, upper, cost))
        self._columns.append((lows, highs, costs))
        first, self.columns = self.columns, self.columns + count
        return np.arange(first, self.columns)

    def add_rows(self, lower: ArrayLike, upper: ArrayLike, *terms: tuple[Index, ArrayLike]) -> Index:
        """Rows lower <= sum of coefficient x column <= upper, one per position of the blocks in `terms`."""
        count = len(terms[0][0])
        rows = np.arange(self.rows, self.rows + count)
        self._rows.append(
            (
                np.array(np.broadcast_to(np.asarray(lower, np.float64), count)),
                np.array(np.broadcast_to(np.asarray(upper, np.float64), count)),
            )
        )
        for columns, coefficients in terms:
            self._entries.append(
                (rows, columns, np.array(np.broadcast_to(np.asarray(coefficients, np.float64), count)))
            )
        self.rows += count
        return rows

    def add_sum(self, lower: float, upper: float, *terms: tuple[Index, ArrayLike]) -> Index:
        """One row over whole blocks of columns."""
        for columns, coefficients in terms:
            values = np.array(np.broadcast_to(np.asarray(coefficients, np.float64), len(columns)))
            self._entries.append((np.full(len(columns), self.rows), columns, values))
        self._rows.append((np.array([lower]), np.array([upper])))
        self.rows += 1
        return np.array([self.rows - 1])

    def add_entries(self, rows: Index, columns: Index, coefficients: ArrayLike) -> None:
        """More terms for rows that are already there."""
        values = np.array(np.broadcast_to(np.asarray(coefficients, np.float64), len(rows)))
        self._entries.append((rows, columns, values))

    def lp(self, cost_unit: float) -> HighsLp:
        """The linear programme, minimised, its costs in multiples of `cost_unit`."""
        rows, columns, values = (np.concatenate([entry[i] for entry in self._entries]) for i in range(3))
        order = np.lexsort((columns, rows))
        starts = np.zeros(self.rows + 1, dtype=np.int32)
        np.cumsum(np.bincount(rows, minlength=self.rows), out=starts[1:])
        lp = HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, self.rows
        lp.col_lower_, lp.col_upper_, costs = (np.concatenate([c[i] for c in self._columns]) for i in range(3))
        lp.col_cost_ = costs / cost_unit
        lp.row_lower_, lp.row_upper_ = (np.concatenate([r[i] for r in self._rows]) for i in range(2))
        lp.a_matrix_.format_ = MatrixFormat.kRowwise
        lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = self.columns, self.rows
        lp.a_matrix_.start_ = starts
        lp.a_matrix_.index_ = columns[order].astype(np.int32)
        lp.a_matrix_.value_ = values[order]
        return lp


class Solver:
    """One programme inside HiGHS, its costs in multiples of `cost_unit`, which keeps them near 1.

    Bounds may change between runs; a run then starts from the last basis.
    """

    def __init__(self, blocks: Blocks, cost_unit: float) -> None:
        self._unit = cost_unit
        self._highs: highspy.Highs = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in (("output_flag", False), ("threads", 1), ("mip_rel_gap", 0.0)):
            self._highs.setOptionValue(option, value)
        if self._highs.passModel(blocks.lp(cost_unit)) == HighsStatus.kError:
            raise SolverFailedError("the solver refused the problem as malformed; no plan from it, rules instead")

    def run(self) -> Answer:
        """Solves to proven optimality; raises SolverFailedError when there is no optimum."""
        self._highs.run()
        if self._highs.getModelStatus() == HighsModelStatus.kUnknown:  # a warm start can end just short of tolerance
            self._highs.clearSolver()
            self._highs.run()
        status = self._highs.getModelStatus()
        if status != HighsModelStatus.kOptimal:
            raise SolverFailedError(f"the solver ended with {status.name}; no plan from it, rules instead")
        solution, objective = self._highs.getSolution(), self._unit * self._highs.getInfo().objective_function_value
        return Answer(
            np.array(solution.col_value), np.array(solution.row_dual) * self._unit, float(objective), float(objective)
        )

    def run_binary(self, columns: Index, gap: float) -> Answer:
        """Solves with `columns` restricted to 0 or 1 to within `gap` of the bound, then fixes them there.

        The values and duals are those of the linear programme that is left. Raises SolverFailedError when nothing is
        found in time.
        """
        values, bound = self._branch(columns, HighsVarType.kInteger, gap)
        self.bound_columns(columns, np.round(values), np.round(values))
        answer = self.run()
        return replace(answer, bound=min(bound, answer.objective))

    def run_semicontinuous(self, columns: Index, least: Array, most: Array, gap: float) -> Answer:
        """The same with each of `columns` either 0 or between `least` and `most`."""
        self.bound_columns(columns, least, most)
        values, bound = self._branch(columns, HighsVarType.kSemiContinuous, gap)
        running = values > least / 2
        self.bound_columns(columns, np.where(running, least, 0.0), np.where(running, most, 0.0))
        answer = self.run()
        return replace(answer, bound=min(bound, answer.objective))

    def _branch(self, columns: Index, kind: HighsVarType, gap: float) -> tuple[Array, float]:
        """Values of `columns` in the best solution found, and the bound; they are continuous again afterwards."""
        self._integrality(columns, kind)
        self._highs.setOptionValue("mip_abs_gap", gap / self._unit)
        self._highs.setOptionValue("time_limit", float(self._highs.getRunTime()) + MIP_TIME_S)
        self._highs.run()
        self._highs.setOptionValue("time_limit", float("inf"))
        solution = self._highs.getSolution()
        found, values = solution.value_valid, np.array(solution.col_value)
        bound = self._unit * float(self._highs.getInfo().mip_dual_bound)
        self._integrality(columns, HighsVarType.kContinuous)
        if not found:
            raise SolverFailedError("the solver found no on/off decisions in time; no plan from it, rules instead")
        return values[columns], bound

    def bound_columns(self, columns: Index, lower: Array, upper: Array) -> None:
        """New bounds for columns."""
        self._highs.changeColsBounds(len(columns), columns.astype(np.int32), lower, upper)

    def _integrality(self, columns: Index, kind: HighsVarType) -> None:
        kinds = np.full(len(columns), int(kind), dtype=np.uint8)
        self._highs.changeColsIntegrality(len(columns), columns.astype(np.int32), kinds)
