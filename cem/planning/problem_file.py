"""Planning problems as JSON, for everybody who wants to try the planner without a gateway.

Powers in W as magnitudes, energies in Wh, one value per step or one for all; a limit is a number, null, or an array of
both. A goal at step k is due when step k begins. What can't be kept is missed by as little as possible.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from cem.model.errors import CemError
from cem.planning.parts import Array, CarPart, Goal, LoadPart, Problem, Services, StorePart

LONGEST: Final = 20_000  # steps

MOST: Final = 1e12
"""No price, power or energy is larger; beyond it sums lose what a plan is about."""

Finite = Annotated[float, Field(ge=-MOST, le=MOST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, le=MOST, allow_inf_nan=False)]
Efficiency = Annotated[float, Field(gt=0.0, le=1.0)]
Step = Annotated[int, Field(ge=0)]
Values = Finite | list[Finite]
Powers = NotNegative | list[NotNegative]
Limit = NotNegative | list[NotNegative | None] | None
_T = TypeVar("_T")


def _none_is_empty(value: Any) -> Any:
    return [] if value is None else value


Rows = Annotated[list[_T], BeforeValidator(_none_is_empty)]


class ProblemFileError(CemError):
    """The file is no planning problem; the text says where and what."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class GoalRow(_Part):
    """`soc_wh` is to be stored when step `step` begins."""

    step: Step
    soc_wh: NotNegative


class _Named(_Part):
    id: str


class BatteryRow(_Named):
    """A battery; `wear_per_kwh` counts what it gives, `end_value_per_kwh` what is left when the horizon ends."""

    capacity_wh: NotNegative
    soc_wh: NotNegative
    min_soc_wh: NotNegative = 0.0
    max_soc_wh: NotNegative | None = None
    max_charge_w: Powers
    max_discharge_w: Powers
    charge_efficiency: Efficiency = 0.95
    discharge_efficiency: Efficiency = 0.95
    grid_charge: bool = True
    grid_discharge: bool = True
    end_value_per_kwh: Finite = 0.0
    wear_per_kwh: NotNegative = 0.0
    goals: Rows[GoalRow] = []


class EvRow(_Named):
    """A car: it takes nothing, or between `min_w` and `max_w`, in the steps of `plugged` ([from, before])."""

    soc_wh: NotNegative
    capacity_wh: NotNegative
    efficiency: Efficiency = 0.92
    min_w: NotNegative = 0.0
    max_w: NotNegative
    plugged: list[tuple[Step, Step]] | None = None
    max_discharge_w: NotNegative = 0.0
    end_value_per_kwh: Finite = 0.0
    wear_per_kwh: NotNegative = 0.0
    goals: Rows[GoalRow] = []


class LoadRow(_Named):
    """One run of `power_w`, a value per step, between two steps."""

    power_w: Powers
    earliest_step: Step = 0
    latest_end_step: Step | None = None
    interruptible: bool = False


class HeatPumpRow(_Named):
    """A heat pump with a store: `cop` kWh of heat per kWh taken, `demand_w` of heat drawn, comfort from a minimum."""

    max_w: Powers
    min_w: NotNegative = 0.0
    cop: Powers = 3.0
    capacity_wh: NotNegative
    stored_wh: NotNegative
    min_stored_wh: NotNegative = 0.0
    demand_w: Powers = 0.0
    loss_per_h: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    end_value_per_kwh: Finite = 0.0


class ProblemFile(_Part):
    """The whole file."""

    start: str | None = None
    step_s: Annotated[float, Field(gt=0.0)] | list[Annotated[float, Field(gt=0.0)]] = 900.0
    import_price_per_kwh: list[Finite] = Field(min_length=1, max_length=LONGEST)
    export_price_per_kwh: Values = 0.0
    base_load_w: Powers = 0.0
    pv_w: Powers = 0.0
    pv_curtailable: bool = True
    import_limit_w: Limit = None
    export_limit_w: Limit = None
    peak_price_per_kw: NotNegative = 0.0
    peak_so_far_w: NotNegative = 0.0
    grid_min_w: Finite | list[Finite | None] | None = None
    grid_max_w: Finite | list[Finite | None] | None = None
    reserve_up_w: Powers = 0.0
    reserve_down_w: Powers = 0.0
    batteries: Rows[BatteryRow] = []
    evs: Rows[EvRow] = []
    loads: Rows[LoadRow] = []
    heat_pumps: Rows[HeatPumpRow] = []


def read_problem(text: str | bytes) -> tuple[ProblemFile, Problem, list[str]]:
    """The file, the problem in it, and in words what of it was taken otherwise than written.

    Raises ProblemFileError with every fault and its path.
    """
    try:
        file = ProblemFile.model_validate_json(text)
    except ValidationError as fault:
        lines = [f"{_path(error['loc'])}: {error['msg']}" for error in fault.errors()]
        raise ProblemFileError("not a planning problem:\n  " + "\n  ".join(lines)) from fault
    return (file, *_Reader(file).problem())


def _path(location: Sequence[str | int]) -> str:
    """Without the names of the alternatives that a value could have been."""
    parts = [str(part) for part in location if isinstance(part, int) or part in _KEYS]
    return ".".join(parts) or "the file"


_KEYS: Final = frozenset(
    name for kind in (ProblemFile, BatteryRow, EvRow, LoadRow, HeatPumpRow, GoalRow) for name in kind.model_fields
)


class _Reader:
    """Turns rows into parts; the notes say what was odd."""

    def __init__(self, file: ProblemFile) -> None:
        self._file = file
        self._n = len(file.import_price_per_kwh)
        self._notes: list[str] = []

    def problem(self) -> tuple[Problem, list[str]]:
        """Everything together."""
        file, n = self._file, self._n
        self._unknown("", file)
        self._ids()
        batteries = [self._battery(row) for row in file.batteries]
        cars = [self._car(row) for row in file.evs if row.max_discharge_w == 0.0]
        both_ways = [self._both_ways(row) for row in file.evs if row.max_discharge_w > 0.0]
        pumps = [self._heat_pump(row) for row in file.heat_pumps]
        loads = [part for row in file.loads if (part := self._load(row)) is not None]
        services = Services(
            self._band("grid_min_w", file.grid_min_w, -np.inf),
            self._band("grid_max_w", file.grid_max_w, np.inf),
            self._kw("reserve_up_w", file.reserve_up_w),
            self._kw("reserve_down_w", file.reserve_down_w),
        )
        problem = Problem(
            hours=self._each("step_s", file.step_s, n) / 3600.0,
            import_price=np.array(file.import_price_per_kwh),
            export_price=self._each("export_price_per_kwh", file.export_price_per_kwh, n),
            import_limit_kw=self._limit("import_limit_w", file.import_limit_w),
            export_limit_kw=self._limit("export_limit_w", file.export_limit_w),
            load_kw=self._kw("base_load_w", file.base_load_w),
            pv_kw=self._kw("pv_w", file.pv_w),
            curtailable=file.pv_curtailable,
            stores=(*batteries, *both_ways, *pumps),
            cars=tuple(cars),
            loads=tuple(loads),
            services=services,
            peak_price=file.peak_price_per_kw,
            peak_kw=file.peak_so_far_w / 1000.0,
            house_rules=False,
        )
        return problem, self._notes

    def _ids(self) -> None:
        kinds: list[list[_Named]] = [
            [*self._file.batteries],
            [*self._file.evs],
            [*self._file.loads],
            [*self._file.heat_pumps],
        ]
        for rows in kinds:
            ids = [row.id for row in rows]
            twice = sorted({one for one in ids if ids.count(one) > 1})
            if twice:
                raise ProblemFileError(f"not a planning problem:\n  the id {twice[0]!r} is there twice")
            for row in rows:
                self._unknown(f"{row.id}: ", row)

    def _unknown(self, where: str, row: _Part) -> None:
        for name in row.model_extra or {}:
            self._notes.append(f"{where}the key {name!r} is not known and not used")

    def _each(self, name: str, value: float | Sequence[float], count: int) -> Array:
        values = np.array(value, dtype=np.float64)
        if values.ndim == 0:
            return np.full(count, float(values))
        if len(values) != count:
            raise ProblemFileError(f"not a planning problem:\n  {name}: {len(values)} values for {count} steps")
        return values

    def _kw(self, name: str, value: float | Sequence[float]) -> Array:
        return self._each(name, value, self._n) / 1000.0

    def _limit(self, name: str, value: float | Sequence[float | None] | None) -> Array:
        return self._band(name, value, np.inf)

    def _band(self, name: str, value: float | Sequence[float | None] | None, none: float) -> Array:
        if value is None or isinstance(value, int | float):
            return np.full(self._n, none if value is None else value / 1000.0)
        return self._each(name, [none if one is None else one / 1000.0 for one in value], self._n)

    def _goals(self, who: str, rows: Sequence[GoalRow]) -> tuple[Goal, ...]:
        goals = []
        for row in rows:
            if row.step > self._n:
                self._notes.append(f"{who}: the goal at step {row.step} is beyond the last and not used")
            else:
                goals.append(Goal(row.soc_wh / 1000.0, (np.arange(self._n) < row.step).astype(np.float64)))
        return tuple(goals)

    def _battery(self, row: BatteryRow) -> StorePart:
        highest = row.capacity_wh if row.max_soc_wh is None else min(row.max_soc_wh, row.capacity_wh)
        if row.min_soc_wh > highest:
            self._notes.append(f"{row.id}: min_soc_wh is above what it may hold; {highest:g} Wh taken")
        return StorePart(
            id=row.id,
            name=row.id,
            capacity_kwh=highest / 1000.0,
            soc_kwh=row.soc_wh / 1000.0,
            floor_kwh=min(row.min_soc_wh, highest) / 1000.0,
            max_charge_kw=self._kw(f"{row.id}.max_charge_w", row.max_charge_w),
            max_discharge_kw=self._kw(f"{row.id}.max_discharge_w", row.max_discharge_w),
            charge_efficiency=np.full(self._n, row.charge_efficiency),
            discharge_efficiency=row.discharge_efficiency,
            grid_charge=row.grid_charge,
            grid_discharge=row.grid_discharge,
            end_value=row.end_value_per_kwh,
            wear=row.wear_per_kwh,
            goals=self._goals(row.id, row.goals),
        )

    def _plugged(self, row: EvRow) -> Array:
        """1 in the steps in which the car is there."""
        there = np.zeros(self._n)
        for first, before in [(0, self._n)] if row.plugged is None else row.plugged:
            there[first:before] = 1.0
        return there

    def _least_w(self, row: EvRow) -> float:
        if row.min_w > row.max_w:
            self._notes.append(f"{row.id}: min_w is above max_w; {row.max_w:g} W taken")
        return min(row.min_w, row.max_w)

    def _car(self, row: EvRow) -> CarPart:
        return CarPart(
            id=row.id,
            name=row.id,
            soc_kwh=row.soc_wh / 1000.0,
            capacity_kwh=row.capacity_wh / 1000.0,
            efficiency=row.efficiency,
            min_kw=self._least_w(row) / 1000.0,
            max_kw=self._plugged(row) * row.max_w / 1000.0,
            goals=self._goals(row.id, row.goals),
            end_value=row.end_value_per_kwh,
        )

    def _both_ways(self, row: EvRow) -> StorePart:
        there = self._plugged(row)
        return StorePart(
            id=row.id,
            name=row.id,
            capacity_kwh=row.capacity_wh / 1000.0,
            soc_kwh=row.soc_wh / 1000.0,
            floor_kwh=0.0,
            max_charge_kw=there * row.max_w / 1000.0,
            max_discharge_kw=there * row.max_discharge_w / 1000.0,
            charge_efficiency=np.full(self._n, row.efficiency),
            discharge_efficiency=row.efficiency,
            min_charge_kw=self._least_w(row) / 1000.0,
            end_value=row.end_value_per_kwh,
            wear=row.wear_per_kwh,
            goals=self._goals(row.id, row.goals),
        )

    def _heat_pump(self, row: HeatPumpRow) -> StorePart:
        return StorePart(
            id=row.id,
            name=row.id,
            capacity_kwh=row.capacity_wh / 1000.0,
            soc_kwh=row.stored_wh / 1000.0,
            floor_kwh=min(row.min_stored_wh, row.capacity_wh) / 1000.0,
            max_charge_kw=self._kw(f"{row.id}.max_w", row.max_w),
            max_discharge_kw=np.zeros(self._n),
            charge_efficiency=self._each(f"{row.id}.cop", row.cop, self._n),
            min_charge_kw=row.min_w / 1000.0,
            end_value=row.end_value_per_kwh,
            drain_kw=self._kw(f"{row.id}.demand_w", row.demand_w),
            loss_per_h=row.loss_per_h,
        )

    def _load(self, row: LoadRow) -> LoadPart | None:
        """A window that is too short is opened at its end, then at its start; what fits nowhere does not run."""
        profile = np.atleast_1d(np.array(row.power_w, dtype=np.float64)) / 1000.0
        first = min(row.earliest_step, self._n)
        end = self._n if row.latest_end_step is None else min(row.latest_end_step, self._n)
        if not len(profile):
            return None
        if len(profile) > self._n:
            self._notes.append(f"{row.id}: its {len(profile)} steps are longer than the horizon; it is not planned")
            return None
        if first + len(profile) > end:
            self._notes.append(f"{row.id}: {len(profile)} steps do not fit between step {first} and {end}")
            end = min(first + len(profile), self._n)
            first = min(first, end - len(profile))
        return LoadPart(row.id, row.id, profile, first, end, row.interruptible)
