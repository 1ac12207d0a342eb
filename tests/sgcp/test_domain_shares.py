"""Laws of the split over a domain, and of the way from one split to the next."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cem.sgcp.domain.shares import Member, room_w, split_limit, split_power
from cem.sgcp.domain.steady import SETTLE_S, Granted, steady

WATTS = st.integers(0, 50_000).map(float)
NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "house"]), min_size=1, max_size=6, unique=True)


@st.composite
def domains(draw: st.DrawFn) -> list[Member]:
    return [Member(name, draw(st.none() | WATTS), draw(st.none() | WATTS), draw(st.booleans())) for name in draw(NAMES)]


def near(value: float) -> object:
    return pytest.approx(value, rel=1e-9, abs=1e-6)


@settings(max_examples=40)
@given(WATTS, domains())
def test_shares_are_what_the_others_leave_and_never_more_than_the_limit(limit_w: float, members: list[Member]) -> None:
    shares = split_limit(limit_w, members)
    assert set(shares) == {m.name for m in members if m.follows}
    assert all(0.0 <= share <= limit_w + 1e-6 for share in shares.values())
    if shares:
        assert sum(shares.values()) == near(room_w(limit_w, members))


@settings(max_examples=40)
@given(WATTS, domains(), st.randoms(use_true_random=False))
def test_the_order_of_the_members_does_not_matter(limit_w: float, members: list[Member], random: object) -> None:
    mixed = list(members)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert split_limit(limit_w, mixed) == split_limit(limit_w, members)
    assert split_power(limit_w, mixed) == split_power(limit_w, members)


@settings(max_examples=40)
@given(WATTS, domains())
def test_nobody_has_more_than_he_needs_while_another_lacks(limit_w: float, members: list[Member]) -> None:
    shares = split_limit(limit_w, members)
    needs = {m.name: m.need_w for m in members if m.follows}
    if any(need is not None and shares[name] < need - 1e-3 for name, need in needs.items()):
        assert all(need is None or shares[name] <= need + 1e-3 for name, need in needs.items())


@settings(max_examples=40)
@given(WATTS, WATTS, domains())
def test_a_wider_limit_takes_from_nobody(limit_w: float, more_w: float, members: list[Member]) -> None:
    before, after = split_limit(limit_w, members), split_limit(limit_w + more_w, members)
    assert all(after[name] >= share - 1e-3 for name, share in before.items())


@settings(max_examples=40)
@given(WATTS, domains(), st.sampled_from([0.001, 10.0, 1000.0]))
def test_a_domain_a_thousand_times_as_big_divides_alike(limit_w: float, members: list[Member], factor: float) -> None:
    big = [
        replace(
            m,
            most_w=None if m.most_w is None else m.most_w * factor,
            takes_w=None if m.takes_w is None else m.takes_w * factor,
        )
        for m in members
    ]
    small, large = split_limit(limit_w, members), split_limit(limit_w * factor, big)
    assert large == {name: pytest.approx(share * factor, rel=1e-6, abs=1e-3 * factor) for name, share in small.items()}


@settings(max_examples=40)
@given(WATTS, domains())
def test_what_one_that_was_lost_or_opted_out_goes_on_taking_is_made_up_for(
    limit_w: float, members: list[Member]
) -> None:
    gone = [replace(members[0], follows=False), *members[1:]]
    shares = split_limit(limit_w, gone)
    assert members[0].name not in shares
    if shares:
        counted = sum(m.counted_w for m in gone if not m.follows)
        assert sum(shares.values()) + counted == near(max(limit_w, counted))


@settings(max_examples=40)
@given(WATTS, domains())
@example(1.0, [Member("a", 0.0)])  # one that can give nothing
def test_a_power_is_asked_within_capability_and_never_more_than_asked(power_w: float, members: list[Member]) -> None:
    shares = split_power(power_w, members)
    assert sum(shares.values()) <= room_w(power_w, members) * (1 + 1e-9)
    declared = {m.name: m.most_w for m in members if m.follows}
    assert all(
        share >= 0.0 and (most is None or share <= most)
        for share, most in zip(shares.values(), (declared[name] for name in shares), strict=True)
    )
    if None not in declared.values() and any(declared.values()):
        able_w = sum(most for most in declared.values() if most is not None)
        assert sum(shares.values()) == near(min(room_w(power_w, members), able_w))


@pytest.mark.parametrize(
    ("limit_w", "members", "shares"),
    [
        (9000, [Member("a", 11_000, 0), Member("b", 11_000, 11_000)], {"a": 550, "b": 8450}),  # who needs it gets it
        (9000, [Member("a", 11_000, 11_000), Member("b", 5500, 5500)], {"a": 6000, "b": 3000}),  # by capability
        (9000, [Member("a"), Member("b"), Member("c")], {"a": 3000, "b": 3000, "c": 3000}),  # nobody says anything
        (9000, [Member("house", None, 2000, False), Member("a", 11_000)], {"a": 7000}),
        (9000, [Member("a", 11_000, 4000, False), Member("b", 11_000)], {"b": 5000}),  # lost: as last known
        (9000, [Member("a", 11_000, None, False), Member("b", 11_000)], {"b": 0}),  # lost and never heard: its most
    ],
)
def test_shares(limit_w: float, members: list[Member], shares: dict[str, float]) -> None:
    assert split_limit(limit_w, members) == pytest.approx(shares)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 40_000).map(float),
        st.dictionaries(st.sampled_from("abcd"), st.integers(0, 100), max_size=4),
        st.integers(1, 200).map(float),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40)
@given(STEPS)
def test_on_the_way_from_split_to_split_nobody_is_given_what_another_may_still_use(
    steps: list[tuple[float, dict[str, int], float]],
) -> None:
    now_s, held = 0.0, dict[str, Granted]()
    for room, parts, wait_s in steps:
        now_s += wait_s
        whole = sum(parts.values())
        wanted = {name: room * part / whole if whole else 0.0 for name, part in parts.items()}
        told = steady(held, wanted, room, now_s)
        assert set(told) == set(wanted)
        assert sum(one.share_w for one in told.values()) <= room * (1 + 1e-12)
        rose = any(name in held and one.share_w > held[name].share_w for name, one in told.items())
        if rose:
            assert sum(one.believed_w for one in told.values()) <= room * (1 + 1e-12)
        held = told


def test_shares_go_down_at_once_and_up_when_the_room_is_free() -> None:
    held = steady({}, {"a": 6000.0, "b": 3000.0}, 9000.0, 0.0)
    turned = steady(held, {"a": 3000.0, "b": 6000.0}, 9000.0, 100.0)
    assert {name: one.share_w for name, one in turned.items()} == {"a": 3000, "b": 3000}
    assert steady(turned, {"a": 3000.0, "b": 6000.0}, 9000.0, 100.0 + SETTLE_S - 1) == turned
    later = steady(turned, {"a": 3000.0, "b": 6000.0}, 9000.0, 100.0 + SETTLE_S)
    assert {name: one.share_w for name, one in later.items()} == {"a": 3000, "b": 6000}


def test_small_changes_are_not_told_unless_the_limit_would_be_broken() -> None:
    held = steady({}, {"a": 6000.0, "b": 3000.0}, 9000.0, 0.0)
    assert steady(held, {"a": 5800.0, "b": 3200.0}, 9000.0, 500.0) == held
    narrower = steady(held, {"a": 5900.0, "b": 2950.0}, 8850.0, 500.0)
    assert {name: one.share_w for name, one in narrower.items()} == {"a": 5900, "b": 2950}
