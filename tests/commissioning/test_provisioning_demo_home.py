"""Provisioning the simulated demo home with the real drivers, in virtual time."""

import asyncio
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


def provisioned(folder: Path) -> tuple[Outcome, SimulatedHome]:
    """Finds and proves the demo home at noon; the home goes on for two minutes after."""

    async def main(clock: VirtualClock) -> tuple[Outcome, SimulatedHome]:
        home = demo_home(clock)
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

    return run_virtual(main, START)


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
