"""The folded directive: several providers, words, next change, cost."""

from dataclasses import replace
from datetime import timedelta

from cem.model.directive import LinkState
from cem.model.envelope import SITE, Rank
from cem.model.event import EventStatus, GridEvent, SignalKind
from cem.model.provider import Programme, Provider
from cem.sgcp.durable import row_key
from cem.sgcp.events.rows import event_row
from cem.sgcp.events.store import Listing
from cem.sgcp.point import ConnectionPoint
from support.ven_world import at, grid_event, retailer, utility, wall


def receive(point: ConnectionPoint, provider: Provider, second: float, *events: GridEvent) -> None:
    """A resynchronisation of one provider with these events."""
    point.answered(provider.id, at(second))
    difference, _ = point.difference(provider.id, Listing(events, at(second).mono_s), at(second))
    point.apply(provider.id, difference, at(second))
    point.synchronised(provider.id, at(second))


def test_two_providers_are_served_at_once_and_each_limit_names_its_source() -> None:
    grid, shop = utility(), retailer(programmes=(Programme("tariff"),))
    point = ConnectionPoint([grid, shop], zone="Europe/Berlin")
    receive(point, grid, 0, grid_event("dim", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 4200.0})))
    both = {SignalKind.IMPORT_LIMIT_W: 3000.0, SignalKind.EXPORT_LIMIT_W: 0.0, SignalKind.IMPORT_PRICE_PER_KWH: 0.4}
    receive(point, shop, 0, grid_event("peak", (0, 1800, both), provider=shop))
    directive = point.directive(at(1))
    found = {(e.source, e.rank, e.min_w, e.max_w) for e in directive.envelopes}
    assert found == {
        ("utility", Rank.OBLIGATION, None, 4200.0),
        ("retailer", Rank.PROGRAMME, None, 3000.0),
        ("retailer", Rank.PROGRAMME, -0.0, None),
    }
    assert {e.subject for e in directive.envelopes} == {SITE}
    assert directive.envelopes[0].reason == "import at most 4.2 kW for utility (event dim, programme dimming)"
    assert directive.envelopes[0].until == wall(3600)
    assert [p.import_price_per_kwh for p in directive.prices] == [0.4]
    assert [link.state for link in directive.links] == [LinkState.ONLINE, LinkState.ONLINE]


def test_limits_and_prices_say_whether_their_sender_spreads_them_by_chance() -> None:
    grid = utility()
    both = {SignalKind.IMPORT_LIMIT_W: 3000.0, SignalKind.IMPORT_PRICE_PER_KWH: 0.4}
    for shift, spread in ((timedelta(), False), (timedelta(seconds=-40), True)):
        point = ConnectionPoint([grid])
        receive(point, grid, 0, replace(grid_event("peak", (0, 1800, both)), randomise=shift))
        directive = point.directive(at(1))
        assert [e.spread for e in directive.envelopes] == [spread]
        assert [w.spread for w in directive.prices] == [spread]


def test_a_default_that_holds_until_the_first_answer_after_a_start_is_no_end_for_many_houses() -> None:
    grid = utility(stale_s=60.0)
    for fails, spread in ((False, True), (True, False)):
        point = ConnectionPoint([grid])
        if fails:
            point.failed("utility", at(1), "no answer", "")
        point.answered("utility", at(2))
        assert [e.spread for e in point.directive(at(3)).envelopes] == [spread]
        receive(point, grid, 4)
        assert point.directive(at(5)).envelopes == ()
        assert [e.spread for e in point.directive(at(500)).envelopes] == [False]  # a link that was lost

    lost = ConnectionPoint([grid])
    lost.restore("utility", {}, {row_key("utility"): {"state": "fallback"}}, at(0))
    lost.answered("utility", at(2))
    assert [e.spread for e in lost.directive(at(3)).envelopes] == [False]  # it was lost before the restart


def test_losing_one_provider_leaves_the_other_as_it_is() -> None:
    grid, shop = utility(stale_s=60.0), retailer(stale_s=60.0)
    point = ConnectionPoint([grid, shop])
    receive(point, grid, 0)
    receive(point, shop, 0, grid_event("price", (0, 7200, {SignalKind.IMPORT_PRICE_PER_KWH: 0.4}), provider=shop))
    for second in range(30, 600, 30):
        point.answered("retailer", at(second))
    directive = point.directive(at(580))
    assert [link.state for link in directive.links] == [LinkState.FALLBACK, LinkState.ONLINE]
    assert [e.max_w for e in directive.envelopes] == [4200.0]
    assert len(directive.prices) == 1


def test_a_default_limit_says_whether_there_was_a_connection_at_all() -> None:
    grid = utility(stale_s=60.0)
    point = ConnectionPoint([grid])

    def why(second: float) -> str:
        (envelope,) = point.directive(at(second)).envelopes
        return envelope.reason.partition(", the default limit, ")[2]

    assert why(1) == "because there is no connection yet since the start"
    point.answered("utility", at(2))
    assert why(3) == "until everything was fetched anew"
    receive(point, grid, 4)
    assert point.directive(at(5)).envelopes == ()
    assert why(500) == "because the connection is lost, until it is back"


def test_future_limits_and_prices_are_there_for_the_plan() -> None:
    shop = retailer()
    point = ConnectionPoint([shop])
    prices = [(n * 3600.0, (n + 1) * 3600.0, {SignalKind.IMPORT_PRICE_PER_KWH: n / 10}) for n in range(4)]
    limit = grid_event("limit", (7200, 9000, {SignalKind.EXPORT_LIMIT_W: 500.0}), provider=shop)
    receive(point, shop, 0, grid_event("prices", *prices, provider=shop), limit)
    directive = point.directive(at(3700))
    assert [(w.start, w.import_price_per_kwh) for w in directive.prices] == [
        (wall(3600), 0.1),
        (wall(7200), 0.2),
        (wall(10800), 0.3),
    ]
    assert [(w.start, w.end, w.export_limit_w) for w in directive.limits] == [(wall(7200), wall(9000), 500.0)]
    assert directive.envelopes == ()


def test_import_and_export_prices_meet_in_one_window() -> None:
    shop = retailer()
    point = ConnectionPoint([shop])
    imported = grid_event("i", (0, 7200, {SignalKind.IMPORT_PRICE_PER_KWH: 0.3}), provider=shop)
    exported = grid_event("e", (3600, 9000, {SignalKind.EXPORT_PRICE_PER_KWH: 0.1}), provider=shop)
    receive(point, shop, 0, imported, exported)
    windows = [(w.start, w.end, w.import_price_per_kwh, w.export_price_per_kwh) for w in point.directive(at(1)).prices]
    assert windows == [
        (wall(0), wall(3600), 0.3, None),
        (wall(3600), wall(7200), 0.3, 0.1),
        (wall(7200), wall(9000), None, 0.1),
    ]


def test_a_price_in_another_currency_is_not_used() -> None:
    shop = retailer()
    point = ConnectionPoint([shop], currency="EUR")
    foreign = replace(
        grid_event("p", (0, 3600, {SignalKind.IMPORT_PRICE_PER_KWH: 30.0}), provider=shop), currency="JPY"
    )
    receive(point, shop, 0, foreign)
    assert point.directive(at(1)).prices == ()


def test_a_modification_while_running_and_a_cancellation_take_effect_at_once() -> None:
    grid = utility()
    point = ConnectionPoint([grid])
    receive(point, grid, 0, grid_event("dim", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 4200.0}), version=1))
    receive(point, grid, 30, grid_event("dim", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 2000.0}), version=2))
    assert [e.max_w for e in point.directive(at(31)).envelopes] == [2000.0]
    receive(point, grid, 60)
    directive = point.directive(at(61))
    assert directive.envelopes == ()
    assert [e.status for e in directive.events] == [EventStatus.CANCELLED]


def test_the_directive_is_the_same_object_until_its_next_change() -> None:
    grid = utility(poll_s=3600.0)
    point = ConnectionPoint([grid])
    receive(point, grid, 0, grid_event("dim", (100, 200, {SignalKind.IMPORT_LIMIT_W: 4200.0})))
    first = point.directive(at(1))
    assert first.next_change_at == wall(100)
    assert all(point.directive(at(second)) is first for second in range(1, 100))
    assert point.directive(at(100)) is not first
    assert [e.max_w for e in point.directive(at(100)).envelopes] == [4200.0]


def test_the_next_change_knows_the_link_as_well() -> None:
    grid = utility(stale_s=60.0)
    point = ConnectionPoint([grid])
    receive(point, grid, 0)
    assert point.directive(at(1)).next_change_at == wall(60)
    assert point.directive(at(60)).links[0].state is LinkState.STALE


def test_a_full_week_of_quarter_hours_is_folded_once_a_quarter() -> None:
    shop = retailer()
    point = ConnectionPoint([shop])
    quarters = [(n * 900.0, (n + 1) * 900.0, {SignalKind.IMPORT_PRICE_PER_KWH: n / 1000}) for n in range(672)]
    events = [grid_event(f"p{k}", *quarters, provider=shop, priority=k) for k in range(10)]
    receive(point, shop, 0, *events)
    first = point.directive(at(1))
    assert len(first.prices) >= 671
    assert all(point.directive(at(second)) is first for second in range(2, 60))


def test_every_event_says_in_words_what_it_asks() -> None:
    grid = utility()
    point = ConnectionPoint([grid])
    asked = {SignalKind.IMPORT_LIMIT_W: 4200.0, SignalKind.DISPATCH_W: -1500.0, SignalKind.IMPORT_PRICE_PER_KWH: 0.31}
    receive(point, grid, 0, replace(grid_event("dim", (0, 3600, asked)), currency="EUR", unsupported=("GHG",)))
    words = point.directive(at(1)).events[0].asks
    assert words == "give 1.5 kW, import at most 4.2 kW, import at 0.31 EUR/kWh; not supported: GHG"


def test_test_events_are_shown_and_never_actuated() -> None:
    grid = utility()
    point = ConnectionPoint([grid])
    receive(point, grid, 0, replace(grid_event("dim", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 1.0})), test=True))
    directive = point.directive(at(1))
    assert directive.envelopes == ()
    assert len(directive.events) == 1


def test_an_unreadable_stored_row_is_named_and_the_rest_is_used() -> None:
    point = ConnectionPoint([utility()])
    good = grid_event("good", (0, 3600, {SignalKind.IMPORT_LIMIT_W: 1000.0}))
    faults = point.restore("utility", {"utility/bad": {"id": 5}, "utility/good": event_row(good)}, {}, at(0))
    assert len(faults) == 1
    assert "utility/bad" in faults[0]
    assert [e.max_w for e in point.directive(at(1)).envelopes] == [1000.0]
