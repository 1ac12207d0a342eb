"""The car at the charging point: IEC 61851-1 states, its slowness, its comings and goings."""

from datetime import UTC, datetime

import pytest

from hw_sim.home import Home
from hw_sim.physics.ev import ChargingPoint
from hw_sim.physics.house import House
from support.sim_homes import EV, NIGHT, home


def car_in(house: House) -> ChargingPoint:
    return house.charging_points["ev"]


def run(house: House, seconds: float, dt_s: float = 1.0) -> None:
    for _ in range(round(seconds / dt_s)):
        house.step(dt_s)


def with_ev(lines: str) -> Home:
    return home(EV.replace("plugged_at_start = true", lines))


def test_the_car_needs_its_time_to_wake() -> None:
    house = House(home(EV), NIGHT)
    car = car_in(house)
    car.offered_a = 16.0
    run(house, 4)
    assert (car.state, car.power_w, car.contactor) == ("B", 0.0, False)
    run(house, 1)
    assert (car.state, car.contactor) == ("C", True)
    assert car.power_w == pytest.approx(3 * 230.0 * 16.0)


def test_a_changed_current_is_followed_later() -> None:
    house = House(home(EV), NIGHT)
    car = car_in(house)
    car.offered_a = 16.0
    run(house, 10)
    car.offered_a = 8.0
    run(house, 3)
    assert car.current_a == 16.0
    run(house, 1)
    assert car.current_a == 8.0
    assert car.power_w == pytest.approx(3 * 230.0 * 8.0)


@pytest.mark.parametrize("amps", [0.0, 1.0, 5.9])
def test_below_six_amperes_is_a_pause(amps: float) -> None:
    house = House(home(EV), NIGHT)
    car = car_in(house)
    car.offered_a = amps
    run(house, 60)
    assert (car.state, car.power_w) == ("B", 0.0)
    car.offered_a = 6.0
    run(house, 10)
    assert car.power_w == pytest.approx(3 * 230.0 * 6.0)
    car.offered_a = amps
    run(house, 5)
    assert (car.state, car.power_w, car.contactor) == ("B", 0.0, False)
    assert car.contactor_closures == 1


def test_each_start_costs_one_closing_of_the_contactor() -> None:
    house = House(home(EV), NIGHT)
    car = car_in(house)
    for _ in range(4):
        car.offered_a = 10.0
        run(house, 20)
        car.offered_a = 0.0
        run(house, 20)
    assert car.contactor_closures == 4


def test_one_phase_takes_a_third() -> None:
    house = House(home(EV), NIGHT)
    car = car_in(house)
    car.offered_a, car.offered_phases = 16.0, 1
    run(house, 10)
    assert car.power_w == pytest.approx(3680.0)
    one, two, three = house.grid_phases_w
    assert one - two == pytest.approx(3680.0)
    assert two == pytest.approx(three)


def test_a_full_car_stops_by_itself() -> None:
    house = House(with_ev("plugged_at_start = true\ntarget_soc_pct = 36"), NIGHT)
    car = car_in(house)
    car.offered_a = 16.0
    run(house, 3600)
    assert car.soc_pct == pytest.approx(36.0)
    assert (car.state, car.power_w, car.full) == ("B", 0.0, True)
    assert car.contactor_closures == 1


def test_the_car_leaves_and_comes_by_the_local_clock() -> None:
    trip = 'plugged_at_start = true\ntrip = [{ leave = 07:30:00, come = 17:15:00, energy_wh = 9000, days = ["tue"] }]'
    house = House(with_ev(trip), datetime(2026, 6, 15, 22, 0, tzinfo=UTC))  # Tuesday 00:00 in Berlin
    car = car_in(house)
    seen: list[tuple[float, str]] = []
    for minute in range(2 * 24 * 60):
        house.step(60.0)
        if not seen or seen[-1][1] != car.state:
            seen.append(((minute + 1) / 60.0, car.state))
    assert seen == [(1 / 60.0, "B"), (7.5, "A"), (17.25, "B")]
    assert car.soc_pct == pytest.approx(35.0 - 15.0)
    assert car.plug_ins == 2


def test_trips_keep_the_local_time_when_the_clocks_change() -> None:
    trip = "plugged_at_start = true\ntrip = [{ leave = 07:30:00, come = 08:00:00 }]"
    house = House(with_ev(trip), datetime(2026, 3, 28, 12, 0, tzinfo=UTC))  # the clocks go forward in the night
    car = car_in(house)
    while car.plugged:
        house.step(60.0)
    assert house.now == datetime(2026, 3, 29, 5, 30, tzinfo=UTC)


def test_coming_home_starts_a_new_session() -> None:
    house = House(home(EV), NIGHT)
    car = car_in(house)
    car.offered_a = 16.0
    run(house, 600)
    assert car.session_wh > 0.0
    total = car.energy_wh
    car.unplug()
    run(house, 5)
    assert (car.state, car.power_w) == ("A", 0.0)
    car.plug(1000.0)
    assert (car.state, car.session_wh, car.energy_wh) == ("B", 0.0, total)
