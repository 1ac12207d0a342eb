"""The site of a simulated home: found and proposed as `cem provision` does it."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cem.commissioning.discover import discover
from cem.commissioning.proposal import propose
from cem.commissioning.site import Answers, FindTable, assemble
from cem.config.build import site_file
from cem.config.drivers import load_drivers
from cem.config.raw import read_raw
from cem.config.schema import FORMAT, SiteTable
from cem.config.sitefile import SiteFile
from cem.config.tariff_checks import OF_ONE_PROVIDER
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.errors import CemError, SiteFileError
from cem.ports import Driver
from cem.simulation.installer import known_of, powers_w, wired, with_goals, with_policies
from cem.simulation.plant import Home, SimulatedHome, Wire, links_of

SETTLED_S = 20.0
"""Simulated time in which every device has said who it is."""
BEFORE = datetime(2026, 6, 1, 10, tzinfo=UTC)
"""When the devices are looked for; any time will do."""
SLOW_TICKS = 2.5
"""A value of a slow simulation counts as stale after so many ticks."""
FUSE_A = 35.0
PRICES: dict[str, Any] = {
    "base_price_per_kwh": 0.32,
    "export_price_per_kwh": 0.08,
    "period": [
        {"from": "17:00", "to": "21:00", "import_price_per_kwh": 0.40},
        {"from": "23:00", "to": "06:00", "import_price_per_kwh": 0.22},
    ],
}
"""What energy costs where nobody says otherwise: cheap nights, dear evenings."""

_FOLDER = Path("/nonexistent")

WHOM_TO_ASK = frozenset({"provider", *OF_ONE_PROVIDER, "url"})
"""Keys of [tariff.dynamic] that name the provider and what to ask it."""


class NothingAnswers(CemError):  # noqa: N818 - the field's word
    """A home without a device that a driver knows."""


@cache
def drivers() -> Mapping[str, Driver]:
    """The installed drivers."""
    return load_drivers()


def answers_for(home: Home, given: Path | None = None, **changes: Any) -> Answers:
    """What a person would say about this home: of a file (a site file or an answers file), else the defaults.

    `changes` replace top-level keys (None takes a key out). A file's [[device]] tables are not used: the simulated
    devices are found by themselves. Raises SiteFileError.
    """
    site = _defaults(home) if given is None else read_raw(given)
    for key in ("find", "device", "site", "provider", "store", "api"):
        site.pop(key, None)
    site |= changes
    return Answers({key: value for key, value in site.items() if value is not None}, FindTable())


def with_market(site: dict[str, Any], *, given: bool) -> None:
    """Lets the answers' dynamic tariff ask a recorded market in place of its provider: what is added to the market's
    price stays, whom to ask and with which token does not. Where a market is `given` and the answers name no such
    tariff, a bought kWh costs what the market says.
    """
    tariff = site.get("tariff")
    if not isinstance(tariff, dict) or not (given or isinstance(tariff.get("dynamic"), dict)):
        return
    named = tariff.get("dynamic", {})
    if isinstance(named, dict):
        kept = {key: value for key, value in named.items() if key not in WHOM_TO_ASK}
        site["tariff"] = tariff | {"dynamic": {"provider": "awattar", "country": "DE"} | kept}


def _defaults(home: Home) -> dict[str, Any]:
    grid = home.grid
    connection: dict[str, Any] = {
        "phases": int(getattr(grid, "phases", None) or 3),
        "fuse_a": float(getattr(grid, "fuse_a", None) or FUSE_A),
    }
    for key in ("import_limit_w", "export_limit_w"):
        if (limit := getattr(grid, key, None)) is not None:
            connection[key] = float(limit)
    return {
        "name": home.name,
        "timezone": home.zone,
        "place": {"latitude": home.latitude, "longitude": home.longitude},
        "connection": connection,
        "tariff": PRICES,
        "plan": {"every_s": 900.0},
    }


@cache
def _found(home_json: str, site_text: str, goals: bool) -> SiteFile:
    return site_file(_FOLDER / "site.toml", _table(home_json, site_text, goals))


@cache
def _table(home_json: str, site_text: str, goals: bool) -> SiteTable:
    home = Home.model_validate_json(home_json)
    answers = Answers(json.loads(site_text), FindTable())

    async def main(clock: VirtualClock) -> SiteTable:
        plant = SimulatedHome(home, BEFORE, seed=1)
        running = asyncio.create_task(plant.run())
        try:
            await asyncio.sleep(SETTLED_S)
            return await _provisioned(plant, clock, answers, goals=goals)
        finally:
            running.cancel()
            await asyncio.wait([running])

    return run_virtual(main, BEFORE)


async def _provisioned(plant: SimulatedHome, clock: VirtualClock, answers: Answers, *, goals: bool) -> SiteTable:
    wire = Wire(plant, clock)
    sightings = await discover(links_of(plant), drivers(), wire.context())
    found = [item for sighting in sightings for item in sighting.found]
    if not found:
        trouble = "; ".join(text for sighting in sightings for text in sighting.trouble)
        raise NothingAnswers(f"{plant.home.name}: no device that a driver knows answers ({trouble or 'all silent'})")
    connection = answers.connection()
    known = known_of(plant.home, {spec.id: plant.serial(spec.id) for spec in plant.home.device})
    proposal = propose(found, phases=connection.phases, fuse_a=connection.fuse_a, max_power_w=powers_w(known))
    devices = wired(proposal.devices, known, connection.phases)
    said = with_policies(answers.site, devices)
    if goals:
        said = with_goals(said, devices, known)
    return assemble(replace(answers, site=said), devices, _FOLDER, drivers())


def site_table(home: Home, answers: Answers) -> SiteTable:
    """The content of a home's site file, as provisioning would write it; links lead to the home in memory. Raises what
    `site_of` raises."""
    return _table(*_asked(home, answers), False)


def _asked(home: Home, answers: Answers) -> tuple[str, str]:
    return home.quiet().model_dump_json(), json.dumps({"site": FORMAT} | answers.site, default=str)


def site_of(home: Home, answers: Answers, *, tick_s: float = 1.0, goals: bool = False) -> SiteFile:
    """The site file of a home, as provisioning would write it; the same for the same home and answers.

    The home's time line plays no part while it is looked at. `tick_s` above 1 makes control, polls and the age limits
    coarser alike. `goals`: each car with trips gets a goal where the answers have none. Raises SiteFileError with every
    fault of the answers, and NothingAnswers.
    """
    site = _found(*_asked(home, answers), goals)
    if tick_s <= 1.0:
        return replace(site, tick_s=tick_s)
    connection = site.site.connection
    slower = replace(
        connection,
        meter_stale_s=max(connection.meter_stale_s, SLOW_TICKS * tick_s),
        device_stale_s=max(connection.device_stale_s, SLOW_TICKS * tick_s),
    )
    devices = tuple(replace(device, poll_s=max(device.poll_s, tick_s)) for device in site.devices)
    return replace(site, site=replace(site.site, connection=slower), devices=devices, tick_s=tick_s)


__all__ = ["NothingAnswers", "SiteFileError", "answers_for", "drivers", "site_of", "site_table", "with_market"]
