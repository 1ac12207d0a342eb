"""`cem plan`: one planning problem from a file, solved without a gateway."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click


@click.command()
@click.option(
    "--problem",
    "path",
    required=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="The problem as JSON; - reads it from standard input.",
)
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the plan, an .svg file.")
@click.option("--json", "as_json", is_flag=True, help="The whole answer as JSON.")
def plan(path: Path, plot: Path | None, as_json: bool) -> None:
    """Solves one planning problem: prices, sun, load, limits, batteries, cars, loads, heat pumps.

    The cheapest plan, with a proven bound of what no plan can undercut. What can't be kept is missed by as little as
    possible and named. Exit code 1 when something had to be missed, 2 when the file is no problem.

    \b
    Example:
      cem plan --problem tomorrow.json
      cem plan --problem tomorrow.json --json | jq .cost
      cem plan --problem deploy/docs/plan-day.json --plot plan-day.svg
    """
    from cem.planning.answer_file import answer_of
    from cem.planning.lp import SolverFailedError
    from cem.planning.optimiser import prepare
    from cem.planning.problem_file import ProblemFileError, read_problem

    if plot is not None and plot.suffix.lower() != ".svg":
        raise click.BadParameter(f"'{plot}' is drawn as SVG: name it .svg", param_hint="--plot")
    text = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        file, problem, notes = read_problem(text)
    except ProblemFileError as fault:
        raise click.UsageError(str(fault)) from fault
    started_s = time.perf_counter()
    try:
        prepared = prepare(problem)
        built_s = time.perf_counter()
        solution = prepared.solve()
    except SolverFailedError as fault:
        raise click.ClickException(str(fault)) from fault
    solved_s = time.perf_counter()
    answer = answer_of(file, problem, solution, notes, built_s - started_s, solved_s - built_s)
    if plot is not None:
        from cem.cli.plan_picture import begin_of, plan_svg

        plot.write_text(plan_svg(problem, answer, begin_of(file.start), path.stem), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(answer))
    else:
        _print(answer)
    sys.exit(int(bool(answer["shortfalls"])))


def _print(answer: dict[str, Any]) -> None:
    click.echo(
        f"{answer['status']}: costs {answer['cost']:.4f}, no plan costs less than {answer['bound']:.4f} "
        f"(gap {100 * answer['gap']:.3f} % of the gross bill), {1000 * (answer['build_s'] + answer['solve_s']):.0f} ms"
    )
    for kind in ("batteries", "evs", "heat_pumps"):
        for part_id, found in answer[kind].items():
            least, most = min(found["power_w"]), max(found["power_w"])
            click.echo(f"  {part_id}: {least:.0f} to {most:.0f} W, ends at {found['soc_wh'][-1]:.0f} Wh")
    for part_id, found in answer["loads"].items():
        where = "does not run" if found["start_step"] is None else f"starts at step {found['start_step']}"
        click.echo(f"  {part_id}: {where}")
    for reason in answer["reasons"]:
        click.echo(f"  {reason}")
