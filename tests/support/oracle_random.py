"""Random scenarios by seed: the same seed is the same house, the same day and the same misfortunes."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cem.simulation.oracle import Violation
from cem.simulation.plant import open_home
from cem.simulation.play import play
from cem.simulation.scenario import Scenario, changed, scenario_of, text_of
from hw_sim.happenings import FAULTS

ROOT = Path(__file__).resolve().parents[2]
HOMES = ROOT / "hw-sim" / "homes"
FOLDER = ROOT / "tests" / "scenarios" / "faults"

PROFILE = "profile"
"""The kind of a simulated device that a maker's profile describes."""
USUAL = ("silence", "disconnect", "refuse_writes", "freeze")
WIRED = ("broken_wire",)
"""What befalls a device on pins in their place."""
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
GRID: list[dict[str, Any]] = [
    {"poll_s": 10.0, "default_import_limit_w": 4200.0, "reconnect_jitter_s": 5.0, "spread_s": 60.0}
]
POLLS_S = (10.0, 30.0, 30.0)
"""Of the house at the grid, by seed; most of what polling costs is the same thing over and over."""
Make = Callable[[random.Random, "Known"], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Known:
    """What a home has, for misfortunes that fit."""

    faults: tuple[tuple[str, tuple[str, ...]], ...]  # the devices that can fail, and how each does
    has_car: bool
    has_battery: bool


def known(home: str) -> Known:
    """Of a home file."""
    found = open_home(HOMES / home)
    kinds = {spec.kind for spec in found.device}
    faults = [(spec.id, tuple(k for k in (*USUAL, *WIRED) if spec.kind in FAULTS[k].devices)) for spec in found.device]
    return Known(
        tuple((device, kinds) for device, kinds in faults if kinds),
        any("charger" in kind for kind in kinds) or (PROFILE in kinds and bool(found.ev)),
        any("battery" in kind or "storage" in kind for kind in kinds) or (PROFILE in kinds and bool(found.battery)),
    )


@cache
def homes() -> tuple[str, ...]:
    """The homes that the random house plays: every ready-made one, but for makers' devices, which are asked for by
    name: so each seed keeps its home."""
    names = sorted(path.name for path in HOMES.glob("*.toml"))
    return tuple(name for name in names if all(spec.kind != PROFILE for spec in open_home(HOMES / name).device))


def site_for(home: str) -> dict[str, Any]:
    """What a person would say about a home beyond the defaults: which battery may not be charged from the grid."""
    if all(battery.grid_charge for battery in open_home(HOMES / home).battery):
        return {}
    return {"battery": [{"resource": "battery", "grid_charge": False}]}


# each gives acts with `after_s`: seconds after the moment that was drawn for it


def _a_fault(draw: random.Random, home: Known) -> list[dict[str, Any]]:
    target, kinds = draw.choice(home.faults)
    kind = draw.choice(kinds)
    over_s = draw.choice((5, 20, 60, 200, 700))
    what = {"target": target, "kind": kind}
    return [{"after_s": 0, "do": "fault", **what}, {"after_s": over_s, "do": "clear", **what}]


def _a_load(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    watts = draw.choice((0, 500, 2000, 5000, 9000))
    return [
        {"after_s": 0, "do": "load", "watts": watts},
        {"after_s": draw.choice((60, 400, 1500)), "do": "load", "watts": 0},
    ]


def _a_car(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    return [
        {"after_s": 0, "do": "unplug"},
        {"after_s": draw.choice((10, 300, 2000)), "do": "plug", "used_wh": draw.choice((0, 3000, 15000))},
    ]


def _a_limit(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    side = draw.choice(("import_limit", "import_limit", "export_limit"))
    values = [draw.choice((0, 1500, 4200, 6000, 11000)) for _ in range(draw.choice((1, 1, 3)))]
    for_s = draw.choice((300, 900, 2700))
    return [
        {
            "after_s": 0,
            "do": "signal",
            "signal": side,
            "values": values,
            "in_s": draw.choice((0, 60, 600)),
            "for_s": for_s,
        }
    ]


def _a_price(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    values = [draw.choice((-0.1, 0.05, 0.3, 0.9)) for _ in range(3)]
    return [{"after_s": 0, "do": "signal", "signal": "price", "values": values, "in_s": 30, "for_s": 2700}]


def _a_cut(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    return [
        {"after_s": 0, "do": "link", "up": False},
        {"after_s": draw.choice((30, 300, 2400)), "do": "link", "up": True},
    ]


def _a_death(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    end = draw.choice(("kill", "kill", "stop"))
    return [{"after_s": 0, "do": end}, {"after_s": draw.choice((2, 8, 25, 200)), "do": "start"}]


def _a_jump(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    return [{"after_s": 0, "do": "clock", "by_s": draw.choice((-3600, -60, 45, 3600, 86400))}]


def _no_clock(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    return [
        {"after_s": 0, "do": "clock", "trusted": False},
        {"after_s": draw.choice((60, 900)), "do": "clock", "trusted": True},
    ]


def _a_wish(draw: random.Random, home: Known) -> list[dict[str, Any]]:
    wishes = [("ev", kind) for kind in ("charge_now", "surplus_only", "pause") if home.has_car]
    wishes += [("battery", kind) for kind in ("charge_now", "hold") if home.has_battery]
    if not wishes:
        return []
    role, kind = draw.choice(wishes)
    return [{"after_s": 0, "do": "ask", "role": role, "kind": kind, "for_s": draw.choice((120, 900, 3600))}]


def _a_charge(draw: random.Random, _: Known) -> list[dict[str, Any]]:
    return [{"after_s": 0, "do": "store", "soc_pct": draw.choice((6, 10, 12.5, 50, 97))}]


MISFORTUNES: tuple[Make, ...] = (
    _a_fault, _a_fault, _a_load, _a_load, _a_car, _a_limit, _a_limit, _a_price, _a_cut, _a_death, _a_jump, _no_clock,
    _a_wish, _a_wish, _a_charge,
)  # fmt: skip


def house(name: str, home: str, start: datetime, **keys: Any) -> Scenario:
    """A scenario of a ready-made home with a grid, to which `keys` of the file are added."""
    table = {
        "scenario": 1,
        "name": name,
        "claim": "no promise is broken",
        "home": home,
        "start": start,
        "grid": GRID,
        "site": site_for(home),
    }
    return scenario_of(table | keys, FOLDER / f"{name}.toml")


def scenario(
    seed: int, *, hours: float = 1.0, home: str | None = None, every_s: float = 400.0, tick_s: float = 1.0
) -> Scenario:
    """The random scenario of a seed, with a misfortune every `every_s` seconds on average."""
    draw = random.Random(seed)
    home = home or draw.choice(homes())
    has = known(home)
    acts: list[dict[str, Any]] = []
    at_s = 60.0
    while at_s < hours * 3600 - 60:
        made = draw.choice(MISFORTUNES)(draw, has)
        acts += [
            {"at_s": round(at_s + one["after_s"]), **{k: v for k, v in one.items() if k != "after_s"}} for one in made
        ]
        at_s += draw.expovariate(1.0 / every_s)
    start = EPOCH + timedelta(days=draw.randrange(365), hours=draw.randrange(24))
    acts.sort(key=lambda one: float(one["at_s"]))
    grid = [GRID[0] | {"poll_s": POLLS_S[seed % len(POLLS_S)]}]
    return house(f"random-{seed}", home, start, seed=seed, for_s=hours * 3600, step_s=tick_s, act=acts, grid=grid)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often scenarios with a tick are drawn, how long they are, and what an hour of them costs."""

    tick_s: float
    weight: float
    hours: float
    cpu_s: float  # a simulated hour, on an x86 core; says only why the weights are what they are


PACES = (Pace(1.0, 10, 1.0, 8.5), Pace(2.0, 20, 1.0, 4.3), Pace(5.0, 40, 2.0, 2.2), Pace(10.0, 30, 4.0, 1.7))
"""No coarser: a promise of a minute or less can't be kept, nor judged, by a tick that is half of it."""


@cache
def every_home() -> tuple[str, ...]:
    """All ready-made homes."""
    return tuple(sorted(path.name for path in HOMES.glob("*.toml")))


def drawn(seed: int) -> Scenario:
    """The scenario of a seed of the long search: home by home in turn, with a tick drawn by the paces' weights."""
    home = every_home()[seed % len(every_home())]
    pace = random.Random(seed + 0.5).choices(PACES, [pace.weight for pace in PACES])[0]
    return scenario(seed, hours=pace.hours, home=home, tick_s=pace.tick_s)


def shrunk(one: Scenario, invariant: str, *, tries: int = 60) -> Scenario:
    """A scenario with as few acts as possible that still breaks the same invariant, cut soon after."""

    def breaks(candidate: Scenario) -> float | None:
        return next((v.at_s for v in play(candidate).violations if v.invariant == invariant), None)

    at_s = breaks(one)
    if at_s is None:
        return one
    acts = [act for act in one.table["act"] if float(act["at_s"]) <= at_s]
    one = changed(one, for_s=at_s + 5.0, act=acts)
    size = max(1, len(acts) // 2)
    while tries > 0:
        for index in range(0, len(acts), size):
            fewer = [*acts[:index], *acts[index + size :]]
            tries -= 1
            if breaks(changed(one, act=fewer)) is not None:
                acts = fewer
                break
        else:
            if size == 1:
                break
            size //= 2
    return changed(one, act=acts)


def saved(one: Scenario, violation: Violation, folder: Path = FOLDER) -> Path:
    """Writes a scenario as a file that runs for ever after."""
    path = folder / f"found-{violation.invariant.lower()}-{one.name}.toml"
    told = changed(one, claim=f"{violation.invariant}: {violation.allowed}")
    path.write_text(text_of(told), encoding="utf-8")
    return path
