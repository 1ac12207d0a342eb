"""Provisioning the simulated demo home with the real drivers, in virtual time."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cem.commissioning.examination import Scope
from cem.commissioning.provisioning import Order, Outcome, Tools, find, prove
from cem.commissioning.result import Step, Verdict
from cem.commissioning.site import Answers, FindTable
from cem.config.drivers import load_drivers
from cem.config.load import load_site
from cem.io.virtual import VirtualClock, run_virtual
from hw_sim.simulation import SimulatedHome
from support.toy_site import START, answers
from support.virtual_home import context, demo_home

FIND = FindTable(modbus=("meter:502", "inverter:502", "battery:502"), mqtt=("memory:1883",))


def provisioned(folder: Path, at: datetime = START, *, grid_charge: bool = True) -> tuple[Outcome, SimulatedHome]:
    """Finds and proves the demo home, at noon if nothing else is said; the home goes on for two minutes after."""

    async def main(clock: VirtualClock) -> tuple[Outcome, SimulatedHome]:
        home = demo_home(clock, grid_charge=grid_charge)
        tools = Tools(load_drivers(), context(home, clock), clock, "0.0")
        order = Order(folder / "site.toml", Scope())
        running = asyncio.create_task(home.run())
        try:
            await asyncio.sleep(30)
            outcome = await prove(order, await find(order, Answers(answers().site, FIND), tools), tools)
            await asyncio.sleep(120)
        finally:
            running.cancel()
            await asyncio.wait([running])
        return outcome, home

    return run_virtual(main, at)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, SimulatedHome, Path]:
    folder = tmp_path_factory.mktemp("demo")
    return *provisioned(folder), folder


Demo = tuple[Outcome, SimulatedHome, Path]


def test_the_demo_home_passes_every_check(demo: Demo) -> None:
    results = demo[0].record.examination.results
    assert [result for result in results if result.verdict is not Verdict.PASSED] == []
    steps = {(result.device_id, result.step) for result in results}
    assert {("meter", Step.SIGN), ("inverter", Step.WRITE), ("storage", Step.RELEASE), ("charger", Step.WRITE)} <= steps


def test_the_demo_homes_site_file_loads_with_the_real_drivers(demo: Demo) -> None:
    loaded = load_site(demo[2] / "site.toml", load_drivers())
    roles = {resource.id: resource.role.value for resource in loaded.site.resources}
    assert roles == {"grid": "grid", "pv": "pv", "battery": "battery", "car": "ev"}
    assert all(device.serial for device in loaded.devices)


def test_the_chargers_own_setting_is_as_before(demo: Demo) -> None:
    outcome, home, _ = demo
    read = next(r for r in outcome.record.examination.results if r.step is Step.READ and r.subject == "car")
    assert home.charger is not None
    assert home.charger.settings["amp"] == read.values["limit_a"] == 16
    assert home.charger.settings["frc"] == 0


def test_a_battery_that_charges_from_the_sun_alone_is_proven_by_discharging_after_dusk(tmp_path: Path) -> None:
    outcome, home = provisioned(tmp_path, START + timedelta(hours=10), grid_charge=False)
    results = outcome.record.examination.results
    assert [result for result in results if result.verdict is not Verdict.PASSED] == []
    (battery,) = (r for r in results if r.step is Step.WRITE and r.subject.startswith("battery "))
    assert "did not charge now" in battery.seen
    assert float(battery.values["value"] or 0.0) < 0.0
    assert home.house.batteries["battery"].power_w <= 0.0
    assert load_site(tmp_path / "site.toml", load_drivers()).site.battery_policy("battery").grid_charge is False
    assert "battery took nothing from the grid: it is written with grid_charge = false" in outcome.record.notes
