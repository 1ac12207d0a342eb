"""What is handed down, as events of OpenADR 3.1 of the domain's own VTN (its VENs of 2.0b get the same). Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cem.sgcp.domain.course import Asked, Kind, Span
from cem.wire.openadr3 import (
    Duration,
    Event,
    EventPayload,
    EventPayloadDescriptor,
    EventRequest,
    Interval,
    IntervalPeriod,
    Point,
    ProgramRequest,
    ReportDescriptor,
    ReportPayload,
    Start,
    Unit,
    ValuesMap,
)

OBLIGATIONS = "domain-obligations"
"""The program of what must be kept to: the limits that oblige the gateway, divided."""
SERVICES = "domain-services"
"""The program of what may be opted out of, and of the request for usage reports."""
PROGRAMS = (ProgramRequest(program_name=OBLIGATIONS), ProgramRequest(program_name=SERVICES))
USAGE_EVENT = "usage"
"""The standing event by which every VEN of the domain is asked what it uses."""

_PAYLOADS = {
    Kind.IMPORT_LIMIT: EventPayload.IMPORT_CAPACITY_LIMIT,
    Kind.EXPORT_LIMIT: EventPayload.EXPORT_CAPACITY_LIMIT,
    Kind.DISPATCH: EventPayload.DISPATCH_SETPOINT,
    Kind.DISPATCH_CHANGE: EventPayload.DISPATCH_SETPOINT_RELATIVE,
    Kind.IMPORT_PRICE: EventPayload.PRICE,
    Kind.EXPORT_PRICE: EventPayload.EXPORT_PRICE,
    Kind.LEVEL: EventPayload.SIMPLE,
    Kind.CHARGE: EventPayload.CHARGE_STATE_SETPOINT,
    Kind.CURVE: EventPayload.CURVE,
    Kind.GHG: EventPayload.GHG,
    Kind.LOAD_SHAPE: EventPayload.OLS,
}
_PRICES = (Kind.IMPORT_PRICE, Kind.EXPORT_PRICE)
_IN_W = (Kind.IMPORT_LIMIT, Kind.EXPORT_LIMIT, Kind.DISPATCH, Kind.DISPATCH_CHANGE)


def program_of(asked: Asked) -> str:
    """The name of the program that it belongs to."""
    return SERVICES if asked.voluntary else OBLIGATIONS


def event_name(asked: Asked, ven_name: str | None) -> str:
    """By which an event is found again; `ven_name` None: it is for everybody."""
    return asked.kind.value if ven_name is None else f"{asked.kind.value} for {ven_name}"


def usage_event(program_id: str) -> EventRequest:
    """The standing request for usage; without intervals, so that nobody acts on it."""
    return EventRequest(
        program_id=program_id,
        event_name=USAGE_EVENT,
        report_descriptors=(
            ReportDescriptor(payload_type=ReportPayload.USAGE, units=Unit.KWH, frequency=0, repeat=-1),
        ),
    )


def event_request(
    asked: Asked, spans: Sequence[Span], program_id: str, currency: str, ven: tuple[str, str] | None
) -> EventRequest:
    """The event; `ven` is the (name, target) of whom it is for, None for everybody.

    What may be opted out of asks for the operating state each quarter of an hour, by which a VEN of 3.1 tells it.
    """
    state = ReportDescriptor(payload_type=ReportPayload.OPERATING_STATE, frequency=0, repeat=-1)
    return EventRequest(
        program_id=program_id,
        event_name=event_name(asked, None if ven is None else ven[0]),
        targets=() if ven is None else (ven[1],),
        report_descriptors=(state,) if asked.voluntary and ven is not None else (),
        payload_descriptors=tuple(_descriptors(asked.kind, currency)),
        intervals=tuple(_interval(number, asked.kind, span) for number, span in enumerate(spans)),
    )


def read_event(event: Event, program_name: str) -> tuple[Asked, str, tuple[Span, ...]] | None:
    """What an event of ours says: what is asked, the target ('' is everybody) and the spans; None: it is another."""
    name = (event.event_name or "").partition(" for ")[0]
    kind = next((kind for kind in Kind if kind.value == name), None)
    if kind is None or not event.intervals or len(event.targets) > 1:
        return None
    spans = []
    for interval in event.intervals:
        span = _span(interval, kind)
        if span is None:
            return None
        spans.append(span)
    target = event.targets[0] if event.targets else ""
    return Asked(kind, program_name == SERVICES), target, tuple(spans)


def _span(interval: Interval, kind: Kind) -> Span | None:
    period = interval.interval_period
    start: datetime | None = period.start.instant if period is not None and period.start is not None else None
    length = period.duration.length() if period is not None and period.duration is not None else None
    if start is not None and interval.payloads and kind is Kind.CURVE:
        points = tuple((p.x, round(p.y / 100, 6)) for p in interval.payloads[0].values if isinstance(p, Point))
        return Span(start, None if length is None else start + length, 0.0, points) if points else None
    numbers = interval.payloads[0].numbers() if interval.payloads else ()
    if start is None or not numbers:
        return None
    value = round(numbers[0] * 1000, 3) if kind in _IN_W else numbers[0]
    return Span(start, None if length is None else start + length, value)


def _descriptors(kind: Kind, currency: str) -> Iterator[EventPayloadDescriptor]:
    if kind in _PRICES:
        yield EventPayloadDescriptor(payload_type=_PAYLOADS[kind], units=Unit.KWH, currency=currency)
    elif kind in _IN_W:
        yield EventPayloadDescriptor(payload_type=_PAYLOADS[kind], units=Unit.KW)
    elif kind in (Kind.CHARGE, Kind.CURVE):
        yield EventPayloadDescriptor(payload_type=_PAYLOADS[kind], units=Unit.PERCENT)


def _interval(number: int, kind: Kind, span: Span) -> Interval:
    value = round(span.value / 1000, 6) if kind in _IN_W else int(span.value) if kind is Kind.LEVEL else span.value
    values = tuple(Point(x=x, y=round(100 * y, 6)) for x, y in span.points) if kind is Kind.CURVE else (value,)
    length = None if span.end is None else Duration.of(span.end - span.start)
    period = IntervalPeriod(start=Start.at(span.start), duration=length)
    return Interval(id=number, interval_period=period, payloads=(ValuesMap(type=_PAYLOADS[kind], values=values),))
