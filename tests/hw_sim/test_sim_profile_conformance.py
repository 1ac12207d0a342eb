"""The contract kit on every profile with a control, before a device of hw-sim: another reading of the same file."""

import asyncio

import pytest

from cem.driver.conformance import CHECKS, BrokenContract
from cem_drivers.profiled.catalogue import shipped_profiles
from support.profiled_homes import SimulatedBench

PROFILES = shipped_profiles()
CONTROLS = [(name, index) for name, profile in PROFILES.items() for index in range(len(profile.control))]


@pytest.mark.parametrize(("name", "index"), CONTROLS)
def test_a_simulated_device_lets_every_control_keep_the_contract(name: str, index: int) -> None:
    lifted = PROFILES[name].model_copy(update={"status": "documented"})
    broken: dict[str, str] = {}
    for check, hold in CHECKS.items():
        try:
            asyncio.run(hold(SimulatedBench(lifted, index)))  # type: ignore[arg-type]  # a coroutine, typed Awaitable
        except BrokenContract as error:
            broken[check] = str(error)
    assert broken == {}
    assert len(CHECKS) > 8
