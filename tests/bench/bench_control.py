"""What one decision costs: .venv/bin/python tests/bench/bench_control.py [--ticks N]

Prints p50, p99 and the largest of `decide` for growing houses, and the ratio of p99 to the bar (2 ms for 12 devices on
a small x86 machine) and to the smallest house; the ratios are what can be compared between machines.
"""

import argparse
import gc
import random
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.control import Memory, decide
from cem.model.plan import Intent, IntentKind, Plan, Slot
from cem.model.reading import Value
from cem.model.resource import Resource, Role
from cem.model.site import Circuit, ElectricalConnection, Site
from support.houses import BATTERY, BOILER, CAR, GRID, HEAT_PUMP, NOON, PV, house, inputs, limited, snapshot

BAR_MS = 2.0
KINDS: tuple[Resource, ...] = (PV, BATTERY, CAR, HEAT_PUMP, BOILER)


def site_of(devices: int) -> Site:
    """A meter and so many other devices, in turn of every kind; the cars behind a circuit of their own."""
    others = tuple(replace(KINDS[n % len(KINDS)], id=f"{KINDS[n % len(KINDS)].id}{n}") for n in range(devices - 1))
    cars = tuple(r.id for r in others if r.role is Role.EV)
    site = house(GRID, *others, connection=ElectricalConnection(fuse_a=63))
    return replace(site, circuits=(Circuit("garage", 32.0, cars),) if cars else ())


def plan_of(site: Site) -> Plan:
    """A day of quarter-hours."""
    intents = MappingProxyType(
        {r.id: Intent(IntentKind.SELF_CONSUME, 60.0, None, 0.2) for r in site.resources if r.role is Role.BATTERY}
    )
    slots = tuple(
        Slot(NOON + timedelta(minutes=15 * n), NOON + timedelta(minutes=15 * n + 15), intents, 0.3) for n in range(96)
    )
    return Plan(NOON, slots[-1].end, slots, "optimal")


def measured(site: Site, ticks: int) -> list[float]:
    """Milliseconds of each of so many decisions, with the load moving and a limit in force."""
    rng = random.Random(1)
    memory, plan, took = Memory(), plan_of(site), []
    for tick in range(ticks):
        meter: dict[str, Value] = {f"power_l{phase}_w": rng.uniform(500, 6000) for phase in (1, 2, 3)}
        values: dict[str, dict[str, Value]] = {"grid": {**meter, "power_w": rng.uniform(0, 20000)}}
        for resource in site.resources:
            power = rng.uniform(1500, 3000)
            if resource.role is Role.BATTERY:
                values[resource.id] = {"power_w": power, "soc_pct": 50.0, "max_charge_w": 5000.0, "state": "on"}
            elif resource.role is Role.EV:
                values[resource.id] = {"power_w": 2 * power, "state": "C", "session_wh": 500.0, "limit_a": 8.0}
            elif resource.role is not Role.GRID:
                values[resource.id] = {"power_w": -power if resource.role is Role.PV else power}
        given = inputs(
            snapshot(values, mono_s=1000.0 + tick),
            directive=limited(12000.0),
            plan=plan,
            wall=NOON + timedelta(seconds=tick),
        )
        began = time.perf_counter()
        _, memory = decide(site, given, memory)
        took.append((time.perf_counter() - began) * 1000)
    return sorted(took)


def main() -> int:
    """The table; 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=3000)
    ticks = parser.parse_args().ticks
    gc.disable()
    smallest: float | None = None
    missed = False
    out = sys.stdout.write
    out(f"{'devices':>8} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'p99/bar':>8} {'p99/first':>10}\n")
    for devices in (4, 8, 12, 24, 48):
        took = measured(site_of(devices), ticks)
        p50, p99, most = took[len(took) // 2], took[int(len(took) * 0.99)], took[-1]
        smallest = smallest or p99
        out(f"{devices:>8} {p50:>8.3f} {p99:>8.3f} {most:>8.3f} {p99 / BAR_MS:>8.2f} {p99 / smallest:>10.1f}\n")
        missed = missed or (devices == 12 and p99 > BAR_MS)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
