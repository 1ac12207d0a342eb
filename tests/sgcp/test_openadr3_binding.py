"""OpenADR 3.1 events to grid events: times, units, hostile values."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.model.event import GridEvent, SignalKind
from cem.sgcp.bindings.openadr3 import LOWEST_PRIORITY, Binding, Bounds, Fetched
from cem.sgcp.events.store import Rejection
from cem.sgcp.vtn2b.manner import Manner, told_apart
from cem.wire.openadr3 import Event, WireError
from support.ven_world import T0, limit_intervals, utility, wall, wire_event, wire_program


def bind(body: Event, share: Callable[[], float] = lambda: 0.0, known: GridEvent | None = None) -> GridEvent:
    """The event, accepted."""
    outcome = Binding(utility(), share).event(body, wire_program(), known, {}, T0)
    assert isinstance(outcome, GridEvent), outcome
    return outcome


def refuse(body: Event) -> Rejection:
    """The event, rejected."""
    outcome = Binding(utility(), lambda: 0.0).event(body, wire_program(), None, {}, T0)
    assert isinstance(outcome, Rejection), outcome
    return outcome


def spans(event: GridEvent) -> list[tuple[float, float | None]]:
    """Intervals as seconds after T0."""
    return [
        ((i.start - T0).total_seconds(), None if i.end is None else (i.end - T0).total_seconds())
        for i in event.intervals
    ]


NOON = "2026-01-15T12:00:00Z"
TIMES: list[tuple[str, dict[str, Any], list[tuple[float, float | None]]]] = [
    (
        "consecutive when they have no start",
        {"intervalPeriod": {"start": NOON, "duration": "PT1H"}, "intervals": limit_intervals(5, 6)},
        [(0, 3600), (3600, 7200)],
    ),
    (
        "an interval's own duration wins",
        {
            "intervalPeriod": {"start": NOON, "duration": "PT1H"},
            "intervals": [
                {**limit_intervals(5)[0], "id": 0},
                {**limit_intervals(5)[0], "id": 1, "intervalPeriod": {"duration": "PT2H"}},
                {**limit_intervals(5)[0], "id": 2},
            ],
        },
        [(0, 3600), (3600, 10800), (10800, 14400)],
    ),
    (
        "a gap by an own start",
        {
            "intervalPeriod": {"start": NOON, "duration": "PT1H"},
            "intervals": [
                limit_intervals(5)[0],
                {**limit_intervals(5)[0], "id": 1, "intervalPeriod": {"start": "2026-01-15T14:00:00+00:00"}},
            ],
        },
        [(0, 3600), (7200, 10800)],
    ),
    (
        "P9999Y never ends",
        {"intervalPeriod": {"start": NOON, "duration": "P9999Y"}, "intervals": limit_intervals(5)},
        [(0, None)],
    ),
    (
        "the beginning of time is now",
        {"intervalPeriod": {"start": "0001-01-01", "duration": "PT1H"}, "intervals": limit_intervals(5)},
        [(0, 3600)],
    ),
    (
        "no duration anywhere is open until changed",
        {"intervalPeriod": {"start": NOON}, "intervals": limit_intervals(5)},
        [(0, None)],
    ),
    (
        "event.duration shortens",
        {
            "duration": "PT90M",
            "intervalPeriod": {"start": NOON, "duration": "PT1H"},
            "intervals": limit_intervals(5, 6, 7),
        },
        [(0, 3600), (3600, 5400)],
    ),
    (
        "event.duration loops",
        {"duration": "PT150M", "intervalPeriod": {"start": NOON, "duration": "PT1H"}, "intervals": limit_intervals(5)},
        [(0, 3600), (3600, 7200), (7200, 9000)],
    ),
    (
        "an event.duration of zero is the schema's default and not given",
        {"duration": "PT0S", "intervalPeriod": {"start": NOON, "duration": "PT1H"}, "intervals": limit_intervals(5)},
        [(0, 3600)],
    ),
    (
        "a start long past and no duration of its own is cancelled by its provider",
        {"intervalPeriod": {"start": "0001-01-01", "duration": "PT0S"}, "intervals": limit_intervals(5)},
        [],
    ),
    (
        "several values divide the interval",
        {
            "intervals": [
                {
                    "id": 0,
                    "intervalPeriod": {"start": NOON, "duration": "PT3H"},
                    "payloads": [{"type": "PRICE", "values": [0.17, 0.03, 0.11]}],
                }
            ]
        },
        [(0, 3600), (3600, 7200), (7200, 10800)],
    ),
]


@pytest.mark.parametrize(("body", "expected"), [row[1:] for row in TIMES], ids=[row[0] for row in TIMES])
def test_intervals_become_absolute(body: dict[str, Any], expected: list[tuple[float, float | None]]) -> None:
    assert spans(bind(wire_event(**body))) == expected


def test_a_tariff_that_loops_for_ever_reaches_as_far_as_we_look_and_joins_in_the_middle() -> None:
    day = {"start": "2020-01-01T00:00:00Z", "duration": "PT12H"}
    event = bind(wire_event(duration="P9999Y", intervalPeriod=day, intervals=limit_intervals(1, 2)))
    assert event.intervals[0].end is not None
    assert event.intervals[0].start <= T0
    assert event.intervals[-1].start <= T0 + timedelta(days=7)
    now = [i.signals[SignalKind.IMPORT_LIMIT_W] for i in event.intervals if i.start <= T0 and i.end and i.end > T0]
    assert now == [2000.0]


@pytest.mark.parametrize(
    ("kind", "units", "value", "signal", "expected"),
    [
        ("IMPORT_CAPACITY_LIMIT", "KW", 4.2, SignalKind.IMPORT_LIMIT_W, 4200.0),
        ("IMPORT_CAPACITY_LIMIT", None, 4.2, SignalKind.IMPORT_LIMIT_W, 4200.0),
        ("EXPORT_CAPACITY_LIMIT", "W", 1500, SignalKind.EXPORT_LIMIT_W, 1500.0),
        ("PRICE", "KWH", 0.3, SignalKind.IMPORT_PRICE_PER_KWH, 0.3),
        ("PRICE", "MWH", 300.0, SignalKind.IMPORT_PRICE_PER_KWH, 0.3),
        ("EXPORT_PRICE", "KWH", -0.05, SignalKind.EXPORT_PRICE_PER_KWH, -0.05),
        ("DISPATCH_SETPOINT", "KW", -3.0, SignalKind.DISPATCH_W, -3000.0),
        ("IMPORT_CAPACITY_SUBSCRIPTION", "KW", 10, SignalKind.DEFAULT_IMPORT_LIMIT_W, 10000.0),
        ("EXPORT_CAPACITY_SUBSCRIPTION", "KW", 5, SignalKind.DEFAULT_EXPORT_LIMIT_W, 5000.0),
    ],
)
def test_payloads_come_in_our_units(
    kind: str, units: str | None, value: float, signal: SignalKind, expected: float
) -> None:
    descriptor = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": kind, "units": units, "currency": "EUR"}
    event = bind(
        wire_event(
            intervalPeriod={"start": NOON, "duration": "PT1H"},
            intervals=limit_intervals(value, kind=kind),
            payloadDescriptors=[{key: v for key, v in descriptor.items() if v is not None}],
        )
    )
    assert event.intervals[0].signals[signal] == pytest.approx(expected)
    assert event.currency == ("EUR" if "PRICE" in kind else None)


def test_an_events_descriptor_outranks_its_programs() -> None:
    descriptor = {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": "IMPORT_CAPACITY_LIMIT", "units": "W"}
    program = wire_program(payloadDescriptors=[descriptor])
    body: dict[str, Any] = {"intervalPeriod": {"start": NOON}, "intervals": limit_intervals(4200.0)}
    own = {**descriptor, "units": "KW"}
    by_program = Binding(utility(), lambda: 0.0).event(wire_event(**body), program, None, {}, T0)
    by_event = Binding(utility(), lambda: 0.0).event(
        wire_event(payloadDescriptors=[own], **body), program, None, {}, T0
    )
    assert isinstance(by_program, GridEvent)
    assert isinstance(by_event, GridEvent)
    assert by_program.intervals[0].signals[SignalKind.IMPORT_LIMIT_W] == 4200.0
    assert by_event.intervals[0].signals[SignalKind.IMPORT_LIMIT_W] == 4_200_000.0


def test_an_unknown_payload_type_is_kept_and_the_rest_is_acted_on() -> None:
    payloads = [{"type": "X_PRIVATE", "values": [300]}, {"type": "IMPORT_CAPACITY_LIMIT", "values": [4]}]
    event = bind(wire_event(intervalPeriod={"start": NOON}, intervals=[{"id": 0, "payloads": payloads}]))
    assert event.unsupported == ("X_PRIVATE",)
    assert event.intervals[0].signals == {SignalKind.IMPORT_LIMIT_W: 4000.0}


def test_an_event_without_a_priority_comes_last_and_zero_comes_first() -> None:
    body: dict[str, Any] = {"intervalPeriod": {"start": NOON}, "intervals": limit_intervals(5)}
    assert bind(wire_event(**body)).priority == LOWEST_PRIORITY
    assert bind(wire_event(priority=0, **body)).priority == 0


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("a huge limit", {"intervalPeriod": {"start": NOON}, "intervals": limit_intervals(1e308)}, "believed"),
    ("a negative limit", {"intervalPeriod": {"start": NOON}, "intervals": limit_intervals(-1)}, "zero or more"),
    (
        "a price of minus a billion",
        {"intervalPeriod": {"start": NOON}, "intervals": limit_intervals(-1e9, kind="PRICE")},
        "believed",
    ),
    (
        "a limit in a unit that is not power",
        {
            "intervalPeriod": {"start": NOON},
            "intervals": limit_intervals(4),
            "payloadDescriptors": [{"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "THERMS"}],
        },
        "THERMS",
    ),
    (
        "direct control for ten years",
        {
            "intervalPeriod": {"start": NOON, "duration": "P10Y"},
            "intervals": limit_intervals(3, kind="DISPATCH_SETPOINT"),
        },
        "at most 24 h",
    ),
    (
        "many intervals",
        {"intervalPeriod": {"start": NOON, "duration": "PT1S"}, "intervals": limit_intervals(*[1.0] * 5000)},
        "more than 2000",
    ),
    (
        "a loop of a second for ever",
        {"duration": "P9999Y", "intervalPeriod": {"start": NOON, "duration": "PT1S"}, "intervals": limit_intervals(1)},
        "more than 2000",
    ),
    (
        "an interval after one without an end",
        {"intervalPeriod": {"start": NOON, "duration": "P9999Y"}, "intervals": limit_intervals(1, 2)},
        "never ends",
    ),
    (
        "a random start of a year",
        {"intervalPeriod": {"start": NOON, "randomizeStart": "P1Y"}, "intervals": limit_intervals(1)},
        "longer than a day",
    ),
    ("text for a number", {"intervals": [{"id": 0, "payloads": [{"type": "PRICE", "values": ["x"]}]}]}, "numbers"),
]


@pytest.mark.parametrize(("body", "words"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_hostile_values_reject_the_event_with_a_reason(body: dict[str, Any], words: str) -> None:
    event = wire_event(**body)
    rejection = refuse(event)
    assert words in rejection.reason
    assert rejection.keep


def test_a_hostile_event_does_not_touch_the_others() -> None:
    good = wire_event("good", intervalPeriod={"start": NOON}, intervals=limit_intervals(4))
    bad = wire_event("bad", intervalPeriod={"start": NOON}, intervals=limit_intervals(-4))
    fetched = Fetched((bad, good), [WireError("[2].intervals", "must be", "worse")], {"p-dimming": wire_program()}, 1.0)
    listing = Binding(utility(), lambda: 0.0).listing(fetched, {}, {}, T0)
    assert [event.id for event in listing.events] == ["good"]
    assert {r.event_id: r.limits for r in listing.rejected} == {"bad": True, "worse": True}
    assert listing.complete


def test_a_malformed_event_without_an_id_makes_absence_mean_nothing() -> None:
    fetched = Fetched((), [WireError("[0]", "must be an object")], {}, 1.0)
    assert not Binding(utility(), lambda: 0.0).listing(fetched, {}, {}, T0).complete


def test_an_event_of_a_programme_that_was_not_agreed_is_not_acted_on() -> None:
    body = wire_event(intervalPeriod={"start": NOON}, intervals=limit_intervals(4))
    outcome = Binding(utility(), lambda: 0.0).event(body, wire_program("other"), None, {}, T0)
    assert isinstance(outcome, Rejection)
    assert "site file" in outcome.reason
    assert not outcome.keep


def test_what_starts_too_far_ahead_is_looked_at_again_when_it_is_near() -> None:
    body = wire_event(intervalPeriod={"start": "2026-02-01T00:00:00Z"}, intervals=limit_intervals(4))
    assert "days ahead" in refuse(body).reason
    later = Binding(utility(), lambda: 0.0).event(body, wire_program(), None, {}, datetime(2026, 1, 30, tzinfo=UTC))
    assert isinstance(later, GridEvent)


@given(share=st.floats(-1, 1), seconds=st.integers(1, 3600))
@settings(max_examples=50, deadline=None)
def test_a_random_start_shifts_everything_by_one_draw_both_ways(share: float, seconds: int) -> None:
    body = wire_event(
        intervalPeriod={"start": NOON, "duration": "PT1H", "randomizeStart": f"PT{seconds}S"},
        intervals=limit_intervals(5, 6),
    )
    event = bind(body, lambda: share)
    shift = (event.intervals[0].start - T0).total_seconds()
    assert abs(shift - share * seconds) < 1e-5
    assert abs(shift) <= seconds
    assert event.intervals[1].start == event.intervals[0].end


def test_an_offset_is_drawn_once_and_never_redrawn() -> None:
    draws = iter([0.5, -0.5])
    binding = Binding(utility(), lambda: next(draws))
    body = wire_event(intervalPeriod={"start": NOON, "randomizeStart": "PT10M"}, intervals=limit_intervals(5))
    shares: dict[str, float] = {}
    first = binding.event(body, wire_program(), None, shares, T0)
    again = binding.event(body, wire_program(), None, shares, wall(30))
    restarted = Binding(utility(), lambda: -1.0).event(body, wire_program(), None, dict(shares), wall(60))
    assert isinstance(first, GridEvent)
    assert isinstance(again, GridEvent)
    assert isinstance(restarted, GridEvent)
    assert shares == {"e1": 0.5}
    assert first.intervals == again.intervals == restarted.intervals
    assert first.randomise == timedelta(minutes=5)


def test_now_means_the_first_receipt_also_after_a_change() -> None:
    body: dict[str, Any] = {"intervalPeriod": {"start": "0001-01-01", "duration": "PT1H"}}
    first = bind(wire_event(intervals=limit_intervals(5), **body))
    changed = Binding(utility(), lambda: 0.0).event(
        wire_event(intervals=limit_intervals(4), **body), wire_program(), first, {}, wall(600)
    )
    assert isinstance(changed, GridEvent)
    assert changed.intervals[0].start == T0
    assert changed.modification != first.modification


def test_the_bounds_can_be_set() -> None:
    body = wire_event(intervalPeriod={"start": NOON}, intervals=limit_intervals(50))
    strict = Binding(utility(), lambda: 0.0, Bounds(max_power_w=40_000.0))
    assert isinstance(strict.event(body, wire_program(), None, {}, T0), Rejection)


def test_a_test_event_for_vens_of_2_0b_moves_nothing_here() -> None:
    body: dict[str, Any] = {
        "id": "e1",
        "intervalPeriod": {"start": NOON, "duration": "PT1H"},
        "intervals": limit_intervals(5),
    }
    asks = wire_event(**body)
    assert bind(asks).intervals[0].signals == {SignalKind.IMPORT_LIMIT_W: 5000.0}
    manner = Manner(test=True)
    intervals = [
        {"id": one["id"], "payloads": [{**p, "type": manner.type_of(p["type"])} for p in one["payloads"]]}
        for one in limit_intervals(5)
    ]
    tested = wire_event(**{**body, "intervals": intervals})
    assert bind(tested).intervals[0].signals == {}
    plain, said = told_apart(tested)
    assert bind(plain).intervals[0].signals == {SignalKind.IMPORT_LIMIT_W: 5000.0}
    assert said == Manner(test=True)
