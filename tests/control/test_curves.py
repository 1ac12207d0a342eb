"""The grid's curves at work: what the house gives by voltage and frequency, and takes by price."""

from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.control.curves import followed
from cem.control.memory import Volts
from cem.control.meter import metered
from cem.model.curve import Curve, CurveOver
from cem.model.directive import CurveOrder, Directive, GridPresence, PriceWindow
from cem.model.envelope import SITE, Rank
from cem.model.reading import Snapshot
from cem.model.tick import Inputs
from support.houses import NOON, house, inputs, of, settled, snapshot, watts

HOME = house()
VOLT_WATT = Curve(CurveOver.VOLTS, ((250.0, 1.0), (260.0, 0.0)), shares=True)
FREQUENCY = Curve(CurveOver.HERTZ, ((50.2, 1.0), (51.2, 0.0)), shares=True)


def sunny(volts: float | None, hertz: float = 50.0, mono_s: float = 1000.0) -> Snapshot:
    """A roof that gives 6 kW beside a full battery, a voltage on the highest phase."""
    meter: dict[str, float] = {"power_w": -5000.0, "frequency_hz": hertz}
    if volts is not None:
        meter |= {"voltage_l1_v": volts, "voltage_l2_v": volts - 3, "voltage_l3_v": volts - 5}
    return snapshot(
        {
            "grid": dict(meter),
            "pv": {"power_w": -6000.0},
            "battery": {"power_w": 0.0, "soc_pct": 100.0},
            "car": {"power_w": 0.0, "state": "A"},
        },
        mono_s=mono_s,
    )


def by(curve: Curve, subject: str = SITE) -> Directive:
    order = CurveOrder(subject, curve, Rank.OBLIGATION, "utility", "the curve of utility (event e1)", None)
    return Directive(curves=(order,))


ROOF = [
    ("below the curve", VOLT_WATT, 245.0, 50.0, None),
    ("halfway", VOLT_WATT, 255.0, 50.0, 4000.0),
    ("beyond it", VOLT_WATT, 262.0, 50.0, 0.0),
    ("voltage unknown: the strictest point", VOLT_WATT, None, 50.0, 0.0),
    ("frequency", FREQUENCY, 230.0, 50.7, 4000.0),
    ("share of the nominal voltage", Curve(CurveOver.VOLTS_SHARE, ((1.0, 1.0), (1.2, 0.0)), True), 253.0, 50.0, 4000.0),
    ("at the whole connection", Curve(CurveOver.VOLTS, ((250.0, 5000.0), (260.0, 0.0)), False), 255.0, 50.0, 3500.0),
]


@pytest.mark.parametrize(("name", "curve", "volts", "hertz", "limit_w"), ROOF, ids=[row[0] for row in ROOF])
def test_the_roof_gives_what_the_curve_leaves(
    name: str, curve: Curve, volts: float | None, hertz: float, limit_w: float | None
) -> None:
    decision, _ = settled(HOME, inputs(sunny(volts, hertz), directive=by(curve)))
    told = of(decision, "pv")
    if limit_w is None:
        assert told.value is None or told.value >= 8000.0, name
    else:
        assert told.value == pytest.approx(limit_w, abs=110.0), name
        assert "the curve of utility (event e1)" in told.reason
        assert told.source == "utility"


@pytest.mark.parametrize(("volts", "limit_w"), [(245.0, None), (253.0, 4000.0), (270.0, 0.0), (None, 0.0)])
def test_the_houses_own_volt_watt_needs_no_provider(volts: float | None, limit_w: float | None) -> None:
    curve = Curve(CurveOver.VOLTS_SHARE, ((1.08, 1.0), (1.12, 0.0)), shares=True)
    site = replace(HOME, policy=replace(HOME.policy, volt_watt=curve))
    decision, _ = settled(site, inputs(sunny(volts)))
    told = of(decision, "pv")
    assert told.value == (None if limit_w is None else pytest.approx(limit_w, abs=1))
    assert limit_w is None or "volt-watt of this house" in told.reason
    gone = Directive(grid=GridPresence.ISLANDED)
    islanded, _ = settled(site, inputs(sunny(volts), directive=gone))
    assert "volt-watt" not in of(islanded, "pv").reason


def test_a_curve_for_the_battery_leaves_the_roof_alone_and_bounds_what_it_gives() -> None:
    evening = snapshot(
        {
            "grid": {"power_w": 4000.0, "voltage_l1_v": 258.0, "voltage_l2_v": 250.0, "voltage_l3_v": 250.0},
            "pv": {"power_w": 0.0},
            "battery": {"power_w": 0.0, "soc_pct": 80.0},
            "car": {"power_w": 0.0, "state": "A"},
        }
    )
    decision, _ = settled(HOME, inputs(evening, directive=by(VOLT_WATT, "battery")))
    assert watts(decision, "battery") == pytest.approx(-1000.0, abs=20.0)
    assert of(decision, "pv").value is None


@pytest.mark.parametrize(("price", "most_w"), [(0.2, 11_000.0), (0.35, 6500.0), (0.9, 2000.0)])
def test_a_demand_curve_bounds_what_is_taken_at_the_price_of_now(price: float, most_w: float) -> None:
    curve = Curve(CurveOver.PRICE_PER_KWH, ((0.2, 11_000.0), (0.5, 2000.0)), shares=False)
    window = PriceWindow(NOON.replace(hour=0), None, price, None, "utility")
    decision, _ = settled(HOME, inputs(sunny(230.0), directive=replace(by(curve), prices=(window,))))
    assert decision.band.max_w == pytest.approx(most_w)


def test_without_the_grids_voltage_a_curve_does_not_count() -> None:
    memory = replace(Memory(), islanded=True, voltage_seen=True)
    decision, _ = decide(HOME, inputs(sunny(0.0), directive=by(VOLT_WATT)), memory)
    assert "curve" not in of(decision, "pv").reason


def test_the_voltage_is_smoothed_over_ten_seconds_and_forgotten_with_the_curve() -> None:
    def at(volts: float, mono_s: float) -> Inputs:
        return inputs(sunny(volts, mono_s=mono_s), directive=by(VOLT_WATT))

    def smoothed(seen: Inputs, before: Volts | None) -> Volts | None:
        return followed(HOME, seen, metered(HOME, seen.snapshot), before)

    first = smoothed(at(240.0, 1000.0), None)
    assert first == Volts(240.0, at(240.0, 1000.0).now.mono_s)
    later = replace(first, at_s=first.at_s - 10.0)
    second = smoothed(at(250.0, 1000.0), later)
    assert second is not None
    assert second.volts == pytest.approx(246.32, abs=0.01)
    assert smoothed(at(250.0, 1000.0), replace(first, at_s=first.at_s - 60.0)) == Volts(250.0, first.at_s)
    assert smoothed(inputs(sunny(250.0)), first) is None


def test_a_curve_is_straight_between_its_points_and_level_beyond() -> None:
    step = Curve(CurveOver.VOLTS, ((250.0, 100.0), (250.0, 50.0), (260.0, 0.0)), shares=False)
    assert [step.at(x) for x in (200.0, 249.9, 250.0, 255.0, 260.0, 300.0)] == [100.0, 100.0, 50.0, 25.0, 0.0, 0.0]
    assert step.strictest == 0.0
