"""`cem simulate`: the real gateway and a simulated home on a virtual clock."""

import json
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cem.simulation.plant import Home

FINE_DAYS = 3.0
COARSE_S = 30.0
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("home_file", metavar="HOME.toml", type=FILE)
@click.option(
    "--days",
    type=click.FloatRange(min=0, min_open=True, max=3660),
    default=1.0,
    show_default=True,
    help="Simulated time.",
)
@click.option("--seed", type=int, help="Of weather and load. [default: the home's]")
@click.option(
    "--start", metavar="TIME", help="ISO 8601, local without an offset. [default: the home's, else midsummer]"
)
@click.option("--tick", "tick_s", type=click.FloatRange(1, 60), help="Seconds. [default: 1 up to three days, then 30]")
@click.option("--site", type=FILE, help="Site file or answers: tariff, limits, goals; its devices are not used.")
@click.option("--grid", "grid_file", type=FILE, help="What the grid asks: a TOML file of [[order]] tables.")
@click.option("--no-plan", is_flag=True, help="Rules only, no optimiser.")
@click.option("--store", type=FOLDER, help="Keep state.db there; else it stays in memory.")
@click.option("--journal", type=FILE, help="Write a replay journal, for cem replay.")
@click.option("--plot", type=FILE, help="Draw a picture, an .svg file.")
@click.option("--json", "as_json", is_flag=True, help="The summary as JSON.")
def simulate(
    home_file: Path,
    days: float,
    seed: int | None,
    start: str | None,
    tick_s: float | None,
    site: Path | None,
    grid_file: Path | None,
    no_plan: bool,
    store: Path | None,
    journal: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Runs the gateway as it is, with drivers, planner and grid sessions, on a simulated home in virtual time.

    What it cost, what was kept to and what was broken is measured at the plant, not asked of the gateway. Exit code 1
    when a limit was broken, 2 when home, site or grid file can't be used.

    \b
    Example:
      cem simulate hw-sim/homes/demo.toml --days 1
      cem simulate hw-sim/homes/demo.toml --days 31 --seed 5 --json
      cem simulate hw-sim/homes/demo.toml --days 2 --plot days.svg
    """
    from cem.model.errors import SiteFileError
    from cem.simulation.plant import HomeUnusable, begins_at, open_home

    if plot is not None and plot.suffix.lower() != ".svg":
        raise click.BadParameter(
            f"'{plot}' is drawn as SVG, which every browser shows: name it .svg", param_hint="--plot"
        )
    if journal is not None and journal.exists():
        raise click.BadParameter(f"'{journal}' is there already; name another", param_hint="--journal")
    try:
        home = open_home(home_file)
        began = begins_at(home, start)
        summary = _run(
            home, began, days, tick_s or (1.0 if days <= FINE_DAYS else COARSE_S), seed, site, grid_file,
            plan=not no_plan, store=store, journal=journal, plot=plot,
        )  # fmt: skip
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--start or --grid") from error
    except (HomeUnusable, SiteFileError) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(summary))
    else:
        from cem.cli.simulate_text import write_summary

        write_summary(summary)
    sys.exit(int(summary["limits_broken"] > 0))


def _run(
    home: "Home",
    start: datetime | None,
    days: float,
    tick_s: float,
    seed: int | None,
    site: Path | None,
    grid_file: Path | None,
    *,
    plan: bool,
    store: Path | None,
    journal: Path | None,
    plot: Path | None,
) -> dict[str, Any]:
    from cem.simulation.orders import read_grid
    from cem.simulation.runs import Run, run_days
    from cem.simulation.site import answers_for, site_of

    began = time.perf_counter()
    found = site_of(home, answers_for(home, site), tick_s=tick_s)
    grids = read_grid(grid_file) if grid_file is not None else ()
    account, summary = run_days(Run(home, found, days, tick_s, start, seed, grids, plan, store, journal))
    summary["wall_s"] = round(time.perf_counter() - began, 2)
    if plot is not None:
        from cem.simulation.picture import svg

        plot.write_text(svg(account.samples, f"{home.name}, {days:g} days", home.zone), encoding="utf-8")
        summary["plot"] = str(plot)
    return summary
