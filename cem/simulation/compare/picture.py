"""A picture of a comparison as SVG: what each policy has cost so far, the battery, and what a kWh costs."""

import numpy as np

from cem.io import chart
from cem.simulation.compare.policies import Policy
from cem.simulation.compare.report import Comparison

COLOURS = {
    Policy.SELF_CONSUMPTION: "#8d99ae",
    Policy.CHEAPEST_HOURS: "#e9a100",
    Policy.OURS: "#2a9d8f",
    Policy.EXACT: "#3a5fcd",
}
HOUR_MIN = 60
MOST_POINTS = 800


def svg(found: Comparison) -> str:
    """The picture; local times."""
    task, costs, levels = found.task, [], []
    for policy, run in found.runs.items():
        hours = run.samples[HOUR_MIN - 1 :: HOUR_MIN]
        spent = np.cumsum(
            [s.grid_w / 60_000.0 * (s.import_price if s.grid_w > 0 else s.export_price) for s in run.samples]
        )[HOUR_MIN - 1 :: HOUR_MIN]
        at = [sample.at for sample in hours]
        costs.append(chart.Line(str(policy), COLOURS[policy], list(zip(at, spent.tolist(), strict=True))))
        if task.scenario.home.battery:
            levels.append(chart.Line(str(policy), COLOURS[policy], [(s.at, s.battery_soc_pct) for s in hours]))
    paid = found.foresight()
    costs.append(chart.Line("perfect foresight", "#c1121f", paid[:: max(1, len(paid) // MOST_POINTS)]))
    first = next(iter(found.runs.values())).samples[HOUR_MIN - 1 :: HOUR_MIN]
    prices = chart.Line("import", "#6a4c93", [(sample.at, sample.import_price) for sample in first])
    panels = [chart.Panel(f"paid so far, {found.currency}", 360, tuple(costs))]
    if levels:
        panels.append(chart.Panel("battery, %", 160, tuple(levels)))
    panels.append(chart.Panel("price of a kWh", 120, (prices,)))
    days = task.scenario.for_s / 86400
    return chart.svg(panels, f"{task.scenario.home.name}, {days:g} days of each policy", task.scenario.home.zone)
