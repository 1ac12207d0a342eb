"""What profiles cost, in processor time: loading one of 60 points, the whole catalogue, and decoding a round.

Run it on the machine in question: python tests/bench/bench_profiles.py
"""

import sys
import time
from collections.abc import Callable

from cem_drivers.profiled.catalogue import parse_profile
from cem_drivers.profiled.reader import blocks_of
from cem_drivers.profiled.values import from_raws
from cem_drivers.profiles.store import shipped_texts

POINTS = 60
HEAD = """profile = 1
id = "bench"
title = "Sixty values"
roles = ["grid"]
status = "draft"
no_golden = "made for the bench"
[[evidence]]
doc = "made for the bench"
revision = "1"
[link]
kinds = ["tcp"]
[identify]
maker = "Bench"
points = [{ at = 0, type = "uint32", tells = "serial", source = "bench" }]
[group]
fast = { period_s = 1, stale_s = 5 }
[[point]]
id = "grid.power_w"
at = 10
type = "int32"
range = [-100000, 100000]
source = "bench"
"""
ROW = """[[value]]
id = "value_{number}"
at = {at}
type = "int32"
scale = 0.1
nan = ["0x80000000"]
range = [-100000, 100000]
source = "bench"
"""


def best_ms(job: Callable[[], object], rounds: int = 30) -> float:
    """The fastest of some rounds: what the work costs when nothing else disturbs it."""
    times = []
    for _ in range(rounds):
        began_s = time.process_time()
        job()
        times.append(time.process_time() - began_s)
    return min(times) * 1000


def main() -> None:
    """Prints the table."""
    source = HEAD + "".join(ROW.format(number=number, at=100 + 2 * number) for number in range(POINTS - 1))
    catalogue = shipped_texts(mqtt=False)
    profile, faults = parse_profile(source)
    assert profile is not None, faults
    raws = {row.id: (b"\x00\x00\x03\xe8", 0.0) for row in profile.rows}
    rows = [
        (f"load a profile of {POINTS} points", best_ms(lambda: parse_profile(source)), 5.0),
        (
            f"validate the catalogue ({len(catalogue)} profiles, golden cases included)",
            best_ms(lambda: [parse_profile(text) for text in catalogue.values()], 5),
            2000.0,
        ),
        (f"plan the reads of {POINTS} points", best_ms(lambda: list(blocks_of(profile))), 5.0),
        (f"decode {POINTS} points", best_ms(lambda: from_raws(profile, raws)), 1.0),
    ]
    sys.stdout.write(f"{'':60} {'ms':>8} {'bar, ms':>8}\n")
    for name, took_ms, bar_ms in rows:
        sys.stdout.write(f"{name:60} {took_ms:8.2f} {bar_ms:8.0f}\n")


if __name__ == "__main__":
    main()
