"""Scenario files: a home, what befalls it when, and what must be seen by when; run on the virtual clock and judged."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cem.model.resource import Role
from cem.model.setpoint import Outcome
from cem.model.status import Status
from cem.simulation.grid import GridSide
from cem.simulation.harness import Bench
from cem.simulation.oracle import Invariant, Oracle, Violation
from cem.simulation.plant import Home, open_home
from cem.simulation.site import answers_for, site_of
from hw_sim.scenario import changed
from support.oracle_acts import Act, act

ROOT = Path(__file__).resolve().parents[2]
HOMES = ROOT / "hw-sim" / "homes"
FOLDER = ROOT / "tests" / "scenarios" / "faults"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One file. Seconds count from the start. `change` is merged into the home file, `site` into the answers."""

    name: str
    claim: str
    home: str
    start: datetime
    seed: int = 1
    for_s: float = 600.0
    fault: str = ""
    step_s: float = 1.0
    leave_out: tuple[str, ...] = ()
    change: Mapping[str, Any] = field(default_factory=dict)
    site: Mapping[str, Any] = field(default_factory=dict)
    grid: tuple[Mapping[str, Any], ...] = ()
    act: tuple[Act, ...] = ()
    expect: tuple[Mapping[str, Any], ...] = ()
    twin: Mapping[str, Any] = field(default_factory=dict)  # a second run: its acts, and what must be the same


def twin_of(scenario: Scenario) -> Scenario | None:
    """The same house with the other run's acts; None where there is no other run."""
    if not scenario.twin:
        return None
    return replace(scenario, act=tuple(scenario.twin.get("act", ())), expect=(), twin={})


def load(path: Path) -> Scenario:
    """The scenario of a file; raises ValueError for a key that no scenario has."""
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    if raw.pop("scenario", None) != 1:
        raise ValueError(f"{path.name}: scenario = 1 is missing")
    start = datetime.fromisoformat(str(raw.pop("start")))
    raw |= {key: tuple(raw[key]) for key in ("leave_out", "grid", "act", "expect") if key in raw}
    return Scenario(path.stem, start=start if start.tzinfo else start.replace(tzinfo=UTC), **raw)


def home_of(scenario: Scenario) -> Home:
    """The home with the scenario's changes."""
    home = open_home(HOMES / scenario.home)
    if not scenario.change:
        return home
    return Home.model_validate(changed(home.model_dump(exclude_none=True), scenario.change))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        known = merged.get(key)
        merged[key] = _merged(known, value) if isinstance(value, Mapping) and isinstance(known, Mapping) else value
    return merged


@contextmanager
def opened(scenario: Scenario, also: Sequence[Invariant] = ()) -> Iterator[tuple[Bench, Oracle]]:
    """A judged bench on which nothing has happened yet."""
    home = home_of(scenario)
    answers = answers_for(home)
    answers.site.update(_merged(answers.site, scenario.site))
    site = site_of(home, answers, tick_s=scenario.step_s)
    grids = [_grid(table) for table in scenario.grid]
    with Bench(home, start=scenario.start, seed=scenario.seed, site=site, step_s=scenario.step_s, grids=grids) as bench:
        yield bench, Oracle(bench, leave_out=scenario.leave_out, also=also)


def _grid(table: Mapping[str, Any]) -> GridSide:
    known = {"id", "poll_s", "report_interval_s"}
    settings = {key: value for key, value in table.items() if key not in known}
    return GridSide(settings=settings, **{key: table[key] for key in known & table.keys()})


def run(scenario: Scenario, also: Sequence[Invariant] = ()) -> tuple[list[Violation], list[str]]:
    """Plays a scenario; what the judge has to say, and which expectations were not met, in words."""
    acts = sorted(scenario.act, key=lambda what: float(what["at_s"]))
    watched = [_Watched(table) for table in scenario.expect]
    with opened(scenario, also) as (bench, oracle):
        done = 0
        steps = round(scenario.for_s / scenario.step_s)
        for number in range(steps + 1):
            now_s = number * scenario.step_s + bench.paused_s
            if now_s > scenario.for_s:
                break
            while done < len(acts) and float(acts[done]["at_s"]) <= now_s:
                act(bench, oracle, acts[done])
                done += 1
            for one in watched:
                one.look(bench, now_s)
            bench.advance(scenario.step_s)
        return oracle.violations, [words for one in watched for words in one.missed()]


class _Watched:
    """One expectation: true at every look from `from_s` to `until_s`, or at one look by `by_s`."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._table = table
        self._from_s = float(table.get("from_s", 0.0))
        self._until_s = float(table.get("until_s", table.get("by_s", 0.0)))
        self._throughout = "until_s" in table
        self._met = False
        self._broken = ""
        self._last = "nothing"
        self._first_writes: int | None = None

    def look(self, bench: Bench, now_s: float) -> None:
        """One step of the plant."""
        if not self._from_s <= now_s <= self._until_s or (self._met and not self._throughout) or self._broken:
            return
        fits, self._last = self._fits(bench)
        self._met = self._met or fits
        if self._throughout and not fits:
            self._broken = f"at {now_s:.0f} s {self._last}"

    def missed(self) -> list[str]:
        """What was not met, in words."""
        if self._broken or not self._met:
            return [f"{json.dumps(dict(self._table))}: seen {self._broken or self._last}"]
        return []

    def _fits(self, bench: Bench) -> tuple[bool, str]:
        table, see = self._table, self._table["see"]
        if see == "power":
            watts = _power_w(bench, str(table["of"]))
            return float(table.get("min", -1e9)) <= watts <= float(table.get("max", 1e9)), f"{watts:.0f} W"
        if see == "amps":
            amps = max(one.offered_a for one in bench.truth().ev.values())
            return float(table.get("min", -1e9)) <= amps <= float(table.get("max", 1e9)), f"{amps:g} A"
        if see in {"setpoint", "dropped", "car_pct"}:
            number = _number(bench, table)
            fits = number is not None and float(table.get("min", -1e9)) <= number <= float(table.get("max", 1e9))
            return fits, "none" if number is None else f"{number:g}"
        if see == "writes":
            count = bench.wire.writes.get(str(table["of"]), 0)
            self._first_writes = count if self._first_writes is None else self._first_writes
            return count - self._first_writes <= int(table["max"]), f"{count - self._first_writes} writes"
        if bench.gateway is None or bench.gateway.loop.last is None:
            return False, "no gateway"
        seen = _words(bench.status(), bench.gateway.board.outcomes(), table)
        if "is" in table:
            return bool(set(seen) & {str(table["is"])}), ", ".join(seen) or "nothing"
        fits = any(re.search(str(table["says"]), text) for text in seen)
        return fits != bool(table.get("never", False)), "; ".join(seen) or "nothing"


def _power_w(bench: Bench, of: str) -> float:
    truth = bench.truth()
    return float({"grid": truth.grid_w, "battery": truth.battery_w, "car": truth.ev_w, "pv": truth.pv_w}[of])


def _number(bench: Bench, table: Mapping[str, Any]) -> float | None:
    """What was decided last for a role, how many readings were dropped so far, or how full the fullest car is."""
    if table["see"] == "car_pct":
        return max(one.soc_pct for one in bench.truth().ev.values())
    if bench.gateway is None or bench.gateway.loop.last is None:
        return None
    if table["see"] == "dropped":
        return float(bench.gateway.loop.memory.dropped)
    decided = bench.gateway.loop.last.decision.setpoints
    found = [s.value for s in decided if bench.site_file.site.resource(s.resource_id).role == Role(str(table["of"]))]
    return None if not found else found[0]


def _words(status: Status, outcomes: Sequence[Outcome], table: Mapping[str, Any]) -> list[str]:
    match table["see"]:
        case "mode":
            return [status.mode.value]
        case "health":
            return [device.health.value for device in status.devices if _is(device.resources, table["of"])]
        case "outcome":
            return [o.state.value for o in outcomes if o.resource_id in _ids(status, table["of"])]
        case "grid":
            return [status.grid.value]
        case "link":
            return [link.state.value for link in status.links]
        case "alarm":
            return [f"{a.id}: {a.cause} | {a.effect} | {a.advice}" for a in status.alarms]
        case "headline":
            return [status.headline]
        case "reason":
            return [r.reason or "" for d in status.devices for r in d.resources if r.role == Role(str(table["of"]))]
    raise ValueError(f"nothing is seen by {table['see']!r}")


def _is(resources: Sequence[Any], role: object) -> bool:
    return any(resource.role == Role(str(role)) for resource in resources)


def _ids(status: Status, role: object) -> set[str]:
    return {r.id for device in status.devices for r in device.resources if r.role == Role(str(role))}


def toml(scenario: Scenario) -> str:
    """The file of a scenario; `load` reads it again."""
    plain = ("fault", "claim", "home", "seed", "for_s", "step_s")
    lines = ["scenario = 1", *(f"{key} = {json.dumps(getattr(scenario, key))}" for key in plain)]
    lines.append(f"start = {scenario.start.isoformat()}")
    if scenario.leave_out:
        lines.append(f"leave_out = {json.dumps(list(scenario.leave_out))}")
    merged = [key for key in ("change", "site") if getattr(scenario, key)]
    lines += [f"{key} = {_inline(getattr(scenario, key))}" for key in merged]
    for key in ("grid", "act", "expect"):
        for table in getattr(scenario, key):
            lines += ["", f"[[{key}]]", *(f"{_key(k)} = {_inline(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_inline(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_inline(v) for v in value) + "]"
    return json.dumps(value)


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else json.dumps(text)
