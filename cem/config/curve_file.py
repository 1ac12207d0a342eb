"""A file of curves: what a device shall hold for its grid functions."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from cem.config.raw import read_raw
from cem.config.schema import Table
from cem.config.schema_faults import schema_faults
from cem.config.words import duplicates, fault
from cem.model.errors import SiteFileError
from cem.model.inverter_curve import PROTECTION, Curve, GridFunction, TripRegion, WantedCurve
from cem.model.trip_curve import contradiction

MOST = 1e6


def _pair(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Number = Annotated[float, Field(ge=-MOST, le=MOST)]
Pair = Annotated[tuple[Number, Number], BeforeValidator(_pair)]


class CurveTable(Table):
    """`[[curve]]`: one function."""

    function: Annotated[GridFunction, Field(strict=False)]
    off: bool = False
    points: tuple[Pair, ...] = ()
    settings: dict[str, Number] = Field(default={})
    must_trip: tuple[Pair, ...] | None = None
    may_trip: tuple[Pair, ...] | None = None
    momentary_cessation: tuple[Pair, ...] | None = None
    place: Annotated[int, Field(ge=2, le=64)] = 2
    revert_s: Annotated[int, Field(ge=0, le=30 * 86400)] = 0

    @model_validator(mode="after")
    def _says_what(self) -> "CurveTable":
        given = bool(self.points or self.settings)
        trips = self.function in PROTECTION
        if self.off and (given or self.regions):
            raise ValueError("a function that is off has neither points nor settings")
        if trips and (given or self.revert_s):
            raise ValueError("a trip curve has must_trip, may_trip and momentary_cessation, and nothing else")
        if not trips and self.regions:
            raise ValueError("must_trip, may_trip and momentary_cessation belong to trip curves")
        if not self.off and not given and not self.regions:
            raise ValueError("must_trip, may_trip or off = true" if trips else "points, settings, or off = true")
        if not self.off and not trips and (self.function is GridFunction.FREQUENCY_WATT) == bool(self.points):
            raise ValueError(
                "frequency-watt has settings (DbOf, DbUf, KOf, KUf, RspTms) and no points; the others have points"
            )
        xs = [x for x, _ in self.points]
        if xs != sorted(xs):
            raise ValueError("points in the order of their first value")
        if fault := contradiction(self.function, self.held):
            raise ValueError(fault)
        return self

    @property
    def regions(self) -> dict[TripRegion, tuple[Pair, ...]]:
        """Those that are named."""
        named = {
            TripRegion.MUST_TRIP: self.must_trip,
            TripRegion.MAY_TRIP: self.may_trip,
            TripRegion.MOMENTARY_CESSATION: self.momentary_cessation,
        }
        return {region: pairs for region, pairs in named.items() if pairs is not None}

    @property
    def held(self) -> Curve:
        """What the device shall hold."""
        return Curve(self.points, self.settings, regions=self.regions)


class CurveFile(Table):
    """The whole file."""

    curve: tuple[CurveTable, ...] = ()


def load_curves(path: Path) -> tuple[WantedCurve, ...]:
    """What a file asks for, one entry for each function; raises SiteFileError with every fault that it has."""
    try:
        table = CurveFile.model_validate(read_raw(path))
    except ValidationError as error:
        raise SiteFileError(schema_faults(error, CurveFile)) from error
    rows = ((f"curve[{index}].function", row.function.value) for index, row in enumerate(table.curve))
    faults = [*duplicates(rows, "one curve for each function")]
    if not table.curve:
        faults.append(fault("curve", "missing", "at least one [[curve]] is needed"))
    if faults:
        raise SiteFileError(faults)
    return tuple(
        WantedCurve(row.function, None if row.off else row.held, row.place, row.revert_s) for row in table.curve
    )
