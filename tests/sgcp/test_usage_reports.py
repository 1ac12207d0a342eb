"""Usage over intervals, the outbox and the report objects."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.model.event import SignalKind
from cem.sgcp.durable import own_rows, row_key
from cem.sgcp.reports.openadr3 import anchor, content_of, interval_of, is_missing, report_request, resource_name
from cem.sgcp.reports.outbox import Outbox
from cem.sgcp.reports.usage import Usage, UsageMeter, recorded
from cem.wire.openadr3 import AGGREGATED_REPORT, Report, ReportRequest, decode, encode, to_json, validate
from support.ven_world import T0, at, grid_event, limit_intervals, wall, wire_event


def run(meter: UsageMeter, powers: Mapping[int, float | None], step: int = 1) -> list[Usage]:
    """Samples of the site's power by second."""
    closed: list[Usage] = []
    for second, power in sorted(powers.items()):
        closed += meter.sample(at(second * step), {"site": power})
    return closed


def test_energy_is_summed_over_aligned_intervals_and_both_ways() -> None:
    closed = run(UsageMeter(60.0, []), {s: 3600.0 if s < 60 else -1800.0 for s in range(121)})
    assert [(u.start, u.missing) for u in closed] == [(wall(0), False), (wall(60), False)]
    assert closed[0].import_wh == pytest.approx(60.0)
    assert closed[1].export_wh == pytest.approx(30.0)
    assert closed[1].mean_w == pytest.approx(-1800.0)


def test_a_gap_is_missing_and_never_interpolated() -> None:
    powers: dict[int, float | None] = dict.fromkeys(range(61), 1000.0)
    powers.update(dict.fromkeys(range(61, 80)))
    powers.update(dict.fromkeys(range(80, 181), 1000.0))
    closed = run(UsageMeter(60.0, []), powers)
    assert [u.missing for u in closed] == [False, True, False]


@pytest.mark.parametrize(("apart_s", "missing"), [(60.0, False), (60.000001, False), (60.9, False), (62.0, True)])
def test_samples_of_each_minute_leave_no_gap_and_later_ones_do(apart_s: float, missing: bool) -> None:
    meter = UsageMeter(900.0, [])
    closed = [u for n in range(17) for u in meter.sample(at(n * apart_s), {"site": 1000.0})]
    assert [u.missing for u in closed] == [missing]


def test_a_pause_longer_than_an_interval_leaves_every_interval_of_it_as_missing() -> None:
    powers = dict.fromkeys([*range(61), *range(400, 481)], 1000.0)
    closed = run(UsageMeter(60.0, []), powers)
    assert [u.start for u in closed] == [wall(60 * n) for n in range(8)]
    assert [u.missing for u in closed] == [False, *[True] * 6, False]


def test_the_first_interval_after_a_late_start_is_missing() -> None:
    closed = run(UsageMeter(60.0, []), dict.fromkeys(range(30, 121), 1000.0))
    assert [(u.start, u.missing) for u in closed] == [(wall(0), True), (wall(60), False)]


def test_a_restart_accounts_for_the_time_between() -> None:
    meter = UsageMeter(60.0, [])
    meter.resume(wall(-180))
    closed = run(meter, dict.fromkeys(range(61), 1000.0))
    assert [(u.start, u.missing) for u in closed] == [
        (wall(-180), True),
        (wall(-120), True),
        (wall(-60), True),
        (wall(0), False),
    ]


def test_each_resource_is_summed_on_its_own() -> None:
    meter = UsageMeter(10.0, ["battery", "pv"])
    closed: list[Usage] = []
    for second in range(11):
        closed += meter.sample(at(second), {"site": 100.0, "battery": -3600.0, "pv": None})
    found = {u.resource: (u.import_wh, u.export_wh) for u in closed}
    assert found["battery"][0] == 0.0
    assert found["battery"][1] == pytest.approx(10.0)
    assert found["pv"] == (None, None)


def test_nothing_is_summed_while_the_clock_cannot_be_trusted() -> None:
    meter = UsageMeter(10.0, [])
    assert [u for s in range(60) for u in meter.sample(at(s, trusted=False), {"site": 1.0})] == []


@given(
    st.lists(st.tuples(st.integers(1, 70), st.one_of(st.none(), st.floats(-1e4, 1e4))), min_size=1, max_size=60),
    st.sampled_from([5.0, 60.0, 900.0]),
)
@settings(deadline=None, max_examples=60)
def test_intervals_follow_each_other_without_gap_or_duplicate_whatever_the_samples(
    steps: list[tuple[int, float | None]], interval_s: float
) -> None:
    meter = UsageMeter(interval_s, [])
    closed: list[Usage] = []
    second = 0
    for step, power in steps:
        second += step
        closed += meter.sample(at(second), {"site": power})
    starts = [u.start for u in closed]
    assert starts == [starts[0] + n * timedelta(seconds=interval_s) for n in range(len(starts))] if starts else True
    assert all(u.mean_w is None or abs(u.mean_w) <= 1e4 + 1e-6 for u in closed)


def usage(second: float, value: float | None = 1.0, resource: str = "site") -> Usage:
    """A minute's usage."""
    return Usage(resource, wall(second), 60.0, value, None if value is None else 0.0)


def test_the_outbox_delivers_live_data_first_then_from_the_oldest_on() -> None:
    outbox = Outbox("utility", 60.0)
    outbox.add([usage(-7200), usage(-3600), usage(0)])
    assert outbox.windows() == [wall(0), wall(-7200), wall(-3600)]


def test_what_was_not_delivered_survives_a_restart_and_what_was_never_touches_the_disk() -> None:
    outbox = Outbox("uti/lity", 60.0)
    outbox.add([usage(0), usage(60, None), usage(120, 3.0, "car/1")])
    assert outbox.acknowledged([usage(0)]) == []
    rows = {row.key: row.value for row in outbox.unstored()}
    assert len(rows) == 2
    assert outbox.unstored() == []
    again = Outbox("uti/lity", 60.0)
    again.restore(own_rows(rows, "uti/lity"))
    assert again.of(T0) == outbox.of(T0) == [usage(60, None), usage(120, 3.0, "car/1")]
    removed = again.acknowledged([usage(60, None)])
    assert [(r.key, r.value) for r in removed] == [(row_key("uti/lity", "usage", "site", wall(60).isoformat()), None)]


def test_the_outbox_keeps_a_week_and_the_time_that_its_delivery_takes_and_no_more() -> None:
    outbox = Outbox("utility", 60.0)
    outbox.add([usage(0), usage(86400 * 3)])
    outbox.unstored()
    assert outbox.expired(wall(86400 * 7 + 7200)) == []
    assert len(outbox.expired(wall(86400 * 8 + 60))) == 1
    assert len(outbox) == 1


def test_a_gap_never_replaces_a_measurement() -> None:
    outbox = Outbox("utility", 60.0)
    outbox.add([usage(0, 5.0), usage(0, None)])
    assert outbox.of(T0) == [usage(0, 5.0)]
    outbox.add([usage(60, None), usage(60, 5.0)])
    assert outbox.of(T0)[-1] == usage(60, 5.0)


def test_a_report_is_a_valid_3_1_object_and_comes_back_as_it_was() -> None:
    usages = [usage(0, 250.0), usage(60, None), usage(0, 10.0, "battery")]
    content = {(resource_name(u.resource), u.start): interval_of(u, T0) for u in usages}
    request = report_request("e1", "house-1", T0, content)
    assert decode(ReportRequest, encode(request)) == request
    body = to_json(request)
    assert {"eventID", "clientName", "reportName", "resources", "payloadDescriptors"} <= set(body)
    assert body["reportName"] == "usage e1 2026-01-15T12:00:00Z"
    assert [r["resourceName"] for r in body["resources"]] == [AGGREGATED_REPORT, "battery"]
    first, gap = body["resources"][0]["intervals"]
    assert first["intervalPeriod"] == {"start": "2026-01-15T12:00:00Z", "duration": "PT1M"}
    assert {p["type"]: p["values"] for p in first["payloads"]} == {
        "USAGE": [0.25],
        "EXPORT_USAGE": [0.0],
        "DEMAND": [15.0],
        "DATA_QUALITY": ["OK"],
    }
    assert gap["payloads"] == [{"type": "DATA_QUALITY", "values": ["MISSING"]}]
    held = content_of(validate(Report, {**body, "id": "r1"}))
    assert held == content
    assert [is_missing(interval) for interval in held.values()] == [False, True, False]


def test_reports_belong_to_the_event_that_asks_for_them_else_to_one_that_runs() -> None:
    times: dict[str, Any] = {"intervalPeriod": {"start": "2026-01-15T12:00:00Z"}}
    plain = wire_event("a", intervals=limit_intervals(5), **times)
    running = wire_event("b", intervals=limit_intervals(5), **times)
    asking = wire_event("c", reportDescriptors=[{"payloadType": "USAGE"}])
    accepted = {"b": grid_event("b", (0, None, {SignalKind.IMPORT_LIMIT_W: 1.0}))}
    assert anchor([plain, running, asking], accepted, None, wall(1)) == "c"
    assert anchor([plain, running], accepted, None, wall(1)) == "b"
    assert anchor([plain], {}, None, wall(1)) == "a"
    assert anchor([], {}, "a", wall(1)) is None
    assert anchor([plain, wire_event("0")], {}, "a", wall(1)) == "a"


def test_recorded_minutes_make_whole_intervals_and_gaps_make_none() -> None:
    begun = int(T0.timestamp())
    minutes = [(begun + 60 * number, 600.0 if number % 2 else -1200.0) for number in range(30)]
    del minutes[15:17]  # a gap in the second quarter
    quarters = recorded("site", minutes, 900.0, T0, T0 + timedelta(minutes=29))
    assert [(u.start, u.import_wh, u.export_wh) for u in quarters] == [(T0, 70.0, 160.0)]
    assert recorded("site", minutes, 45.0, T0, T0 + timedelta(hours=1)) == []
    assert len(recorded("site", minutes, 60.0, T0, T0 + timedelta(minutes=10))) == 10
