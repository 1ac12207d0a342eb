"""A whole day of the whole gateway against the simulated home, in seconds."""

from datetime import UTC, datetime

from cem.simulation.harness import Bench
from cem.simulation.oracle.judge import Oracle
from cem.simulation.plant import open_home
from support.virtual_home import HOMES

MIDSUMMER = datetime(2026, 6, 14, 22, 0, tzinfo=UTC)  # midnight in Berlin
STEP_S = 10.0


def test_a_day_of_the_whole_gateway_breaks_no_promise_and_loses_no_energy() -> None:
    with Bench(open_home(HOMES / "demo.toml"), start=MIDSUMMER, seed=3, step_s=STEP_S) as bench:
        oracle = Oracle(bench)
        seen_wh = 0.0
        before = bench.truth()
        for step in bench.steps(86400):
            seen_wh += step.truth.grid_w * STEP_S / 3600
        after, status = bench.truth(), bench.status()
        assert oracle.violations == []
        assert oracle.steps >= 8600
        net_wh = (after.import_wh - before.import_wh) - (after.export_wh - before.export_wh)
        assert abs(net_wh - seen_wh) <= 0.01 * (after.import_wh - before.import_wh)
        assert status.plan is not None
        assert status.plan.status in {"optimal", "feasible"}
        assert status.alarms == ()
        assert after.pv_wh - before.pv_wh > 20_000
