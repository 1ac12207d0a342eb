"""Whatever befalls whichever home: energy adds up, limits of the parts hold, and it stays cheap and stable."""

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_sim.happenings import FAULTS, EventSpec, FaultSpec
from hw_sim.homefile import Home
from hw_sim.physics.battery import Band
from hw_sim.simulation import SimulatedHome
from hw_sim.truth import Truth
from support.sim_worlds import VARIED, eight_devices, ready

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def some_faults(draw: random.Random, home: Home) -> tuple[FaultSpec, ...]:
    found = []
    for _ in range(draw.randrange(8)):
        kind = draw.choice([name for name in FAULTS if name != "broker_down"])
        targets = [device.id for device in home.device if device.kind in FAULTS[kind].devices]
        if targets:
            when: dict[str, Any] = {"at_s": draw.uniform(0, 86400), "for_s": draw.uniform(10, 20000)}
            found.append(FaultSpec.model_validate({"kind": kind, "target": draw.choice(targets), **when}))
    return tuple(found)


def some_events(draw: random.Random, home: Home) -> tuple[EventSpec, ...]:
    tables: list[dict[str, Any]] = [
        {"kind": "grid_loss", "for_s": draw.choice((5.0, 900.0, 9000.0))},
        {"kind": "load", "extra_w": draw.uniform(-100, 8000), "phase": None if home.grid.phases == 3 else 1},
        {"kind": "weather", "cloudiness": draw.random(), "shift_c": draw.uniform(-15, 15)},
        {"kind": "voltage", "volts": draw.uniform(200, 255), "ramp_s": 30.0},
        {"kind": "frequency", "hz": draw.uniform(49, 51)},
    ]
    tables += [{"kind": "arrive", "target": ev.id, "soc_pct": draw.uniform(0, 100)} for ev in home.ev]
    tables += [{"kind": "leave", "target": ev.id} for ev in home.ev]
    chosen = [draw.choice(tables) for _ in range(draw.randrange(8))]
    specs = [{"at_s": draw.uniform(0, 86400), "for_s": 5000.0, **table} for table in chosen]
    return tuple(EventSpec.model_validate({k: v for k, v in spec.items() if v is not None}) for spec in specs)


def meddle(draw: random.Random, sim: SimulatedHome) -> None:
    house = sim.house
    for battery in house.batteries.values():
        watts = draw.uniform(-20_000, 20_000)
        battery.band = draw.choice((Band(), Band(watts, watts), Band(upper_w=watts), Band(lower_w=watts)))
    for roof in house.roofs.values():
        roof.limit_w = draw.choice((None, draw.uniform(0, 20_000)))
    for pump in house.heat_pumps.values():
        pump.sg_state = draw.randint(1, 4)
    for load in house.relay_loads.values():
        load.on = draw.random() < 0.5
    for front in sim.fronts.values():
        if front.spec.kind != "sunspec.meter" and draw.random() < 0.3:
            front.contest(draw.choice((None, draw.uniform(0, 4))))


def check_powers(truth: Truth) -> None:
    parts = truth.load_w + truth.pv_w + truth.battery_w + truth.ev_w + truth.heat_pump_w + truth.relay_w
    assert truth.grid_w == pytest.approx(parts, abs=1e-6)
    assert sum(truth.grid_phases_w) == pytest.approx(truth.grid_w, abs=1e-6)
    assert truth.pv_w <= 1e-9
    assert min(truth.ev_w, truth.heat_pump_w, truth.relay_w) >= 0.0
    if not truth.grid_present:
        assert truth.grid_w == 0.0


def check_energies(home: Home, truth: Truth) -> None:
    into = truth.import_wh - home.grid.import_wh + truth.pv_wh + truth.discharged_wh
    used = truth.load_wh + truth.charged_wh + truth.ev_wh + truth.heat_pump_wh + truth.relay_wh
    out = truth.export_wh - home.grid.export_wh + used
    assert into == pytest.approx(out, rel=1e-3, abs=0.1)
    for spec in home.battery:
        one = truth.battery[spec.id]
        began_wh = spec.capacity_wh * spec.soc_pct / 100.0
        gained_wh = one.charged_wh * spec.charge_efficiency - one.discharged_wh / spec.discharge_efficiency
        assert one.soc_wh - began_wh == pytest.approx(gained_wh, rel=1e-6, abs=1e-3)
        assert -1e-6 <= one.soc_wh <= spec.capacity_wh + 1e-6
    for pump in home.heat_pump:
        heat = truth.heat_pump[pump.id]
        stored_wh = (heat.store_c - pump.store_c) * pump.store_litres * 1.163
        assert stored_wh == pytest.approx(heat.heat_wh - heat.drawn_wh - heat.lost_wh, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(VARIED), st.integers(0, 2**32), st.sampled_from((10.0, 30.0, 60.0)))
def test_energy_adds_up_over_any_day_of_any_home(name: str, seed: int, step_s: float) -> None:
    draw = random.Random(seed)
    plain = ready(name)
    home = plain.model_copy(update={"event": some_events(draw, plain), "fault": some_faults(draw, plain)})
    sim = SimulatedHome(home, NEW_YEAR + timedelta(hours=draw.randrange(8760)), step_s=step_s)
    for k in range(int(86400 / step_s)):
        if k % 97 == 0:
            meddle(draw, sim)
        sim.step(step_s)
        if k % 7 == 0:
            check_powers(sim.truth())
    check_energies(home, sim.truth())


@pytest.mark.parametrize("name", VARIED)
def test_the_same_seed_gives_the_same_day_with_all_its_faults(name: str) -> None:
    def day() -> list[object]:
        draw = random.Random(11)
        plain = ready(name)
        home = plain.model_copy(update={"event": some_events(draw, plain), "fault": some_faults(draw, plain)})
        sim = SimulatedHome(home, NEW_YEAR, seed=5, step_s=60.0)
        for _ in range(1440):
            sim.step(60.0)
        return [sim.truth().to_json()]

    assert day() == day()


@pytest.mark.slow
def test_a_month_in_steps_of_half_a_minute_stays_stable() -> None:
    for name in VARIED:
        home = ready(name)
        sim = SimulatedHome(home, NEW_YEAR, step_s=30.0)
        for _ in range(30 * 2880):
            sim.step(30.0)
        truth = sim.truth()
        check_powers(truth)
        check_energies(home, truth)
        for pump in truth.heat_pump.values():
            assert pump.below_comfort_s < 3600.0
            assert 35.0 < pump.store_c < 60.0
        assert math.isfinite(truth.import_wh)
        assert truth.import_wh > 10_000.0


def test_the_truth_is_json_and_a_picture_of_its_moment() -> None:
    sim = SimulatedHome(eight_devices(), NEW_YEAR)
    sim.step(1.0)
    truth = sim.truth()
    before = truth.to_json()
    for _ in range(100):
        sim.step(1.0)
    assert truth.to_json() == before
    devices = cast("dict[str, dict[str, object]]", before["devices"])
    assert devices["battery-new"]["commands"] == {
        "124.StorCtl_Mod": 0.0,
        "124.WChaMax": 15000.0,
        "124.OutWRte": 100.0,
        "124.InWRte": 100.0,
        "124.InOutWRte_RvrtTms": 0.0,
        "124.MinRsvPct": 0.0,
        "124.ChaGriSet": 1.0,
    }
    assert devices["wallbox"]["flash_writes"] == {}
