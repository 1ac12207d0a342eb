"""Reports of OpenADR 2.0b VENs as reports of the VTN's objects.

Interpretation: a 3.1 report belongs to an event and a 2.0b report to a request, so the request stands for the event.
Each data point is a resource with one value per interval, in the unit in which it came.
"""

import re
from datetime import datetime
from typing import Any

from cem.sgcp.vtn.objects import Body
from cem.wire.openadr2b.names import DataQuality
from cem.wire.openadr2b.parts import Report
from cem.wire.openadr2b.shape import written_duration
from cem.wire.openadr3 import format_datetime

_NO_ID = re.compile(r"[^A-Za-z0-9_-]")


def report_body(report: Report, ven: Body, object_id: str, now: datetime) -> Body | None:
    """A report as an object; None where it has no values."""
    by_point: dict[str, list[dict[str, Any]]] = {}
    for interval in report.intervals:
        start = interval.start or report.start
        for payload in interval.payloads:
            if payload.value is None:
                continue
            missing = payload.quality == DataQuality.NO_VALUE
            values: dict[str, Any] = (
                {"type": "DATA_QUALITY", "values": ["MISSING"]}
                if missing
                else {"type": "READING", "values": [payload.value]}
            )
            listed = by_point.setdefault(payload.r_id, [])
            entry: dict[str, Any] = {"id": len(listed), "payloads": [values]}
            if start is not None:
                period = {"start": format_datetime(start)}
                if interval.duration is not None:
                    period["duration"] = written_duration(interval.duration)
                entry["intervalPeriod"] = period
            listed.append(entry)
    if not by_point:
        return None
    stamp = format_datetime(now)
    return {
        "id": object_id,
        "objectType": "REPORT",
        "createdDateTime": stamp,
        "modificationDateTime": stamp,
        "clientID": ven["clientID"],
        "clientName": ven["venName"],
        "eventID": _NO_ID.sub("-", report.request_id)[:128] or "0",
        "reportName": f"{report.name or 'report'} {report.specifier_id}"[:128],
        "resources": [{"resourceName": point[:128], "intervals": found} for point, found in by_point.items()],
    }
