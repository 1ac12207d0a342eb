"""Laws over any course of events, losses, returns and restarts: nothing is widened, nothing runs twice or late."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cem.model.directive import Directive, LinkState
from cem.model.event import EventStatus, GridEvent, SignalKind
from cem.model.time import Instant
from cem.sgcp import durable
from cem.sgcp.durable import Json, Row
from cem.sgcp.events.store import Listing
from cem.sgcp.point import ConnectionPoint
from support.ven_world import at, grid_event, utility

PROVIDER = utility(stale_s=60.0)
DEFAULT_W = 4200.0
LIMITS_W = [1500.0, 3000.0, 6000.0, 9000.0]
DAY = 86400


@dataclass(frozen=True)
class Ordered:
    """What the VTN has under one name."""

    start: int
    end: int
    limit_w: float
    version: int

    def event(self, name: str) -> GridEvent:
        """As it is bound."""
        span = (self.start, self.end, {SignalKind.IMPORT_LIMIT_W: self.limit_w})
        return grid_event(name, span, provider=PROVIDER, version=self.version)


def limit_w(directive: Directive) -> float | None:
    """The strictest import limit in force."""
    return min((e.max_w for e in directive.envelopes if e.max_w is not None), default=None)


class Course(RuleBasedStateMachine):
    """The connection point beside a model of a few lines, which knows only the rules, and a twin that loses nothing."""

    @initialize()
    def begin(self) -> None:
        """Nothing is known of anybody."""
        self.second = 0.0
        self.trusted = True
        self.ordered: dict[str, Ordered] = {}
        self.accepted: dict[str, Ordered] = {}
        self.heard_s: float | None = None
        self.lost = True
        self.versions = 0
        self.disk: dict[tuple[str, str], str] = {}
        self.ran: dict[str, set[str]] = {}
        self.boots = 0
        self.point = ConnectionPoint([PROVIDER], boot="0")
        self.twin = ConnectionPoint([PROVIDER])
        self.point.restore(PROVIDER.id, {}, {}, self.now)
        self.twin.restore(PROVIDER.id, {}, {}, self.now)
        self.fetch(self.twin, answered=True)

    @property
    def now(self) -> Instant:
        """On both clocks."""
        return at(self.second, self.trusted)

    # --- what happens ------------------------------------------------------------------------------------------

    @rule(
        name=st.sampled_from("abc"),
        ahead=st.integers(-7200, 7200),
        span=st.integers(60, DAY // 2),
        w=st.sampled_from(LIMITS_W),
    )
    def orders(self, name: str, ahead: int, span: int, w: float) -> None:
        """The VTN makes or changes an event; it may lie in the past."""
        self.versions += 1
        start = int(self.second) + ahead
        self.ordered[name] = Ordered(start, start + span, w, self.versions)

    @rule(name=st.sampled_from("abc"))
    def takes_back(self, name: str) -> None:
        """The VTN removes an event."""
        self.ordered.pop(name, None)

    @rule(seconds=st.sampled_from([1.0, 29.0, 61.0, 200.0, 3600.0, 15000.0, 7.0 * DAY]))
    def passes(self, seconds: float) -> None:
        """Time, without an answer, which is noticed before the link is lost."""
        self.second += seconds
        if self.heard_s is None or self.now.mono_s - self.heard_s >= 60.0:
            self.fails()

    @rule()
    def fails(self) -> None:
        """A request that fails says nothing about what holds."""
        self.point.failed(PROVIDER.id, self.now, "no connection", "look")
        self.write([self.point.limit_row(PROVIDER.id, self.now)])

    @rule()
    def answers(self) -> None:
        """A whole turn that goes well."""
        self.fetch(self.point, answered=True)
        self.keep_accepted()
        self.heard_s, self.lost = self.now.mono_s, False
        self.fetch(self.twin, answered=True)

    @precondition(lambda self: self.is_lost())
    @rule()
    def answers_and_fails(self) -> None:
        """A resynchronisation that ends before it is whole: what was listed counts, the link is as lost as before."""
        self.lost = True
        self.fetch(self.point, answered=False)
        self.keep_accepted()
        self.point.failed(PROVIDER.id, self.now, "broken off", "look")
        self.fetch(self.twin, answered=True)

    @rule(trusted=st.booleans(), rebooted=st.booleans())
    def restarts(self, trusted: bool, rebooted: bool) -> None:
        """A kill, or a power cut: what is on disk is all there is, and the clock may be unknown."""
        self.second += 30.0
        self.trusted = trusted
        self.boots += rebooted
        rows: dict[str, dict[str, Json]] = {durable.EVENT: {}, durable.LIMIT: {}}
        for (kind, key), text in self.disk.items():
            rows[kind][key] = json.loads(text)
        self.point = ConnectionPoint([PROVIDER], boot=str(self.boots))
        assert self.point.restore(PROVIDER.id, rows[durable.EVENT], rows[durable.LIMIT], self.now) == []
        if self.was_well(rows[durable.LIMIT].get(PROVIDER.id), rebooted=rebooted):
            self.heard_s = self.now.mono_s - 60.0  # as if it had only now grown stale
        else:
            self.lost = True
        self.write([self.point.limit_row(PROVIDER.id, self.now)])

    def was_well(self, row: Json, *, rebooted: bool) -> bool:
        """Whether the link of the former run was told as good, and not too long ago."""
        if rebooted or not self.trusted or not isinstance(row, dict) or row["state"] != "online" or row["failing"]:
            return False
        heard_at = datetime.fromisoformat(str(row["last_success_at"]))
        return (self.now.wall - heard_at).total_seconds() <= 3660.0

    @precondition(lambda self: not self.trusted)
    @rule()
    def learns_the_time(self) -> None:
        """The clock can be trusted again."""
        self.trusted = True

    # --- how it is done ----------------------------------------------------------------------------------------

    def fetch(self, point: ConnectionPoint, *, answered: bool) -> None:
        """A complete listing, its rows on disk before it counts."""
        self.second += 0.5
        if point is self.point:
            self.is_lost()
        point.answered(PROVIDER.id, self.now)
        if point is self.point:
            self.the_limit_is_what_was_accepted_and_the_default_where_nothing_is()  # an answer alone frees nobody
        events = tuple(one.event(name) for name, one in self.ordered.items())
        difference, rows = point.difference(PROVIDER.id, Listing(events, self.now.mono_s), self.now)
        if point is self.point:
            self.write([*rows, point.limit_row(PROVIDER.id, self.now)])
        point.apply(PROVIDER.id, difference, self.now)
        if answered:
            point.synchronised(PROVIDER.id, self.now)
        if point is self.point:
            self.write([point.limit_row(PROVIDER.id, self.now)])

    def write(self, rows: list[Row]) -> None:
        """To disk, as JSON."""
        for row in rows:
            if row.value is None:
                self.disk.pop((row.kind, row.key), None)
            else:
                self.disk[row.kind, row.key] = json.dumps(row.value)

    def keep_accepted(self) -> None:
        """The model's: what was listed; what had run out before it was heard of never counts."""
        self.accepted = dict(self.ordered)

    def is_lost(self) -> bool:
        """Whether only a whole resynchronisation leads back."""
        if not self.lost and self.heard_s is not None and self.now.mono_s - self.heard_s >= 120.0:
            self.lost = True
        return self.lost

    def in_force(self) -> list[float]:
        """The accepted limits that cover this moment."""
        return [one.limit_w for one in self.accepted.values() if one.start <= self.second < one.end]

    # --- what must be --------------------------------------------------------------------------------------------

    @invariant()
    def the_limit_is_what_was_accepted_and_the_default_where_nothing_is(self) -> None:
        """To the watt, at every moment."""
        lost, covering = self.is_lost(), self.in_force()
        found = limit_w(self.point.directive(self.now))
        if not self.trusted or (lost and not covering):
            assert found == DEFAULT_W
        else:
            assert found == min(covering, default=None)

    @invariant()
    def the_state_is_the_tables(self) -> None:
        """By age, and once lost by what is scheduled."""
        state = self.point.directive(self.now).links[0].state
        if self.is_lost():
            assert state is (LinkState.HOLD if self.trusted and self.in_force() else LinkState.FALLBACK)
        else:
            assert self.heard_s is not None
            fresh = self.now.mono_s - self.heard_s < 60.0
            assert state is (LinkState.ONLINE if fresh else LinkState.STALE)

    @invariant()
    def no_limit_is_wider_than_at_a_house_that_lost_nothing(self) -> None:
        """The twin heard the same, lost no link and no power."""
        if not self.trusted:
            return
        self.twin.answered(PROVIDER.id, self.now)
        self.twin.synchronised(PROVIDER.id, self.now)
        twins_w, own_w = limit_w(self.twin.directive(self.now)), limit_w(self.point.directive(self.now))
        assert twins_w is None or (own_w is not None and own_w <= twins_w)

    @invariant()
    def nothing_runs_twice_or_late(self) -> None:
        """What is shown as running is accepted and covers the moment, and what was over once does not run again."""
        for summary in self.point.directive(self.now).events:
            held = self.accepted.get(summary.id)
            version = f"{summary.start}/{summary.end}"
            over: set[str] = self.ran.setdefault(summary.id, set())
            if summary.status is EventStatus.ACTIVE:
                assert held is not None
                assert held.start <= self.second < held.end
                assert version not in over
            elif summary.status is EventStatus.COMPLETED:
                over.add(version)


Course.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestCourse: Any = Course.TestCase
