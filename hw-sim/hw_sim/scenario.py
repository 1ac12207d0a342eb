"""Scenario files: a home, a time line over it, and tables for whoever judges the run, handed through untouched."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from hw_sim.happenings import EventSpec, FaultSpec
from hw_sim.home import home_of, in_words, rooted, table_of, text_of
from hw_sim.homefile import PLANTS, Home, HomeError
from hw_sim.specs import Table

HOMES = Path(__file__).resolve().parents[1] / "homes"


class _File(Table):
    """A scenario file as it stands."""

    scenario: Literal[1]  # version of the format
    name: str = ""
    home: str  # a home file, found beside this one or among the ready-made homes
    change: dict[str, Any] = Field(default_factory=dict)  # keys of the home file that are different here
    start: datetime | None = None  # None: the home's
    seed: int = 1  # not the home's: a scenario stays the same when somebody changes its home's weather
    for_s: float | None = Field(default=None, gt=0)  # how long it is meant to run
    step_s: float = Field(default=1.0, gt=0)
    event: tuple[EventSpec, ...] = ()
    fault: tuple[FaultSpec, ...] = ()
    expect: Any = None  # these are for whoever runs it
    grid: Any = None
    order: Any = None
    site: Any = None
    act: Any = None
    twin: Any = None
    leave_out: Any = None
    claim: Any = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario tied to its home. `home` has the time line in it; `file` is the whole file as TOML gave it.

    What is for others (`expect`, `grid`, `order`, `site`, `act`, `twin`, `leave_out`, `claim`, and a `fault` that is a
    word and no table) stands in `file`, unseen.
    """

    name: str
    home: Home
    home_path: Path
    for_s: float | None
    step_s: float
    file: dict[str, Any]


def is_scenario(table: dict[str, Any]) -> bool:
    """Whether a parsed TOML file calls itself a scenario."""
    return "scenario" in table


def load_scenario(path: Path) -> Scenario:
    """The scenario of a file; raises HomeError with every fault of it and of its home."""
    return scenario_of(table_of(text_of(path), str(path)), path)


def load_either(path: Path) -> Home:
    """The home of a home file, or of a scenario file with its time line in it; raises HomeError."""
    table = table_of(text_of(path), str(path))
    return scenario_of(table, path).home if is_scenario(table) else home_of(table, str(path))


def scenario_of(table: dict[str, Any], path: Path) -> Scenario:
    """The scenario of a parsed file that stands, or would stand, at `path`; raises HomeError."""
    source = str(path)
    ours = {key: value for key, value in table.items() if key != "fault" or not isinstance(value, str)}
    try:
        file = _File.model_validate(ours)
    except ValidationError as exc:
        raise HomeError(source, in_words(exc, "scenario", _File)) from exc
    home_path = _find(file.home, path)
    base = table_of(text_of(home_path), str(home_path))
    if is_scenario(base):
        raise HomeError(source, [f"home: {file.home} is a scenario, not a home"])
    try:
        base = changed(base, file.change)
    except KeyError as exc:
        raise HomeError(source, [str(exc.args[0])]) from exc
    base = rooted(base, home_path.parent)
    plain = home_of(base, str(home_path))
    here = {key: value for key, value in base.items() if key not in {"event", "fault"}}
    here |= {key: ours[key] for key in ("start", "event", "fault") if key in ours} | {"seed": file.seed}
    home = home_of(here, source)
    home = home.model_copy(update={"event": plain.event + home.event, "fault": plain.fault + home.fault})
    name = file.name or path.stem
    return Scenario(name, home, home_path, file.for_s, file.step_s, table)


def _find(name: str, scenario: Path) -> Path:
    tried = [scenario.parent / name, HOMES / name]
    for path in tried:
        if path.is_file():
            return path
    places = " or ".join(str(path.parent) for path in tried)
    raise HomeError(str(scenario), [f"home: no file '{name}' in {places}"])


def changed(base: Mapping[str, Any], changes: Mapping[str, Any], path: str = "change") -> dict[str, Any]:
    """A home's table with some keys set anew, level by level. One of several [[tables]] is named by its id; where
    there is only one, its keys may be given directly. Raises KeyError with the path where there is no such place."""
    result = dict(base)
    for key, value in changes.items():
        known = result.get(key)
        if isinstance(value, Mapping) and isinstance(known, list | tuple):
            result[key] = _rows(known, value, key, f"{path}.{key}")
        elif isinstance(value, Mapping) and isinstance(known, Mapping):
            result[key] = changed(known, value, f"{path}.{key}")
        else:
            result[key] = value
    return result


def _rows(rows: Sequence[Mapping[str, Any]], changes: Mapping[str, Any], table: str, path: str) -> list[dict[str, Any]]:
    usual = table if table in PLANTS else None  # a plant without an id has its table's name
    ids = [row.get("id", usual) for row in rows]
    unknown = [key for key in changes if key not in ids]
    if not unknown:
        return [changed(row, changes.get(str(i), {}), f"{path}.{i}") for row, i in zip(rows, ids, strict=True)]
    if len(rows) == 1:
        return [changed(rows[0], changes, path)]
    raise KeyError(f"{path}.{unknown[0]}: no '{unknown[0]}' there; known: {', '.join(map(str, ids)) or 'none'}")
