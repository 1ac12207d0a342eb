"""What the planner is worth: .venv/bin/python tests/bench/bench_months.py [--days N] [--tick S] [--only TEXT] [--out F]

Policies at simulated homes in several seasons and tariffs, and at recorded houses where the machine has them: the real
gateway on the virtual clock, against what perfect foresight would have cost. Each line of --out is a month as JSON.
"""

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.simulation.compare.policies import Policy
from cem.simulation.compare.report import compare
from support.months import BUILDINGS, RECORDED, all_months


def main() -> None:
    """Prints a line a month."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--days", type=float, default=31.0)
    parser.add_argument("--tick", type=float, default=30.0)
    parser.add_argument("--only", default="", help="months whose name has this in it")
    parser.add_argument("--without", nargs="*", default=[], help="policies that are left out")
    parser.add_argument("--processes", type=int, default=2, help="policies that are played at once")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    policies = [policy for policy in Policy if policy.value not in given.without]
    write = sys.stdout.write
    if not RECORDED.is_dir():
        write(f"without the recorded houses {BUILDINGS}: no {RECORDED}\n")
    write(f"{'month':<28}" + "".join(f"{name:>18}" for name in (*policies, "bound")) + f"{'car short':>12}\n")
    with tempfile.TemporaryDirectory() as folder:
        for month in all_months(Path(folder)):
            if given.only not in month.name:
                continue
            found = compare(month.task(given.days, given.tick), policies, processes=given.processes)
            cells = [f"{found.settled[policy]:.2f} {100 * (found.share(policy) or 0.0):5.1f} %" for policy in policies]
            summary = found.summary()
            short = max(line["ev_short_kwh"] for line in summary["policies"].values())
            write(f"{month.name:<28}" + "".join(f"{cell:>18}" for cell in (*cells, f"{found.bound.settled:.2f}")))
            write(f"{short:>12.2f}\n")
            for fault in found.faults():
                write(f"    {fault}\n")
            sys.stdout.flush()
            if given.out is not None:
                with given.out.open("a", encoding="utf-8") as out:
                    out.write(json.dumps(summary | {"month": month.name, "faults": found.faults()}) + "\n")


if __name__ == "__main__":
    main()
