"""Events of the VTN's objects as OpenADR 2.0b events.

Interpretation: what 3.1 says and 2.0b cannot is left out, not bent: signals without a counterpart, events with gaps,
those that begin again and again, and limits that are levels for a part of the time. A random start of 3.1 is to both
sides; here it becomes a late one. Levels of load shedding, emergencies among them, are SIMPLE signals.
What 2.0b can say and 3.1 cannot is in private payload types (`manner.py`).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from urllib.parse import quote

from lxml import etree

from cem.model.event import EventInterval, GridEvent, SignalKind
from cem.model.provider import Provider
from cem.sgcp.bindings.openadr2b_signals import EXPORT_LIMIT
from cem.sgcp.bindings.openadr3 import LOWEST_PRIORITY, Binding, Bounds
from cem.sgcp.vtn.objects import Body, Objects
from cem.sgcp.vtn2b.manner import told_apart
from cem.sgcp.vtn2b.records import Told
from cem.wire.openadr2b.names import EventState, SignalName, SignalType
from cem.wire.openadr2b.parts import (
    ActivePeriod,
    EiEvent,
    EventDescriptor,
    EventSignal,
    SignalInterval,
    Target,
    Unit,
)
from cem.wire.openadr2b.shape import new_element, read, write
from cem.wire.openadr3 import Event, ObjectType, Program, parse_datetime, validate

NEAR = timedelta(hours=1)
_LEVELS = {3e8: 1, 2e8: 2, 1e8: 3}
"""What levels of load shedding are read as: limits in W that no house has. They become levels again."""
_READER = Binding(
    Provider("vtn", "", "", "", shed_import_w=(3e8, 2e8, 1e8)), lambda: 0.0, Bounds(ahead=timedelta(days=36_500))
)
_W = Unit(name="power:powerReal", description="RealPower", units="W", hertz=Decimal(50), voltage=Decimal(230), ac=True)
_SIGNALS: Mapping[SignalKind, tuple[str, str]] = {
    SignalKind.IMPORT_LIMIT_W: (SignalName.LOAD_CONTROL, SignalType.CONTROL_SETPOINT),
    SignalKind.EXPORT_LIMIT_W: (EXPORT_LIMIT, SignalType.SETPOINT),
    SignalKind.DISPATCH_W: (SignalName.LOAD_DISPATCH, SignalType.SETPOINT),
    SignalKind.IMPORT_PRICE_PER_KWH: (SignalName.ELECTRICITY_PRICE, SignalType.PRICE),
}


@dataclass(frozen=True, slots=True)
class Template:
    """An event as every VEN gets it, but for its number, its state and whom it targets.

    `until` is when the last VEN that begins late by chance is through, None never. `digest` is the same as long as a
    VEN would see no difference.
    """

    event: EiEvent
    until: datetime | None
    digest: str
    xml: str


def template(event: Body, program: Body, objects: Objects) -> Template | None:
    """The template of a stored event, made once for each version of it; None where 2.0b cannot say it."""
    key = (template, program["modificationDateTime"])
    return objects.derived(ObjectType.EVENT, event, key, lambda: _template(event, program))


def _template(event: Body, program: Body) -> Template | None:
    read, manner = told_apart(validate(Event, dict(event)))
    made_at = parse_datetime(event["createdDateTime"])
    bound = _READER.event(read, validate(Program, dict(program)), None, {read.id: 0.0}, made_at)
    if not isinstance(bound, GridEvent) or not bound.intervals or not _is_whole(bound.intervals):
        return None
    start, end = bound.intervals[0].start, bound.intervals[-1].end
    signals = tuple(_signals(bound))
    if not signals:
        return None
    randomize = read.interval_period.randomize_start if read.interval_period is not None else None
    late = abs((randomize.length() if randomize is not None else None) or timedelta())
    found = EiEvent(
        descriptor=EventDescriptor(
            event_id=read.id,
            modification_number=0,
            priority=0 if bound.priority >= LOWEST_PRIORITY else bound.priority + 1,
            market_context=market_context(bound.programme_id),
            created_at=made_at,
            status=EventState.NONE,
            test="true" if manner.test else None,
            comment=bound.name,
        ),
        period=ActivePeriod(
            start=start,
            duration=timedelta() if end is None else end - start,
            start_after=late or None,
            notification=timedelta(),  # the schema can do without it, some VENs cannot
            ramp_up=manner.ramp_up,
            recovery=manner.recovery,
        ),
        signals=signals,
        response_required=manner.response_required,
    )
    xml = written(found)
    digest = hashlib.sha256(xml.encode()).hexdigest()[:16]
    stamped = replace(found.descriptor, modified_at=parse_datetime(event["modificationDateTime"]))
    return Template(replace(found, descriptor=stamped), None if end is None else end + late, digest, xml)


def addressed(event: EiEvent, ven_id: str, number: int, now: datetime) -> EiEvent:
    """An event as one VEN gets it now."""
    descriptor = replace(event.descriptor, modification_number=number, status=_state(event.period.start, now))
    return replace(event, descriptor=descriptor, target=Target(ven_ids=(ven_id,)))


def cancelled(told: Told) -> EiEvent:
    """An event that a VEN was told of, as cancelled."""
    event = read_event(told.xml)
    descriptor = replace(
        event.descriptor,
        modification_number=told.number,
        modified_at=told.cancelled_at,
        status=EventState.CANCELLED,
    )
    return replace(event, descriptor=descriptor, target=Target(ven_ids=(told.ven_id,)))


def written(event: EiEvent) -> str:
    """An event as XML."""
    element = new_element("oadr:oadrEvent")
    write(element, event)
    return str(etree.tostring(element, encoding="unicode"))


def read_event(xml: str) -> EiEvent:
    """An event that `written` wrote."""
    return read(EiEvent, etree.fromstring(xml))


def _signals(event: GridEvent) -> Iterator[EventSignal]:
    limits = [interval.signals.get(SignalKind.IMPORT_LIMIT_W) for interval in event.intervals]
    shed = any(limit in _LEVELS for limit in limits)
    if shed and all(limit is None or limit in _LEVELS for limit in limits):
        levels = [0.0 if limit is None else float(_LEVELS[limit]) for limit in limits]
        yield _signal(event, SignalName.SIMPLE, SignalType.LEVEL, "simple", levels, None)
    for kind, (name, signal_type) in _SIGNALS.items():
        if not all(kind in interval.signals for interval in event.intervals):
            continue
        if kind is SignalKind.IMPORT_LIMIT_W and shed:
            continue
        money = Unit(name="oadr:currencyPerKWh", description="currencyPerKWh", units=event.currency or "EUR")
        unit = money if kind is SignalKind.IMPORT_PRICE_PER_KWH else _W
        values = [interval.signals[kind] for interval in event.intervals]
        yield _signal(event, name, signal_type, str(kind), values, unit)


def _signal(
    event: GridEvent, name: str, signal_type: str, signal_id: str, values: Sequence[float], unit: Unit | None
) -> EventSignal:
    intervals = tuple(
        SignalInterval(
            duration=timedelta() if interval.end is None else interval.end - interval.start,
            uid=str(number),
            value=value,
        )
        for number, (interval, value) in enumerate(zip(event.intervals, values, strict=True))
    )
    return EventSignal(intervals=intervals, name=name, type=signal_type, id=signal_id, unit=unit)


def _is_whole(intervals: Sequence[EventInterval]) -> bool:
    """Whether each interval begins where the one before ends."""
    return all(one.end == following.start for one, following in pairwise(intervals))


def market_context(programme: str) -> str:
    """The marketContext that stands for a program of 3.1, whose name need not be a URI."""
    return programme if "://" in programme else f"urn:openadr:program:{quote(programme)}"


def _state(start: datetime, now: datetime) -> EventState:
    if start <= now:
        return EventState.ACTIVE
    return EventState.NEAR if start - now <= NEAR else EventState.FAR
