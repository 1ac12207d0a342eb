"""Whole days of homes with a heat pump and relays: no promise broken, heat and water there, and the sun used."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cem.simulation.harness import Bench
from cem.simulation.oracle.judge import Oracle
from cem.simulation.plant import Truth, open_home
from cem.simulation.site import answers_for, site_of
from support.virtual_home import HOMES

STEP_S = 10.0


def _day(name: str, start: datetime, hours: float = 24.0, **changes: Any) -> tuple[list[Truth], dict[str, int]]:
    """The house every ten minutes, and what was written; judged at every step."""
    home = open_home(HOMES / f"{name}.toml")
    site = site_of(home, answers_for(home, **changes), tick_s=STEP_S)
    with Bench(home, start=start, seed=1, site=site, step_s=STEP_S) as bench:
        oracle = Oracle(bench)
        seen = [bench.truth()]
        for _ in range(round(hours * 6)):
            bench.advance(600.0)
            seen.append(bench.truth())
        assert [str(violation) for violation in oracle.violations] == []
        assert bench.status().alarms == ()
        return seen, dict(bench.wire.writes)


def test_on_a_day_in_spring_boiler_and_heat_pump_run_on_the_sun() -> None:
    seen, writes = _day("heat-pump", datetime(2026, 4, 15, 4, tzinfo=UTC), 14.0)
    before, after = seen[0], seen[-1]
    boiler, pump = after.relay_load["boiler"], after.heat_pump["heat_pump"]
    assert boiler.energy_wh > 4000
    assert boiler.unmet_wh == 0
    assert boiler.switchings <= 24
    assert pump.below_comfort_s == 0
    assert max(truth.heat_pump["heat_pump"].store_c for truth in seen) > 49.0  # it heats to 48 by itself
    assert 0 < pump.contact_switchings <= 24
    assert writes["boiler-relay"] > 0
    bought_wh = after.import_wh - before.import_wh
    assert bought_wh < boiler.energy_wh + pump.energy_wh


@pytest.mark.slow
def test_on_a_winter_day_under_a_contract_limit_the_heat_pump_keeps_the_house_warm() -> None:
    connection = {"phases": 3, "fuse_a": 35.0, "import_limit_w": 4000.0}
    seen, _ = _day("heat-pump", datetime(2026, 1, 15, tzinfo=UTC), connection=connection)
    pump = seen[-1].heat_pump["heat_pump"]
    assert pump.below_comfort_s == 0
    assert pump.unmet_wh == 0


@pytest.mark.slow
@pytest.mark.parametrize("start", [datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 10, 5, tzinfo=UTC)])
def test_a_day_on_the_farm_waters_the_fields_with_the_sun(start: datetime) -> None:
    seen, _ = _day("farm", start)
    pump = seen[-1].relay_load["pump"]
    assert pump.energy_wh > 8000
    assert pump.unmet_wh == 0
    assert pump.switchings <= 48
