"""What no policy can undercut: every way to run a house costs at least as much."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cem.simulation.compare.bound import Appointment, House, Store, bound_of

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
