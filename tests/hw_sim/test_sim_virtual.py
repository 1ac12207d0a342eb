"""A whole simulated day on a virtual clock, with clients on the in-memory transports, in seconds."""

import asyncio
import struct
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cem.io.virtual import run_virtual
from hw_sim.home import load_home
from hw_sim.simulation import SimulatedHome
from support.sim_topics import Watcher

DEMO = Path(__file__).parents[2] / "hw-sim" / "homes" / "demo.toml"
START = datetime(2026, 6, 14, 22, 0, tzinfo=UTC)
METER_W = struct.pack(">BHH", 3, 40070 + 18, 1)


def test_a_day_with_readers_runs_in_seconds_and_keeps_time() -> None:
    async def main() -> tuple[SimulatedHome, int, Watcher]:
        sim = SimulatedHome(load_home(DEMO), START)
        watcher = await Watcher(sim.broker).start()
        running = asyncio.create_task(sim.run())
        reads = 0
        unit = sim.modbus("meter")
        while sim.house.elapsed_s < 86400:
            await asyncio.sleep(10.0)
            (power,) = struct.unpack(">h", (await unit.exchange(1, METER_W))[2:])
            assert power == pytest.approx(sim.truth().grid_w, abs=0.51)
            reads += 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return sim, reads, watcher

    began = time.process_time()
    sim, reads, watcher = run_virtual(main(), START)
    assert time.process_time() - began < 20.0
    assert reads == pytest.approx(8640, abs=2)
    truth = sim.truth()
    assert truth.elapsed_s == pytest.approx(86400.0, abs=11.0)
    assert truth.pv_wh > 15_000.0
    assert truth.ev_wh > 30_000.0  # charged overnight at full current, and again after work
    assert watcher["eto"] == int(truth.ev_wh)
    into = truth.import_wh - 12_345_000 + truth.pv_wh + truth.discharged_wh
    out = truth.export_wh - 6_789_000 + truth.load_wh + truth.charged_wh + truth.ev_wh
    assert into == pytest.approx(out)


def test_the_same_seed_gives_the_same_day_through_the_loop() -> None:
    async def main() -> list[float]:
        sim = SimulatedHome(load_home(DEMO), START, step_s=60.0)
        running = asyncio.create_task(sim.run())
        seen = []
        for _ in range(600):
            await asyncio.sleep(60.0)
            seen.append(sim.truth().grid_w)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return seen

    assert run_virtual(main(), START) == run_virtual(main(), START)
