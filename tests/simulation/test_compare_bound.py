"""What no policy can undercut: every way to run a house costs at least as much."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.simulation.compare.bound import Appointment, House, Store, SunShare, Taper, bound_of
from cem.simulation.compare.house import best_minutes
from hw_sim.physics.calendar import Calendar
from hw_sim.physics.ev import ChargingPoint
from hw_sim.specs import EvSpec

N = 24


def _house(**changes: object) -> House:
    flat = np.full(N, 0.3)
    house = House(
        np.ones(N), flat, np.full(N, 0.08), np.full(N, 0.5), np.zeros(N), np.full(N, np.inf), np.full(N, np.inf)
    )
    return replace(house, **changes)  # type: ignore[arg-type]


def _battery(**changes: object) -> Store:
    store = Store("battery", 5.0, 1.0, 10.0, np.full(N, 3.0), np.full(N, 3.0), np.full(N, 0.95), 0.95, end_value=0.2)
    return replace(store, **changes)  # type: ignore[arg-type]


def test_a_house_without_anything_to_move_costs_its_load() -> None:
    assert bound_of(_house()).bill == pytest.approx(24 * 0.5 * 0.3)


def test_a_battery_moves_energy_from_cheap_to_dear_hours_and_pays_for_its_losses() -> None:
    prices = np.where(np.arange(N) < 12, 0.1, 0.4)
    empty = _battery(stored_kwh=0.0, floor_kwh=0.0, end_value=0.0)
    found = bound_of(_house(import_price=prices, stores=(empty,)))
    assert found.bill == pytest.approx(6 * 0.1 + 6 / 0.95 / 0.95 * 0.1)
    assert found.stored_kwh["battery"][-1] == pytest.approx(0.0, abs=1e-6)


def test_an_appointment_is_kept_at_the_cheapest_time_before_it() -> None:
    prices = np.where(np.arange(N) == 3, 0.1, 0.4)
    car = Store(
        "car", 10.0, 0.0, 60.0, np.full(N, 11.0), np.zeros(N), np.full(N, 0.9), appointments=(Appointment(7, 19.9),)
    )
    found = bound_of(_house(import_price=prices, stores=(car,)))
    assert found.power_kw["car"][3] == pytest.approx(11.0)
    assert found.stored_kwh["car"][7] >= 19.9 - 1e-6


def test_where_feeding_in_pays_more_than_buying_no_money_is_made_in_a_circle() -> None:
    found = bound_of(_house(import_price=np.full(N, -0.1), export_price=np.full(N, 0.1), sun_kw=np.full(N, 2.0)))
    assert found.bill == pytest.approx(-24 * (0.5 * 0.1 + 2.0 * 0.1))


def test_no_battery_is_emptied_into_a_car_where_its_owner_does_not_want_it() -> None:
    full = _battery(stored_kwh=10.0, end_value=0.0)
    car = Store("car", 0.0, 0.0, 60.0, np.full(N, 3.0), np.zeros(N), np.ones(N), appointments=(Appointment(N - 1, 20),))
    free = _house(load_kw=np.full(N, 0.05), stores=(full, car))
    kept = replace(free, given_kw=np.zeros(N))
    assert bound_of(free).bill < bound_of(kept).bill - 0.5
    assert (bound_of(kept).power_kw["car"] <= np.maximum(bound_of(kept).grid_kw, 0.0) + 1e-6).all()


def test_the_highest_quarter_hour_of_each_month_has_its_price() -> None:
    """Slots of five minutes, two months of two hours: one with a peak of 2 kW, one with a peak of 1 kW."""
    load = np.array([2.0, 2.0, 2.0, 0.5, *[0.2] * 8, 3.0, 0.0, 0.0, *[0.1] * 9])
    house = _house(
        hours=np.full(N, 1 / 12),
        load_kw=load,
        peak_price=7.0,
        quarter_of=np.arange(N) // 3,
        month_of=np.repeat([3, 4], N // 2),
    )
    energy = float(load.sum()) / 12.0 * 0.3
    assert bound_of(house).bill == pytest.approx(energy + 7.0 * (2.0 + 1.0))
    full = _battery(end_value=0.0)  # covers everything, and feeds in what is left
    assert bound_of(replace(house, stores=(full,))).bill == pytest.approx(-0.08 * (4.0 * 0.95 - load.sum() / 12.0))


def test_heat_is_made_when_it_is_cheap_and_what_is_lost_with_it_is_paid_for() -> None:
    prices = np.where(np.arange(N) < 12, 0.1, 0.4)
    heat = Store(
        "pump", 0.0, 0.0, 30.0, np.full(N, 3.0), np.zeros(N), np.full(N, 3.0), drain_kwh=np.full(N, 1.5), is_load=True
    )
    ideal = bound_of(_house(import_price=prices, load_kw=np.zeros(N), stores=(heat,)))
    assert ideal.bill == pytest.approx(N * 1.5 / 3.0 * 0.1)
    leaky = bound_of(_house(import_price=prices, load_kw=np.zeros(N), stores=(replace(heat, loss_per_h=0.02),)))
    assert leaky.bill > ideal.bill + 0.01


def test_heat_may_be_thrown_away_where_taking_is_paid() -> None:
    heat = Store("pump", 0.0, 0.0, 2.0, np.full(N, 3.0), np.zeros(N), np.full(N, 3.0), is_load=True, wasted=True)
    assert bound_of(_house(import_price=np.full(N, -0.1), stores=(heat,))).bill == pytest.approx(-N * 3.5 * 0.1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_way_to_run_a_house_undercuts_it(seed: int) -> None:
    """Any battery behaviour, with load and sun that change within the slots, settled as the bound is."""
    rng = random.Random(seed)
    parts = 6
    price = np.array([rng.choice((0.1, 0.25, 0.4)) for _ in range(N)])
    load = np.array([[rng.uniform(0.1, 3.0) for _ in range(parts)] for _ in range(N)])
    sun = np.array([[rng.uniform(0.0, 4.0) for _ in range(parts)] for _ in range(N)])
    battery = _battery()
    stored, bill, least = battery.stored_kwh, 0.0, battery.stored_kwh
    for t in range(N):
        for k in range(parts):
            hours = 1.0 / parts
            net = load[t, k] - sun[t, k]
            wanted = rng.choice((-net, 3.0, -3.0, 0.0))
            into = min(max(wanted, 0.0), 3.0, (10.0 - stored) / 0.95 / hours)
            out = min(max(-wanted, 0.0), 3.0, (stored - 1.0) * 0.95 / hours)
            stored += (into * 0.95 - out / 0.95) * hours
            least = min(least, stored)
            grid = net + into - out
            bill += grid * hours * (price[t] if grid > 0 else 0.08)
    house = _house(import_price=price, load_kw=load.mean(axis=1), sun_kw=sun.mean(axis=1), stores=(battery,))
    settled = bill - 0.2 * (stored - battery.stored_kwh)
    assert math.isfinite(settled)
    assert bound_of(house).settled <= settled + 1e-7


def _nearly_full(**changes: object) -> Store:
    car = Store("car", 57.0, 0.0, 60.0, np.full(N, 11.04), np.zeros(N), np.full(N, 0.92), least_kw=4.14)
    return replace(car, **changes)  # type: ignore[arg-type]


def test_a_nearly_full_car_takes_less() -> None:
    prices = np.where(np.arange(N) == 3, 0.1, 0.4)
    due = (Appointment(3, 59.9),)
    hours = np.full(N, 0.25)
    free = bound_of(_house(hours=hours, import_price=prices, stores=(_nearly_full(appointments=due),)))
    tapers = _nearly_full(appointments=due, taper=Taper(3.0, 4.14))
    slow = bound_of(_house(hours=hours, import_price=prices, stores=(tapers,)))
    assert free.power_kw["car"][3] == pytest.approx(11.04)
    room = 0.1 + 0.5 * 0.92 * 0.25 * 5.94  # kWh, half way through that quarter hour
    assert slow.power_kw["car"][3] == pytest.approx(4.14 + (11.04 - 4.14) / 3.0 * room, abs=0.01)
    assert slow.bill > free.bill + 0.3


def test_a_car_that_cannot_charge_slowly_has_no_more_of_a_small_sun_than_in_the_time_that_it_runs() -> None:
    """The sun leaves 2 kW for half of each hour; the car takes 4.14 kW, or nothing, and needs 2.07 kWh in the hour."""
    spare = np.tile(np.repeat([2.0, 0.0], 30), N)
    lines = best_minutes(spare, np.arange(0, 60 * N + 1, 60))
    shares = tuple(SunShare(base, slope, np.zeros(N)) for base, slope in lines)
    car = _nearly_full(stored_kwh=0.0, gain=np.ones(N), appointments=(Appointment(0, 2.07),))
    house = _house(load_kw=np.zeros(N), sun_kw=np.full(N, 1.0), given_kw=np.full(N, 1.0), stores=(car,))
    found = bound_of(replace(house, sun_shares=shares))
    assert found.bill + 0.08 * 23.0 == pytest.approx(0.3 * 1.07)  # half an hour at 4.14 kW, of which 2 from the sun


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_no_way_to_charge_a_car_undercuts_it(seed: int) -> None:
    """The simulated car, offered anything, with a sun that changes by the minute."""
    rng = random.Random(seed)
    spec = EvSpec(capacity_wh=60_000, soc_pct=rng.uniform(80, 99), plugged_at_start=True)
    car, slots, step_s = ChargingPoint(spec, Calendar("UTC")), 12, 10
    price = np.array([rng.choice((0.1, 0.25, 0.4)) for _ in range(slots)])
    spare = np.repeat([max(rng.uniform(-2.0, 6.0), 0.0) for _ in range(slots * 5)], 3)
    begin_kwh, bill = car.soc_wh / 1000.0, 0.0
    for minute in range(15 * slots):
        if minute % rng.choice((1, 5, 15)) == 0:
            car.offered_a = rng.choice((0.0, 0.0, 6.0, 10.0, 16.0))
        for step in range(60 // step_s):
            car.step(step_s, 60.0 * minute + step_s * (step + 1), (230.0, 230.0, 230.0))
            grid_kw = car.power_w / 1000.0 - spare[minute]
            bill += grid_kw * step_s / 3600.0 * (price[minute // 15] if grid_kw > 0 else 0.08)
    lines = best_minutes(spare, np.arange(0, 15 * slots + 1, 15))
    mean = spare.reshape(slots, 15).mean(axis=1)
    store = Store(
        "car",
        begin_kwh,
        0.0,
        60.0,
        np.full(slots, 11.04),
        np.zeros(slots),
        np.full(slots, spec.efficiency),
        end_value=0.3,
        least_kw=4.14,
        taper=Taper(3.0, 4.14),
    )
    endless = np.full(slots, np.inf)
    house = House(
        np.full(slots, 0.25),
        price,
        np.full(slots, 0.08),
        np.zeros(slots),
        mean,
        endless,
        endless,
        (store,),
        mean,
        tuple(SunShare(base, slope, np.zeros(slots)) for base, slope in lines),
    )
    settled = bill - 0.3 * (car.soc_wh / 1000.0 - begin_kwh)
    found = bound_of(house)
    assert found.settled <= settled + 1e-7
    held = replace(store, appointments=(Appointment(slots - 1, car.soc_wh / 1000.0),), end_value=0.0)
    assert bound_of(replace(house, stores=(held,))).bill <= bill + 1e-7
