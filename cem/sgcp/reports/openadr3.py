"""Usage as OpenADR 3.1 reports.

A report always belongs to an event (User Guide 7.2). One report object holds the intervals of one window; each
further interval is added by writing the whole object again (PUT), so a repeated or doubtful write changes nothing.

Interpretation:
- an event whose reportDescriptors ask for USAGE, DEMAND or READING gets the reports; where none asks, an event that
  covers the moment does, and else any event of ours, because a report without an event is not allowed;
- the report's intervals are ours (as with OPEN_INTERVALS), numbered within the window;
- USAGE and DEMAND are zero or more, so USAGE is the imported energy, EXPORT_USAGE (a private type) the exported one
  and DEMAND the mean import power, zero while exporting;
- a gap carries DATA_QUALITY MISSING and no value, since a zero would be taken for a measurement.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from cem.model.event import GridEvent
from cem.sgcp.events.timeline import interval_at
from cem.sgcp.reports.usage import SITE, Usage
from cem.wire.openadr3 import (
    AGGREGATED_REPORT,
    DataQuality,
    Duration,
    Event,
    Interval,
    IntervalPeriod,
    ReadingType,
    Report,
    ReportPayload,
    ReportPayloadDescriptor,
    ReportRequest,
    ReportResource,
    Start,
    Unit,
    ValuesMap,
)

EXPORT_USAGE = "EXPORT_USAGE"
_ASKED = frozenset({ReportPayload.USAGE, ReportPayload.DEMAND, ReportPayload.READING})
_DESCRIPTORS = (
    ReportPayloadDescriptor(payload_type=ReportPayload.USAGE, reading_type=ReadingType.DIRECT_READ, units=Unit.KWH),
    ReportPayloadDescriptor(payload_type=EXPORT_USAGE, reading_type=ReadingType.DIRECT_READ, units=Unit.KWH),
    ReportPayloadDescriptor(payload_type=ReportPayload.DEMAND, reading_type=ReadingType.MEAN, units=Unit.KW),
)

Content = dict[tuple[str, datetime], Interval]
"""The intervals of one report by (resource name, start)."""


def anchor(listed: Iterable[Event], accepted: Mapping[str, GridEvent], held: str | None, now: datetime) -> str | None:
    """The event that reports belong to; the one held so far as long as none is better placed."""

    def place(event: Event) -> tuple[int, bool, str]:
        asks = any(descriptor.payload_type in _ASKED for descriptor in event.report_descriptors)
        known = accepted.get(event.id)
        covers = known is not None and interval_at(known, now) is not None
        return (0 if asks else 1 if covers else 2, event.id != held, event.id)

    best = min(listed, key=place, default=None)
    return None if best is None else best.id


def report_name(event_id: str, window: datetime) -> str:
    """The name by which a report of ours is found again after a doubtful write."""
    return f"usage {event_id} {window.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"


def interval_of(usage: Usage, window: datetime) -> Interval:
    """One interval of a report."""
    length = timedelta(seconds=usage.length_s)
    period = IntervalPeriod(start=Start.at(usage.start), duration=Duration.of(length))
    number = (usage.start - window) // length
    return Interval(id=number, interval_period=period, payloads=tuple(_payloads(usage)))


def _payloads(usage: Usage) -> Iterable[ValuesMap]:
    if usage.import_wh is None or usage.export_wh is None or usage.mean_w is None:
        yield ValuesMap(type=ReportPayload.DATA_QUALITY, values=(DataQuality.MISSING.value,))
        return
    yield ValuesMap(type=ReportPayload.USAGE, values=(round(usage.import_wh / 1000, 6),))
    yield ValuesMap(type=EXPORT_USAGE, values=(round(usage.export_wh / 1000, 6),))
    yield ValuesMap(type=ReportPayload.DEMAND, values=(round(max(usage.mean_w, 0.0) / 1000, 6),))
    yield ValuesMap(type=ReportPayload.DATA_QUALITY, values=(DataQuality.OK.value,))


def resource_name(resource: str) -> str:
    """How a resource is named in reports: the site as the aggregate of all of them (Definition, table 5)."""
    return AGGREGATED_REPORT if resource == SITE else resource


def report_request(event_id: str, client_name: str, window: datetime, content: Content) -> ReportRequest:
    """The report object with everything that the window holds so far."""
    names = sorted({name for name, _ in content}, key=lambda name: (name != AGGREGATED_REPORT, name))
    resources = tuple(
        ReportResource(
            resource_name=name,
            intervals=tuple(content[key] for key in sorted(content, key=lambda key: key[1]) if key[0] == name),
        )
        for name in names
    )
    return ReportRequest(
        event_id=event_id,
        client_name=client_name,
        report_name=report_name(event_id, window),
        payload_descriptors=_DESCRIPTORS,
        resources=resources,
    )


def content_of(report: Report) -> Content:
    """What a report that the provider holds already contains."""
    found: Content = {}
    for resource in report.resources:
        for interval in resource.intervals:
            start = interval.interval_period.start if interval.interval_period is not None else None
            if start is not None and start.instant is not None:
                found[resource.resource_name, start.instant] = interval
    return found


def is_missing(interval: Interval) -> bool:
    """Whether an interval of a report is marked as a gap."""
    return any(
        p.type == ReportPayload.DATA_QUALITY and DataQuality.MISSING.value in p.values for p in interval.payloads
    )
