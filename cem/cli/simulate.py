"""`cem simulate`: the real gateway and a simulated home on a virtual clock, judged."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cem.simulation.play import Setting
    from cem.simulation.scenario import Scenario

FINE_DAYS = 3.0
COARSE_S = 30.0
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", metavar="FILE.toml", type=FILE)
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True, max=3660),
    help="Simulated time. [default: the scenario's for_s, else 1]",
)
@click.option("--seed", type=int, help="Of weather and load. [default: the file's]")
@click.option(
    "--start", metavar="TIME", help="ISO 8601, local without an offset. [default: the file's, else midsummer]"
)
@click.option(
    "--tick",
    "tick_s",
    type=click.FloatRange(1, 60),
    help="Seconds. [default: the scenario's step_s; of a home 1 up to three days, then 30]",
)
@click.option("--site", type=FILE, help="Site file or answers: tariff, limits, goals; its devices are not used.")
@click.option("--grid", "grid_file", type=FILE, help="What the grid asks: a TOML file of [[order]] tables.")
@click.option(
    "--prices",
    type=FILE,
    help="Recorded days of market prices that repeat, as aWATTar answers; for a dynamic tariff.",
)
@click.option("--compare", is_flag=True, help="Policies compared, against what perfect foresight would have cost.")
@click.option("--no-plan", is_flag=True, help="Rules only, no optimiser.")
@click.option("--store", type=FOLDER, help="Keep state.db there; else it stays in memory.")
@click.option("--journal", type=FILE, help="Write a replay journal, for cem replay.")
@click.option("--plot", type=FILE, help="Draw a picture, an .svg file.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
def simulate(
    file: Path,
    days: float | None,
    seed: int | None,
    start: str | None,
    tick_s: float | None,
    site: Path | None,
    grid_file: Path | None,
    prices: Path | None,
    compare: bool,
    no_plan: bool,
    store: Path | None,
    journal: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Runs the gateway as it is, with drivers, planner and grid sessions, on a simulated home in virtual time.

    FILE.toml is a home, or a scenario: a home with what befalls it and what must be seen. What it cost and what was
    kept to is measured at the plant, not asked of the gateway, and every step is judged by the promises of the house.
    Exit code 1 when a promise was broken, that of each limit among them, or an expectation missed; 2 when a file can't
    be used. A minute above a limit that a promise excuses, such as a step of the house's own load, breaks none.

    With --compare the same time is played under plain self-consumption, the cheapest-hours rule, the gateway's plan and
    the same told the true half hours, two at once, and held against the least that it can cost. The house has four
    weeks of records behind it then, and cars are to be ready for their trips. Exit code 1 when the plan costs
    more than self-consumption, or a car is short or a limit exceeded where another policy avoids it.

    \b
    Example:
      cem simulate hw-sim/homes/demo.toml
      cem simulate hw-sim/homes/demo.toml --days 31 --seed 5 --json
      cem simulate hw-sim/homes/demo.toml --days 2 --plot days.svg
      cem simulate hw-sim/homes/demo.toml --prices hw-sim/markets/winter-day.json
      cem simulate hw-sim/scenarios/bad-evening.toml
      cem simulate hw-sim/homes/demo.toml --days 7 --compare --plot week.svg
    """
    from cem.model.errors import GridError, SiteFileError
    from cem.simulation.plant import HomeUnusable, begins_at
    from cem.simulation.play import Setting
    from cem.simulation.scenario import open_scenario

    if plot is not None and plot.suffix.lower() != ".svg":
        raise click.BadParameter(
            f"'{plot}' is drawn as SVG, which every browser shows: name it .svg", param_hint="--plot"
        )
    if journal is not None and journal.exists():
        raise click.BadParameter(f"'{journal}' is there already; name another", param_hint="--journal")
    if compare and (no_plan or store is not None or journal is not None):
        raise click.UsageError("--compare plays several policies; --no-plan, --store and --journal go with one alone")
    try:
        scenario = open_scenario(file)
        began = begins_at(scenario.home, start)
        whole = _lasting(replace(scenario, start=began, seed=seed), days, tick_s, grid_file)
        if compare:
            sys.exit(_compared(whole, site, prices, plot, as_json))
        summary = _summary(whole, Setting(site, not no_plan, store, journal, prices), plot)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--start") from error
    except (HomeUnusable, SiteFileError, GridError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        from cem.cli.simulate_text import write_summary

        write_summary(summary)
    missed = any(result["met"] is False for result in summary["expectations"])
    unexcused = any(limit["broken"] for limit in summary["limits"] if limit["excused_by"] is None)
    sys.exit(int(bool(summary["promises"]["violations"] or missed or unexcused)))


def _compared(scenario: "Scenario", site: Path | None, prices: Path | None, plot: Path | None, as_json: bool) -> int:
    """Prints the comparison; the exit code."""
    from cem.simulation.compare.report import compare
    from cem.simulation.compare.run import Task

    began = time.perf_counter()
    found = compare(Task(scenario, site, prices))
    summary = found.summary() | {"wall_s": round(time.perf_counter() - began, 2), "faults": found.faults()}
    if plot is not None:
        from cem.simulation.compare.picture import svg

        plot.write_text(svg(found), encoding="utf-8")
        summary["plot"] = str(plot)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        from cem.cli.compare_text import write_comparison

        write_comparison(summary)
    return int(bool(summary["faults"]))


def _lasting(scenario: "Scenario", days: float | None, tick_s: float | None, grid_file: Path | None) -> "Scenario":
    """The scenario with what the command line says about its time and its grid."""
    from cem.simulation.orders import read_grid

    if days is not None:
        scenario = replace(scenario, for_s=days * 86400)
    if tick_s is None and scenario.is_home:
        tick_s = 1.0 if scenario.for_s <= FINE_DAYS * 86400 else COARSE_S
    if tick_s is not None:
        scenario = replace(scenario, step_s=tick_s)
    if grid_file is not None:
        grids, orders = read_grid(grid_file)
        scenario = replace(scenario, grids=scenario.grids + grids, orders=scenario.orders + orders)
    return scenario


def _summary(scenario: "Scenario", setting: "Setting", plot: Path | None) -> dict[str, Any]:
    from cem.simulation.play import play

    began = time.perf_counter()
    played = play(scenario, setting)
    summary = played.summary()
    summary["wall_s"] = round(time.perf_counter() - began, 2)
    if plot is not None:
        from cem.simulation.picture import svg

        title = f"{scenario.home.name}, {summary['days']:g} days"
        plot.write_text(svg(played.account.samples, title, scenario.home.zone), encoding="utf-8")
        summary["plot"] = str(plot)
    return summary
