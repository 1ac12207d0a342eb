"""How long planning takes, and what the worker weighs. Run it: `python tests/bench/bench_planning.py`.

Solves random days of a house with one battery and one car in this process, then through the worker process.
"""

import asyncio
import math
import random
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.io.plan_worker import WorkerPlanner
from cem.model.plan import EvNeed, PlanRequest
from cem.planning.solve import solve
from support.planning import BATTERY, CAR, PV, problem

START = datetime(2026, 4, 15, 16, tzinfo=UTC)
IMPORTS = "import time; t = time.perf_counter(); import cem.planning.worker; print(time.perf_counter() - t)"


def day(rng: random.Random, slots: int, step_min: int, kind: str, *, car: bool = True) -> PlanRequest:
    """A random day: prices of a market with an evening peak, cloudy sun, a car due in the morning."""
    hours = [16 + k * step_min / 60 for k in range(slots)]
    mean, clouds = rng.uniform(0.2, 0.35), rng.uniform(0.3, 1.0)
    price = [mean + 0.08 * math.sin((h - 13) / 24 * 4 * math.pi) + rng.gauss(0, 0.01) for h in hours]
    export_price: list[float] | float = 0.08
    if kind == "negative":
        price = [p - 0.4 if 10 <= h % 24 < 15 else p for p, h in zip(price, hours, strict=True)]
        export_price = [0.0 if p < 0 else 0.08 for p in price]
    elif kind == "net metering":
        export_price = price
    sun = [max(math.sin((h % 24 - 5) / 14 * math.pi), 0.0) * 7000 * clouds * rng.uniform(0.6, 1.0) for h in hours]
    return problem(
        slots,
        price=price,
        export_price=export_price,
        load_w=[rng.uniform(200, 600) + (1500 if 17 <= h % 24 < 21 else 0) for h in hours],
        pv_w=sun,
        import_limit_w=11000.0,
        resources=(BATTERY, CAR, PV) if car else (BATTERY, PV),
        soc_pct=rng.uniform(10, 90),
        ev=(EvNeed("car", rng.uniform(5e3, 30e3), START + timedelta(hours=15)),) if car else (),
        step=timedelta(minutes=step_min),
        start=START,
    )


def timed(make: Callable[[random.Random], PlanRequest], count: int) -> tuple[list[float], list[float]]:
    """Sorted milliseconds and gaps of so many solves, after one that warms up."""
    rng = random.Random(1)
    solve(make(rng))
    spent, gaps = [], []
    for request in [make(rng) for _ in range(count)]:
        started = time.perf_counter()
        plan = solve(request)
        spent.append(1000 * (time.perf_counter() - started))
        gaps.append(plan.gap or 0.0)
    return sorted(spent), sorted(gaps)


async def through_the_worker(count: int) -> tuple[float, list[float], float]:
    """Milliseconds to the first plan and sorted for the next ones, and the worker's resident memory in MB."""
    rng, planner, spent = random.Random(1), WorkerPlanner(), []
    try:
        for _ in range(count + 1):
            request = day(rng, 96, 15, "ordinary")
            started = time.perf_counter()
            await planner.solve(request)
            spent.append(1000 * (time.perf_counter() - started))
        status = await asyncio.to_thread(Path(f"/proc/{planner.pid}/status").read_text)
    finally:
        await planner.close()
    resident_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return spent[0], sorted(spent[1:]), resident_kb / 1024


def line(*cells: str) -> None:
    """One row of the table."""
    sys.stdout.write(f"{cells[0]:<44}" + "".join(f"{cell:>11}" for cell in cells[1:]) + "\n")


def main() -> None:
    """Prints the table."""
    line("one battery and one car", "p50 ms", "p99 ms", "max ms", "p50 gap", "p99 gap")
    rows: list[tuple[str, int, int, str, bool, int]] = [
        ("96 x 15 min", 96, 15, "ordinary", True, 200),
        ("96 x 15 min, no car", 96, 15, "ordinary", False, 200),
        ("192 x 15 min", 192, 15, "ordinary", True, 60),
        ("288 x 5 min", 288, 5, "ordinary", True, 60),
        ("96 x 15 min, export price = import price", 96, 15, "net metering", True, 60),
        ("96 x 15 min, negative hours, export at 0", 96, 15, "negative", True, 60),
    ]
    for name, slots, step_min, kind, car, count in rows:
        spent, gaps = timed(lambda rng, a=(slots, step_min, kind), c=car: day(rng, *a, car=c), count)  # type: ignore[misc]
        late = int(0.99 * (count - 1))
        line(
            name,
            *(f"{ms:.1f}" for ms in (spent[count // 2], spent[late], spent[-1])),
            *(f"{100 * gap:.3f} %" for gap in (gaps[count // 2], gaps[late])),
        )
    first, spent, resident_mb = asyncio.run(through_the_worker(100))
    imports = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout
    sys.stdout.write("\n")
    line("the worker process, 96 x 15 min", "ms or MB")
    line("import of everything it needs", f"{1000 * float(imports):.0f} ms")
    line("first plan, start of the process included", f"{first:.0f} ms")
    line("next plans, to and fro, p50", f"{spent[50]:.1f} ms")
    line("next plans, to and fro, p99", f"{spent[98]:.1f} ms")
    line("resident memory after 101 plans", f"{resident_mb:.0f} MB")


if __name__ == "__main__":
    main()
