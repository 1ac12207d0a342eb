"""The contract kit on every Modbus profile; drafts are lifted for the test, since what they say must hold one day."""

import asyncio

import pytest

from cem.driver import Refused
from cem.driver.conformance import CHECKS
from cem_drivers.profiled.catalogue import shipped_profiles
from cem_drivers.profiles.store import shipped_texts
from support.profile_bench import ProfileBench

TEXTS = shipped_texts(mqtt=False)
PROFILES = shipped_profiles()
WRITTEN = [name for name, profile in PROFILES.items() if profile.control]
CONTROLS = [(name, index) for name in WRITTEN for index in range(len(PROFILES[name].control))]
EVERY = CONTROLS + [(name, 0) for name in PROFILES if name not in WRITTEN]
WATCHED = [(name, index) for name, index in CONTROLS if PROFILES[name].control[index].device_timeout is not None]


def bench_of(name: str, lifted: bool = True, chosen: int = 0) -> ProfileBench:
    profile = PROFILES[name]
    as_if = profile.model_copy(update={"status": "documented"}) if lifted else profile
    return ProfileBench(as_if, TEXTS[name], chosen=chosen)


@pytest.mark.parametrize(("name", "chosen"), EVERY)
@pytest.mark.parametrize("check", CHECKS)
def test_every_profile_keeps_the_contract(check: str, name: str, chosen: int) -> None:
    bench = bench_of(name, chosen=chosen)
    asyncio.run(CHECKS[check](bench))  # type: ignore[arg-type]  # a coroutine function, typed as Awaitable
    assert check in CHECKS


@pytest.mark.parametrize("name", [name for name in WRITTEN if PROFILES[name].status == "draft"])
def test_a_draft_is_read_and_never_written(name: str) -> None:
    async def main() -> ProfileBench:
        bench = bench_of(name, lifted=False)
        device = bench.device(bench.config(bench.serial))
        await device.open()
        assert list(device.controls()) == []
        assert bench.control is not None
        with pytest.raises(Refused, match="is a draft"):
            await device.write(bench.role.value, bench.control, bench.values[0])
        await device.release(bench.role.value, bench.control)
        assert await device.poll()
        await device.close()
        return bench

    assert asyncio.run(main()).writes() == []


@pytest.mark.parametrize(("name", "chosen"), WATCHED)
def test_without_us_a_watched_device_lets_go(name: str, chosen: int) -> None:
    async def main() -> None:
        bench = bench_of(name, chosen=chosen)
        device = bench.device(bench.config(bench.serial))
        await device.open()
        assert bench.control is not None
        await device.write(bench.role.value, bench.control, bench.values[0])
        (spec,) = device.controls()
        assert spec.device_timeout_s
        await bench.pass_s(spec.device_timeout_s + 2)
        assert bench.image.fell_back == 1

    asyncio.run(main())
