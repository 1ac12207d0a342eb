"""A solved planning problem as SVG: powers, what is stored, prices."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cem.io import chart

if TYPE_CHECKING:
    from cem.planning.parts import Problem

COLOURS = ("#2a9d8f", "#3a5fcd", "#9c6644", "#c1121f", "#6a4c93", "#588157")
KINDS = ("batteries", "evs", "heat_pumps", "loads")


def plan_svg(problem: "Problem", answer: dict[str, Any], start: datetime, title: str) -> str:
    """The picture; times are UTC."""
    ends = [start + timedelta(hours=float(hours)) for hours in problem.hours.cumsum()]
    begins, end = [start, *ends[:-1]], ends[-1]

    def held(name: str, colour: str, values: list[float]) -> chart.Line:
        return chart.Line(name, colour, chart.steps(begins, end, values))

    parts = [(name, part) for kind in KINDS for name, part in answer[kind].items()]
    coloured = [(name, part, COLOURS[at % len(COLOURS)]) for at, (name, part) in enumerate(parts)]
    powers = [
        held("grid", "#444444", [w / 1000 for w in answer["grid_w"]]),
        held("base load", "#8d99ae", problem.load_kw.tolist()),
        held("sun", "#e9a100", (-problem.pv_kw).tolist()),
        *(held(name, colour, [w / 1000 for w in part["power_w"]]) for name, part, colour in coloured),
    ]
    stored = [
        chart.Line(name, colour, list(zip(ends, [wh / 1000 for wh in part["soc_wh"]], strict=True)))
        for name, part, colour in coloured
        if "soc_wh" in part
    ]
    prices = [
        held("import", "#6a4c93", problem.import_price.tolist()),
        held("export", "#e9a100", problem.export_price.tolist()),
    ]
    panels = [chart.Panel("power, kW", 300, tuple(powers))]
    if stored:
        panels.append(chart.Panel("stored, kWh", 160, tuple(stored)))
    panels.append(chart.Panel("price of a kWh", 120, tuple(prices)))
    return chart.svg(panels, title, "UTC")


def begin_of(text: str | None) -> datetime:
    """A problem's own start; the first of January where it names none."""
    if text is None:
        return datetime(2026, 1, 1, tzinfo=UTC)
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
