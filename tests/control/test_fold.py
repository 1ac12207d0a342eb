"""Folding envelopes by rank."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from cem.control.fold import OPEN, fold
from cem.model.envelope import Band, Envelope, Rank
from support.houses import NOON

powers = st.one_of(st.none(), st.integers(-20000, 20000).map(float))


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    """Envelopes whose own two edges are in order, as every source makes them."""
    low, high = draw(powers), draw(powers)
    if low is not None and high is not None and low > high:
        low, high = high, low
    return Envelope("site", low, high, draw(st.sampled_from(Rank)), draw(st.sampled_from("abc")), "because")


@given(st.lists(envelopes()), envelopes())
def test_an_added_envelope_never_reaches_outside_the_band_of_the_stronger_ranks(
    others: list[Envelope], added: Envelope
) -> None:
    stronger = [e for e in others if e.rank < added.rank]
    allowed = fold("site", stronger, NOON)
    band = fold("site", [*others, added], NOON)
    assert allowed.min_w <= band.min_w <= band.max_w <= allowed.max_w


@given(st.lists(envelopes()))
def test_the_order_in_which_envelopes_arrive_does_not_matter(given_envelopes: list[Envelope]) -> None:
    one, other = fold("site", given_envelopes, NOON), fold("site", reversed(given_envelopes), NOON)
    assert (one.min_w, one.max_w) == (other.min_w, other.max_w)


@given(st.lists(envelopes()))
def test_each_edge_names_the_envelope_that_bound_it(given_envelopes: list[Envelope]) -> None:
    band = fold("site", given_envelopes, NOON)
    if band != OPEN:
        binding = [by for by in (band.min_by, band.max_by) if by is not None]
        assert binding
        assert all(by in given_envelopes for by in binding)


def test_disjoint_bounds_leave_the_stronger_edge_nearest_to_the_weaker_one() -> None:
    limit = Envelope("site", None, 2000.0, Rank.OBLIGATION, "utility", "limit")
    dispatch = Envelope("site", 5000.0, 6000.0, Rank.PROGRAMME, "market", "dispatch")
    assert fold("site", [dispatch, limit], NOON) == Band(2000.0, 2000.0, limit, limit)


def test_an_envelope_is_not_in_force_at_its_end() -> None:
    ended = Envelope("site", None, 0.0, Rank.SAFETY, "a", "b", until=NOON)
    running = Envelope("site", None, 0.0, Rank.SAFETY, "a", "b", until=NOON + timedelta(seconds=1))
    assert fold("site", [ended], NOON) == OPEN
    assert fold("site", [running], NOON).max_w == 0.0
