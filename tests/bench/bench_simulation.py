"""What simulated time costs: .venv/bin/python tests/bench/bench_simulation.py [--minutes N] [--whole] [--month]

The real gateway and a simulated farm with eight devices on one virtual clock, in processor time: without and with the
judge, at ticks of 1 s and of 30 s, each for a stretch of N minutes of ticks (default 20) and counted up to a day and to
a month; the best of three stretches counts, as the machine is shared. `--whole` runs a whole day of 1 s ticks instead,
`--month` 31 whole days of 30 s ticks, in which the past that plans look at grows to four weeks.
The bare event loop with as many timers as devices is the yardstick: ratios can be compared between machines.
"""

import argparse
import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.io.virtual import VirtualClock, run_virtual
from cem.simulation.harness import Bench
from cem.simulation.oracle import Oracle
from cem.simulation.plant import Home, SimulatedHome
from support.sim_worlds import eight_devices

START = datetime(2026, 4, 15, 5, tzinfo=UTC)
DAY_S, MONTH_S = 86400.0, 31 * 86400.0
BARS_S = {1.0: ("a day at 1 s ticks", DAY_S, 60.0), 30.0: ("31 days at 30 s ticks", MONTH_S, 180.0)}


def cost_s(home: Home, step_s: float, ticks: int, *, judged: bool, stretches: int = 3) -> float:
    """Processor seconds a tick, the best of some stretches after the first minute."""
    with Bench(home, start=START, seed=1, step_s=step_s) as bench:
        oracle = Oracle(bench) if judged else None
        bench.advance(60 * step_s)
        best = float("inf")
        for _ in range(stretches):
            began = time.process_time()
            bench.advance(ticks * step_s)
            best = min(best, (time.process_time() - began) / ticks)
        if oracle is not None and oracle.violations:
            sys.stdout.write(f"  the judge: {oracle.violations[0]}\n")
        return best


def bare_s(tasks: int, ticks: int) -> float:
    """Processor seconds a tick of so many tasks that only wait."""

    async def main(clock: VirtualClock) -> None:
        async def idle() -> None:
            for _ in range(ticks):
                await asyncio.sleep(1.0)

        await asyncio.gather(*(idle() for _ in range(tasks)))
        assert clock.now().mono_s > ticks

    began = time.process_time()
    run_virtual(main, START)
    return (time.process_time() - began) / ticks


def plant_s(home: Home, steps: int) -> float:
    """Processor seconds a step of the simulated home alone."""

    async def main() -> float:
        sim = SimulatedHome(home, START)
        await sim.start()
        began = time.process_time()
        for _ in range(steps):
            sim.step(1.0)
        spent = time.process_time() - began
        await sim.stop()
        return spent / steps

    return asyncio.run(main())


def row(*cells: str) -> None:
    """One row of the table."""
    sys.stdout.write(f"{cells[0]:<34}" + "".join(f"{cell:>14}" for cell in cells[1:]) + "\n")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--month", action="store_true")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    home = eight_devices()
    assert len(home.device) == 8
    if given.whole:
        row("a whole day at 1 s ticks", f"{86400 * cost_s(home, 1.0, 86400, judged=False, stretches=1):.0f} s")
    if given.month:
        ticks = round(MONTH_S / 30.0)
        row("31 whole days at 30 s ticks", f"{ticks * cost_s(home, 30.0, ticks, judged=False, stretches=1):.0f} s")
    if given.whole or given.month:
        return
    ticks = round(given.minutes * 60)
    bare = bare_s(len(home.device), ticks)
    row("eight devices", "ms a tick", "times bare", "makes", "bar")
    row("bare loop, eight timers", f"{1000 * bare:.3f}", "1.0")
    plant = min(plant_s(home, 2000) for _ in range(3))
    row("the simulated home alone", f"{1000 * plant:.3f}", f"{plant / bare:.1f}")
    for step_s, (name, lasts_s, bar_s) in BARS_S.items():
        for judged in (False, True):
            spent = cost_s(home, step_s, ticks, judged=judged)
            label = f"{name}{', judged' if judged else ''}"
            row(
                label,
                f"{1000 * spent:.3f}",
                f"{spent / bare:.1f}",
                f"{spent * lasts_s / step_s:.0f} s",
                f"{bar_s:.0f} s",
            )


if __name__ == "__main__":
    main()
