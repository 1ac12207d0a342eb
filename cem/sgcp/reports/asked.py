"""The reports that events ask for by their reportDescriptors (OpenADR 3.1 User Guide 7.5): which, and when. Pure.

Interpretation, where text and figures of 7.5 say different things:
- without a frequency there is one report, on `numIntervals` intervals from `startInterval` on, made when the last of
  them is over; -1 stands for the first interval and for all of them;
- with a frequency the first report is made when interval `startInterval` is over (-1: the last one), the next ones
  `frequency` intervals later each, each on the `numIntervals` intervals that end there;
- a report on what is to come (`historical` false, the reading type FORECAST, and the types that are forecasts by their
  nature) is made when the first of its intervals begins, and has the `numIntervals` intervals from there on;
- `repeat` -1 repeats as long as there are intervals; an event that loops asks anew with each turn;
- an event without intervals whose intervalPeriod has start and duration implies intervals of that length without end;
- frequency 0, and an event without any intervals, leave the time to us: a report with each quarter hour on what was,
  with each hour on the 24 hours to come; of USAGE and DEMAND none, as the usage reports of every minute have them.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import overload

from cem.sgcp.bindings.openadr3_schedule import Unusable, periods
from cem.sgcp.events.sweep import FAR_FUTURE
from cem.wire.openadr3 import Event, ReadingType, ReportDescriptor, ReportPayload, Unit

_ALWAYS = {
    ReportPayload.USAGE: Unit.KWH,
    ReportPayload.DEMAND: Unit.KW,
    ReportPayload.STORAGE_CHARGE_LEVEL: Unit.PERCENT,
    ReportPayload.STORAGE_USABLE_CAPACITY: Unit.KWH,
    ReportPayload.STORAGE_MAX_CHARGE_POWER: Unit.KW,
    ReportPayload.STORAGE_MAX_DISCHARGE_POWER: Unit.KW,
    ReportPayload.UP_REGULATION_AVAILABLE: Unit.KW,
    ReportPayload.DOWN_REGULATION_AVAILABLE: Unit.KW,
    ReportPayload.DATA_QUALITY: None,
}
PAST = {
    **_ALWAYS,
    ReportPayload.READING: Unit.KW,
    ReportPayload.BASELINE: Unit.KWH,
    ReportPayload.DELTA_USAGE: Unit.KWH,
    ReportPayload.SETPOINT: Unit.KW,
    ReportPayload.OPERATING_STATE: None,
    ReportPayload.SIMPLE_LEVEL: None,
}
"""What can be asked for of intervals that are over, and the unit that it comes in."""
FORECASTS = {
    ReportPayload.USAGE_FORECAST: Unit.KWH,
    ReportPayload.STORAGE_DISPATCH_FORECAST: Unit.KWH,
    ReportPayload.LOAD_SHED_DELTA_AVAILABLE: Unit.KWH,
    ReportPayload.GENERATION_DELTA_AVAILABLE: Unit.KWH,
}
"""What is about intervals to come by its nature."""
AHEAD = {**_ALWAYS, **FORECASTS}
"""What can be asked for of intervals to come."""
UNITS = {**PAST, **AHEAD}
MOST_INTERVALS = 500
"""In one report."""
MOST_REPORTS = 50
"""Of one event at a time."""
_IN_USAGE = (ReportPayload.USAGE, ReportPayload.DEMAND, ReportPayload.DATA_QUALITY)
_LOOK_BACK = timedelta(minutes=15)
_LOOK_AHEAD = timedelta(hours=1)
_HOURS_AHEAD = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """One interval of a report, with the id of the event's interval that it answers."""

    id: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class AskedReport:
    """One report that is due at `at`, on what was or, with `ahead`, on what is to come. `payloads` are (type, reading
    type)."""

    event_id: str
    at: datetime
    spans: tuple[Span, ...]
    payloads: tuple[tuple[str, str | None], ...]
    targets: tuple[str, ...]
    aggregate: bool
    ahead: bool = False

    @property
    def name(self) -> str:
        """By which it is found again after a doubtful write."""
        what = repr((self.payloads, self.targets, self.aggregate, [(s.id, s.start) for s in self.spans]))
        digest = hashlib.sha256(what.encode()).hexdigest()[:8]
        return f"asked {self.event_id[:80]} {self.at:%Y-%m-%dT%H:%M:%SZ} {digest}"


class _Implied(Sequence[Span]):
    """The intervals without end of an event that has only their length, as far as anybody asks for them."""

    def __init__(self, start: datetime, length: timedelta, until: datetime) -> None:
        self._start, self._length = start, length
        self._count = max(0, (until - start) // length) + MOST_INTERVALS

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Span: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Span]: ...
    def __getitem__(self, at: int | slice) -> Span | Sequence[Span]:
        if isinstance(at, slice):
            return [self._span(number) for number in range(*at.indices(self._count))[:MOST_INTERVALS]]
        return self._span(range(self._count)[at])

    def _span(self, number: int) -> Span:
        start = self._start + number * self._length
        return Span(number, start, start + self._length)

    def turns_before(self, at: datetime, frequency: int) -> int:
        """How many reports of a frequency need not be looked at, as all of them were due before an instant."""
        return max(0, (at - self._start) // self._length - MOST_INTERVALS) // frequency


def not_offered(event: Event) -> list[str]:
    """The payload types that an event asks for and we do not report."""
    return sorted({d.payload_type for d in event.report_descriptors if not _offered(d)})


def _is_ahead(descriptor: ReportDescriptor) -> bool:
    forecast = descriptor.payload_type in FORECASTS or descriptor.reading_type == ReadingType.FORECAST
    return forecast or not descriptor.historical


def _offered(descriptor: ReportDescriptor) -> bool:
    return descriptor.payload_type in (AHEAD if _is_ahead(descriptor) else PAST)


def due(event: Event, anchor: datetime, share: float, since: datetime, until: datetime) -> list[AskedReport]:
    """The reports that fall due in (since, until]. `anchor` and `share` as for the event's own times."""
    asked = [descriptor for descriptor in event.report_descriptors if _offered(descriptor)]
    if not asked:
        return []
    found: dict[_Group, list[ReportDescriptor]] = {}
    turns = _turns(event, anchor, share, since, until)
    for descriptor in asked:
        ahead = _is_ahead(descriptor)
        if descriptor.frequency == 0 or not (event.intervals or turns):
            subsets = _at_our_times(event, anchor, share, descriptor, since, until)
        else:
            subsets = (spans for turn in turns for spans in _subsets(turn, descriptor, since))
        for spans in subsets:
            group = _Group(spans, descriptor.targets, descriptor.aggregate, ahead)
            if since < group.at <= until:
                found.setdefault(group, []).append(descriptor)
    reports = [
        AskedReport(event.id, one.at, one.spans, _payloads(ask), one.targets, one.aggregate, one.ahead)
        for one, ask in found.items()
    ]
    return sorted(reports, key=lambda report: report.at)[:MOST_REPORTS]


def _payloads(descriptors: Iterable[ReportDescriptor]) -> tuple[tuple[str, str | None], ...]:
    return tuple(dict.fromkeys((d.payload_type, d.reading_type) for d in descriptors))


@dataclass(frozen=True, slots=True)
class _Group:
    """What may come in one report."""

    spans: tuple[Span, ...]
    targets: tuple[str, ...]
    aggregate: bool
    ahead: bool

    @property
    def at(self) -> datetime:
        """When it is due."""
        return self.spans[0].start if self.ahead else self.spans[-1].end


def _turns(event: Event, anchor: datetime, share: float, since: datetime, until: datetime) -> list[Sequence[Span]]:
    """The intervals that have an end, turn by turn of a looping event."""
    if not event.intervals:
        period = event.interval_period
        start = period.start.instant or anchor if period is not None and period.start is not None else None
        length = period.duration.length() if period is not None and period.duration is not None else None
        if start is None or length is None or length < timedelta(minutes=1):
            return []
        return [_Implied(start, length, until)]
    try:
        runs = list(periods(event, anchor, share, (since - timedelta(days=1), until)))
    except Unusable:
        return []
    size = len(event.intervals)
    turns: list[Sequence[Span]] = []
    for _, turn in groupby(enumerate(runs), lambda entry: entry[0] // size):
        spans = [Span(p.interval.id, p.start, p.end) for _, p in turn if p.end is not None and p.start < p.end]
        if spans:
            turns.append(spans)
    return turns


def _subsets(turn: Sequence[Span], descriptor: ReportDescriptor, since: datetime) -> Iterator[tuple[Span, ...]]:
    """The intervals of each report."""
    size, start, ahead = descriptor.num_intervals, descriptor.start_interval, _is_ahead(descriptor)
    if descriptor.frequency < 0:
        first = max(start, 0)
        spans = tuple(turn[first:] if size < 0 else turn[first : first + size])
        endless = isinstance(turn, _Implied) and size < 0 and not ahead
        if spans and not endless and (size < 0 or ahead or len(spans) == size):
            yield spans[:MOST_INTERVALS]
        return
    number = (0 if ahead or isinstance(turn, _Implied) else len(turn) - 1) if start < 0 else start
    count = turn.turns_before(since, descriptor.frequency) if isinstance(turn, _Implied) else 0
    number += count * descriptor.frequency
    while number < len(turn) and (descriptor.repeat < 0 or count < descriptor.repeat):
        if ahead:
            spans = tuple(turn[number:] if size < 0 else turn[number : number + size])
        else:
            length = min(number + 1 if size < 0 else size, MOST_INTERVALS)
            spans = tuple(turn[max(number + 1 - length, 0) : number + 1])
        if spans:
            yield spans[:MOST_INTERVALS]
        number += descriptor.frequency
        count += 1


def _at_our_times(
    event: Event, anchor: datetime, share: float, descriptor: ReportDescriptor, since: datetime, until: datetime
) -> Iterator[tuple[Span, ...]]:
    """While the event runs: the quarter hour that ends at each of them, or the day that each full hour begins."""
    if descriptor.payload_type in _IN_USAGE and not _is_ahead(descriptor):
        return
    begin, end = _runs(event, anchor, share, since, until)
    step = _LOOK_AHEAD if _is_ahead(descriptor) else _LOOK_BACK
    at = _EPOCH + ((since - _EPOCH) // step + 1) * step
    while at <= until:
        if begin <= at < end and step == _LOOK_AHEAD:
            yield tuple(Span(n, at + n * step, at + (n + 1) * step) for n in range(_HOURS_AHEAD))
        elif begin < at <= end and step == _LOOK_BACK:
            yield (Span(0, at - step, at),)
        at += step


def _runs(event: Event, anchor: datetime, share: float, since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """When the event begins and ends; one without intervals, or that can't be read, as soon as it is there."""
    if not event.intervals:
        period = event.interval_period
        start = period.start.instant if period is not None and period.start is not None else None
        return start or anchor, FAR_FUTURE
    try:
        runs = list(periods(event, anchor, share, (since - timedelta(days=1), until)))
    except Unusable:
        return anchor, FAR_FUTURE
    if not runs:
        return anchor, anchor
    return min(p.start for p in runs), max(p.end or FAR_FUTURE for p in runs)
