"""What a thousand houses do to a VTN and the grid when an outage is over: `bench_fleet.py [HOUSES]` prints a table."""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fleet import Outage, fleet_outage

OUTAGES = (
    ("link, 7 min", Outage.LINK, 400.0),
    ("link, 20 min", Outage.LINK, 1200.0),
    ("grid, 20 min", Outage.GRID, 1200.0),
    ("grid, 20 min, gateways too", Outage.POWER, 1200.0),
    ("Retry-After, 20 min", Outage.REFUSED, 1200.0),
)


def main() -> None:
    """One row for each outage."""
    houses = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    logging.disable(logging.CRITICAL)
    say = sys.stdout.write
    titles = (
        "online after",
        "peak",
        "mean",
        "peak to mean",
        "before",
        "steepest minute",
        "of what was held",
        "all after",
    )
    say(f"{houses} houses; requests in 10 s; load in per cent\n| outage | {' | '.join(titles)} |\n")
    say("| --- " * (1 + len(titles)) + "|\n")
    for name, outage, for_s in OUTAGES:
        one = fleet_outage(houses, outage, for_s=for_s)
        requests = f"{one.peak_10s} | {one.mean_10s:.0f} | {one.peak_to_mean:.2f} | {one.steady_10s:.0f}"
        load = f"{one.back_pct_a_min:.1f} % | {one.held_pct_a_min:.1f} %"
        say(f"| {name} | {one.window_s:.0f} s | {requests} | {load} | {one.all_back_s:.0f} s |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
