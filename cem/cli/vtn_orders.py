"""`cem vtn program|event|report|ven`: what business logic tells a running VTN, and what it learns from it."""

import json
import math
import re
from collections.abc import Sequence
from typing import TypeVar

import click

from cem.cli.vtn_rest import Access, Vtn, access_options, run
from cem.wire.openadr3 import (
    Duration,
    Event,
    EventPayload,
    EventPayloadDescriptor,
    EventRequest,
    Interval,
    IntervalPeriod,
    Message,
    Program,
    ProgramRequest,
    Report,
    ReportDescriptor,
    Start,
    ValuesMap,
    Ven,
    to_json,
)

M = TypeVar("M", bound=Message)
_Stretch = tuple[Duration, int | float | str]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


async def _every(access: Access, kind: type[M], segment: str) -> list[M]:
    async with Vtn(access) as vtn:
        return await vtn.every(kind, segment)


def _read_start(_ctx: click.Context, _param: click.Parameter, text: str) -> Start:
    if text == "now":
        from cem.io.clock import SystemClock

        return Start.at(SystemClock().now().wall.replace(microsecond=0))
    try:
        return Start.parse(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}; or 'now'") from error


def _read_duration(_ctx: click.Context, _param: click.Parameter, text: str | None) -> Duration | None:
    return None if text is None else _duration(text)


def _duration(text: str) -> Duration:
    try:
        duration = Duration.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if duration.is_negative:
        raise click.BadParameter(f"{text} runs backwards")
    return duration


def _read_intervals(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[_Stretch, ...]:
    stretches = []
    for text in texts:
        duration, equals, payload = text.partition("=")
        if not equals or not payload:
            raise click.BadParameter(f"{text!r}: write it like PT15M=0.31")
        stretches.append((_duration(duration), _number(payload)))
    return tuple(stretches)


def _number(text: str) -> int | float | str:
    """A payload's value: a whole number, a number, or else text."""
    if re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        raise click.UsageError(f"{text} is not a number that can be sent")
    return number


def _plain(line: str) -> str:
    """A line without what a peer's text could do to a terminal."""
    return "".join(character if character.isprintable() else "?" for character in line)


def _print(messages: Sequence[Message], as_json: bool, lines: Sequence[str]) -> None:
    if as_json:
        click.echo(json.dumps([to_json(message) for message in messages], indent=2))
        return
    for line in lines:
        click.echo(_plain(line))
    if not lines:
        click.echo("none", err=True)


def _print_one(message: Message, as_json: bool, line: str) -> None:
    click.echo(json.dumps(to_json(message), indent=2) if as_json else _plain(line))


@click.group()
def program() -> None:
    """Programs of the VTN.

    Example: cem vtn program add limits
    """


@program.command("add")
@click.argument("name")
@click.option("--target", "targets", multiple=True, help="Only VENs that were granted it see the program; repeatable.")
@access_options
@json_option
def program_add(name: str, targets: tuple[str, ...], access: Access, as_json: bool) -> None:
    """Makes a program.

    Example: cem vtn program add limits
    """

    async def work() -> Program:
        async with Vtn(access) as vtn:
            return await vtn.create(Program, "programs", ProgramRequest(program_name=name, targets=targets))

    made = run(work())
    _print_one(made, as_json, f"{made.id}  {made.program_name}")


@program.command("list")
@access_options
@json_option
def program_list(access: Access, as_json: bool) -> None:
    """Lists the programs.

    Example: cem vtn program list --json
    """
    found = run(_every(access, Program, "programs"))
    _print(found, as_json, [f"{one.id}  {one.program_name}" for one in found])


@click.group()
def event() -> None:
    """Events of the VTN.

    Example: cem vtn event add --program limits --type IMPORT_CAPACITY_LIMIT --value 5 --unit KW --duration PT10M
    """


@event.command("add")
@click.option("--program", "program_name", required=True, help="Name of the program.")
@click.option("--type", "payload_type", required=True, help="Payload type, such as IMPORT_CAPACITY_LIMIT or PRICE.")
@click.option("--value", help="The value of a single interval of --duration.")
@click.option("--unit", help="Unit of the values, such as KW or KWH.")
@click.option("--currency", help="Currency of a price, such as EUR.")
@click.option("--start", callback=_read_start, default="now", show_default=True, help="'now' or 2026-01-15T09:30:00Z.")
@click.option(
    "--duration", callback=_read_duration, help="Length of an interval, such as PT10M; P9999Y: until cancelled."
)
@click.option(
    "--interval", "intervals", callback=_read_intervals, multiple=True, help="PT15M=0.31; repeat, one after another."
)
@click.option("--name", help="Name of the event.")
@click.option("--priority", type=click.IntRange(min=0), help="0 is the highest.")
@click.option("--randomize", callback=_read_duration, help="Clients shift the start by up to this, either way.")
@click.option("--target", "targets", multiple=True, help="Only VENs that were granted it see the event; repeatable.")
@click.option("--report", "reports", multiple=True, help="Ask for a report of this payload type; repeatable.")
@access_options
@json_option
def event_add(
    program_name: str,
    payload_type: str,
    value: str | None,
    unit: str | None,
    currency: str | None,
    start: Start,
    duration: Duration | None,
    intervals: tuple[_Stretch, ...],
    name: str | None,
    priority: int | None,
    randomize: Duration | None,
    targets: tuple[str, ...],
    reports: tuple[str, ...],
    access: Access,
    as_json: bool,
) -> None:
    """Makes an event.

    Example: cem vtn event add --program limits --type IMPORT_CAPACITY_LIMIT --value 5 --unit KW --duration PT10M
    """
    if (value is None) == (not intervals):
        raise click.UsageError("give either --value with --duration, or --interval once or more")
    if value is not None:
        if duration is None:
            raise click.UsageError("--value needs --duration, such as PT10M, or P9999Y for until cancelled")
        intervals = ((duration, _number(value)),)
    if payload_type not in set(EventPayload):
        click.echo(f"note: {payload_type} is not a payload type of OpenADR 3.1.0; sent as a private one", err=True)

    async def work() -> Event:
        """One event: its program by name, its intervals one after another from `start` on."""
        async with Vtn(access) as vtn:
            return await vtn.create(
                Event,
                "events",
                EventRequest(
                    program_id=await _program_id(vtn, program_name),
                    event_name=name,
                    priority=priority,
                    targets=targets,
                    report_descriptors=tuple(ReportDescriptor(payload_type=one) for one in reports),
                    payload_descriptors=_descriptors(payload_type, unit, currency),
                    interval_period=IntervalPeriod(start=start, duration=intervals[0][0], randomize_start=randomize),
                    intervals=tuple(
                        Interval(
                            id=number,
                            interval_period=IntervalPeriod(duration=length) if number else None,
                            payloads=(ValuesMap(type=payload_type, values=(payload,)),),
                        )
                        for number, (length, payload) in enumerate(intervals)
                    ),
                ),
            )

    made = run(work())
    _print_one(made, as_json, _event_line(made))


def _descriptors(payload_type: str, unit: str | None, currency: str | None) -> tuple[EventPayloadDescriptor, ...]:
    if unit is None and currency is None:
        return ()
    return (EventPayloadDescriptor(payload_type=payload_type, units=unit, currency=currency),)


async def _program_id(vtn: Vtn, name: str) -> str:
    found = [one for one in await vtn.every(Program, "programs", programName=name) if one.program_name == name]
    if not found:
        raise click.ClickException(f"no program named {name!r}; make it with: cem vtn program add {name}")
    return found[0].id


def _event_line(one: Event) -> str:
    start = one.interval_period.start if one.interval_period is not None else None
    first = one.intervals[0].payloads[0] if one.intervals and one.intervals[0].payloads else None
    asks = f"{first.type} {' '.join(str(value) for value in first.values)}" if first is not None else "nothing"
    units = " ".join(d.units for d in one.payload_descriptors if d.units)
    more = f" and {len(one.intervals) - 1} more" if len(one.intervals) > 1 else ""
    return f"{one.id}  {one.event_name or '-'}  from {start or '-'}  {asks} {units}{more}"


@event.command("list")
@click.option("--active", is_flag=True, help="Leave out what is over.")
@access_options
@json_option
def event_list(active: bool, access: Access, as_json: bool) -> None:
    """Lists the events.

    Example: cem vtn event list --active
    """

    async def work() -> list[Event]:
        async with Vtn(access) as vtn:
            return await vtn.every(Event, "events", active="true" if active else "false")

    found = run(work())
    _print(found, as_json, [_event_line(one) for one in found])


@event.command("cancel")
@click.argument("event_id", metavar="ID")
@access_options
@json_option
def event_cancel(event_id: str, access: Access, as_json: bool) -> None:
    """Cancels an event by deleting it (User Guide 7.9).

    Example: cem vtn event cancel 3f2a9c
    """

    async def work() -> Event:
        async with Vtn(access) as vtn:
            return await vtn.remove(Event, "events", event_id)

    gone = run(work())
    _print_one(gone, as_json, f"cancelled {_event_line(gone)}")


@click.group()
def report() -> None:
    """Reports that VENs wrote.

    Example: cem vtn report list --json
    """


@report.command("list")
@click.option("--event", "event_id", help="Only reports on this event.")
@access_options
@json_option
def report_list(event_id: str | None, access: Access, as_json: bool) -> None:
    """Lists the reports.

    Example: cem vtn report list --event 3f2a9c --json
    """

    async def work() -> list[Report]:
        async with Vtn(access) as vtn:
            return await vtn.every(Report, "reports", **({"eventID": event_id} if event_id is not None else {}))

    found = run(work())
    _print(found, as_json, [_report_line(one) for one in found])


def _report_line(one: Report) -> str:
    intervals = sum(len(resource.intervals) for resource in one.resources)
    names = ", ".join(resource.resource_name for resource in one.resources)
    event_part = f"on event {one.event_id} by {one.client_name}"
    return f"{one.id}  {one.report_name or '-'}  {event_part}: {intervals} intervals of {names or 'nothing'}"


@click.group()
def ven() -> None:
    """VENs known to the VTN.

    Example: cem vtn ven list
    """


@ven.command("list")
@access_options
@json_option
def ven_list(access: Access, as_json: bool) -> None:
    """Lists the VENs.

    Example: cem vtn ven list
    """
    found = run(_every(access, Ven, "vens"))
    _print(found, as_json, [f"{one.id}  {one.ven_name}  client {one.client_id or '-'}" for one in found])
