"""A file of curves: what a device shall hold for its grid functions."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from cem.config.raw import read_raw
from cem.config.schema import Table
from cem.config.schema_faults import schema_faults
from cem.config.words import duplicates, fault
from cem.model.errors import SiteFileError
from cem.model.inverter_curve import Curve, GridFunction, WantedCurve

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
    place: Annotated[int, Field(ge=2, le=64)] = 2
    revert_s: Annotated[int, Field(ge=0, le=30 * 86400)] = 0

    @model_validator(mode="after")
    def _says_what(self) -> "CurveTable":
        given = bool(self.points or self.settings)
        if self.off and given:
            raise ValueError("a function that is off has neither points nor settings")
        if not self.off and not given:
            raise ValueError("points, settings, or off = true")
        if not self.off and (self.function is GridFunction.FREQUENCY_WATT) == bool(self.points):
            raise ValueError(
                "frequency-watt has settings (DbOf, DbUf, KOf, KUf, RspTms) and no points; the others have points"
            )
        xs = [x for x, _ in self.points]
        if xs != sorted(xs):
            raise ValueError("points in the order of their first value")
        return self


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
        WantedCurve(row.function, None if row.off else Curve(row.points, row.settings), row.place, row.revert_s)
        for row in table.curve
    )
