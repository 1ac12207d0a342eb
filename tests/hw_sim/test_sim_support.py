"""The grid's voltage and frequency, and how inverters answer them: deviation, response and time as the standards say.

| set | deviation | settles at | nine tenths within |
| --- | --- | --- | --- |
| IEEE 1547-2018 B, frequency | 50.536 Hz | 20 % of the rating less (0.036 Hz, droop 5 %) | 5 s |
| IEEE 1547-2018 B, volt-watt | 1.08 | 60 % of the rating | 10 s |
| IEEE 1547-2018 B, volt-var | 1.05 and 0.95 | 22 % of the rating drawn, 22 % injected | 5 s |
| EN 50549-1, frequency | 50.7 Hz | 20 % of the rating less (0.2 Hz, droop 5 %) | 2 s |
"""

import pytest

from hw_sim.physics.support import SETS, Support
from hw_sim.simulation import SimulatedHome
from support.sim_homes import METER, NIGHT, NOON, PV, home

B, EN = "ieee1547-b", "en50549"


def measured(name: str, share: float, hertz: float, gave: float = 0.9) -> tuple[float, float, list[Support]]:
    """Cap and reactive power, p.u. of the rating, when they have settled; and the state at each tenth of a second."""
    states = []
    support = Support(SETS[name], 230.0, 50.0)
    support.step(0.1, 230.0, 50.0, gave)
    for _ in range(600):
        support.step(0.1, 230.0 * share, hertz, min(gave, support.cap))
        copy = Support(SETS[name], 230.0, 50.0)
        copy.cap, copy.var = support.cap, support.var
        states.append(copy)
    return support.cap, support.var, states


@pytest.mark.parametrize(
    ("name", "hertz", "cap", "within_s"),
    [
        (B, 50.036, 1.0, 5.0),
        (B, 49.5, 1.0, 5.0),  # a roof without a reserve has nothing to add
        (B, 50.536, 0.7, 5.0),
        (B, 51.536, 0.3, 5.0),
        (B, 53.0, 0.0, 5.0),
        (EN, 50.2, 1.0, 2.0),
        (EN, 50.7, 0.7, 2.0),
        (EN, 51.5, 0.9 - 1.3 / 2.5, 2.0),
    ],
)
def test_a_high_frequency_takes_the_droops_share_of_the_rating_off_what_was_given(
    name: str, hertz: float, cap: float, within_s: float
) -> None:
    settled, var, states = measured(name, 1.0, hertz)
    assert settled == pytest.approx(cap, abs=0.002)
    assert var == 0.0
    if cap < 1.0:
        at = states[round(within_s * 10) - 1]
        assert 0.9 - at.cap == pytest.approx(0.9 * (0.9 - cap), abs=0.01)


@pytest.mark.parametrize(
    ("share", "cap", "var"),
    [
        (1.0, 1.0, 0.0),
        (1.02, 1.0, 0.0),
        (1.05, 1.0, -0.22),
        (0.95, 1.0, 0.22),
        (0.90, 1.0, 0.44),
        (1.08, 0.6, -0.44),
        (1.12, 0.2, -0.44),
    ],
)
def test_volt_var_and_volt_watt_of_category_b(share: float, cap: float, var: float) -> None:
    settled, settled_var, states = measured(B, share, 50.0)
    assert settled == pytest.approx(cap, abs=0.002)
    assert settled_var == pytest.approx(var, abs=0.002)
    assert states[49].var == pytest.approx(0.9 * var, abs=0.01)
    assert 1.0 - states[99].cap == pytest.approx(0.9 * (1.0 - cap), abs=0.01)
    assert measured(EN, share, 50.0)[:2] == (1.0, 0.0)


def feeder(supports: str | None, ohm: float, reactance_ohm: float = 0.0, event: str = "") -> SimulatedHome:
    roof = PV if supports is None else PV.replace("peak_w", f'supports = "{supports}"\npeak_w', 1)
    grid = f"[grid]\nresistance_ohm = {ohm}\nreactance_ohm = {reactance_ohm}\n"
    sim = SimulatedHome(home(roof, METER, grid, event), NOON)
    for _ in range(120):
        sim.step(1.0)
    return sim


def test_what_flows_moves_the_voltage_by_the_feeders_impedance() -> None:
    truth = feeder(None, 0.5).truth()
    assert truth.grid_w < -1000.0
    for volts, watts in zip(truth.voltages_v, truth.grid_phases_w, strict=True):
        assert volts == pytest.approx(230.0 - 0.5 * watts / 230.0, abs=0.05)
    taken = SimulatedHome(home(METER, "[grid]\nresistance_ohm = 1\n"), NIGHT)
    taken.step(1.0)
    taken.step(1.0)
    assert taken.truth().voltages_v[0] < 230.0
    assert feeder(None, 0.0).truth().voltages_v == (230.0, 230.0, 230.0)


def test_volt_var_and_volt_watt_lower_the_voltage_that_the_roof_itself_raises_and_settle() -> None:
    alone, helped = feeder(None, 1.5, 1.0), feeder(B, 1.5, 1.0)
    before, after = alone.truth(), helped.truth()
    assert after.voltages_v[0] < before.voltages_v[0] - 2.0
    assert -helped.house.roofs["pv"].reactive_var < 0.0  # it draws
    seen = []
    for _ in range(60):
        helped.step(1.0)
        seen.append(helped.truth().voltages_v[0])
    assert max(seen) - min(seen) < 0.5  # no hunting


def test_a_high_frequency_of_the_grid_is_answered_by_the_roof_within_its_time() -> None:
    sim = feeder(EN, 0.0, event='[[event]]\nkind = "frequency"\nat_s = 120\nhz = 50.7\n')
    before_w = -sim.truth().pv_w
    rating_w = sim.house.roofs["pv"].spec.rating_w
    for _ in range(10):
        sim.step(1.0)
    assert sim.truth().frequency_hz == 50.7
    assert -sim.truth().pv_w == pytest.approx(before_w - 0.2 * rating_w, rel=0.03)
