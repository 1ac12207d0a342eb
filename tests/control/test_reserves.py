"""The reserve that a battery is told to keep by itself: the house's own, in every state of the house."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.model.reading import Snapshot
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control
from cem.model.setpoint import Decision, Setpoint
from support.houses import BATTERY, CAR, GRID, NOON, PV, house, inputs, snapshot, world

KEEPS = replace(BATTERY, controls=BATTERY.controls | {Control.BATTERY_RESERVE_PCT})
SITE = house(GRID, PV, KEEPS, CAR, reserve_pct=22.5)


def reserves(decision: Decision) -> list[Setpoint]:
    """The set points of the control."""
    return [s for s in decision.setpoints if s.control is Control.BATTERY_RESERVE_PCT]


@pytest.mark.parametrize("image", [world(), snapshot({"battery": {"power_w": 0.0, "soc_pct": 50.0}})])
def test_the_sites_reserve_is_told_with_or_without_a_meter(image: Snapshot) -> None:
    decision, _ = decide(SITE, inputs(image), Memory())
    (told,) = reserves(decision)
    assert (told.resource_id, told.value, told.demanded, told.seldom) == ("battery", 22.5, None, None)
    assert told.lease_s > 0
    assert "22.5 %" in told.reason


def test_the_owners_reserve_is_told_while_it_lasts() -> None:
    request = UserRequest("1", "battery", RequestKind.RESERVE, NOON + timedelta(hours=1), NOON, target_soc_pct=60.0)
    for wall, expected in ((NOON, 60.0), (NOON + timedelta(hours=2), 22.5)):
        decision, _ = decide(SITE, inputs(world(), requests=(request,), wall=wall), Memory())
        assert [told.value for told in reserves(decision)] == [expected]


def test_a_battery_without_the_control_and_a_house_that_is_read_only_are_told_nothing() -> None:
    for site in (house(), replace(SITE, read_only=True)):
        decision, _ = decide(site, inputs(world()), Memory())
        assert reserves(decision) == []
