"""OpenADR 2.0b events to the model's grid events, with the answer to each.

An oadrDistributeEvent is the VTN's whole truth: an event that is not in it was cancelled without a word.

Interpretation:
- the durations of a signal's intervals count, one after the other from the start of the active period; an interval's
  own start is not needed;
- an event's ramp-up and recovery (stretches before or after start and end in which load should change) are shown and
  change nothing: a house is at its target within seconds, an event does not say from what to begin, and a limit that
  sets in later or ends earlier would be one that was not kept. So the target holds from the start to the end;
- an event that is cancelled while it runs ends as late by chance as it began late by chance;
- what an event is for is one of all that its target names: this VEN, or a resource of ours; groups and parties are
  not agreed on, so an event for them alone is not for us;
- a VTN says completed by its own clock and does not know when we began late by chance: we end at our own end;
- a cancelled event is agreed to (optIn), as is a test, which is never acted on.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import unquote

from cem.model.event import EventInterval, GridEvent, SignalKind
from cem.model.provider import Provider
from cem.sgcp.bindings.openadr2b_signals import House, Reading, is_simple, reading
from cem.sgcp.bindings.openadr3 import LOWEST_PRIORITY, Bounds, merged
from cem.sgcp.bindings.openadr3_schedule import Unusable
from cem.sgcp.events.store import Listing, Rejection
from cem.sgcp.events.sweep import Stretch
from cem.wire.openadr2b.messages import DistributeEvent
from cem.wire.openadr2b.names import Code, EventState, OptType, ResponseRequired
from cem.wire.openadr2b.parts import EiEvent, EventResponse, EventSignal, QualifiedEventId, Target

_LIMITS = frozenset({SignalKind.IMPORT_LIMIT_W, SignalKind.EXPORT_LIMIT_W})
_CANCELLED = "cancelled"
_DURATION_TOLERANCE = timedelta(seconds=1)


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    """An event that is not acted on, with its response code."""

    def __init__(self, code: Code, reason: str, *, keep: bool = True) -> None:
        super().__init__(reason)
        self.code = code
        self.keep = keep


@dataclass(frozen=True, slots=True)
class Bound:
    """What a distributeEvent says: the listing, the answers that are due, and the versions by event id."""

    listing: Listing
    answers: tuple[EventResponse, ...]
    versions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Binding2b:
    """Binds one VTN's events. `share` draws 0 to 1 for an event's startafter, once for each event.

    `opted_out` tells whether the owner does not take part in an event; `known_resources` are those it may target.
    """

    provider: Provider
    house: House
    share: Callable[[], float]
    opted_out: Callable[[GridEvent], bool]
    known_resources: frozenset[str] = frozenset()
    bounds: Bounds = field(default_factory=Bounds)

    def bind(
        self,
        message: DistributeEvent,
        ven_id: str,
        known: Mapping[str, GridEvent],
        shares: dict[str, float],
        now: datetime,
        asked_at_s: float,
    ) -> Bound:
        """All events of a message in our terms; what was drawn for new ones is added to `shares`."""
        bound: list[GridEvent] = []
        rejected: list[Rejection] = []
        answers: list[EventResponse] = []
        versions: dict[str, int] = {}
        for number, event in enumerate(message.events):
            descriptor = event.descriptor
            held = known.get(descriptor.event_id)
            versions[descriptor.event_id] = descriptor.modification_number
            code, words, opt = Code.OK, None, OptType.IN
            try:
                if number >= self.bounds.max_events:
                    raise _Refused(Code.DEPLOYMENT, f"more than {self.bounds.max_events} events")
                found = self._event(event, ven_id, held, shares, now)
            except _Refused as refused:
                code, words, opt = refused.code, str(refused), OptType.OUT
                limits = self._mandatory(descriptor.market_context) and any(_may_limit(s) for s in event.signals)
                rejected.append(Rejection(descriptor.event_id, words, refused.keep, limits))
                if code is Code.OUT_OF_SEQUENCE and held is not None:
                    rejected.pop()
                    bound.append(held)
            else:
                if found is not None:
                    bound.append(found)
                    opt = OptType.OUT if self.opted_out(found) else OptType.IN
            if event.response_required != ResponseRequired.NEVER:
                answers.append(_answer(event, message.request_id, code, words, opt))
        listed = {event.descriptor.event_id for event in message.events}
        bound += self._running_out(known, listed, now)
        return Bound(Listing(tuple(bound), asked_at_s, tuple(rejected)), tuple(answers), versions)

    def _running_out(self, known: Mapping[str, GridEvent], listed: set[str], now: datetime) -> Iterator[GridEvent]:
        """Events that are gone without a word, as long as they end late by chance."""
        for event in known.values():
            if event.id not in listed:
                left = _ending(event, now)
                if left is not None:
                    yield left

    def _mandatory(self, context: str) -> bool:
        return self._agreed().get(self._programme(context), False)

    def _agreed(self) -> dict[str, bool]:
        return {programme.name: programme.mandatory for programme in self.provider.programmes}

    def _programme(self, context: str) -> str:
        """The site file names a programme by its marketContext or by the last part of it."""
        last = unquote(re.split("[/:]", context.rstrip("/"))[-1])
        return last if last in self._agreed() else context

    def _event(
        self, event: EiEvent, ven_id: str, held: GridEvent | None, shares: dict[str, float], now: datetime
    ) -> GridEvent | None:
        """The event as it counts from now on, None where nothing is left of it; raises _Refused."""
        descriptor = event.descriptor
        version = descriptor.modification_number
        if held is not None and version < version_of(held):
            raise _Refused(Code.OUT_OF_SEQUENCE, f"modification {version} after {version_of(held)}")
        if descriptor.status == EventState.CANCELLED:
            return None if held is None else _ending(held, now, version)
        if descriptor.status == EventState.COMPLETED and (held is None or is_cancelled(held)):
            return None if held is None else _ending(held, now)
        if held is not None and version == version_of(held) and not is_cancelled(held):
            return held
        programme = self._programme(descriptor.market_context)
        if self._agreed() and programme not in self._agreed():
            raise _Refused(Code.NOT_RECOGNISED, f"programme {programme[:100]!r} is not in the site file", keep=False)
        targets = self._targets(event, ven_id)
        _check(event)
        if event.period.start_after and descriptor.event_id not in shares:
            shares[descriptor.event_id] = self.share()
        shift = (event.period.start_after or timedelta()) * shares.get(descriptor.event_id, 0.0)
        try:
            intervals, unsupported, currency = self._intervals(event, event.period.start + shift)
        except (Unusable, OverflowError) as fault:
            raise _Refused(Code.COMPLIANCE, str(fault)) from fault
        if not any(interval.signals for interval in intervals) and unsupported:
            raise _Refused(Code.SIGNAL_NOT_SUPPORTED, f"not supported: {', '.join(unsupported)[:200]}")
        return GridEvent(
            id=descriptor.event_id,
            provider_id=self.provider.id,
            name=(descriptor.comment or descriptor.event_id)[:128],
            programme_id=programme,
            modification=_modification(event),
            priority=descriptor.priority or LOWEST_PRIORITY,
            mandatory=self._agreed().get(programme, False),
            intervals=tuple(intervals),
            received_at=held.received_at if held is not None else now,
            targets=targets,
            test=descriptor.is_test,
            randomise=shift,
            currency=currency,
            unsupported=unsupported,
            notices=tuple(_transitions(event)),
        )

    def _targets(self, event: EiEvent, ven_id: str) -> tuple[str, ...]:
        target = event.target
        resources = tuple(name for name in target.resource_ids if name in self.known_resources)
        if ven_id not in target.ven_ids and not resources and target != Target():
            words = "it is for another VEN" if target.ven_ids else "nothing of what it is for is known here"
            raise _Refused(Code.TARGET_MISMATCH, words, keep=not target.ven_ids)
        named = dict.fromkeys(target.resource_ids)
        for signal in event.signals:
            named.update(dict.fromkeys(signal.target.resource_ids if signal.target is not None else ()))
        ours = tuple(name for name in named if name in self.known_resources)
        if named and not ours:
            raise _Refused(Code.TARGET_MISMATCH, f"no resource {', '.join(named)[:100]} here")
        return ours

    def _intervals(self, event: EiEvent, start: datetime) -> tuple[list[EventInterval], tuple[str, ...], str | None]:
        readings: list[Reading] = []
        unsupported: dict[str, None] = {}
        for signal in event.signals:
            found = reading(signal, self.house)
            if found is None:
                unsupported[f"{signal.name} {signal.type}"] = None
            else:
                readings.append(found)
        if any(not is_simple(found.signal) for found in readings):
            # SIMPLE beside another signal is for VENs that know no better (2.0a)
            readings = [found for found in readings if not is_simple(found.signal)]
        claims: dict[SignalKind | None, list[Stretch[float]]] = {None: []}
        count = 0
        for place, found in enumerate(readings):
            for value, begin, end in _stretches(found, start, event.period.duration):
                claims[None].append(Stretch(begin, end, (place,), 0.0))
                if value is not None:
                    self._check_value(found, value, begin, end)
                    order = (value,) if found.kind in _LIMITS else (float(place),)
                    claims.setdefault(found.kind, []).append(Stretch(begin, end, order, value))
                count += 1
                if count > self.bounds.max_intervals:
                    raise Unusable(f"more than {self.bounds.max_intervals} intervals")
        currency = next((found.currency for found in readings if found.currency), None)
        return merged(claims), tuple(unsupported), currency

    def _check_value(self, found: Reading, value: float, begin: datetime, end: datetime | None) -> None:
        if found.kind is SignalKind.IMPORT_PRICE_PER_KWH:
            if abs(value) > self.bounds.max_price_per_kwh:
                raise Unusable(f"a price of {value:g}")
        elif abs(value) > self.bounds.max_power_w:
            raise Unusable(f"a power of {value:g} W")
        length = None if end is None else end - begin
        if found.kind is SignalKind.DISPATCH_W and length is not None and length > self.bounds.dispatch_length:
            raise Unusable(f"direct control for {length / timedelta(hours=1):g} h")


def _stretches(
    found: Reading, start: datetime, whole: timedelta
) -> Iterator[tuple[float | None, datetime, datetime | None]]:
    """The values of a signal with their times; the last interval may be open (duration 0)."""
    signal = found.signal
    only = len(signal.intervals) == 1
    for value, interval in zip(found.values, signal.intervals, strict=True):
        duration = interval.duration if interval.duration is not None else whole if only else None
        if duration is None:
            raise Unusable(f"{signal.name}: an interval without a duration")
        end = start + duration if duration else None
        yield value, start, end
        if end is None:
            return
        start = end


def _transitions(event: EiEvent) -> Iterator[str]:
    """In words when the provider would have load change."""
    for span, at in ((event.period.ramp_up, "start"), (event.period.recovery, "end")):
        if span:
            minutes = abs(span) / timedelta(minutes=1)
            yield f"load may change within {minutes:g} min {'after' if span > timedelta() else 'before'} its {at}"


def _check(event: EiEvent) -> None:
    """What the profile demands of every event; raises _Refused."""
    if not event.signals:
        raise _Refused(Code.COMPLIANCE, "it has no signals")
    if event.period.duration < timedelta() or (event.period.start_after or timedelta()) < timedelta():
        raise _Refused(Code.COMPLIANCE, "a duration is negative")
    if (event.period.start_after or timedelta()) > timedelta(days=1):
        raise _Refused(Code.COMPLIANCE, "startafter is longer than a day")
    for signal in event.signals:
        _check_signal(event, signal)


def _check_signal(event: EiEvent, signal: EventSignal) -> None:
    durations = [interval.duration for interval in signal.intervals]
    if any(duration is not None and duration < timedelta() for duration in durations):
        raise _Refused(Code.COMPLIANCE, f"{signal.name}: a duration is negative")
    if any(duration == timedelta() for duration in durations[:-1]):
        raise _Refused(Code.COMPLIANCE, f"{signal.name}: only the last interval may be open")
    known = [duration for duration in durations if duration is not None]
    if len(known) == len(durations) and all(known):
        difference = abs(sum(known, timedelta()) - event.period.duration)
        if difference > _DURATION_TOLERANCE:
            raise _Refused(Code.COMPLIANCE, f"{signal.name}: its intervals do not add up to the active period")
    elif known and known[-1] == timedelta() and event.period.duration:
        raise _Refused(Code.COMPLIANCE, f"{signal.name}: it is open and the active period is not")
    uids = [interval.uid for interval in signal.intervals if interval.uid is not None]
    if uids and uids != [str(number) for number in range(len(signal.intervals))]:
        raise _Refused(Code.COMPLIANCE, f"{signal.name}: its uids are not 0, 1, 2 ...")
    if signal.current_value and event.descriptor.status != EventState.ACTIVE:
        raise _Refused(Code.COMPLIANCE, f"{signal.name}: a current value before the event is active")


def _modification(event: EiEvent) -> str:
    """Versions are told apart and ordered by the modification number alone."""
    return f"{event.descriptor.modification_number:010d}#"


def version_of(event: GridEvent) -> int:
    """The modification number of an event that came over 2.0b."""
    number = event.modification.partition("#")[0]
    return int(number) if number.isdecimal() else 0


def is_cancelled(event: GridEvent) -> bool:
    """Whether the event was cancelled and runs out late by chance."""
    return event.modification.partition("#")[2].startswith(_CANCELLED)


def _ending(event: GridEvent, now: datetime, version: int | None = None) -> GridEvent | None:
    """What is left of a cancelled event: until it ends late by chance, as it began; None when nothing is."""
    if not event.randomise or not event.intervals or event.intervals[0].start > now:
        return None
    if is_cancelled(event):
        return event if event.intervals[-1].end is not None and event.intervals[-1].end > now else None
    until = now + event.randomise
    left = tuple(
        interval if interval.end is not None and interval.end <= until else replace(interval, end=until)
        for interval in event.intervals
        if interval.start < until
    )
    if not left or (left[-1].end is not None and left[-1].end <= now):
        return None
    number = version_of(event) if version is None else version
    return replace(event, intervals=left, modification=f"{number:010d}#{_CANCELLED}")


def _answer(event: EiEvent, request_id: str, code: Code, words: str | None, opt: OptType) -> EventResponse:
    return EventResponse(
        code=str(int(code)),
        description=words,
        request_id=request_id,
        event=QualifiedEventId(
            event_id=event.descriptor.event_id, modification_number=event.descriptor.modification_number
        ),
        opt_type=str(opt),
    )


def _may_limit(signal: EventSignal) -> bool:
    return is_simple(signal) or signal.name.startswith(("LOAD_CONTROL", "x-EXPORT"))
