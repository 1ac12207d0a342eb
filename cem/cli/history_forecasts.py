"""How good each day's forecasts were, as `cem history --show forecasts` writes it."""

import csv
import json
import sys
from collections.abc import Sequence

import click

from cem.io.record_reader import Noted
from cem.ports import Json

HEADS = ("day", "of", "expected kWh", "came kWh", "mean error W", "by the day before W", "in the band")


def write_forecasts(days: Sequence[Noted], form: str) -> None:
    """As a table, CSV or JSON on the standard output."""
    if form == "json":
        click.echo(json.dumps({"forecasts": [noted.value for noted in days]}, indent=2, ensure_ascii=False))
        return
    rows = [cells for noted in days for cells in _cells(noted.value)]
    if form == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(HEADS)
        writer.writerows(rows)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Forecasts", title_justify="left", box=box.SIMPLE)
    for index, head in enumerate(HEADS):
        table.add_column(head, justify="right" if index > 1 else "left")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False).print(table)


def _cells(day: dict[str, Json]) -> list[tuple[str, ...]]:
    """A row for the load and one for the sun, as far as they were judged."""
    return [
        (
            str(day.get("day")),
            name,
            *(_number(score.get(key), 1000.0, 2) for key in ("expected_wh", "came_wh")),
            *(_number(score.get(key), 1.0, 0) for key in ("error_w", "before_error_w")),
            f"{_number(score.get('in_band'), 0.01, 0)} %",
        )
        for name in ("load", "sun")
        if isinstance(score := day.get(name), dict)
    ]


def _number(value: Json, unit: float, digits: int) -> str:
    return f"{value / unit:.{digits}f}" if isinstance(value, int | float) else ""
