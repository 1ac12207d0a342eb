"""MQTT devices of many makers by profile: the contract of every control, and what a scan finds of each."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from cem.driver import Control, DeviceConfig, DriverContext, Refused, Resource, Role
from cem.driver.conformance import CHECKS
from cem_drivers.mqtt import DRIVER
from cem_drivers.mqtt.profile import shipped_profiles
from hw_sim.memory_broker import MemoryBroker
from support.driver_cases import CASES as SCENES
from support.driver_cases import scene
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


def test_a_draft_that_speaks_seldom_opens_by_what_is_kept_and_is_read_but_never_written() -> None:
    broker = MemoryBroker()
    kept = {"counter/0/get/fault_state": b"0", "counter/0/get/power": b"900", "bat/get/power": b"-1200"}
    broker.retained = {f"openWB/{topic}": payload for topic, payload in kept.items()}
    roles = (Role.GRID, Role.BATTERY)
    resources = tuple(Resource(role.value, role, "wb", role.value) for role in roles)
    config = DeviceConfig("wb", "openWB", "mqtt", {"host": "memory", "timeout_s": 0.2}, resources, "openwb.house")
    steered = replace(resources[1], controls=frozenset({Control.BATTERY_SETPOINT_W}))

    async def main() -> None:
        context = DriverContext(lambda: 5.0, topics=lambda _link: broker.client())
        device = DRIVER.device(config, context)
        assert (await device.open()).serial == "openWB"
        assert await device.poll() == []
        assert device.controls() == ()
        broker.spread("openWB/counter/0/get/power", b"-250.5", True)
        await asyncio.sleep(0)
        assert [(reading.point, reading.value) for reading in await device.poll()] == [("power_w", -250.5)]
        with pytest.raises(Refused, match="a draft"):
            await device.write("battery", Control.BATTERY_SETPOINT_W, 1000.0)
        await device.close()
        (found,) = [one for one in await DRIVER.probe(config.link, context, 0.05) if one.profile == "openwb.house"]
        assert (found.identity.serial, found.confidence) == ("", 0.5)

    asyncio.run(main())
    assert DRIVER.faults(config) == []
    (fault,) = DRIVER.faults(replace(config, resources=(steered,)))
    assert fault == "resources[0].controls: openwb.house has no battery.setpoint_w"


def test_a_three_phase_meter_of_shelly_is_read_with_its_phases() -> None:
    async def main() -> None:
        pump = next(scene for scene in SCENES if scene.profile == "shelly.sg-ready")
        async with scene(pump) as stage:
            resource = Resource("grid", Role.GRID, "dev", "Meter")
            config = DeviceConfig("dev", "Meter", "mqtt", pump.link, (resource,), "shelly.3em", stage.serial)
            device = DRIVER.device(config, stage.context)
            await device.open()
            await stage.pass_s(6)
            read = {reading.point: reading.value for reading in await device.poll()}
            assert device.controls() == []
            await device.close()
            assert read["power_w"] == pytest.approx(stage.home.truth().heat_pump_w, abs=1.0)
            phases = [read[f"power_l{phase}_w"] for phase in (1, 2, 3)]
            assert sum(float(watts or 0) for watts in phases) == pytest.approx(read["power_w"], abs=1.0)
            assert stage.writes == []

    asyncio.run(main())


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
