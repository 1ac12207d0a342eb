"""Events of the VTN's objects as OpenADR 2.0b events.

Interpretation: what 3.1 says and 2.0b cannot is left out, not bent: signals without a counterpart, events with gaps,
and those that begin again and again. A random start of 3.1 is to both sides; here it becomes a late one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from urllib.parse import quote

from cem.model.event import EventInterval, GridEvent, SignalKind
from cem.model.provider import Provider
from cem.sgcp.bindings.openadr2b_signals import EXPORT_LIMIT
from cem.sgcp.bindings.openadr3 import LOWEST_PRIORITY, Binding
from cem.sgcp.vtn.objects import Body
from cem.wire.openadr2b.names import EventState, ResponseRequired, SignalName, SignalType
from cem.wire.openadr2b.parts import (
    ActivePeriod,
    EiEvent,
    EventDescriptor,
    EventSignal,
    SignalInterval,
    Target,
    Unit,
)
from cem.wire.openadr3 import Event, Program, parse_datetime, validate

NEAR = timedelta(hours=1)
_READER = Binding(Provider("vtn", "", "", ""), lambda: 0.0)
_W = Unit(name="power:powerReal", description="RealPower", units="W", hertz=Decimal(50), voltage=Decimal(230), ac=True)
_SIGNALS: Mapping[SignalKind, tuple[str, str]] = {
    SignalKind.IMPORT_LIMIT_W: (SignalName.LOAD_CONTROL, SignalType.CONTROL_SETPOINT),
    SignalKind.EXPORT_LIMIT_W: (EXPORT_LIMIT, SignalType.SETPOINT),
    SignalKind.DISPATCH_W: (SignalName.LOAD_DISPATCH, SignalType.SETPOINT),
    SignalKind.IMPORT_PRICE_PER_KWH: (SignalName.ELECTRICITY_PRICE, SignalType.PRICE),
}


def ei_event(event: Body, program: Body, ven_id: str, now: datetime) -> EiEvent | None:
    """An event as a VEN gets it; None where 2.0b cannot say it, or it is over."""
    read = validate(Event, dict(event))
    bound = _READER.event(read, validate(Program, dict(program)), None, {read.id: 0.0}, now)
    if not isinstance(bound, GridEvent) or not bound.intervals or not _is_whole(bound.intervals):
        return None
    start, end = bound.intervals[0].start, bound.intervals[-1].end
    if end is not None and end <= now:
        return None
    signals = tuple(_signals(bound))
    if not signals:
        return None
    randomize = read.interval_period.randomize_start if read.interval_period is not None else None
    late = randomize.length() if randomize is not None else None
    return EiEvent(
        descriptor=EventDescriptor(
            event_id=read.id,
            modification_number=_version(event),
            modified_at=_instant(event["modificationDateTime"]),
            priority=0 if bound.priority >= LOWEST_PRIORITY else bound.priority + 1,
            market_context=_context(bound.programme_id),
            created_at=_instant(event["createdDateTime"]),
            status=_state(start, now),
            comment=bound.name,
        ),
        period=ActivePeriod(
            start=start,
            duration=timedelta() if end is None else end - start,
            start_after=abs(late) if late else None,
        ),
        signals=signals,
        target=Target(ven_ids=(ven_id,)),
        response_required=ResponseRequired.ALWAYS,
    )


def _signals(event: GridEvent) -> Sequence[EventSignal]:
    found = []
    for kind, (name, signal_type) in _SIGNALS.items():
        if not all(kind in interval.signals for interval in event.intervals):
            continue
        price = kind is SignalKind.IMPORT_PRICE_PER_KWH
        money = Unit(name="oadr:currencyPerKWh", description="currencyPerKWh", units=event.currency or "EUR")
        intervals = tuple(
            SignalInterval(
                duration=timedelta() if interval.end is None else interval.end - interval.start,
                uid=str(number),
                value=interval.signals[kind],
            )
            for number, interval in enumerate(event.intervals)
        )
        found.append(
            EventSignal(intervals=intervals, name=name, type=signal_type, id=str(kind), unit=money if price else _W)
        )
    return found


def _is_whole(intervals: Sequence[EventInterval]) -> bool:
    """Whether each interval begins where the one before ends."""
    return all(one.end == following.start for one, following in pairwise(intervals))


def _version(event: Body) -> int:
    """Grows with every change, and is the same after every restart: tenths of a second since the event was made.

    Interpretation: the profile counts changes by one; what peers compare is which number is larger.
    """
    age = parse_datetime(event["modificationDateTime"]) - parse_datetime(event["createdDateTime"])
    tenths = max(0, -(-age // timedelta(milliseconds=100)))
    return min(tenths, 2**32 - 1)


def _context(programme: str) -> str:
    return programme if "://" in programme else f"urn:openadr:program:{quote(programme)}"


def _instant(text: str) -> datetime:
    return parse_datetime(text)


def _state(start: datetime, now: datetime) -> EventState:
    if start <= now:
        return EventState.ACTIVE
    return EventState.NEAR if start - now <= NEAR else EventState.FAR
