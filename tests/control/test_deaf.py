"""What does not follow counts as what it does: nobody else is given its room, and it is still told its share."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.control.memory import ChargerMemory, SwitchMemory
from cem.model.reading import Snapshot, Value
from cem.model.request import RequestKind, UserRequest
from cem.model.resource import Control
from cem.model.setpoint import DeviceState, Health, Outcome, WriteState
from cem.model.site import BatteryPolicy
from support.houses import (
    BATTERY,
    BOILER,
    CAR,
    GRID,
    NOON,
    PV,
    SECOND_BATTERY,
    SECOND_CAR,
    house,
    inputs,
    limited,
    of,
    settled,
    snapshot,
    watts,
)

TWO_CARS = house(GRID, CAR, SECOND_CAR)


def _one_charges(load_w: float = 500.0, amps: float = 16.0, mono_s: float = 1000.0) -> Snapshot:
    """One car takes so much, all that its charger gives, the other waits."""
    return snapshot(
        {
            "grid": {"power_w": load_w + 690.0 * amps},
            "car": {"power_w": 690.0 * amps, "state": "C"},
            "second_car": {"power_w": 0.0, "state": "B"},
        },
        mono_s=mono_s,
    )


def _told(state: WriteState) -> tuple[Outcome, ...]:
    return (Outcome("car", Control.EV_LIMIT_A, state, 8.0, 990.0),)


@pytest.mark.parametrize(
    ("state", "draws_a", "second_a"),
    [
        (WriteState.EFFECTIVE, 16.0, 0.0),  # told just now: the other one begins when it has followed
        (WriteState.EFFECTIVE, 8.0, 9.0),
        (WriteState.REFUSED, 16.0, 0.0),
        (WriteState.NOT_EFFECTIVE, 16.0, 0.0),
        (WriteState.CONTESTED, 16.0, 0.0),
        (WriteState.BLOCKED, 16.0, 0.0),
    ],
)
def test_a_charger_that_does_not_follow_keeps_the_room_that_it_takes(
    state: WriteState, draws_a: float, second_a: float
) -> None:
    offered = ChargerMemory(16.0, offered_at_s=900.0, switched_at_s=0.0, drew=True, closed=True)
    memory = Memory(chargers={"car": offered, "second_car": ChargerMemory(0.0, switched_at_s=0.0)}, decided_at_s=999.0)
    asked = replace(inputs(_one_charges(), directive=limited(12500.0)), outcomes=_told(state))
    decision, memory = decide(TWO_CARS, asked, memory)
    assert watts(decision, "car") == 8.0  # tried again with what is its share
    assert watts(decision, "second_car") == 0.0
    later = inputs(_one_charges(amps=draws_a, mono_s=1003.0), directive=limited(12500.0))
    decision, _ = decide(TWO_CARS, replace(later, outcomes=_told(state)), memory)
    assert watts(decision, "car") == 8.0
    assert watts(decision, "second_car") == second_a


@pytest.mark.parametrize("state", [WriteState.NOT_EFFECTIVE, WriteState.REFUSED, WriteState.BLOCKED])
def test_a_battery_that_charges_and_does_not_follow_leaves_less_to_a_car(state: WriteState) -> None:
    car: dict[str, Value] = {"power_w": 8280.0, "state": "C"}
    image = snapshot({"grid": {"power_w": 11780.0}, "car": car, "battery": {"power_w": 3000.0, "soc_pct": 50.0}})
    site = house(GRID, BATTERY, CAR)
    offered = ChargerMemory(12.0, offered_at_s=900.0, switched_at_s=0.0, drew=True, closed=True)
    memory = Memory(chargers={"car": offered}, decided_at_s=999.0)
    asked = inputs(image, directive=limited(9000.0))
    decision, _ = decide(site, asked, memory)
    assert watts(decision, "car") == 12.0  # the battery gives way
    deaf = Outcome("battery", Control.BATTERY_SETPOINT_W, state, 0.0, 990.0)
    decision, _ = decide(site, replace(asked, outcomes=(deaf,)), memory)
    assert watts(decision, "car") == 7.0


MEASURED = replace(BATTERY, controls=frozenset())


@pytest.mark.parametrize("meter_age_s", [0.0, 60.0])
def test_a_battery_that_can_only_be_measured_is_told_nothing(meter_age_s: float) -> None:
    points = {"grid": {"power_w": 1000.0}, "battery": {"power_w": 0.0, "soc_pct": 50.0}}
    image = snapshot(points, ages_s={"grid": meter_age_s})
    decision, memory = decide(house(GRID, MEASURED), inputs(image), Memory(decided_at_s=999.0))
    assert decision.setpoints == ()
    assert not memory.batteries_w


@pytest.mark.parametrize(("ago_s", "amps"), [(5.0, 7.0), (20.0, 0.0)])
def test_a_load_that_draws_on_after_it_was_told_to_be_off_keeps_the_room_that_it_takes(
    ago_s: float, amps: float
) -> None:
    """5.5 kW are left beside the house, of which the car takes 4.8, and the boiler 2 which it should have left."""
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": 7330.0},
        "car": {"power_w": 4830.0, "state": "C"},
        "boiler": {"power_w": 2000.0, "state": "off"},
    }
    memory = Memory(
        decided_at_s=999.0,
        begun_at_s=0.0,
        chargers={"car": ChargerMemory(7.0, switched_at_s=100.0, offered_at_s=100.0, closed=True)},
        switches={"boiler": SwitchMemory(0, switched_at_s=1000.0 - ago_s)},
    )
    asked = inputs(snapshot(values), directive=limited(6000.0))
    decision, _ = decide(house(GRID, CAR, BOILER), asked, memory)
    assert watts(decision, "boiler") == 0.0
    assert watts(decision, "car") == amps


def test_what_a_measured_battery_does_is_not_left_to_the_steered_one() -> None:
    """It gives 2 of the house's 3 kW by itself: the other one covers what is left, and no more."""
    points = {"grid": {"power_w": 0.0}, "battery": {"power_w": -2000.0, "soc_pct": 50.0}}
    image = snapshot(points | {"second": {"power_w": -1000.0, "soc_pct": 90.0}})
    decision, _ = decide(house(GRID, MEASURED, SECOND_BATTERY), inputs(image), Memory(decided_at_s=999.0))
    assert watts(decision, "second") == pytest.approx(-1000.0, abs=25.0)
    assert [s.resource_id for s in decision.setpoints] == ["second"]


@pytest.mark.parametrize("steered", [False, True])
def test_no_battery_stores_what_another_one_gives_that_does_not_follow(*, steered: bool) -> None:
    """Of the 4 kW beyond the house 2 are the sun's; the others come out of the battery that nobody holds back."""
    points = {"grid": {"power_w": -2000.0}, "battery": {"power_w": -2000.0, "soc_pct": 50.0}}
    points |= {"pv": {"power_w": -3000.0}, "second": {"power_w": 2000.0, "soc_pct": 40.0}}
    site = house(GRID, PV, BATTERY if steered else MEASURED, SECOND_BATTERY)
    asked = inputs(snapshot(points))
    if steered:
        deaf = Outcome("battery", Control.BATTERY_SETPOINT_W, WriteState.NOT_EFFECTIVE, 0.0, 990.0)
        asked = replace(asked, outcomes=(deaf,))
    decision, _ = decide(site, asked, Memory(decided_at_s=999.0, batteries_w={"second": 2000.0}))
    assert watts(decision, "second") == pytest.approx(2000.0, abs=25.0)


@pytest.mark.parametrize("sun_w", [0.0, 2000.0])
def test_no_battery_covers_what_another_one_takes_that_does_not_follow(sun_w: float) -> None:
    """It takes 4 kW, whatever it is told; the house takes 600 W, and a car charges besides."""
    points: dict[str, dict[str, Value]] = {
        "grid": {"power_w": 15640.0 - sun_w},
        "pv": {"power_w": -sun_w},
        "battery": {"power_w": 4000.0, "soc_pct": 50.0},
        "second": {"power_w": 0.0, "soc_pct": 90.0},
        "car": {"power_w": 11040.0, "state": "C"},
    }
    site = house(GRID, PV, BATTERY, SECOND_BATTERY, CAR)
    deaf = Outcome("battery", Control.BATTERY_SETPOINT_W, WriteState.NOT_EFFECTIVE, 0.0, 990.0)
    decision, _ = settled(site, replace(inputs(snapshot(points)), outcomes=(deaf,)), ticks=5)
    assert watts(decision, "second") == pytest.approx(0.0 if sun_w else -600.0, abs=30.0)


@pytest.mark.parametrize("state", [WriteState.REFUSED, WriteState.BLOCKED, WriteState.NOT_EFFECTIVE], ids=str)
def test_a_battery_makes_up_for_another_that_takes_no_word(state: WriteState) -> None:
    """200 W of what both store come from the grid, where nothing may be drawn; the fuller would go down first."""
    batteries: dict[str, dict[str, Value]] = {
        "battery": {"power_w": 200.0, "soc_pct": 50.0},
        "second": {"power_w": 356.0, "soc_pct": 60.0},
    }
    image = snapshot({"grid": {"power_w": 200.0}, "pv": {"power_w": -856.0}, **batteries})
    memory = Memory(decided_at_s=999.0, batteries_w={"battery": 200.0, "second": 356.0})
    outcome = Outcome("second", Control.BATTERY_SETPOINT_W, state, 356.0, 990.0)
    asked = replace(inputs(image, directive=limited(0.0)), outcomes=(outcome,))
    decision, _ = decide(house(GRID, PV, BATTERY, SECOND_BATTERY), asked, memory)
    assert watts(decision, "battery") == 0.0


@pytest.mark.parametrize(("health", "amps"), [(Health.ONLINE, 15.0), (Health.SILENT, 12.0)], ids=str)
def test_a_battery_that_does_not_answer_makes_no_room_and_is_told_what_it_was_told(health: Health, amps: float) -> None:
    """It stored 1.5 kW when it was last read; a car takes 11 kW, and a limit leaves less than both."""
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": 13_026.0},
        "battery": {"power_w": 1486.0, "soc_pct": 50.0},
        "car": {"power_w": 11_040.0, "state": "C"},
    }
    charges = ChargerMemory(16.0, offered_at_s=900.0, switched_at_s=0.0, drew=True, closed=True)
    memory = Memory(chargers={"car": charges}, batteries_w={"battery": 1486.0}, load_w=500.0, decided_at_s=999.0)
    image = snapshot(values, ages_s={"battery": 5.0 if health is Health.SILENT else 0.0})
    devices = {"storage": DeviceState("storage", health, 995.0)}
    given = replace(inputs(image, directive=limited(11_000.0)), devices=devices)
    decision, _ = decide(house(GRID, BATTERY, CAR), given, memory)
    assert watts(decision, "car") == amps
    assert (watts(decision, "battery") == 1486.0) is (health is Health.SILENT)


@pytest.mark.parametrize("house_w", [600.0, 8200.0])
def test_a_battery_gets_no_room_of_a_car_whose_charger_told_what_was_not_so(house_w: float) -> None:
    """It hung with 7.6 kW on its register, which its car no longer took as it was told to."""
    site, memory = house(GRID, PV, BATTERY, CAR), Memory(decided_at_s=999.0, batteries_w={"battery": 2000.0})
    pause = UserRequest("1", "car", RequestKind.PAUSE, NOON + timedelta(hours=1), NOON)
    deaf = (Outcome("car", Control.EV_LIMIT_A, WriteState.NOT_EFFECTIVE, 0.0, 900.0),)
    told = 0.0
    for tick in range(60):
        draws, hangs = tick < 10, 10 <= tick < 50
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": -50.0 + (7590.0 if draws else 0.0)},
            "pv": {"power_w": -2050.0 - house_w},
            "battery": {"power_w": 2000.0, "soc_pct": 50.0},
            "car": {"power_w": 7590.0 if draws or hangs else 0.0, "state": "C" if draws or hangs else "B"},
        }
        given = inputs(snapshot(values, mono_s=1000.0 + tick), directive=limited(0.0), requests=(pause,))
        decision, memory = decide(site, replace(given, outcomes=deaf if 20 <= tick < 50 else ()), memory)
        told = watts(decision, "battery")
        assert tick not in {49, 50} or told == pytest.approx(2000.0, abs=50.0)


@pytest.mark.parametrize(("told_w", "real_w"), [(3000.0, 0.0), (-3000.0, 0.0)])
def test_a_battery_gets_no_room_of_another_that_told_what_was_not_so(told_w: float, real_w: float) -> None:
    """It hung with 3 kW on its register, and does nothing any more: what it tells as it comes to life moves nobody."""
    site, memory = house(GRID, PV, BATTERY, SECOND_BATTERY), Memory(decided_at_s=999.0)
    deaf = (Outcome("second", Control.BATTERY_SETPOINT_W, WriteState.NOT_EFFECTIVE, 0.0, 900.0),)
    loads = []
    for tick in range(60):
        alive, hangs = tick < 10, 10 <= tick < 50
        second_w = told_w + 3.0 * tick if alive else told_w + 27.0 if hangs else real_w
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": -50.0 + (second_w if alive else real_w)},
            "pv": {"power_w": -2650.0},
            "battery": {"power_w": 2000.0, "soc_pct": 50.0},
            "second": {"power_w": second_w, "soc_pct": 50.0},
        }
        given = inputs(snapshot(values, mono_s=1000.0 + tick), directive=limited(0.0))
        _, memory = decide(site, replace(given, outcomes=deaf if 20 <= tick < 50 else ()), memory)
        loads.append(memory.load_w)
    assert loads[9] == pytest.approx(600.0)
    assert loads[49] == pytest.approx(600.0 - told_w, abs=30.0)
    assert loads[50] == pytest.approx(600.0)


@pytest.mark.parametrize("late_s", [0, 2])
def test_a_car_that_ends_though_its_charger_does_not_follow_is_no_load_beside_a_roof_that_nobody_measures(
    late_s: int,
) -> None:
    """3 kW flow out without the car, whose 11 kW a meter shows for two more seconds."""
    site, memory, told = house(GRID, BATTERY, CAR), Memory(decided_at_s=999.0), []
    deaf = (Outcome("car", Control.EV_LIMIT_A, WriteState.NOT_EFFECTIVE, 16.0, 900.0),)
    flows_w, battery_w = [], 0.0
    for tick in range(40):
        car_w = 11040.0 if tick < 25 else 0.0
        flows_w.append(-3000.0 + 0.1 * tick + battery_w + car_w)
        values: dict[str, dict[str, Value]] = {
            "grid": {"power_w": flows_w[max(0, tick - late_s)]},
            "battery": {"power_w": battery_w, "soc_pct": 50.0},
            "car": {"power_w": car_w, "state": "C" if car_w else "B"},
        }
        decision, memory = decide(site, replace(inputs(snapshot(values, mono_s=1000.0 + tick)), outcomes=deaf), memory)
        battery_w = watts(decision, "battery")
        told.append(battery_w)
    assert min(told[24:]) > -100.0


def test_the_headline_of_a_battery_that_takes_nothing_is_a_sentence() -> None:
    cold: dict[str, Value] = {"power_w": 0.0, "soc_pct": 50.0, "max_charge_w": 0.0, "max_discharge_w": 5000.0}
    image = snapshot({"grid": {"power_w": -3000.0}, "battery": cold})
    decision, _ = decide(house(GRID, BATTERY), inputs(image), Memory(decided_at_s=999.0))
    assert decision.headline == "The battery takes at most 0 W and gives at most 5.0 kW now."


@pytest.mark.parametrize(
    ("grid_charge", "grid_w", "watched"), [(False, 0.0, False), (False, -400.0, True), (True, 0.0, True)]
)
def test_a_battery_that_may_store_the_sun_alone_need_not_take_more_than_there_is(
    grid_charge: bool, grid_w: float, watched: bool
) -> None:
    """The sun has fallen since the last word: of 2 kW there are 1.6 left, and the battery takes them."""
    image = snapshot(
        {
            "grid": {"power_w": grid_w},
            "pv": {"power_w": -2100.0 + grid_w},
            "battery": {"power_w": 1600.0, "soc_pct": 50.0},
        }
    )
    site = replace(house(GRID, PV, BATTERY), batteries=(BatteryPolicy("battery", grid_charge=grid_charge),))
    memory = Memory(decided_at_s=999.0, batteries_w={"battery": 2056.0}, load_w=500.0)
    decision, _ = decide(site, replace(inputs(image), requests=()), memory)
    told = of(decision, "battery")
    assert (told.value or 0.0) > 1600.0
    assert told.watched is watched


@pytest.mark.parametrize(("sun_w", "battery_w", "watched"), [(2100.0, 1600.0, False), (0.0, 0.0, True)])
def test_a_battery_is_not_blamed_for_a_sinking_sun_but_for_giving_nothing(
    sun_w: float, battery_w: float, watched: bool
) -> None:
    """Half a kW of house: the first takes just what it was told, the second is told to cover the house."""
    image = snapshot(
        {
            "grid": {"power_w": 500.0 - sun_w + battery_w},
            "pv": {"power_w": -sun_w},
            "battery": {"power_w": battery_w, "soc_pct": 50.0},
        }
    )
    site = replace(house(GRID, PV, BATTERY), batteries=(BatteryPolicy("battery", grid_charge=False),))
    decision, _ = settled(site, replace(inputs(image), requests=()))
    told = of(decision, "battery")
    assert told.value == pytest.approx(battery_w or -500.0, abs=60.0)
    assert told.watched is watched
