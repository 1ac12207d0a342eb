"""A picture of a simulated time as SVG: powers, states of charge and prices over time."""

from collections.abc import Callable, Sequence

from cem.io import chart
from cem.simulation.account import Sample

MOST_POINTS = 1200
PANELS: tuple[tuple[str, int, tuple[tuple[str, str, Callable[[Sample], float | None]], ...]], ...] = (
    (
        "power, kW",
        360,
        (
            ("grid", "#444444", lambda s: s.grid_w / 1000),
            ("import limit", "#c1121f", lambda s: None if s.import_limit_w is None else s.import_limit_w / 1000),
            ("house", "#8d99ae", lambda s: s.load_w / 1000),
            ("sun", "#e9a100", lambda s: s.pv_w / 1000),
            ("battery", "#2a9d8f", lambda s: s.battery_w / 1000),
            ("car", "#3a5fcd", lambda s: s.ev_w / 1000),
            ("heat pump, relays", "#9c6644", lambda s: s.switched_w / 1000),
        ),
    ),
    (
        "state of charge, %",
        160,
        (
            ("battery", "#2a9d8f", lambda s: s.battery_soc_pct),
            ("car", "#3a5fcd", lambda s: s.ev_soc_pct),
        ),
    ),
    ("price of a kWh", 120, (("import", "#6a4c93", lambda s: s.import_price),)),
)


def svg(samples: Sequence[Sample], title: str, zone: str) -> str:
    """The picture; samples in order of time, at least two of them, else an empty frame."""
    thin = samples[:: max(1, len(samples) // MOST_POINTS)]
    panels = [
        chart.Panel(
            name,
            height,
            tuple(chart.Line(label, colour, [(s.at, read(s)) for s in thin]) for label, colour, read in lines),
        )
        for name, height, lines in PANELS
    ]
    return chart.svg(panels, title, zone)
