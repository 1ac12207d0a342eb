"""OpenADR 3.1 programs and events to the model's grid events."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

from cem.model.curve import Curve
from cem.model.event import EventInterval, GridEvent, SignalKind
from cem.model.provider import Provider
from cem.sgcp.bindings.openadr3_catalogue import EVENT_PAYLOADS, Form, Treatment, limits_flow
from cem.sgcp.bindings.openadr3_payloads import LIMITS, Reader
from cem.sgcp.bindings.openadr3_rooms import Rooms
from cem.sgcp.bindings.openadr3_schedule import Period, Unusable, periods
from cem.sgcp.bindings.openadr3_units import Units, units_of
from cem.sgcp.events.store import Listing, Rejection
from cem.sgcp.events.sweep import FAR_FUTURE, Stretch, winners
from cem.wire.openadr3 import Event, Program, WireError, encode, parse_datetime

LOWEST_PRIORITY = 2**31
"""Interpretation: an event without a priority comes after all that have one (0 is the highest, User Guide 7.1)."""

_DIRECT = (SignalKind.DISPATCH_W, SignalKind.DISPATCH_CHANGE_W)
_MOST_WORDS = 200
_MOST_NOTICES = 10
_METADATA = {"id", "object_type", "created_date_time", "modification_date_time"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is believed of a provider. Interpretation: limits only narrow, so their length is not bounded."""

    ahead: timedelta = timedelta(days=7)  # what starts later is left until it comes nearer
    dispatch_length: timedelta = timedelta(hours=24)  # of one stretch of direct control with an end
    max_intervals: int = 2000  # of one event, after looping
    max_events: int = 1000  # of one provider
    max_all_intervals: int = 5000  # of all events with obligatory limits together, and again of all others
    max_power_w: float = 1e9
    max_price_per_kwh: float = 10_000.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete listing as it came: all pages of /events, with the programs that they belong to by id."""

    events: Sequence[Event]
    faults: Sequence[WireError]
    programs: Mapping[str, Program]
    asked_at_s: float  # monotonic
    contents: Mapping[str, str] = field(default_factory=dict)  # `content_of` by event id, where it is known already
    cut: frozenset[str] | set[str] = frozenset()  # ids of events whose intervals were not kept: there was no room


@dataclass(frozen=True, slots=True)
class Binding:
    """Binds a provider's objects. `share` draws -1 to 1 for an event's randomizeStart, once for each event.

    The caller keeps what was drawn: `share` is asked only for events that have no known one in `shares`.
    """

    provider: Provider
    share: Callable[[], float]
    bounds: Bounds = Bounds()

    def listing(
        self, fetched: Fetched, known: Mapping[str, GridEvent], shares: dict[str, float], now: datetime
    ) -> Listing:
        """A complete listing in our terms; what was drawn for new events is added to `shares`."""
        bound: list[GridEvent] = []
        rejected = [
            Rejection(fault.object_id, f"its {_words(fault)}", limits=self.provider.mandatory)
            for fault in fetched.faults
            if fault.object_id is not None
        ]
        rooms = Rooms(self.bounds.max_all_intervals, fetched.events, known)
        for event in fetched.events:
            program, held = fetched.programs.get(event.program_id), known.get(event.id)
            limits = self._mandatory(program, held) and _has_limits(event)
            if event.id in fetched.cut or not rooms.may_fit(event, limits):
                rejected.append(Rejection(event.id, rooms.words, limits=limits))
                continue
            outcome = self.event(event, program, held, shares, now, fetched.contents.get(event.id))
            if not isinstance(outcome, GridEvent):
                rejected.append(outcome)
            elif rooms.takes(event, outcome, limits):
                bound.append(outcome)
            else:
                rejected.append(Rejection(event.id, rooms.words, limits=limits))
        complete = all(fault.object_id is not None for fault in fetched.faults)
        return Listing(tuple(bound), fetched.asked_at_s, tuple(rejected), complete)

    def _agreed(self) -> dict[str, bool]:
        return {p.name: p.mandatory for p in self.provider.programmes}

    def _mandatory(self, program: Program | None, known: GridEvent | None) -> bool:
        return self._agreed().get(_programme(program, known), False)

    def event(
        self,
        event: Event,
        program: Program | None,
        known: GridEvent | None,
        shares: dict[str, float],
        now: datetime,
        content: str | None = None,
    ) -> GridEvent | Rejection:
        """One event, or why it is not acted on. `content` is what `content_of` says of it, where that is known."""
        programme = _programme(program, known)
        agreed = self._agreed()
        if agreed and programme not in agreed:
            return Rejection(event.id, f"programme {programme or event.program_id!r} is not in the site file", False)
        if not event.intervals:
            return Rejection(event.id, "it has no intervals and asks for reports only", False)
        mandatory = agreed.get(programme, False)
        content = content_of(event) if content is None else content
        if program is None and known is not None:
            if known.modification.partition("~")[0] == content:
                return known
            reason = f"it changed while its programme {programme} is not listed, so its units are not known"
            return Rejection(event.id, reason, limits=mandatory and _has_limits(event))
        if _randomised(event) and event.id not in shares:
            shares[event.id] = self.share()
        received_at = known.received_at if known is not None else now
        try:
            intervals, unsupported, units, curves = self._intervals(
                event, program, received_at, shares.get(event.id, 0.0), now
            )
        except Unusable as fault:
            limits = mandatory and _has_limits(event)
            return Rejection(event.id, str(fault), limits=limits)
        if intervals and intervals[0].start > now + self.bounds.ahead:
            days = self.bounds.ahead / timedelta(days=1)
            return Rejection(event.id, f"it starts more than {days:g} days ahead; looked at again later", False)
        return GridEvent(
            id=event.id,
            provider_id=self.provider.id,
            name=(event.event_name or event.id)[:128],
            programme_id=programme,
            modification=f"{content}~{units.digest(_types(event))}",
            priority=LOWEST_PRIORITY if event.priority is None else event.priority,
            mandatory=mandatory,
            intervals=tuple(i for i in intervals if i.start <= now + self.bounds.ahead),
            received_at=received_at,
            targets=event.targets,
            randomise=_shift_of(event, shares.get(event.id, 0.0)),
            currency=units.currency(),
            unsupported=unsupported,
            notices=_notices(event),
            curves=curves,
        )

    def _intervals(
        self, event: Event, program: Program | None, anchor: datetime, share: float, now: datetime
    ) -> tuple[list[EventInterval], tuple[str, ...], Units, tuple[Curve, ...]]:
        window = (now - timedelta(hours=1), now + self.bounds.ahead)
        units = units_of(event, program)
        reader = Reader(self.provider, units, self.bounds.max_power_w, self.bounds.max_price_per_kwh)
        stretches: dict[SignalKind | None, list[Stretch[float]]] = {None: []}
        unsupported: dict[str, None] = {}
        count = 0
        for number, period in enumerate(periods(event, anchor, share, window)):
            if period.end is not None and period.end <= period.start:
                continue
            stretches[None].append(Stretch(period.start, period.end, (number,), 0.0))
            for kind, stretch in self._signals(period, number, reader, unsupported):
                stretches.setdefault(kind, []).append(stretch)
                count += 1
            if max(count, number) > self.bounds.max_intervals:
                raise Unusable(f"more than {self.bounds.max_intervals} intervals")
        return merged(stretches), tuple(unsupported), units, tuple(reader.curves)

    def _signals(
        self, period: Period, number: int, reader: Reader, unsupported: dict[str, None]
    ) -> Iterable[tuple[SignalKind, Stretch[float]]]:
        curves = 0
        for payload in period.interval.payloads:
            meaning = EVENT_PAYLOADS.get(payload.type)
            if meaning is None or meaning.treatment is Treatment.NOT_SUPPORTED:
                unsupported[payload.type] = None
                continue
            curves += meaning.form is Form.CURVE
            if curves > 1 and meaning.form is Form.CURVE:
                unsupported[f"{payload.type} beside another one"] = None
                continue
            try:
                asked = list(reader.signals(payload, meaning))
            except LookupError as unknown:
                unsupported[str(unknown.args[0])] = None
                continue
            length = None if period.end is None else period.end - period.start
            for kind, values in asked:
                if kind in _DIRECT and length is not None and length > self.bounds.dispatch_length:
                    hours = self.bounds.dispatch_length / timedelta(hours=1)
                    raise Unusable(
                        f"direct control for {length / timedelta(hours=1):g} h; at most {hours:g} h is taken"
                    )
                yield from ((kind, s) for s in _sub_intervals(period, number, kind, values))


def _sub_intervals(
    period: Period, number: int, kind: SignalKind, values: Sequence[float | None]
) -> Iterable[Stretch[float]]:
    """Several values divide the interval into equal parts (User Guide 7.3, multi-value payloads)."""
    if len(values) > 1 and period.end is None:
        raise Unusable(f"interval {period.interval.id} never ends and has {len(values)} values")
    part = None if period.end is None else (period.end - period.start) / len(values)
    for index, value in enumerate(values):
        start = period.start if part is None else period.start + index * part
        end = period.end if part is None or index == len(values) - 1 else start + part
        if value is not None:
            yield Stretch(start, end, _order(kind, number, value), value)


def _order(kind: SignalKind, number: int, value: float) -> tuple[float | str, ...]:
    """The strictest counts first where an event says two things at once, else the later interval."""
    if kind is SignalKind.LOAD_SHED_LEVEL:
        return (-value,)
    return (value,) if kind in LIMITS else (-number,)


def merged(stretches: Mapping[SignalKind | None, list[Stretch[float]]]) -> list[EventInterval]:
    """Intervals that do not overlap.

    Interpretation: where intervals of one event overlap, the strictest limit holds, and otherwise the later interval.
    """
    pieces: list[tuple[datetime, datetime | None, SignalKind | None, float]] = []
    for kind, claims in stretches.items():
        pieces += [(start, end, kind, winner.value) for start, end, winner in winners(claims)]
    edges = sorted({p[0] for p in pieces} | {p[1] or FAR_FUTURE for p in pieces})
    place = {edge: number for number, edge in enumerate(edges)}
    signals: list[dict[SignalKind, float] | None] = [None] * len(edges)
    for start, end, kind, value in pieces:
        for number in range(place[start], place[end or FAR_FUTURE]):
            held = signals[number] if signals[number] is not None else {}
            assert held is not None
            signals[number] = held
            if kind is not None:
                held[kind] = value
    return [
        EventInterval(edge, None if edges[n + 1] == FAR_FUTURE else edges[n + 1], MappingProxyType(found))
        for n, edge in enumerate(edges)
        if (found := signals[n]) is not None
    ]


def _randomised(event: Event) -> bool:
    given = [event.interval_period, *(interval.interval_period for interval in event.intervals)]
    return any(p is not None and p.randomize_start is not None and p.randomize_start.length() for p in given)


def _shift_of(event: Event, share: float) -> timedelta:
    randomize = event.interval_period.randomize_start if event.interval_period is not None else None
    length = randomize.length() if randomize is not None else None
    return abs(length) * share if length is not None else timedelta()


def _programme(program: Program | None, known: GridEvent | None) -> str:
    if program is not None:
        return program.program_name
    return known.programme_id if known is not None else ""


def _types(event: Event) -> set[str]:
    return {payload.type for interval in event.intervals for payload in interval.payloads}


def _has_limits(event: Event) -> bool:
    return any(limits_flow(payload_type) for payload_type in _types(event))


def _notices(event: Event) -> tuple[str, ...]:
    """What the event tells people: its alerts with their words."""
    told: dict[str, None] = {}
    for interval in event.intervals:
        for payload in interval.payloads:
            meaning = EVENT_PAYLOADS.get(payload.type)
            if meaning is not None and meaning.form is Form.WORDS and meaning.treatment is not Treatment.NOT_SUPPORTED:
                words = " ".join(str(v) for v in payload.values if isinstance(v, str)).split()
                alert = payload.type.removeprefix("ALERT_").replace("_", " ").lower()
                told[f"alert: {alert}{': ' if words else ''}{' '.join(words)[:_MOST_WORDS]}"] = None
    return tuple(told)[:_MOST_NOTICES]


def _words(fault: WireError) -> str:
    """What is wrong with an event, without its place in the listing."""
    path = fault.path.partition("].")[2] if fault.path.startswith("[") else fault.path
    return f"{path or 'form'} {fault.reason}"


def content_of(event: Event) -> str:
    """The provider's time of change, so that versions can be ordered, and the content, so that none slips by."""
    try:
        at = parse_datetime(event.modification_date_time or "").isoformat(timespec="microseconds")
    except ValueError:
        at = ""  # peers send times that are not RFC 3339; the content decides then
    content = event.model_copy(update=dict.fromkeys(_METADATA))
    return f"{at}#{hashlib.sha256(encode(content)).hexdigest()[:16]}"
