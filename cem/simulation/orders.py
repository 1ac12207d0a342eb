"""The grid's side of a scenario: `[[grid]]` tables (who there is) and `[[order]]` tables (what each asks, and when).

[[order]]
signal = "import_limit_w"     # or export_limit_w, dispatch_w (all W), import_price_per_kwh, export_price_per_kwh
values = [4200]               # share the time evenly
start_s = 64800               # seconds since the simulation's start
for_s = 7200
mandatory = true              # default: limits are, everything else is voluntary
ahead_s = 900                 # published so long before
provider = "utility"          # each one gets a VTN of its own
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cem.model.provider import Programme, Provider
from cem.simulation.grid import GridSide, Order, Signal
from cem.simulation.plant import HomeUnusable, read_table

DUTIES = frozenset({Signal.IMPORT_LIMIT_W, Signal.EXPORT_LIMIT_W})
SHORT: Mapping[str, Signal] = {
    "import_limit": Signal.IMPORT_LIMIT_W,
    "export_limit": Signal.EXPORT_LIMIT_W,
    "price": Signal.IMPORT_PRICE,
    "export_price": Signal.EXPORT_PRICE,
    "dispatch": Signal.DISPATCH_W,
}
"""Signals by their short names; both may be written."""


class Table(BaseModel):
    """A table of a scenario: frozen, an unknown key is a fault, and so is a number that is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


GridId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")]


class Asked(Table):
    """What a grid asks for, whenever it does."""

    signal: Annotated[Signal, BeforeValidator(lambda name: SHORT.get(name, name))]
    values: tuple[float, ...] = Field(min_length=1, max_length=10_000)
    for_s: float = Field(gt=0)
    mandatory: bool | None = None
    name: str = Field(default="", max_length=100)

    def order(self, start_s: float, ahead_s: float) -> Order:
        """As an order of one of the two programmes that every simulated grid has."""
        mandatory = self.signal in DUTIES if self.mandatory is None else self.mandatory
        programme = "limits" if mandatory else "prices"
        return Order(self.signal, self.values, start_s, self.for_s, programme, ahead_s, self.name)


class OrderTable(Asked):
    """One [[order]]."""

    start_s: float = Field(ge=0)
    ahead_s: float = Field(default=900.0, ge=0)
    provider: GridId = "utility"


SETTINGS = frozenset(
    entry.name
    for entry in fields(Provider)
    if entry.name not in {"id", "url", "ven_name", "client_id", "client_secret", "binding", "programmes"}
)
"""What a [[grid]] may say of its provider: all but how it is reached, and its programmes."""


class GridTable(BaseModel):
    """One [[grid]]: a provider of the simulated site, with what its contract says. Keys and units as in the site
    file's [[provider]]; what is left out has the site file's default, but polls every 10 s and reports every 900 s."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)

    id: GridId = "utility"
    mandatory: bool = True  # whether what it limits is an obligation; all else it asks is voluntary
    incentive_per_kwh: Annotated[float, Field(ge=0, le=1000)] | None = None  # that the voluntary programme pays

    @model_validator(mode="after")
    def _known(self) -> "GridTable":
        for key, value in self.settings().items():
            if key not in SETTINGS:
                raise ValueError(
                    f"{key} is not known; allowed: id, mandatory, incentive_per_kwh, {', '.join(sorted(SETTINGS))}"
                )
            if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
                raise ValueError(f"{key}: {value!r}; allowed: a number that is not negative")
        return self

    def settings(self) -> dict[str, Any]:
        """What was given beyond the id."""
        return dict(self.model_extra or {})

    def side(self, orders: Sequence[Order]) -> GridSide:
        """The provider with its orders."""
        settings = self.settings()
        poll_s, report_s = settings.pop("poll_s", 10.0), settings.pop("report_interval_s", 900.0)
        programmes = (Programme("limits", self.mandatory), Programme("prices", False, self.incentive_per_kwh))
        return GridSide(self.id, programmes, tuple(orders), poll_s, report_s, settings)


class _GridFile(Table):
    grid: tuple[GridTable, ...] = ()
    order: tuple[OrderTable, ...]


def sides_of(grids: Sequence[GridTable], orders: Sequence[OrderTable]) -> tuple[GridSide, ...]:
    """Every provider that has a table or is named by an order, with its orders."""
    known = {table.id: table for table in grids}
    names = dict.fromkeys([*known, *(order.provider for order in orders)])
    return tuple(
        known.get(name, GridTable(id=name)).side(
            [table.order(table.start_s, table.ahead_s) for table in orders if table.provider == name]
        )
        for name in names
    )


def read_grid(path: Path) -> tuple[tuple[GridTable, ...], tuple[OrderTable, ...]]:
    """The tables of a file that is only about the grid; raises HomeUnusable naming every fault with its path."""
    try:
        found = _GridFile.model_validate(read_table(path))
    except ValidationError as error:
        raise HomeUnusable(str(path), in_words(error)) from error
    return found.grid, found.order


def in_words(error: ValidationError, tagged: frozenset[str] = frozenset()) -> list[str]:
    """Each fault of a validation with its path. Below `tagged` lists the kind of a row is no part of its path."""
    return [f"{_place(one['loc'], tagged)}: {one['msg']}" for one in error.errors(include_url=False)]


def _place(loc: Sequence[Any], tagged: frozenset[str]) -> str:
    parts = [str(part) for number, part in enumerate(loc) if number < 2 or loc[number - 2] not in tagged]
    return ".".join(parts) or "scenario"
