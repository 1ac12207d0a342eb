"""The laws of the simulated house: energy is neither made nor lost, and time's grain does not matter."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from hw_sim.home import load_home
from hw_sim.physics.battery import Band
from hw_sim.physics.house import House
from hw_sim.physics.noise import SlowNoise
from hw_sim.physics.sun import clear_sky_w_per_m2, sun_position
from support.sim_homes import BATTERY, NIGHT, NOON, PV, home, whole_home

HOMES = Path(__file__).parents[2] / "hw-sim" / "homes"


@st.composite
def controls(draw: DrawFn) -> tuple[float, float, float | None, float, int, float | None, float | None]:
    """Step length, extra load, PV limit, offered current, phases, band."""
    return (
        draw(st.sampled_from((0.2, 1.0, 7.0, 60.0, 900.0))),
        draw(st.floats(-200.0, 9000.0)),
        draw(st.none() | st.floats(0.0, 9000.0)),
        draw(st.sampled_from((0.0, 3.0, 6.0, 10.5, 16.0, 32.0))),
        draw(st.sampled_from((1, 3))),
        draw(st.none() | st.floats(-9000.0, 9000.0)),
        draw(st.none() | st.floats(-9000.0, 9000.0)),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(controls(), min_size=1, max_size=40), st.integers(0, 23), st.booleans(), st.booleans())
def test_powers_and_energies_add_up_whatever_is_asked_for(
    asked: list[tuple[float, float, float | None, float, int, float | None, float | None]],
    hour: int,
    grid_charge: bool,
    as_a_whole: bool,
) -> None:
    house = House(whole_home(), NOON + timedelta(hours=hour))
    battery, charging, roof = house.batteries["battery"], house.charging_points["ev"], house.roofs["pv"]
    battery.grid_charge = grid_charge
    roof.beside = battery if as_a_whole else None
    ev_soc_wh = charging.soc_wh
    for dt_s, extra_w, limit_w, amps, phases, lower, upper in asked:
        house.household.extra_w = extra_w
        roof.limit_w = limit_w
        charging.offered_a, charging.offered_phases = amps, phases
        battery.band = Band(lower, upper)
        before, soc_wh = house.truth(), battery.soc_wh
        house.step(dt_s)
        truth = house.truth()
        hours = dt_s / 3600.0
        parts_w = truth.load_w + truth.battery_w + truth.ev_w + truth.pv_w
        assert truth.grid_w == pytest.approx(parts_w, abs=1e-6)
        assert sum(truth.grid_phases_w) == pytest.approx(truth.grid_w, abs=1e-6)
        assert truth.pv_w <= 0.0 <= truth.ev_w
        assert -truth.pv_w <= truth.pv["pv"].available_w + 1e-9
        net_wh = truth.import_wh - before.import_wh - (truth.export_wh - before.export_wh)
        assert net_wh == pytest.approx(truth.grid_w * hours, abs=1e-6)
        charged, discharged = truth.charged_wh - before.charged_wh, truth.discharged_wh - before.discharged_wh
        assert battery.soc_wh - soc_wh == pytest.approx(charged * 0.95 - discharged / 0.95, abs=1e-6)
        assert 500.0 - 1e-6 <= battery.soc_wh <= 10000.0 + 1e-6
        assert -4000.0 <= truth.battery_w <= 5000.0
    assert charging.soc_wh - ev_soc_wh == pytest.approx(charging.energy_wh * 0.92, abs=1e-6)
    assert charging.soc_wh <= 60000.0 + 1e-6


@pytest.mark.parametrize("dt_s", [10.0, 300.0])
def test_a_limit_on_roof_and_battery_together_holds_in_the_very_step_in_which_the_battery_changes(dt_s: float) -> None:
    house = House(home(PV + BATTERY), NOON)
    roof, battery = house.roofs["pv"], house.batteries["battery"]
    battery.soc_wh = 5000.0
    roof.limit_w, roof.beside = 1000.0, battery
    for told_w in (2000.0, -700.0, 1500.0, -2000.0, 0.0):
        battery.band = Band(told_w, told_w)
        house.step(dt_s)
        assert battery.power_w == pytest.approx(told_w, abs=1.0)  # each follows within a second or two
        assert -roof.power_w == pytest.approx(min(roof.available_w, max(0.0, 1000.0 + battery.power_w)))


def test_a_full_cycle_returns_the_product_of_both_efficiencies() -> None:
    house = House(home(BATTERY), NIGHT)
    battery = house.batteries["battery"]
    battery.soc_wh = 500.0
    battery.band = Band(lower_w=4000.0, upper_w=4000.0)
    for _ in range(4 * 3600):
        house.step(1.0)
    assert battery.soc_pct == pytest.approx(100.0)
    assert battery.power_w == 0.0
    battery.band = Band(lower_w=-4000.0, upper_w=-4000.0)
    for _ in range(4 * 3600):
        house.step(1.0)
    assert battery.soc_pct == pytest.approx(5.0)
    assert battery.discharged_wh == pytest.approx(battery.charged_wh * 0.95 * 0.95)


def test_the_battery_left_alone_brings_the_grid_to_zero() -> None:
    house = House(home(BATTERY), NIGHT)
    house.household.extra_w = 1200.0
    for _ in range(15):
        house.step(1.0)
    assert house.truth().battery_w == pytest.approx(-1500.0, abs=1.0)
    assert house.truth().grid_w == pytest.approx(0.0, abs=1.0)


def test_the_battery_takes_about_a_second_to_follow() -> None:
    house = House(home(BATTERY), NIGHT)
    house.batteries["battery"].band = Band(3000.0, 3000.0)
    house.step(0.2)
    assert 0.0 < house.batteries["battery"].power_w < 1000.0
    for _ in range(4):
        house.step(0.2)
    assert house.batteries["battery"].power_w == pytest.approx(3000.0 * (1 - 2.718281828**-1.0), rel=0.01)


def test_without_grid_charging_only_the_surplus_goes_into_the_battery() -> None:
    house = House(home(PV, BATTERY), NOON)
    house.batteries["battery"].grid_charge = False
    house.batteries["battery"].band = Band(5000.0, 5000.0)
    house.household.extra_w = 9000.0
    for _ in range(20):
        house.step(1.0)
    assert house.batteries["battery"].power_w == 0.0


def test_power_tapers_towards_a_full_battery() -> None:
    house = House(home(BATTERY), NIGHT)
    house.batteries["battery"].soc_wh = 9900.0
    assert house.batteries["battery"].max_charge_w() == pytest.approx(1000.0)
    house.batteries["battery"].soc_wh = 10000.0
    assert house.batteries["battery"].max_charge_w() == 0.0


def test_a_clear_june_day_gives_what_a_roof_gives() -> None:
    house = House(home(PV), datetime(2026, 6, 15, tzinfo=UTC))
    for _ in range(24 * 60):
        house.step(60.0)
    assert 45_000 < house.truth().pv_wh < 65_000  # 8 kWp, 5.6 to 8.1 kWh per kWp
    winter = House(home(PV), datetime(2026, 12, 15, tzinfo=UTC))
    for _ in range(24 * 60):
        winter.step(60.0)
    assert 5_000 < winter.truth().pv_wh < 25_000


def test_a_limit_and_a_disconnection_hold_the_roof_back() -> None:
    house = House(home(PV), NOON)
    roof = house.roofs["pv"]
    house.step(1.0)
    assert roof.power_w < -5000.0
    roof.limit_w = 1000.0
    for _ in range(5):
        house.step(1.0)
    assert roof.power_w == pytest.approx(-1000.0)
    assert house.truth().pv_curtailed_wh > 0.0
    roof.connected = False
    for _ in range(8):
        house.step(1.0)
    assert roof.power_w == 0.0


@pytest.mark.parametrize(
    ("at", "latitude", "longitude", "elevation", "azimuth"),
    [
        # Berlin at the summer solstice, true noon: 90 - 52.52 + 23.44
        (datetime(2026, 6, 21, 11, 8, tzinfo=UTC), 52.52, 13.40, 60.9, 180.0),
        # on the equator at an equinox, noon: overhead
        (datetime(2026, 3, 20, 12, 7, tzinfo=UTC), 0.0, 0.0, 89.7, None),
        # Berlin, winter midnight: far below
        (datetime(2026, 12, 21, 23, 5, tzinfo=UTC), 52.52, 13.40, -60.9, None),
    ],
)
def test_the_sun_stands_where_it_should(
    at: datetime, latitude: float, longitude: float, elevation: float, azimuth: float | None
) -> None:
    seen_elevation, seen_azimuth = (57.29578 * x for x in sun_position(at.timestamp(), latitude, longitude))
    assert seen_elevation == pytest.approx(elevation, abs=0.7)
    if azimuth is not None:
        assert seen_azimuth == pytest.approx(azimuth, abs=1.5)


def test_a_clear_noon_is_near_a_thousand_watts_a_square_metre() -> None:
    assert clear_sky_w_per_m2(1.05, 3.14159, 30.0, 180.0) == pytest.approx(1000.0, rel=0.1)
    assert clear_sky_w_per_m2(-0.01, 3.14159, 30.0, 180.0) == 0.0


@given(st.integers(0, 2**31), st.floats(1.6e9, 2.0e9), st.floats(0.0, 1e6))
@settings(max_examples=25, deadline=None)
def test_noise_depends_on_time_and_seed_alone(seed: int, at: float, earlier: float) -> None:
    fresh, used = SlowNoise(seed, "x"), SlowNoise(seed, "x")
    used.at(at - earlier)
    assert used.at(at) == fresh.at(at)


def test_weather_and_load_do_not_depend_on_the_step() -> None:
    spec = load_home(HOMES / "demo.toml")
    start = datetime(2026, 6, 15, 6, 0, tzinfo=UTC)
    fine, coarse = House(spec, start), House(spec, start)
    for _ in range(6 * 60):
        for _ in range(60):
            fine.step(1.0)
        coarse.step(60.0)
        assert fine.truth().pv["pv"].available_w == pytest.approx(coarse.truth().pv["pv"].available_w)
        assert fine.truth().load_w == pytest.approx(coarse.truth().load_w)


def test_the_seed_decides_the_day() -> None:
    spec = load_home(HOMES / "demo.toml")

    def day(seed: int | None) -> list[float]:
        house = House(spec, NOON, seed)
        seen = []
        for _ in range(240):
            house.step(60.0)
            seen.append(house.grid_w)
        return seen

    assert day(None) == day(7)
    assert day(7) != day(8)


def test_a_day_at_one_second_runs_in_a_few_seconds_and_uses_what_a_household_uses() -> None:
    house = House(load_home(HOMES / "demo.toml"), datetime(2026, 6, 15, tzinfo=UTC))
    began = time.process_time()
    for _ in range(86400):
        house.step(1.0)
    assert time.process_time() - began < 6.0
    assert house.truth().load_wh / 24.0 == pytest.approx(600.0, rel=0.15)


def test_counters_and_charge_survive_a_restart() -> None:
    house = House(whole_home(), NOON)
    house.charging_points["ev"].offered_a = 16.0
    for _ in range(600):
        house.step(1.0)
    again = House(whole_home(), house.now)
    again.restore(house.save())
    before, after = house.truth(), again.truth()
    assert after.ev_wh == before.ev_wh > 0.0
    for name in ("import_wh", "export_wh", "load_wh", "pv_wh", "charged_wh", "discharged_wh"):
        assert getattr(after, name) == getattr(before, name)
    assert after.ev["ev"].state == "B"
    assert after.ev["ev"].session_wh == before.ev["ev"].session_wh
    assert after.ev["ev"].soc_pct == before.ev["ev"].soc_pct
    assert after.battery["battery"].soc_wh == before.battery["battery"].soc_wh


def test_a_step_goes_forward_and_a_start_has_a_zone() -> None:
    house = House(home(), NOON)
    with pytest.raises(ValueError, match="allowed: above 0"):
        house.step(0.0)
    with pytest.raises(ValueError, match="no offset"):
        House(home(), datetime(2026, 1, 1))  # noqa: DTZ001 - that is the fault
