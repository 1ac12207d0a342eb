"""The link as time tables: what happens, and which state follows."""

from dataclasses import replace

import pytest

from cem.model.directive import Directive, LinkState
from cem.model.event import GridEvent, SignalKind
from cem.model.provider import Provider
from cem.sgcp.durable import Json
from cem.sgcp.events.rows import event_row
from cem.sgcp.events.store import Listing, Rejection
from cem.sgcp.link.supervision import TRANSITIONS, Cause
from cem.sgcp.point import ConnectionPoint
from support.ven_world import at, grid_event, retailer, utility

ONLINE, STALE, HOLD = LinkState.ONLINE, LinkState.STALE, LinkState.HOLD
FALLBACK, RESYNC = LinkState.FALLBACK, LinkState.RESYNC
LIMIT = {SignalKind.IMPORT_LIMIT_W: 3000.0}
PRICE = {SignalKind.IMPORT_PRICE_PER_KWH: 0.25}


class Bench:
    """A connection point with one provider; times in seconds."""

    def __init__(self, provider: Provider, boot: str = "") -> None:
        self.provider = provider
        self.point = ConnectionPoint([provider], boot=boot)

    def online(self, second: float, *events: GridEvent) -> None:
        """A whole resynchronisation with these events."""
        self.point.answered(self.provider.id, at(second))
        listing = Listing(events, at(second).mono_s)
        difference, _ = self.point.difference(self.provider.id, listing, at(second))
        self.point.apply(self.provider.id, difference, at(second))
        self.point.synchronised(self.provider.id, at(second))

    def directive(self, second: float, trusted: bool = True) -> Directive:
        """The directive at a second."""
        return self.point.directive(at(second, trusted))

    def state(self, second: float) -> LinkState:
        """The link's state at a second."""
        return self.directive(second).links[0].state

    def import_limit_w(self, second: float, trusted: bool = True) -> float | None:
        """The strictest import limit in force."""
        limits = [e.max_w for e in self.directive(second, trusted).envelopes if e.max_w is not None]
        return min(limits, default=None)


def covered(limit: float, until: float | None, start: float = 0) -> GridEvent:
    """A mandatory import limit."""
    return grid_event("limit", (start, until, {SignalKind.IMPORT_LIMIT_W: limit}))


def test_a_link_grows_stale_then_holds_then_falls_back_and_the_event_runs_to_its_end() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0, covered(3000.0, 1000))
    table = [(0, ONLINE), (59, ONLINE), (60, STALE), (119, STALE), (120, HOLD), (999, HOLD), (1000, FALLBACK)]
    assert [(s, bench.state(s)) for s, _ in table] == table


def test_the_states_do_not_depend_on_how_often_one_looks() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0, covered(3000.0, 1000))
    assert bench.state(5000) is FALLBACK
    assert bench.import_limit_w(5000) == 4200.0


def test_what_holds_in_each_state() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0, covered(3000.0, 1000))
    held = [bench.import_limit_w(s) for s in (0, 60, 120, 999.9, 1000, 10**6)]
    assert held == [3000.0, 3000.0, 3000.0, 3000.0, 4200.0, 4200.0]


def test_online_without_an_event_means_no_limit_and_a_long_outage_never_does() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0)
    assert bench.import_limit_w(1) is None
    assert bench.import_limit_w(119) is None
    assert bench.import_limit_w(120) == 4200.0
    assert bench.import_limit_w(86400 * 30) == 4200.0


def test_a_mandatory_provider_without_any_default_still_has_a_limit() -> None:
    bench = Bench(utility(stale_s=60.0, default_import_limit_w=None))
    assert bench.import_limit_w(0) == 4200.0
    strict = Bench(utility(stale_s=60.0, default_import_limit_w=None))
    strict.online(0, covered(1500.0, 100))
    assert strict.import_limit_w(99) == 1500.0
    assert strict.import_limit_w(101) is None
    assert strict.import_limit_w(300) == 1500.0


def test_the_subscription_outranks_the_contracts_default_and_holds_without_an_event() -> None:
    subscription = grid_event("sub", (0, None, {SignalKind.DEFAULT_IMPORT_LIMIT_W: 7000.0}))
    bench = Bench(utility(stale_s=60.0))
    bench.online(0, subscription, covered(9000.0, 1000))
    assert [bench.import_limit_w(s) for s in (10, 999, 1000, 5000)] == [9000.0, 9000.0, 7000.0, 7000.0]


def test_a_stored_future_limit_still_runs_at_its_time_after_the_fallback() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0, covered(2000.0, 4600, start=3600))
    assert (bench.state(200), bench.import_limit_w(200)) == (FALLBACK, 4200.0)
    assert (bench.state(3600), bench.import_limit_w(3600)) == (HOLD, 2000.0)
    assert (bench.state(4600), bench.import_limit_w(4600)) == (FALLBACK, 4200.0)


def test_a_voluntary_provider_falls_back_half_an_hour_after_its_schedule_ran_out() -> None:
    bench = Bench(retailer(stale_s=60.0))
    bench.online(0, grid_event("price", (0, 1000, PRICE), provider=bench.provider))
    table = [(119, STALE), (120, HOLD), (1000, HOLD), (2799, HOLD), (2800, FALLBACK)]
    assert [(s, bench.state(s)) for s, _ in table] == table


def test_prices_and_dispatch_are_dropped_in_the_fallback_only() -> None:
    signals = {**PRICE, SignalKind.DISPATCH_W: -1000.0}
    bench = Bench(retailer(stale_s=60.0, fallback_open_ended_s=14400.0))
    bench.online(0, grid_event("steer", (0, None, signals), provider=bench.provider))
    before = bench.directive(14519)
    assert (before.links[0].state, len(before.prices), len(before.dispatches)) == (HOLD, 1, 1)
    after = bench.directive(14520)
    assert (after.links[0].state, len(after.prices), len(after.dispatches)) == (FALLBACK, 0, 0)


def test_an_open_ended_limit_stays_after_four_hours_and_is_never_widened_by_the_default() -> None:
    strict, wide = Bench(utility(stale_s=60.0)), Bench(utility(stale_s=60.0))
    strict.online(0, covered(1000.0, None))
    wide.online(0, covered(9000.0, None))
    assert [strict.import_limit_w(s) for s in (10, 20000)] == [1000.0, 1000.0]
    assert [wide.import_limit_w(s) for s in (10, 14519, 14520)] == [9000.0, 9000.0, 4200.0]


def test_the_fallback_holds_until_the_whole_resynchronisation_is_done() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0)
    assert bench.import_limit_w(500) == 4200.0
    assert bench.point.answered("utility", at(500)) is RESYNC
    assert bench.import_limit_w(501) == 4200.0
    assert bench.point.failed("utility", at(502), "no answer", "wait") is FALLBACK
    assert bench.import_limit_w(503) == 4200.0
    bench.online(510)
    assert (bench.state(510), bench.import_limit_w(510)) == (ONLINE, None)


def test_a_resynchronisation_out_of_hold_keeps_to_the_schedule() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0, covered(6000.0, 3600))
    assert bench.state(200) is HOLD
    assert bench.point.answered("utility", at(200)) is RESYNC
    assert bench.import_limit_w(201) == 6000.0


def test_a_short_silence_needs_no_resynchronisation() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0)
    assert bench.state(70) is STALE
    assert bench.point.answered("utility", at(71)) is ONLINE


@pytest.mark.parametrize(
    ("stored", "trusted", "state", "limit_w"),
    [
        (True, True, HOLD, 3000.0),
        (False, True, FALLBACK, 4200.0),
        (True, False, FALLBACK, 4200.0),
        (False, False, FALLBACK, 4200.0),
    ],
)
def test_a_start_without_a_link(stored: bool, trusted: bool, state: LinkState, limit_w: float) -> None:
    bench = Bench(utility())
    event = covered(3000.0, 3600)
    rows = {"utility/limit": event_row(event)} if stored else {}
    assert bench.point.restore("utility", rows, {}, at(60, trusted)) == []
    assert bench.directive(61, trusted).links[0].state is state
    assert bench.import_limit_w(61, trusted) == limit_w


def restarted(row: Json, *, second: float, boot: str = "b", trusted: bool = True, **events: Json) -> Bench:
    """A new run on what the former one had stored."""
    bench = Bench(utility(stale_s=60.0), boot)
    rows = {f"utility/{key}": event for key, event in events.items()}
    assert bench.point.restore("utility", rows, {"utility": row}, at(second, trusted)) == []
    return bench


def stored(bench: Bench, second: float) -> Json:
    """The row of the link as JSON keeps it."""
    return bench.point.limit_row("utility", at(second)).value


def test_a_restart_of_the_gateway_alone_is_a_moment_of_silence() -> None:
    former = Bench(utility(stale_s=60.0), "b")
    former.online(0)
    bench = restarted(stored(former, 10), second=20)
    assert (bench.state(21), bench.import_limit_w(21)) == (STALE, None)
    assert bench.directive(21).links[0].detail == "started; no contact yet"
    assert [(s, bench.state(s), bench.import_limit_w(s)) for s in (79, 80)] == [(79, STALE, None), (80, FALLBACK, 4200)]
    back = restarted(stored(former, 10), second=20)
    assert back.point.answered("utility", at(22)) is RESYNC  # everything is fetched anew
    assert (back.import_limit_w(23), back.directive(23).links[0].falls_back) == (None, False)
    assert back.point.failed("utility", at(24), "no answer", "wait") is STALE
    back.online(25)
    assert (back.state(26), back.import_limit_w(26)) == (ONLINE, None)


def test_a_stored_event_holds_over_a_restart_and_what_only_answers_frees_nobody() -> None:
    former = Bench(utility(stale_s=60.0), "b")
    former.online(0, covered(3000.0, 3600))
    bench = restarted(stored(former, 10), second=20, limit=event_row(covered(3000.0, 3600)))
    assert bench.point.answered("utility", at(22)) is RESYNC
    assert [bench.import_limit_w(s) for s in (21, 23, 79)] == [3000.0, 3000.0, 3000.0]
    assert [(bench.state(s), bench.import_limit_w(s)) for s in (80, 3599)] == [(RESYNC, 3000.0), (RESYNC, 3000.0)]
    assert bench.import_limit_w(3601) == 4200.0  # half an answer keeps no link up


@pytest.mark.parametrize(
    ("row", "boot", "second", "trusted", "why"),
    [
        ({}, "other", 20, True, "its machine was started anew, as after a power cut"),
        ({}, "", 20, True, "nobody can tell whether it was"),
        ({}, "b", 20, False, "the clock is not to be trusted"),
        ({}, "b", 3700, True, "it may have been away for long"),
        ({"state": "stale"}, "b", 20, True, "the link was not good before"),
        ({"failing": True}, "b", 20, True, "the last turn had failed"),
        ({"stands_in": True}, "b", 20, True, "a limit was not understood"),
        ({"last_success_at": None}, "b", 20, True, "it was never up"),
    ],
)
def test_after_other_starts_the_default_holds_before_any_contact(
    row: dict[str, Json], boot: str, second: float, trusted: bool, why: str
) -> None:
    former = Bench(utility(stale_s=60.0), "b")
    former.online(0)
    known = stored(former, 10)
    assert isinstance(known, dict)
    bench = restarted(known | row, second=second, boot=boot, trusted=trusted)
    assert bench.import_limit_w(second + 1, trusted) == 4200.0, why


def test_what_was_not_understood_is_on_disk() -> None:
    former = Bench(utility(stale_s=60.0), "b")
    former.online(0)
    rejected = Rejection("bad", "IMPORT_CAPACITY_LIMIT in THERMS", limits=True)
    _, rows = former.point.difference("utility", Listing((), at(5).mono_s, (rejected,)), at(5))
    assert [row.value["stands_in"] for row in rows if isinstance(row.value, dict)] == [True]


def test_a_link_that_is_not_up_yet_is_not_lost_until_it_was_away_for_its_time() -> None:
    new = Bench(utility(stale_s=60.0))
    assert [new.directive(s).links[0].awaited for s in (1, 10**6)] == [True, True]  # it never was up
    former = Bench(utility(stale_s=60.0), "b")
    former.online(0)
    bench = restarted(stored(former, 10), second=20, boot="other")
    told = [(s, bench.directive(s).links[0].awaited) for s in (21, 139, 140)]
    assert told == [(21, True), (139, True), (140, False)]
    lost = Bench(utility(stale_s=60.0))
    lost.online(0)
    assert not lost.directive(500).links[0].awaited


def test_no_schedule_runs_while_the_clock_cannot_be_trusted_not_even_online() -> None:
    bench = Bench(utility())
    bench.online(0, covered(9000.0, 3600), grid_event("open", (0, None, {SignalKind.IMPORT_LIMIT_W: 8000.0})))
    assert bench.import_limit_w(1, trusted=False) == 4200.0
    assert bench.import_limit_w(2, trusted=True) == 8000.0
    priced = Bench(retailer())
    priced.online(0, grid_event("price", (0, 1000, PRICE), provider=priced.provider))
    assert priced.directive(1, trusted=False).prices == ()


def test_an_unusable_mandatory_limit_means_the_default_not_no_limit() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0, covered(6000.0, 3600))
    rejected = Rejection("bad", "IMPORT_CAPACITY_LIMIT in THERMS", limits=True)
    known = tuple(bench.point.events("utility", at(1)).values())
    difference, _ = bench.point.difference("utility", Listing(known, at(1).mono_s, (rejected,)), at(1))
    bench.point.apply("utility", difference, at(1))
    envelope = min(bench.directive(2).envelopes, key=lambda e: e.max_w or 1e9)
    assert envelope.max_w == 4200.0
    assert "THERMS" in envelope.reason


def test_every_cause_has_its_row_and_only_a_whole_resynchronisation_leads_back_online() -> None:
    back = {(state, cause) for (state, cause), to in TRANSITIONS.items() if to is ONLINE and state is not ONLINE}
    assert back == {(STALE, Cause.ANSWER), (RESYNC, Cause.SYNCHRONISED)}
    assert {cause for _, cause in TRANSITIONS} == set(Cause)


def test_a_wall_clock_jump_moves_no_link() -> None:
    bench = Bench(utility(stale_s=60.0))
    bench.online(0)
    moment = at(30)
    jumped = replace(moment, wall=moment.wall.replace(year=2027))
    assert bench.point.directive(jumped).links[0].state is ONLINE


@pytest.mark.parametrize(
    ("provider", "state", "words"),
    [(utility(), FALLBACK, "default limit"), (retailer(), FALLBACK, "own tariff")],
    ids=["mandatory", "voluntary"],
)
def test_the_words_say_what_holds_and_what_to_do(provider: Provider, state: LinkState, words: str) -> None:
    bench = Bench(provider)
    bench.point.failed(provider.id, at(1), "the VTN refused the credentials", "Check client_id.")
    link = bench.directive(2).links[0]
    assert link.state is state
    assert words in link.detail
    assert "refused the credentials" in link.detail
    assert link.advice == "Check client_id."
