"""What stands in the reports that events ask for: measured, expected, or missing, never guessed. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from cem.sgcp.reports.asked import UNITS, AskedReport, Span
from cem.sgcp.reports.compliance import Minutes, mean_w, within
from cem.sgcp.reports.flexibility import Part, ratings_of, total
from cem.wire.openadr3 import (
    AGGREGATED_REPORT,
    DataQuality,
    Duration,
    Interval,
    IntervalPeriod,
    OperatingState,
    ReadingType,
    ReportPayload,
    ReportPayloadDescriptor,
    ReportRequest,
    ReportResource,
    Start,
    Value,
    ValuesMap,
)

RUNNING_W = 50.0
"""Above it a thing runs."""
_RATINGS = {
    ReportPayload.STORAGE_USABLE_CAPACITY: "capacity_wh",
    ReportPayload.STORAGE_MAX_CHARGE_POWER: "max_charge_w",
    ReportPayload.STORAGE_MAX_DISCHARGE_POWER: "max_discharge_w",
}
_POSSIBLE = {
    ReportPayload.STORAGE_DISPATCH_FORECAST,
    ReportPayload.LOAD_SHED_DELTA_AVAILABLE,
    ReportPayload.GENERATION_DELTA_AVAILABLE,
    ReportPayload.UP_REGULATION_AVAILABLE,
    ReportPayload.DOWN_REGULATION_AVAILABLE,
}
OF_PARTS = frozenset({*_POSSIBLE, *_RATINGS})
"""What is made of the parts of a resource or the house."""
_ESTIMATED = (
    ReportPayload.BASELINE,
    ReportPayload.DELTA_USAGE,
    ReportPayload.UP_REGULATION_AVAILABLE,
    ReportPayload.DOWN_REGULATION_AVAILABLE,
    *_RATINGS,
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known, or expected, of one resource during one span. None: not known, or there is none.

    `parts` are the resource itself, or all of the house for the connection point. `asked_w` and `level` are what the
    event asked for as the span ended, as far as it was followed.
    """

    minutes: Minutes
    baseline_w: float | None = None
    soc_pct: float | None = None  # as the span ends
    opted_out: bool = False
    curtailed: bool = False
    parts: tuple[Part, ...] = ()
    asked_w: float | None = None
    level: int | None = None


def report_request(asked: AskedReport, client_name: str, resources: Mapping[str, Sequence[Measured]]) -> ReportRequest:
    """The report; `resources` has what was measured by resource name, one for each span."""
    return ReportRequest(
        event_id=asked.event_id,
        client_name=client_name,
        report_name=asked.name,
        payload_descriptors=tuple(_descriptors(asked)),
        resources=tuple(
            ReportResource(
                resource_name=name,
                intervals=tuple(_interval(asked, span, one) for span, one in zip(asked.spans, measured, strict=True)),
            )
            for name, measured in sorted(resources.items(), key=lambda item: (item[0] != AGGREGATED_REPORT, item[0]))
        ),
    )


def _descriptors(asked: AskedReport) -> Iterator[ReportPayloadDescriptor]:
    for kind, reading in asked.payloads:
        unit = UNITS[ReportPayload(kind)]
        if unit is not None:
            given = ReadingType.FORECAST if asked.ahead else reading or _reading(kind)
            yield ReportPayloadDescriptor(payload_type=kind, reading_type=given, units=unit)


def _reading(kind: str) -> ReadingType:
    if kind in _ESTIMATED:
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
    match kind:
        case ReportPayload.STORAGE_CHARGE_LEVEL:
            return None if measured.soc_pct is None else round(measured.soc_pct, 2)
        case ReportPayload.BASELINE:
            return _kilo(measured.baseline_w, hours)
        case ReportPayload.SETPOINT:
            return _kilo(measured.asked_w)
        case ReportPayload.SIMPLE_LEVEL:
            return measured.level
        case _ if kind in OF_PARTS:
            return _possible(kind, measured, hours)
    return None if power_w is None else _flowing(kind, reading, span, measured, power_w)


def _possible(kind: str, measured: Measured, hours: float) -> Value | None:
    """What is rated, stored, or could be done beside what is done."""
    parts = measured.parts
    match kind:
        case ReportPayload.STORAGE_DISPATCH_FORECAST:
            return _kilo(total(part.dispatchable_wh(hours) for part in parts))
        case ReportPayload.LOAD_SHED_DELTA_AVAILABLE:
            return _kilo(total(part.up_w(hours) for part in parts), hours)
        case ReportPayload.GENERATION_DELTA_AVAILABLE:
            return _kilo(total(part.generated_w(hours) for part in parts), hours)
        case ReportPayload.UP_REGULATION_AVAILABLE:
            return _kilo(total(part.up_w(hours) for part in parts))
        case ReportPayload.DOWN_REGULATION_AVAILABLE:
            return _kilo(total(part.down_w(hours) for part in parts))
    return _kilo(ratings_of(parts, _RATINGS[ReportPayload(kind)]))


def _flowing(kind: str, reading: str | None, span: Span, measured: Measured, power_w: float) -> Value | None:
    """What flows, of a power that is known."""
    hours = (span.end - span.start) / timedelta(hours=1)
    powers = [max(power, 0.0) for _, power in within(measured.minutes, span.start, span.end)[0]]
    taken_w = sum(powers) / len(powers) if powers else 0.0
    match kind:
        case ReportPayload.USAGE | ReportPayload.USAGE_FORECAST:
            return _kilo(taken_w, hours)
        case ReportPayload.DEMAND:
            return _kilo(max(powers, default=0.0) if reading == ReadingType.PEAK else taken_w)
        case ReportPayload.READING:
            return _kilo(measured.minutes[-1][1])
        case ReportPayload.DELTA_USAGE:
            return None if measured.baseline_w is None else _kilo(power_w - measured.baseline_w, hours)
    return _state(measured, abs(power_w) > RUNNING_W).value


def _state(measured: Measured, runs: bool) -> OperatingState:
    """Definition, table 4. Opting out has no message in 3.1: this is how it is told."""
    if measured.opted_out:
        return OperatingState.RUNNING_OPTED_OUT if runs else OperatingState.IDLE_OPTED_OUT
    if measured.curtailed:
        return OperatingState.RUNNING_CURTAILED if runs else OperatingState.IDLE_CURTAILED
    return OperatingState.RUNNING_NORMAL if runs else OperatingState.IDLE_NORMAL


def _kilo(value: float | None, hours: float = 1.0) -> float | None:
    return None if value is None else round(value / 1000 * hours, 6)
