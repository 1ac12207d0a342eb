"""A provider with far more events than a house needs: bounded, shown in part, and never in the way of obligations."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.model.event import EventStatus, GridEvent, SignalKind
from cem.model.provider import Programme
from cem.sgcp.bindings.openadr3 import Binding, Bounds, Fetched
from cem.sgcp.bindings.openadr3_rooms import Intake
from cem.sgcp.events.shown import MOST_SHOWN
from cem.sgcp.events.store import Listing, Rejection
from cem.sgcp.events.timeline import interval_after, interval_at
from cem.sgcp.point import ConnectionPoint
from cem.sgcp.service import MOST_CANCELLED
from cem.sgcp.words import asked, kilowatts
from cem.wire.openadr3 import Event
from support.ven_world import T0, at, grid_event, limit_intervals, utility, wall, wire_event, wire_program

PERIOD = {"start": "2026-01-15T12:00:00Z", "duration": "PT1H"}
PROVIDER = utility(programmes=(Programme("dimming", mandatory=True), Programme("tariff")))
PROGRAMS = {"p-dimming": wire_program(), "p-tariff": wire_program("tariff")}


def take(point: ConnectionPoint, second: float, *events: GridEvent, rejected: tuple[Rejection, ...] = ()) -> None:
    """A complete listing."""
    service = point.service("utility", at(second))
    difference, _ = service.difference(Listing(events, at(second).mono_s, rejected), wall(second))
    point.apply("utility", difference, at(second))


def limited(number: int, generation: int = 0) -> GridEvent:
    """An event with an import limit that nobody else has."""
    return grid_event(f"g{generation}-{number:04}", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 5000.0 + number}))


def prices(event_id: str, count: int) -> Event:
    """A tariff of many intervals."""
    intervals = limit_intervals(*[0.3 + n / 1000 for n in range(count)], kind="PRICE")
    return wire_event(event_id, "tariff", intervalPeriod={**PERIOD, "duration": "PT1M"}, intervals=intervals)


def test_what_was_cancelled_is_remembered_in_a_bounded_number() -> None:
    point = ConnectionPoint([utility()])
    for second in range(5):
        take(point, second, *(limited(n, second) for n in range(900)))
    service = point.service("utility", at(5))
    assert len(service.cancelled) == MOST_CANCELLED
    assert {event.id.partition("-")[0] for event, _ in service.cancelled.values()} == {"g3"}


def test_at_most_fifty_events_are_shown_and_the_rest_is_counted() -> None:
    point = ConnectionPoint([utility()])
    take(point, 0, *(limited(n) for n in range(900)))
    directive = point.directive(at(1))
    assert len(directive.events) == MOST_SHOWN
    assert "50 events are shown and 850 more are not" in directive.links[0].detail
    assert [envelope.max_w for envelope in directive.envelopes] == [5000.0]


def test_a_running_event_is_shown_before_those_to_come_and_those_that_are_over() -> None:
    point = ConnectionPoint([utility()])
    limit = {SignalKind.IMPORT_LIMIT_W: 4000.0}
    far = [grid_event(f"a{n:03}", (90_000 + n, 99_000, limit)) for n in range(80)]
    take(point, 0, *far, grid_event("z-now", (0, 3600, limit)))
    found = point.directive(at(1)).events
    assert (found[0].id, found[0].status) == ("z-now", EventStatus.ACTIVE)
    assert [event.id for event in found[1:]] == [f"a{n:03}" for n in range(MOST_SHOWN - 1)]


def test_an_event_that_is_not_acted_on_is_shown_with_its_reason_since_it_was_first_seen() -> None:
    point = ConnectionPoint([utility()])
    refused = Rejection("absurd", "PRICE of 99999 per kWh; at most 10000 is believed")
    take(point, 0, rejected=(refused, Rejection("foreign", "not ours", keep=False)))
    take(point, 30, rejected=(refused,))
    (shown,) = point.directive(at(31)).events
    assert (shown.id, shown.status, shown.start) == ("absurd", EventStatus.REFUSED, T0)
    assert shown.asks == "not acted on: PRICE of 99999 per kWh; at most 10000 is believed"
    take(point, 60)
    assert point.directive(at(61)).events == ()


def test_an_event_of_an_unknown_type_says_that_it_is_not_supported() -> None:
    binding = Binding(utility(), lambda: 0.0)
    body = wire_event(intervalPeriod=PERIOD, intervals=limit_intervals(1, kind="FROBNICATE"))
    event = binding.event(body, wire_program(), None, {}, T0)
    assert isinstance(event, GridEvent)
    point = ConnectionPoint([utility()])
    take(point, 0, event)
    assert [shown.asks for shown in point.directive(at(1)).events] == ["not supported: FROBNICATE"]


def test_several_faults_of_obligations_are_one_line() -> None:
    point = ConnectionPoint([utility()])
    faults = tuple(Rejection(f"e{n}", "its targets[0] must be text", limits=True) for n in range(300))
    point.answered("utility", at(0))
    take(point, 0, rejected=faults)
    point.synchronised("utility", at(0))
    (envelope,) = point.directive(at(1)).envelopes
    assert envelope.reason.endswith("(event e0: its targets[0] must be text; and 299 more)")


def bound(binding: Binding, events: list[Event], known: dict[str, GridEvent] | None = None) -> Listing:
    """A complete listing, bound."""
    return binding.listing(Fetched(events, [], PROGRAMS, 1.0), known or {}, {}, T0)


def test_a_busy_tariff_never_crowds_out_an_obligation() -> None:
    binding = Binding(PROVIDER, lambda: 0.0, Bounds(max_all_intervals=100))
    dim = wire_event("dim", intervalPeriod=PERIOD, intervals=limit_intervals(4))
    listing = bound(binding, [*(prices(f"p{n}", 60) for n in range(9)), dim])
    assert [event.id for event in listing.events] == ["p0", "dim"]
    assert {rejection.limits for rejection in listing.rejected} == {False}
    assert "more than 100 intervals together" in listing.rejected[0].reason


def test_obligations_without_room_bring_the_default_limit() -> None:
    binding = Binding(PROVIDER, lambda: 0.0, Bounds(max_all_intervals=3))
    dims = [wire_event(f"d{n}", intervalPeriod=PERIOD, intervals=limit_intervals(4 + n)) for n in range(5)]
    listing = bound(binding, dims)
    assert [event.id for event in listing.events] == ["d0", "d1", "d2"]
    assert [(r.event_id, r.keep, r.limits) for r in listing.rejected] == [("d3", True, True), ("d4", True, True)]


def test_what_is_read_beyond_all_room_still_shows_that_it_is_an_obligation() -> None:
    intake = Intake(100)
    dim = wire_event("dim", intervalPeriod=PERIOD, intervals=limit_intervals(*[4.0] * 50))
    kept = [intake.kept(event) for event in (prices("p0", 60), prices("p1", 60), prices("p0", 60), dim)]
    assert [len(event.intervals) for event in kept] == [60, 1, 60, 1]
    fetched = Fetched([*kept[:2], kept[3]], [], PROGRAMS, 1.0, cut=intake.cut)
    listing = Binding(PROVIDER, lambda: 0.0).listing(fetched, {}, {}, T0)
    assert [event.id for event in listing.events] == ["p0"]
    assert {r.event_id: r.limits for r in listing.rejected} == {"p1": False, "dim": True}


@given(st.lists(st.lists(st.integers(0, 9), min_size=6, max_size=6), min_size=1, max_size=6))
def test_no_row_of_changes_makes_the_held_events_outgrow_their_room(rounds: list[list[int]]) -> None:
    most = 20
    binding = Binding(PROVIDER, lambda: 0.0, Bounds(max_all_intervals=most))
    known: dict[str, GridEvent] = {}
    for sizes in rounds:
        events = [prices(f"p{n}", size) for n, size in enumerate(sizes)]
        listing = bound(binding, events, known)
        left = {r.event_id: known[r.event_id] for r in listing.rejected if r.keep and r.event_id in known}
        known = {**left, **{event.id: event for event in listing.events}}
        assert sum(len(event.intervals) for event in known.values()) <= most


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20)), max_size=8), st.integers(-10, 600))
def test_the_interval_of_a_moment_is_the_one_that_covers_it(spans: list[tuple[int, int]], second: int) -> None:
    edge, intervals = 0.0, []
    for length, gap in spans:
        intervals.append((edge + gap, edge + gap + length, {SignalKind.IMPORT_LIMIT_W: 1.0}))
        edge += gap + length
    event, now = grid_event("e", *intervals), wall(second)
    covering = [i for i in event.intervals if i.start <= now and i.end is not None and now < i.end]
    assert interval_at(event, now) == (covering[0] if covering else None)
    assert interval_after(event, now) == next((i for i in event.intervals if i.start > now), None)


@pytest.mark.parametrize(
    ("power_w", "words"),
    [
        (0.0, "0 kW"),
        (-0.0, "0 kW"),
        (0.01, "0 kW"),
        (4200.0, "4.2 kW"),
        (11_040.0, "11 kW"),
        (99_960.0, "100 kW"),
        (5_000_000.0, "5000 kW"),
        (1e9, "1000000 kW"),
    ],
)
def test_a_power_is_never_written_with_an_exponent(power_w: float, words: str) -> None:
    assert kilowatts(power_w) == words


@pytest.mark.parametrize(("price", "words"), [(0.3123, "0.3123"), (9999.9, "10000"), (0.00001, "0.000010"), (0.0, "0")])
def test_a_price_is_never_written_with_an_exponent(price: float, words: str) -> None:
    assert asked({SignalKind.IMPORT_PRICE_PER_KWH: price}) == f"import at {words}/kWh"


def test_a_limit_that_no_house_can_reach_says_to_check_the_unit() -> None:
    assert "check the unit" in asked({SignalKind.IMPORT_LIMIT_W: 5_000_000.0})
    assert "check" not in asked({SignalKind.IMPORT_LIMIT_W: 43_470.0})


KW = {"payloadType": "IMPORT_CAPACITY_LIMIT", "units": "KW"}
BODY: dict[str, Any] = {"intervalPeriod": PERIOD, "intervals": limit_intervals(5000)}


def test_a_corrected_unit_of_the_programme_changes_an_event_that_is_the_same() -> None:
    binding = Binding(utility(), lambda: 0.0)
    wrong = binding.event(wire_event(**BODY), wire_program(payloadDescriptors=[KW]), None, {}, T0)
    assert isinstance(wrong, GridEvent)
    right = wire_program(payloadDescriptors=[{**KW, "units": "W"}])
    corrected = binding.event(wire_event(**BODY), right, wrong, {}, T0 + timedelta(seconds=30))
    assert isinstance(corrected, GridEvent)
    assert corrected.modification != wrong.modification
    point = ConnectionPoint([utility()])
    take(point, 0, wrong)
    take(point, 30, corrected)
    assert [envelope.max_w for envelope in point.directive(at(31)).envelopes] == [5000.0]


def test_a_programme_that_is_not_listed_for_a_while_changes_no_unit() -> None:
    binding = Binding(utility(), lambda: 0.0)
    program = wire_program(payloadDescriptors=[{**KW, "units": "W"}])
    known = binding.event(wire_event(**BODY), program, None, {}, T0)
    assert isinstance(known, GridEvent)
    assert binding.event(wire_event(**BODY), None, known, {}, T0) == known
    changed = wire_event(intervalPeriod=PERIOD, intervals=limit_intervals(4000))
    outcome = binding.event(changed, None, known, {}, T0)
    assert isinstance(outcome, Rejection)
    assert (outcome.keep, outcome.limits) == (True, True)
    assert "units are not known" in outcome.reason
