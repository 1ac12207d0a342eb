"""What a house reports as OpenADR 2.0b: its metadata reports, and reports out of measured intervals.

Identifiers are made of the resources' own, so that they are the same after every restart. Data points of a resource:
energy imported and exported (Wh) and mean power (W) of each interval; and whether it is online. Consumption is
positive.

Interpretation:
- a gap is sent too, as a zero of the quality "No Quality - No Value": every data point that was asked for is in every
  report. One interval carries one data point, as peers expect;
- nothing is sent more often than the shortest period that was offered, whatever is asked for.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cem.sgcp.domain.usage import BELOW
from cem.sgcp.durable import Json
from cem.sgcp.reports.usage import SITE, Usage
from cem.wire.openadr2b.names import METADATA_REQUEST, DataQuality, ReadingType, ReportName, ReportType
from cem.wire.openadr2b.parts import (
    Report,
    ReportDescription,
    ReportInterval,
    ReportPayload,
    ReportRequest,
    ResourceStatus,
    SamplingRate,
    Target,
    Unit,
)

USAGE, STATUS, HISTORY = "telemetry-usage", "telemetry-status", "history-usage"
DOMAIN = "domain-usage"
"""The sum over a domain below: a report of its own, as it is known later than what is measured here."""
METADATA = "METADATA"
"""The reportSpecifierID by which a VTN asks for the metadata reports once more."""
_NAMES = {
    USAGE: (ReportName.METADATA_TELEMETRY_USAGE, ReportName.TELEMETRY_USAGE),
    STATUS: (ReportName.METADATA_TELEMETRY_STATUS, ReportName.TELEMETRY_STATUS),
    HISTORY: (ReportName.METADATA_HISTORY_USAGE, ReportName.HISTORY_USAGE),
    DOMAIN: (ReportName.METADATA_TELEMETRY_USAGE, ReportName.TELEMETRY_USAGE),
}
_WH = Unit(name="power:energyReal", description="RealEnergy", units="Wh")
_W = Unit(name="power:powerReal", description="RealPower", units="W", hertz=Decimal(50), voltage=Decimal(230), ac=True)
_IMPORT, _EXPORT, _POWER, _STATUS = "import", "export", "power", "status"
_MOST_INTERVALS = 5000
"""Of one report; the rest follows with the next."""


def metadata(
    resources: Sequence[str],
    interval: timedelta,
    kept: timedelta,
    now: datetime,
    request_id: str = METADATA_REQUEST,
    *,
    below: bool = False,
) -> tuple[Report, ...]:
    """What can be asked for: three reports over the site and each resource; `below`: also the sum of a domain."""
    usage = tuple(one for resource in (SITE, *resources) for one in _usages(resource, interval))
    domain = tuple(_usages(BELOW, interval)) if below else ()
    status = tuple(
        _description(resource, _STATUS, ReportType.RESOURCE_STATUS, None, ReadingType.NOT_APPLICABLE, interval)
        for resource in (SITE, *resources)
    )
    offers = [(USAGE, interval, usage), (STATUS, interval, status), (HISTORY, kept, (*usage, *domain))]
    if below:
        offers.append((DOMAIN, interval, domain))
    return tuple(
        Report(
            duration=duration,
            descriptions=descriptions,
            request_id=request_id,
            specifier_id=specifier,
            name=_NAMES[specifier][0],
            created_at=now,
        )
        for specifier, duration, descriptions in offers
    )


def _usages(resource: str, interval: timedelta) -> Iterator[ReportDescription]:
    yield _description(resource, _IMPORT, ReportType.USAGE, _WH, ReadingType.DIRECT_READ, interval)
    yield _description(resource, _EXPORT, ReportType.USAGE, _WH, ReadingType.DIRECT_READ, interval)
    yield _description(resource, _POWER, ReportType.DEMAND, _W, ReadingType.MEAN, interval)


def _description(
    resource: str, what: str, kind: ReportType, unit: Unit | None, reading: ReadingType, interval: timedelta
) -> ReportDescription:
    return ReportDescription(
        r_id=f"{resource}-{what}",
        source=Target(resource_ids=(resource,)),
        type=kind,
        unit=unit,
        reading_type=reading,
        sampling=SamplingRate(shortest=interval, longest=timedelta(days=1), on_change=False),
    )


@dataclass(frozen=True, slots=True)
class Pending:
    """A report that was asked for. `sent_until`: what began before was delivered. `back_s` 0: one report, then none."""

    request_id: str
    specifier: str
    r_ids: tuple[str, ...]
    granularity_s: float
    back_s: float
    start: datetime
    end: datetime | None
    sent_until: datetime

    @property
    def periodic(self) -> bool:
        """Whether it is sent again and again."""
        return self.back_s > 0 and self.specifier != HISTORY

    def due_at(self) -> datetime:
        """When the next report is due."""
        if self.specifier == HISTORY:
            return self.end or self.start
        return self.sent_until + timedelta(seconds=self.back_s)

    def row(self) -> Json:
        """As JSON."""
        end = None if self.end is None else self.end.isoformat()
        times: list[Json] = [self.start.isoformat(), end, self.sent_until.isoformat()]
        return [self.request_id, self.specifier, list(self.r_ids), self.granularity_s, self.back_s, *times]


def pending_of(row: Json) -> Pending | None:
    """A pending report out of its row, None where it is not one."""
    if not isinstance(row, list) or len(row) != 8:
        return None
    request_id, specifier, r_ids, granularity_s, back_s, start, end, sent = row
    if not (isinstance(request_id, str) and isinstance(specifier, str) and isinstance(r_ids, list)):
        return None
    if not (isinstance(granularity_s, int | float) and isinstance(back_s, int | float)):
        return None
    if not (isinstance(start, str) and isinstance(sent, str)):
        return None
    until = datetime.fromisoformat(end) if isinstance(end, str) else None
    points = tuple(str(r_id) for r_id in r_ids)
    began, sent_until = datetime.fromisoformat(start), datetime.fromisoformat(sent)
    return Pending(request_id, specifier, points, float(granularity_s), float(back_s), began, until, sent_until)


def accepted(
    request: ReportRequest, resources: Sequence[str], interval_s: float, now: datetime, *, below: bool = False
) -> Pending | None:
    """A request that can be met, None where it asks for what was never offered."""
    offered = {
        report.specifier_id: {d.r_id for d in report.descriptions}
        for report in metadata(resources, timedelta(seconds=interval_s), timedelta(), now, below=below)
    }
    points = tuple(dict.fromkeys(payload.r_id for payload in request.payloads))
    if request.specifier_id not in offered or not set(points) <= offered[request.specifier_id]:
        return None
    granularity_s = request.granularity.total_seconds()
    if request.specifier_id != STATUS:
        granularity_s = max(granularity_s // interval_s, 1) * interval_s
    back_s = request.back.total_seconds()
    start = now if request.window is None else request.window.start
    if request.specifier_id != HISTORY:
        start = max(start, now)
    length = timedelta() if request.window is None else request.window.duration
    end = start + length if length > timedelta() else None
    return Pending(
        request.request_id,
        request.specifier_id,
        points,
        granularity_s,
        max(back_s, interval_s) if back_s > 0 else 0.0,
        start,
        end,
        _floor(start, granularity_s) if request.specifier_id != STATUS else start,
    )


def known_until(pending: Pending, usages: Iterable[Usage]) -> datetime | None:
    """The end of what is known of what a report is about; None: nothing is."""
    of_domain = pending.specifier == DOMAIN
    own = (one for one in usages if pending.specifier == HISTORY or (one.resource == BELOW) is of_domain)
    return max((one.start + timedelta(seconds=one.length_s) for one in own), default=None)


def usage_report(
    pending: Pending, usages: Iterable[Usage], until: datetime, now: datetime
) -> tuple[Report, Pending] | None:
    """The intervals from what was sent on to `until`, whole ones of the asked granularity; None when there are none."""
    length = timedelta(seconds=pending.granularity_s)
    since = pending.start if pending.specifier == HISTORY else pending.sent_until
    last = until if pending.end is None else min(until, pending.end)
    by_slot: dict[tuple[str, datetime], list[Usage]] = {}
    for usage in usages:
        if since <= usage.start < last:
            by_slot.setdefault((usage.resource, _floor(usage.start, pending.granularity_s)), []).append(usage)
    slots = sorted({slot for _, slot in by_slot if since <= slot and slot + length <= last})
    slots = slots[: max(_MOST_INTERVALS // max(len(pending.r_ids), 1), 1)]
    if not slots:
        return None
    intervals = tuple(
        ReportInterval(start=slot, duration=length, payloads=(_payload(r_id, slot, by_slot, pending.granularity_s),))
        for slot in slots
        for r_id in pending.r_ids
    )
    report = Report(
        start=slots[0],
        duration=slots[-1] + length - slots[0],
        intervals=intervals,
        id=f"{pending.request_id}-{slots[0]:%Y%m%dT%H%M%SZ}",
        request_id=pending.request_id,
        specifier_id=pending.specifier,
        name=_NAMES[pending.specifier][1],
        created_at=now,
    )
    return report, replace(pending, sent_until=slots[-1] + length)


def _payload(
    r_id: str, slot: datetime, by_slot: Mapping[tuple[str, datetime], Sequence[Usage]], granularity_s: float
) -> ReportPayload:
    resource, _, what = r_id.rpartition("-")
    found = by_slot.get((resource, slot), ())
    measured_s = sum(usage.length_s for usage in found if not usage.missing)
    if measured_s + 0.5 < granularity_s:
        return ReportPayload(r_id=r_id, value=0.0, quality=DataQuality.NO_VALUE)
    import_wh = sum(usage.import_wh or 0.0 for usage in found)
    export_wh = sum(usage.export_wh or 0.0 for usage in found)
    value = {_IMPORT: import_wh, _EXPORT: export_wh, _POWER: (import_wh - export_wh) * 3600 / granularity_s}[what]
    return ReportPayload(r_id=r_id, value=round(value, 3), quality=DataQuality.GOOD)


def status_report(pending: Pending, online: Mapping[str, bool], now: datetime) -> tuple[Report, Pending]:
    """Whether the site and each resource is online now."""
    intervals = tuple(ReportInterval(start=now, payloads=(_status(r_id, online),)) for r_id in pending.r_ids)
    report = Report(
        start=now,
        intervals=intervals,
        id=f"{pending.request_id}-{now:%Y%m%dT%H%M%SZ}",
        request_id=pending.request_id,
        specifier_id=pending.specifier,
        name=_NAMES[STATUS][1],
        created_at=now,
    )
    return report, replace(pending, sent_until=now)


def _status(r_id: str, online: Mapping[str, bool]) -> ReportPayload:
    known = online.get(r_id.rpartition("-")[0])
    status = ResourceStatus(online=bool(known), manual_override=False)
    return ReportPayload(r_id=r_id, status=status, quality=DataQuality.NO_VALUE if known is None else DataQuality.GOOD)


def _floor(at: datetime, length_s: float) -> datetime:
    epoch = datetime.fromtimestamp(0, UTC)
    length = timedelta(seconds=length_s)
    return epoch + (at - epoch) // length * length if length else at
