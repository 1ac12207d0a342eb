"""Random scenario-hours by the thousand: .venv/bin/python tests/oracle/random_hours.py [--hours N] [--seed S] [--out F]

Every seed is one scenario: a home, a day, a tick, and misfortunes (`support.oracle_random.drawn`). The judge looks at
each step; what it says is printed, counted by invariant, and appended to F as a line of JSON with the seed, from which
`--shrink SEED` makes a scenario file that runs for ever after. The exit status is 1 when a promise was broken.
"""

import argparse
import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.simulation.play import play
from support.oracle_random import drawn, saved, shrunk
from support.oracle_search import Tally, search

SAY_EVERY = 100
"""Scenarios between two lines of progress."""


def say(what: object) -> None:
    """One line on the standard output, at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--hours", type=float, default=10_000.0)
    parser.add_argument("--seed", type=int, default=1000, help="the first one")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--out", type=Path, help="where a line of JSON is added for each scenario that breaks a promise"
    )
    parser.add_argument("--shrink", type=int, nargs="+", metavar="SEED", help="make scenario files of these instead")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.shrink:
        return _files(given.shrink)
    tally = Tally()
    for hour in search(given.hours, given.seed, given.processes):
        tally.add(hour)
        if hour.broken:
            where = f"seed {hour.seed}, {hour.home}, ticks of {hour.tick_s:g} s, {hour.hours:g} h"
            say(f"{where}: {hour.said[0]}")
            if given.out is not None:
                with given.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(hour)) + "\n")
        if tally.scenarios % SAY_EVERY == 0:
            say(tally)
    say(tally)
    return 1 if tally.broken else 0


def _files(seeds: list[int]) -> int:
    """Writes a shrunk scenario file for each seed that breaks a promise."""
    for seed in seeds:
        whole = drawn(seed)
        violation = next(iter(play(whole).violations), None)
        if violation is None:
            say(f"seed {seed}: breaks no promise")
        else:
            say(f"seed {seed}: {saved(shrunk(whole, violation.invariant), violation)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
