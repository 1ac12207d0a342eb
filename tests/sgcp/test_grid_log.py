"""The log of the grid side: entries say what changed, and a restart is no happening."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from cem.model.directive import Directive, EventSummary, GridPresence, LinkState, LinkStatus
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.event import EventStatus
from cem.model.grid_log import Happening, entry_of, entry_row
from cem.model.request import RequestKind, UserRequest
from cem.sgcp.grid_log import GridView, between, resumed, view

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def envelope(source: str, limit_w: float, side: str = "import", rank: Rank = Rank.OBLIGATION) -> Envelope:
    is_import = side == "import"
    return Envelope(SITE, None if is_import else -limit_w, limit_w if is_import else None, rank, source, "because")


def event(provider: str, name: str, status: EventStatus) -> EventSummary:
    return EventSummary(name, provider, name, status, NOW, None, "something")


def link(provider: str, state: LinkState) -> LinkStatus:
    return LinkStatus(provider, state, NOW, None, "")


def out(number: int) -> UserRequest:
    hour = timedelta(hours=1)
    return UserRequest(f"r{number}", SITE, RequestKind.OPT_OUT, NOW + hour, NOW, event_id=f"e{number}")


directives = st.builds(
    Directive,
    envelopes=st.lists(
        st.builds(
            envelope,
            st.sampled_from("ab"),
            st.sampled_from([0.0, 4200.0, 9000.0]),
            st.sampled_from(["import", "export"]),
        ),
        max_size=4,
    ).map(tuple),
    links=st.tuples(*(st.builds(link, st.just(p), st.sampled_from(LinkState)) for p in "ab")),
    events=st.lists(
        st.builds(event, st.sampled_from("ab"), st.sampled_from(["e1", "e2"]), st.sampled_from(EventStatus)),
        max_size=3,
        unique_by=lambda e: (e.provider_id, e.id),
    ).map(tuple),
    grid=st.sampled_from(GridPresence),
)


@given(st.lists(st.tuples(directives, st.sets(st.integers(1, 3))), max_size=8))
def test_what_holds_after_any_course_of_things_follows_from_the_entries_alone(
    course: Sequence[tuple[Directive, set[int]]],
) -> None:
    now, entries = GridView(), []
    for number, (directive, outs) in enumerate(course):
        after = view(directive, directive.grid, [out(n) for n in outs], now, NOW)
        entries += between(now, after, NOW + timedelta(seconds=number))
        now = after
    kept = resumed([entry_of(entry_row(entry)) for entry in entries])
    assert (kept.limits, kept.running, kept.outs) == (now.limits, now.running, now.outs)
    assert (kept.lost, kept.islanded) == (now.lost, now.islanded)
    forgotten = replace(kept, cancelled=now.cancelled)
    assert between(forgotten, now, NOW) == [], "a restart is no happening"


def test_an_event_with_its_limit_is_started_and_stopped_and_the_limit_set_changed_and_ended() -> None:
    running = Directive(envelopes=(envelope("dso", 4200.0),), events=(event("dso", "dim", EventStatus.ACTIVE),))
    looser = replace(running, envelopes=(envelope("dso", 7000.0),))
    over = Directive(events=(event("dso", "dim", EventStatus.COMPLETED),))
    seen, kinds = GridView(), []
    for directive in (Directive(), running, looser, looser, over):
        after = view(directive, directive.grid, (), seen, NOW)
        kinds.append([(e.kind, e.source, e.subject, e.value_w) for e in between(seen, after, NOW)])
        seen = after
    assert kinds == [
        [],
        [(Happening.EVENT_STARTED, "dso", "dim", None), (Happening.LIMIT_SET, "dso", "import", 4200.0)],
        [(Happening.LIMIT_CHANGED, "dso", "import", 7000.0)],
        [],
        [(Happening.EVENT_STOPPED, "dso", "dim", None), (Happening.LIMIT_ENDED, "dso", "import", None)],
    ]


def test_a_stale_link_is_not_lost_and_one_that_resynchronises_is_not_back() -> None:
    seen, kinds = GridView(), []
    order = ("online", "stale", "hold", "fallback", "resync", "online", "resync")
    for state in order:
        after = view(Directive(links=(link("dso", LinkState(state)),)), GridPresence.UNKNOWN, (), seen, NOW)
        kinds.append([e.kind for e in between(seen, after, NOW)])
        seen = after
    assert kinds == [[], [], [Happening.LINK_LOST], [], [], [Happening.LINK_BACK], []]


def test_a_fuse_or_the_owner_is_no_limit_of_the_grid() -> None:
    directive = Directive(envelopes=(envelope("fuse", 24_000.0, rank=Rank.SAFETY), envelope("o", 1.0, rank=Rank.USER)))
    assert between(GridView(), view(directive, directive.grid, (), GridView(), NOW), NOW) == []


def test_the_strictest_of_a_source_is_its_limit() -> None:
    directive = Directive(envelopes=(envelope("dso", 9000.0), envelope("dso", 4200.0), envelope("dso", 5000.0)))
    assert view(directive, directive.grid, (), GridView(), NOW).limits == {("dso", "import"): 4200.0}
