"""`cem replay`: recorded ticks through today's decisions."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cem.simulation.replay import Difference, Replayed


@click.command()
@click.argument("journal", type=click.Path(path_type=Path))
@click.option("--show", type=click.IntRange(0, 1000), default=20, show_default=True, help="Differences to print.")
@click.option("--json", "as_json", is_flag=True, help="The result as JSON, up to 1000 differences.")
def replay(journal: Path, show: int, as_json: bool) -> None:
    """Decides every recorded tick of a replay journal again, with this version, and tells what comes out otherwise.

    JOURNAL is one of its files or their folder; the gateway keeps the last day in the folder journal of its store, and
    `cem simulate --journal` writes one. No device is touched. Exit code 1 when anything differs or nothing can be read.

    \b
    Example:
      cem replay /var/lib/cem/journal
      cem simulate hw-sim/homes/demo.toml --days 1 --journal day.cemj && cem replay day.cemj --json
    """
    from cem.simulation.replay import replay as run

    found = run(journal)
    if as_json:
        click.echo(json.dumps(_as_json(found)))
    else:
        _print(found, show)
    sys.exit(int(found.differing > 0 or found.ticks == 0))


def _as_json(found: "Replayed") -> dict[str, Any]:
    return {
        "ticks": found.ticks,
        "differing": found.differing,
        "from": found.began and found.began.isoformat(),
        "to": found.ended and found.ended.isoformat(),
        "differences": [
            {"at": one.at.isoformat(), "what": one.what, "recorded": one.recorded, "decided": one.decided}
            for one in found.differences
        ],
    }


def _print(found: "Replayed", show: int) -> None:
    if found.began is None or found.ended is None:
        click.echo("no tick is recorded there")
        return
    click.echo(f"{found.ticks} ticks from {found.began:%Y-%m-%d %H:%M:%S} to {found.ended:%Y-%m-%d %H:%M:%S} UTC")
    if not found.differing:
        click.echo("every one is decided as it was")
        return
    click.echo(f"{found.differing} of them are decided otherwise:")
    for one in found.differences[:show]:
        click.echo(
            f"  {one.at:%Y-%m-%d %H:%M:%S} {one.what}: {_words(one, one.recorded)} -> {_words(one, one.decided)}"
        )
    left = len(found.differences) - show
    if left > 0:
        click.echo(f"  ... and more ({left} kept); --show or --json gives them")


def _words(one: "Difference", value: Any) -> str:
    """A set point as its value and reason, everything else as it is."""
    if value is None:
        return "nothing"
    if one.what.startswith("setpoint ") and isinstance(value, list):
        held = "own control" if value[0] is None else f"{value[0]:g}"
        return f"{held} ({value[4]})"
    return json.dumps(value)
