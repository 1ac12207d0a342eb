"""Settlement: the baseline, the verdict and the incentive, against numbers worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.model.event import SignalKind
from cem.sgcp.reports.compliance import (
    Baseline,
    Minutes,
    Stretch,
    Verdict,
    baseline,
    mean_w,
    on_day,
    settled,
    similar_days,
    stretches,
)
from cem.sgcp.reports.settlement import report_request, row_of
from cem.wire.openadr3 import to_json
from support.openadr3_messages import schema_faults
from support.ven_world import T0, grid_event, wall

BERLIN = ZoneInfo("Europe/Berlin")
BASE = Baseline(4000.0, 0.0, ())


def minutes(*powers_w: float, start: datetime = T0) -> Minutes:
    """Minute means from T0 on."""
    return [(int(start.timestamp()) + 60 * n, power) for n, power in enumerate(powers_w)]


def days(*means: float, before: float | None = 1000.0) -> dict[date, tuple[float, float | None]]:
    """Days in a row with their means over the event's time."""
    return {date(2026, 1, 1) + timedelta(days=n): (mean, before) for n, mean in enumerate(means)}


@pytest.mark.parametrize(
    ("found", "before_w", "power_w", "adjustment_w"),
    [
        (days(1000, 2000, 3000, 4000, 5000), None, 3500.0, 0.0),  # the lowest of five is left out
        (days(1000, 2000, 3000, 4000, 5000), 1300.0, 3800.0, 300.0),  # the day began 300 W above those days
        (days(1000, 2000, 3000, 4000, 5000), 9000.0, 4200.0, 700.0),  # at most 20 %
        (days(1000, 2000, 3000, 4000, 5000), -9000.0, 2800.0, -700.0),
        (days(1000, 2000, 3000, 4000, 5000, before=None), 1300.0, 3500.0, 0.0),
        (days(9999, 1000, 2000, 3000, 4000, 5000), None, 3500.0, 0.0),  # the sixth day back does not count
    ],
)
def test_the_baseline_is_high_four_of_five_with_a_bounded_adjustment(
    found: dict[date, tuple[float, float | None]], before_w: float | None, power_w: float, adjustment_w: float
) -> None:
    made = baseline(found, before_w)
    assert made is not None
    assert (made.power_w, made.adjustment_w, len(made.days)) == (power_w, adjustment_w, 4)


def test_four_days_are_no_baseline() -> None:
    assert baseline(days(1000, 2000, 3000, 4000), 1000.0) is None


def test_similar_days_are_of_the_same_kind_and_without_events_and_follow_the_wall_clock() -> None:
    tuesday = datetime(2026, 3, 31, 16, tzinfo=UTC)  # 18:00 in summer time, which began on the 29th
    found = similar_days(tuesday, BERLIN, frozenset({date(2026, 3, 30)}))
    assert found[:3] == [date(2026, 3, 27), date(2026, 3, 26), date(2026, 3, 25)]
    assert on_day(tuesday, tuesday, found[0], BERLIN).astimezone(UTC) == datetime(2026, 3, 27, 17, tzinfo=UTC)
    after_midnight = tuesday + timedelta(hours=7)
    assert on_day(after_midnight, tuesday, found[0], BERLIN).date() == date(2026, 3, 28)


VERDICTS: list[tuple[SignalKind, float, list[float], Verdict]] = [
    (SignalKind.IMPORT_LIMIT_W, 4000, [9000, *[3900] * 9], Verdict.MET),  # the first minute is for settling
    (SignalKind.IMPORT_LIMIT_W, 4000, [4000, *[4190] * 9], Verdict.MET),  # 5 % of tolerance
    (SignalKind.IMPORT_LIMIT_W, 4000, [4000, 4300, *[3000] * 8], Verdict.PARTLY),
    (SignalKind.IMPORT_LIMIT_W, 4000, [4500] * 10, Verdict.MISSED),
    (SignalKind.EXPORT_LIMIT_W, 1000, [-1090] * 10, Verdict.MET),
    (SignalKind.EXPORT_LIMIT_W, 1000, [-1200] * 10, Verdict.MISSED),
    (SignalKind.DISPATCH_W, -2000, [-1950] * 10, Verdict.MET),
    (SignalKind.DISPATCH_W, -2000, [-2500] * 10, Verdict.MISSED),
    (SignalKind.DISPATCH_CHANGE_W, -1000, [2500] * 10, Verdict.MET),  # 1.5 kW below the baseline of 4 kW
    (SignalKind.DISPATCH_CHANGE_W, -1000, [3500] * 10, Verdict.MISSED),
    (SignalKind.IMPORT_LIMIT_W, 4000, [1000] * 8, Verdict.UNKNOWN),  # two minutes of ten are not recorded
]


@pytest.mark.parametrize(("kind", "asked", "powers", "verdict"), VERDICTS)
def test_the_verdict(kind: SignalKind, asked: float, powers: list[float], verdict: Verdict) -> None:
    stretch = Stretch(T0, T0 + timedelta(minutes=10), kind, asked)
    assert settled(stretch, minutes(*powers), BASE, None).verdict is verdict


def test_the_incentive_pays_what_was_saved_where_the_event_was_kept_to() -> None:
    stretch = Stretch(T0, T0 + timedelta(hours=1), SignalKind.IMPORT_LIMIT_W, 3000.0)
    kept = settled(stretch, minutes(*[2500.0] * 60), BASE, 0.5)
    assert (kept.shed_wh, kept.incentive) == (1500.0, 0.75)
    missed = settled(stretch, minutes(*[3500.0] * 60), BASE, 0.5)
    assert (missed.shed_wh, missed.incentive) == (500.0, 0.0)
    assert settled(stretch, minutes(*[2500.0] * 60), None, 0.5).incentive is None
    more = settled(Stretch(T0, T0 + timedelta(hours=1), None, None), minutes(*[5000.0] * 60), BASE, 0.5)
    assert (more.verdict, more.shed_wh, more.incentive) == (Verdict.NOTHING_ASKED, -1000.0, 0.0)


def test_what_ends_early_or_never_is_settled_as_far_as_it_ran() -> None:
    event = grid_event(
        "e", (0, 600, {SignalKind.IMPORT_LIMIT_W: 1.0}), (600, None, {SignalKind.IMPORT_PRICE_PER_KWH: 0.3})
    )
    assert [(s.start, s.end, s.kind) for s in stretches(event, wall(300))] == [
        (wall(0), wall(300), SignalKind.IMPORT_LIMIT_W)
    ]
    long = stretches(event, wall(200_000))
    assert [(s.end - s.start, s.kind) for s in long][1] == (timedelta(days=1), None)
    shown = grid_event("e", (0, 600, {SignalKind.GHG_G_PER_KWH: 300.0}))
    assert stretches(shown, wall(600)) == []


def test_a_minute_across_an_edge_counts_only_where_there_is_no_whole_one() -> None:
    around = minutes(9000.0, 3000.0, 3000.0, 8000.0)
    assert mean_w(around, wall(47), wall(227)) == 3000.0
    assert mean_w(around, wall(10), wall(50)) == 9000.0
    assert mean_w(minutes(9000.0), wall(47), wall(227)) is None


def test_the_report_says_it_all_in_the_schema() -> None:
    stretch = Stretch(T0, T0 + timedelta(hours=1), SignalKind.IMPORT_LIMIT_W, 3000.0)
    part = settled(stretch, minutes(*[2500.0] * 60), BASE, 0.5)
    unknown = settled(Stretch(wall(3600), wall(7200), SignalKind.IMPORT_LIMIT_W, 3000.0), [], None, 0.5)
    message = to_json(report_request(row_of(grid_event("e"), [part, unknown], "EUR"), "house-1"))
    assert schema_faults("reportRequest", message) == []
    first, second = message["resources"][0]["intervals"]
    assert {p["type"]: p["values"][0] for p in first["payloads"]} == {
        "BASELINE": 4.0,
        "USAGE": 2.5,
        "DELTA_USAGE": -1.5,
        "ASKED": 3.0,
        "TOLERANCE": 0.15,
        "VERDICT": "met",
        "INCENTIVE": 0.75,
        "DATA_QUALITY": "OK",
    }
    assert [p["values"][0] for p in second["payloads"] if p["type"] == "DATA_QUALITY"] == ["MISSING"]
    with pytest.raises(ValueError, match="can't be read"):
        report_request({"parts": 1, "currency": "EUR", "event": "e"}, "house-1")


@given(st.lists(st.floats(-20_000, 20_000), min_size=10, max_size=10), st.floats(0, 10_000), st.floats(0, 5000))
def test_less_power_never_makes_an_import_limit_worse(powers: list[float], limit_w: float, less_w: float) -> None:
    order = [Verdict.MISSED, Verdict.PARTLY, Verdict.MET]
    stretch = Stretch(T0, T0 + timedelta(minutes=10), SignalKind.IMPORT_LIMIT_W, limit_w)
    before = settled(stretch, minutes(*powers), BASE, 1.0)
    after = settled(stretch, minutes(*[power - less_w for power in powers]), BASE, 1.0)
    assert order.index(after.verdict) >= order.index(before.verdict)
    assert (after.incentive or 0.0) >= (before.incentive or 0.0)
