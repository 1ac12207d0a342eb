"""Without the grid, and with its frequency off."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cem.control import Memory, decide
from cem.control.droop import share
from cem.control.memory import ChargerMemory
from cem.model.directive import Directive, GridPresence
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.reading import Snapshot, Value
from cem.model.request import RequestKind, UserRequest
from cem.model.setpoint import Mode
from cem.model.site import BatteryPolicy, ControlPolicy, Droop
from support.houses import BATTERY, BOILER, CAR, GRID, HEAT_PUMP, NOON, PV, house, inputs, of, settled, snapshot, watts

ISLAND = Directive(grid=GridPresence.ISLANDED)
HOME = house(GRID, PV, BATTERY, CAR, HEAT_PUMP, BOILER, reserve_pct=20.0)


def island(soc_pct: float = 60.0, mono_s: float = 1000.0, **points: Value) -> Snapshot:
    """A house whose battery bears 1.5 kW, nothing at the meter."""
    return snapshot(
        {
            "grid": {"power_w": 0.0} | points,
            "pv": {"power_w": -500.0},
            "battery": {"power_w": -1500.0, "soc_pct": soc_pct},
            "car": {"power_w": 0.0, "state": "B"},
            "heat_pump": {"power_w": 500.0},
            "boiler": {"power_w": 500.0},
        },
        mono_s=mono_s,
    )


def test_in_an_island_the_car_pauses_and_the_grids_word_is_suspended() -> None:
    limit = Envelope(SITE, None, 0.0, Rank.OBLIGATION, "utility", "limit")
    decision, _ = settled(HOME, inputs(island(), directive=replace(ISLAND, envelopes=(limit,))))
    assert decision.mode is Mode.ISLANDED
    assert watts(decision, "car") == 0
    assert "without the grid" in of(decision, "car").reason
    assert decision.band.max_by is not None
    assert decision.band.max_by.source == "fuse"
    assert "the battery lasts for about" in decision.headline


@pytest.mark.parametrize(
    ("soc_pct", "boiler_off", "heat_pump_locked"),
    [(60, False, False), (29, True, False), (24, True, True), (20, True, True), (10, True, True)],
)
def test_in_an_island_loads_are_shed_by_priority_as_the_reserve_comes_near(
    soc_pct: float, boiler_off: bool, heat_pump_locked: bool
) -> None:
    decision, _ = settled(HOME, inputs(island(soc_pct), directive=ISLAND))
    assert (of(decision, "boiler").value == 0) == boiler_off
    assert (watts(decision, "heat_pump") == 1) == heat_pump_locked


def test_in_an_island_what_the_battery_cannot_carry_is_off_the_least_important_first() -> None:
    def at(load_w: float, heat_pump_w: float, boiler_w: float) -> Snapshot:
        used_w = load_w + heat_pump_w + boiler_w
        return snapshot(
            {
                "grid": {"power_w": 0.0},
                "battery": {"power_w": -used_w, "soc_pct": 90.0},
                "heat_pump": {"power_w": heat_pump_w},
                "boiler": {"power_w": boiler_w},
            }
        )

    site = house(GRID, BATTERY, HEAT_PUMP, BOILER)
    for load_w, heat_pump_w, boiler_w, locked, off in (
        (500.0, 1500.0, 2000.0, False, False),
        (1500.0, 1500.0, 2000.0, False, True),
        (1500.0, 1500.0, 0.0, False, True),  # off, it does not fit either: no switching to and fro
        (4000.0, 1500.0, 0.0, True, True),
    ):
        decision, _ = settled(site, inputs(at(load_w, heat_pump_w, boiler_w), directive=ISLAND))
        assert (watts(decision, "heat_pump") == 1) == locked
        assert (of(decision, "boiler").value == 0) == off


def test_in_an_island_the_reserve_is_not_discharged() -> None:
    decision, memory = settled(HOME, inputs(island(20.0), directive=ISLAND))
    assert watts(decision, "battery") == 0
    decision, memory = decide(HOME, inputs(island(21.9, 1001.0), directive=ISLAND), memory)
    assert watts(decision, "battery") == 0
    decision, _ = decide(HOME, inputs(island(22.5, 1002.0), directive=ISLAND), memory)
    assert watts(decision, "battery") < 0


def test_in_an_island_the_roof_gives_no_more_than_house_and_battery_take() -> None:
    image = snapshot(
        {
            "grid": {"power_w": 0.0},
            "pv": {"power_w": -6000.0},
            "battery": {"power_w": 5000.0, "soc_pct": 60.0},
        }
    )
    decision, _ = settled(house(GRID, PV, BATTERY), inputs(image, directive=ISLAND))
    assert 5800 <= watts(decision, "pv") <= 6000


@pytest.mark.parametrize(
    ("frequency_hz", "expected"),
    [(50.0, 0.0), (50.2, 0.0), (49.8, 0.0), (51.45, 0.5), (52.7, 1.0), (48.55, -0.5), (47.0, -1.12)],
)
def test_the_droop_follows_its_line_outside_the_dead_band(frequency_hz: float, expected: float) -> None:
    assert share(Droop(), frequency_hz) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("frequency_hz", "load_w", "low_w", "high_w"),
    [(50.0, 4000, -4025, -3975), (51.45, 4000, -2500, -2475), (52.7, 4000, 0, 0), (48.55, -4000, 2475, 2500)],
)
def test_the_frequency_narrows_what_a_battery_may_do(
    frequency_hz: float, load_w: float, low_w: float, high_w: float
) -> None:
    site = replace(house(GRID, BATTERY), policy=ControlPolicy(droop=Droop()))
    image = snapshot(
        {
            "grid": {"power_w": load_w, "frequency_hz": frequency_hz},
            "battery": {"power_w": 0.0, "soc_pct": 50.0},
        }
    )
    decision, _ = settled(site, inputs(image))
    assert low_w <= watts(decision, "battery") <= high_w
    without, _ = settled(house(GRID, BATTERY), inputs(image))
    assert abs(watts(without, "battery") + load_w) <= 25


def test_a_high_frequency_curtails_the_roof_and_a_low_one_the_car() -> None:
    site = replace(house(GRID, PV, CAR), policy=ControlPolicy(droop=Droop()))

    def at(frequency_hz: float) -> Snapshot:
        return snapshot(
            {
                "grid": {"power_w": 4040.0, "frequency_hz": frequency_hz},
                "pv": {"power_w": -7500.0},
                "car": {"power_w": 11040.0, "state": "C"},
            }
        )

    assert watts(settled(site, inputs(at(51.45)))[0], "pv") == 4000
    assert "frequency 51.45 Hz" in of(settled(site, inputs(at(51.45)))[0], "pv").reason
    assert watts(settled(site, inputs(at(48.55)))[0], "car") == 8
    assert decide(site, inputs(at(50.0)), Memory())[0].setpoints


def sunny(soc_pct: float, car_w: float = 0.0, pv_w: float = -6500.0, load_w: float = 500.0) -> Snapshot:
    """An island at noon; the battery takes or gives what differs."""
    values: dict[str, dict[str, Value]] = {
        "grid": {"power_w": 0.0},
        "pv": {"power_w": pv_w},
        "battery": {"power_w": -(load_w + pv_w + car_w), "soc_pct": soc_pct},
        "car": {"power_w": car_w, "state": "C" if car_w else "B"},
    }
    return snapshot(values)


CHARGE_NOW = (UserRequest("1", "car", RequestKind.CHARGE_NOW, NOON + timedelta(hours=2), NOON),)
PAUSE = (UserRequest("1", "car", RequestKind.PAUSE, NOON + timedelta(hours=2), NOON),)
BELOW = "paused: the house runs without the grid"


@pytest.mark.parametrize(
    ("image", "requests", "into_car", "amperes", "why"),
    [
        (sunny(90.0, load_w=1500.0), (), False, 13, "could carry alone"),  # 3.0 kW of 5.0 kW: a cloud may come
        (sunny(90.0, load_w=500.0, pv_w=-2500.0), (), False, 8, "from the sun that is left"),
        (sunny(90.0, load_w=4000.0), (), False, 0, "without the grid"),  # 2.5 kW of sun, and no battery for a cloud
        (sunny(79.0), (), False, 0, BELOW),  # the battery first
        (sunny(90.0, pv_w=0.0), (), False, 0, "waits for more sun"),
        (sunny(90.0), PAUSE, False, 0, "paused by the owner"),
        (sunny(50.0, pv_w=0.0), CHARGE_NOW, False, 0, BELOW),  # what is stored is for the house
        (sunny(50.0, pv_w=0.0), CHARGE_NOW, True, 16, "as asked"),
        (sunny(14.0, pv_w=0.0), CHARGE_NOW, True, 0, BELOW),  # near its reserve
    ],
)
def test_in_an_island_a_car_has_what_the_house_and_its_batteries_leave(
    image: Snapshot, requests: tuple[UserRequest, ...], into_car: bool, amperes: float, why: str
) -> None:
    car = replace(CAR, ratings=replace(CAR.ratings, phases=1, phase=1))
    site = replace(
        house(GRID, PV, BATTERY, car), batteries=(BatteryPolicy("battery", reserve_pct=10.0, into_car=into_car),)
    )
    given = replace(inputs(image, requests=requests), directive=Directive(grid=GridPresence.ISLANDED))
    known = Memory(islanded=True, chargers={"car": ChargerMemory(0.0)})
    decision, _ = settled(site, given, memory=known)
    assert watts(decision, "car") == amperes
    assert why in of(decision, "car").reason


def test_in_an_island_a_car_that_was_never_met_is_not_given_more_than_it_draws() -> None:
    given = replace(inputs(sunny(95.0)), directive=Directive(grid=GridPresence.ISLANDED))
    decision, _ = decide(house(), given, Memory(islanded=True))
    assert watts(decision, "car") == 0


def test_in_an_island_a_roof_opens_for_a_car_that_follows_the_sun() -> None:
    image = sunny(99.0, car_w=4140.0, pv_w=-4600.0)
    full = replace(BATTERY, ratings=replace(BATTERY.ratings, max_charge_w=0.0))
    given = replace(inputs(image), directive=Directive(grid=GridPresence.ISLANDED))
    known = Memory(islanded=True, chargers={"car": ChargerMemory(6.0)})
    decision, _ = settled(house(GRID, PV, full, CAR), given, memory=known)
    assert 4600 + 690 <= watts(decision, "pv") <= 4600 + 900
