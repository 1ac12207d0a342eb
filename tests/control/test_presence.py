"""The grid's voltage: gone at once, back with patience, and what the control does in between."""

from dataclasses import replace

import pytest

from cem.control import Memory, decide
from cem.control.memory_json import from_json, to_json
from cem.control.tuning import RETURN_LEAST_S
from cem.model.directive import Directive, GridPresence
from cem.model.envelope import SITE, Envelope, Rank
from cem.model.reading import Snapshot, Value
from cem.model.setpoint import Decision, Mode
from cem.model.site import LoadPolicy, LoadRun
from cem.model.time import Instant
from support.houses import BATTERY, BOILER, CAR, GRID, NOON, PV, house, inputs, of, settled, snapshot, watts

HOME = house(GRID, PV, BATTERY, CAR, BOILER)
LIMIT = Directive(envelopes=(Envelope(SITE, None, 4000.0, Rank.OBLIGATION, "utility", "limit"),))


def seen(volts: tuple[float | None, ...], power_w: float = 0.0, mono_s: float = 1000.0) -> Snapshot:
    """The house with these voltages at the meter; the battery carries 800 W."""
    grid: dict[str, Value] = {"power_w": power_w}
    grid |= {f"voltage_l{n}_v": v for n, v in enumerate(volts, 1)}
    return snapshot(
        {
            "grid": grid,
            "pv": {"power_w": 0.0},
            "battery": {"power_w": -800.0, "soc_pct": 60.0},
            "car": {"power_w": 0.0, "state": "B"},
            "boiler": {"power_w": 0.0},
        },
        mono_s=mono_s,
    )


def after(*pictures: tuple[tuple[float | None, ...], float]) -> tuple[Decision, Memory]:
    """What is decided on the last of (voltages, at second)."""
    memory = Memory()
    for volts, at_s in pictures:
        decision, memory = decide(HOME, inputs(seen(volts, mono_s=1000.0 + at_s), directive=LIMIT), memory)
    return decision, memory


ON, OFF = (230.0, 231.0, 229.0), (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("volts", "power_w", "presence"),
    [
        (ON, 0.0, GridPresence.CONNECTED),
        (OFF, 0.0, GridPresence.ISLANDED),
        ((3.0, 5.0, 2.0), 0.0, GridPresence.ISLANDED),
        ((0.0, 230.0, 230.0), 0.0, GridPresence.CONNECTED),  # one phase lost is no island
        ((170.0, 170.0, 170.0), 0.0, GridPresence.CONNECTED),  # nor is a low voltage
        (OFF, 2500.0, GridPresence.CONNECTED),  # nor voltages that are not told right: power flows
        ((None, None, None), 0.0, GridPresence.CONNECTED),
    ],
)
def test_an_island_is_no_voltage_on_any_phase_and_no_power(
    volts: tuple[float | None, ...], power_w: float, presence: GridPresence
) -> None:
    _, memory = decide(HOME, inputs(seen(ON, power_w, 999.0)), Memory())
    decision, _ = decide(HOME, inputs(seen(volts, power_w)), memory)
    assert decision.grid is presence


def test_a_meter_that_never_shows_a_voltage_says_nothing_about_the_grid() -> None:
    assert after((OFF, 0), (OFF, 1), (OFF, 60))[0].grid is GridPresence.CONNECTED


def test_a_gateway_that_starts_during_an_outage_knows_what_the_meter_showed_before() -> None:
    _, memory = after((ON, 0))
    kept = from_json(to_json(memory, Instant(NOON, 1000.0)), Instant(NOON, 5.0))
    decision, _ = decide(HOME, inputs(seen(OFF, mono_s=10.0)), kept)
    assert decision.grid is GridPresence.ISLANDED


def test_one_sample_without_voltage_suspends_the_grids_word_and_pauses_the_car() -> None:
    before, _ = after((ON, 0))
    assert before.band.max_w == 4000
    decision, _ = after((ON, 0), (OFF, 1))
    assert decision.mode is Mode.ISLANDED
    assert decision.band.max_w > 4000
    assert watts(decision, "car") == 0


def test_the_grids_limit_holds_again_with_the_first_voltage_and_nothing_returns_for_a_minute() -> None:
    decision, _ = after((ON, 0), (OFF, 1), (ON, 2))
    assert decision.mode is Mode.ISLANDED
    assert decision.band.max_w == 4000
    assert watts(decision, "car") == 0
    assert "only just come back" in of(decision, "car").reason
    assert after((ON, 0), (OFF, 1), (ON, 2), (ON, 2 + RETURN_LEAST_S))[0].grid is GridPresence.CONNECTED


@pytest.mark.parametrize("between", [(150.0, 150.0, 150.0), (230.0, 0.0, 230.0), (None, None, None)])
def test_an_island_ends_only_when_every_phase_is_clearly_back(between: tuple[float | None, ...]) -> None:
    decision, memory = after((ON, 0), (OFF, 1), (between, 2), (between, 200))
    assert decision.grid is GridPresence.ISLANDED
    assert memory.grid_back_at_s is None


def test_a_flapping_grid_is_one_island_until_it_has_stayed_for_a_minute() -> None:
    decision, memory = after((ON, 0), *((OFF if second % 20 < 8 else ON, second) for second in range(1, 181)))
    assert decision.mode is Mode.ISLANDED
    for second in range(181, 181 + int(RETURN_LEAST_S) - 15):
        decision, memory = decide(HOME, inputs(seen(ON, mono_s=1000.0 + second)), memory)
        assert decision.mode is Mode.ISLANDED
    decision, _ = decide(HOME, inputs(seen(ON, mono_s=1300.0)), memory)
    assert decision.mode is Mode.NORMAL


def test_a_load_that_runs_on_surplus_is_off_at_once_whatever_its_minimum_time() -> None:
    policy = LoadPolicy("boiler", runs=LoadRun.ON_SURPLUS, min_on_s=3600.0)
    site = replace(house(GRID, PV, BATTERY, BOILER), loads=(policy,))

    def sunny(volts: tuple[float | None, ...], mono_s: float, boiler_w: float) -> Snapshot:
        points = seen(volts, mono_s=mono_s).readings
        values: dict[str, dict[str, Value]] = {k: {p: r.value for p, r in row.items()} for k, row in points.items()}
        values["boiler"]["power_w"] = boiler_w
        values["pv"]["power_w"] = -6000.0
        del values["car"]
        values["grid"]["power_w"] = 0.0 if volts == OFF else -3000.0
        values["battery"] = {"power_w": 0.0, "soc_pct": 60.0}
        return snapshot(values, mono_s=mono_s)

    memory = Memory()
    for second in range(100):
        decision, memory = decide(site, inputs(sunny(ON, 1000.0 + second, 0.0)), memory)
    assert of(decision, "boiler").value == 1
    decision, _ = decide(site, inputs(sunny(OFF, 1101.0, 2000.0)), memory)
    assert of(decision, "boiler").value == 0
    assert "without the grid" in of(decision, "boiler").reason


def test_the_effect_of_a_battery_that_carries_the_house_is_not_watched() -> None:
    assert of(after((ON, 0))[0], "battery").watched
    assert not of(after((ON, 0), (OFF, 1))[0], "battery").watched
    assert of(after((ON, 0), (OFF, 1), (ON, 2))[0], "battery").watched


def test_the_time_that_is_left_is_told_from_what_the_battery_gives() -> None:
    decision, _ = settled(HOME, inputs(seen(OFF)), memory=Memory(voltage_seen=True))
    assert "the battery lasts for about 6.2 h" in decision.headline  # (60 - 10) % of 10 kWh over 800 W
