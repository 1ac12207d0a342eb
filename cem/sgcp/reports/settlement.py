"""A settled event as a row of the record and as an OpenADR 3.1 report.

The report belongs to the event; an interval for each stretch carries BASELINE, USAGE and DELTA_USAGE in kWh (net,
import positive), and the private types ASKED (kW), TOLERANCE (kW), VERDICT and INCENTIVE (with its currency); and,
where a limit of somebody else left no room for what was asked, OVERRIDDEN_BY_LIMIT (kW), without saying whose it was.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from cem.model.event import GridEvent
from cem.sgcp.durable import Json
from cem.sgcp.reports.compliance import Settled
from cem.wire.openadr3 import (
    AGGREGATED_REPORT,
    DataQuality,
    Duration,
    Interval,
    IntervalPeriod,
    ReadingType,
    ReportPayload,
    ReportPayloadDescriptor,
    ReportRequest,
    ReportResource,
    Start,
    Unit,
    Value,
    ValuesMap,
)

ASKED, TOLERANCE, VERDICT, INCENTIVE = "ASKED", "TOLERANCE", "VERDICT", "INCENTIVE"
OVERRIDDEN = "OVERRIDDEN_BY_LIMIT"


def row_of(event: GridEvent, parts: Sequence[Settled], currency: str) -> dict[str, Json]:
    """The row: everything that is shown, sent and may be asked for later."""
    return {
        "provider": event.provider_id,
        "event": event.id,
        "name": event.name,
        "programme": event.programme_id,
        "currency": currency,
        "parts": [_part(part) for part in parts],
    }


def _part(part: Settled) -> Json:
    base, stretch = part.baseline, part.stretch
    return {
        "start": stretch.start.isoformat(),
        "end": stretch.end.isoformat(),
        "asks": None if stretch.kind is None else stretch.kind.value,
        "asked_w": stretch.asked,
        "baseline_w": None if base is None else round(base.power_w, 1),
        "adjustment_w": None if base is None else round(base.adjustment_w, 1),
        "days": [] if base is None else [day.isoformat() for day in base.days],
        "delivered_w": None if part.delivered_w is None else round(part.delivered_w, 1),
        "tolerance_w": round(part.tolerance_w, 1),
        "verdict": part.verdict.value,
        "shed_wh": None if part.shed_wh is None else round(part.shed_wh, 1),
        "overridden_w": part.overridden_w,
        "incentive": None if part.incentive is None else round(part.incentive, 4),
    }


def report_name(event_id: str) -> str:
    """The name by which the report is found again after a doubtful write."""
    return f"settlement {event_id}"


def report_request(row: dict[str, Json], client_name: str) -> ReportRequest:
    """The report of a row; raises ValueError for a row that is none."""
    try:
        parts = row["parts"]
        if not isinstance(parts, list):
            raise TypeError("parts is no list")
        intervals = tuple(_interval(number, part) for number, part in enumerate(parts))
        currency = str(row["currency"])
        event_id = str(row["event"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"a stored settlement can't be read: {error}") from error
    return ReportRequest(
        event_id=event_id,
        client_name=client_name,
        report_name=report_name(event_id),
        payload_descriptors=tuple(_descriptors(currency)),
        resources=(ReportResource(resource_name=AGGREGATED_REPORT, intervals=intervals),),
    )


def _descriptors(currency: str) -> Iterable[ReportPayloadDescriptor]:
    for kind in (ReportPayload.BASELINE, ReportPayload.USAGE, ReportPayload.DELTA_USAGE):
        reading = ReadingType.DIRECT_READ if kind is ReportPayload.USAGE else ReadingType.ESTIMATED
        yield ReportPayloadDescriptor(payload_type=kind, reading_type=reading, units=Unit.KWH)
    for name in (ASKED, TOLERANCE, OVERRIDDEN):
        yield ReportPayloadDescriptor(payload_type=name, units=Unit.KW)
    yield ReportPayloadDescriptor(payload_type=INCENTIVE, units=currency)


def _interval(number: int, part: Json) -> Interval:
    if not isinstance(part, dict):
        raise TypeError("a part is no object")
    start, end = datetime.fromisoformat(str(part["start"])), datetime.fromisoformat(str(part["end"]))
    hours = (end - start) / timedelta(hours=1)
    baseline_w, delivered_w = part["baseline_w"], part["delivered_w"]
    payloads: list[ValuesMap] = []

    def add(kind: str, value: Value | None) -> None:
        if value is not None:
            payloads.append(ValuesMap(type=kind, values=(value,)))

    add(ReportPayload.BASELINE, _scaled(baseline_w, hours))
    add(ReportPayload.USAGE, _scaled(delivered_w, hours))
    if isinstance(baseline_w, int | float) and isinstance(delivered_w, int | float):
        add(ReportPayload.DELTA_USAGE, _scaled(delivered_w - baseline_w, hours))
    asks = part["asks"]
    if isinstance(asks, str) and asks.endswith("_w"):
        add(ASKED, _scaled(part["asked_w"], 1.0))
        add(TOLERANCE, _scaled(part["tolerance_w"], 1.0))
    add(VERDICT, str(part["verdict"]))
    add(OVERRIDDEN, _scaled(part.get("overridden_w"), 1.0))
    incentive = part["incentive"]
    add(INCENTIVE, incentive if isinstance(incentive, int | float) else None)
    add(ReportPayload.DATA_QUALITY, (DataQuality.MISSING if delivered_w is None else DataQuality.OK).value)
    period = IntervalPeriod(start=Start.at(start), duration=Duration.of(end - start))
    return Interval(id=number, interval_period=period, payloads=tuple(payloads))


def _scaled(value_w: Json, factor: float) -> float | None:
    if isinstance(value_w, bool) or not isinstance(value_w, int | float):
        return None
    return round(value_w / 1000 * factor, 6)
