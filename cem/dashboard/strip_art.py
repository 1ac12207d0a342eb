"""The plan's next 24 hours as a strip of block characters: prices, state of charge, intents."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from textual.content import Content

from cem.dashboard import palette, words
from cem.model.plan import IntentKind, Plan, Slot
from cem.model.resource import Role
from cem.model.status import Status

SPAN = timedelta(hours=24)
LABEL_W = 10
_BLOCKS = " ▁▂▃▄▅▆▇█"
INTENT = {
    IntentKind.SELF_CONSUME: ("·", palette.MUTED, "self-use"),
    IntentKind.HOLD: ("=", palette.WARNING, "keep"),
    IntentKind.CHARGE_TO: ("▲", palette.GOOD, "charge"),
    IntentKind.DISCHARGE_TO: ("▼", palette.CAR, "sell"),
    IntentKind.SURPLUS_ONLY: ("◦", palette.MUTED, "surplus only"),
}
"""Mark, colour and word of each intent."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the slot in its middle, None outside the plan."""

    start: datetime
    end: datetime
    slot: Slot | None


def columns(plan: Plan, at: datetime, count: int) -> list[Column]:
    """`count` columns over the next 24 hours from the running quarter hour on."""
    start = at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    width = SPAN / count
    found: list[Column] = []
    slots = iter(plan.slots)
    slot = next(slots, None)
    for index in range(count):
        begins = start + index * width
        middle = begins + width / 2
        while slot is not None and slot.end <= middle:
            slot = next(slots, None)
        found.append(Column(begins, begins + width, slot if slot is not None and slot.start <= middle else None))
    return found


def bars(values: Sequence[float | None], rows: int, low: float, high: float) -> list[str]:
    """`rows` lines of blocks, top first; the smallest value still shows, None stays empty."""
    span = high - low or 1.0
    steps = [None if v is None else max(1, round((v - low) / span * rows * 8)) for v in values]
    return [
        "".join(" " if step is None else _BLOCKS[max(0, min(8, step - row * 8))] for step in steps)
        for row in range(rows - 1, -1, -1)
    ]


def _label(text: str) -> tuple[str, str]:
    return (f"{text[: LABEL_W - 1]:<{LABEL_W}}", palette.MUTED)


def _priced(found: list[Column], rows: int, currency: str) -> list[Content]:
    prices = [column.slot.import_price_per_kwh if column.slot else None for column in found]
    known = [price for price in prices if price is not None]
    if not known:
        return []
    low, high = min(known), max(known)
    third = (high - low) / 3
    styles = [
        "" if p is None else palette.GOOD if p < low + third else palette.WARNING if p > high - third else palette.GRID
        for p in prices
    ]
    # The floor lies below the lowest price, so that a night tariff is low but not nothing.
    lines = bars(prices, rows, low - (high - low) * 0.15 - 1e-9, high)
    labels = [f"{high:.2f} max"] + [""] * (rows - 2) + [f"{low:.2f} min"] if rows > 1 else [f"price {currency}"]
    return [_styled(label, line, styles) for label, line in zip(labels, lines, strict=True)]


def _styled(label: str, line: str, styles: Sequence[str]) -> Content:
    return Content.assemble(_label(label), *zip(line, styles, strict=True))


def _charge(found: list[Column], rows: int, battery: str) -> list[Content]:
    levels = [column.slot.soc_pct.get(battery) if column.slot else None for column in found]
    if not any(level is not None for level in levels):
        return []
    lines = bars(levels, rows, 0.0, 100.0)
    labels = ["battery %"] + [""] * (rows - 1)
    return [Content.assemble(_label(label), (line, palette.BATTERY)) for label, line in zip(labels, lines, strict=True)]


def _intents(found: list[Column], resource: str, name: str) -> list[Content]:
    kinds = [
        column.slot.intents[resource].kind if column.slot and resource in column.slot.intents else None
        for column in found
    ]
    if not any(kinds):
        return []
    marks = [INTENT[kind][:2] if kind else (" ", "") for kind in kinds]
    return [Content.assemble(_label(name), *marks)]


def _events(found: list[Column], status: Status) -> list[Content]:
    def asked(column: Column) -> bool:
        return any(e.start < column.end and (e.end is None or e.end > column.start) for e in status.events)

    line = "".join("▀" if asked(column) else " " for column in found)
    return [Content.assemble(_label("events"), (line, palette.NOTE))] if line.strip() else []


def _axis(found: list[Column], zone: str) -> Content:
    line = [" "] * len(found)
    start, width = found[0].start, found[0].end - found[0].start
    hour = start.replace(minute=0)
    while hour < found[-1].end - 2 * width:
        wall = words.local(hour, zone)
        if hour >= start and wall.hour % 3 == 0:
            at = round((hour - start) / width)
            line[at : at + 2] = f"{wall.hour:02d}"
        hour += timedelta(hours=1)
    return Content.assemble(_label("hour"), ("".join(line), palette.MUTED))


def draw(status: Status, width: int, height: int) -> Content:
    """The strip for a panel of that size; the first rows to go when it is low are those of the second resource."""
    plan = status.plan
    if plan is None or not plan.slots:
        return Content.styled("no plan yet: the house follows its rules (own use first)", palette.MUTED)
    said = _by_rules(plan, width)
    height -= len(said)
    found = columns(plan, status.at, max(12, width - LABEL_W))
    planned = [r for r in words.resources(status) if r.role in {Role.BATTERY, Role.EV}]
    batteries = [r.id for r in planned if r.role is Role.BATTERY]
    rest: list[Content] = []
    optional: list[Content] = []
    for resource in planned:
        line = _intents(found, resource.id, resource.role.value if resource.role is Role.BATTERY else "car")
        (rest if resource.role is Role.BATTERY else optional).extend(line)
    optional += _events(found, status)
    room = height - 1 - len(rest)
    shown_optional = optional[: max(0, room - 3)]
    room -= len(shown_optional)
    charge_rows = 1 if room < 7 else 2
    charge: list[Content] = _charge(found, charge_rows, batteries[0]) if batteries else []
    prices = _priced(found, max(1, min(5, room - len(charge))), status.currency)
    rows = [*said, *prices, *charge, *rest, *shown_optional, _axis(found, status.zone)]
    return Content("\n").join(rows)


def _by_rules(plan: Plan, width: int) -> list[Content]:
    """Why there is no better plan than the rules' one: it cost more at this house, or could not be made."""
    if plan.status != "rules":
        return []
    why = plan.reasons[0] if plan.reasons else "batteries follow the meter, cars take the cheapest hours"
    line = f"by rules: {why}"
    return [Content.styled(line if len(line) <= width else f"{line[: width - 1]}…", palette.WARNING)]


def legend(status: Status) -> str:
    """The marks that the strip uses, in words."""
    if status.plan is None:
        return ""
    used: set[IntentKind] = {intent.kind for slot in status.plan.slots for intent in slot.intents.values()}
    return "  ".join(f"{mark} {word}" for kind, (mark, _, word) in INTENT.items() if kind in used)
