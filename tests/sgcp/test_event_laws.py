"""Laws of the event store and of arbitration, over arbitrary sequences of complete listings."""

from datetime import timedelta
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from cem.model.event import EventStatus, GridEvent, SignalKind
from cem.sgcp.events.arbitration import DIRECT, DefaultLimit, limit_pieces, price_pieces, subject_pieces
from cem.sgcp.events.rows import event_of, event_row
from cem.sgcp.events.store import EventStore, Listing, Rejection
from cem.sgcp.events.sweep import Stretch, winners
from cem.sgcp.events.timeline import interval_at, status
from cem.sgcp.point import ConnectionPoint
from support.ven_world import T0, at, grid_event, retailer, utility, wall

ENDLESS = timedelta(hours=24)


@st.composite
def events(draw: st.DrawFn, ids: str = "abc") -> GridEvent:
    """An event with one to three consecutive limits, future enough not to be over."""
    start = draw(st.integers(-7200, 7200))
    spans = []
    for _ in range(draw(st.integers(1, 3))):
        length = draw(st.one_of(st.none(), st.integers(3600, 20000)))
        limit = float(draw(st.integers(0, 20)) * 500)
        spans.append((start, None if length is None else start + length, {SignalKind.IMPORT_LIMIT_W: limit}))
        if length is None:
            break
        start += length
    return grid_event(draw(st.sampled_from(ids)), *spans, version=draw(st.integers(1, 4)))


@st.composite
def listings(draw: st.DrawFn) -> list[Listing]:
    """Listings as a VTN gave them one after the other: the version of an event only ever grows."""
    truth: dict[str, GridEvent] = {}
    versions: dict[str, str] = {}
    found = []
    for number in range(draw(st.integers(1, 6))):
        for event in draw(st.lists(events(), max_size=3)):
            if versions.get(event.id, "") < event.modification:
                truth[event.id] = event
                versions[event.id] = event.modification
        for event_id in draw(st.lists(st.sampled_from("abc"), max_size=1)):
            truth.pop(event_id, None)
        found.append(Listing(tuple(truth.values()), float(number)))
    return found


def follow(sequence: list[Listing]) -> EventStore:
    """The store after listings in the given order of arrival."""
    store = EventStore()
    for listing in sequence:
        store = store.after(store.difference(listing, T0, None))
    return store


@given(listings(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=60)
def test_duplicated_reordered_and_replayed_listings_give_the_state_of_the_newest(
    sequence: list[Listing], random: Random
) -> None:
    canonical = follow(sequence)
    shuffled = [*sequence, *sequence]
    random.shuffle(shuffled)
    assert follow(shuffled).events == canonical.events
    assert follow([*sequence, *sequence[:-1]]).events == canonical.events


@given(listings())
@settings(deadline=None, max_examples=60)
def test_the_same_listing_twice_changes_nothing(sequence: list[Listing]) -> None:
    store = follow(sequence)
    again = Listing(sequence[-1].events, store.asked_at_s + 1)
    assert store.difference(again, T0, None).is_empty


@given(st.permutations(["a", "b", "c"]))
def test_the_order_within_a_listing_does_not_matter(order: list[str]) -> None:
    by_id = {i: grid_event(i, (0, 3600, {SignalKind.IMPORT_LIMIT_W: 1000.0})) for i in order}
    store = follow([Listing(tuple(by_id[i] for i in order), 1.0)])
    assert list(store.events) == ["a", "b", "c"]


def test_an_older_modification_is_ignored_and_a_newer_one_taken() -> None:
    two = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 2000.0}), version=2)
    one = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 9000.0}), version=1)
    store = follow([Listing((two,), 1.0)])
    difference = store.difference(Listing((one,), 2.0), T0, None)
    assert difference.older == ("a",)
    assert store.after(difference).events["a"] == two
    assert follow([Listing((one,), 1.0), Listing((two,), 2.0)]).events["a"] == two


def test_an_older_modification_that_stays_for_a_minute_is_what_the_provider_holds() -> None:
    two = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 9000.0}), version=2)
    one = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 2000.0}), version=1)
    late = [Listing((two,), 1.0), Listing((one,), 2.0), Listing((one,), 61.0)]
    assert follow(late).events["a"] == two
    assert follow([*late, Listing((one,), 62.0)]).events["a"] == one
    assert follow([*late, Listing((two,), 61.5), Listing((one,), 62.0)]).events["a"] == two  # a late answer after all


def test_a_duplicate_on_two_pages_counts_once_and_the_newest_wins() -> None:
    old = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 9000.0}), version=1)
    new = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 2000.0}), version=2)
    assert follow([Listing((new, old), 1.0)]).events == {"a": new}


def test_a_rejected_change_keeps_what_was_accepted_and_a_disowned_event_goes() -> None:
    event = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 2000.0}))
    store = follow([Listing((event,), 1.0)])
    kept = store.difference(Listing((), 2.0, (Rejection("a", "NaN"),)), T0, None)
    assert store.after(kept).events == {"a": event}
    gone = store.difference(Listing((), 2.0, (Rejection("a", "not agreed", keep=False),)), T0, None)
    assert not store.after(gone).events


def test_absence_from_an_incomplete_listing_means_nothing() -> None:
    event = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 2000.0}))
    store = follow([Listing((event,), 1.0)])
    assert store.difference(Listing((), 2.0, complete=False), T0, None).gone == ()
    assert store.difference(Listing((), 2.0), T0, None).gone == (event,)


def test_what_ran_out_before_we_heard_of_it_is_missed_and_never_run() -> None:
    over = grid_event("a", (-3600, -1800, {SignalKind.IMPORT_LIMIT_W: 2000.0}))
    difference = EventStore().difference(Listing((over,), 1.0), T0, heard_until=wall(-7200))
    assert difference.missed == (over,)
    assert not EventStore().after(difference).events
    assert EventStore().difference(Listing((over,), 1.0), T0, heard_until=wall(-60)).missed == ()


def test_by_a_clock_that_is_not_trusted_nothing_is_missed() -> None:
    over = grid_event("a", (-3600, -1800, {SignalKind.IMPORT_LIMIT_W: 2000.0}))
    difference = EventStore().difference(Listing((over,), 1.0), T0, heard_until=wall(-7200), trusted=False)
    assert difference.missed == ()
    assert [*EventStore().after(difference).events] == ["a"]  # the clock may be set back to within it


def test_a_looping_event_is_renewed_without_being_changed() -> None:
    kind = {SignalKind.IMPORT_PRICE_PER_KWH: 0.3}
    short = grid_event("a", (0, 3600, kind))
    longer = grid_event("a", (0, 3600, kind), (3600, 7200, kind))
    store = follow([Listing((short,), 1.0)])
    difference = store.difference(Listing((longer,), 2.0), T0, None)
    assert (difference.changed, difference.renewed) == ((), (longer,))


def test_late_joining_skips_to_the_interval_of_now() -> None:
    event = grid_event(
        "a", *((n * 3600.0, (n + 1) * 3600.0, {SignalKind.IMPORT_LIMIT_W: n * 1000.0}) for n in range(24))
    )
    interval = interval_at(event, wall(6 * 3600 + 60))
    assert interval is not None
    assert interval.signals[SignalKind.IMPORT_LIMIT_W] == 6000.0


def test_an_event_walks_from_far_to_completed() -> None:
    event = grid_event("a", (7200, 10800, {SignalKind.IMPORT_LIMIT_W: 2000.0}))
    walk = [status(event, wall(s)) for s in (0, 3599, 3600, 7199, 7200, 10799, 10800)]
    far, near, active, done = EventStatus.FAR, EventStatus.NEAR, EventStatus.ACTIVE, EventStatus.COMPLETED
    assert walk == [far, far, near, near, active, active, done]


@given(events())
def test_a_stored_event_comes_back_as_it_was(event: GridEvent) -> None:
    assert event_of(event_row(event)) == event


@given(st.lists(events("abcdefgh"), max_size=8), st.integers(-9000, 60000))
@settings(deadline=None, max_examples=60)
def test_the_limit_in_force_is_the_smallest_of_all_that_cover_the_moment(found: list[GridEvent], second: int) -> None:
    moment = wall(second)
    pieces = limit_pieces(found, "import", DefaultLimit(), trusted=True, endless=ENDLESS)
    covering = [i.signals[SignalKind.IMPORT_LIMIT_W] for e in found if (i := interval_at(e, moment)) is not None]
    piece = pieces.at(moment)
    assert (None if piece is None else piece.value) == min(covering, default=None)


@given(st.lists(events("abcdefgh"), max_size=8), st.integers(0, 60000), st.integers(0, 12000), st.booleans())
@settings(deadline=None, max_examples=60)
def test_losing_the_link_never_widens_a_limit(
    found: list[GridEvent], second: int, default_w: int, understood: bool
) -> None:
    moment = wall(second)
    default = DefaultLimit(float(default_w), in_force=True, stands_in=not understood)
    online = limit_pieces(found, "import", DefaultLimit(), trusted=True, endless=ENDLESS).at(moment)
    lost = limit_pieces(found, "import", default, trusted=True, endless=ENDLESS).at(moment)
    assert lost is not None
    assert online is None or lost.value <= online.value


@given(
    st.lists(st.tuples(st.integers(0, 50), st.one_of(st.none(), st.integers(0, 60)), st.integers(0, 5)), max_size=12)
)
@settings(deadline=None, max_examples=60)
def test_pieces_never_overlap_and_always_show_the_best_claim(claims: list[tuple[int, int | None, int]]) -> None:
    stretches = [
        Stretch(wall(s), None if e is None else wall(e), (float(v), str(n)), v) for n, (s, e, v) in enumerate(claims)
    ]
    pieces = list(winners(stretches))
    for (_, before, _), (start, _, _) in pairwise(pieces):
        assert before is not None
        assert before <= start
    for second in range(62):
        moment = wall(second + 0.5)
        best = min((s.value for s in stretches if s.covers(moment)), default=None)
        shown = [w.value for s, e, w in pieces if s <= moment and (e is None or moment < e)]
        assert shown == ([] if best is None else [best])


def test_prices_follow_priority_then_the_site_file_then_the_newest() -> None:
    def won(*claims: tuple[int, GridEvent]) -> str:
        piece = price_pieces(claims, SignalKind.IMPORT_PRICE_PER_KWH).at(wall(10))
        assert piece is not None
        assert piece.event is not None
        return piece.event.id

    def priced(event_id: str, priority: int, received: float = 0.0) -> GridEvent:
        kind = {SignalKind.IMPORT_PRICE_PER_KWH: 0.3}
        return grid_event(event_id, (0, 100, kind), provider=retailer(), priority=priority, received=received)

    assert won((1, priced("high", 0)), (0, priced("low", 5))) == "high"
    assert won((1, priced("second", 5)), (0, priced("first", 5))) == "first"
    assert won((0, priced("older", 5)), (0, priced("newer", 5, 60))) == "newer"
    assert won((0, priced("b", 5)), (0, priced("a", 5))) == "a"


def test_dispatch_goes_to_the_resource_that_an_event_targets_else_to_the_site() -> None:
    power = {SignalKind.DISPATCH_W: -2000.0}
    site = grid_event("s", (0, 100, power), targets=("group-1",))
    battery = grid_event("b", (0, 100, power), targets=("battery",))
    assert set(subject_pieces([(0, site), (0, battery)], frozenset({"battery"}), DIRECT)) == {"site", "battery"}


def test_a_cancelled_event_does_not_come_back_by_an_older_listing() -> None:
    point = ConnectionPoint([utility()])
    event = grid_event("a", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 2000.0}))

    def receive(listing: Listing, now_s: float) -> None:
        difference, _ = point.difference("utility", listing, at(now_s))
        point.apply("utility", difference, at(now_s))

    receive(Listing((event,), 1.0), 1)
    receive(Listing((), 2.0), 2)
    receive(Listing((event,), 1.0), 3)
    directive = point.directive(at(4))
    assert [e.status for e in directive.events] == [EventStatus.CANCELLED]
    assert all("event a" not in envelope.reason for envelope in directive.envelopes)
