"""What is offered and what is sent as OpenADR 2.0b reports."""

from datetime import datetime, timedelta

import pytest

from cem.sgcp.reports.openadr2b import (
    HISTORY,
    STATUS,
    USAGE,
    Pending,
    accepted,
    metadata,
    pending_of,
    status_report,
    usage_report,
)
from cem.sgcp.reports.usage import SITE, Usage
from cem.wire.openadr2b import encode
from cem.wire.openadr2b.messages import RegisterReport, UpdateReport
from cem.wire.openadr2b.parts import Report, ReportRequest, ReportWindow, SpecifierPayload
from support.oadr2b import assert_valid
from support.ven_world import wall

MINUTE = timedelta(minutes=1)


def request(
    *points: str, specifier: str = USAGE, every_s: float = 60, back_s: float = 60, window: ReportWindow | None = None
) -> ReportRequest:
    return ReportRequest(
        request_id="r1",
        specifier_id=specifier,
        granularity=timedelta(seconds=every_s),
        back=timedelta(seconds=back_s),
        window=window,
        payloads=tuple(SpecifierPayload(r_id=point, reading_type="Direct Read") for point in points),
    )


def taken(asked: ReportRequest, now: datetime | None = None) -> Pending:
    found = accepted(asked, ["car"], 60.0, now or wall(0))
    assert found is not None
    return found


def measured(count: int, import_wh: float | None = 10.0, resource: str = SITE) -> list[Usage]:
    export_wh = None if import_wh is None else 4.0
    return [Usage(resource, wall(60 * n), 60.0, import_wh, export_wh) for n in range(count)]


def values(report: Report) -> list[tuple[float, str, float | None, str | None]]:
    return [
        ((i.start - wall(0)).total_seconds(), p.r_id, p.value, p.quality)
        for i in report.intervals
        if i.start is not None
        for p in i.payloads
    ]


GOOD, NONE = "Quality Good - Non Specific", "No Quality - No Value"


def test_the_offer_is_valid_and_the_same_every_time() -> None:
    reports = metadata(["car"], MINUTE, timedelta(hours=16), wall(0))
    assert_valid(encode(RegisterReport(request_id="1", reports=reports)))
    assert reports == metadata(["car"], MINUTE, timedelta(hours=16), wall(0))
    assert [r.name for r in reports] == [
        "METADATA_TELEMETRY_USAGE",
        "METADATA_TELEMETRY_STATUS",
        "METADATA_HISTORY_USAGE",
    ]
    assert {r.request_id for r in reports} == {"0"}


@pytest.mark.parametrize(
    "asked", [request("pool-power"), request("site-power", specifier="other"), request("site-status")]
)
def test_what_was_never_offered_is_not_taken(asked: ReportRequest) -> None:
    assert accepted(asked, ["car"], 60.0, wall(0)) is None


def test_every_point_that_was_asked_for_is_in_every_report_and_a_gap_says_so() -> None:
    pending = taken(request("site-import", "site-export", "site-power", "car-power"))
    made = usage_report(pending, measured(2), wall(120), wall(121))
    assert made is not None
    report, after = made
    assert_valid(encode(UpdateReport(request_id="1", reports=(report,))))
    assert values(report)[:4] == [
        (0, "site-import", 10.0, GOOD),
        (0, "site-export", 4.0, GOOD),
        (0, "site-power", 360.0, GOOD),
        (0, "car-power", 0.0, NONE),
    ]
    assert len(values(report)) == 8
    assert after.sent_until == wall(120)
    assert usage_report(after, measured(2), wall(120), wall(121)) is None


def test_a_coarser_granularity_sums_whole_stretches_alone() -> None:
    pending = taken(request("site-import", "site-power", every_s=300, back_s=300))
    made = usage_report(pending, measured(12), wall(720), wall(721))
    assert made is not None
    assert values(made[0]) == [
        (0, "site-import", 50.0, GOOD),
        (0, "site-power", 360.0, GOOD),
        (300, "site-import", 50.0, GOOD),
        (300, "site-power", 360.0, GOOD),
    ]
    broken = [*measured(4), *measured(5, None)[4:]]
    made = usage_report(pending, broken, wall(300), wall(301))
    assert made is not None
    assert {quality for _, _, _, quality in values(made[0])} == {NONE}


def test_history_is_what_lies_in_the_window() -> None:
    window = ReportWindow(start=wall(-6000), duration=timedelta(seconds=6000 - 60))
    pending = taken(request("site-import", specifier=HISTORY, window=window))
    past = [Usage(SITE, wall(-6000 + 60 * n), 60.0, float(n), 0.0) for n in range(100)]
    made = usage_report(pending, past, wall(0), wall(1))
    assert made is not None
    assert [value for _, _, value, _ in values(made[0])] == [float(n) for n in range(99)]
    assert not made[1].periodic


def test_a_status_is_valid_and_tells_who_is_there() -> None:
    report, after = status_report(
        taken(request("site-status", "car-status", specifier=STATUS)), {SITE: True, "car": False}, wall(5)
    )
    assert_valid(encode(UpdateReport(request_id="1", reports=(report,))))
    assert [p.status.online for i in report.intervals for p in i.payloads if p.status is not None] == [True, False]
    assert after.due_at() == wall(65)


@pytest.mark.parametrize("specifier", [USAGE, HISTORY])
def test_a_request_survives_a_restart(specifier: str) -> None:
    window = ReportWindow(start=wall(0), duration=timedelta(hours=1))
    pending = taken(request("site-import", specifier=specifier, window=window))
    assert pending_of(pending.row()) == pending


@pytest.mark.parametrize("row", [None, [], ["a"] * 8, {"a": 1}])
def test_a_row_that_is_no_request_is_overlooked(row: None) -> None:
    assert pending_of(row) is None
