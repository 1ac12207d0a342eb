"""How good the forecasts are on recorded houses. Run it: `python tests/bench/bench_forecasts.py [FOLDER]`.

FOLDER holds houses as the CityLearn Challenge 2022 publishes them (hourly load in kWh, generation in W per kW). Every
fourth day of a year is forecast at midnight and at noon, from what was known then, and compared with what came and with
the day before: skill is the share of that one's error that is gone, of the root of the mean square and of the mean.
"""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cem.planning.forecast import Forecast, load_forecast, pv_forecast, slot_edges
from cem.planning.past import Course
from support.recorded import START, recorded

FOLDER = Path(os.environ.get("CEM_RECORDED_HOMES", "citylearn-2022"))
FIRST_DAY, EVERY = 30, 4


def scores(values: list[tuple[int, float]], forecast: Callable[..., Forecast]) -> tuple[float, float, float, float]:
    """Root of the mean square error in W, its skill, the mean error's skill, and the share of slots in the band."""
    ours, theirs, inside = [], [], []
    for day in range(FIRST_DAY, 365, EVERY):
        for hour in (0, 12):
            now, first = START + timedelta(days=day, hours=hour), 4 * (24 * day + hour + 1)
            if first + 96 > len(values):
                continue
            found = forecast(Course(values[first - 28 * 96 : first]), slot_edges(now))
            came, before = (np.array([value for _, value in values[k : k + 96]]) for k in (first, first - 96))
            low, high = np.array(found.low_w), np.array(found.high_w)
            ours.append(np.array(found.expected_w) - came)
            theirs.append(before - came)
            inside += [((low - 1.0 <= came) & (came <= high + 1.0))[high > 1.0]]
    error, persistent = np.array(ours), np.array(theirs)
    square, square_before = (float(np.sqrt((one**2).mean())) for one in (error, persistent))
    mean_skill = 1.0 - float(np.abs(error).mean() / np.abs(persistent).mean())
    return square, 1.0 - square / square_before, mean_skill, float(np.concatenate(inside).mean())


def main() -> None:
    """Prints the table."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    houses = sorted(folder.glob("Building_*.csv"))
    if not houses:
        sys.exit(f"no Building_*.csv in {folder}")
    heads = ("error W (rms)", "skill (rms)", "skill (mean)", "in the band")
    sys.stdout.write(f"{'':<24}" + "".join(f"{head:>16}" for head in heads) + "\n")
    for path in houses:
        load, sun = recorded(path)
        for name, values, forecast in (("load", load, load_forecast), ("sun", sun, pv_forecast)):
            square, skill, mean_skill, inside = scores(values, forecast)
            cells = (f"{square:.0f}", f"{skill:.2f}", f"{mean_skill:.2f}", f"{100 * inside:.0f} %")
            sys.stdout.write(f"{path.stem + ' ' + name:<24}" + "".join(f"{cell:>16}" for cell in cells) + "\n")


if __name__ == "__main__":
    main()
