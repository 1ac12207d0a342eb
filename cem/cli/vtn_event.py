"""`cem vtn event`: the events of a running VTN."""

import math
import re
from datetime import timedelta
from pathlib import Path

import click

from cem.cli.vtn_print import json_option, print_all, print_one
from cem.cli.vtn_rest import Access, Vtn, access_options, every, fetched, removed, run, shown
from cem.sgcp.bindings.openadr3_catalogue import EVENT_PAYLOADS, Form, Treatment
from cem.sgcp.vtn2b.manner import ASIDE, TEST, Manner
from cem.wire.openadr2b.names import ResponseRequired
from cem.wire.openadr3 import (
    Duration,
    Event,
    EventPayload,
    EventPayloadDescriptor,
    EventRequest,
    Interval,
    IntervalPeriod,
    Program,
    ReportDescriptor,
    Resource,
    Start,
    ValuesMap,
    Ven,
    WireError,
    decode,
)

_Stretch = tuple[Duration, int | float | str]


def _read_new_start(ctx: click.Context, param: click.Parameter, text: str | None) -> Start | None:
    return None if text is None else _read_start(ctx, param, text)


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
    duration = _either_way(text)
    if duration.is_negative:
        raise click.BadParameter(f"{text} runs backwards")
    return duration


def _either_way(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _read_change(_ctx: click.Context, _param: click.Parameter, text: str | None) -> timedelta | None:
    """When load changes around the start or end of an event: a day at most, before (negative) or after."""
    if text is None:
        return None
    span = _either_way(text).length()
    if span is None or abs(span) > timedelta(days=1):
        raise click.BadParameter(f"{text} is longer than a day")
    return span


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


def _suiting(payload_type: str, value: int | float | str) -> int | float | str:
    """The value, where a VEN could read it: an event with another one would be made and followed by nobody."""
    meaning = EVENT_PAYLOADS.get(payload_type)
    if meaning is None or meaning.treatment is Treatment.NOT_SUPPORTED or meaning.form in (Form.WORDS, Form.CURVE):
        return value
    if meaning.form is Form.LEVEL and value not in (0, 1, 2, 3):
        raise click.UsageError(f"{payload_type} is a level from 0 to 3, not {value!r}")
    if isinstance(value, str):
        raise click.UsageError(f"{payload_type} is a number, not {value!r}")
    return value


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
@click.option("--test", is_flag=True, help="VENs of OpenADR 2.0b answer it and move nothing; those of 3.1 overlook it.")
@click.option("--no-answer", is_flag=True, help="VENs of OpenADR 2.0b do not answer it.")
@click.option("--ramp-up", callback=_read_change, help="2.0b: load changes so long after (-PT5M: before) the start.")
@click.option("--recovery", callback=_read_change, help="2.0b: the same at the end.")
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
    test: bool,
    no_answer: bool,
    ramp_up: timedelta | None,
    recovery: timedelta | None,
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
    for _, payload in intervals:
        _suiting(payload_type, payload)
    if payload_type not in set(EventPayload):
        click.echo(f"note: {payload_type} is not a payload type of OpenADR 3.1.0; sent as a private one", err=True)
    answered = ResponseRequired.NEVER if no_answer else ResponseRequired.ALWAYS
    manner = Manner(test, answered, ramp_up, recovery)
    sent_type = manner.type_of(payload_type)

    async def work() -> Event:
        """One event: its program by name, its intervals one after another from `start` on."""
        async with Vtn(access) as vtn:
            made = await vtn.create(
                Event,
                "events",
                EventRequest(
                    program_id=(await vtn.named(Program, "programs", "programName", program_name)).id,
                    event_name=name,
                    priority=priority,
                    targets=targets,
                    report_descriptors=tuple(ReportDescriptor(payload_type=one) for one in reports),
                    payload_descriptors=_descriptors(sent_type, unit, currency),
                    interval_period=IntervalPeriod(start=start, duration=intervals[0][0], randomize_start=randomize),
                    intervals=tuple(
                        Interval(
                            id=number,
                            interval_period=IntervalPeriod(duration=length) if number else None,
                            payloads=(
                                ValuesMap(type=sent_type, values=(payload,)),
                                *(() if number else manner.payloads()),
                            ),
                        )
                        for number, (length, payload) in enumerate(intervals)
                    ),
                ),
            )
            return await _seen(vtn, made)

    made = run(work())
    print_one(made, as_json, _event_line(made))


async def _seen(vtn: Vtn, made: Event) -> Event:
    """The event; says so where no VEN of OpenADR 3.1 may see it (Definition, "Object Privacy").

    The event stands whether or not that can be found out: another VTN may not show its VENs to whoever makes events.
    """
    try:
        targets = made.targets or (await vtn.one(Program, "programs", made.program_id)).targets
        granted = [one.targets for one in await vtn.every(Ven, "vens")] if targets else []
        granted += [one.targets for one in await vtn.every(Resource, "resources")] if targets else []
    except (click.ClickException, WireError) as error:
        click.echo(f"note: the event is made; who may see it could not be found out: {error}", err=True)
        return made
    if targets and all(frozenset(targets).isdisjoint(own) for own in granted):
        words = " or ".join(targets)
        click.echo(
            f"note: no VEN of OpenADR 3.1 was granted {words}, so that none sees this event; "
            f"grant it with: cem vtn ven grant NAME --target {targets[0]}",
            err=True,
        )
    return made


def _descriptors(payload_type: str, unit: str | None, currency: str | None) -> tuple[EventPayloadDescriptor, ...]:
    if unit is None and currency is None:
        return ()
    return (EventPayloadDescriptor(payload_type=payload_type, units=unit, currency=currency),)


def _event_line(one: Event) -> str:
    start = one.interval_period.start if one.interval_period is not None else None
    first = one.intervals[0].payloads[0] if one.intervals and one.intervals[0].payloads else None
    asks = f"{first.type} {' '.join(str(value) for value in first.values)}" if first is not None else "nothing"
    units = " ".join(d.units for d in one.payload_descriptors if d.units)
    more = f" and {len(one.intervals) - 1} more" if len(one.intervals) > 1 else ""
    return f"{one.id}  {one.event_name or '-'}  from {start or '-'}  {asks} {units}{more}"


def _from_file(path: Path) -> EventRequest:
    try:
        return decode(EventRequest, path.read_bytes())
    except WireError as error:
        raise click.UsageError(f"{path}: {error}") from error


@event.command("put")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--id", "event_id", metavar="ID", help="Put it in the place of this event; else it is a new one.")
@access_options
@json_option
def event_put(file: Path, event_id: str | None, access: Access, as_json: bool) -> None:
    """Makes an event from a JSON file, or puts it in the place of another: everything that OpenADR has can be in it.

    Example: cem vtn event put tomorrow.json --id 3f2a9c
    """
    wanted = _from_file(file)

    async def work() -> Event:
        async with Vtn(access) as vtn:
            if event_id is None:
                return await _seen(vtn, await vtn.create(Event, "events", wanted))
            return await _seen(vtn, await vtn.replace(Event, "events", event_id, wanted))

    made = run(work())
    print_one(made, as_json, _event_line(made))


@event.command("change")
@click.argument("event_id", metavar="ID")
@click.option("--value", help="Another value; of an event with a single interval and payload.")
@click.option("--start", callback=_read_new_start, help="Another start: 'now' or 2026-01-15T09:30:00Z.")
@click.option("--duration", callback=_read_duration, help="Another length of the intervals, such as PT10M.")
@click.option("--priority", type=click.IntRange(min=0), help="0 is the highest.")
@click.option("--target", "targets", multiple=True, help="Instead of all targets it had; repeatable.")
@access_options
@json_option
def event_change(
    event_id: str,
    value: str | None,
    start: Start | None,
    duration: Duration | None,
    priority: int | None,
    targets: tuple[str, ...],
    access: Access,
    as_json: bool,
) -> None:
    """Changes an event and leaves the rest of it as it is.

    Example: cem vtn event change 3f2a9c --value 3.5 --duration PT20M
    """
    if value is None and start is None and duration is None and priority is None and not targets:
        raise click.UsageError("say what to change")

    async def work() -> Event:
        """The event as it stands, with what was said put in its place."""
        async with Vtn(access) as vtn:
            old = await vtn.one(Event, "events", event_id)
            period = old.interval_period or IntervalPeriod()
            times = {"start": start or period.start, "duration": duration or period.duration}
            update: dict[str, object] = {"interval_period": period.model_copy(update=times)}
            if value is not None:
                update["intervals"] = (_with_value(old, _number(value)),)
            if priority is not None:
                update["priority"] = priority
            if targets:
                update["targets"] = targets
            changed = await vtn.replace(Event, "events", event_id, old.model_copy(update=update))
            return await _seen(vtn, changed) if targets else changed

    made = run(work())
    print_one(made, as_json, _event_line(made))


def _with_value(old: Event, value: int | float | str) -> Interval:
    payloads = [one for interval in old.intervals for one in interval.payloads if one.type not in ASIDE]
    if len(old.intervals) != 1 or len(payloads) != 1:
        raise click.ClickException(f"event {old.id} has more than one value; use cem vtn event put FILE --id {old.id}")
    only = old.intervals[0]
    suiting = _suiting(payloads[0].type.removeprefix(TEST), value)
    payload = payloads[0].model_copy(update={"values": (suiting,)})
    return only.model_copy(update={"payloads": (payload, *(p for p in only.payloads if p.type in ASIDE))})


@event.command("show")
@click.argument("event_id", metavar="ID")
@access_options
def event_show(event_id: str, access: Access) -> None:
    """Prints an event as JSON, as it can be put again.

    Example: cem vtn event show 3f2a9c
    """
    click.echo(shown(run(fetched(access, Event, "events", event_id))))


@event.command("list")
@click.option("--active", is_flag=True, help="Leave out what is over.")
@access_options
@json_option
def event_list(active: bool, access: Access, as_json: bool) -> None:
    """Lists the events.

    Example: cem vtn event list --active
    """
    found = run(every(access, Event, "events", active="true" if active else "false"))
    print_all(found, as_json, [_event_line(one) for one in found])


@event.command("cancel")
@click.argument("event_id", metavar="ID")
@access_options
@json_option
def event_cancel(event_id: str, access: Access, as_json: bool) -> None:
    """Cancels an event by deleting it (User Guide 7.9).

    Example: cem vtn event cancel 3f2a9c
    """
    gone = run(removed(access, Event, "events", event_id))
    print_one(gone, as_json, f"cancelled {_event_line(gone)}")
