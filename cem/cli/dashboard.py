"""`cem dashboard`: the terminal dashboard."""

import re
from pathlib import Path

import click

from cem.cli.gateway_socket import find_socket, socket_options

SMALLEST = (40, 12)
LARGEST = (400, 200)


def _size(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, int]:
    """'120x40' as columns and rows."""
    found = re.fullmatch(r"(\d{1,3})x(\d{1,3})", value)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    if not (SMALLEST[0] <= size[0] <= LARGEST[0] and SMALLEST[1] <= size[1] <= LARGEST[1]):
        raise click.BadParameter(f"{value!r} is no size; columns x rows like 120x40, from 40x12 to 400x200")
    return size


@click.command()
@socket_options
@click.option(
    "--screenshot",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write a picture (SVG) after the first status and end.",
)
@click.option("--size", default="120x40", show_default=True, callback=_size, help="Columns x rows of the picture.")
def dashboard(socket_path: Path | None, config: Path | None, screenshot: Path | None, size: tuple[int, int]) -> None:
    """The house on a screen that keeps up: energy flow, devices, limits, the plan, alarms.

    It only looks and asks: ending it changes nothing in the house. Press ? for the keys. NO_COLOR is respected.

    \b
    Example:
      cem dashboard
      cem dashboard --screenshot house.svg --size 120x40
    """
    from cem.dashboard.app import Dashboard
    from cem.io.local_client import LocalClient

    path = find_socket(socket_path, config)
    if screenshot is None:
        Dashboard(path).run()
        return
    LocalClient(path).status()  # says what is wrong before a screen is set up
    app = Dashboard(path, screenshot)
    app.run(headless=True, size=size)
    if not screenshot.is_file():
        raise click.ClickException(
            f"no picture was written to {screenshot}: the gateway went away meanwhile; try again"
        )
    click.echo(screenshot)
