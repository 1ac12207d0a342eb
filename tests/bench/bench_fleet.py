"""What a thousand houses do to a VTN and the grid when an outage is over: `bench_fleet.py [HOUSES]` prints a table."""

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.fleet import fleet_outage

OUTAGES = (("link, 7 min", False, 400.0), ("link, 20 min", False, 1200.0), ("power, 20 min", True, 1200.0))


def main() -> None:
    """One row for each outage."""
    houses = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    logging.disable(logging.CRITICAL)
    say = sys.stdout.write
    say(f"{houses} houses; requests in 10 s\n")
    say("| outage | online after | peak | mean | peak to mean | before | load, steepest minute | all of it after |\n")
    say("| --- | --- | --- | --- | --- | --- | --- | --- |\n")
    for name, power, for_s in OUTAGES:
        one = fleet_outage(houses, power=power, for_s=for_s)
        say(
            f"| {name} | {one.window_s:.0f} s | {one.peak_10s} | {one.mean_10s:.0f} | {one.peak_to_mean:.2f} "
            f"| {one.steady_10s:.0f} | {one.back_pct_a_min:.1f} % | {one.all_back_s:.0f} s |\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
