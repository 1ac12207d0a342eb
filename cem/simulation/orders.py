"""What the grid will ask in a simulation, from a TOML file.

[[order]]
signal = "import_limit_w"     # or export_limit_w, dispatch_w (all W), import_price_per_kwh, export_price_per_kwh
values = [4200]               # share the time evenly
start_s = 64800               # seconds since the simulation's start
for_s = 7200
mandatory = true              # default: limits are, everything else is voluntary
ahead_s = 900                 # published so long before
provider = "utility"          # each one gets a VTN of its own
"""

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cem.model.provider import Programme
from cem.simulation.grid import GridSide, Order, Signal

_DUTIES = frozenset({Signal.IMPORT_LIMIT_W, Signal.EXPORT_LIMIT_W})


class _OrderTable(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    signal: Signal
    values: list[float] = Field(min_length=1, max_length=10_000)
    start_s: float = Field(ge=0)
    for_s: float = Field(gt=0)
    mandatory: bool | None = None
    ahead_s: float = Field(default=900.0, ge=0)
    provider: str = Field(default="utility", pattern=r"^[a-z][a-z0-9-]{0,31}$")
    name: str = Field(default="", max_length=100)


class _GridFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    order: list[_OrderTable]


def read_grid(path: Path) -> tuple[GridSide, ...]:
    """The providers and their orders; raises ValueError naming every fault with its path."""
    try:
        found = _GridFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)]
        raise ValueError(f"{path}: " + "; ".join(lines)) from error
    return tuple(
        _side(provider, [table for table in found.order if table.provider == provider])
        for provider in dict.fromkeys(table.provider for table in found.order)
    )


def _side(provider: str, tables: list[_OrderTable]) -> GridSide:
    orders = []
    programmes: dict[str, Programme] = {}
    for table in tables:
        mandatory = table.signal in _DUTIES if table.mandatory is None else table.mandatory
        name = "obligations" if mandatory else "offers"
        programmes[name] = Programme(name, mandatory)
        orders.append(
            Order(table.signal, tuple(table.values), table.start_s, table.for_s, name, table.ahead_s, table.name)
        )
    return GridSide(provider, tuple(programmes.values()), tuple(orders))
