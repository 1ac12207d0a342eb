"""Lines over time as SVG, in panels one below the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from zoneinfo import ZoneInfo

WIDTH, LEFT, RIGHT = 1200, 70, 150
GAP = 50
TEXT_PX = 13
_STEPS = (1, 2, 3, 6, 12, 24, 48, 120, 240)

Point = tuple[datetime, float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """`points` in order of time; None is a gap."""

    name: str
    colour: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines on one scale, which has 0 in it."""

    title: str
    height: int
    lines: tuple[Line, ...]


def steps(starts: Sequence[datetime], end: datetime, values: Sequence[float | None]) -> list[Point]:
    """The points of values that each hold from their start to the next one."""
    points: list[Point] = []
    for start, until, value in zip(starts, [*starts[1:], end], values, strict=True):
        points += [(start, value), (until, value)]
    return points


def svg(panels: Sequence[Panel], title: str, zone: str) -> str:
    """The picture, its times in the local time of `zone`; a line of less than two points is not drawn."""
    parts: list[str] = []
    top = 50
    times = [at for panel in panels for line in panel.lines for at, _ in line.points]
    for panel in panels:
        parts += _panel(panel, times, top, ZoneInfo(zone))
        top += panel.height + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" font-family="sans-serif" font-size="12">'
        f'<rect width="{WIDTH}" height="{top}" fill="white"/>'
        f'<text x="{LEFT}" y="24" font-size="16">{escape(title)}</text>'
    )
    return head + "".join(parts) + "</svg>\n"


def _panel(panel: Panel, times: Sequence[datetime], top: int, zone: ZoneInfo) -> list[str]:
    values = [value for line in panel.lines for _, value in line.points if value is not None]
    low, high = min([0.0, *values]), max([0.0, *values])
    span = (high - low) or 1.0
    bottom = top + panel.height

    def y(value: float) -> float:
        return round(bottom - (value - low) / span * panel.height, 1)

    parts = [f'<text x="{LEFT}" y="{top - 6}">{escape(panel.title)}</text>']
    parts += [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick)}" y2="{y(tick)}" stroke="#dddddd"/>'
        f'<text x="{LEFT - 6}" y="{y(tick) + 4}" text-anchor="end">{tick:.3g}</text>'
        for tick in _ticks(low, high, panel.height)
    ]
    if len(times) < 2:
        return parts
    begin = min(times)
    length = (max(times) - begin) or timedelta(seconds=1)

    def x(at: datetime) -> float:
        return round(LEFT + (at - begin) / length * (WIDTH - LEFT - RIGHT), 1)

    for at in _marks(begin, length, zone):
        words = f"{at:%H:%M}" if at.hour or length < timedelta(days=2) else f"{at:%d %b}"
        parts.append(
            f'<line x1="{x(at)}" x2="{x(at)}" y1="{top}" y2="{bottom}" stroke="#eeeeee"/>'
            f'<text x="{x(at)}" y="{bottom + 16}" text-anchor="middle">{words}</text>'
        )
    for number, line in enumerate(panel.lines):
        parts += [
            f'<polyline fill="none" stroke="{line.colour}" points="{run}"/>'
            for run in _runs([(x(at), value if value is None else y(value)) for at, value in line.points])
        ]
        label = f'<text x="{WIDTH - RIGHT + 10}" y="{top + 14 + 16 * number}" fill="{line.colour}">'
        parts.append(f"{label}{escape(line.name)}</text>")
    return parts


def _ticks(low: float, high: float, height: int) -> list[float]:
    """What is written at the scale: nothing, the ends and the middle, as far as no two lines of text meet."""
    per_px = ((high - low) or 1.0) / height
    told: list[float] = []
    for tick in (0.0, high, low, (low + high) / 2):
        if all(abs(tick - other) >= TEXT_PX * per_px for other in told):
            told.append(tick)
    return told


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
