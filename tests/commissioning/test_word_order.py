"""F5: a profile with the wrong word order is refused when a device is taken in, and counts as stale where it is not."""

import asyncio
from dataclasses import replace

import pytest

from cem.commissioning.bench import Bench
from cem.commissioning.read_check import check_reading
from cem.commissioning.result import Result, Verdict
from cem.control import Memory, decide
from cem.driver import DeviceConfig, DriverContext, PduPort, Resource, Role
from cem.io.virtual import VirtualClock, run_virtual
from cem.model.reading import Reading, Snapshot
from cem.model.setpoint import Mode
from cem_drivers.profiled.catalogue import parse_profile
from cem_drivers.profiled.device import ProfiledDevice
from cem_drivers.profiles.store import shipped_texts
from support.houses import BATTERY, GRID, NOON, house, inputs, of
from support.profile_image import ProfileImage, image_of

METERS = ("carlo-gavazzi.em340", "eastron.sdm630")
ORDERS = {"big": "little", "little": "big"}
FUSE_W = 24_150.0


def _meter(name: str, clock: VirtualClock, *, wrong: bool) -> tuple[ProfiledDevice, DeviceConfig]:
    """The real driver; behind a wrong profile the device's words lie the other way round."""
    text = shipped_texts(mqtt=False)[name]
    profile, faults = parse_profile(text)
    assert profile is not None, faults
    image = image_of(text)
    _quiet_house(image)
    if wrong:
        link = profile.link.model_copy(update={"word_order": ORDERS[profile.link.word_order]})
        profile = profile.model_copy(update={"link": link})

    def port(_link: object) -> PduPort:
        return image

    resource = Resource("grid", Role.GRID, "meter", "Meter")
    where: dict[str, str | int | float | bool] = {"kind": "rtu-tcp", "host": "memory"}
    config = DeviceConfig("meter", "Meter", "modbus", where, (resource,), profile.id)
    lifted = profile.model_copy(update={"status": "documented"})
    return ProfiledDevice(config, lifted, DriverContext(clock.monotonic, port)), config


def _quiet_house(image: ProfileImage) -> None:
    """What a house of 690 W shows."""
    told = {"power_w": 690.0, "frequency_hz": 50.0, "import_wh": 123_000.0, "export_wh": 4000.0}
    for phase in (1, 2, 3):
        told |= {f"power_l{phase}_w": 230.0, f"voltage_l{phase}_v": 230.0, f"current_l{phase}_a": 1.0}
    for row in image.profile["point"]:
        point = row["id"].removeprefix("grid.")
        if point in told:
            image.put(row["id"], told[point])


def _read(name: str, *, wrong: bool) -> Result:
    async def main(clock: VirtualClock) -> Result:
        device, config = _meter(name, clock, wrong=wrong)
        bench = Bench(config, device, DriverContext(clock.monotonic))
        await bench.open()
        (result,) = await check_reading(bench, FUSE_W)
        await bench.close()
        return result

    return run_virtual(main, NOON)


@pytest.mark.parametrize("name", METERS)
def test_the_right_word_order_is_taken_in(name: str) -> None:
    assert _read(name, wrong=False).verdict is Verdict.PASSED


@pytest.mark.parametrize("name", METERS)
def test_the_wrong_word_order_is_refused_with_its_cause(name: str) -> None:
    result = _read(name, wrong=True)
    assert result.verdict is Verdict.FAILED
    assert "register order is wrong" in result.advice


@pytest.mark.parametrize("name", METERS)
def test_at_run_time_it_is_a_meter_without_a_value(name: str) -> None:
    async def main(clock: VirtualClock) -> None:
        device, _ = _meter(name, clock, wrong=True)
        await device.open()
        memory, site = Memory(), house(GRID, BATTERY)
        for _ in range(20):
            readings = {r.point: r for r in await device.poll()}
            now_s = clock.monotonic()
            battery = {
                "power_w": Reading("battery", "power_w", 0.0, now_s),
                "soc_pct": Reading("battery", "soc_pct", 50.0, now_s),
            }
            given = inputs(Snapshot(now_s, {"grid": readings, "battery": battery}))
            decision, memory = decide(site, replace(given, now=clock.now()), memory)
            await asyncio.sleep(1.0)
        assert decision.mode is Mode.SAFE
        assert of(decision, "battery").value == 0.0
        await device.close()

    run_virtual(main, NOON)
