"""What the grid operator signals by wire becomes obligations, never wider than the most restrictive contact."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.control.fold import fold
from cem.model.directive import LinkState
from cem.model.envelope import SITE, Rank
from cem.model.resource import Contact
from cem.model.time import Instant
from cem.sgcp.contacts import ContactSource, ContactState
from cem.sgcp.point import ConnectionPoint

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
BOX = ContactSource("box", {Contact.W3: 0.0, Contact.S2: 3000.0, Contact.S1: 6000.0, Contact.W4: 4200.0})
SHOWN = st.sampled_from([True, False, None])


def _state(shows: dict[Contact, bool | None], source: ContactSource = BOX) -> ContactState:
    whole = dict.fromkeys(source.limits_w, False) | shows
    return ContactState(source, whole, dict.fromkeys(whole, NOON), NOON, "no answer", "Check it.")


def _band(point: ConnectionPoint, at: datetime = NOON) -> tuple[float, float]:
    band = fold(SITE, point.directive(Instant(at, 0.0)).envelopes, at)
    return band.min_w, band.max_w


@given(st.lists(st.tuples(st.sampled_from(sorted(BOX.limits_w)), SHOWN), max_size=30))
def test_no_order_of_changes_ever_widens_beyond_the_most_restrictive_contact(
    changes: list[tuple[Contact, bool | None]],
) -> None:
    point = ConnectionPoint([])
    shows: dict[Contact, bool | None] = dict.fromkeys(BOX.limits_w, False)
    for contact, shown in changes:
        shows = shows | {contact: shown}
        point.contacts([_state(shows)])
        held = [one for one, is_shown in shows.items() if is_shown is not False]
        export_w = min((BOX.limits_w[c] for c in held if c is not Contact.W4), default=float("inf"))
        import_w = 4200.0 if Contact.W4 in held else float("inf")
        assert _band(point) == (-export_w, import_w)


@pytest.mark.parametrize("order", list(permutations([Contact.W3, Contact.S2, Contact.S1])))
def test_contradicting_contacts_give_the_most_restrictive(order: tuple[Contact, ...]) -> None:
    point = ConnectionPoint([])
    shows: dict[Contact, bool | None] = {}
    for contact in order:
        shows[contact] = True
        point.contacts([_state(shows)])
    assert _band(point)[0] == 0.0


def test_two_boxes_both_hold() -> None:
    point = ConnectionPoint([])
    other = ContactSource("receiver", {Contact.S1: 5000.0})
    point.contacts([_state({Contact.S1: True}), _state({Contact.S1: True}, other)])
    assert _band(point)[0] == -5000.0
    assert {envelope.source for envelope in point.directive(Instant(NOON, 0.0)).envelopes} == {"box", "receiver"}


def test_a_signal_is_an_obligation_shown_as_an_event_and_known_to_the_plan() -> None:
    point = ConnectionPoint([])
    point.contacts([_state({Contact.S2: True, Contact.W4: True})])
    directive = point.directive(Instant(NOON, 0.0))
    assert {envelope.rank for envelope in directive.envelopes} == {Rank.OBLIGATION}
    assert [event.name for event in directive.events] == ["contact S2", "contact W4"]
    assert directive.events[0].asks == "export at most 3 kW, 30 % of the installed power"
    assert [(w.import_limit_w, w.export_limit_w, w.end) for w in directive.limits] == [
        (None, 3000.0, None),
        (4200.0, None, None),
    ]
    assert [link.state for link in directive.links] == [LinkState.ONLINE]


def test_a_contact_that_cannot_be_read_holds_its_limit_and_says_so() -> None:
    point = ConnectionPoint([])
    point.contacts([_state({Contact.W3: None})])
    directive = point.directive(Instant(NOON, 0.0))
    assert _band(point)[0] == 0.0
    assert "can't be read, so it counts as signalled" in directive.envelopes[0].reason
    (link,) = directive.links
    assert (link.provider_id, link.state, link.advice) == ("box", LinkState.FALLBACK, "Check it.")
    assert "W3 can't be read" in link.detail
    assert directive.events == ()


def test_what_is_no_longer_signalled_holds_no_longer() -> None:
    point = ConnectionPoint([])
    point.contacts([_state({Contact.W3: True})])
    assert _band(point)[0] == 0.0
    point.contacts([_state({})])
    assert _band(point, NOON + timedelta(seconds=1)) == (float("-inf"), float("inf"))
