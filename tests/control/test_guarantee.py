"""The guaranteed minimum of paragraph 14a EnWG (BNetzA BK6-22-300)."""

from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.control.guarantee import guaranteed_w, minimum_14a_w
from cem.model.directive import Directive
from cem.model.envelope import Rank
from cem.model.resource import Ratings, Resource
from cem.model.site import BatteryPolicy, ControlPolicy, GuaranteedMinimum, Site
from support.houses import BATTERY, CAR, GRID, HEAT_PUMP, SECOND_CAR, house, inputs, limited, settled, snapshot, watts

GUARANTEED = ControlPolicy(GuaranteedMinimum.PARAGRAPH_14A)


@pytest.mark.parametrize(
    ("devices", "heat_w", "minimum_w"),
    [
        (0, 0, 0),
        (1, 0, 4200),
        (2, 0, 4200 + 0.8 * 4200),
        (3, 0, 4200 + 2 * 0.75 * 4200),
        (4, 0, 4200 + 3 * 0.7 * 4200),
        (5, 0, 4200 + 4 * 0.65 * 4200),
        (6, 0, 4200 + 5 * 0.6 * 4200),
        (7, 0, 4200 + 6 * 0.55 * 4200),
        (8, 0, 4200 + 7 * 0.5 * 4200),
        (9, 0, 4200 + 8 * 0.45 * 4200),
        (12, 0, 4200 + 11 * 0.45 * 4200),
        (2, 20000, 8000 + 0.8 * 4200),
        (2, 11000, 4200 + 0.8 * 4200),  # only above 11 kW a share of its power counts
        (2, 11001, 4400.4 + 0.8 * 4200),
        (1, 10800, 4200),
    ],
)
def test_the_minimum_of_several_devices_grows_by_the_simultaneity_factor(
    devices: int, heat_w: float, minimum_w: float
) -> None:
    assert minimum_14a_w(devices, heat_w) == pytest.approx(minimum_w)


def _site(policy: ControlPolicy) -> Site:
    return replace(house(GRID, CAR, SECOND_CAR), policy=policy)


def _both_charge(load_w: float) -> dict[str, dict[str, float | str]]:
    car: dict[str, float | str] = {"power_w": 11040.0, "state": "C"}
    return {"grid": {"power_w": load_w + 22080.0}, "car": dict(car), "second_car": dict(car)}


def test_under_a_mandatory_limit_the_cars_keep_what_the_law_leaves_them() -> None:
    image = snapshot(_both_charge(500.0))
    without, _ = settled(_site(ControlPolicy()), inputs(image, directive=limited(1000.0)))
    with_it, _ = settled(_site(GUARANTEED), inputs(image, directive=limited(1000.0)))
    assert watts(without, "car") + watts(without, "second_car") == 0
    offered_w = 690 * (watts(with_it, "car") + watts(with_it, "second_car"))
    assert 4140 <= offered_w <= minimum_14a_w(2)


def test_without_the_policy_nothing_is_guaranteed() -> None:
    assert guaranteed_w(_site(ControlPolicy())) == 0
    assert guaranteed_w(_site(GUARANTEED)) == pytest.approx(7560)


def heat_pumps(*powers_w: float) -> list[Resource]:
    """Heat pumps of so much power each."""
    return [replace(HEAT_PUMP, id=f"heat{n}", ratings=Ratings(max_power_w=power)) for n, power in enumerate(powers_w)]


@pytest.mark.parametrize(
    ("resources", "minimum_w"),
    [
        ([], 0),
        (heat_pumps(3000), 0),  # too small to be dimmed
        (heat_pumps(3000, 3000), 4200),  # heat pumps count together, as one
        (heat_pumps(6000, 6000), 0.4 * 12000),
        ([CAR, *heat_pumps(3000)], 4200),
        ([CAR, *heat_pumps(3000, 3000)], 4200 + 0.8 * 4200),
        ([CAR, BATTERY, *heat_pumps(9000)], 4200 + 2 * 0.75 * 4200),
        ([replace(CAR, ratings=Ratings(max_current_a=16, phases=1))], 0),  # 3.7 kW
        ([replace(BATTERY, ratings=Ratings(max_charge_w=4200))], 0),
        ([replace(BATTERY, ratings=Ratings())], 4200),  # who does not tell counts
        ([replace(CAR, controls=frozenset())], 0),
    ],
)
def test_what_can_draw_more_than_the_minimum_counts_and_heat_pumps_count_as_one(
    resources: list[Resource], minimum_w: float
) -> None:
    assert guaranteed_w(replace(house(GRID, *resources), policy=GUARANTEED)) == pytest.approx(minimum_w)


def test_a_battery_that_never_charges_from_the_grid_does_not_count() -> None:
    site = replace(house(GRID, BATTERY), policy=GUARANTEED, batteries=(BatteryPolicy("battery", grid_charge=False),))
    assert guaranteed_w(site) == 0


def test_the_fuse_stays_above_the_guaranteed_minimum() -> None:
    site = _site(GUARANTEED)
    site = replace(site, connection=replace(site.connection, fuse_a=6.0))
    decision, _ = settled(site, inputs(snapshot(_both_charge(2000.0)), directive=limited(1000.0)))
    assert watts(decision, "car") + watts(decision, "second_car") == 0


@pytest.mark.parametrize(
    ("policy", "rank", "amperes"),
    [
        (GUARANTEED, Rank.OBLIGATION, (6.0, 0.0)),  # 7.6 kW are guaranteed: one of two smallest currents
        (GUARANTEED, Rank.PROGRAMME, (0.0, 0.0)),  # a voluntary limit guarantees nothing
        (ControlPolicy(), Rank.OBLIGATION, (0.0, 0.0)),
        (ControlPolicy(), None, (6.0, 6.0)),
    ],
)
def test_without_a_meter_cars_go_on_under_a_limit_only_as_far_as_it_guarantees_it(
    policy: ControlPolicy, rank: Rank | None, amperes: tuple[float, float]
) -> None:
    seen = snapshot(_both_charge(500.0))
    unseen = snapshot(_both_charge(500.0), mono_s=1012.0, ages_s={"grid": 12.0})
    directive = Directive() if rank is None else limited(20000.0, rank)
    _, memory = decide(_site(policy), inputs(seen, directive=directive), Memory())
    decision, _ = decide(_site(policy), inputs(unseen, directive=directive), memory)
    assert (watts(decision, "car"), watts(decision, "second_car")) == amperes
