"""What a member of OpenADR 2.0b reported that it used. Pure.

A profile report has data points of any name. Interpretation: energies (Wh, of the type usage) of the points
`site-import` and `site-export` are what a gateway like this one takes and gives; a VEN with one such point alone means
its net consumption by it; of a VEN with several others nobody can say which of them are parts of which, so nothing is
known.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime

from cem.sgcp.domain.usage import Used
from cem.sgcp.vtn2b.records import Point
from cem.wire.openadr2b.names import ReportType
from cem.wire.openadr3 import Interval, Report, ReportPayload, ReportResource

IMPORT, EXPORT = "site-import", "site-export"
_UNIT = re.compile(r"Wh \(.*, scale (none|k|M|G)\)")
_SCALES = {"none": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}


def used_2b(report: Report, points: Iterable[Point]) -> list[Used]:
    """What a report says, given all the points that the VEN offers."""
    factors = {point.r_id: factor for point in points if (factor := _factor(point)) is not None}
    held = {one.resource_name: one for one in report.resources if one.resource_name in factors}
    if IMPORT in factors and EXPORT in factors:
        if IMPORT not in held or EXPORT not in held:
            return []
        taken, given = (_values(held[name], factors[name]) for name in (IMPORT, EXPORT))
        both = taken.keys() & given.keys()
        return [Used(*when, max(taken[when], 0.0), max(given[when], 0.0)) for when in sorted(both)]
    if len(factors) != 1 or not held:
        return []
    ((name, resource),) = held.items()
    return [Used(*when, max(wh, 0.0), max(-wh, 0.0)) for when, wh in sorted(_values(resource, factors[name]).items())]


def _factor(point: Point) -> float | None:
    """Wh for one of the point's unit; None where it is no energy that was used."""
    matched = _UNIT.fullmatch(point.unit)
    return _SCALES[matched[1]] if matched is not None and point.report_type == ReportType.USAGE else None


def _values(resource: ReportResource, factor: float) -> Mapping[tuple[datetime, datetime], float]:
    found: dict[tuple[datetime, datetime], float] = {}
    for interval in resource.intervals:
        when = _when(interval)
        values = [p.numbers()[0] for p in interval.payloads if p.type == ReportPayload.READING and p.numbers()]
        if when is not None and values:
            found[when] = values[0] * factor
    return found


def _when(interval: Interval) -> tuple[datetime, datetime] | None:
    period = interval.interval_period
    start = period.start.instant if period is not None and period.start is not None else None
    length = period.duration.length() if period is not None and period.duration is not None else None
    return None if start is None or not length else (start, start + length)
