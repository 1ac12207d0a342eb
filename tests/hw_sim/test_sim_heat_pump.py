"""The heat pump and its store: heat is neither made nor lost, and the machine keeps its own times."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_sim.physics.calendar import Calendar
from hw_sim.physics.heat_pump import FORCED, LOCKED, NORMAL, RECOMMENDED, HeatPump
from hw_sim.specs import HeatPumpSpec

AT = datetime(2026, 1, 15, 0, 0, tzinfo=UTC).timestamp()
SPEC = HeatPumpSpec(heater_w=3000)


class Bench:
    def __init__(self, spec: HeatPumpSpec = SPEC) -> None:
        self.pump = HeatPump(spec, Calendar("UTC"))
        self.unix_s = AT

    def run(self, seconds: float, outdoor_c: float = 2.0, dt_s: float = 10.0, powered: bool = True) -> None:
        for _ in range(round(seconds / dt_s)):
            self.unix_s += dt_s
            self.pump.step(dt_s, self.unix_s, outdoor_c, powered)


def test_on_a_cold_day_it_keeps_the_house_comfortable() -> None:
    bench = Bench()
    bench.run(86400, outdoor_c=-5.0)
    pump = bench.pump
    assert SPEC.comfort_min_c < pump.store_c < SPEC.comfort_max_c + 1.0
    assert pump.below_comfort_s == 0.0
    assert pump.drawn_wh == pytest.approx(24 * 150 * 25 + 6000, rel=0.02)
    assert 2.0 < pump.heat_wh / pump.energy_wh < 3.5


@pytest.mark.parametrize(("outdoor_c", "least", "most"), [(-15.0, 1.9, 2.4), (2.0, 2.6, 3.1), (12.0, 3.2, 3.9)])
def test_the_colder_the_air_the_dearer_the_heat(outdoor_c: float, least: float, most: float) -> None:
    assert least < Bench().pump.cop_at(outdoor_c) < most


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((LOCKED, NORMAL, RECOMMENDED, FORCED)),
            st.sampled_from((1.0, 10.0, 30.0, 300.0, 900.0)),
            st.floats(-20.0, 30.0),
            st.booleans(),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_heat_adds_up_whatever_is_asked_for(asked: list[tuple[int, float, float, bool]]) -> None:
    bench = Bench()
    pump = bench.pump
    began_c = pump.store_c
    for state, dt_s, outdoor_c, powered in asked:
        pump.sg_state = state
        bench.run(dt_s * 5, outdoor_c, dt_s, powered)
        assert 0.0 <= pump.power_w <= SPEC.max_w + SPEC.heater_w + SPEC.standby_w + 1e-6
        assert powered or pump.power_w == 0.0
    stored_wh = (pump.store_c - began_c) * pump.capacity_wh_per_k
    assert stored_wh == pytest.approx(pump.heat_wh - pump.drawn_wh - pump.lost_wh, abs=1e-6)
    assert pump.unmet_wh >= -1e-9


def test_it_runs_and_rests_for_its_own_minimum_times() -> None:
    bench = Bench()
    pump = bench.pump
    changes: list[float] = []
    running = pump.running
    for k in range(8640):
        pump.sg_state = (LOCKED, NORMAL, FORCED)[k // 7 % 3]  # somebody plays with the contacts
        bench.run(10.0)
        if pump.running is not running:
            running = pump.running
            changes.append(bench.unix_s)
    assert pump.starts > 3
    assert min(b - a for a, b in pairwise(changes)) >= 600.0 - 10.0


def test_a_lock_ends_after_two_hours_by_itself() -> None:
    bench = Bench()
    bench.pump.sg_state = LOCKED
    bench.run(7100, outdoor_c=-10.0)
    assert bench.pump.power_w == SPEC.standby_w
    bench.run(600, outdoor_c=-10.0)
    assert bench.pump.power_w > SPEC.min_w
    bench.pump.sg_state = NORMAL
    bench.run(60)
    bench.pump.sg_state = LOCKED
    bench.run(900)
    assert bench.pump.power_w == SPEC.standby_w


@pytest.mark.parametrize(("state", "target_c"), [(NORMAL, 48.0), (RECOMMENDED, 54.0), (FORCED, 60.0)])
def test_the_states_raise_the_target(state: int, target_c: float) -> None:
    bench = Bench()
    bench.pump.sg_state = state
    hottest = 0.0
    for _ in range(2400):
        bench.run(30.0, outdoor_c=8.0, dt_s=30.0)
        hottest = max(hottest, bench.pump.store_c)
    assert target_c - 0.5 <= hottest <= target_c + 2.0


def test_the_step_makes_little_difference_over_days() -> None:
    def days(dt_s: float) -> tuple[float, float]:
        bench = Bench()
        bench.run(5 * 86400, outdoor_c=0.0, dt_s=dt_s)
        return bench.pump.energy_wh, bench.pump.drawn_wh

    fine, coarse = days(5.0), days(60.0)
    assert coarse == pytest.approx(fine, rel=0.03)
