"""One simulation from begin to end, with its account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cem.config.sitefile import SiteFile
from cem.model.resource import Role
from cem.simulation.account import Account, limits_of
from cem.simulation.grid import GridSide
from cem.simulation.harness import Bench
from cem.simulation.plant import Home

LOOK_S = 60.0
"""How often the gateway's status is looked at for alarms."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be simulated."""

    home: Home
    site: SiteFile
    days: float
    step_s: float = 1.0
    start: datetime | None = None
    seed: int | None = None
    grids: Sequence[GridSide] = ()
    plan: bool = True
    folder: Path | None = None
    record: Path | None = None


def cars_of(bench: Bench) -> dict[str, str]:
    """The plant's car behind each charging point of a bench's site."""
    found: dict[str, str] = {}
    for device in bench.site_file.devices:
        simulated = bench.wire.device_of(device.serial) if device.serial is not None else None
        plants = bench.plant.fronts[simulated].plants if simulated is not None else ()
        cars = [name for name in plants if name in bench.plant.house.charging_points]
        charging = [resource.id for resource in device.resources if resource.role is Role.EV]
        found.update(zip(charging, cars, strict=False))
    return found


def run_days(run: Run) -> tuple[Account, dict[str, Any]]:
    """Simulates, and gives the account with its summary; raises what the gateway fails with."""
    with Bench(
        run.home,
        start=run.start,
        seed=run.seed,
        site=run.site,
        step_s=run.step_s,
        folder=run.folder,
        plan=run.plan,
        grids=run.grids,
        record=run.record,
    ) as bench:
        end = bench.start + timedelta(days=run.days)
        site = bench.site_file.site
        account = Account(site, limits_of(site, run.grids, bench.start, end), run.step_s, cars_of(bench))
        bench.on_step = account.take
        left_s = run.days * 86400
        while left_s > 0:
            stretch_s = min(left_s, max(LOOK_S, run.step_s))
            bench.advance(stretch_s)
            account.look(bench.status())
            left_s -= stretch_s
        writes = {spec.id: bench.wire.writes.get(spec.id, 0) for spec in run.home.device}
        return account, {"home": run.home.name, "days": run.days, "tick_s": run.step_s, **account.summary(writes)}
