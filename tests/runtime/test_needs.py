"""What the plugged cars still need."""

from dataclasses import replace
from datetime import UTC, datetime, time

from cem.control.charger_state import after
from cem.control.memory import ChargerMemory
from cem.control.picture import ChargerPicture
from cem.control.tuning import EV_SATED_S
from cem.model.reading import Reading, Snapshot
from cem.model.request import RequestKind, UserRequest
from cem.model.site import ChargeGoal, ElectricalConnection, Site
from cem.model.tariff import Tariff
from cem.model.time import Instant
from cem.planning.habits import LEAD, Habit
from cem.runtime.needs import ev_needs, sated
from support.planning import CAR

NOW = Instant(datetime(2026, 1, 10, 20, tzinfo=UTC), 5000.0)
SITE = Site(
    "home",
    "UTC",
    ElectricalConnection(phases=3, fuse_a=35.0),
    Tariff("UTC", "EUR", 0.3, 0.08),
    (CAR,),
    goals=(ChargeGoal("car", time(7, 0), energy_wh=9800.0),),
)


def _snapshot(state: str = "B", session_wh: float = 0.0) -> Snapshot:
    points: dict[str, float | str] = {"state": state, "session_wh": session_wh}
    return Snapshot(5000.0, {"car": {point: Reading("car", point, value, 4999.0) for point, value in points.items()}})


def test_a_plugged_car_needs_what_its_goal_is_short_of() -> None:
    (need,) = ev_needs(SITE, _snapshot(session_wh=800.0), (), NOW, 60.0)
    assert (need.resource_id, need.energy_wh) == ("car", 9000.0)
    assert ev_needs(SITE, _snapshot(state="A"), (), NOW, 60.0) == ()


def test_a_car_that_leaves_its_offer_unused_is_not_planned_for() -> None:
    waits = ChargerMemory(6.0, idle_since_s=5000.0 - EV_SATED_S)
    assert sated({"car": waits}, 5000.0) == {"car"}
    assert sated({"car": waits}, 4999.0) == frozenset()
    assert sated({"car": replace(waits, idle_since_s=None)}, 5000.0) == frozenset()
    assert ev_needs(SITE, _snapshot(), (), NOW, 60.0, frozenset({"car"})) == ()


def test_a_car_is_planned_for_whose_offer_the_plan_took_back_before_it_had_long_left_it_unused() -> None:
    charger = ChargerPicture(CAR, 0.0, "B", 0.0)
    offered = ChargerMemory(16.0, idle_since_s=4000.0)
    held, full = (after(charger, offered, 0.0, at_s, wishes=False) for at_s in (4120.0, 4000.0 + EV_SATED_S))
    paused = after(charger, offered, 0.0, 4120.0, wishes=True)
    assert sated({"held": held, "full": full, "paused": paused}, 5000.0) == {"full", "paused"}


def test_what_the_owner_asked_for_is_planned_for_all_the_same() -> None:
    asked = UserRequest(
        "1",
        "car",
        RequestKind.CHARGE_BY,
        until=NOW.wall.replace(hour=23),
        made_at=NOW.wall,
        energy_wh=5000.0,
        ready_at=NOW.wall.replace(hour=22),
    )
    (need,) = ev_needs(SITE, _snapshot(), (asked,), NOW, 60.0, frozenset({"car"}))
    assert need.energy_wh == 5000.0


def test_a_car_of_which_nobody_said_anything_wants_what_it_usually_takes_before_it_usually_leaves() -> None:
    learning = replace(SITE, goals=(), learnt_cars=("car",))
    leaves = NOW.wall.replace(day=11, hour=7)
    habit = Habit(leaves, takes_wh=9000.0, most_wh=14000.0, taken_wh=2000.0, stays=12)
    (need,) = ev_needs(learning, _snapshot(), (), NOW, 60.0, habits={"car": habit})
    assert (need.energy_wh, need.due, need.usual) == (7000.0, leaves - LEAD, True)
    assert ev_needs(learning, _snapshot(state="A"), (), NOW, 60.0, habits={"car": habit}) == ()
    assert ev_needs(learning, _snapshot(), (), NOW, 60.0, frozenset({"car"}), {"car": habit}) == ()


def test_beyond_what_it_usually_takes_a_car_charges_while_that_is_cheap() -> None:
    learning = replace(SITE, goals=(), learnt_cars=("car",))
    habit = Habit(NOW.wall.replace(hour=23), takes_wh=9000.0, most_wh=14000.0, taken_wh=9100.0, stays=12)
    (need,) = ev_needs(learning, _snapshot(), (), NOW, 60.0, habits={"car": habit})
    assert (need.energy_wh, need.due) == (4900.0, None)


def test_a_goal_goes_before_a_habit() -> None:
    habit = Habit(NOW.wall.replace(hour=23), takes_wh=3000.0, most_wh=14000.0, taken_wh=0.0, stays=12)
    (need,) = ev_needs(SITE, _snapshot(), (), NOW, 60.0, habits={"car": habit})
    assert (need.energy_wh, need.usual) == (9800.0, False)
