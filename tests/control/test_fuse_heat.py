"""A step above the main fuse is paid back: the mean of ten minutes stays at what it carries."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cem.control import Memory, decide
from cem.control.fuse_heat import ahead_a, kept_a, warmed
from cem.control.tuning import FUSE_COOLS_S
from cem.model.reading import Value
from support.houses import CAR, GRID, house, inputs, of, snapshot

FUSE_A = 32.0


def test_what_flowed_above_is_paid_back_within_ten_minutes_and_nothing_is_kept_then() -> None:
    heat: tuple[float, ...] = ()
    flowed, amperes = [], (50.0, 20.0, 20.0)
    for _ in range(600):
        heat = warmed(heat, amperes, FUSE_A, 1.0)
        flowed.append(amperes[0])
        amperes = (50.0 if len(flowed) < 20 else FUSE_A - 0.2 - kept_a(heat, 0), 20.0, 20.0)
    assert sum(flowed) / 600.0 <= FUSE_A + 0.1
    assert min(flowed) >= 0.9 * FUSE_A - 0.2
    for _ in range(1800):
        heat = warmed(heat, (FUSE_A - 0.2 - kept_a(heat, 0), 20.0, 20.0), FUSE_A, 1.0)
    assert heat == ()


@pytest.mark.parametrize("passed_s", [0.0, -5.0, 3600.0])
def test_what_flowed_while_nobody_looked_is_not_known(passed_s: float) -> None:
    assert warmed((10.0, 0.0, 0.0), (50.0, 50.0, 50.0), FUSE_A, passed_s) == (10.0, 0.0, 0.0)


def test_a_fuse_that_is_never_exceeded_keeps_nothing_and_one_that_is_for_long_a_tenth_at_most() -> None:
    assert warmed((), (31.9, -31.9, 0.0), FUSE_A, 1.0) == ()
    hot: tuple[float, ...] = ()
    for _ in range(1000):
        hot = warmed(hot, (-60.0, 0.0, 0.0), FUSE_A, 1.0)
    assert kept_a(hot, 0) == pytest.approx(0.1 * FUSE_A)
    assert kept_a(hot, 1) == 0.0


@given(st.lists(st.tuples(st.floats(-500.0, 500.0), st.floats(-10.0, 4000.0)), max_size=40))
def test_whatever_flowed_for_however_long_a_tenth_of_the_fuse_is_kept_at_most(flows: list[tuple[float, float]]) -> None:
    heat: tuple[float, ...] = ()
    for amperes, passed_s in flows:
        before = kept_a(heat, 0)
        heat = warmed(heat, (amperes, 0.0, 0.0), FUSE_A, passed_s)
        assert 0.0 <= kept_a(heat, 0) <= 0.1 * FUSE_A + 1e-9
        if abs(amperes) <= FUSE_A:
            assert kept_a(heat, 0) <= before
    assert kept_a(heat, 1) == kept_a(heat, 5) == 0.0


def test_a_car_gets_less_than_the_fuse_while_that_cools_down() -> None:
    site = house(GRID, CAR)
    fuse_a = site.connection.fuse_a
    left_a = 12.4  # for the car
    phases: dict[str, Value] = {f"current_l{phase}_a": fuse_a - left_a for phase in (1, 2, 3)}
    volts: dict[str, Value] = {f"voltage_l{phase}_v": 230.0 for phase in (1, 2, 3)}
    grid: dict[str, Value] = {"power_w": 3 * 230.0 * (fuse_a - left_a), **phases, **volts}
    image = snapshot({"grid": grid, "car": {"power_w": 0.0, "state": "B", "limit_a": 12.0}})
    told = {}
    for heat in (0.0, FUSE_COOLS_S):  # the latter: 1 A for so long
        memory = Memory(heat=(heat, 0.0, 0.0), decided_at_s=999.0)
        ticked = inputs(image)
        for second in range(8):
            ticked = replace(ticked, snapshot=replace(image, mono_s=1000.0 + second))
            decision, memory = decide(site, ticked, replace(memory, heat=(heat, 0.0, 0.0)))
        told[heat] = of(decision, "car").value or 0.0
    assert told[0.0] - told[FUSE_COOLS_S] == 1.0


@given(st.floats(5.0, 30.0), st.floats(0.0, 0.5))
def test_a_step_that_ticks_far_apart_leave_alone_for_three_of_them_keeps_the_mean_at_the_fuse(
    every_s: float, step: float
) -> None:
    before_a, lasts_s = FUSE_A - ahead_a(FUSE_A, every_s), 3.0 * every_s
    mean_a = (before_a * (600.0 - lasts_s) + (before_a + step * FUSE_A) * lasts_s) / 600.0
    beyond = max(0.0, step * lasts_s / 600.0 - 0.05)  # more than a twentieth of the fuse is never kept
    assert mean_a <= FUSE_A * (1.0 + beyond) + 1e-9
    assert 0.0 < ahead_a(FUSE_A, every_s) <= 0.05 * FUSE_A


def test_a_gateway_of_a_tick_a_second_keeps_nothing_ahead() -> None:
    assert ahead_a(FUSE_A, 1.0) == 0.0
