"""A home or scenario file as something that can be played: loaded, checked, and with every fault named by its path.

A scenario is a home with some keys changed and a time line over it (`hw_sim.scenario`), and what only the gateway's
side knows: acts, what the grid asks, what the owner's site file says, and what must be seen. A home alone is a scenario
in which nothing happens but its own days.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cem.simulation.acts import Act
from cem.simulation.grid import GridSide
from cem.simulation.oracle import INVARIANTS
from cem.simulation.orders import GridTable, OrderTable, Table, in_words, sides_of
from cem.simulation.plant import Home, HomeUnusable, home_in, is_scenario, read_table, tied
from cem.simulation.sights import Expectation

DAY_S = 86400.0
_TAGGED = frozenset({"act", "expect"})


class Twin(Table):
    """A second run with other acts: what the actuators do there must be the same."""

    invariant: str
    act: tuple[Act, ...] = ()
    leaving_out: tuple[str, ...] = ()  # resources that may differ
    tolerance: float = Field(default=0.0, ge=0)
    from_s: float = Field(default=0.0, ge=0)
    until_s: float | None = Field(default=None, gt=0)


class _Ours(BaseModel):
    """The part of a scenario file that hw_sim hands through; it has looked for unknown keys already."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    claim: str = ""
    leave_out: tuple[str, ...] = ()
    site: dict[str, Any] = Field(default_factory=dict)
    grid: tuple[GridTable, ...] = ()
    order: tuple[OrderTable, ...] = ()
    act: tuple[Act, ...] = ()
    expect: tuple[Expectation, ...] = ()
    twin: Twin | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is to be played. Seconds count from the start; `home` has the time line in it.

    `start` and `seed` None: the home's. `site` is merged into the answers with which the site is made. `table` is the
    file as TOML gave it, and `path` where it stands, or would stand.
    """

    name: str
    home: Home
    path: Path
    table: Mapping[str, Any] = field(default_factory=dict)
    claim: str = ""
    start: datetime | None = None
    seed: int | None = None
    for_s: float = DAY_S
    step_s: float = 1.0
    leave_out: tuple[str, ...] = ()
    site: Mapping[str, Any] = field(default_factory=dict)
    grids: tuple[GridTable, ...] = ()
    orders: tuple[OrderTable, ...] = ()
    acts: tuple[Act, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    twin: Twin | None = None

    @property
    def is_home(self) -> bool:
        """Whether it is a home alone."""
        return not is_scenario(dict(self.table))

    def sides(self) -> tuple[GridSide, ...]:
        """The providers, with what they will ask."""
        return sides_of(self.grids, self.orders)


def open_scenario(path: Path) -> Scenario:
    """The scenario of a scenario or home file; raises HomeUnusable with every fault, one a line."""
    return scenario_of(read_table(path), path)


def scenario_of(table: dict[str, Any], path: Path) -> Scenario:
    """The scenario of a parsed file that stands, or would stand, at `path`; raises HomeUnusable."""
    if not is_scenario(table):
        home = home_in(table, path)
        return Scenario(home.name, home, path, table)
    plain = tied(table, path)
    try:
        ours = _Ours.model_validate(table)
    except ValidationError as error:
        raise HomeUnusable(str(path), in_words(error, _TAGGED)) from error
    for_s = DAY_S if plain.for_s is None else plain.for_s
    faults = _faults(ours, for_s)
    if faults:
        raise HomeUnusable(str(path), faults)
    return Scenario(
        plain.name,
        plain.home,
        path,
        table,
        ours.claim,
        for_s=for_s,
        step_s=plain.step_s,
        leave_out=ours.leave_out,
        site=ours.site,
        grids=ours.grid,
        orders=ours.order,
        acts=ours.act,
        expectations=ours.expect,
        twin=ours.twin,
    )


def _faults(ours: _Ours, for_s: float) -> list[str]:
    """What a table alone can't know, each with its path."""
    faults = [
        f"leave_out.{number}: '{name}' is no invariant; allowed: {', '.join(INVARIANTS)}"
        for number, name in enumerate(ours.leave_out)
        if name not in INVARIANTS
    ]
    ids = [table.id for table in ours.grid]
    faults += [f"grid.{number}.id: '{name}' is there twice" for number, name in enumerate(ids) if name in ids[:number]]
    return faults + [
        f"expect.{number}: it ends at {one.end_s:g} s, after the scenario's end at for_s = {for_s:g}"
        for number, one in enumerate(ours.expect)
        if one.end_s > for_s
    ]


def changed(scenario: Scenario, **keys: Any) -> Scenario:
    """The same file with some of its keys set anew; raises HomeUnusable. It writes the same file again."""
    return scenario_of({**scenario.table, **keys}, scenario.path)


def text_of(scenario: Scenario) -> str:
    """The file of a scenario as TOML; `open_scenario` reads it again."""
    return tomlkit.dumps(_plain(scenario.table))


def _plain(value: Any) -> Any:
    """Tables and lists as tomlkit knows them."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
