"""The reports that events ask for by their reportDescriptors (OpenADR 3.1 User Guide 7.5). Pure.

Interpretation, where text and figures of 7.5 say different things:
- without a frequency there is one report, on `numIntervals` intervals from `startInterval` on, made when the last of
  them is over; -1 stands for the first interval and for all of them;
- with a frequency the first report is made when interval `startInterval` is over (-1: the last one), the next ones
  `frequency` intervals later each, each on the `numIntervals` intervals that end there;
- `repeat` -1 repeats as long as there are intervals; an event that loops asks anew with each turn;
- an event without intervals whose intervalPeriod has start and duration implies intervals of that length without end;
- frequency 0, and events without any intervals, leave the time to us: the usage reports of every minute answer them;
- a report on what is to come (`historical` false) is not made: this gateway promises no load.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from cem.sgcp.bindings.openadr3_schedule import Unusable, periods
from cem.sgcp.reports.compliance import Minutes, mean_w
from cem.wire.openadr3 import (
    AGGREGATED_REPORT,
    DataQuality,
    Duration,
    Event,
    Interval,
    IntervalPeriod,
    OperatingState,
    ReadingType,
    ReportDescriptor,
    ReportPayload,
    ReportPayloadDescriptor,
    ReportRequest,
    ReportResource,
    Start,
    Unit,
    Value,
    ValuesMap,
)

OFFERED = {
    ReportPayload.USAGE: Unit.KWH,
    ReportPayload.DEMAND: Unit.KW,
    ReportPayload.READING: Unit.KW,
    ReportPayload.BASELINE: Unit.KWH,
    ReportPayload.DELTA_USAGE: Unit.KWH,
    ReportPayload.STORAGE_CHARGE_LEVEL: Unit.PERCENT,
    ReportPayload.OPERATING_STATE: None,
    ReportPayload.DATA_QUALITY: None,
}
"""What can be asked for, and the unit that it comes in."""
MOST_INTERVALS = 500
"""In one report."""
MOST_REPORTS = 50
"""Of one event at a time."""
RUNNING_W = 50.0
"""Above it a thing runs."""


@dataclass(frozen=True, slots=True)
class Span:
    """One interval of a report, with the id of the event's interval that it answers."""

    id: int
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class AskedReport:
    """One report that is due at `at`. `payloads` are (type, reading type)."""

    event_id: str
    at: datetime
    spans: tuple[Span, ...]
    payloads: tuple[tuple[str, str | None], ...]
    targets: tuple[str, ...]
    aggregate: bool

    @property
    def name(self) -> str:
        """By which it is found again after a doubtful write."""
        what = repr((self.payloads, self.targets, self.aggregate, [(s.id, s.start) for s in self.spans]))
        digest = hashlib.sha256(what.encode()).hexdigest()[:8]
        return f"asked {self.event_id[:80]} {self.at:%Y-%m-%dT%H:%M:%SZ} {digest}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of one resource during one span. `baseline_w` and `soc_pct` None: not known, or there is none."""

    minutes: Minutes
    baseline_w: float | None = None
    soc_pct: float | None = None
    opted_out: bool = False
    curtailed: bool = False


def not_offered(event: Event) -> list[str]:
    """The payload types that an event asks for and we do not report."""
    kinds = {d.payload_type for d in event.report_descriptors if d.payload_type not in OFFERED or not d.historical}
    return sorted(kinds)


def due(event: Event, anchor: datetime, share: float, since: datetime, until: datetime) -> list[AskedReport]:
    """The reports that fall due in (since, until]. `anchor` and `share` as for the event's own times."""
    asked = [d for d in event.report_descriptors if d.payload_type in OFFERED and d.historical and d.frequency != 0]
    if not asked:
        return []
    found: dict[_Group, list[ReportDescriptor]] = {}
    for turn in _turns(event, anchor, share, since, until):
        for descriptor in asked:
            for spans in _subsets(turn, descriptor):
                if since < spans[-1].end <= until:
                    group = _Group(spans, descriptor.targets, descriptor.aggregate)
                    found.setdefault(group, []).append(descriptor)
    reports = [
        AskedReport(event.id, group.spans[-1].end, group.spans, _payloads(ask), group.targets, group.aggregate)
        for group, ask in found.items()
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


def _turns(event: Event, anchor: datetime, share: float, since: datetime, until: datetime) -> Iterator[Sequence[Span]]:
    """The intervals that have an end, turn by turn of a looping event."""
    if not event.intervals:
        yield from _implied(event, since, until)
        return
    try:
        runs = list(periods(event, anchor, share, (since - timedelta(days=1), until)))
    except Unusable:
        return
    size = len(event.intervals)
    for _, turn in groupby(enumerate(runs), lambda entry: entry[0] // size):
        spans = [Span(p.interval.id, p.start, p.end) for _, p in turn if p.end is not None and p.start < p.end]
        if spans:
            yield spans


def _implied(event: Event, since: datetime, until: datetime) -> Iterator[Sequence[Span]]:
    period = event.interval_period
    start = period.start.instant if period is not None and period.start is not None else None
    length = period.duration.length() if period is not None and period.duration is not None else None
    if start is None or length is None or length < timedelta(minutes=1):
        return
    count = max(0, min((until - start) // length, 10 * MOST_INTERVALS))
    yield [Span(n, start + n * length, start + (n + 1) * length) for n in range(count)]


def _subsets(turn: Sequence[Span], descriptor: ReportDescriptor) -> Iterator[tuple[Span, ...]]:
    """The intervals of each report."""
    size, start = descriptor.num_intervals, descriptor.start_interval
    if descriptor.frequency < 0:
        first = max(start, 0)
        spans = tuple(turn[first:] if size < 0 else turn[first : first + size])
        if spans and (size < 0 or len(spans) == size):
            yield spans[:MOST_INTERVALS]
        return
    number = len(turn) - 1 if start < 0 else start
    count = 0
    while number < len(turn) and (descriptor.repeat < 0 or count < descriptor.repeat):
        length = number + 1 if size < 0 else size
        spans = tuple(turn[max(number + 1 - length, 0) : number + 1])
        if spans:
            yield spans[-MOST_INTERVALS:]
        number += descriptor.frequency
        count += 1


def report_request(asked: AskedReport, client_name: str, resources: Mapping[str, Sequence[Measured]]) -> ReportRequest:
    """The report; `resources` has what was measured by resource name, one for each span."""
    return ReportRequest(
        event_id=asked.event_id,
        client_name=client_name,
        report_name=asked.name,
        payload_descriptors=tuple(_descriptors(asked.payloads)),
        resources=tuple(
            ReportResource(
                resource_name=name,
                intervals=tuple(_interval(asked, span, one) for span, one in zip(asked.spans, measured, strict=True)),
            )
            for name, measured in sorted(resources.items(), key=lambda item: (item[0] != AGGREGATED_REPORT, item[0]))
        ),
    )


def _descriptors(payloads: Iterable[tuple[str, str | None]]) -> Iterator[ReportPayloadDescriptor]:
    for kind, reading in payloads:
        unit = OFFERED[ReportPayload(kind)]
        if unit is not None:
            yield ReportPayloadDescriptor(payload_type=kind, reading_type=reading or _reading(kind), units=unit)


def _reading(kind: str) -> ReadingType:
    if kind in (ReportPayload.BASELINE, ReportPayload.DELTA_USAGE):
        return ReadingType.ESTIMATED
    return ReadingType.MEAN if kind == ReportPayload.DEMAND else ReadingType.DIRECT_READ


def _interval(asked: AskedReport, span: Span, measured: Measured) -> Interval:
    power_w = mean_w(measured.minutes, span.start, span.end)
    values = [
        ValuesMap(type=kind, values=(value,))
        for kind, reading in asked.payloads
        if kind != ReportPayload.DATA_QUALITY and (value := _value(kind, reading, span, measured, power_w)) is not None
    ]
    quality = DataQuality.OK if values else DataQuality.MISSING
    values.append(ValuesMap(type=ReportPayload.DATA_QUALITY, values=(quality.value,)))
    period = IntervalPeriod(start=Start.at(span.start), duration=Duration.of(span.end - span.start))
    return Interval(id=span.id, interval_period=period, payloads=tuple(values))


def _value(kind: str, reading: str | None, span: Span, measured: Measured, power_w: float | None) -> Value | None:
    hours = (span.end - span.start) / timedelta(hours=1)
    if kind == ReportPayload.STORAGE_CHARGE_LEVEL:
        return None if measured.soc_pct is None else round(measured.soc_pct, 2)
    if kind == ReportPayload.BASELINE:
        return None if measured.baseline_w is None else _kilo(measured.baseline_w * hours)
    if power_w is None:
        return None
    powers = [max(power, 0.0) for at, power in measured.minutes if span.start.timestamp() - 59 <= at]
    taken_w = sum(powers) / len(powers) if powers else 0.0
    if kind == ReportPayload.USAGE:
        return _kilo(taken_w * hours)
    if kind == ReportPayload.DEMAND:
        return _kilo(max(powers, default=0.0) if reading == ReadingType.PEAK else taken_w)
    if kind == ReportPayload.READING:
        return _kilo(measured.minutes[-1][1])
    if kind == ReportPayload.DELTA_USAGE:
        return None if measured.baseline_w is None else _kilo((power_w - measured.baseline_w) * hours)
    return _state(measured, abs(power_w) > RUNNING_W).value


def _state(measured: Measured, runs: bool) -> OperatingState:
    """Definition, table 4. Opting out has no message in 3.1: this is how it is told."""
    if measured.opted_out:
        return OperatingState.RUNNING_OPTED_OUT if runs else OperatingState.IDLE_OPTED_OUT
    if measured.curtailed:
        return OperatingState.RUNNING_CURTAILED if runs else OperatingState.IDLE_CURTAILED
    return OperatingState.RUNNING_NORMAL if runs else OperatingState.IDLE_NORMAL


def _kilo(value: float) -> float:
    return round(value / 1000, 6)
