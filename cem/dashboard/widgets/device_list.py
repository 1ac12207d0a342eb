"""Each resource with what it does, how old that is, and why."""

import textwrap

from textual.content import Content

from cem.dashboard import palette, words
from cem.dashboard.view import View
from cem.dashboard.widgets.panel import Panel
from cem.model.setpoint import Health
from cem.model.status import DeviceStatus, ResourceStatus

_HEALTH_STYLE = {Health.ONLINE: palette.GOOD, Health.STARTING: palette.MUTED}
_WORDS_W = 20  # "charging 3.1 kW 62 %"
_AGE_W = 7
_LEVELS = (5, 4, 3, 2, 1, 0)
"""0 what each does, 1 what is wrong, 2 why in one line, 3 why in full, 4 what was set, 5 with air between."""


class DeviceList(Panel):
    """As much of it as fits."""

    def draw(self, view: View) -> Content:
        """The fullest level that fits the height."""
        if view.status is None:
            return Content("")
        width, height = max(20, self.size.width), self.size.height
        rows: list[Content] = []
        for level in _LEVELS:
            rows = []
            for device in view.status.devices:
                rows += _rows(device, level, width, gone=view.gone is not None)
                rows += [Content("")] if level >= 5 else []
            if len(rows) <= height:
                break
        if len(rows) > height > 1:
            rows = [*rows[: height - 1], Content.styled(f"  {len(rows) - height + 1} more: press d", palette.MUTED)]
        return Content("\n").join(row.truncate(width, ellipsis=True) for row in rows)


def _rows(device: DeviceStatus, level: int, width: int, *, gone: bool) -> list[Content]:
    well = device.health in {Health.ONLINE, Health.STARTING}
    rows: list[Content] = []
    for resource in device.resources:
        rows.append(_line(device, resource, width, gone=gone))
        if gone or not well:
            continue
        if level >= 4 and resource.setpoint:
            rows += _under(
                f"set to {resource.setpoint}" + (f", {resource.outcome}" if resource.outcome else ""), level, width
            )
        if level >= 2 and resource.reason:
            rows += _under(resource.reason, level, width)
    if gone and level >= 1 and device.if_i_die:
        rows += _under(f"alone: {device.if_i_die}", level, width, palette.PLAIN)
    elif not gone and not well and level >= 1:
        rows += _under(device.advice or device.detail, level, width, palette.WARNING)
    return rows


def _under(text: str, level: int, width: int, style: str = palette.MUTED) -> list[Content]:
    lines = textwrap.wrap(text, width - 2) if level >= 3 else [words.shorten(text, width - 2)]
    return [Content.styled(f"  {line}", style) for line in lines]


def _line(device: DeviceStatus, resource: ResourceStatus, width: int, *, gone: bool) -> Content:
    mark = "○" if gone else words.HEALTH_MARK.get(device.health, "✖")
    style = palette.MUTED if gone else _HEALTH_STYLE.get(device.health, palette.ALARM)
    well = device.health is Health.ONLINE
    doing = words.resource_words(resource)
    if not well:
        doing = words.HEALTH[device.health] + (f", {doing}" if resource.power_w is not None else "")
    name_width = max(8, min(16, width - 2 - _WORDS_W - 1 - _AGE_W))
    name = Content(resource.name).truncate(name_width, ellipsis=True).plain
    old = "" if gone else words.age(resource.age_s)
    room = max(4, width - 2 - name_width - 1 - _AGE_W)
    said = Content(doing).truncate(room, ellipsis=True).plain
    return Content.assemble(
        (f"{mark} ", style),
        f"{name:<{name_width}} ",
        (f"{said:<{room}}", style if gone or not well or resource.stale else "bold"),
        (f"{old:>{_AGE_W}}", palette.WARNING if resource.stale else palette.MUTED),
    )
