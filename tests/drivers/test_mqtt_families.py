"""MQTT devices of many makers by profile: the contract of every control, and what a scan finds of each."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cem.driver.conformance import CHECKS
from cem_drivers.mqtt import DRIVER
from cem_drivers.mqtt.profile import shipped_profiles
from support.driver_cases import CASES as SCENES
from support.family_bench import CASES, FamilyBench, FamilyCase, family_stage

every_family = pytest.mark.parametrize("case", CASES, ids=lambda case: case.profile)
CASE = {case.profile: case for case in CASES}


def _play(case: FamilyCase, act: Callable[[FamilyBench], Awaitable[None]]) -> FamilyBench:
    async def main() -> FamilyBench:
        async with family_stage(case) as bench:
            await act(bench)
            return bench

    return asyncio.run(main())


def test_every_control_of_a_profile_that_is_written_is_held_against_the_contract() -> None:
    written = {name for name, profile in shipped_profiles().items() if profile.controls and profile.status != "draft"}
    assert written <= {*CASE, *(scene.profile for scene in SCENES)}


@every_family
@pytest.mark.parametrize("check", CHECKS)
def test_a_family_keeps_the_contract(check: str, case: FamilyCase) -> None:
    async def act(bench: FamilyBench) -> None:
        await CHECKS[check](bench)

    _play(case, act)


@every_family
def test_a_scan_finds_the_family_by_what_it_announces_and_writes_nothing(case: FamilyCase) -> None:
    async def act(bench: FamilyBench) -> None:
        found = await DRIVER.probe({"kind": "mqtt", "host": "memory"}, bench.context, 0.1)
        (one,) = [entry for entry in found if entry.profile == case.profile]
        assert one.identity.serial == case.serial
        assert one.link.get("serial", case.serial) == case.name
        assert case.role in {role for role, _, _ in one.resources}
        assert 0.3 <= one.confidence <= 0.95
        assert all(entry.confidence < one.confidence for entry in found if entry is not one)

    assert _play(case, act).simulated.heard == []
