"""A process that stood still decides on nothing that it read before, however late its devices answer."""

from cem.model.setpoint import Mode
from cem.simulation.harness import MIDSUMMER, Bench
from cem.simulation.plant import open_home
from support.oracle_random import HOMES


def test_after_a_pause_the_first_decision_waits_for_fresh_values() -> None:
    with Bench(open_home(HOMES / "demo.toml"), start=MIDSUMMER, seed=3) as bench:
        bench.advance(60.0)
        for device in ("meter", "inverter", "battery"):
            bench.plant.faults.inject(device, "slow", delay_s=0.05)  # as a real wire: after the tick that is due
        bench.advance(10.0)
        assert bench.gateway is not None
        count = bench.status().tick.count
        bench.pause(60.0)
        for _ in range(200):
            bench.advance(0.1)
            if bench.status().tick.count == count:
                continue
            assert bench.gateway.loop.last is not None
            assert bench.gateway.loop.last.decision.mode is Mode.NORMAL
            age_s = bench.gateway.loop.last.inputs.snapshot.age_s("grid", "power_w")
            assert age_s is not None
            assert age_s < 3.0
        assert bench.status().tick.count > count + 15


def test_a_car_that_is_read_again_is_no_load_that_comes_or_goes() -> None:
    with Bench(open_home(HOMES / "demo.toml"), start=MIDSUMMER, seed=3, plan=False) as bench:
        bench.advance(120.0)
        assert bench.truth().ev_w > 4000
        bench.plant.faults.inject("wallbox", "stale_retained")
        bench.advance(60.0)
        bench.plant.faults.clear("wallbox", "stale_retained")
        for step in bench.steps(60.0):
            assert step.decision is not None
            asked = next((s.value for s in step.decision.setpoints if s.resource_id == "battery"), None)
            assert asked is None or abs(asked) < 1500
