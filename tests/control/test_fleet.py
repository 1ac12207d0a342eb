"""Several batteries: never against each other, and their states of charge converge."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.control.fleet import split
from cem.control.picture import BatteryPicture
from cem.model.plan import Intent, IntentKind
from cem.model.reading import Snapshot
from support.houses import BATTERY, GRID, SECOND_BATTERY, house, inputs, limited, plan, settled, snapshot, watts

PAIR = house(GRID, BATTERY, SECOND_BATTERY)
socs = st.floats(0, 100)


def pair(grid_w: float, one_pct: float = 50.0, two_pct: float = 50.0) -> Snapshot:
    """Both idle."""
    return snapshot(
        {
            "grid": {"power_w": grid_w},
            "battery": {"power_w": 0.0, "soc_pct": one_pct},
            "second": {"power_w": 0.0, "soc_pct": two_pct},
        }
    )


@pytest.mark.parametrize(("grid_w", "one_pct", "two_pct"), [(3000, 80, 30), (-3000, 30, 80)])
def test_the_fuller_one_gives_more_and_the_emptier_one_takes_more(
    grid_w: float, one_pct: float, two_pct: float
) -> None:
    decision, _ = settled(PAIR, inputs(pair(grid_w, one_pct, two_pct)))
    one, two = watts(decision, "battery"), watts(decision, "second")
    assert abs(one) > 1.5 * abs(two)
    assert abs(one + two + grid_w) <= 50


def test_equal_ones_share_alike_whatever_their_order() -> None:
    swapped = house(GRID, SECOND_BATTERY, BATTERY)
    for site in (PAIR, swapped):
        decision, _ = settled(site, inputs(pair(3000)))
        assert watts(decision, "battery") == watts(decision, "second")


@given(st.floats(-15000, 15000), socs, socs, st.sampled_from(IntentKind), st.sampled_from(IntentKind))
def test_two_batteries_never_work_against_each_other(
    grid_w: float, one_pct: float, two_pct: float, one: IntentKind, two: IntentKind
) -> None:
    intents = plan({"battery": Intent(one, 60.0), "second": Intent(two, 40.0)})
    decision, _ = settled(PAIR, inputs(pair(grid_w, one_pct, two_pct), plan=intents, directive=limited(9000.0)), 4)
    values = [watts(decision, "battery"), watts(decision, "second")]
    assert min(values) >= 0 or max(values) <= 0


@given(st.floats(-20000, 20000), st.lists(st.tuples(socs, st.floats(0, 6000)), min_size=1, max_size=5))
def test_a_total_is_shared_within_every_cap_and_never_exceeded(total: float, each: list[tuple[float, float]]) -> None:
    batteries, caps = [], {}
    for number, (soc, cap) in enumerate(each):
        resource = BATTERY.__class__(f"b{number}", BATTERY.role, "d", "b", BATTERY.ratings)
        batteries.append(BatteryPicture(resource, 0.0, soc, cap, cap))
        caps[resource.id] = cap
    given_w = split(total, batteries, caps, dict.fromkeys(caps, 10.0))
    assert all(abs(power) <= caps[key] + 1e-6 and power * total >= 0 for key, power in given_w.items())
    assert abs(sum(given_w.values())) == pytest.approx(min(abs(total), sum(caps.values())), abs=1e-3)
