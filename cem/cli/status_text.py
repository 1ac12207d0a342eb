"""The status as text that fits 80 columns."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cem.dashboard import notices, words
from cem.dashboard.notices import MARK, MODE_TONE, Tone
from cem.model.setpoint import Health
from cem.model.status import DeviceStatus, ResourceStatus, Status

_STYLE = {Tone.CALM: "", Tone.NOTE: "cyan", Tone.WARNING: "bold yellow", Tone.ALARM: "bold red"}


def write_status(status: Status, console: Console, *, lines: bool = False) -> None:
    """Prints it, the most important first; with `lines` what the devices' lines have carried at the end."""
    tone = MODE_TONE[status.mode]
    now = words.local(status.at, status.zone).strftime("%a %d %b %H:%M:%S")
    console.print(
        Text.assemble((status.site, "bold"), " · ", (words.MODE[status.mode], _STYLE[tone] or "green"), f" · {now}")
    )
    console.print(Text(status.headline, style=f"bold {_STYLE[tone]}"))
    console.print()
    console.print(words.flow_sentence(status))
    console.print(_prices(status), style="dim")
    if status.tariff is not None:
        console.print(f"tariff: {status.tariff.detail}", style="dim")
    if status.domain is not None:
        console.print(words.domain(status.domain, status), style="dim")
    console.print(f"today: {words.today(status.today, status.currency)}", style="dim")
    _alarms(status, console)
    _grid(status, console)
    _devices(status, console)
    if lines:
        _lines(status, console)


def _prices(status: Status) -> str:
    buy = words.price(status.import_price_per_kwh, status.currency)
    sell = words.price(status.export_price_per_kwh, status.currency)
    return f"power costs {buy}, sold power earns {sell}"


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _line(console: Console, first: str, text: str, style: str = "") -> None:
    """A text that hangs behind its mark."""
    table = Table.grid(padding=0)
    table.add_column(width=len(first), no_wrap=True)
    table.add_column(ratio=1)
    table.add_row(Text(first, style=style), Text(text, style=style))
    console.print(table)


def _alarms(status: Status, console: Console) -> None:
    found = notices.alarms(status)
    if found:
        _heading(console, "What needs you")
    for alarm in found:
        tone = notices.severity(alarm)
        since = words.moment(alarm.since, status)
        _line(console, f"{MARK[tone]} ", f"{alarm.cause}: {alarm.effect} (since {since})", _STYLE[tone])
        _line(console, "  → ", alarm.advice)


def _grid(status: Status, console: Console) -> None:
    _heading(console, "Limits, links, events")
    for notice in notices.banner(status):
        _line(console, f"{MARK[notice.tone]} ", notice.text, _STYLE[notice.tone])
    for event in status.events:
        _line(console, "  ", words.event_words(event, status))
    names = {resource.id: resource.name for resource in words.resources(status)}
    for act in status.requests:
        asked = f"{names.get(act.resource_id, act.resource_id)}, {words.REQUEST[act.kind]}"
        _line(console, "  ", f"asked by {act.by}: {asked} until {words.moment(act.until, status)}")


def _devices(status: Status, console: Console) -> None:
    _heading(console, "Devices")
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(max_width=22, no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(justify="right", no_wrap=True)
    for device in status.devices:
        _device(device, status, table)
    console.print(table)


def _device(device: DeviceStatus, status: Status, table: Table) -> None:
    well = device.health is Health.ONLINE
    style = "green" if well else "dim" if device.health is Health.STARTING else "bold red"
    mark = Text(words.HEALTH_MARK.get(device.health, "✖"), style=style)
    for resource in device.resources:
        said = Text(words.resource_words(resource), style="yellow" if resource.stale else "")
        if not well:
            said = (
                Text(f"{words.HEALTH[device.health]} since {words.moment(device.since, status)}, ", style=style) + said
            )
        table.add_row(mark, resource.name, said, words.age(resource.age_s))
        for text in (resource.setpoint and f"set to {resource.setpoint}", resource.reason):
            if text and well:
                table.add_row("", "", Padding(Text(text, style="dim"), (0, 0, 0, 2)), "")
        if resource.dropped_at is not None:
            table.add_row("", "", Padding(Text(_dropped(resource, status), style="yellow"), (0, 0, 0, 2)), "")
    if device.advice:
        table.add_row("", "", Text(f"{device.detail} → {device.advice}"), "")


def _lines(status: Status, console: Console) -> None:
    """Each line once, with the devices that share it."""
    _heading(console, "Lines, since the gateway started")
    counts = {device.line.name: device.line for device in status.devices if device.line is not None}
    for name, line in counts.items():
        sharing = ", ".join(d.name for d in status.devices if d.line is not None and d.line.name == name)
        _line(console, "  ", f"{name} ({sharing}): {words.line(line)}")
    if not counts:
        _line(console, "  ", "no device here counts what its line carries")


def _dropped(resource: ResourceStatus, status: Status) -> str:
    """What was told and could not be true."""
    readings = "1 reading" if resource.dropped == 1 else f"{resource.dropped} readings"
    last = words.moment(resource.dropped_at or status.at, status)
    return f"{readings} dropped as implausible, the last at {last}: {resource.dropped_why}"
