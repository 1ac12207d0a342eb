"""A picture of a simulated time as SVG: powers, states of charge and prices over time."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from html import escape
from zoneinfo import ZoneInfo

from cem.simulation.account import Sample

WIDTH, LEFT, RIGHT = 1200, 70, 130
MOST_POINTS = 1200
PANELS: tuple[tuple[str, str, int, tuple[tuple[str, str, Callable[[Sample], float | None]], ...]], ...] = (
    (
        "power, kW",
        "kW",
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
        "%",
        160,
        (
            ("battery", "#2a9d8f", lambda s: s.battery_soc_pct),
            ("car", "#3a5fcd", lambda s: s.ev_soc_pct),
        ),
    ),
    ("price of a kWh", "", 120, (("import", "#6a4c93", lambda s: s.import_price),)),
)
_STEPS = (1, 2, 3, 6, 12, 24, 48, 120, 240)


def svg(samples: Sequence[Sample], title: str, zone: str) -> str:
    """The picture; samples in order of time, at least two of them, else an empty frame."""
    thin = samples[:: max(1, len(samples) // MOST_POINTS)]
    parts: list[str] = []
    top = 50
    for name, _, height, lines in PANELS:
        parts += _panel(thin, name, lines, top, height, ZoneInfo(zone))
        top += height + 50
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{top}" fill="white"/>'
        f'<text x="{LEFT}" y="24" font-size="16">{escape(title)}</text>'
    )
    return head + "".join(parts) + "</svg>\n"


def _panel(
    samples: Sequence[Sample],
    name: str,
    lines: Sequence[tuple[str, str, Callable[[Sample], float | None]]],
    top: int,
    height: int,
    zone: ZoneInfo,
) -> list[str]:
    values = [value for _, _, read in lines for s in samples if (value := read(s)) is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    span = (high - low) or 1.0
    bottom = top + height

    def y(value: float) -> float:
        return round(bottom - (value - low) / span * height, 1)

    parts = [f'<text x="{LEFT}" y="{top - 6}">{escape(name)}</text>']
    parts += [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick)}" y2="{y(tick)}" stroke="#dddddd"/>'
        f'<text x="{LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{tick:.3g}</text>'
        for tick in (low, 0.0, (low + high) / 2, high)
    ]
    if len(samples) < 2:
        return parts
    begin, length = samples[0].at, (samples[-1].at - samples[0].at) or timedelta(seconds=1)

    def x(at: datetime) -> float:
        return round(LEFT + (at - begin) / length * (WIDTH - LEFT - RIGHT), 1)

    for at in _marks(begin, length, zone):
        words = f"{at:%H:%M}" if at.hour or length < timedelta(days=2) else f"{at:%d %b}"
        parts.append(
            f'<line x1="{x(at)}" x2="{x(at)}" y1="{top}" y2="{bottom}" stroke="#eeeeee"/>'
            f'<text x="{x(at)}" y="{bottom + 16}" text-anchor="middle">{words}</text>'
        )
    for number, (label, colour, read) in enumerate(lines):
        parts += [
            f'<polyline fill="none" stroke="{colour}" points="{run}"/>'
            for run in _runs([(x(s.at), value if value is None else y(value)) for s in samples for value in (read(s),)])
        ]
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{top + 14 + 16 * number}" fill="{colour}">{label}</text>')
    return parts


def _runs(points: Sequence[tuple[float, float | None]]) -> list[str]:
    """The stretches without gaps, as SVG writes points."""
    runs: list[list[str]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append(f"{x},{y}")
    return [" ".join(run) for run in runs if len(run) > 1]


def _marks(begin: datetime, length: timedelta, zone: ZoneInfo) -> list[datetime]:
    """Round local times, at most a dozen or so."""
    hours = next((h for h in _STEPS if length / timedelta(hours=h) <= 14), _STEPS[-1])
    local = begin.astimezone(zone)
    at = local.replace(minute=0, second=0, microsecond=0)
    found = []
    while at - local <= length:
        at += timedelta(hours=1)
        days = at.toordinal()
        if (days * 24 + at.hour) % hours == 0 and at - local <= length:
            found.append(at)
    return found
