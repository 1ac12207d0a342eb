"""What the record costs: microseconds per tick, and bytes written to the medium per day, for 50 signals at 1 Hz.

Run it on the medium in question: python tests/bench/bench_record.py [FOLDER] [HOURS]
"""

import asyncio
import math
import random
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from cem.io.history import HistoryJournal
from cem.io.state_store import SqliteStateStore
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.envelope import Band
from cem.model.reading import Reading, Snapshot
from cem.model.resource import Resource, Role
from cem.model.setpoint import Decision, Mode
from cem.model.site import ElectricalConnection, Site
from cem.model.tariff import Tariff
from cem.model.tick import Inputs
from cem.ports import Put, StateKind

START = datetime(2026, 3, 10, tzinfo=UTC)
POINTS = (
    "power_w",
    "power_l1_w",
    "current_l1_a",
    "voltage_l1_v",
    "frequency_hz",
    "import_wh",
    "soc_pct",
    "temperature_c",
    "setpoint_w",
    "export_wh",
)
RESOURCES = ("grid", "roof", "store", "car", "pump")


def written_bytes() -> int:
    """Bytes that this process caused to be written to block devices."""
    lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def readings(tick: int, mono_s: float, noise: random.Random) -> dict[str, dict[str, Reading]]:
    """50 values, each with the noise of a real one."""
    values = {}
    for index, resource in enumerate(RESOURCES):
        power_w = 2000.0 * math.sin(tick / 3000 + index) + noise.gauss(0, 40)
        numbers = (
            power_w,
            power_w / 3,
            power_w / 690,
            230 + noise.gauss(0, 0.4),
            50 + noise.gauss(0, 0.01),
            1e6 + tick * 0.4,
            50 + tick / 3600,
            25.0,
            round(power_w, -2),
            5e5,
        )
        values[resource] = {
            point: Reading(resource, point, number, mono_s) for point, number in zip(POINTS, numbers, strict=True)
        }
    return values


async def history(clock: VirtualClock, folder: Path, hours: float) -> None:
    """Records a stretch of virtual time and tells what it cost."""
    roles = (Role.GRID, Role.PV, Role.BATTERY, Role.EV, Role.HEAT_PUMP)
    resources = tuple(Resource(name, role, name, name) for name, role in zip(RESOURCES, roles, strict=True))
    site = Site("Bench", "Europe/Berlin", ElectricalConnection(), Tariff("Europe/Berlin", "EUR", 0.3, 0.08), resources)
    journal = HistoryJournal(folder / "history.db", site)
    await journal.open(clock.now())
    decision = Decision((), Band(-1e4, 2e4), Mode.NORMAL, "bench", 500.0)
    noise = random.Random(1)
    costs_us = []
    before = written_bytes()
    for tick in range(int(hours * 3600)):
        now = clock.now()
        inputs = Inputs(now, Snapshot(now.mono_s, readings(tick, now.mono_s, noise)))
        begun = time.perf_counter()
        journal.record(inputs, decision)
        costs_us.append((time.perf_counter() - begun) * 1e6)
        await asyncio.sleep(1.0)
    await journal.close()
    per_day = (written_bytes() - before) * 24 / hours
    costs_us.sort()
    size = (folder / "history.db").stat().st_size
    sys.stdout.write(
        f"history: record() median {costs_us[len(costs_us) // 2]:.1f} us, "
        f"p99 {costs_us[len(costs_us) * 99 // 100]:.1f} us, worst {costs_us[-1]:.0f} us\n"
        f"history: {per_day / 1e6:.0f} MB written per day, {size * 24 / hours / 1e6:.2f} MB of file per day\n"
    )


async def state(clock: VirtualClock, folder: Path) -> None:
    """Commits one row at a time and tells what it cost."""
    store = SqliteStateStore(folder / "state.db", clock)
    costs_ms = []
    before = written_bytes()
    for number in range(300):
        begun = time.perf_counter()
        await store.commit([Put(StateKind.EVENT, f"vtn/{number % 40}", {"number": number, "text": "x" * 300})])
        costs_ms.append((time.perf_counter() - begun) * 1e3)
    await store.close()
    costs_ms.sort()
    sys.stdout.write(
        f"state: commit() median {costs_ms[150]:.2f} ms, p99 {costs_ms[296]:.2f} ms, "
        f"{(written_bytes() - before) / 300 / 1e3:.0f} kB written per commit\n"
    )


def main() -> None:
    """The two benchmarks."""
    parent = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    hours = float(sys.argv[2]) if len(sys.argv) > 2 else 3.0
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        run_virtual(lambda clock: history(clock, Path(folder), hours), START)
        run_virtual(lambda clock: state(clock, Path(folder)), START)


if __name__ == "__main__":
    main()
