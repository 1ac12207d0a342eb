"""How long planning takes, how good it is, and what the worker weighs. Run it: `python tests/bench/bench_planning.py`.

Solves random days of a house in this process, some with the textbook model too (a binary for every exclusivity and
minimum, HiGHS through scipy), then through the worker process. What the first table shows of a problem is the least
processor time of three tries, each from nothing: what else runs on a shared machine slows some by a third. "tries" is
the p99 of all of them.
"""

import asyncio
import json
import math
import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.io.plan_worker import WorkerPlanner
from cem.model.plan import EvNeed, PlanRequest
from cem.planning.answer_file import answer_of
from cem.planning.optimiser import Warm, prepare
from cem.planning.problem_file import read_problem
from support.plan_evaluator import evaluate
from support.plan_problems import KINDS, random_problem
from support.plan_textbook import textbook
from support.planning import BATTERY, CAR, PV, problem

START = datetime(2026, 4, 15, 16, tzinfo=UTC)
IMPORTS = "import time; t = time.process_time(); import cem.planner_app; print(time.process_time() - t)"


TRIES = 3


def timed(slots: int, count: int, **parts: int) -> tuple[list[float], list[float], list[float], int]:
    """Sorted milliseconds of the best tries and of all, sorted gaps, and how many answers can't be carried out."""
    spent, tries, gaps, wrong = [], [], [], 0
    for seed in range(-1, count):  # one that warms up
        raw = random_problem(abs(seed), slots, **parts)  # type: ignore[arg-type]
        file, problem, notes = read_problem(json.dumps(raw))
        took = []
        for _ in range(TRIES):
            started = time.process_time()
            solution = prepare(problem).solve()
            took.append(1000 * (time.process_time() - started))
        if seed >= 0:
            spent.append(min(took))
            tries += took
            gaps.append(solution.gap)
            wrong += bool(evaluate(raw, answer_of(file, problem, solution, notes, 0, 0)).faults)
    return sorted(spent), sorted(tries), sorted(gaps), wrong


def again(slots: int, count: int) -> list[float]:
    """Sorted milliseconds of re-plans in which load, sun and the battery's level have moved by some per cent."""
    rng, spent = random.Random(3), []
    for seed in range(count):
        raw = random_problem(seed, slots)
        warm = Warm()
        prepare(read_problem(json.dumps(raw))[1], warm).solve()
        for key in ("base_load_w", "pv_w"):
            raw[key] = [value * rng.uniform(0.95, 1.05) for value in raw[key]]
        raw["batteries"][0]["soc_wh"] *= rng.uniform(0.95, 1.0)
        problem = read_problem(json.dumps(raw))[1]
        started = time.process_time()
        prepare(problem, warm).solve()
        spent.append(1000 * (time.process_time() - started))
    return sorted(spent)


def against_the_textbook(slots: int, count: int, kind: str) -> tuple[list[float], list[float]]:
    """Sorted ratios of time, and differences of the penalised cost as shares of the gross bill (ours less theirs)."""
    ratios, worse = [], []
    for seed in range(count):
        raw = random_problem(seed, slots, kind=kind)
        file, problem, notes = read_problem(json.dumps(raw))
        started = time.perf_counter()
        solution = prepare(problem).solve()
        spent = time.perf_counter() - started
        ours = evaluate(raw, answer_of(file, problem, solution, notes, 0, 0)).penalised(problem.price_scale)
        theirs, _, theirs_s = textbook(raw, 20.0)
        ratios.append(theirs_s / spent)
        worse.append((ours - theirs) / problem.gross_bill)
    return sorted(ratios), sorted(worse)


async def through_the_worker(count: int) -> tuple[float, list[float], float]:
    """Milliseconds to the first plan and sorted for the next ones, and the worker's resident memory in MB."""
    rng, planner, spent = random.Random(1), WorkerPlanner(), []
    try:
        for _ in range(count + 1):
            request = _request(rng)
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


def _request(rng: random.Random) -> PlanRequest:
    """A day of a gateway with one battery and one car."""
    return problem(
        96,
        price=[0.3 + 0.08 * math.sin((k / 4 + 3) / 12 * 2 * math.pi) + rng.gauss(0, 0.01) for k in range(96)],
        load_w=[rng.uniform(200, 600) for _ in range(96)],
        import_limit_w=11000.0,
        resources=(BATTERY, CAR, PV),
        soc_pct=rng.uniform(10, 90),
        ev=(EvNeed("car", rng.uniform(5e3, 30e3), START + timedelta(hours=15)),),
        start=START,
    )


def _show(values: list[float], unit: float = 1.0) -> list[str]:
    late = int(0.99 * (len(values) - 1))
    return [f"{values[at] * unit:.2f}" for at in (len(values) // 2, late, -1)]


def main() -> None:
    """Prints the table; an argument is the number of problems in each row (200)."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    line("cold", "p50 ms", "p99 ms", "max ms", "tries ms", "p50 gap %", "p99 gap %", "max gap %", "wrong")
    for name, slots, share, parts in (
        ("1 battery, 1 car, 96 steps", 96, 1, {}),
        ("1 battery, 1 car, 192 steps", 192, 1, {}),
        ("1 battery, 1 car, 576 steps", 576, 10, {}),
        (
            "3 batteries, 3 cars, 4 loads, heat pump, 192",
            192,
            4,
            {"batteries": 3, "evs": 3, "loads": 4, "heat_pumps": 1},
        ),
    ):
        spent, tries, gaps, wrong = timed(slots, max(count // share, 5), **parts)
        line(name, *_show(spent), _show(tries)[1], *_show(gaps, 100.0), str(wrong))
    line("again, all but the shape moved", "p50 ms", "p99 ms", "max ms")
    for slots, share in ((192, 1), (576, 10)):
        line(f"1 battery, 1 car, {slots} steps", *_show(again(slots, max(count // share, 5))))
    line("against the textbook model, 192 steps", "geomean x", "least x", "worse p50 %", "worst %")
    for kind in KINDS:
        ratios, worse = against_the_textbook(192, max(count // 20, 3), kind)
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        line(kind, f"{mean:.0f}", f"{ratios[0]:.0f}", f"{100 * worse[len(worse) // 2]:.3f}", f"{100 * worse[-1]:.3f}")
    first, spent, resident_mb = asyncio.run(through_the_worker(100))
    imports = [
        float(subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True).stdout)
        for _ in range(TRIES)
    ]
    sys.stdout.write("\n")
    line("the worker process, 96 x 15 min", "ms or MB")
    line("import of everything it needs", f"{1000 * min(imports):.0f} ms")
    line("first plan, start of the process included", f"{first:.0f} ms")
    line("next plans, to and fro, p50", f"{spent[50]:.1f} ms")
    line("next plans, to and fro, p99", f"{spent[98]:.1f} ms")
    line("resident memory after 101 plans", f"{resident_mb:.0f} MB")


if __name__ == "__main__":
    main()
