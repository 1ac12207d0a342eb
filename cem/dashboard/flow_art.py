"""The energy flow as a drawing: sun, grid, battery and car around the house, arrows the way the energy goes."""

import dataclasses
from dataclasses import dataclass

from cem.dashboard import palette, words
from cem.dashboard.canvas import Canvas, digits_width
from cem.model.resource import Role
from cem.model.status import Status

LARGE = (55, 17)
"""From this size on there is room for boxes with big numbers."""
_BOX_W, _BOX_H = 17, 5
_SIDE_W = 10
_STRONG_W = 1000.0  # a thicker line from here on


@dataclass(frozen=True, slots=True)
class Node:
    """One corner of the drawing. `inward` is True when energy flows to the house, None when nothing moves."""

    title: str
    power_w: float | None
    detail: str
    style: str
    inward: bool | None


def nodes(status: Status) -> dict[str, Node]:
    """The corners that this house has, and the house itself."""
    flow = status.flow
    found = {
        "house": Node("house", flow.load_w, "" if flow.load_w is None else "using", palette.PLAIN, None),
        "grid": _node("grid", Role.GRID, flow.grid_w, palette.GRID, ""),
    }
    if words.has(status, Role.PV) or flow.pv_w is not None:
        found["sun"] = _node("sun", Role.PV, flow.pv_w, palette.SUN, "")
    if words.has(status, Role.BATTERY) or flow.battery_w is not None:
        level = words.charge_level(status, Role.BATTERY)
        found["battery"] = _node("battery", Role.BATTERY, flow.battery_w, palette.BATTERY, level)
    if words.has(status, Role.EV) or flow.ev_w is not None:
        car = _node("car", Role.EV, flow.ev_w, palette.CAR, words.charge_level(status, Role.EV))
        found["car"] = car if car.inward is not None else dataclasses.replace(car, detail=_parked(status, car.detail))
    return found


def _parked(status: Status, otherwise: str) -> str:
    """What a resting car waits for, where the only charger tells."""
    cars = [resource for resource in words.resources(status) if resource.role is Role.EV and not resource.stale]
    return (words.state_words(cars[0]) if len(cars) == 1 else "") or otherwise


def _node(title: str, role: Role, power_w: float | None, style: str, level: str) -> Node:
    doing = "" if power_w is None else words.verb(role, power_w)
    detail = " ".join(part for part in (doing, level) if part)
    if power_w is None or abs(power_w) < words.IDLE_W:
        return Node(title, power_w, detail, style, None)
    # Positive is into the terminal; at the connection point the terminal is the house itself.
    return Node(title, power_w, detail, style, (power_w > 0) is (role is Role.GRID))


def draw(status: Status, width: int, height: int, beat: int) -> Canvas:
    """The drawing for a panel of that size."""
    canvas = Canvas(max(width, 1), max(height, 1))
    if width >= LARGE[0] and height >= LARGE[1]:
        _large(canvas, nodes(status), beat)
    else:
        _compact(canvas, nodes(status), beat)
    return canvas


def _arrow(
    canvas: Canvas, x: int, y: int, step: tuple[int, int], length: int, node: Node, towards: bool, beat: int
) -> None:
    """A line of `length` cells from (x, y) on; `towards` is True when the energy goes along `step`."""
    dx, dy = step
    line = "─" if dx else "│"
    head = ("▶" if towards else "◀") if dx else ("▼" if towards else "▲")
    if node.inward is None:
        line, style = ("┄" if dx else "┆"), palette.MUTED
    else:
        style = node.style
        if abs(node.power_w or 0.0) >= _STRONG_W:
            line = "━" if dx else "┃"
    marked = beat % length if towards else length - 1 - beat % length
    for index in range(length):
        shown = "?" if node.power_w is None and index == length // 2 else line
        if node.inward is not None and index == marked:
            shown = head
        canvas.put(x + dx * index, y + dy * index, shown, style)


def _compact(canvas: Canvas, found: dict[str, Node], beat: int) -> None:
    middle, top = canvas.width // 2, max(0, (canvas.height - 8) // 2)
    reach = max(2, min(6, (canvas.width - 8 - 2 * _SIDE_W) // 2))
    house = found["house"]
    canvas.centre(middle, top + 4, "house", "bold")
    canvas.centre(middle, top + 5, words.power(house.power_w), "bold")
    for side, name in ((-1, "grid"), (1, "battery")):
        node = found.get(name)
        if node is None:
            continue
        at = middle + side * (4 + reach + _SIDE_W // 2 + 1)
        canvas.centre(at, top + 3, node.title, node.style)
        canvas.centre(at, top + 4, words.power(node.power_w), f"{node.style} bold")
        for row, part in enumerate(_lines(node.detail)):
            canvas.centre(at, top + 5 + row, part, node.style)
        start = middle + 4 + (side < 0) * (-reach - 8)
        goes_right = bool(node.inward) if side < 0 else not node.inward
        _arrow(canvas, start, top + 4, (1, 0), reach, node, goes_right, beat)
    if sun := found.get("sun"):
        canvas.centre(middle, top, "sun", sun.style)
        canvas.centre(middle, top + 1, words.power(sun.power_w), f"{sun.style} bold")
        _arrow(canvas, middle, top + 2, (0, 1), 2, sun, bool(sun.inward), beat)
    if car := found.get("car"):
        _arrow(canvas, middle, top + 6, (0, 1), 1, car, not car.inward, beat)
        canvas.centre(
            middle,
            top + 7,
            " · ".join(part for part in (f"car {words.power(car.power_w)}", car.detail) if part),
            car.style,
        )


def _lines(detail: str) -> list[str]:
    """The number in the second line where both do not fit one."""
    if len(detail) <= _SIDE_W or " " not in detail or detail[-1] != "%":
        return [detail]
    word, level = detail.split(" ", 1)
    return [word, level]


def _large(canvas: Canvas, found: dict[str, Node], beat: int) -> None:
    gap = 2 if canvas.height >= 3 * _BOX_H + 4 else 1
    top = (canvas.height - 3 * _BOX_H - 2 * gap) // 2
    middle = canvas.width // 2 - _BOX_W // 2
    left, right = max(0, middle - _BOX_W - 5), min(canvas.width - _BOX_W, middle + _BOX_W + 5)
    row = top + _BOX_H + gap
    spine = middle + _BOX_W // 2
    _panel(canvas, middle, row, found["house"])
    if sun := found.get("sun"):
        _panel(canvas, middle, top, sun)
        _arrow(canvas, spine, top + _BOX_H, (0, 1), gap, sun, bool(sun.inward), beat)
    if car := found.get("car"):
        _panel(canvas, middle, row + _BOX_H + gap, car)
        _arrow(canvas, spine, row + _BOX_H, (0, 1), gap, car, not car.inward, beat)
    _panel(canvas, left, row, found["grid"])
    _arrow(
        canvas, left + _BOX_W, row + 2, (1, 0), middle - left - _BOX_W, found["grid"], bool(found["grid"].inward), beat
    )
    if battery := found.get("battery"):
        _panel(canvas, right, row, battery)
        start = middle + _BOX_W
        _arrow(canvas, start, row + 2, (1, 0), right - start, battery, not battery.inward, beat)


def _panel(canvas: Canvas, x: int, y: int, node: Node) -> None:
    canvas.box(x, y, _BOX_W, _BOX_H, node.title, node.detail, node.style)
    if node.power_w is None:
        canvas.centre(x + _BOX_W // 2, y + 2, "unknown", node.style)
        return
    number, unit = words.power(node.power_w).split(" ")
    start = x + (_BOX_W - digits_width(number) - len(unit) - 1) // 2
    used = canvas.big(start, y + 1, number, f"{node.style} bold")
    canvas.put(start + used + 1, y + 3, unit, node.style)
